//! The way in: submit, batch, clone, and the short form for a demo.

use super::body::{self, Json};
use super::caller::Caller;
use super::draft::{self, MAX_PARAMS_BYTES, Read};
use super::fields::Fields;
use super::problem::{Body as ProblemBody, Code, Problem, Result};
use super::query::{self, Query};
use super::trail::Told;
use super::wire::{TaskView, address};
use super::{Api, MAX_WAIT_SECONDS, json_response, once, to_json};
use crate::task::text::FieldError;
use crate::task::{Draft, Task};
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use serde::Serialize;
use serde_json::json;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::time::Duration;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

/// More bytes in the body of one submit are refused: params and what stands around them.
const MAX_BODY_BYTES: usize = MAX_PARAMS_BYTES + 64 * 1024;
/// More bytes in the body of a batch are refused.
pub const MAX_BATCH_BYTES: usize = 32 * 1024 * 1024;
/// More tasks in a batch are refused.
pub const MAX_BATCH_ROWS: usize = 10_000;

/// The routes.
pub fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(submit)).routes(routes!(batch)).routes(routes!(clone)).routes(routes!(start))
}

/// Submits a task. When it answers 201 the task is on disk: it survives kill -9 and a power cut.
#[utoipa::path(
    post, path = "/api/tasks/submit", tag = "tasks", request_body = super::openapi::Submit,
    params(
        ("wait" = Option<u64>, Query, minimum = 0, maximum = 60, description = "Answer when the task is finished or after so many seconds"),
        ("dry_run" = Option<bool>, Query, description = "Only check: 200 with the params and their defaults"),
        ("idempotency-key" = Option<String>, Header, max_length = 255, description = "The same key and body submit once"),
    ),
    responses(
        (status = 201, description = "The task is on disk", body = TaskView, headers(("location" = String))),
        (status = 200, description = "The first answer again, or what a dry run found"),
        (status = "default", description = "An error", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn submit(State(api): State<Api>, caller: Caller, request: Request) -> Result<Response> {
    api.taking()?;
    let mut query = Query::of(request.uri(), Code::InvalidRequest)?;
    let wait = query.integer("wait", 0..=MAX_WAIT_SECONDS).unwrap_or(0);
    let dry_run = query.flag("dry_run");
    query.done()?;
    let key = once::key(request.headers())?;
    let body = body::json(request, MAX_BODY_BYTES).await?;
    let read = draft::read(body.text(), String::new(), draft::blank(&caller), &caller)?;
    if dry_run {
        let entry = api.queue.types().get(&read.draft.r#type);
        let params = serde_json::value::to_raw_value(&api.check(read).await?).map_err(Problem::internal)?;
        let answer = json!({ "valid": true, "params": entry.map(|entry| entry.shown(&params)) });
        return Ok(json_response(StatusCode::OK, Body::from(answer.to_string())));
    }
    create(&api, &caller, read, "/api/tasks/submit", key, Some(&body), wait).await
}

/// Up to 10,000 tasks.
#[derive(Serialize, ToSchema)]
struct Tasks<'a> {
    tasks: Vec<TaskView<'a>>,
}

/// Submits up to 10,000 tasks, all or none. A 422 names every bad one by its index.
#[utoipa::path(
    post, path = "/api/tasks/batch", tag = "tasks", request_body = super::openapi::Batch,
    params(("idempotency-key" = Option<String>, Header, max_length = 255, description = "The same key and body submit once")),
    responses(
        (status = 201, description = "The tasks are on disk, in order", body = Tasks),
        (status = 200, description = "The first answer again", body = Tasks),
        (status = "default", description = "An error", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn batch(State(api): State<Api>, caller: Caller, request: Request) -> Result<Response> {
    api.taking()?;
    query::none(request.uri())?;
    let key = once::key(request.headers())?;
    let body = body::json(request, MAX_BATCH_BYTES).await?;
    let read = read_batch(&body, &caller)?;
    let prepared = api.prepare(read).await?;
    // The first one was taken when it was let in.
    if let Some(bucket) = api.rates.submits(&caller) {
        bucket.take_anyway(prepared.tasks.len() - 1);
    }
    let now = api.now();
    let answer = to_json(&Tasks {
        tasks: prepared.tasks.iter().map(|task| TaskView::whole(api.queue.types(), task, now)).collect(),
    });
    let once = once::remember(key, &caller, "/api/tasks/batch", Some(&body), &answer);
    let count = Some(prepared.tasks.len() as i64);
    Ok(match api.queue.submit(prepared, once).await? {
        Some(first) => once::replay(first),
        None => {
            let mut response = json_response(StatusCode::CREATED, Body::from(answer));
            response.extensions_mut().insert(Told { target: None, count });
            response
        }
    })
}

fn read_batch(body: &Json, caller: &Caller) -> Result<Vec<Read>> {
    let mut fields = Fields::of(body.text(), "");
    let tasks = fields.take("tasks").map(|tasks| serde_json::from_str::<Vec<&RawValue>>(tasks.get()));
    let tasks = match tasks {
        Some(Ok(tasks)) if (1..=MAX_BATCH_ROWS).contains(&tasks.len()) => tasks,
        Some(_) => {
            fields.fail("tasks", format!("must be a list of 1 to {MAX_BATCH_ROWS} tasks"));
            Vec::new()
        }
        None => {
            fields.missing("tasks");
            Vec::new()
        }
    };
    fields.done(Code::InvalidRequest)?;
    let one =
        |(n, task): (usize, &&RawValue)| draft::read(task.get(), format!("/tasks/{n}"), draft::blank(caller), caller);
    tasks.iter().enumerate().map(one).collect()
}

/// Submits a new task with the params and settings of another; what the body says goes before. One
/// that waits for its time is cloned with that time, and one that was not approved yet waits for an approval too.
#[utoipa::path(
    post, path = "/api/tasks/{id}/clone", tag = "tasks", request_body = Option<super::openapi::Submit>,
    params(
        ("id" = String, Path, format = "uuid"),
        ("idempotency-key" = Option<String>, Header, max_length = 255, description = "The same key and body submit once"),
    ),
    responses(
        (status = 201, description = "The new task is on disk", body = TaskView, headers(("location" = String))),
        (status = 200, description = "The first answer again", body = TaskView),
        (status = "default", description = "An error", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn clone(State(api): State<Api>, caller: Caller, Path(id): Path<String>, request: Request) -> Result<Response> {
    api.taking()?;
    query::none(request.uri())?;
    let key = once::key(request.headers())?;
    let body = body::json_or_none(request, MAX_BODY_BYTES).await?;
    let task = api.queue.get(&caller.scope, super::task_id(&id)?).await?;
    let (run_at, needs_approval) = (task.scheduled(api.now()), task.held);
    // Its caller begins with what it is shown. Only the same type gets the secrets again: another might tell them.
    let shown = api.queue.types().shown(&task).map_or_else(draft::empty, Cow::into_owned);
    let before = task.params.unwrap_or_else(draft::empty);
    let base = Draft {
        r#type: task.r#type.clone(),
        params: shown,
        name: task.name,
        queue: task.queue,
        priority: task.priority,
        tags: task.tags,
        max_attempts: task.max_attempts,
        backoff: task.backoff,
        timeout_seconds: task.timeout_seconds,
        run_at,
        needs_approval,
        ..draft::blank(&caller)
    };
    let mut read = draft::read(body.as_ref().map_or("{}", Json::text), String::new(), base, &caller)?;
    if let Some(entry) = api.queue.types().get(&task.r#type).filter(|_| read.draft.r#type == task.r#type) {
        read.draft.params = entry.recovered(read.draft.params, &before);
    }
    create(&api, &caller, read, &format!("/api/tasks/{id}/clone"), key, body.as_ref(), 0).await
}

/// Submits a `demo` task.
#[utoipa::path(
    post, path = "/api/task/start", tag = "tasks", request_body = Option<super::openapi::Start>,
    params(("idempotency-key" = Option<String>, Header, max_length = 255, description = "The same key and body submit once")),
    responses(
        (status = 201, description = "The task is on disk", body = TaskView, headers(("location" = String))),
        (status = 200, description = "The first answer again", body = TaskView),
        (status = "default", description = "An error", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn start(State(api): State<Api>, caller: Caller, request: Request) -> Result<Response> {
    api.taking()?;
    query::none(request.uri())?;
    let key = once::key(request.headers())?;
    let body = body::json_or_none(request, MAX_BODY_BYTES).await?;
    let mut fields = Fields::of(body.as_ref().map_or("{}", Json::text), "");
    let mut params = serde_json::Map::new();
    for name in ["name", "duration"] {
        if let Some(value) = fields.take(name) {
            params.insert(name.to_owned(), serde_json::from_str(value.get()).unwrap_or_default());
        }
    }
    let label = |fields: &mut Fields<'_>, name| fields.label(name, super::caller::MAX_CLIENT_ID);
    let client_id = label(&mut fields, "client_id").or(label(&mut fields, "clientId"));
    fields.done(Code::InvalidRequest)?;
    let client_id = client_id.map(|id| json!({ "client_id": id })).unwrap_or(json!({}));
    let base = Draft {
        r#type: "demo".to_owned(),
        params: serde_json::value::to_raw_value(&params).map_err(Problem::internal)?,
        ..draft::blank(&caller)
    };
    let read = draft::read(&client_id.to_string(), String::new(), base, &caller)?;
    // The members stand at the top of this body, not under params.
    let lifted = create(&api, &caller, read, "/api/task/start", key, body.as_ref(), 0).await;
    lifted.map_err(|problem| {
        problem.map_errors(|error| {
            let pointer = error.pointer.strip_prefix("/params").unwrap_or(&error.pointer).to_owned();
            FieldError::new(pointer, error.detail)
        })
    })
}

/// Writes one task and answers it: 201, or 200 where its key was used before.
async fn create(
    api: &Api,
    caller: &Caller,
    read: Read,
    route: &str,
    key: Option<String>,
    body: Option<&Json>,
    wait_seconds: u64,
) -> Result<Response> {
    let prepared = api.prepare(vec![read]).await?;
    let task = &prepared.tasks[0];
    let id = task.id;
    let answer = to_json(&TaskView::whole(api.queue.types(), task, api.now()));
    let once = once::remember(key, caller, route, body, &answer);
    if let Some(first) = api.queue.submit(prepared, once).await? {
        return Ok(once::replay(first));
    }
    let answer = match wait_seconds {
        0 => answer,
        seconds => waited(api, caller, id, seconds).await.unwrap_or(answer),
    };
    Ok(created(id, answer))
}

/// The task once it is finished, or as it is when the time is up. The submit is done either way:
/// where the wait fails, it is answered as it was submitted.
async fn waited(api: &Api, caller: &Caller, id: Uuid, seconds: u64) -> Option<String> {
    let done = |task: &Task| task.status.is_finished();
    let task = api.wait(&caller.scope, id, Duration::from_secs(seconds), done).await.ok()?;
    Some(to_json(&TaskView::whole(api.queue.types(), &task, api.now())))
}

fn created(id: Uuid, answer: String) -> Response {
    let mut response = json_response(StatusCode::CREATED, Body::from(answer));
    if let Ok(location) = HeaderValue::from_str(&address(id)) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}
