//! HTTP: one resource a file, each ends in `router()`; errors meet HTTP in [`problem`].
//!
//! Handlers are thin: they read the request, call the door ([`Queue`]), and write the answer.

mod access;
mod activity;
mod approvals;
mod artifacts;
mod body;
mod bulk;
mod caller;
mod common;
mod cors;
mod costs;
mod cursor;
mod download;
mod draft;
mod etag;
mod export;
mod fields;
mod files;
mod filter;
mod guesses;
mod history;
mod host;
mod json;
mod keys;
mod known;
mod list;
mod live;
mod multipart;
mod notifications;
mod once;
mod openapi;
mod page;
mod preview;
mod problem;
mod query;
mod queues;
mod rates;
pub mod server;
mod service;
mod session;
mod sniff;
mod stats;
mod stream;
mod submit;
mod task_types;
mod tasks;
mod tickets;
mod trail;
mod wire;

use crate::queue::keys::Keys;
use crate::queue::{self, Queue};
use crate::task::{Scope, Task, Time};
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use guesses::Guesses;
use known::Known;
pub use live::Bounds;
use live::Listeners;
use problem::{Code, Problem, Result};
use rates::Rates;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;
use utoipa_axum::router::OpenApiRouter;
use uuid::Uuid;

pub use access::{Access, TABLE};
pub use axum::Router;
pub use common::Peer;
pub use rates::RateSettings;

/// The longest a caller may wait for an answer, in seconds.
const MAX_WAIT_SECONDS: u64 = 60;
/// An answer that has not begun after so long is given up (503): a wait, a slow body, and some.
const OVERALL: Duration = Duration::from_secs(75);

/// What a node says of itself.
#[derive(Debug, Clone)]
pub struct NodeInfo {
    /// Its version.
    pub version: &'static str,
    /// When it started.
    pub started: Instant,
    /// Tasks it runs at once.
    pub workers: usize,
    /// The folder it writes to.
    pub data_dir: PathBuf,
    /// What its page shows first: `all` or `mine`.
    pub page_scope: String,
    /// Larger uploads are refused.
    pub max_file_bytes: u64,
    /// Pages of these origins may call.
    pub allowed_origins: Vec<String>,
    /// More than that of one key is refused.
    pub rates: RateSettings,
    /// What an hour of run time costs, by type.
    pub cost_per_hour: BTreeMap<String, f64>,
    /// Lines of its log that nobody took.
    pub log_lines_dropped: Arc<AtomicU64>,
}

/// What handlers work with. Every layer and handler of a request has one: to clone it is one count.
#[derive(Clone)]
pub struct Api(Arc<Parts>);

/// What they have of it.
pub struct Parts {
    queue: Queue,
    keys: Keys,
    node: NodeInfo,
    draining: CancellationToken,
    sockets: Arc<AtomicUsize>,
    known: Known,
    bounds: Bounds,
    guesses: Guesses,
    rates: Rates,
    listeners: Arc<Listeners>,
}

impl std::ops::Deref for Api {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl Api {
    /// An API in front of this door, for whoever has one of these keys. Once `draining` is cancelled, `ready` says so, nothing more is
    /// taken in, and whoever waits for a task is answered at once.
    pub fn new(queue: Queue, keys: Keys, node: NodeInfo, draining: CancellationToken) -> Api {
        Api::bounded(queue, keys, node, draining, Bounds::default())
    }

    /// The same with other bounds for sockets.
    pub fn bounded(queue: Queue, keys: Keys, node: NodeInfo, draining: CancellationToken, bounds: Bounds) -> Api {
        let rates = Rates::new(node.rates);
        let (sockets, known, guesses, listeners) = Default::default();
        Api(Arc::new(Parts { queue, keys, node, draining, sockets, known, bounds, guesses, rates, listeners }))
    }

    fn now(&self) -> Time {
        self.queue.clock().now()
    }

    /// How many sockets are open.
    fn sockets(&self) -> usize {
        self.sockets.load(Ordering::Relaxed)
    }

    /// Refuses what creates something while the node shuts down.
    fn taking(&self) -> Result<()> {
        match self.draining.is_cancelled() {
            true => Err(Problem::new(Code::Draining, "this node is shutting down; another one will do it")),
            false => Ok(()),
        }
    }

    /// What `wait` ends in; `None` if the node begins to shut down first.
    async fn unless_draining<T>(&self, wait: impl Future<Output = T>) -> Option<T> {
        self.draining.run_until_cancelled(wait).await
    }

