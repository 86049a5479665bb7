//! What a worker asks of the store, and what it hears.

use super::Result;
use crate::fault;
use crate::task::{Progress, Task, Time};
use crate::types::LogLine;
use serde_json::value::RawValue;
use uuid::Uuid;

/// What a worker asks for.
#[derive(Debug, Clone)]
pub struct Claim {
    /// Who asks.
    pub worker: String,
    /// At most this many tasks.
    pub max: i64,
    /// Only these types.
    pub types: Vec<String>,
    /// Only these queues; empty is any.
    pub queues: Vec<String>,
    /// The instant of the claim.
    pub now: Time,
    /// How long the leases last.
    pub lease_ms: i64,
    /// More than the worker has places for: some will wait until others end. See [`crate::task::Task::ahead`].
    pub ahead: bool,
}

/// One beat of a running attempt: its lease is extended and what it said is written down,
/// if the lease is still current.
#[derive(Debug, Clone)]
pub struct Beat {
    /// Which task.
    pub id: Uuid,
    /// The lease it runs under.
    pub lease: Uuid,
    /// Which attempt it is.
    pub attempt: i64,
    /// Its progress, if it has changed.
    pub progress: Option<Progress>,
    /// Log lines since the last beat.
    pub lines: Vec<LogLine>,
}

/// A lease that is still current after a beat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// The lease.
    pub lease: Uuid,
    /// Whether a caller asked for the task's end.
    pub cancel_requested: bool,
}

/// A checkpoint to be kept under a lease.
#[derive(Debug, Clone)]
pub struct Save {
    /// Which task.
    pub id: Uuid,
    /// The lease it runs under.
    pub lease: Uuid,
    /// Which attempt it is.
    pub attempt: i64,
    /// What to call it; what was saved under that name before is replaced.
    pub name: String,
    /// The checkpoint.
    pub data: Box<RawValue>,
}

/// What became of a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Saved {
    /// It is on disk.
    Written,
    /// The lease is no longer current: nothing was written.
    Lost,
    /// The task has as many names as it may have, and this is none of them: nothing was written.
    TooMany,
}

/// What a look for due tasks and lapsed leases found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// How many became ready just now.
    pub promoted: i64,
    /// When the next one is due, if any waits for its time.
    pub next: Option<Time>,
    /// Whether [`super::Store::lapsed`] would find any.
    pub lapsed: bool,
}

/// What woke a node from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wake {
    /// Something may be ready to be claimed.
    Ready,
    /// A running task was asked to stop.
    Cancel,
    /// An owner has marked notifications.
    Marks,
}

/// A claim, from when it begins to write.
pub(super) async fn in_flight(claim: impl Future<Output = Result<Vec<Task>>>) -> Result<Vec<Task>> {
    fault::during("claim_in_flight", claim).await
}
