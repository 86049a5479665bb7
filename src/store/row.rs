//! Rows as both databases give them, and the one way from a row to the domain.

use super::{Count, Entry, Error, File, Result, StoredLine, Transition};
use crate::task::{Backoff, Checkpoint, Event, Progress, Status, Task, TaskError, Time};
use crate::types::{Level, LogLine};
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use uuid::Uuid;

/// A row of `tasks`. `params` is absent where the statement did not ask for it.
#[derive(Debug, sqlx::FromRow)]
pub struct TaskRow {
    pub id: Uuid,
    pub r#type: String,
    pub name: Option<String>,
    pub queue: String,
    pub priority: i64,
    pub tags: String,
    pub owner: String,
    pub client_id: String,
    pub params: Option<String>,
    pub result: Option<String>,
    pub error: Option<String>,
    pub progress: Option<String>,
    pub status: i64,
    pub attempt: i64,
    pub failures: i64,
    pub losses: i64,
    pub max_attempts: i64,
    pub backoff: Option<String>,
    pub timeout_seconds: Option<i64>,
    pub lease: Option<Uuid>,
    pub lease_until: Option<i64>,
    pub worker: Option<String>,
    pub run_at: i64,
    pub created_at: i64,
    pub started_at: Option<i64>,
    pub finished_at: Option<i64>,
    pub updated_at: i64,
    pub cancel_requested_at: Option<i64>,
    pub version: i64,
    pub ahead: bool,
}

/// A line of `changes` with what cannot change of its task.
#[derive(Debug)]
pub struct EntryRow {
    pub seq: i64,
    pub at: i64,
    pub event: i64,
    pub from_status: Option<i64>,
    pub actor: Option<String>,
    pub id: Uuid,
    pub r#type: String,
    pub name: Option<String>,
    pub queue: String,
    pub priority: i64,
    pub tags: String,
    pub owner: String,
    pub client_id: String,
    pub error: Option<String>,
    pub progress: Option<String>,
    pub status: i64,
    pub attempt: i64,
    pub failures: i64,
    pub losses: i64,
    pub max_attempts: i64,
    pub backoff: Option<String>,
    pub timeout_seconds: Option<i64>,
    pub worker: Option<String>,
    pub run_at: i64,
    pub created_at: i64,
    pub started_at: Option<i64>,
    pub finished_at: Option<i64>,
    pub cancel_requested_at: Option<i64>,
    pub version: i64,
}

/// A line of `changes` on its own.
#[derive(Debug)]
pub struct TransitionRow {
    pub seq: i64,
    pub at: i64,
    pub event: i64,
    pub from_status: Option<i64>,
    pub status: i64,
    pub attempt: i64,
    pub worker: Option<String>,
    pub error: Option<String>,
    pub actor: Option<String>,
}

/// A row of `log_lines`.
#[derive(Debug)]
pub struct LineRow {
    pub seq: i64,
    pub attempt: i64,
    pub at: i64,
    pub level: i64,
    pub message: String,
}

/// A row of `checkpoints`.
#[derive(Debug)]
pub struct CheckpointRow {
    pub task_id: Uuid,
    pub name: String,
    pub attempt: i64,
    pub data: String,
    pub updated_at: i64,
}

/// A row of `files`.
#[derive(Debug)]
pub struct FileRow {
    pub id: Uuid,
    pub owner: String,
    pub name: String,
    pub bytes: i64,
    pub content_type: String,
    pub sha256: String,
    pub location: String,
    pub created_at: i64,
}

/// A sum over `counts`.
#[derive(Debug)]
pub struct CountRow {
    pub queue: String,
    pub r#type: String,
    pub status: i64,
    pub n: i64,
}

/// From here on a `run_at` column says that its task waits for an approval; what it has more is the time the task is
/// for. It is the year 10000, which no time that a task is for comes to: nothing that is due by then is ever held.
const HELD: i64 = 253_402_300_800_000;

/// A task's time and whether it is held, as the column `run_at` has them.
pub fn run_at_column(run_at: Time, held: bool) -> i64 {
    if held { HELD + run_at.0 } else { run_at.0 }
}

/// Reads a `run_at` column: the task's time, and whether it is held.
pub fn run_at(column: i64) -> (Time, bool) {
    if column >= HELD { (Time(column - HELD), true) } else { (Time(column), false) }
}

/// The earliest `run_at` column of what is not ready, as the time to look again: what is held becomes due by no time.
pub fn next_due(earliest: Option<i64>) -> Option<Time> {
    earliest.map(run_at).filter(|(_, held)| !held).map(|(time, _)| time)
}

/// Rows to the domain, all or the first error.
pub fn all<R, T>(rows: Vec<R>, map: impl Fn(R) -> Result<T>) -> Result<Vec<T>> {
    rows.into_iter().map(map).collect()
}

