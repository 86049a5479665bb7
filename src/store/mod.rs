//! The database: one trait in the domain's verbs, two implementations with one meaning.
//!
//! Every write is one transaction that changes the rows, writes their lines in the change log
//! and moves the counters, or does none of it. Writes after a claim are by compare: a row that
//! has moved on is left alone, and the answer says so.

mod activity;
mod approvals;
mod days;
mod file;
mod inspect;
mod keys;
mod list;
mod made;
mod notifications;
mod numbers;
mod pace;
mod present;
mod prune;
mod row;
mod tell;
mod tickets;
mod work;

#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "sqlite")]
mod sqlite;

use crate::fault;
use crate::task::filter::After;
use crate::task::{Artifact, Change, Checkpoint, Event, Filter, Page, Scope, Status, Task, TaskError, Time};
use crate::types::LogLine;
use async_trait::async_trait;
use futures_util::future::BoxFuture;
use uuid::Uuid;

pub use activity::{ActivityLog, ActivityPage, ActivityPiece, ActivityStore, Numbered};
pub use approvals::{ApprovalStore, Awaiting, Turn};
pub use days::{Day, DayStore};
pub use file::File;
pub use inspect::{Inspect, Miscount, Named, Pair, Stand, Step};
pub use keys::{Key, KeyStore, Session, SessionStore};
pub use made::Made;
pub use notifications::NotificationStore;
pub use numbers::{Count, Group, Stamp, Written};
pub use pace::{Minute, PaceStore};
#[cfg(feature = "postgres")]
pub use postgres::{HeldSnapshot, Postgres, PostgresBeside};
pub use present::{PresentStore, Submitter};
pub use prune::{Prune, Pruned};
#[cfg(feature = "sqlite")]
pub use sqlite::{BackupError, Beside, KeysBeside, Sqlite};
pub use tickets::{Ticket, TicketStore};
pub use work::{Beat, Claim, Due, Held, Save, Saved, Wake};

/// What is kept out of the log: what a server says to every session that it ends would be told once
/// for each.
pub const QUIET: &str = "sqlx::postgres::notice=off";

/// Which database it is, as `/health` says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Database {
    /// One file, one process.
    Sqlite,
    /// Any number of nodes.
    Postgres,
}

impl Database {
    /// The word on the wire.
    pub fn word(self) -> &'static str {
        match self {
            Database::Sqlite => "sqlite",
            Database::Postgres => "postgres",
        }
    }
}

/// Why the database did not do it. The texts are for the log, never for a client.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// It cannot be reached, is busy, or did not answer in time; a write may or may not have
    /// happened. Worth another try.
    #[error("the database cannot be reached: {0}")]
    Unavailable(String),
    /// No space left; nothing was written.
    #[error("the database has no space left: {0}")]
    Full(String),
    /// The file is damaged, is no database of ours, or is no longer there. Its text says what to do.
    #[error("the database cannot be used: {0}")]
    Damaged(String),
    /// Not as it is set up: its text says how it must be. Opening says so, no call does.
    #[error("the database cannot be used like this: {0}")]
    Setup(String),
    /// Another process has the file.
    #[error("the database file is in use by another process: {0}")]
    InUse(String),
    /// A mistake of ours.
    #[error("the database refused: {0}")]
    Internal(String),
}

impl From<fault::Failure> for Error {
    fn from(failure: fault::Failure) -> Error {
        match failure {
            fault::Failure::Mistake => Error::Internal(failure.to_string()),
            fault::Failure::Away => Error::Unavailable(failure.to_string()),
        }
    }
}

/// What the store answers.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What is submitted together: all of it becomes tasks, or none of it.
#[derive(Debug, Clone)]
pub struct Submission {
    /// The tasks as they will stand: `PENDING`, version 1.
    pub tasks: Vec<Task>,
    /// The caller's idempotency key, if it sent one.
    pub once: Option<Once>,
}

/// An idempotency key: the same one submits once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Once {
    /// Whose key it is.
    pub owner: String,
    /// Which route it was sent to.
    pub route: String,
    /// The key, as sent.
    pub key: String,
    /// SHA-256 of the route and the canonical body, in hex.
    pub fingerprint: String,
    /// The answer, to be given again byte for byte.
    pub answer: String,
}

/// What became of a submission.
#[derive(Debug, Clone)]
pub enum Submitted {
    /// Its tasks are on disk.
    New,
    /// Its key had been used: nothing was written.
    Before {
        /// The fingerprint it was used with.
        fingerprint: String,
        /// The first answer.
        answer: String,
    },
}

/// One line of the change log: a transition, and the task right after it.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its number: rises strictly in commit order; numbers may be skipped, entries never.
    pub seq: i64,
    /// When it happened.
    pub at: Time,
    /// What happened.
    pub event: Event,
    /// The status before; `None` for the submit.
    pub from: Option<Status>,
    /// Who did it, where a caller did.
    pub by: Option<String>,
    /// The task right after, without params and result.
    pub task: Task,
}

