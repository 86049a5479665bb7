//! What a task is: pure data and pure decisions. No clock, no database, no I/O.
//!
//! Everything here is decided from its arguments alone, so that both databases and every
//! node answer alike, and a test needs nothing but values.

pub mod activity;
pub mod backoff;
pub mod checkpoint;
pub mod decide;
pub mod event;
pub mod filter;
pub mod metrics;
pub mod notification;
pub mod progress;
pub mod role;
pub mod status;
pub mod text;
pub mod time;

use serde_json::value::RawValue;
use uuid::Uuid;

pub use activity::{Action, Activity, ActivityFilter, Ending};
pub use backoff::Backoff;
pub use checkpoint::Checkpoint;
pub use decide::{Artifact, Change, Outcome};
pub use event::Event;
pub use filter::{Filter, Page, Scope, Sort};
pub use metrics::Metrics;
pub use notification::{Marks, Mute, Place};
pub use progress::{Pace, Progress};
pub use role::Role;
pub use status::Status;
pub use time::Time;

/// A lost worker does not use up an attempt, but a task that lost this many in a row is `FAILED`
/// with the code `worker_lost`: one bad input cannot take nodes down for ever.
pub const MAX_LOSSES: i64 = 3;
/// From this attempt on a loss counts whatever was saved before it.
pub const MAX_ATTEMPTS_THAT_GO_ON: i64 = 1000;

/// One task as it stands, whole or (in lists and in the change log) without `params` and `result`.
#[derive(Debug, Clone)]
pub struct Task {
    /// UUIDv7: sorting by id sorts by creation.
    pub id: Uuid,
    /// The task type's name, as `csv_processing`.
    pub r#type: String,
    /// What a person calls it; at most 200 characters.
    pub name: Option<String>,
    /// Where it waits.
    pub queue: String,
    /// -100 to 100, higher first.
    pub priority: i64,
    /// Free words to find it by.
    pub tags: Vec<String>,
    /// Whose it is; nobody else sees it.
    pub owner: String,
    /// Which of the owner's clients sent it.
    pub client_id: String,
    /// The input, as sent, byte for byte. `None` where the reader did not ask for it.
    pub params: Option<Box<RawValue>>,
    /// The output, once `SUCCESS`. `None` before, and where the reader did not ask for it.
    pub result: Option<Box<RawValue>>,
    /// One of the five states.
    pub status: Status,
    /// The last error, kept while a retry waits; cleared by success.
    pub error: Option<TaskError>,
    /// How far the current attempt is.
    pub progress: Progress,
    /// How often it was claimed.
    pub attempt: i64,
    /// How many attempts ended in failure since the last retry by a caller.
    pub failures: i64,
    /// How many attempts ended because their worker was lost while it ran them.
    pub losses: i64,
    /// How many failures end the task.
    pub max_attempts: i64,
    /// How long to wait before the next attempt.
    pub backoff: Backoff,
    /// How long one attempt may run.
    pub timeout_seconds: Option<i64>,
    /// The right to write this attempt: random, new at every claim. Only while `RUNNING`.
    pub lease: Option<Uuid>,
    /// When that right ends unless a beat extends it.
    pub lease_until: Option<Time>,
    /// Who runs it, or ran it last.
    pub worker: Option<String>,
    /// Not before this instant.
    pub run_at: Time,
    /// It does not run until a person approves it. Only while `PENDING` or `CANCELLED`; a retry leaves it so.
    pub held: bool,
    /// When it was submitted.
    pub created_at: Time,
    /// When its latest attempt began.
    pub started_at: Option<Time>,
    /// When it ended.
    pub finished_at: Option<Time>,
    /// When anything of it last changed, progress included.
    pub updated_at: Time,
    /// When a caller asked for its end while it ran.
    pub cancel_requested_at: Option<Time>,
    /// Grows by one with every transition.
    pub version: i64,
    /// Claimed ahead of a free place, and nobody has said yet that it has begun: its worker may be lost
    /// without having touched it. Only while `RUNNING`; the first beat ends it.
    pub ahead: bool,
}

/// Why an attempt failed: a stable word to branch on and a sentence to read.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct TaskError {
    /// A stable word, as `timeout`, `worker_lost`, `demo_failed`.
    pub code: String,
    /// A sentence for a person; at most 8 KiB.
    pub message: String,
    /// The attempt that failed.
    pub attempt: i64,
}

