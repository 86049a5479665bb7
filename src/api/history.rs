//! What happened: the change log, and one task's timeline, attempts, log lines and reasons to wait.

use super::caller::Caller;
use super::problem::{Body as ProblemBody, Code, Result};
use super::query::{self, Query};
use super::wire::{AttemptView, ChangeView, LineView, ReasonView, TransitionView};
use super::{Api, MAX_WAIT_SECONDS, json_response, task_id, to_json};
use crate::store::LineQuery;
use crate::types::Level;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use serde::Serialize;
use std::time::Duration;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

/// The most entries or lines in one answer.
const MAX_LIMIT: i64 = 1000;
/// The entries or lines in one answer when nothing is said.
const DEFAULT_LIMIT: i64 = 100;

/// The routes.
pub fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(changes))
        .routes(routes!(timeline))
        .routes(routes!(attempts))
        .routes(routes!(logs))
        .routes(routes!(explain))
}

/// A piece of the change log.
#[derive(Serialize, ToSchema)]
struct Changes<'a> {
    changes: Vec<ChangeView<'a>>,
    /// What to ask for next, as `after`.
    next: i64,
    /// Whether there is more already.
    has_more: bool,
}

/// Every transition behind `after`, in commit order and without gaps.
#[utoipa::path(
    get, path = "/api/tasks/changes", tag = "history",
    params(
        ("after" = Option<i64>, Query, minimum = 0, description = "The `next` of the answer before; 0 (default) is the beginning"),
        ("limit" = Option<i64>, Query, minimum = 1, maximum = 1000, description = "Default 100"),
        ("wait" = Option<u64>, Query, minimum = 0, maximum = 60, description = "Seconds to wait while there is none"),
    ),
    responses(
        (status = 200, description = "The entries", body = Changes),
        (status = "default", description = "An error", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn changes(State(api): State<Api>, caller: Caller, uri: Uri) -> Result<Response> {
    let mut query = Query::of(&uri, Code::InvalidRequest)?;
    let after = query.integer("after", 0..=i64::MAX).unwrap_or(0);
    let limit = query.integer("limit", 1..=MAX_LIMIT).unwrap_or(DEFAULT_LIMIT);
    let wait = query.integer("wait", 0..=MAX_WAIT_SECONDS).unwrap_or(0);
    query.done()?;
    let look = |seconds| api.queue.changes(&caller.scope, after, limit, Duration::from_secs(seconds));
    let page = match api.unless_draining(look(wait)).await {
        Some(page) => page?,
        None => look(0).await?,
    };
    let changes = page.entries.iter().map(ChangeView::from).collect();
    Ok(ok(&Changes { changes, next: page.next, has_more: page.has_more }))
}

/// A task's history, oldest first.
#[derive(Serialize, ToSchema)]
struct Timeline<'a> {
    timeline: Vec<TransitionView<'a>>,
}

/// Each transition of a task; the submit is the first.
#[utoipa::path(
    get, path = "/api/tasks/{id}/timeline", tag = "history",
    params(("id" = String, Path, format = "uuid")),
    responses(
        (status = 200, description = "The history", body = Timeline),
        (status = "default", description = "An error", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn timeline(State(api): State<Api>, caller: Caller, Path(id): Path<String>, uri: Uri) -> Result<Response> {
    query::none(&uri)?;
    let timeline = api.queue.timeline(&caller.scope, task_id(&id)?).await?;
    Ok(ok(&Timeline { timeline: timeline.iter().map(TransitionView::from).collect() }))
}

/// A task's attempts, oldest first.
#[derive(Serialize, ToSchema)]
struct Attempts<'a> {
    attempts: Vec<AttemptView<'a>>,
}

/// Each attempt of a task.
#[utoipa::path(
    get, path = "/api/tasks/{id}/attempts", tag = "history",
    params(("id" = String, Path, format = "uuid")),
    responses(
        (status = 200, description = "The attempts", body = Attempts),
        (status = "default", description = "An error", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn attempts(State(api): State<Api>, caller: Caller, Path(id): Path<String>, uri: Uri) -> Result<Response> {
    query::none(&uri)?;
    let attempts = api.queue.attempts(&caller.scope, task_id(&id)?).await?;
    Ok(ok(&Attempts { attempts: attempts.iter().map(AttemptView::from).collect() }))
}

/// A task's log lines, oldest first.
#[derive(Serialize, ToSchema)]
struct Lines<'a> {
    logs: Vec<LineView<'a>>,
    /// What to ask for next, as `after`.
    next: i64,
}

/// Log lines of a task.
#[utoipa::path(
    get, path = "/api/tasks/{id}/logs", tag = "history",
    params(
        ("id" = String, Path, format = "uuid"),
        ("after" = Option<i64>, Query, minimum = 0, description = "The `next` of the answer before"),
        ("level" = Option<String>, Query, description = "`debug`, `info`, `warn` or `error`: this one and above"),
        ("attempt" = Option<i64>, Query, minimum = 1, description = "Only of this attempt"),
        ("limit" = Option<i64>, Query, minimum = 1, maximum = 1000, description = "Default 100"),
    ),
    responses(
        (status = 200, description = "The lines", body = Lines),
        (status = "default", description = "An error", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn logs(State(api): State<Api>, caller: Caller, Path(id): Path<String>, uri: Uri) -> Result<Response> {
    let mut query = Query::of(&uri, Code::InvalidRequest)?;
    let level = query.read("level", "must be debug, info, warn or error", |word| {
        Level::ALL.into_iter().find(|level| level.word() == word)
    });
    let wanted = LineQuery {
        after: query.integer("after", 0..=i64::MAX).unwrap_or(0),
        level: level.map_or(0, |level| level as i64),
        attempt: query.integer("attempt", 1..=i64::MAX),
        limit: query.integer("limit", 1..=MAX_LIMIT).unwrap_or(DEFAULT_LIMIT),
    };
    query.done()?;
    let lines = api.queue.lines(&caller.scope, task_id(&id)?, &wanted).await?;
    let next = lines.last().map_or(wanted.after, |line| line.seq);
    Ok(ok(&Lines { logs: lines.iter().map(LineView::from).collect(), next }))
}

/// Why a task is not running.
#[derive(Serialize, ToSchema)]
struct Explained<'a> {
    #[schema(value_type = String, format = "uuid")]
    id: Uuid,
    #[schema(value_type = super::wire::StatusView)]
    status: &'static str,
    phase: &'static str,
    /// Empty while it runs.
    reasons: Vec<ReasonView<'a>>,
}

/// Why a task is not running: every reason, since when, and what would help.
#[utoipa::path(
    get, path = "/api/tasks/{id}/explain", tag = "history",
    params(("id" = String, Path, format = "uuid")),
    responses(
        (status = 200, description = "The reasons", body = Explained),
        (status = "default", description = "An error", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn explain(State(api): State<Api>, caller: Caller, Path(id): Path<String>, uri: Uri) -> Result<Response> {
    query::none(&uri)?;
    let (task, reasons) = api.queue.explain(&caller.scope, task_id(&id)?).await?;
    let reasons = reasons.iter().map(ReasonView::from).collect();
    let (status, phase) = (task.status.word(), task.phase(api.now()));
    Ok(ok(&Explained { id: task.id, status, phase, reasons }))
}

fn ok(body: &impl Serialize) -> Response {
    json_response(StatusCode::OK, Body::from(to_json(body)))
}
