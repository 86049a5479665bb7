//! Rows as both databases give them, and the one way from a row to the domain.

use super::{Entry, Error, Result};
use crate::task::{Backoff, Event, Progress, Status, Task, TaskError, Time};
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use uuid::Uuid;

/// A row of `tasks`. `params` is absent where the statement did not ask for it.
#[derive(Debug)]
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
}

/// What a line of the change log holds beside the task.
#[derive(Debug)]
pub struct ChangeRow {
    pub seq: i64,
    pub at: i64,
    pub event: i64,
    pub from_status: Option<i64>,
    pub actor: Option<String>,
}

impl TaskRow {
    /// The task; `Damaged` if the row holds what no version of ours wrote.
    pub fn task(self) -> Result<Task> {
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
            run_at: Time(self.run_at),
            created_at: Time(self.created_at),
            started_at: self.started_at.map(Time),
            finished_at: self.finished_at.map(Time),
            updated_at: Time(self.updated_at),
            cancel_requested_at: self.cancel_requested_at.map(Time),
            version: self.version,
        })
    }
}

impl ChangeRow {
    /// The entry of the change log.
    pub fn entry(self, task: TaskRow) -> Result<Entry> {
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
