//! The queues: how much waits in each, and since when.

use super::caller::Caller;
use super::problem::{Body as ProblemBody, Code, Result};
use super::query::Query;
use super::stats::{ByStatus, group};
use super::{Api, json_response, to_json};
use crate::queue::Queues;
use crate::task::Time;
use axum::body::Body;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The routes.
pub fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(queues))
}

#[derive(Serialize, ToSchema)]
#[schema(as = Queues)]
struct QueuesView<'a> {
    /// By name.
    queues: Vec<QueueView<'a>>,
}

/// One queue.
#[derive(Serialize, ToSchema)]
#[schema(as = Queue)]
struct QueueView<'a> {
    queue: &'a str,
    /// All five, always. Exact.
    #[schema(value_type = std::collections::BTreeMap<String, i64>)]
    by_status: ByStatus,
    /// Since when its oldest ready task could have run. Null where none is ready, or where all of them lie behind the 500 tasks, of any
    /// queue, that have waited longest in their priority.
    #[schema(value_type = Option<String>, format = DateTime)]
    oldest_ready_at: Option<Time>,
}

/// The queues that the caller has tasks in: how many in which state, and how long the oldest one waits.
#[utoipa::path(
    get, path = "/api/queues", tag = "service",
    params(
        ("owner" = Option<String>, Query, max_length = 100, description = "Only that one's; of those that the caller may see"),
    ),
    responses(
        (status = 200, description = "The queues", body = QueuesView),
        (status = "default", description = "An error", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn queues(State(api): State<Api>, caller: Caller, uri: Uri) -> Result<Response> {
    let mut query = Query::of(&uri, Code::InvalidRequest)?;
    let scope = caller.scope_of(&mut query);
    query.done()?;
    let Queues { counts, oldest_ready } = api.queue.queues(&scope).await?;
    let view = |(queue, by_status)| QueueView { queue, by_status, oldest_ready_at: oldest_ready.get(queue).copied() };
    let queues = group(&counts, |count| &count.queue).into_iter().map(view).collect();
    Ok(json_response(StatusCode::OK, Body::from(to_json(&QueuesView { queues }))))
}
