//! What a request leaves: one entry of who did what, for each that changes something and each that was denied.
//!
//! This is the one place where they are made. Plain reads leave nothing. Of a request only what is named here is
//! kept: never its body, its query, or a key.

use super::common::Peer;
use super::problem::{Code, Problem};
use super::{Api, caller, id_of};
use crate::queue::Journal;
use crate::queue::keys::{Identity, Keys};
use crate::task::{Action, Activity, Ending, text};
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::Response;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

/// What each route that changes something does.
pub const ACTIONS: &[(&str, &str, Action)] = &[
    ("POST", "/api/tasks/submit", Action::TaskSubmitted),
    ("POST", "/api/tasks/batch", Action::TaskSubmitted),
    ("POST", "/api/task/start", Action::TaskSubmitted),
    ("POST", "/api/tasks/{id}/clone", Action::TaskSubmitted),
    ("POST", "/api/tasks/cancel", Action::TaskCancelled),
    ("DELETE", "/api/tasks/{id}", Action::TaskCancelled),
    ("POST", "/api/tasks/retry", Action::TaskRetried),
    ("POST", "/api/tasks/{id}/retry", Action::TaskRetried),
    ("POST", "/api/tasks/{id}/approve", Action::TaskApproved),
    ("POST", "/api/tasks/{id}/reject", Action::TaskRejected),
    ("POST", "/api/files", Action::FileUploaded),
    ("DELETE", "/api/files/{id}", Action::FileDeleted),
    ("POST", "/api/keys", Action::KeyCreated),
    ("DELETE", "/api/keys/{id}", Action::KeyRevoked),
    ("POST", "/api/keys/{id}/rotate", Action::KeyRotated),
    ("POST", "/api/session", Action::SessionOpened),
    ("DELETE", "/api/session", Action::SessionClosed),
    ("POST", "/api/tickets", Action::TicketCreated),
    ("POST", "/api/notifications/read", Action::NotificationRead),
    ("POST", "/api/notifications/unread", Action::NotificationRead),
    ("DELETE", "/api/notifications", Action::NotificationCleared),
    ("PATCH", "/api/notifications/muted", Action::NotificationMuted),
];

/// What becomes known of a request on its way. Cheap to clone.
#[derive(Clone)]
pub struct Trail(Arc<Parts>);

struct Parts {
    method: Method,
    uri: Uri,
    address: Option<IpAddr>,
    client: Option<HeaderValue>,
    request_id: OnceLock<HeaderValue>,
    route: OnceLock<MatchedPath>,
    identity: OnceLock<Arc<Identity>>,
}

/// What a handler says of what it did, with its answer.
#[derive(Debug, Clone, Default)]
pub struct Told {
    /// The id of what was made.
    pub target: Option<String>,
    /// To how many things it was done.
    pub count: Option<i64>,
}

/// Outermost of all: notes what the request left once it is answered, or once its caller has hung up.
pub async fn layer(State(api): State<Api>, mut request: Request, next: Next) -> Response {
    let trail = Trail::of(&request);
    request.extensions_mut().insert(trail.clone());
    let mut unanswered = Unanswered { journal: api.queue.journal(), trail: Some(&trail) };
    let response = next.run(request).await;
    unanswered.trail = None;
    let Some(entry) = trail.entry_of(&response) else { return response };
    let settle = entry.outcome == Ending::Done.word() && matches!(entry.category(), "key" | "session");
    api.queue.journal().note(entry);
    if settle {
        // Who may call: on disk before anybody is told.
        api.queue.journal().settle().await;
    }
    response
}

/// A request that is dropped before it was answered.
struct Unanswered<'a> {
    journal: &'a Journal,
    trail: Option<&'a Trail>,
}

impl Drop for Unanswered<'_> {
    fn drop(&mut self) {
        if let Some(trail) = self.trail
            && let Some(action) = trail.action()
        {
            self.journal.note(trail.entry(action, Ending::Unanswered));
        }
    }
}

impl Trail {
    fn of(request: &Request) -> Trail {
        Trail(Arc::new(Parts {
            method: request.method().clone(),
            uri: request.uri().clone(),
            address: request.extensions().get::<Peer>().map(|peer| peer.0.ip().to_canonical()),
            client: caller::client_header(request.headers()).cloned(),
            request_id: OnceLock::new(),
            route: OnceLock::new(),
            identity: OnceLock::new(),
        }))
    }

    /// The same for whoever outlives the request, as a socket does: the request's own parts would keep all that was read
    /// with it, 8 KiB and more.
    pub fn kept(&self) -> Trail {
        let Parts { method, uri, address, client, request_id, route, identity } = &*self.0;
        let copy = |value: &HeaderValue| HeaderValue::from_bytes(value.as_bytes()).ok();
        let once =
            |value: &OnceLock<HeaderValue>| value.get().and_then(copy).map_or_else(OnceLock::new, OnceLock::from);
        Trail(Arc::new(Parts {
            method: method.clone(),
            uri: uri.path().parse().unwrap_or_default(),
            address: *address,
            client: client.as_ref().and_then(copy),
            request_id: once(request_id),
            route: route.clone(),
            identity: identity.clone(),
        }))
    }

    /// The trail of a request; none where it came past the layer.
    pub fn on(request: &Request) -> Option<&Trail> {
        request.extensions().get()
    }