    /// The task once `done` says so, or as it is when the time is up or the node shuts down.
    async fn wait(&self, scope: &Scope, id: Uuid, wait: Duration, done: impl Fn(&Task) -> bool + Send) -> Result<Task> {
        match self.unless_draining(self.queue.wait(scope, id, wait, done)).await {
            Some(task) => Ok(task?),
            None => Ok(self.queue.get(scope, id).await?),
        }
    }
}

/// Everything this node answers.
pub fn router(api: Api) -> Router {
    let json = OpenApiRouter::with_openapi(openapi::base())
        .merge(submit::router())
        .merge(bulk::router())
        .merge(list::router())
        .merge(tasks::router())
        .merge(approvals::router())
        .merge(history::router())
        .merge(artifacts::router())
        .merge(task_types::router())
        .merge(stats::router())
        .merge(activity::router())
        .merge(notifications::router())
        .merge(costs::router())
        .merge(queues::router())
        .merge(service::router())
        .merge(keys::router())
        .merge(session::router())
        .merge(tickets::router())
        .route_layer(middleware::from_fn(json_in_time));
    let others = OpenApiRouter::new()
        .merge(artifacts::downloads())
        .merge(preview::router())
        .merge(files::router())
        .merge(export::router())
        .merge(activity::downloads())
        .merge(live::router())
        .merge(stats::metrics_router());
    let (routes, document) = json.merge(others).split_for_parts();
    let document = openapi::text(document);
    let tag = etag::of(document.as_bytes());
    let document = move |headers: axum::http::HeaderMap| async move { etag::json(&headers, &tag, document) };
    let routes = routes.route("/api/openapi.json", get(document)).merge(page::router());
    // Outermost of what belongs to a route, and around every one.
    let guard = middleware::from_fn_with_state(api.clone(), access::guard);
    let left = middleware::from_fn_with_state(api.clone(), trail::layer);
    let origins = api.node.allowed_origins.clone();
    let routes = routes.route_layer(guard).with_state(api);
    outermost(routes, &origins).layer(left)
}

/// What a node answers before its database has answered it: that it lives, and that it cannot do
/// anything yet.
pub fn starting(allowed_origins: &[String]) -> Router {
    let not_yet = async || Problem::new(Code::Starting, "this node waits for its database; try again in a moment");
    let routes = Router::new().route("/api/live", get(service::live)).fallback(not_yet);
    outermost(routes, allowed_origins)
}

/// These routes within what every request passes.
fn outermost(routes: Router, allowed_origins: &[String]) -> Router {
    // As a fallback of an empty router they are routed after the layer has made the address plain.
    let routes = Router::new().fallback_service(routes).layer(middleware::from_fn(common::layer));
    cors::around(routes, allowed_origins)
}

/// Refuses (406) who accepts neither JSON nor anything: these routes have nothing else. Gives up on an answer that
/// does not begin.
async fn json_in_time(request: Request, next: Next) -> Response {
    if !takes_json(&request) {
        return Problem::new(Code::NotAcceptable, "this address answers application/json").into_response();
    }
    match tokio::time::timeout(OVERALL, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Problem::new(Code::Unavailable, "the answer took too long").into_response(),
    }
}

fn takes_json(request: &Request) -> bool {
    let accepts = |accept: &HeaderValue| {
        let accept = accept.to_str().unwrap_or("*/*").to_ascii_lowercase();
        accept.trim().is_empty() || accept.split(',').any(|media| is_json(media.split(';').next().unwrap_or_default()))
    };
    let mut sent = request.headers().get_all(header::ACCEPT).iter().peekable();
    sent.peek().is_none() || sent.any(accepts)
}

fn is_json(media: &str) -> bool {
    let media = media.trim();
    matches!(media, "*/*" | "application/*" | "application/json") || media.ends_with("+json")
}

/// JSON of a shape of ours.
fn to_json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("wire shapes are plain data")
}

/// An answer in JSON.
fn json_response(status: StatusCode, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// An id in its one form (lower case, with hyphens); `None` for any other text.
fn id_of(text: &str) -> Option<Uuid> {
    let id = Uuid::try_parse(text).ok()?;
    (id.as_hyphenated().encode_lower(&mut Uuid::encode_buffer()) == text).then_some(id)
}

/// The id of a task in an address. What is no id is a task that is not there.
fn task_id(text: &str) -> Result<Uuid> {
    id_of(text).ok_or_else(|| queue::Error::NotFound.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_one_form() {
        let id = "0193c5a0-7b1e-7000-8000-0123456789ab";
        assert!(id_of(id).is_some());
        for text in
            [id.to_uppercase(), id.replace('-', ""), format!("{{{id}}}"), format!("urn:uuid:{id}"), "0".to_owned()]
        {
            assert_eq!(id_of(&text), None, "{text}");
        }
    }
}
