//! `GET /ws`: from a request to a socket.

use super::super::Api;
use super::super::caller::MAX_CLIENT_ID;
use super::super::common::Peer;
use super::super::cors::Listed;
use super::super::problem::{Code, Problem, Result};
use super::super::query::Query;
use super::super::session;
use super::super::trail::Trail;
use super::asked::Topic;
use super::entries::Wanted;
use super::sign::{PROTOCOL, sign_in, sign_in_by_ticket};
use super::socket::Socket;
use super::subscribed::Terms;
use super::{MAX_MESSAGE, Place};
use crate::task::text;
use axum::extract::ws::{WebSocketUpgrade, rejection::WebSocketUpgradeRejection};
use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::Response;
use axum::routing::get;
use utoipa_axum::router::OpenApiRouter;

/// Each socket has a buffer of this size to read into; what is larger is read piece by piece.
const READ_BUFFER: usize = 4 * 1024;
/// A frame is written as soon as it is there. This is more than any frame has.
const MAX_WRITE_BUFFER: usize = 4 * 1024 * 1024;

/// The routes.
pub fn router() -> OpenApiRouter<Api> {
    let to = |topic, all| get(move |State(api): State<Api>, request: Request| upgrade(api, request, topic, all));
    OpenApiRouter::new()
        .route("/ws", to(Topic::Tasks, false))
        .route("/ws/stream", to(Topic::Tasks, true))
        .route("/ws/metrics", to(Topic::Metrics, false))
        .route("/ws/activity", to(Topic::Activity, false))
        .route("/ws/notifications", to(Topic::Notifications, false))
        .route("/ws/approvals", to(Topic::Approvals, false))
}

/// A socket that is subscribed to this topic, `all`: of the owner, without being asked.
async fn upgrade(api: Api, request: Request, topic: Topic, all: bool) -> Result<Response> {
    let trail = Trail::on(&request).ok_or_else(|| Problem::internal("a request without a trail"))?.kept();
    let (mut parts, _) = request.into_parts();
    check_origin(&parts)?;
    let upgrade = WebSocketUpgrade::from_request_parts(&mut parts, &api).await;
    let upgrade = upgrade.map_err(|wrong: WebSocketUpgradeRejection| {
        Problem::new(Code::BadRequest, format!("this address is for WebSockets: {wrong}"))
    })?;
    let mut query = Query::of(&parts.uri, Code::InvalidRequest)?;
    let client_id = query.read("client_id", format!("must be 1 to {MAX_CLIENT_ID} plain characters"), |id| {
        text::label(id, MAX_CLIENT_ID).is_none().then(|| id.to_owned())
    });
    let all = scope(&mut query) || all;
    let numbered = matches!(topic, Topic::Tasks | Topic::Approvals);
    let after = numbered.then(|| query.integer("after_seq", 0..=i64::MAX)).flatten();
    let ticket = query.one("ticket");
    let entries = match topic {
        Topic::Activity => Wanted::of_query(&mut query),
        _ => Wanted::default(),
    };
    query.done()?;
    let peer = parts.extensions.get::<Peer>().copied();
    let signed = match &ticket {
        Some(ticket) => sign_in_by_ticket(&api, &trail, &parts.headers, ticket).await,
        None => sign_in(&api, &trail, peer, &parts.headers, None).await,
    };
    let signed = match signed {
        // A browser's page sees no status of a refused socket: it is told in a frame.
        Err(problem) if problem.code().status() != StatusCode::UNAUTHORIZED => return Err(problem),
        signed => signed,
    };
    let place = Place::take(&api)?;
    let follower = match topic {
        Topic::Tasks => Some(api.queue.follow().await?),
        Topic::Metrics | Topic::Activity | Topic::Notifications | Topic::Approvals => None,
    };
    let headers = parts.headers;
    let terms = Terms { topic, client_id, all, after, entries };
    let upgrade = upgrade.protocols([PROTOCOL]).read_buffer_size(READ_BUFFER).write_buffer_size(0);
    let upgrade = upgrade.max_message_size(MAX_MESSAGE).max_frame_size(MAX_MESSAGE);
    let upgrade = upgrade.max_write_buffer_size(MAX_WRITE_BUFFER);
    Ok(upgrade.on_upgrade(move |socket| {
        Box::pin(Socket::new(api, socket, follower, place, trail).run(signed, headers, peer, terms))
    }))
}

/// Whether all of the owner's tasks are asked for, and not only a client's.
pub fn scope(query: &mut Query) -> bool {
    query.read("scope", "must be owner", |word| (word == "owner").then_some(())).is_some()
}

/// Refuses pages of other sites: a browser would lend them what it keeps for this one.
/// Of a listed origin no cookie comes to here.
fn check_origin(parts: &Parts) -> Result<()> {
    let (headers, listed) = (&parts.headers, parts.extensions.get::<Listed>().is_some());
    match !headers.contains_key(header::ORIGIN) || session::is_of_this_host(headers) || listed {
        true => Ok(()),
        false => Err(Problem::new(Code::Forbidden, "a page of another origin may not connect here")),
    }
}
