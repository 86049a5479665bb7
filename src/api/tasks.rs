//! One task: look, wait, cancel, retry.

use super::caller::Caller;
use super::known::{Given, Keep};
use super::problem::{Body as ProblemBody, Code, Result};
use super::query::{self, Query};
use super::wire::TaskView;
use super::{Api, MAX_WAIT_SECONDS, body, etag, json_response, task_id, to_json};
use crate::task::{Status, Task};
use axum::body::{Body, Bytes};
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::Response;
use std::time::Duration;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The routes.
pub fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(get, cancel)).routes(routes!(retry))
}

/// What a caller waits for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum WaitFor {
    Finished,
    Change,
}

/// One task, whole. `wait` holds the answer until it is finished, or with `wait_for=change` until
/// it differs from what `if-none-match` names (from what it is now, where that is not sent).
#[utoipa::path(
    get, path = "/api/tasks/{id}", tag = "tasks",
    params(
        ("id" = String, Path, format = "uuid"),
        ("wait" = Option<u64>, Query, minimum = 0, maximum = 60, description = "Seconds"),
        ("wait_for" = Option<String>, Query, description = "`finished` (default) or `change`"),
        ("if-none-match" = Option<String>, Header),
    ),
    responses(
        (status = 200, description = "The task", body = TaskView, headers(("etag" = String))),
        (status = 304, description = "The caller has it"),
        (status = "default", description = "An error", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn get(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response> {
    let mut query = Query::of(&uri, Code::InvalidRequest)?;
    let wait = query.integer("wait", 0..=MAX_WAIT_SECONDS).unwrap_or(0);
    let wait_for = query.read("wait_for", "must be finished or change", |word| match word {
        "finished" => Some(WaitFor::Finished),
        "change" => Some(WaitFor::Change),
        _ => None,
    });
    query.done()?;
    let id = task_id(&id)?;
    let question = match api.known.look(&api, &caller, &uri, &headers, Keep::Tag).await {
        Ok(unchanged) if wait == 0 => return Ok(unchanged),
        Ok(_) => None,
        Err(question) => Some(question),
    };
    let now = api.now();
    let mut task = api.queue.get(&caller.scope, id).await?;
    let (first, tag) = render(&api, &caller, &task);
    if let Some(question) = question {
        api.known.remember(question, &Given { body: Bytes::new(), tag: tag.clone(), link: None }, now, [&task]);
    }
    let known = |other: &str| match headers.contains_key(header::IF_NONE_MATCH) {
        true => etag::matches(&headers, other),
        false => other == tag,
    };
    let done = |task: &Task| match wait_for {
        Some(WaitFor::Change) => !known(&render(&api, &caller, task).1),
        _ => task.status.is_finished(),
    };
    if wait == 0 || done(&task) {
        return Ok(etag::json(&headers, &tag, first));
    }
    task = api.wait(&caller.scope, id, Duration::from_secs(wait), done).await?;
    let (body, tag) = render(&api, &caller, &task);
    Ok(etag::json(&headers, &tag, body))
}

fn render(api: &Api, caller: &Caller, task: &Task) -> (String, String) {
    let body = to_json(&TaskView::whole(api.queue.types(), task, api.now()).seen_by(caller.role));
    let tag = etag::of(body.as_bytes());
    (body, tag)
}

/// Cancels a task. 200: it is `CANCELLED`. 202: it runs and was asked to stop.
#[utoipa::path(
    delete, path = "/api/tasks/{id}", tag = "tasks",
    params(("id" = String, Path, format = "uuid")),
    responses(
        (status = 200, description = "It is CANCELLED", body = TaskView),
        (status = 202, description = "It runs and was asked to stop", body = TaskView),
        (status = "default", description = "An error", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn cancel(State(api): State<Api>, caller: Caller, Path(id): Path<String>, uri: Uri) -> Result<Response> {
    query::none(&uri)?;
    let task = api.queue.cancel(&caller.scope, task_id(&id)?, caller.by()).await?;
    let status = if task.status == Status::Running { StatusCode::ACCEPTED } else { StatusCode::OK };
    Ok(whole(&api, &caller, status, &task))
}

/// Sets a `FAILED` or `CANCELLED` task going again; its attempts are kept.
#[utoipa::path(
    post, path = "/api/tasks/{id}/retry", tag = "tasks",
    params(("id" = String, Path, format = "uuid")),
    responses(
        (status = 200, description = "It is PENDING again", body = TaskView),
        (status = "default", description = "An error", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn retry(State(api): State<Api>, caller: Caller, Path(id): Path<String>, request: Request) -> Result<Response> {
    query::none(request.uri())?;
    body::none(request).await?;
    let task = api.queue.retry(&caller.scope, task_id(&id)?, caller.by()).await?;
    Ok(whole(&api, &caller, StatusCode::OK, &task))
}

/// The answer of a change: the task as it is by now.
pub fn whole(api: &Api, caller: &Caller, status: StatusCode, task: &Task) -> Response {
    let (body, tag) = render(api, caller, task);
    let mut response = json_response(status, Body::from(body));
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
