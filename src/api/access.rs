//! The table of routes: who may call each. A route without a line is nobody's.

use super::Api;
use super::caller;
use super::common::Peer;
use super::host;
use super::problem::{Code, Problem, Result};
use super::rates::Bucket;
use super::tickets;
use super::trail::Trail;
use crate::queue::keys::Identity;
use crate::task::Role;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::collections::HashMap;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

/// Who may call a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Whoever comes; no key is looked at.
    Open,
    /// The holder of a key with one of these roles; everybody where no key is needed.
    Only(&'static [Role]),
}

const READERS: Access = Access::Only(&[Role::Admin, Role::Submit, Role::Read]);
const SUBMITTERS: Access = Access::Only(&[Role::Admin, Role::Submit]);
const ADMINS: Access = Access::Only(&[Role::Admin]);
const KEYS: Access = Access::Only(&[Role::Admin, Role::Submit, Role::Read, Role::Worker]);
const OPEN: Access = Access::Open;

/// Every route. GET is HEAD too. A role's refusal (403) comes before anything else about a request, so
/// before what is missing (404).
pub const TABLE: &[(&str, &str, Access)] = &[
    ("POST", "/api/tasks/submit", SUBMITTERS),
    ("POST", "/api/tasks/batch", SUBMITTERS),
    ("POST", "/api/task/start", SUBMITTERS),
    ("GET", "/api/tasks", READERS),
    ("GET", "/api/tasks/changes", READERS),
    ("GET", "/api/tasks/export", READERS),
    ("POST", "/api/tasks/cancel", SUBMITTERS),
    ("POST", "/api/tasks/retry", SUBMITTERS),
    ("GET", "/api/tasks/{id}", READERS),
    ("DELETE", "/api/tasks/{id}", SUBMITTERS),
    ("POST", "/api/tasks/{id}/retry", SUBMITTERS),
    ("POST", "/api/tasks/{id}/clone", SUBMITTERS),
    ("POST", "/api/tasks/{id}/approve", ADMINS),
    ("POST", "/api/tasks/{id}/reject", ADMINS),
    ("GET", "/api/approvals", READERS),
    ("GET", "/api/tasks/{id}/timeline", READERS),
    ("GET", "/api/tasks/{id}/attempts", READERS),
    ("GET", "/api/tasks/{id}/logs", READERS),
    ("GET", "/api/tasks/{id}/explain", READERS),
    ("GET", "/api/tasks/{id}/artifacts", READERS),
    ("GET", "/api/tasks/{id}/artifacts/{name}", READERS),
    ("GET", "/api/tasks/{id}/artifacts/{name}/preview", READERS),
    ("POST", "/api/files", SUBMITTERS),
    ("GET", "/api/files/{id}", READERS),
    ("GET", "/api/files/{id}/preview", READERS),
    ("DELETE", "/api/files/{id}", SUBMITTERS),
    ("GET", "/api/task-types", KEYS),
    ("GET", "/api/task-types/{type}", KEYS),
    ("GET", "/api/events", READERS),
    // Whoever connects says who it is then, or is turned away.
    ("GET", "/ws", OPEN),
    ("GET", "/ws/stream", OPEN),
    ("GET", "/ws/metrics", OPEN),
    ("GET", "/ws/activity", OPEN),
    ("GET", "/ws/notifications", OPEN),
    ("GET", "/ws/approvals", OPEN),
    ("GET", "/api/stats", READERS),
    ("GET", "/api/stats/timeseries", READERS),
    ("GET", "/api/costs", READERS),
    ("GET", "/api/queues", READERS),
    ("GET", "/api/task/status", READERS),
    // Numbers of all owners together.
    ("GET", "/metrics", ADMINS),
    // An admin sees everybody's.
    ("GET", "/api/activity", READERS),
    ("GET", "/api/activity/export", READERS),
    // Of the owner's own tasks, an admin's too. What is marked is the owner's, so it takes a key that may change something of it.
    ("GET", "/api/notifications", READERS),
    ("DELETE", "/api/notifications", SUBMITTERS),
    ("POST", "/api/notifications/read", SUBMITTERS),
    ("POST", "/api/notifications/unread", SUBMITTERS),
    ("GET", "/api/notifications/muted", READERS),
    ("PATCH", "/api/notifications/muted", SUBMITTERS),
    ("GET", "/api/keys", ADMINS),
    ("POST", "/api/keys", ADMINS),
    ("DELETE", "/api/keys/{id}", ADMINS),
    ("POST", "/api/keys/{id}/rotate", ADMINS),
    // It opens what readers may follow.
    ("POST", "/api/tickets", READERS),
    ("GET", "/api/me", KEYS),
    // It looks at the key in its body.
    ("POST", "/api/session", OPEN),
    ("DELETE", "/api/session", KEYS),
    ("GET", "/health", OPEN),
    ("GET", "/api/health", OPEN),
    ("GET", "/api/ready", OPEN),
    ("GET", "/api/live", OPEN),
    ("GET", "/api/version", OPEN),
    ("GET", "/api/openapi.json", OPEN),
    ("GET", "/", OPEN),
    ("GET", "/static/{*path}", OPEN),
    ("GET", "/favicon.ico", OPEN),
    ("GET", "/tasks", OPEN),
    ("GET", "/tasks/{id}", OPEN),
    ("GET", "/submit", OPEN),
    ("GET", "/settings", OPEN),
    ("GET", "/insights", OPEN),
    ("GET", "/activity", OPEN),
    ("GET", "/notifications", OPEN),
    ("GET", "/approvals", OPEN),
    ("GET", "/docs", OPEN),
    ("GET", "/docs/{*chapter}", OPEN),
    ("GET", "/index.html", OPEN),
];