/// One line of a task's own history, as kept in the change log.
#[derive(Debug, Clone)]
pub struct Transition {
    /// Its number in the change log.
    pub seq: i64,
    /// When it happened.
    pub at: Time,
    /// What happened.
    pub event: Event,
    /// The status before; `None` for the submit.
    pub from: Option<Status>,
    /// The status after.
    pub to: Status,
    /// The attempt it belongs to.
    pub attempt: i64,
    /// The worker of that attempt.
    pub worker: Option<String>,
    /// The error it left.
    pub error: Option<TaskError>,
    /// Who did it, where a caller did.
    pub by: Option<String>,
}

/// A stored log line.
#[derive(Debug, Clone)]
pub struct StoredLine {
    /// Its number: rises with every line of the task.
    pub seq: i64,
    /// Which attempt wrote it.
    pub attempt: i64,
    /// The line.
    pub line: LogLine,
}

/// Which log lines are wanted.
#[derive(Debug, Clone, Default)]
pub struct LineQuery {
    /// Only lines with a higher number.
    pub after: i64,
    /// Only this level and above (its number).
    pub level: i64,
    /// Only this attempt.
    pub attempt: Option<i64>,
    /// At most this many.
    pub limit: i64,
}

/// Rows of a list, in its order.
#[derive(Debug, Clone, Default)]
pub struct Piece {
    /// The rows.
    pub tasks: Vec<Task>,
    /// Where to go on; `None` at the end of the list.
    pub next: Option<After>,
}

/// How to look for the next piece of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// Along the list's order, looking at so many tasks at most.
    Walk(i64),
    /// Only where these groups have their tasks, and among those that have not finished.
    Groups(Vec<Group>),
    /// Only among these tasks.
    Among(Vec<Uuid>),
}