impl TaskRow {
    /// The task; `Damaged` if the row holds what no version of ours wrote.
    pub fn task(self) -> Result<Task> {
        let (run_at, held) = run_at(self.run_at);
        Ok(Task {
            id: self.id,
            r#type: self.r#type,
            name: self.name,
            queue: self.queue,
            priority: self.priority,
            tags: if self.tags == "[]" { Vec::new() } else { parse(&self.tags)? },
            owner: self.owner,
            client_id: self.client_id,
            params: raw(self.params)?,
            result: raw(self.result)?,
            status: status(self.status)?,
            error: error(self.error.as_deref())?,
            progress: Progress::from_json(self.progress.as_deref()),
            attempt: self.attempt,
            failures: self.failures,
            losses: self.losses,
            max_attempts: self.max_attempts,
            backoff: self.backoff.map_or_else(|| Ok(Backoff::default()), |text| parse(&text))?,
            timeout_seconds: self.timeout_seconds,
            lease: self.lease,
            lease_until: self.lease_until.map(Time),
            worker: self.worker,
            run_at,
            held,
            created_at: Time(self.created_at),
            started_at: self.started_at.map(Time),
            finished_at: self.finished_at.map(Time),
            updated_at: Time(self.updated_at),
            cancel_requested_at: self.cancel_requested_at.map(Time),
            version: self.version,
            ahead: self.ahead,
        })
    }
}

impl EntryRow {
    /// The entry of the change log: the task as it was right after, without params and result.
    pub fn entry(self) -> Result<Entry> {
        let task = TaskRow {
            id: self.id,
            r#type: self.r#type,
            name: self.name,
            queue: self.queue,
            priority: self.priority,
            tags: self.tags,
            owner: self.owner,
            client_id: self.client_id,
            params: None,
            result: None,
            error: self.error,
            progress: self.progress,
            status: self.status,
            attempt: self.attempt,
            failures: self.failures,
            losses: self.losses,
            max_attempts: self.max_attempts,
            backoff: self.backoff,
            timeout_seconds: self.timeout_seconds,
            lease: None,
            lease_until: None,
            worker: self.worker,
            run_at: self.run_at,
            created_at: self.created_at,
            started_at: self.started_at,
            finished_at: self.finished_at,
            updated_at: self.at,
            cancel_requested_at: self.cancel_requested_at,
            version: self.version,
            ahead: false,
        };
        Ok(Entry {
            seq: self.seq,
            at: Time(self.at),
            event: event(self.event)?,
            from: self.from_status.map(status).transpose()?,
            by: self.actor,
            task: task.task()?,
        })
    }
}

impl TransitionRow {
    /// The line of a task's timeline.
    pub fn transition(self) -> Result<Transition> {
        Ok(Transition {
            seq: self.seq,
            at: Time(self.at),
            event: event(self.event)?,
            from: self.from_status.map(status).transpose()?,
            to: status(self.status)?,
            attempt: self.attempt,
            worker: self.worker,
            error: error(self.error.as_deref())?,
            by: self.actor,
        })
    }
}

impl LineRow {
    /// The log line.
    pub fn line(self) -> Result<StoredLine> {
        let known = Level::ALL.into_iter().find(|level| *level as i64 == self.level);
        let level = known.ok_or_else(|| Error::Damaged(format!("level {}", self.level)))?;
        let line = LogLine { at: Time(self.at), level, message: self.message };
        Ok(StoredLine { seq: self.seq, attempt: self.attempt, line })
    }
}

impl CheckpointRow {
    /// The checkpoint.
    pub fn checkpoint(self) -> Result<Checkpoint> {
        let data = RawValue::from_string(self.data).map_err(|error| Error::Damaged(error.to_string()))?;
        let (task, updated_at) = (self.task_id, Time(self.updated_at));
        Ok(Checkpoint { task, name: self.name, attempt: self.attempt, data, updated_at })
    }
}

impl FileRow {
    /// The upload.
    pub fn file(self) -> Result<File> {
        Ok(File {
            id: self.id,
            owner: self.owner,
            name: self.name,
            bytes: self.bytes,
            content_type: self.content_type,
            sha256: self.sha256,
            location: self.location,
            created_at: Time(self.created_at),
        })
    }
}

impl CountRow {
    /// The count.
    pub fn count(self) -> Result<Count> {
        Ok(Count { queue: self.queue, r#type: self.r#type, status: status(self.status)?, n: self.n })
    }
}

/// The columns that hold JSON, as text for a write.
pub fn tags_json(task: &Task) -> String {
    if task.tags.is_empty() { "[]".to_owned() } else { json(&task.tags) }
}

/// `None` stands for the default, which most tasks have.
pub fn backoff_json(task: &Task) -> Option<String> {
    (task.backoff != Backoff::default()).then(|| json(&task.backoff))
}

/// An error as its column holds it.
pub fn error_json(error: Option<&TaskError>) -> Option<String> {
    error.map(json)
}

/// Reads an `error` column.
pub fn error(text: Option<&str>) -> Result<Option<TaskError>> {
    text.map(parse).transpose()
}

/// Reads a `status` column.
pub fn status(number: i64) -> Result<Status> {
    Status::from_number(number).ok_or_else(|| Error::Damaged(format!("status {number}")))
}

/// Reads an `event` column.
pub fn event(number: i64) -> Result<Event> {
    Event::from_number(number).ok_or_else(|| Error::Damaged(format!("event {number}")))
}

fn raw(text: Option<String>) -> Result<Option<Box<RawValue>>> {
    text.map(RawValue::from_string).transpose().map_err(|error| Error::Damaged(error.to_string()))
}

fn parse<T: DeserializeOwned>(text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| Error::Damaged(error.to_string()))
}

fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("plain data is JSON")
}
