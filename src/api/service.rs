//! The service itself: is it well, what is it, what can it do.

use super::draft::MAX_PARAMS_BYTES;
use super::problem::{Body as ProblemBody, Code, Problem, Result};
use super::submit::{MAX_BATCH_BYTES, MAX_BATCH_ROWS};
use super::{Api, MAX_WAIT_SECONDS, json_response, list, stats, to_json};
use crate::queue;
use crate::store::Database;
use crate::task::Time;
use crate::types::Types;
use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use std::time::Duration;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// A database that does not answer for so long is not there.
const PING: Duration = Duration::from_secs(2);

/// The routes.
pub fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(health))
        .routes(routes!(api_health))
        .routes(routes!(ready))
        .routes(routes!(live))
        .routes(routes!(version))
        .routes(routes!(status))
}

/// That the service is well.
#[derive(Serialize, ToSchema)]
struct Health {
    /// Always `ok`; else the answer is 503.
    status: &'static str,
    version: &'static str,
    /// `sqlite` or `postgres`.
    database: &'static str,
    uptime_seconds: u64,
    /// The shared clock.
    #[schema(value_type = String, format = DateTime)]
    time: Time,
}

/// Whether the service can do its work.
#[utoipa::path(
    get, path = "/api/health", tag = "service",
    responses(
        (status = 200, description = "It is well", body = Health),
        (status = 503, description = "The database cannot be reached", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn api_health(State(api): State<Api>) -> Result<Response> {
    api.ping().await?;
    let health = Health {
        status: "ok",
        version: api.node.version,
        database: api.queue.store().database().word(),
        uptime_seconds: api.node.started.elapsed().as_secs(),
        time: api.now(),
    };
    Ok(json_response(StatusCode::OK, Body::from(to_json(&health))))
}

/// The same as `/api/health`.
#[utoipa::path(get, path = "/health", tag = "service", responses((status = 200, description = "It is well", body = Health)))]
async fn health(api: State<Api>) -> Result<Response> {
    api_health(api).await
}

/// A bare word.
#[derive(Serialize, ToSchema)]
struct Word {
    status: &'static str,
}

/// Whether this node should get requests: migrated, the database can be read and written, the file store has
/// answered once, not shutting down.
#[utoipa::path(
    get, path = "/api/ready", tag = "service",
    responses(
        (status = 200, description = "It should", body = Word),
        (status = 503, description = "It should not", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn ready(State(api): State<Api>) -> Result<Response> {
    api.taking()?;
    api.answers(api.queue.well()).await?;
    Ok(json_response(StatusCode::OK, Body::from(to_json(&Word { status: "ready" }))))
}

/// Whether the process answers at all.
#[utoipa::path(get, path = "/api/live", tag = "service", responses((status = 200, description = "It does", body = Word)))]
pub async fn live() -> Response {
    json_response(StatusCode::OK, Body::from(to_json(&Word { status: "ok" })))
}

/// What this node is and takes.
#[derive(Serialize, ToSchema)]
struct Version {
    name: &'static str,
    version: &'static str,
    database: &'static str,
    limits: Limits,
    features: Vec<&'static str>,
    task_types: Vec<String>,
    /// What the page shows first: `all` or `mine`.
    page_scope: String,
}

/// What is refused beyond.
#[derive(Serialize, ToSchema)]
struct Limits {
    params_bytes: u64,
    result_bytes: u64,
    batch_rows: u64,
    batch_bytes: u64,
    bulk_ids: u64,
    log_line_bytes: u64,
    websocket_frame_bytes: u64,
    file_bytes: u64,
    list_rows: u64,
    search_chars: u64,
    wait_seconds: u64,
    /// Tasks that a key may submit a second at this node; null is any number.
    submits_per_second: Option<u32>,
    /// Other changes.
    writes_per_second: Option<u32>,
    reads_per_second: Option<u32>,
    /// Tasks that an owner may have waiting and running; null is any number.
    open_tasks: Option<u64>,
    /// Bytes that an owner's uploads may have together; null is any number.
    stored_bytes: Option<u64>,
}

/// Limits and features.
#[utoipa::path(get, path = "/api/version", tag = "service", responses((status = 200, description = "What this is", body = Version)))]
async fn version(State(api): State<Api>) -> Response {
    let version = Version {
        name: "errand",
        version: api.node.version,
        database: api.queue.store().database().word(),
        limits: Limits {
            params_bytes: MAX_PARAMS_BYTES as u64,
            result_bytes: MAX_PARAMS_BYTES as u64,
            batch_rows: MAX_BATCH_ROWS as u64,
            batch_bytes: MAX_BATCH_BYTES as u64,
            bulk_ids: super::filter::MAX_IDS as u64,
            log_line_bytes: 8 * 1024,
            websocket_frame_bytes: super::live::MAX_MESSAGE as u64,
            file_bytes: api.node.max_file_bytes,
            list_rows: list::MAX_LIMIT as u64,
            search_chars: super::filter::MAX_SEARCH as u64,
            wait_seconds: MAX_WAIT_SECONDS,
            submits_per_second: api.node.rates.submit,
            writes_per_second: api.node.rates.write,
            reads_per_second: api.node.rates.read,
            open_tasks: api.queue.quotas().open_tasks,
            stored_bytes: api.queue.quotas().stored_bytes,
        },
        features: features(api.queue.store().database(), api.queue.types()),
        task_types: api.queue.types().names(),
        page_scope: api.node.page_scope.clone(),
    };
    json_response(StatusCode::OK, Body::from(to_json(&version)))
}

fn features(database: Database, types: &Types) -> Vec<&'static str> {
    let mut features = vec!["idempotency_keys", "batch", "bulk", "change_log", "files", "artifacts", "export", "live"];
    if database == Database::Postgres {
        features.push("many_nodes");
    }
    if types.get("demo").is_some() {
        features.push("demo");
    }
    features
}

/// How this node is doing.
#[derive(Serialize, ToSchema)]
struct NodeStatus {
    /// `ok`, or `draining` while it shuts down.
    status: &'static str,
    uptime_seconds: u64,
    /// All five states.
    #[schema(value_type = std::collections::BTreeMap<String, i64>)]
    tasks: stats::ByStatus,
    /// Open sockets of this node.
    sockets: usize,
    /// Tasks this node runs at once.
    workers: usize,
}

/// Uptime, counts by status, sockets and workers.
#[utoipa::path(
    get, path = "/api/task/status", tag = "service",
    responses(
        (status = 200, description = "How it is", body = NodeStatus),
        (status = "default", description = "An error", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn status(State(api): State<Api>, caller: super::caller::Caller) -> Result<Response> {
    let numbers = api.queue.stats(&caller.scope).await?;
    let status = NodeStatus {
        status: if api.taking().is_ok() { "ok" } else { "draining" },
        uptime_seconds: api.node.started.elapsed().as_secs(),
        tasks: stats::by_status(&numbers.counts),
        sockets: api.sockets(),
        workers: api.node.workers,
    };
    Ok(json_response(StatusCode::OK, Body::from(to_json(&status))))
}

impl Api {
    /// Asks the database something small.
    async fn ping(&self) -> Result<()> {
        self.answers(self.queue.store().now()).await.map(drop)
    }

    /// 503 unless the database answers soon, and well.
    async fn answers<T, E: Into<queue::Error>>(
        &self,
        question: impl Future<Output = std::result::Result<T, E>>,
    ) -> Result<T> {
        let lost = || Problem::new(Code::Unavailable, "the database cannot be reached, or not be written");
        tokio::time::timeout(PING, question).await.map_err(|_| lost())?.map_err(|error| match error.into() {
            queue::Error::Files(error) => error.into(),
            error => {
                error.tell("the database did not answer a ping");
                lost()
            }
        })
    }
}