/// The lines of each path.
static BY_PATH: LazyLock<HashMap<&str, Vec<(Method, Access)>>> = LazyLock::new(|| {
    let mut by_path: HashMap<&str, Vec<(Method, Access)>> = HashMap::new();
    for (method, path, access) in TABLE {
        let method = Method::from_bytes(method.as_bytes()).expect("the table names methods");
        by_path.entry(path).or_default().push((method, *access));
    }
    by_path
});

/// An answer that took longer is given only to who would be let in again: `wait` holds one for a minute.
const LONG: Duration = Duration::from_secs(1);

/// Lets a request pass to its route if the table says so, with who calls; stands before all of them.
pub async fn guard(State(api): State<Api>, mut request: Request, next: Next) -> Response {
    let admitted = async {
        let Some(identity) = admit(&api, &mut request).await? else { return Ok((None, None)) };
        let path = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
        let bucket = api.rates.bucket(request.method(), path, &identity);
        bucket.as_ref().map_or(Ok(()), Bucket::take)?;
        Ok((Some(identity), bucket))
    };
    let (identity, bucket) = match admitted.await {
        Ok(admitted) => admitted,
        Err::<_, Problem>(problem) => return problem.into_response(),
    };
    let (begun, reads) = (Instant::now(), matches!(*request.method(), Method::GET | Method::HEAD));
    let mut response = next.run(request).await;
    if let Some(bucket) = bucket {
        bucket.tell(&mut response);
    }
    match identity {
        // What was changed was changed, and is told.
        Some(identity) if reads && begun.elapsed() > LONG => match api.keys.still(&identity).await {
            Ok(()) => response,
            Err(refused) => caller::refused(refused).into_response(),
        },
        _ => response,
    }
}

/// Who is let in; `None` where nobody is asked.
async fn admit(api: &Api, request: &mut Request) -> Result<Option<Arc<Identity>>> {
    let path = request.extensions().get::<MatchedPath>();
    let lines = path.and_then(|path| BY_PATH.get(path.as_str())).map(Vec::as_slice).unwrap_or_default();
    if let (Some(trail), Some(path)) = (Trail::on(request), path) {
        trail.came_to(path);
    }
    let method = if request.method() == Method::HEAD { &Method::GET } else { request.method() };
    match lines.iter().find(|(known, _)| known == method).map(|(_, access)| access) {
        Some(Access::Open) => Ok(None),
        Some(Access::Only(roles)) => {
            host::check(api, request.headers()).await?;
            let ticket = path.and_then(|path| tickets::of(path.as_str(), request.uri()));
            let identity = match ticket {
                Some(ticket) => tickets::holder(api, &ticket).await.map(|holder| {
                    request.extensions_mut().insert(holder.clone());
                    holder.identity
                }),
                None => {
                    let peer = request.extensions().get::<Peer>().copied();
                    caller::identify(api, peer, request.method(), request.headers()).await
                }
            };
            if let Some(trail) = Trail::on(request) {
                match &identity {
                    Ok(identity) => trail.is_of(identity),
                    Err(_) => trail.claims(&api.keys, caller::key_of(request.headers())).await,
                }
            }
            let identity = identity?;
            if !roles.contains(&identity.role) {
                let detail = format!("a key with the role {} may not do this", identity.role.word());
                return Err(Problem::new(Code::Forbidden, detail));
            }
            request.extensions_mut().insert(identity.clone());
            Ok(Some(identity))
        }
        None => Err(not_allowed(lines)),
    }
}

fn not_allowed(lines: &[(Method, Access)]) -> Problem {
    let word = |(method, _): &(Method, Access)| match *method {
        Method::GET => "GET,HEAD".to_owned(),
        ref method => method.to_string(),
    };
    let allow = lines.iter().map(word).collect::<Vec<_>>().join(",");
    let problem = Problem::of_status(axum::http::StatusCode::METHOD_NOT_ALLOWED);
    problem.with_header(header::ALLOW, HeaderValue::from_str(&allow).unwrap_or(HeaderValue::from_static("")))
}
