//! What attempts leave in the file store, and when it goes.
//!
//! Every attempt has a folder of its own. While another attempt may come, the files that a
//! checkpoint names stay, whoever made them; with the success all go that it does not name. The
//! names are asked for after the lease has ended: from then on nobody can name more of its files.

use super::{Error, Queue};
use crate::fault;
use crate::files;
use crate::task::{Artifact, Scope};
use std::collections::HashSet;
use uuid::Uuid;

impl Queue {
    /// Deletes what the attempt under `lease` made, but for what a checkpoint or the success of
    /// another attempt names. Only for a lease that has ended without a success of its own.
    pub async fn clear_attempt(&self, task: Uuid, lease: Uuid) -> Result<(), Error> {
        let (files, folder) = (&self.inner.files, files::of_attempt(task, lease));
        if !files.holds_any(&folder).await? {
            return Ok(());
        }
        // In this order: a success that comes between the two has named what its checkpoints did.
        let checkpoints = self.inner.store.checkpoints(&[task]).await?;
        let artifacts = self.inner.store.artifacts(&Scope::Everyone, task).await?;
        let mut keep: HashSet<String> = artifacts.into_iter().map(|artifact| artifact.location).collect();
        keep.extend(checkpoints.iter().flat_map(|checkpoint| checkpoint.files(&folder)));
        fault::point("leftovers_of_attempt").await;
        Ok(files.keep_only(&folder, keep).await?)
    }

    /// Deletes what all attempts of a task made, but for the artifacts it succeeded with. A success
    /// is the last word: no attempt comes after it.
    pub async fn clear_success(&self, task: Uuid, artifacts: &[Artifact]) -> Result<(), Error> {
        let keep = artifacts.iter().map(|artifact| artifact.location.clone()).collect();
        fault::point("leftovers_of_success").await;
        Ok(self.inner.files.keep_only(&files::of_task(task), keep).await?)
    }
}
