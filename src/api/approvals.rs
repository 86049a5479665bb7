//! What waits for an approval: list it, approve it, reject it.

use super::body::{self, Json};
use super::caller::Caller;
use super::cursor::{Cursor, hash_of};
use super::fields::Fields;
use super::list::{FIRST_FULL, FULL_BYTES, MAX_LIMIT, TaskList, bad_cursor, fitting, next_page, weight};
use super::problem::{Body as ProblemBody, Code, Result};
use super::query::{self, Query};
use super::tasks::whole;
use super::wire::TaskView;
use super::{Api, etag, task_id, to_json};
use crate::store::{Awaiting, Turn};
use crate::task::filter::After;
use crate::task::{Scope, Time, text};
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::Response;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The rows on a page when nothing is said.
const DEFAULT_LIMIT: i64 = 50;
/// The longest reason for a rejection, in characters.
const MAX_REASON: usize = 1_000;
/// More bytes in a body are refused.
const MAX_BODY_BYTES: usize = 16 * 1024;

/// The routes.
pub fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(approve)).routes(routes!(reject))
}

/// Lists what waits for an approval, with its params, by `run_at` and id. Admins see that of every owner, others their
/// owner's. A page may have fewer rows than asked for, or none, and still a cursor, as with tasks.
#[utoipa::path(
    get, path = "/api/approvals", tag = "approvals",
    params(
        ("owner" = Option<String>, Query, max_length = 100, description = "Only that one's; of those that the caller may see"),
        ("limit" = Option<i64>, Query, minimum = 1, maximum = 500, description = "Default 50"),
        ("cursor" = Option<String>, Query, description = "The next_cursor of the page before"),
        ("if-none-match" = Option<String>, Header),
    ),
    responses(
        (status = 200, description = "A page", body = TaskList, headers(("etag" = String), ("link" = String))),
        (status = 304, description = "The caller has it"),
        (status = "default", description = "An error", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn list(State(api): State<Api>, caller: Caller, uri: Uri, headers: HeaderMap) -> Result<Response> {
    let mut query = Query::of(&uri, Code::InvalidFilter)?;
    let limit = query.integer("limit", 1..=MAX_LIMIT).unwrap_or(DEFAULT_LIMIT);
    let cursor = query.one("cursor");
    let scope = caller.scope_of(&mut query);
    query.done()?;
    let query = hash_of(&("approvals", &scope));
    let after = match &cursor {
        None => None,
        Some(text) => {
            let After { finished_at, id } = Cursor::read(text, &query).ok_or_else(bad_cursor)?.after;
            Some((finished_at.ok_or_else(bad_cursor)?, id))
        }
    };
    let Awaiting { tasks, next } = rows(&api, &scope, after, limit).await?;
    // Its order is by another time than a list's, and as total.
    let cursor = |(run_at, id)| Cursor { after: After { finished_at: Some(run_at), id }, as_of: Time(0) };
    let next = next.map(|next| cursor(next).write(&query));
    let now = api.now();
    let rows = tasks.iter().map(|task| TaskView::whole(api.queue.types(), task, now).seen_by(caller.role)).collect();
    let body = to_json(&TaskList { tasks: rows, next_cursor: next.as_deref() });
    let mut response = etag::json(&headers, &etag::of(body.as_bytes()), body);
    if let Some(next) = next
        && let Ok(link) =
            HeaderValue::from_str(&format!("<{}>; rel=\"next\"", next_page("/api/approvals", &uri, &next)))
    {
        response.headers_mut().insert(header::LINK, link);
    }
    Ok(response)
}

/// The rows of a page, read as far as they fit into memory: each may have 1 MiB of params.
async fn rows(api: &Api, scope: &Scope, after: Option<Turn>, limit: i64) -> Result<Awaiting> {
    let (mut page, mut bytes) = (Awaiting { tasks: Vec::new(), next: after }, 0);
    loop {
        let missing = limit - page.tasks.len() as i64;
        let chunk = missing.min(fitting(FULL_BYTES, bytes, page.tasks.len(), FIRST_FULL));
        // One more tells whether there is another page.
        let Awaiting { mut tasks, mut next } = api.queue.awaiting(scope, page.next, chunk + 1).await?;
        let more = tasks.len() as i64 > chunk;
        if more {
            tasks.truncate(chunk as usize);
            next = tasks.last().map(|last| (last.run_at, last.id));
        }
        bytes += tasks.iter().map(weight).sum::<usize>();
        page.tasks.append(&mut tasks);
        page.next = next;
        if !more || page.tasks.len() as i64 >= limit || bytes > FULL_BYTES {
            return Ok(page);
        }
    }
}

/// Lets a task run that waits for an approval: at once, or at `run_at`, which stands in the place of the time it was
/// submitted for. Approved, rejected or cancelled already: 409.
#[utoipa::path(
    post, path = "/api/tasks/{id}/approve", tag = "approvals", request_body = Option<super::openapi::Approve>,
    params(("id" = String, Path, format = "uuid")),
    responses(
        (status = 200, description = "It may run", body = TaskView),
        (status = "default", description = "An error", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn approve(State(api): State<Api>, caller: Caller, Path(id): Path<String>, request: Request) -> Result<Response> {
    query::none(request.uri())?;
    let body = body::json_or_none(request, MAX_BODY_BYTES).await?;
    let mut fields = Fields::of(body.as_ref().map_or("{}", Json::text), "");
    let run_at = fields.time("run_at");
    fields.done(Code::InvalidRequest)?;
    let task = api.queue.approve(&caller.scope, task_id(&id)?, caller.by(), run_at).await?;
    Ok(whole(&api, &caller, StatusCode::OK, &task))
}

/// Ends a task that waits for an approval: it is `CANCELLED`, with the code `rejected` and the reason as its error. A
/// retry of it waits for an approval again.
#[utoipa::path(
    post, path = "/api/tasks/{id}/reject", tag = "approvals", request_body = Option<super::openapi::Reject>,
    params(("id" = String, Path, format = "uuid")),
    responses(
        (status = 200, description = "It is CANCELLED", body = TaskView),
        (status = "default", description = "An error", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn reject(State(api): State<Api>, caller: Caller, Path(id): Path<String>, request: Request) -> Result<Response> {
    query::none(request.uri())?;
    let body = body::json_or_none(request, MAX_BODY_BYTES).await?;
    let mut fields = Fields::of(body.as_ref().map_or("{}", Json::text), "");
    let reason = fields.text("reason", |reason| text::free(reason, MAX_REASON)).unwrap_or_default();
    fields.done(Code::InvalidRequest)?;
    let task = api.queue.reject(&caller.scope, task_id(&id)?, caller.by(), &reason).await?;
    Ok(whole(&api, &caller, StatusCode::OK, &task))
}
