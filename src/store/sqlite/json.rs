//! The shapes in which batches travel to SQLite and back: one JSON array a statement. The driver hands
//! every row over between two threads, each of its columns copied to the heap; many rows on their own
//! cost more than the write that they answer.

use crate::store::row::{TaskRow, backoff_json, error_json, run_at_column, tags_json};
use crate::store::{Beat, Claim, Error, Result};
use crate::task::{Change, Event, Status, Task};
use crate::types::LogLine;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A batch as its parameter.
pub fn json(rows: &(impl Serialize + ?Sized)) -> String {
    serde_json::to_string(rows).expect("plain data is JSON")
}

#[derive(Serialize)]
pub struct TaskJson<'a> {
    id: Hex,
    r#type: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    queue: &'a str,
    priority: i64,
    tags: String,
    owner: &'a str,
    client_id: &'a str,
    params: &'a str,
    ready: i64,
    max_attempts: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    backoff: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timeout_seconds: Option<i64>,
    run_at: i64,
    created_at: i64,
}

impl<'a> TaskJson<'a> {
    pub fn of(task: &'a Task) -> TaskJson<'a> {
        TaskJson {
            id: Hex(task.id),
            r#type: &task.r#type,
            name: task.name.as_deref(),
            queue: &task.queue,
            priority: task.priority,
            tags: tags_json(task),
            owner: &task.owner,
            client_id: &task.client_id,
            params: task.params.as_deref().map_or("{}", |params| params.get()),
            ready: i64::from(task.is_due(task.created_at)),
            max_attempts: task.max_attempts,
            backoff: backoff_json(task),
            timeout_seconds: task.timeout_seconds,
            run_at: run_at_column(task.run_at, task.held),
            created_at: task.created_at.0,
        }
    }
}

#[derive(Serialize)]
pub struct ChangeJson<'a> {
    id: Hex,
    from: i64,
    to: i64,
    ready: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    lease: Option<Hex>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lapsed_by: Option<i64>,
    unless_cancelling: i64,
    cancels: i64,
    at: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    progress: Option<String>,
    run_at: i64,
    failures: i64,
    losses: i64,
}

impl<'a> ChangeJson<'a> {
    pub fn of(change: &'a Change) -> ChangeJson<'a> {
        ChangeJson {
            id: Hex(change.task.id),
            from: change.task.status as i64,
            to: change.to as i64,
            ready: i64::from(change.makes_ready()),
            lease: change.lease.map(Hex),
            version: change.version,
            lapsed_by: change.lapsed_by.map(|time| time.0),
            unless_cancelling: i64::from(change.unless_cancelling),
            cancels: i64::from(change.event == Event::CancelRequested),
            at: change.at.0,
            error: error_json(change.error.as_ref()),
            result: change.result.as_deref().map(|result| result.get()),
            progress: change.progress.as_ref().map(|progress| progress.to_json()),
            run_at: run_at_column(change.run_at, change.held),
            failures: change.failures,
            losses: change.losses,
        }
    }
}

#[derive(Serialize)]
pub struct BeatJson {
    id: Hex,
    lease: Hex,
    progress: Option<String>,
}

impl BeatJson {
    pub fn of(beat: &Beat) -> BeatJson {
        let progress = beat.progress.as_ref().map(|progress| progress.to_json());
        BeatJson { id: Hex(beat.id), lease: Hex(beat.lease), progress }
    }
}

#[derive(Serialize)]
pub struct LineJson<'a> {
    task_id: Hex,
    attempt: i64,
    at: i64,
    level: i64,
    message: &'a str,
}

impl<'a> LineJson<'a> {
    pub fn of(beat: &Beat, line: &'a LogLine) -> LineJson<'a> {
        LineJson {
            task_id: Hex(beat.id),
            attempt: beat.attempt,
            at: line.at.0,
            level: line.level as i64,
            message: &line.message,
        }
    }
}

/// The rows of an answer.
pub fn rows<T: DeserializeOwned>(answer: &str) -> Result<Vec<T>> {
    serde_json::from_str(answer).map_err(|error| Error::Damaged(error.to_string()))
}

/// A row that may be claimed, in the order in which the claim selects.
#[derive(Deserialize)]
pub struct ReadyJson {
    id: Uuid,
    /// The lease it gets.
    lease: Uuid,
    r#type: String,
    name: Option<String>,
    queue: String,
    priority: i64,
    tags: String,
    owner: String,
    client_id: String,
    params: String,
    error: Option<String>,
    attempt: i64,
    failures: i64,
    losses: i64,
    max_attempts: i64,
    backoff: Option<String>,
    timeout_seconds: Option<i64>,
    run_at: i64,
    created_at: i64,
    version: i64,
}

impl ReadyJson {
    /// The task as this claim makes it.
    pub fn claimed(self, claim: &Claim) -> Result<Task> {
        let row = TaskRow {
            id: self.id,
            r#type: self.r#type,
            name: self.name,
            queue: self.queue,
            priority: self.priority,
            tags: self.tags,
            owner: self.owner,
            client_id: self.client_id,
            params: Some(self.params),
            result: None,
            error: self.error,
            progress: None,
            status: Status::Running as i64,
            attempt: self.attempt + 1,
            failures: self.failures,
            losses: self.losses,
            max_attempts: self.max_attempts,
            backoff: self.backoff,
            timeout_seconds: self.timeout_seconds,
            lease: Some(self.lease),
            lease_until: Some(claim.now.plus(claim.lease_ms).0),
            worker: Some(claim.worker.clone()),
            run_at: self.run_at,
            created_at: self.created_at,
            started_at: Some(claim.now.0),
            finished_at: None,
            updated_at: claim.now.0,
            cancel_requested_at: None,
            version: self.version + 1,
            ahead: claim.ahead,
        };
        row.task()
    }
}

/// A change that finds its row as it expects it: its number among the changes, and how many
/// checkpoints the task has.
#[derive(Deserialize)]
pub struct ExpectedJson {
    pub no: usize,
    pub checkpoints: i64,
}

/// What the log says of a task that a change does not know.
#[derive(Deserialize)]
pub struct LoggedJson {
    pub version: i64,
    pub cancel_requested_at: Option<i64>,
    pub progress: Option<String>,
}

/// An id as `unhex` reads it: JSON has no bytes.
pub struct Hex(pub Uuid);

impl Serialize for Hex {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.simple().encode_lower(&mut Uuid::encode_buffer()))
    }
}
