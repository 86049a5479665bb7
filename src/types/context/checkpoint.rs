//! What an attempt leaves for the one after it.

use super::{Context, Failure, Level};
use crate::task::Pace;
use async_trait::async_trait;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;

/// Where an attempt's checkpoints go.
#[async_trait]
pub trait Saves: Send + Sync + 'static {
    /// Keeps it under the attempt's lease: on disk when this returns. `Stopped` if the lease is
    /// lost: nothing was written.
    async fn save(&self, name: &str, data: Box<RawValue>) -> Result<(), Failure>;
}

impl Context {
    /// What was last saved under that name by an earlier attempt. `None` if nothing was, or if it
    /// was written by a version of the type that meant something else by it; the log then says so.
    pub fn checkpoint<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        let found = self.inner.given.checkpoints.iter().find(|checkpoint| checkpoint.name == name)?;
        match serde_json::from_str(found.data.get()) {
            Ok(value) => Some(value),
            Err(_) => {
                self.log(Level::Warn, format!("the checkpoint {name} cannot be read: it is left aside"));
                None
            }
        }
    }

    /// Keeps `value` for the attempts after this one, in place of what was last saved under that
    /// name. When this returns it is on disk. What is done after the last save repeats if the
    /// attempt is lost.
    ///
    /// `Stopped` if the lease is lost: nothing was written. Fatal `checkpoint_refused` for a name
    /// that is none (letters, digits, `.`, `-`, `_`, at most 100), for more than 1 MiB of JSON
    /// (write a file and name it) and for a 101st name. It is kept also after the attempt was told
    /// to stop, so that what has been done is written down.
    pub async fn save(&self, name: &str, value: &(impl Serialize + Sync)) -> Result<(), Failure> {
        let invalid = |error: serde_json::Error| Failure::fatal("checkpoint_refused", error.to_string());
        let data = serde_json::value::to_raw_value(value).map_err(invalid)?;
        self.inner.given.saves.save(name, data).await
    }

    /// Says that this attempt goes on from what earlier ones did: `done` items, `from` in words.
    /// The pace is measured from there.
    pub fn going_on(&self, done: i64, from: &str) {
        self.log(Level::Info, format!("going on from {from}"));
        self.said().pace = Pace::from(done);
    }
}
