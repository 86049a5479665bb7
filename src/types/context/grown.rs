//! Output files that grow: marked for a checkpoint, and gone on with by another attempt.

use super::files::{Output, artifact, pour};
use super::{Context, Failure};
use crate::fault;
use crate::files::{Growing, Mark, Parts};
use crate::task::Artifact;
use serde::{Deserialize, Serialize};
use std::io::{self, Write};

/// A growing file as it stood at a mark, for a checkpoint to keep.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Grown {
    /// The file up to there.
    #[serde(flatten)]
    pub file: Artifact,
    /// In a bucket, the parts it is made of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    parts: Option<Parts>,
}

/// Where a growing file stands, for [`Marked::sync`].
pub struct Marked {
    file: Artifact,
    mark: Mark,
}

impl Context {
    /// Begins a file as [`Context::output`] does, of which a checkpoint may keep a [mark](Output::mark).
    pub async fn grow(&self, name: &str, content_type: &str) -> Result<Output<Growing>, Failure> {
        let location = self.begin(name);
        let writer = self.inner.given.files.grow(&location).await?;
        Ok(self.open(name, content_type, location, writer))
    }

    /// Goes on with a file of an earlier attempt from a mark: in a bucket with its upload, else in a file of its own.
    /// `None` if what stood before the mark is no longer whole.
    pub async fn grow_on(&self, grown: &Grown) -> Result<Option<Output<Growing>>, Failure> {
        let Grown { file, parts } = grown;
        if let Some(parts) = parts
            && grown.files().all(|location| self.is_ours(location))
        {
            let own = self.begin(&file.name);
            let location = if parts.has_upload() { &file.location } else { &own };
            let files = &self.inner.given.files;
            if let Some(writer) = files.grow_on(location, &own, file.bytes as u64, &file.sha256, parts).await? {
                return Ok(Some(self.open(&file.name, &file.content_type, location.clone(), writer)));
            }
        }
        let Some(old) = self.reread(file).await? else { return Ok(None) };
        let mut output = self.grow(&file.name, &file.content_type).await?;
        let file = file.clone();
        let copy = move |ctx: &Context| {
            let whole = pour(ctx, old, &file, |chunk| output.writer.write_all(chunk))?;
            Ok(whole.then_some(output))
        };
        self.blocking(copy).await
    }
}

impl Grown {
    /// Where the end of it lies, which nobody needs once there is another mark; `None` if nowhere but in the file.
    pub fn tail(&self) -> Option<&str> {
        self.parts.as_ref()?.tail()
    }

    /// What nobody needs once there is a mark of `output`, which goes on with it.
    pub fn replaced_by(&self, output: &Output<Growing>) -> Vec<String> {
        match self.file.location == output.location {
            true => self.tail().into_iter().map(str::to_owned).collect(),
            false => self.files().map(str::to_owned).collect(),
        }
    }

    fn files(&self) -> impl Iterator<Item = &str> {
        [&*self.file.location].into_iter().chain(self.parts.iter().flat_map(Parts::files))
    }
}

impl Marked {
    /// Waits until everything before it is on disk.
    pub async fn sync(self) -> Result<Grown, Failure> {
        Ok(Grown { parts: self.mark.sync().await?, file: self.file })
    }
}

impl Output<Growing> {
    /// The file as it stands.
    pub fn mark(&mut self) -> Marked {
        let mark = self.writer.mark();
        let (name, content_type) = (self.name.clone(), self.content_type.clone());
        Marked { file: artifact(name, content_type, self.location.clone(), mark.bytes, mark.sha256.clone()), mark }
    }

    /// Completes the file, to be an artifact.
    pub async fn keep(self) -> Result<(), Failure> {
        let (bytes, sha256) = self.writer.finish().await?;
        fault::point("output_grown").await;
        self.ctx.said().outputs.push(artifact(self.name, self.content_type, self.location, bytes, sha256));
        Ok(())
    }
}

impl Write for Output<Growing> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writer.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}
