//! What attempts leave for the ones after them.

use super::batch::Operation;
use super::{Error, Queue};
use crate::store::{Save, Saved};
use crate::task::{Checkpoint, Task, checkpoint};
use uuid::Uuid;

/// So many bytes of checkpoints fill a write as much as a task does: with [`super::WRITE_WEIGHT`],
/// one write takes about 8 MiB.
const BYTES_OF_A_TASK: usize = 4096;

/// What became of a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// It is on disk, and another attempt will find it.
    Written,
    /// The lease is no longer current: nothing was written.
    Lost,
}

impl Operation for Save {
    type Key = Uuid;

    fn keys(&self) -> Vec<Uuid> {
        vec![self.id]
    }

    fn weight(&self) -> usize {
        1 + self.data.get().len() / BYTES_OF_A_TASK
    }
}

impl Queue {
    /// Keeps a checkpoint under its lease, together with those of others; on disk when this
    /// returns `Written`. Beyond a limit (name, 1 MiB, 100 names a task): `InvalidCheckpoint`.
    /// After `Unavailable` it may be there or not; to save it again is safe.
    pub async fn save(&self, save: Save) -> Result<Kept, Error> {
        if let Some(fault) = checkpoint::fault(&save.name, save.data.get().len()) {
            return Err(Error::InvalidCheckpoint(fault));
        }
        match self.inner.saves.write(save).await? {
            Saved::Written => Ok(Kept::Written),
            Saved::Lost => {
                self.count_fenced(1);
                Ok(Kept::Lost)
            }
            Saved::TooMany => {
                let most = checkpoint::MAX_NAMES;
                Err(Error::InvalidCheckpoint(format!("a task has at most {most} checkpoints")))
            }
        }
    }

    /// What earlier attempts of claimed tasks saved, by task and name. The first attempt of a task
    /// has none before it: nothing is asked where all are first ones.
    pub async fn checkpoints(&self, claimed: &[Task]) -> Result<Vec<Checkpoint>, Error> {
        let later: Vec<Uuid> = claimed.iter().filter(|task| task.attempt > 1).map(|task| task.id).collect();
        if later.is_empty() {
            return Ok(Vec::new());
        }
        Ok(self.inner.store.checkpoints(&later).await?)
    }
}
