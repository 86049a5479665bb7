//! `GET /ws` and its siblings: from a request to a socket.

use super::super::Api;
use super::super::caller::MAX_CLIENT_ID;
use super::super::problem::{Code, Problem, Result};
use super::super::query::Query;
use super::asked::Topic;
use super::sign::{PROTOCOL, sign_in};
use super::socket::{Socket, Terms};
use super::{MAX_MESSAGE, Place};
use crate::task::text;
use axum::extract::ws::{WebSocketUpgrade, rejection::WebSocketUpgradeRejection};
use axum::extract::{FromRequestParts, Request, State};
use axum::http::{HeaderMap, StatusCode, header, uri::Authority};
use axum::response::Response;
use axum::routing::{MethodRouter, get};
use utoipa_axum::router::OpenApiRouter;

/// Each socket has a buffer of this size to read into; what is larger is read piece by piece.
const READ_BUFFER: usize = 4 * 1024;
/// A frame is written as soon as it is there. This is more than any frame has.
const MAX_WRITE_BUFFER: usize = 4 * 1024 * 1024;

/// The routes.
pub fn router() -> OpenApiRouter<Api> {
    let routes = OpenApiRouter::new().route("/ws", subscribed_to(None));
    [Topic::Metrics, Topic::Activity, Topic::Stream, Topic::Approvals]
        .into_iter()
        .fold(routes, |routes, topic| routes.route(&format!("/ws/{}", topic.word()), subscribed_to(Some(topic))))
}

fn subscribed_to(topic: Option<Topic>) -> MethodRouter<Api> {
    get(move |State(api): State<Api>, request: Request| upgrade(api, topic, request))
}

async fn upgrade(api: Api, topic: Option<Topic>, request: Request) -> Result<Response> {
    let (mut parts, _) = request.into_parts();
    check_origin(&parts.headers)?;
    let upgrade = WebSocketUpgrade::from_request_parts(&mut parts, &api).await;
    let upgrade = upgrade.map_err(|wrong: WebSocketUpgradeRejection| {
        Problem::new(Code::BadRequest, format!("this address is for WebSockets: {wrong}"))
    })?;
    let mut query = Query::of(&parts.uri, Code::InvalidRequest)?;
    let client_id = query.read("client_id", format!("must be 1 to {MAX_CLIENT_ID} plain characters"), |id| {
        text::label(id, MAX_CLIENT_ID).is_none().then(|| id.to_owned())
    });
    let (all, after) = (scope(&mut query), query.integer("after_seq", 0..=i64::MAX));
    query.done()?;
    let signed = match sign_in(&api, &parts.headers, None).await {
        // A browser's page sees no status of a refused socket: it is told in a frame.
        Err(problem) if problem.code().status() != StatusCode::UNAUTHORIZED => return Err(problem),
        signed => signed,
    };
    let place = Place::take(&api)?;
    let follower = api.queue.follow().await?;
    let headers = parts.headers;
    let terms = Terms { topic, client_id, all, after };
    let upgrade = upgrade.protocols([PROTOCOL]).read_buffer_size(READ_BUFFER).write_buffer_size(0);
    let upgrade = upgrade.max_message_size(MAX_MESSAGE).max_frame_size(MAX_MESSAGE);
    let upgrade = upgrade.max_write_buffer_size(MAX_WRITE_BUFFER);
    Ok(upgrade
        .on_upgrade(move |socket| Box::pin(Socket::new(api, socket, follower, place).run(signed, headers, terms))))
}

/// Whether all of the owner's tasks are asked for, and not only a client's.
pub fn scope(query: &mut Query) -> bool {
    query.read("scope", "must be owner", |word| (word == "owner").then_some(())).is_some()
}

/// Refuses pages of other sites: a browser would lend them what it keeps for this one.
fn check_origin(headers: &HeaderMap) -> Result<()> {
    let Some(origin) = headers.get(header::ORIGIN) else { return Ok(()) };
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    match origin.to_str().is_ok_and(|origin| is_same_site(origin, host)) {
        true => Ok(()),
        false => Err(Problem::new(Code::Forbidden, "a page of another origin may not connect here")),
    }
}

/// Whether a page of this origin came from this host, its port as the scheme says it where none is named.
fn is_same_site(origin: &str, host: &str) -> bool {
    let Some((scheme, authority)) = origin.split_once("://") else { return false };
    let port = match scheme {
        "http" => 80,
        "https" => 443,
        _ => return false,
    };
    let read = |text: &str| {
        let authority: Authority = text.parse().ok()?;
        Some((authority.host().to_ascii_lowercase(), authority.port_u16().unwrap_or(port)))
    };
    read(authority).is_some_and(|origin| read(host) == Some(origin))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_page_of_this_host_is_of_this_site() {
        for (origin, host) in [
            ("http://127.0.0.1:8080", "127.0.0.1:8080"),
            ("https://errand.example", "Errand.example:443"),
            ("http://[::1]:80", "[::1]"),
        ] {
            assert!(is_same_site(origin, host), "{origin} {host}");
        }
        for (origin, host) in [
            ("null", "a"),
            ("", "a"),
            ("http://evil.example", "a"),
            ("http://a:81", "a"),
            ("https://a", "a:80"),
            ("http://a.evil.example", "a"),
            ("http://evil@a", ""),
            ("file://a", "a"),
            ("chrome-extension://a", "a"),
        ] {
            assert!(!is_same_site(origin, host), "{origin} {host}");
        }
    }
}
