//! What goes over the wire, apart from the domain: the shapes a client may rely on.

use crate::queue::{Attempt, Reason};
use crate::store::{Entry, StoredLine, Transition};
use crate::task::{Artifact, Metrics, Progress, Role, Task, TaskError, Time};
use crate::types::Types;
use serde::Serialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use utoipa::ToSchema;
use uuid::Uuid;

/// A task.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Task)]
pub struct TaskView<'a> {
    #[schema(value_type = String, format = "uuid")]
    id: Uuid,
    r#type: &'a str,
    name: Option<&'a str>,
    #[schema(value_type = StatusView)]
    status: &'static str,
    /// What people want to know beyond the status.
    #[schema(example = "ready")]
    phase: &'static str,
    queue: &'a str,
    priority: i64,
    tags: &'a [String],
    /// As sent, byte for byte, but for what is secret. Lists leave it out unless `view=full`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    params: Option<Cow<'a, RawValue>>,
    /// Set once `SUCCESS`. Lists leave it out unless `view=full`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Value>)]
    result: Option<Option<&'a RawValue>>,
    error: Option<TaskErrorView<'a>>,
    progress: ProgressView<'a>,
    /// What the running or last attempt measured of its work, as it said last.
    #[schema(value_type = std::collections::BTreeMap<String, f64>)]
    metrics: &'a Metrics,
    /// How often it was claimed.
    attempt: i64,
    /// How many failures end it.
    max_attempts: i64,
    timeout_seconds: Option<i64>,
    owner: &'a str,
    client_id: &'a str,
    worker: Option<&'a str>,
    #[schema(value_type = String, format = DateTime)]
    run_at: Time,
    #[schema(value_type = String, format = DateTime)]
    created_at: Time,
    #[schema(value_type = Option<String>, format = DateTime)]
    started_at: Option<Time>,
    #[schema(value_type = Option<String>, format = DateTime)]
    finished_at: Option<Time>,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Time,
    #[schema(value_type = Option<String>, format = DateTime)]
    cancel_requested_at: Option<Time>,
    /// Grows by one with every transition.
    version: i64,
    links: LinksView,
}

/// The five states.
#[derive(Debug, ToSchema)]
#[schema(as = Status)]
#[allow(dead_code)] // only for the document
pub enum StatusView {
    #[schema(rename = "PENDING")]
    Pending,
    #[schema(rename = "RUNNING")]
    Running,
    #[schema(rename = "SUCCESS")]
    Success,
    #[schema(rename = "FAILED")]
    Failed,
    #[schema(rename = "CANCELLED")]
    Cancelled,
}

/// What the holder of a key may do.
#[derive(Debug, ToSchema)]
#[schema(rename_all = "lowercase")]
#[allow(dead_code)] // only for the document
pub enum RoleView {
    Admin,
    Submit,
    Read,
    Worker,
}

/// Why an attempt failed.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TaskError)]
pub struct TaskErrorView<'a> {
    code: &'a str,
    message: &'a str,
    attempt: i64,
}

/// How far an attempt is.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Progress)]
pub struct ProgressView<'a> {
    /// 0 to 100.
    percent: f64,
    step: Option<&'a str>,
    processed: Option<i64>,
    total: Option<i64>,
    eta_seconds: Option<f64>,
}

/// Where to go on; `cancel` (by DELETE), `retry`, `approve` and `reject` (by POST) only while they would be accepted, and
/// where tasks are read only for a role that may.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Links)]
pub struct LinksView {
    #[serde(rename = "self")]
    this: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    cancel: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    approve: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reject: Option<String>,
}

/// One wrong member of a request.
#[derive(Debug, ToSchema)]
#[schema(as = FieldError)]
#[allow(dead_code)] // only for the document
pub struct FieldErrorView {
    /// A JSON pointer.
    #[schema(example = "/params/target_width")]
    pointer: String,
    #[schema(example = "must be 100 to 2000")]
    detail: String,
}

impl<'a> TaskView<'a> {
    /// A task with params and result.
    pub fn whole(types: &Types, task: &'a Task, now: Time) -> TaskView<'a> {
        TaskView { params: types.shown(task), result: Some(task.result.as_deref()), ..TaskView::row(task, now) }
    }

    /// The same without the links that this role has no use for.
    pub fn seen_by(mut self, role: Role) -> TaskView<'a> {
        if !matches!(role, Role::Admin | Role::Submit) {
            self.links.cancel = None;
            self.links.retry = None;
        }
        if role != Role::Admin {
            self.links.approve = None;
            self.links.reject = None;
        }
        self
    }

