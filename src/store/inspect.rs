//! What `errand verify` reads: rows beside what should say the same, piece by piece.

use super::{Error, Result};
use crate::task::{Event, Status};
use async_trait::async_trait;
use uuid::Uuid;

/// A counter that is not what counting the rows gives, at one instant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Miscount {
    /// Owner, queue and type.
    pub of: [String; 3],
    /// The status, as its number.
    pub status: i64,
    /// What the counter says.
    pub counted: i64,
    /// How many rows there are.
    pub rows: i64,
}

/// What the last entry of the change log should say of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stand {
    /// Counts the transitions.
    pub version: i64,
    /// The status, as its number.
    pub status: i64,
    /// Attempts, failures, losses.
    pub tries: [i64; 3],
    /// The error it left, as JSON.
    pub error: Option<String>,
    /// Who runs it, or ran it last.
    pub worker: Option<String>,
    /// `run_at`, `started_at`, `finished_at`, `cancel_requested_at`.
    pub times: [Option<i64>; 4],
    /// Whose task it is.
    pub owner: String,
}

/// A task and its last entry, as they are at one instant.
#[derive(Debug, Clone)]
pub struct Pair {
    /// The task.
    pub id: Uuid,
    /// Whether the row has a lease and its end.
    pub leased: bool,
    /// What the row says.
    pub row: Stand,
    /// What the log says; `None` where it has no entry of the task.
    pub log: Option<Stand>,
}

/// An entry of the change log, as far as the life of its task goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// The task.
    pub task: Uuid,
    /// Its place in the log.
    pub seq: i64,
    /// What happened.
    pub event: Event,
    /// The status before; `None` for the submit.
    pub from: Option<Status>,
    /// The status after.
    pub to: Status,
    /// Counts the transitions.
    pub version: i64,
}

/// A file that a row names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// The upload's id, or the task's.
    pub id: Uuid,
    /// The artifact's name; empty for an upload.
    pub name: String,
    /// Where the file store should have it.
    pub location: String,
    /// Its size.
    pub bytes: i64,
    /// Its SHA-256, in lower-case hex.
    pub sha256: String,
}

/// Reads a database beside the processes that use it: changes nothing, takes no lock, and holds no
/// instant of it for longer than one answer takes. A piece is read behind a key, in order; an
/// empty one is the end.
#[async_trait]
pub trait Inspect: Send {
    /// What is wrong with the file's own structure; empty where nothing is, or where it is a server's.
    async fn structure(&mut self) -> Result<Vec<String>>;

    /// Every counter that is wrong, a thousand at most.
    async fn miscounts(&mut self) -> Result<Vec<Miscount>>;

    /// Where the change log begins: entries up to this number are gone.
    async fn log_start(&mut self) -> Result<i64>;

    /// At most `limit` tasks behind this id, each with its last entry.
    async fn pairs(&mut self, after: Uuid, limit: i64) -> Result<Vec<Pair>>;

    /// At most `limit` entries behind this task and number, by task and number.
    async fn steps(&mut self, after: (Uuid, i64), limit: i64) -> Result<Vec<Step>>;

    /// At most `limit` uploads behind this id.
    async fn uploads(&mut self, after: Uuid, limit: i64) -> Result<Vec<Named>>;

    /// At most `limit` artifacts behind this task and name.
    async fn artifacts(&mut self, after: (Uuid, &str), limit: i64) -> Result<Vec<Named>>;
}

/// A task and its last entry as both databases give them.
#[derive(Debug)]
pub struct PairRow {
    pub id: Uuid,
    pub leased: bool,
    pub owner: String,
    pub version: i64,
    pub status: i64,
    pub attempt: i64,
    pub failures: i64,
    pub losses: i64,
    pub error: Option<String>,
    pub worker: Option<String>,
    pub run_at: i64,
    pub started_at: Option<i64>,
    pub finished_at: Option<i64>,
    pub cancel_requested_at: Option<i64>,
    pub log_owner: Option<String>,
    pub log_version: Option<i64>,
    pub log_status: Option<i64>,
    pub log_attempt: Option<i64>,
    pub log_failures: Option<i64>,
    pub log_losses: Option<i64>,
    pub log_error: Option<String>,
    pub log_worker: Option<String>,
    pub log_run_at: Option<i64>,
    pub log_started_at: Option<i64>,
    pub log_finished_at: Option<i64>,
    pub log_cancel_requested_at: Option<i64>,
}

/// An entry as both databases give it.
#[derive(Debug)]
pub struct StepRow {
    pub task_id: Uuid,
    pub seq: i64,
    pub event: i64,
    pub from_status: Option<i64>,
    pub status: i64,
    pub version: i64,
}

/// A counter as both databases give it.
#[derive(Debug)]
pub struct MiscountRow {
    pub owner: String,
    pub queue: String,
    pub r#type: String,
    pub status: i64,
    pub counted: i64,
    pub rows: i64,
}

impl PairRow {
    pub fn pair(self) -> Pair {
        let log = self.log_version.map(|version| Stand {
            version,
            status: self.log_status.unwrap_or(-1),
            tries: [self.log_attempt, self.log_failures, self.log_losses].map(|n| n.unwrap_or(-1)),
            error: self.log_error,
            worker: self.log_worker,
            times: [self.log_run_at, self.log_started_at, self.log_finished_at, self.log_cancel_requested_at],
            owner: self.log_owner.unwrap_or_default(),
        });
        let row = Stand {
            version: self.version,
            status: self.status,
            tries: [self.attempt, self.failures, self.losses],
            error: self.error,
            worker: self.worker,
            times: [Some(self.run_at), self.started_at, self.finished_at, self.cancel_requested_at],
            owner: self.owner,
        };
        Pair { id: self.id, leased: self.leased, row, log }
    }
}

impl StepRow {
    pub fn step(self) -> Result<Step> {
        let unknown = |what, n| Error::Damaged(format!("the change log has the {what} {n} at {}", self.seq));
        let status = |n| Status::from_number(n).ok_or_else(|| unknown("status", n));
        Ok(Step {
            task: self.task_id,
            seq: self.seq,
            event: Event::from_number(self.event).ok_or_else(|| unknown("event", self.event))?,
            from: self.from_status.map(status).transpose()?,
            to: status(self.status)?,
            version: self.version,
        })
    }
}

impl MiscountRow {
    pub fn miscount(self) -> Miscount {
        let of = [self.owner, self.queue, self.r#type];
        Miscount { of, status: self.status, counted: self.counted, rows: self.rows }
    }
}
