//! Notifications: the ends of an owner's own tasks, read and unread, cleared and muted.

mod marking;

use super::caller::Caller;
use super::cursor::{Cursor, hash_of};
use super::list::{MAX_LIMIT, bad_cursor, next_page};
use super::problem::{Body as ProblemBody, Code, Result};
use super::query::{self, Query};
use super::trail::Told;
use super::{Api, body, etag, json_response, to_json};
use crate::queue::notifications::{Mark, Notification, Wanted};
use crate::task::{Marks, Mute, Place, Status, Time, text};
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

/// Notifications on a page when nothing is said.
const DEFAULT_LIMIT: i64 = 50;
/// More bytes of a body are refused.
const MAX_BODY_BYTES: usize = 64 * 1024;
/// More of an error's message is left out: the task has all of it.
const MAX_MESSAGE_BYTES: usize = 300;

/// The routes.
pub fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list, clear))
        .routes(routes!(read))
        .routes(routes!(unread))
        .routes(routes!(muted, mute))
}

/// A task has ended.
#[derive(Serialize, ToSchema)]
#[schema(as = Notification)]
pub struct NotificationView<'a> {
    /// When it ended, and the task: a task that is retried and ends again has another one.
    #[schema(value_type = String, example = "1767225600123-0193c5a0-7b1e-7000-8000-0123456789ab")]
    id: Place,
    /// `taskFinished`.
    kind: &'static str,
    /// `success`, `error` where it failed, `warning` where it was cancelled.
    level: &'static str,
    /// A sentence.
    title: String,
    task: EndedView<'a>,
    #[schema(value_type = String, format = DateTime)]
    at: Time,
    read: bool,
}

/// Of the task what a line needs.
#[derive(Serialize, ToSchema)]
#[schema(as = EndedTask)]
struct EndedView<'a> {
    #[schema(value_type = String, format = "uuid")]
    id: Uuid,
    name: Option<&'a str>,
    r#type: &'a str,
    queue: &'a str,
    status: &'static str,
    error: Option<BriefView<'a>>,
    #[schema(value_type = String, format = DateTime)]
    finished_at: Time,
}

/// Why it failed, in brief.
#[derive(Serialize, ToSchema)]
#[schema(as = BriefError)]
struct BriefView<'a> {
    code: &'a str,
    /// At most 300 bytes of it.
    message: String,
}