    /// A task as lists show it.
    pub fn row(task: &'a Task, now: Time) -> TaskView<'a> {
        let this = address(task.id);
        TaskView {
            id: task.id,
            r#type: &task.r#type,
            name: task.name.as_deref(),
            status: task.status.word(),
            phase: task.phase(now),
            queue: &task.queue,
            priority: task.priority,
            tags: &task.tags,
            params: None,
            result: None,
            error: task.error.as_ref().map(TaskErrorView::from),
            progress: ProgressView::from(&task.progress),
            metrics: &task.progress.metrics,
            attempt: task.attempt,
            max_attempts: task.max_attempts,
            timeout_seconds: task.timeout_seconds,
            owner: &task.owner,
            client_id: &task.client_id,
            worker: task.worker.as_deref(),
            run_at: task.run_at,
            created_at: task.created_at,
            started_at: task.started_at,
            finished_at: task.finished_at,
            updated_at: task.updated_at,
            cancel_requested_at: task.cancel_requested_at,
            version: task.version,
            links: LinksView {
                cancel: task.status.can_cancel().then(|| this.clone()),
                approve: task.awaits_approval().then(|| format!("{this}/approve")),
                reject: task.awaits_approval().then(|| format!("{this}/reject")),
                retry: task.status.can_retry().then(|| format!("{this}/retry")),
                this,
            },
        }
    }
}

/// Where a task is found.
pub fn address(id: Uuid) -> String {
    format!("/api/tasks/{id}")
}

impl<'a> From<&'a TaskError> for TaskErrorView<'a> {
    fn from(error: &'a TaskError) -> TaskErrorView<'a> {
        TaskErrorView { code: &error.code, message: &error.message, attempt: error.attempt }
    }
}

impl<'a> From<&'a Progress> for ProgressView<'a> {
    fn from(progress: &'a Progress) -> ProgressView<'a> {
        let Progress { percent, step, processed, total, eta_seconds, .. } = progress;
        let (step, processed, total) = (step.as_deref(), *processed, *total);
        ProgressView { percent: *percent, step, processed, total, eta_seconds: *eta_seconds }
    }
}

/// One entry of the change log.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Change)]
pub struct ChangeView<'a> {
    seq: i64,
    #[schema(value_type = String, format = DateTime)]
    at: Time,
    #[schema(example = "succeeded")]
    event: &'static str,
    /// The task right after, without params and result.
    task: TaskView<'a>,
}

impl<'a> From<&'a Entry> for ChangeView<'a> {
    fn from(entry: &'a Entry) -> ChangeView<'a> {
        let Entry { seq, at, event, task, .. } = entry;
        ChangeView { seq: *seq, at: *at, event: event.word(), task: TaskView::row(task, *at) }
    }
}

/// One line of a task's history.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Transition)]
pub struct TransitionView<'a> {
    seq: i64,
    #[schema(value_type = String, format = DateTime)]
    at: Time,
    event: &'static str,
    /// The status before; null for the submit.
    #[schema(value_type = Option<StatusView>)]
    from: Option<&'static str>,
    #[schema(value_type = StatusView)]
    to: &'static str,
    attempt: i64,
    worker: Option<&'a str>,
    error: Option<TaskErrorView<'a>>,
    /// Who did it, where a caller did.
    by: Option<&'a str>,
}

impl<'a> From<&'a Transition> for TransitionView<'a> {
    fn from(transition: &'a Transition) -> TransitionView<'a> {
        TransitionView {
            seq: transition.seq,
            at: transition.at,
            event: transition.event.word(),
            from: transition.from.map(|from| from.word()),
            to: transition.to.word(),
            attempt: transition.attempt,
            worker: transition.worker.as_deref(),
            error: transition.error.as_ref().map(TaskErrorView::from),
            by: transition.by.as_deref(),
        }
    }
}

/// One attempt of a task.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Attempt)]
pub struct AttemptView<'a> {
    attempt: i64,
    worker: Option<&'a str>,
    #[schema(value_type = String, format = DateTime)]
    started_at: Time,
    #[schema(value_type = Option<String>, format = DateTime)]
    finished_at: Option<Time>,
    /// `success`, `failed`, `cancelled`, `lost` or `released`; null while it runs.
    outcome: Option<&'static str>,
    error: Option<TaskErrorView<'a>>,
}

impl<'a> From<&'a Attempt> for AttemptView<'a> {
    fn from(attempt: &'a Attempt) -> AttemptView<'a> {
        AttemptView {
            attempt: attempt.attempt,
            worker: attempt.worker.as_deref(),
            started_at: attempt.started_at,
            finished_at: attempt.finished_at,
            outcome: attempt.outcome,
            error: attempt.error.as_ref().map(TaskErrorView::from),
        }
    }
}

/// One log line.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LogLine)]
pub struct LineView<'a> {
    seq: i64,
    #[schema(value_type = String, format = DateTime)]
    at: Time,
    /// `debug`, `info`, `warn` or `error`.
    level: &'static str,
    message: &'a str,
    attempt: i64,
}

impl<'a> From<&'a StoredLine> for LineView<'a> {
    fn from(StoredLine { seq, attempt, line }: &'a StoredLine) -> LineView<'a> {
        LineView { seq: *seq, at: line.at, level: line.level.word(), message: &line.message, attempt: *attempt }
    }
}

/// One output file.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Artifact)]
pub struct ArtifactView<'a> {
    name: &'a str,
    bytes: i64,
    content_type: &'a str,
    sha256: &'a str,
    url: String,
}

impl<'a> ArtifactView<'a> {
    /// The artifact of a task.
    pub fn of(task: Uuid, artifact: &'a Artifact) -> ArtifactView<'a> {
        let Artifact { name, bytes, content_type, sha256, .. } = artifact;
        let encoded = percent_encoding::utf8_percent_encode(name, super::download::UNRESERVED);
        ArtifactView {
            name,
            bytes: *bytes,
            content_type,
            sha256,
            url: format!("{}/artifacts/{encoded}", address(task)),
        }
    }
}

/// One reason why a task does not run.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Reason)]
pub struct ReasonView<'a> {
    code: &'static str,
    detail: &'a str,
    #[schema(value_type = Option<String>, format = DateTime)]
    since: Option<Time>,
    /// What would help; null where waiting is all.
    help: Option<&'static str>,
}

impl<'a> From<&'a Reason> for ReasonView<'a> {
    fn from(Reason { code, detail, since, help }: &'a Reason) -> ReasonView<'a> {
        ReasonView { code, detail, since: *since, help: *help }
    }
}
