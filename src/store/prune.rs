//! What retention asks for, and what it did.

use crate::task::{Status, Time};
use uuid::Uuid;

/// A piece of what was kept long enough.
#[derive(Debug, Clone)]
pub struct Prune {
    /// Only tasks that ended in one of these; one that has not ended is never meant.
    pub statuses: Vec<Status>,
    /// Only tasks that ended before.
    pub before: Time,
    /// Begin behind the task that ended then.
    pub after: Option<(Time, Uuid)>,
    /// Tasks to look at, in the order in which they ended.
    pub limit: i64,
}

/// What is gone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pruned {
    /// How many tasks, with their entries in the change log, log lines, checkpoints and artifacts.
    pub tasks: i64,
    /// Those of them that may have files.
    pub with_files: Vec<Uuid>,
    /// Where to go on; `None` if nothing is left to look at, or another node is at it.
    pub next: Option<(Time, Uuid)>,
}