impl<'a> NotificationView<'a> {
    /// As it goes over the wire, here and over a socket.
    pub fn of(notification: &'a Notification) -> NotificationView<'a> {
        let Notification { place, task, read } = notification;
        let (level, did) = match task.status {
            Status::Success => ("success", "has succeeded"),
            Status::Cancelled => ("warning", "was cancelled"),
            _ => ("error", "has failed"),
        };
        let name = task.name.as_deref().filter(|name| !name.trim().is_empty());
        let error = task.error.as_ref().filter(|_| task.status == Status::Failed);
        NotificationView {
            id: *place,
            kind: "taskFinished",
            level,
            title: format!("{} {did}", name.unwrap_or(&task.r#type)),
            task: EndedView {
                id: task.id,
                name: task.name.as_deref(),
                r#type: &task.r#type,
                queue: &task.queue,
                status: task.status.word(),
                error: error.map(|error| BriefView {
                    code: &error.code,
                    message: text::clip(&error.message, MAX_MESSAGE_BYTES),
                }),
                finished_at: place.at,
            },
            at: place.at,
            read: *read,
        }
    }
}

/// A page of notifications.
#[derive(Serialize, ToSchema)]
struct NotificationList<'a> {
    items: Vec<NotificationView<'a>>,
    /// For the next page; null on the last one.
    next_cursor: Option<&'a str>,
    /// Of all pages, not only of this one. Counted up to 100.
    unread: i64,
    /// There may be more than that.
    unread_more: bool,
}

/// How many are not read now.
#[derive(Serialize, ToSchema)]
struct Marked {
    /// Counted up to 100.
    unread: i64,
    /// There may be more than that.
    unread_more: bool,
}

/// What nothing is told of.
#[derive(Serialize, ToSchema)]
struct Muted<'a> {
    #[schema(value_type = Vec<marking::MuteBody>)]
    muted: &'a [Mute],
}

/// The ends of one's own tasks, newest first: an admin's own too. One that is retried is none until it ends again, and one
/// that was deleted is none. What is muted is not shown. A page may have fewer than asked for, or none, and still a
/// cursor, as with tasks.
#[utoipa::path(
    get, path = "/api/notifications", tag = "notifications",
    params(
        ("unread" = Option<bool>, Query, description = "Only those that are not read"),
        ("limit" = Option<i64>, Query, minimum = 1, maximum = 500, description = "Default 50"),
        ("cursor" = Option<String>, Query, description = "The next_cursor of the page before, of the same query"),
        ("if-none-match" = Option<String>, Header),
    ),
    responses(
        (status = 200, description = "A page", body = NotificationList, headers(("etag" = String), ("link" = String))),
        (status = 304, description = "The caller has it"),
        (status = "default", description = "An error", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn list(State(api): State<Api>, caller: Caller, uri: Uri, headers: HeaderMap) -> Result<Response> {
    let mut query = Query::of(&uri, Code::InvalidFilter)?;
    let unread = query.flag("unread");
    let limit = query.integer("limit", 1..=MAX_LIMIT).unwrap_or(DEFAULT_LIMIT);
    let cursor = query.one("cursor");
    query.done()?;
    let query = hash_of(&("notifications", &caller.owner, unread));
    let from = match &cursor {
        None => None,
        // One without an end's time would be of another part of the list.
        Some(text) => {
            Some(Cursor::read(text, &query).filter(|from| from.after.finished_at.is_some()).ok_or_else(bad_cursor)?)
        }
    };
    let as_of = from.map_or(api.now(), |from| from.as_of);
    let wanted = Wanted { unread, limit, after: from.map(|from| from.after), as_of };
    let marks = api.queue.marks(&caller.owner).await?;
    let page = api.queue.notifications(&caller.owner, &marks, &wanted).await?;
    let unread = api.queue.unread(&caller.owner, &marks).await?;
    let next = page.next.map(|after| Cursor { after, as_of }.write(&query));
    let items = page.found.iter().map(NotificationView::of).collect();
    let list = NotificationList { items, next_cursor: next.as_deref(), unread: unread.n, unread_more: unread.more };
    let body = to_json(&list);
    // The cursor holds the first page's instant: what is the same list is never the same text.
    let same = next.as_ref().map_or_else(|| body.clone(), |next| body.replace(next.as_str(), "more"));
    let mut response = etag::json(&headers, &format!("W/{}", etag::of(same.as_bytes())), body);
    if let Some(next) = next
        && let Ok(link) =
            HeaderValue::from_str(&format!("<{}>; rel=\"next\"", next_page("/api/notifications", &uri, &next)))
    {
        response.headers_mut().insert(header::LINK, link);
    }
    Ok(response)
}

/// Marks notifications as read: some, those up to one, or all by now. Of single ones beside the mark 200 are kept; then all
/// that is older than the oldest of them counts as read. Said again, it is as it is.
#[utoipa::path(
    post, path = "/api/notifications/read", tag = "notifications", request_body = marking::ReadBody,
    responses(
        (status = 200, description = "They are read", body = Marked),
        (status = "default", description = "An error", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn read(State(api): State<Api>, caller: Caller, request: Request) -> Result<Response> {
    query::none(request.uri())?;
    let body = body::json(request, MAX_BODY_BYTES).await?;
    marked(&api, &caller, marking::read(body.text())?).await
}

/// Marks these as unread again.
#[utoipa::path(
    post, path = "/api/notifications/unread", tag = "notifications", request_body = marking::UnreadBody,
    responses(
        (status = 200, description = "They are unread", body = Marked),
        (status = "default", description = "An error", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn unread(State(api): State<Api>, caller: Caller, request: Request) -> Result<Response> {
    query::none(request.uri())?;
    let body = body::json(request, MAX_BODY_BYTES).await?;
    marked(&api, &caller, marking::unread(body.text())?).await
}

/// Clears: what has ended by now is shown no more. The tasks stay. What ends later is shown.
#[utoipa::path(
    delete, path = "/api/notifications", tag = "notifications",
    params(("until" = Option<String>, Query, description = "The id of a notification: only it, and everything older")),
    responses(
        (status = 200, description = "They are cleared", body = Marked),
        (status = "default", description = "An error", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn clear(State(api): State<Api>, caller: Caller, uri: Uri) -> Result<Response> {
    let mut query = Query::of(&uri, Code::InvalidRequest)?;
    let until = query.read("until", marking::NOT_AN_ID, Place::of_text);
    query.done()?;
    marked(&api, &caller, Mark::ClearUpTo(until)).await
}

/// What nothing is told of.
#[utoipa::path(
    get, path = "/api/notifications/muted", tag = "notifications",
    responses(
        (status = 200, description = "What is muted", body = Muted),
        (status = "default", description = "An error", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn muted(State(api): State<Api>, caller: Caller, uri: Uri) -> Result<Response> {
    query::none(&uri)?;
    Ok(muted_now(&api.queue.marks(&caller.owner).await?))
}

/// Mutes types, queues or ends, and takes that back: first what is unmuted, then what is muted, 100 in all at most. What is
/// muted is neither shown nor counted nor told; unmuted, it is shown again, what ended meanwhile too.
#[utoipa::path(
    patch, path = "/api/notifications/muted", tag = "notifications", request_body = marking::MutingBody,
    responses(
        (status = 200, description = "What is muted now", body = Muted),
        (status = "default", description = "An error", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn mute(State(api): State<Api>, caller: Caller, request: Request) -> Result<Response> {
    query::none(request.uri())?;
    let body = body::json(request, MAX_BODY_BYTES).await?;
    Ok(muted_now(&api.queue.mark(&caller.owner, &marking::muting(body.text())?).await?))
}

fn muted_now(marks: &Marks) -> Response {
    json_response(StatusCode::OK, Body::from(to_json(&Muted { muted: &marks.muted })))
}

async fn marked(api: &Api, caller: &Caller, mark: Mark) -> Result<Response> {
    let count = if let Mark::These(places, _) = &mark { places.len() as i64 } else { 1 };
    let marks = api.queue.mark(&caller.owner, &mark).await?;
    let unread = api.queue.unread(&caller.owner, &marks).await?;
    let body = to_json(&Marked { unread: unread.n, unread_more: unread.more });
    let mut response = json_response(StatusCode::OK, Body::from(body));
    response.extensions_mut().insert(Told { target: None, count: Some(count) });
    Ok(response)
}
