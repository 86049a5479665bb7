//! Files that no row names: what a killed process, a lost attempt or an unclear commit left.

use super::{Error, Queue};
use crate::files::{self, Of, Old};
use crate::store::Database;
use crate::task::Scope;
use std::collections::{HashMap, HashSet};
use uuid::Uuid;

/// A file that is younger may get its row yet: no upload and no attempt writes nothing for so long.
const ORPHAN_AGE_MS: i64 = 24 * 3_600_000;
/// What was half-written so long before this process began is not this process's, whatever the file
/// system's clock makes of the last tick.
const BEFORE_BEGIN_MS: i64 = 100;

impl Queue {
    /// Deletes the files that no row names and nobody writes: older than 24 h, and on SQLite, which no
    /// other process shares, half-written ones from before this process at once. One that a row
    /// names is never deleted, nor is any in a folder that another database used. Answers how many.
    pub async fn sweep_files(&self) -> Result<usize, Error> {
        let (store, files, now) = (&self.inner.store, &self.inner.files, self.inner.clock.now());
        let Some(since) = files.since(&store.identity().await?, now).await? else {
            tracing::warn!("the files are another database's: none is swept");
            return Ok(0);
        };
        let aged = now.plus(-ORPHAN_AGE_MS);
        let alone = store.database() == Database::Sqlite;
        let before = if alone { self.inner.began.plus(-BEFORE_BEGIN_MS).max(aged) } else { aged };
        let mut pieces = files.older_than(before);
        let mut swept = 0;
        while let Some(mut piece) = pieces.recv().await.transpose()? {
            piece.retain(|old| old.touched >= since);
            let (dead, old): (Vec<Old>, Vec<Old>) = piece.into_iter().partition(|old| alone && old.half_written);
            let old = old.into_iter().filter(|old| old.touched < aged).collect();
            let orphans = [dead, self.orphans(old).await?].concat();
            files.delete_old(&orphans).await?;
            swept += orphans.len();
        }
        if swept > 0 {
            tracing::info!(files = swept, "deleted files that no row names");
        }
        Ok(swept)
    }

    /// Those that no row and no checkpoint names, and no attempt that runs writes.
    async fn orphans(&self, old: Vec<Old>) -> Result<Vec<Old>, Error> {
        let mut uploads: Vec<Uuid> = Vec::new();
        let mut attempts: HashMap<Uuid, HashSet<Uuid>> = HashMap::new();
        for old in &old {
            match old.of {
                Of::Upload(id) => uploads.push(id),
                Of::Attempt(task, lease) => drop(attempts.entry(task).or_default().insert(lease)),
            }
        }
        let leases = attempts.iter().flat_map(|(task, leases)| leases.iter().map(|lease| (*task, *lease)));
        let leases: Vec<(Uuid, Uuid)> = leases.collect();
        // Leases first: one that is gone by now has its artifacts in the database, if it has any.
        let held: HashSet<Uuid> = match leases.is_empty() {
            true => HashSet::new(),
            false => self.inner.store.held(&leases).await?.into_iter().map(|held| held.lease).collect(),
        };
        let mut named: HashSet<String> = HashSet::new();
        // Checkpoints before artifacts: a success that comes between the two has named what they did.
        let tasks: Vec<Uuid> = attempts.keys().copied().collect();
        if !tasks.is_empty() {
            let checkpoints = self.inner.store.checkpoints(&tasks).await?;
            named.extend(checkpoints.iter().flat_map(|checkpoint| checkpoint.files(&files::of_task(checkpoint.task))));
        }
        for task in tasks {
            let artifacts = self.inner.store.artifacts(&Scope::Everyone, task).await?;
            named.extend(artifacts.into_iter().map(|artifact| artifact.location));
        }
        if !uploads.is_empty() {
            let files = self.inner.store.files(&Scope::Everyone, &uploads).await?;
            named.extend(files.into_iter().map(|file| file.location));
        }
        let is_orphan = |old: &Old| {
            let written = matches!(old.of, Of::Attempt(_, lease) if held.contains(&lease));
            !written && !named.contains(&old.location)
        };
        Ok(old.into_iter().filter(is_orphan).collect())
    }
}
