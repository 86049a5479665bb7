//! Uploads to read, files to make, and the files that earlier attempts made.

use super::{Context, Failure};
use crate::fault;
use crate::files::{self, Growing, Reader, Writer};
use crate::task::Artifact;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{self, Read};
use tokio::io::AsyncWriteExt;
use uuid::Uuid;

impl From<files::Error> for Failure {
    fn from(error: files::Error) -> Failure {
        match error {
            files::Error::Full => Failure::retry("storage_full", "the file store has no space left"),
            files::Error::NotFound => Failure::fatal("file_not_found", "the file is no longer there"),
            files::Error::Changed => Failure::fatal("file_changed", "the file is not what was uploaded"),
            files::Error::Away(_) => Failure::retry("storage_failed", "the file store is away or refuses"),
            files::Error::Other(_) => Failure::retry("storage_failed", "the file store failed"),
        }
    }
}

/// An upload a type may read.
#[derive(Debug, Clone)]
pub struct Input {
    /// Its id.
    pub id: Uuid,
    /// What its uploader called it.
    pub name: String,
    /// Its size.
    pub bytes: u64,
    /// Its media type, by its first bytes.
    pub content_type: String,
    /// Of all of it.
    sha256: Option<String>,
    location: String,
}

impl Input {
    /// An upload kept at `location`, with that SHA-256 in lower-case hex.
    pub fn new(id: Uuid, name: String, bytes: u64, content_type: String, sha256: String, location: String) -> Input {
        Input { id, name, bytes, content_type, sha256: Some(sha256), location }
    }

    /// Its beginning, of at most so many bytes.
    pub fn beginning(&self, bytes: u64) -> Input {
        match bytes < self.bytes {
            true => Input { bytes, sha256: None, ..self.clone() },
            false => self.clone(),
        }
    }
}

/// A file being made. One of [`Context::output`] leaves nothing if it is dropped unfinished.
pub struct Output<W = Writer> {
    pub(super) ctx: Context,
    pub(super) name: String,
    pub(super) content_type: String,
    pub(super) location: String,
    /// Where its content goes.
    pub writer: W,
}

impl Context {
    /// An upload its params name. Fatal `file_not_found` if it has been deleted since the submit.
    pub fn input(&self, id: Uuid) -> Result<&Input, Failure> {
        let found = self.inner.given.inputs.iter().find(|input| input.id == id);
        found.ok_or_else(|| Failure::fatal("file_not_found", "the file is no longer there"))
    }

    /// An upload's content from `offset` on, as a stream to read; never whole in memory. Read from its beginning it
    /// ends with an error, fatal `file_changed`, where it is not what was uploaded.
    pub async fn read(&self, input: &Input, offset: u64) -> Result<Reader, Failure> {
        let content = self.read_unchecked(input, offset).await?;
        Ok(match &input.sha256 {
            Some(sha256) if offset == 0 => content.whole(input.bytes, sha256),
            _ => content,
        })
    }

    /// The same as it lies in the store, whether or not it is what was uploaded: for content that is itself checked as
    /// it is read, and is read so fast that its SHA-256 would be felt.
    pub async fn read_unchecked(&self, input: &Input, offset: u64) -> Result<Reader, Failure> {
        Ok(self.inner.given.files.read(&input.location, offset..input.bytes).await?)
    }

    /// Begins a file. It becomes an artifact only if it is [kept](Output::keep) and the attempt
    /// succeeds. If the attempt does not, it is deleted, unless a checkpoint names it: then it stays
    /// for the attempts after, which may [adopt](Context::adopt) it. `name`: letters, digits, `.`,
    /// `-`, `_`, at most 100 characters.
    pub async fn output(&self, name: &str, content_type: &str) -> Result<Output, Failure> {
        let location = self.begin(name);
        let writer = self.inner.given.files.create(&location).await?;
        Ok(self.open(name, content_type, location, writer))
    }

    /// Begins a file that is held for as long as it or a copy of it is open, in whatever process; answers where it lies
    /// too, for a checkpoint to name. `None` in a store that is no folder.
    pub async fn hold(&self, name: &str) -> Result<Option<(String, File)>, Failure> {
        let location = self.begin(name);
        Ok(self.inner.given.files.hold(&location).await?.map(|file| (location, file)))
    }