    /// By which id the request is found again.
    pub fn called(&self, id: &HeaderValue) {
        let _ = self.0.request_id.set(id.clone());
    }

    /// Which route it came to.
    pub fn came_to(&self, route: &MatchedPath) {
        let _ = self.0.route.set(route.clone());
    }

    /// Who sends it.
    pub fn is_of(&self, identity: &Arc<Identity>) {
        let _ = self.0.identity.set(identity.clone());
    }

    /// Who it says it is, where it was not let in: whoever has the key of that id. Of another key nothing is kept.
    pub async fn claims(&self, keys: &Keys, key: Option<&str>) {
        if let Some(key) = key
            && let Some(identity) = keys.claimed(key).await
        {
            self.is_of(&identity);
        }
    }

    /// The entry of what was done beside an answer: over a socket.
    pub fn did(&self, action: Action, target: Option<String>, problem: Option<&Problem>) -> Option<Activity> {
        let status = problem.map_or(StatusCode::OK, |problem| problem.code().status());
        self.ended(Some(action), status, problem.map(Problem::code), Told { target, count: None })
    }

    /// The entry of a socket that was turned away.
    pub fn turned_away(&self, problem: &Problem) -> Option<Activity> {
        self.ended(None, problem.code().status(), Some(problem.code()), Told::default())
    }

    fn entry_of(&self, response: &Response) -> Option<Activity> {
        let extensions = response.extensions();
        let mut told = extensions.get::<Told>().cloned().unwrap_or_default();
        let place = response.headers().get(header::LOCATION).and_then(|place| place.to_str().ok());
        told.target = told.target.or_else(|| place.and_then(|place| place.rsplit('/').next()).map(str::to_owned));
        self.ended(self.action(), response.status(), extensions.get::<Code>().copied(), told)
    }

    /// `None` where there is nothing to write down.
    fn ended(&self, action: Option<Action>, status: StatusCode, code: Option<Code>, told: Told) -> Option<Activity> {
        let denied = matches!(status.as_u16(), 401 | 403 | 429);
        let action = match action {
            Some(Action::SessionOpened) if denied => Action::SessionRefused,
            _ if denied => Action::AccessDenied,
            Some(action) => action,
            None => return None,
        };
        let creates = matches!(action, Action::TaskSubmitted | Action::FileUploaded | Action::KeyCreated);
        let ending = match status.as_u16() {
            _ if denied => Ending::Denied,
            500.. => Ending::Failed,
            400.. => Ending::Refused,
            // It was only tried, or is the first answer again.
            200 if creates => return None,
            _ => Ending::Done,
        };
        let entry = self.entry(action, ending);
        Some(Activity {
            status: Some(i64::from(status.as_u16())),
            code: code.map(|code| code.word().to_owned()),
            target: told.target.or(entry.target),
            count: told.count.unwrap_or(1),
            ..entry
        })
    }

    /// What is known so far.
    fn entry(&self, action: Action, ending: Ending) -> Activity {
        let Parts { method, address, client, request_id, route, identity, .. } = &*self.0;
        let identity = identity.get();
        let client = client.as_ref().map(|client| String::from_utf8_lossy(client.as_bytes()));
        Activity {
            owner: identity.map(|identity| identity.owner.clone()),
            key_id: identity.and_then(|identity| identity.key_id.clone()),
            client_id: client.map(|client| text::escaped(&client, caller::MAX_CLIENT_ID)),
            address: address.map(|address| address.to_string()),
            request_id: request_id.get().and_then(|id| id.to_str().ok()).map(str::to_owned),
            route: route.get().map(|route| format!("{method} {}", route.as_str())),
            target: self.target(),
            ..Activity::new(action, ending)
        }
    }

    /// What its route does.
    fn action(&self) -> Option<Action> {
        let Parts { method, route, .. } = &*self.0;
        if matches!(*method, Method::GET | Method::HEAD) {
            return None;
        }
        let route = route.get()?.as_str();
        let line = ACTIONS.iter().find(|(known, path, _)| *path == route && method.as_str() == *known);
        let (.., action) = line?;
        // A dry run changes nothing, whatever comes of it.
        let is_tried = self.0.uri.query().is_some_and(|query| query.split('&').any(|pair| pair == "dry_run=true"));
        (*action != Action::TaskSubmitted || !is_tried).then_some(*action)
    }

    /// The id in its address; none where that is no id, whatever else it may be.
    fn target(&self) -> Option<String> {
        let route = self.0.route.get()?.as_str().split('/');
        let (_, id) = route.zip(self.0.uri.path().split('/')).find(|(part, _)| *part == "{id}")?;
        let of_key = |id: &str| id.len() == 16 && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        (id_of(id).is_some() || of_key(id)).then(|| id.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::super::TABLE;
    use super::*;

    #[test]
    fn every_route_that_changes_something_says_what_and_no_other() {
        let changes = TABLE.iter().filter(|(method, ..)| *method != "GET").map(|(method, path, _)| (*method, *path));
        let mut changes: Vec<_> = changes.collect();
        let mut told: Vec<_> = ACTIONS.iter().map(|(method, path, _)| (*method, *path)).collect();
        changes.sort_unstable();
        told.sort_unstable();
        assert_eq!(told, changes);
    }
}
