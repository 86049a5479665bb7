//! Which pictures are finished: written down after each.

use crate::task::Artifact;
use crate::types::{Context, Failure};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The checkpoint's name.
const NAME: &str = "pictures";

/// The first pictures of a task, in order.
#[derive(Default, Serialize, Deserialize)]
pub struct Done {
    pictures: Vec<Picture>,
}

/// A finished one, or one that was refused and has no files.
#[derive(Serialize, Deserialize)]
struct Picture {
    /// Its line in the result.
    line: Value,
    file: Option<Artifact>,
    /// Where it came out in several sizes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    more: Vec<Artifact>,
}

impl Picture {
    fn files(&self) -> impl Iterator<Item = &Artifact> {
        self.file.iter().chain(&self.more)
    }
}

impl Done {
    /// What earlier attempts finished of `total` pictures, as far as their files are still whole.
    /// They are this attempt's from now on.
    pub async fn open(ctx: &Context, total: usize) -> Result<Done, Failure> {
        let mut done = ctx.checkpoint::<Done>(NAME).unwrap_or_default();
        done.pictures.truncate(total);
        for at in 0..done.pictures.len() {
            let mut whole = true;
            for file in done.pictures[at].files() {
                whole = whole && ctx.adopt(file).await?;
            }
            if !whole {
                done.pictures.truncate(at);
                break;
            }
        }
        if !done.pictures.is_empty() {
            let next = (done.count() + 1).min(total);
            ctx.going_on(done.count() as i64, &format!("picture {next} of {total}"));
        }
        Ok(done)
    }

    /// How many are finished.
    pub fn count(&self) -> usize {
        self.pictures.len()
    }

    /// Their files.
    pub fn files(&self) -> impl Iterator<Item = &Artifact> {
        self.pictures.iter().flat_map(Picture::files)
    }

    /// The first file of each that has any.
    pub fn firsts(&self) -> impl Iterator<Item = &Artifact> {
        self.pictures.iter().filter_map(|picture| picture.file.as_ref())
    }

    /// One more: on disk when this returns.
    pub async fn add(&mut self, line: Value, files: Vec<Artifact>, ctx: &Context) -> Result<(), Failure> {
        let mut files = files.into_iter();
        self.pictures.push(Picture { line, file: files.next(), more: files.collect() });
        ctx.save(NAME, self).await
    }

    /// Their lines, in order.
    pub fn lines(self) -> Vec<Value> {
        self.pictures.into_iter().map(|picture| picture.line).collect()
    }
}
