//! Tickets: what stands for a key in the address of a socket or a stream of events, once.

use super::body;
use super::caller::{self, Caller};
use super::problem::{Body as ProblemBody, Code, Result};
use super::query::{self, Query};
use super::{Api, json_response, to_json};
use crate::queue::keys::{Holder, Refused};
use crate::task::Time;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The guarded routes that a ticket opens; sockets look at theirs themselves.
const OPENED: [&str; 1] = ["/api/events"];

/// The routes.
pub fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(create))
}

/// What opens one socket or one stream of events.
#[derive(Serialize, ToSchema)]
#[schema(as = Ticket)]
struct TicketView<'a> {
    /// For `?ticket=`.
    ticket: &'a str,
    /// 30 s from now.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Time,
}

/// A ticket for `/ws` or `/api/events`, as `?ticket=`: for who cannot send a key with its connection, as a browser's `WebSocket` and
/// `EventSource` cannot. It stands for the key that it was asked for with, once, at any node, within 30 s; what it opened ends with that
/// key. An `idempotency-key` is not looked at: its answer would have to be kept.
#[utoipa::path(
    post, path = "/api/tickets", tag = "access",
    responses(
        (status = 201, description = "The ticket, this once", body = TicketView),
        (status = "default", description = "An error", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn create(State(api): State<Api>, caller: Caller, headers: HeaderMap, request: Request) -> Result<Response> {
    query::none(request.uri())?;
    body::none(request).await?;
    let session = caller::session_of(caller.identity(), &headers);
    let (ticket, expires_at) = api.keys.ticket(&Holder { identity: caller.identity().clone(), session }).await?;
    let view = TicketView { ticket: &ticket, expires_at };
    Ok(json_response(StatusCode::CREATED, Body::from(to_json(&view))))
}

/// The ticket in the address of a request to a guarded route that one opens; one that is nobody's where there are two.
pub fn of(path: &str, uri: &Uri) -> Option<String> {
    if !OPENED.contains(&path) {
        return None;
    }
    let mut tickets = Query::of(uri, Code::InvalidRequest).ok()?.all("ticket");
    let last = tickets.pop()?;
    Some(if tickets.is_empty() { last } else { String::new() })
}

/// Who has this ticket. It is used up by that; while no key is needed, it is not looked at.
pub async fn holder(api: &Api, ticket: &str) -> Result<Holder> {
    match api.keys.anybody().await {
        Ok(identity) => Ok(Holder { identity, session: None }),
        Err(Refused::Away(error)) => Err(error.into()),
        // It cannot be guessed, so wrong ones are not counted, as those of cookies are not.
        Err(_) => api.keys.caller_of_ticket(ticket).await.map_err(caller::refused),
    }
}