/// What a caller asks for, checked and with its defaults filled in; the door adds id and time.
#[derive(Debug, Clone)]
pub struct Draft {
    /// The task type's name; must be one of the list.
    pub r#type: String,
    /// The input, as sent.
    pub params: Box<RawValue>,
    /// See [`Task::name`].
    pub name: Option<String>,
    /// See [`Task::queue`].
    pub queue: String,
    /// See [`Task::priority`].
    pub priority: i64,
    /// See [`Task::tags`].
    pub tags: Vec<String>,
    /// See [`Task::owner`].
    pub owner: String,
    /// See [`Task::client_id`].
    pub client_id: String,
    /// See [`Task::max_attempts`].
    pub max_attempts: i64,
    /// See [`Task::backoff`].
    pub backoff: Backoff,
    /// See [`Task::timeout_seconds`].
    pub timeout_seconds: Option<i64>,
    /// Not before this instant; `None` is now. An instant in the past is now.
    pub run_at: Option<Time>,
    /// A person has to approve it before it runs.
    pub needs_approval: bool,
}

impl Draft {
    /// A draft with every default: queue `default`, priority 0, one attempt, at once.
    pub fn new(r#type: &str, params: Box<RawValue>, owner: &str, client_id: &str) -> Draft {
        Draft {
            r#type: r#type.to_owned(),
            params,
            name: None,
            queue: "default".to_owned(),
            priority: 0,
            tags: Vec::new(),
            owner: owner.to_owned(),
            client_id: client_id.to_owned(),
            max_attempts: 1,
            backoff: Backoff::default(),
            timeout_seconds: None,
            run_at: None,
            needs_approval: false,
        }
    }

    /// The task this draft becomes at `now`: `PENDING`, attempt 0, version 1.
    pub fn into_task(self, id: Uuid, now: Time) -> Task {
        Task {
            id,
            r#type: self.r#type,
            name: self.name,
            queue: self.queue,
            priority: self.priority,
            tags: self.tags,
            owner: self.owner,
            client_id: self.client_id,
            params: Some(self.params),
            result: None,
            status: Status::Pending,
            error: None,
            progress: Progress::default(),
            attempt: 0,
            failures: 0,
            losses: 0,
            max_attempts: self.max_attempts,
            backoff: self.backoff,
            timeout_seconds: self.timeout_seconds,
            lease: None,
            lease_until: None,
            worker: None,
            run_at: self.run_at.unwrap_or(now),
            held: self.needs_approval,
            created_at: now,
            started_at: None,
            finished_at: None,
            updated_at: now,
            cancel_requested_at: None,
            version: 1,
            ahead: false,
        }
    }
}

impl Task {
    /// The task without params and result, which may be large.
    pub fn summary(&self) -> Task {
        Task {
            id: self.id,
            r#type: self.r#type.clone(),
            name: self.name.clone(),
            queue: self.queue.clone(),
            tags: self.tags.clone(),
            owner: self.owner.clone(),
            client_id: self.client_id.clone(),
            params: None,
            result: None,
            error: self.error.clone(),
            progress: self.progress.clone(),
            worker: self.worker.clone(),
            ..*self
        }
    }

    /// The time it was submitted for, if that lies ahead: before its first attempt, `run_at` is its
    /// submitter's; after, it is the backoff's.
    pub fn scheduled(&self, now: Time) -> Option<Time> {
        (self.attempt == 0 && self.run_at > now).then_some(self.run_at)
    }

    /// Whether it waits for a person's approval.
    pub fn awaits_approval(&self) -> bool {
        self.held && self.status == Status::Pending
    }

    /// Whether it waits and may be claimed at `now`.
    pub fn is_due(&self, now: Time) -> bool {
        self.status == Status::Pending && !self.held && self.run_at <= now
    }

    /// What people want to know beyond the status; derived, never stored.
    pub fn phase(&self, now: Time) -> &'static str {
        match self.status {
            Status::Pending if self.held => "awaiting_approval",
            Status::Pending if self.scheduled(now).is_some() => "scheduled",
            Status::Pending if self.run_at > now => "backing_off",
            Status::Pending => "ready",
            Status::Running if self.cancel_requested_at.is_some() => "cancelling",
            Status::Running => "running",
            Status::Success => "success",
            Status::Failed => "failed",
            Status::Cancelled => "cancelled",
        }
    }
}