    /// Whether a file of an earlier attempt is still held by anybody.
    pub async fn is_held(&self, location: &str) -> Result<bool, Failure> {
        Ok(self.is_ours(location) && self.inner.given.files.is_held(location).await?)
    }

    /// Takes a file that an earlier attempt made and its checkpoint names, as if this one had made
    /// it. `false` if it is no longer there or not what it was: make it again.
    pub async fn adopt(&self, file: &Artifact) -> Result<bool, Failure> {
        let whole = self.is_whole(file).await?;
        if whole {
            self.said().outputs.push(file.clone());
        }
        Ok(whole)
    }

    /// Whether a file of an earlier attempt is there, with the size and hash it had.
    pub async fn is_whole(&self, file: &Artifact) -> Result<bool, Failure> {
        let Some(content) = self.reread(file).await? else { return Ok(false) };
        let file = file.clone();
        self.blocking(move |ctx| pour(ctx, content, &file, |_| Ok(()))).await
    }

    /// The content of a file of an earlier attempt; `None` if it is no longer there. What this
    /// task did not make is not there.
    pub async fn reread(&self, file: &Artifact) -> Result<Option<Reader>, Failure> {
        if !self.is_ours(&file.location) {
            return Ok(None);
        }
        match self.inner.given.files.read(&file.location, 0..file.bytes as u64).await {
            Ok(reader) => Ok(Some(reader)),
            Err(files::Error::NotFound) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Deletes a file that no checkpoint names any more. If that fails it is deleted with the others
    /// when the task ends.
    pub async fn discard(&self, location: &str) {
        if let Err(error) = self.inner.given.files.delete(location).await {
            tracing::debug!(task = %self.task_id(), %error, "a file that is not needed any more stays for now");
        }
    }

    /// Whether this task made what lies there.
    pub(super) fn is_ours(&self, location: &str) -> bool {
        location.starts_with(&format!("{}/", files::of_task(self.task_id())))
    }

    pub(super) fn begin(&self, name: &str) -> String {
        self.said().begun += 1;
        format!("{}/{name}", files::of_attempt(self.task_id(), self.inner.lease))
    }

    pub(super) fn open<W>(&self, name: &str, content_type: &str, location: String, writer: W) -> Output<W> {
        Output { ctx: self.clone(), name: name.to_owned(), content_type: content_type.to_owned(), location, writer }
    }
}

impl Output {
    /// Writes on at its end.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        Ok(self.writer.write_all(bytes).await.map_err(files::Error::from)?)
    }

    /// Completes the file: whole and on disk when this returns, but no artifact. For a checkpoint to name.
    pub async fn finish(self) -> Result<Artifact, Failure> {
        let stored = self.writer.finish().await?;
        Ok(artifact(self.name, self.content_type, self.location, stored.bytes, stored.sha256))
    }

    /// Completes the file, to be an artifact. What is returned is for a checkpoint to name.
    pub async fn keep(self) -> Result<Artifact, Failure> {
        let ctx = self.ctx.clone();
        let file = self.finish().await?;
        fault::point("output_kept").await;
        ctx.said().outputs.push(file.clone());
        Ok(file)
    }
}

pub(super) fn artifact(name: String, content_type: String, location: String, bytes: u64, sha256: String) -> Artifact {
    Artifact { name, bytes: bytes as i64, content_type, sha256, location }
}

/// Reads it to its end, each chunk to `into`; tells whether it is the file that `like` says.
pub(super) fn pour(
    ctx: &Context,
    content: Reader,
    like: &Artifact,
    mut into: impl FnMut(&[u8]) -> io::Result<()>,
) -> Result<bool, Failure> {
    let (mut content, mut hash, mut bytes) = (content.into_blocking(), Sha256::new(), 0);
    let mut chunk = vec![0; Growing::CHUNK_BYTES];
    loop {
        ctx.check()?;
        let read = content.read(&mut chunk).map_err(files::Error::from)?;
        if read == 0 {
            break;
        }
        into(&chunk[..read]).map_err(files::Error::from)?;
        hash.update(&chunk[..read]);
        bytes += read as i64;
    }
    Ok(bytes == like.bytes && files::hex(&hash.finalize()) == like.sha256)
}