/// The database, in the domain's verbs. Everything that takes a slice is one transaction for all
/// of it. Whoever calls a write must not drop its future half-way: the queue's writers own them.
#[async_trait]
pub trait Store:
    KeyStore
    + SessionStore
    + TicketStore
    + ActivityStore
    + PresentStore
    + DayStore
    + PaceStore
    + NotificationStore
    + ApprovalStore
    + 'static
{
    /// Which database it is.
    fn database(&self) -> Database;

    /// What an answered write survives here, as the database says: its own settings.
    async fn durability(&self) -> Result<String>;

    /// Which database it is, in a word that no other one has: when its tables were made, to the nanosecond.
    async fn identity(&self) -> Result<String>;

    /// The database's clock.
    async fn now(&self) -> Result<Time>;

    /// Writes each submission whole, or not at all where its key was used before. One answer each, in order.
    async fn insert(&self, submissions: &[Submission]) -> Result<Vec<Submitted>>;

    /// What an idempotency key was used for, if it was.
    async fn used(&self, once: &Once) -> Result<Option<Submitted>>;

    /// Gives out at most `max` ready tasks by priority, `run_at`, id; each gets a new random lease.
    /// Answers them `RUNNING`, with their params, in that order.
    async fn claim(&self, claim: &Claim) -> Result<Vec<Task>>;

    /// [`Store::claim`] once `wait` has ended, of what `claim` says then; where the store can, sooner: in one commit with
    /// the next tasks that are written. Where `wait` ends with `false`, nothing is given out.
    async fn claim_next(&self, claim: &(dyn Fn() -> Claim + Sync), wait: BoxFuture<'_, bool>) -> Result<Vec<Task>> {
        match wait.await {
            true => work::in_flight(self.claim(&claim())).await,
            false => Ok(Vec::new()),
        }
    }

    /// Writes each change whose expectations hold; answers the task right after, without params and result. A success takes
    /// the task's checkpoints with it. `None` for those whose row has moved on; nothing of them was written. At most
    /// one change a task in a call.
    async fn apply(&self, changes: &[Change]) -> Result<Vec<Option<Task>>>;

    /// Extends current leases to `until` and writes down what was said under them. Leases that are
    /// not in the answer are lost; nothing was written under them. A lease whose task was asked to
    /// stop is current, but no longer extended.
    async fn beat(&self, beats: &[Beat], until: Time, now: Time) -> Result<Vec<Held>>;

    /// Which of these leases are current, each with its task's id before it: like a beat, but nothing is written.
    async fn held(&self, leases: &[(Uuid, Uuid)]) -> Result<Vec<Held>>;

    /// Keeps checkpoints under leases that are current. One answer each, in order; at most one a
    /// task in a call.
    async fn save(&self, saves: &[Save], now: Time) -> Result<Vec<Saved>>;

    /// The checkpoints of these tasks, by task and name.
    async fn checkpoints(&self, tasks: &[Uuid]) -> Result<Vec<Checkpoint>>;

    /// Makes waiting tasks that are due ready to be claimed, at most `limit`. One short read where none is.
    async fn promote(&self, now: Time, limit: i64) -> Result<Due>;

    /// Running tasks whose lease ended by `now`, at most `limit`, by the lease's end and id.
    async fn lapsed(&self, now: Time, limit: i64) -> Result<Vec<Task>>;

    /// Running tasks, their leases not over by `leased`, of which anything changed since then; at most `limit`.
    async fn stirred(&self, since: Time, leased: Time, limit: i64) -> Result<Vec<Task>>;

    /// One task, whole.
    async fn get(&self, scope: &Scope, id: Uuid) -> Result<Option<Task>>;

    /// The next piece of a list, found in this way. It may be shorter than the page and not the last one.
    async fn list(&self, scope: &Scope, filter: &Filter, page: &Page, way: &Way) -> Result<Piece>;

    /// The groups of tasks that hold anything of what the filter names by owner, queue, type and
    /// status, at most `limit`. Exact, from the counters.
    async fn groups(&self, scope: &Scope, filter: &Filter, limit: i64) -> Result<Vec<Group>>;

    /// How many tasks, of whomever, had not finished at that instant, counted up to `limit`.
    async fn unfinished(&self, as_of: Time, limit: i64) -> Result<i64>;

    /// The change log behind `after`, at most `limit` entries, in commit order without gaps; none where
    /// it does not reach back so far.
    async fn changes(&self, scope: &Scope, after: i64, limit: i64) -> Result<Vec<Entry>>;

    /// The log reaches back to entries behind this number, and its newest entry has the second.
    async fn log_bounds(&self) -> Result<(i64, i64)>;

    /// The history of one task, oldest first; the task's existence must be checked by the caller's scope.
    async fn transitions(&self, scope: &Scope, id: Uuid) -> Result<Vec<Transition>>;

    /// Log lines of one task.
    async fn lines(&self, scope: &Scope, id: Uuid, query: &LineQuery) -> Result<Vec<StoredLine>>;

    /// The output files of one task, by name.
    async fn artifacts(&self, scope: &Scope, id: Uuid) -> Result<Vec<Artifact>>;

    /// Records an upload that is whole and on disk.
    async fn add_file(&self, file: &File) -> Result<()>;

    /// The uploads with these ids, those that exist within the scope.
    async fn files(&self, scope: &Scope, ids: &[Uuid]) -> Result<Vec<File>>;

    /// How many bytes an owner's uploads have, as recorded.
    async fn stored(&self, owner: &str) -> Result<i64>;

    /// Forgets an upload; answers what it was.
    async fn remove_file(&self, scope: &Scope, id: Uuid) -> Result<Option<File>>;

    /// Exact counts, from the counters.
    async fn counts(&self, scope: &Scope) -> Result<Vec<Count>>;

    /// How many of the ready tasks that go before this one are within the scope; `limit` of them are looked at.
    async fn ahead(&self, scope: &Scope, task: &Task, limit: i64) -> Result<i64>;

    /// House-keeping: folds counters, forgets idempotency keys used before `keys_before` and minutes
    /// before `minutes_before`.
    async fn tidy(&self, keys_before: Time, minutes_before: i64) -> Result<()>;

    /// Deletes finished tasks with everything that belongs to them, and moves the log's beginning
    /// behind the entries that are gone. Never one that waits or runs.
    async fn prune(&self, prune: &Prune) -> Result<Pruned>;

    /// Writes finished tasks that never ran, with their change log and counters: for measuring only.
    async fn fill(&self, made: &Made) -> Result<()>;

    /// Tells other nodes, soon and at least once; many calls become one message.
    fn wake(&self, wake: Wake);

    /// What other nodes (and on Postgres this one too) tell. On SQLite nobody does.
    fn wakes(&self) -> tokio::sync::broadcast::Receiver<Wake>;

    /// Writes something that changes nothing, as durably as all else: whether writes work.
    async fn probe(&self) -> Result<()>;

    /// Where the database stands: whatever is read behind this call and under an equal later stamp is
    /// the same.
    async fn stamp(&self) -> Result<Stamp>;

    /// What the database has written, for `errand bench`.
    async fn written(&self) -> Result<Written>;

    /// Bytes of the database's log, where that is a file of this process's own.
    fn log_bytes(&self) -> Option<u64>;

    /// Returns once this process must stop using the database: SQLite's file was deleted or replaced
    /// under it. Writes are refused from then on.
    async fn broken(&self) -> Error;

    /// Ends what runs in the background, closes the connections.
    async fn close(&self);
}
