//! `GET /api/activity`: who did what, page by page, or whole as NDJSON or CSV.

use super::caller::{Caller, MAX_CLIENT_ID, refused};
use super::cursor::{Cursor, hash_of};
use super::export::{Format, Pages, csv, safe, stream};
use super::filter::{MAX_LABEL, label, words};
use super::list::{MAX_LIMIT, bad_cursor, next_page};
use super::problem::{Body as ProblemBody, Code, Result};
use super::query::Query;
use super::{Api, etag, to_json};
use crate::task::filter::After;
use crate::task::{Action, Activity, ActivityFilter, Ending, Role, Scope, Time};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Uri, header};
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

/// The entries on a page when nothing is said.
const DEFAULT_LIMIT: i64 = 50;
/// A request id, in characters.
const MAX_REQUEST_ID: usize = 128;

/// The columns of the CSV form.
const COLUMNS: [&str; 17] = [
    "id",
    "at",
    "category",
    "action",
    "outcome",
    "status",
    "code",
    "owner",
    "key_id",
    "client_id",
    "address",
    "request_id",
    "route",
    "target",
    "count",
    "detail",
    "node",
];

/// The route that answers JSON.
pub fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list))
}

/// The route that answers a file.
pub fn downloads() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(export))
}

/// An entry.
#[derive(Serialize, ToSchema)]
#[schema(as = Activity)]
pub struct ActivityView<'a> {
    id: String,
    /// When it happened, or happened first.
    #[schema(value_type = String, format = DateTime)]
    at: Time,
    /// The action up to its dot.
    category: &'a str,
    /// As `task.submitted`.
    action: &'a str,
    /// `done`, `denied`, `refused`, `failed`, or `unanswered`: the caller hung up.
    outcome: &'a str,
    /// Of the HTTP answer.
    status: Option<i64>,
    /// Of the problem that was answered.
    code: Option<&'a str>,
    /// Who acted; null is the system, or somebody nobody knows.
    owner: Option<&'a str>,
    /// The key that was shown, also where it was refused.
    key_id: Option<&'a str>,
    client_id: Option<&'a str>,
    /// The other end of the connection.
    address: Option<&'a str>,
    /// Of several, the first.
    request_id: Option<&'a str>,
    /// Method and path.
    route: Option<&'a str>,
    /// The task, upload or key.
    target: Option<&'a str>,
    /// How often it happened, or to how many things.
    count: i64,
    detail: Option<&'a str>,
    /// The process that wrote it down.
    node: &'a str,
}

impl<'a> ActivityView<'a> {
    /// The same on the wire.
    pub fn of(entry: &'a Activity) -> ActivityView<'a> {
        ActivityView {
            id: entry.id.to_string(),
            at: entry.at,
            category: entry.category(),
            action: &entry.action,
            outcome: &entry.outcome,
            status: entry.status,
            code: entry.code.as_deref(),
            owner: entry.owner.as_deref(),
            key_id: entry.key_id.as_deref(),
            client_id: entry.client_id.as_deref(),
            address: entry.address.as_deref(),
            request_id: entry.request_id.as_deref(),
            route: entry.route.as_deref(),
            target: entry.target.as_deref(),
            count: entry.count,
            detail: entry.detail.as_deref(),
            node: &entry.node,
        }
    }
}

/// A page of entries.
#[derive(Serialize, ToSchema)]
struct ActivityList<'a> {
    activity: Vec<ActivityView<'a>>,
    /// For the next page; null on the last one.
    next_cursor: Option<&'a str>,
}

/// Who did what, newest first: every change that was asked for, every access that was denied, and what the
/// system did. Admins see all of it, others what was done with the keys of their owner. A page may have
/// fewer entries than asked for, or none, and still a cursor, as with tasks. The WebSocket `/ws/activity` tells
/// entries as they are written.
#[utoipa::path(
    get, path = "/api/activity", tag = "access",
    params(
        ("category" = Option<Vec<String>>, Query, description = "One of these: task, file, key, session, ticket, notification, access, node, activity"),
        ("action" = Option<Vec<String>>, Query, description = "One of these, as `key.created`"),
        ("outcome" = Option<Vec<String>>, Query, description = "One of these: done, denied, refused, failed, unanswered"),
        ("owner" = Option<String>, Query, max_length = 100),
        ("key_id" = Option<String>, Query, max_length = 100),
        ("client_id" = Option<String>, Query, max_length = 200),
        ("request_id" = Option<String>, Query, max_length = 128),
        ("target" = Option<String>, Query, max_length = 100, description = "The id of a task, an upload or a key"),
        ("q" = Option<String>, Query, max_length = 200, description = "Words that all stand in any of the texts"),
        ("since" = Option<String>, Query, format = DateTime, description = "Inclusive"),
        ("until" = Option<String>, Query, format = DateTime, description = "Exclusive"),
        ("limit" = Option<i64>, Query, minimum = 1, maximum = 500, description = "Default 50"),
        ("cursor" = Option<String>, Query, description = "The next_cursor of the page before, of the same query"),
        ("if-none-match" = Option<String>, Header),
    ),
    responses(
        (status = 200, description = "A page", body = ActivityList, headers(("etag" = String), ("link" = String))),
        (status = 304, description = "The caller has it"),
        (status = "default", description = "An error", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn list(State(api): State<Api>, caller: Caller, uri: Uri, headers: HeaderMap) -> Result<Response> {
    let mut query = Query::of(&uri, Code::InvalidFilter)?;
    let filter = filter_of(&mut query);
    let limit = query.integer("limit", 1..=MAX_LIMIT).unwrap_or(DEFAULT_LIMIT);
    let cursor = query.one("cursor");
    query.done()?;
    let scope = scope(&caller);
    let query = hash_of(&("activity", &scope, &filter));
    let after = match &cursor {
        None => None,
        Some(text) => Some(Cursor::read(text, &query).ok_or_else(bad_cursor)?.after.id),
    };
    let piece = api.queue.activity(&scope, &filter, after, limit).await?;
    let cursor = |id: Uuid| Cursor { after: After { finished_at: None, id }, as_of: Time(0) }.write(&query);
    let next = piece.next.map(cursor);
    let activity = piece.entries.iter().map(ActivityView::of).collect();
    let body = to_json(&ActivityList { activity, next_cursor: next.as_deref() });
    let mut response = etag::json(&headers, &etag::of(body.as_bytes()), body);
    if let Some(next) = next
        && let Ok(link) = HeaderValue::from_str(&format!("<{}>; rel=\"next\"", next_page("/api/activity", &uri, &next)))
    {
        response.headers_mut().insert(header::LINK, link);
    }
    Ok(response)
}

/// Where an export stands.
struct Export {
    api: Api,
    caller: Caller,
    filter: ActivityFilter,
    format: Format,
    after: Option<Uuid>,
    ended: bool,
}

/// Every entry that the filters name, newest first. The answer breaks off, and is not complete, if the database is
/// lost half-way.
#[utoipa::path(
    get, path = "/api/activity/export", tag = "access",
    params(
        ("format" = Option<String>, Query, description = "`ndjson` (default) or `csv`; or by the accept header"),
        ("category" = Option<Vec<String>>, Query, description = "As in the list; so are all filters"),
        ("action" = Option<Vec<String>>, Query),
        ("outcome" = Option<Vec<String>>, Query),
        ("owner" = Option<String>, Query, max_length = 100),
        ("key_id" = Option<String>, Query, max_length = 100),
        ("client_id" = Option<String>, Query, max_length = 200),
        ("request_id" = Option<String>, Query, max_length = 128),
        ("target" = Option<String>, Query, max_length = 100),
        ("q" = Option<String>, Query, max_length = 200),
        ("since" = Option<String>, Query, format = DateTime),
        ("until" = Option<String>, Query, format = DateTime),
    ),
    responses(
        (status = 200, description = "The entries", content((String = "application/x-ndjson"), (String = "text/csv"))),
        (status = "default", description = "An error", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn export(State(api): State<Api>, caller: Caller, uri: Uri, headers: HeaderMap) -> Result<Response> {
    let mut query = Query::of(&uri, Code::InvalidFilter)?;
    let filter = filter_of(&mut query);
    let format = Format::of(&mut query, &headers);
    query.done()?;
    let export = Export { api, caller, filter, format, after: None, ended: false };
    stream(format, "activity", &COLUMNS, export).await
}

impl Pages for Export {
    async fn next(&mut self) -> Result<Option<Vec<u8>>> {
        let mut entries = Vec::new();
        while entries.is_empty() {
            if self.ended {
                return Ok(None);
            }
            // It may take long: a key that is none any more gets no further page.
            self.api.keys.still(&self.caller).await.map_err(refused)?;
            let piece = self.api.queue.activity(&scope(&self.caller), &self.filter, self.after, MAX_LIMIT).await?;
            (entries, self.after, self.ended) = (piece.entries, piece.next, piece.next.is_none());
        }
        Ok(Some(match self.format {
            Format::Csv => csv(&entries.iter().map(cells).collect::<Vec<_>>())?,
            Format::Ndjson => {
                let line = |entry: &Activity| to_json(&ActivityView::of(entry)) + "\n";
                entries.iter().map(line).collect::<String>().into_bytes()
            }
        }))
    }
}

/// Whose entries it sees: of what the system did, and of who was not known, only an admin's business.
pub fn scope(caller: &Caller) -> Scope {
    match caller.role {
        Role::Admin => Scope::Everyone,
        _ => Scope::Owner(caller.owner.clone()),
    }
}

fn filter_of(query: &mut Query) -> ActivityFilter {
    let mut filter = ActivityFilter {
        categories: one_of(query, "category", &Action::categories()),
        actions: one_of(query, "action", &words_of(Action::ALL)),
        outcomes: one_of(query, "outcome", &words_of(Ending::ALL)),
        owner: label(query, "owner", MAX_LABEL),
        key_id: label(query, "key_id", MAX_LABEL),
        client_id: label(query, "client_id", MAX_CLIENT_ID),
        request_id: label(query, "request_id", MAX_REQUEST_ID),
        target: label(query, "target", MAX_LABEL),
        since: query.time("since"),
        until: query.time("until"),
        words: Vec::new(),
    };
    if let Some(text) = query.one("q") {
        match words(&text) {
            Ok(words) => filter.words = words,
            Err(wrong) => query.fail("q", wrong),
        }
    }
    if matches!((filter.since, filter.until), (Some(since), Some(until)) if since > until) {
        query.fail("until", "must be after since");
    }
    filter
}

/// The words of a list.
pub fn words_of<T>(all: &[(&'static str, T)]) -> Vec<&'static str> {
    all.iter().map(|(word, _)| *word).collect()
}

/// Words that may stand more than once, each one of these.
pub fn one_of(query: &mut Query, name: &str, known: &[&str]) -> Vec<String> {
    let mut words = query.all(name);
    if words.iter().any(|word| !known.contains(&word.as_str())) {
        query.fail(name, format!("must be one of {}", known.join(", ")));
    }
    words.sort();
    words.dedup();
    words
}

fn cells(entry: &Activity) -> [String; 17] {
    let text = |text: &Option<String>| safe(text.as_deref().unwrap_or_default());
    [
        entry.id.to_string(),
        entry.at.to_string(),
        safe(entry.category()),
        safe(&entry.action),
        safe(&entry.outcome),
        entry.status.map(|status| status.to_string()).unwrap_or_default(),
        text(&entry.code),
        text(&entry.owner),
        text(&entry.key_id),
        text(&entry.client_id),
        text(&entry.address),
        text(&entry.request_id),
        text(&entry.route),
        text(&entry.target),
        entry.count.to_string(),
        text(&entry.detail),
        safe(&entry.node),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_words_and_bad_values_are_refused() {
        for text in [
            "category=tasks",
            "action=task",
            "outcome=ok",
            "since=yesterday",
            "since=2026-02-01T00:00:00Z&until=2026-01-01T00:00:00Z",
            "key_id=",
            "target=a%0ab",
            &format!("q={}", "x".repeat(201)),
            "sort=at",
        ] {
            let mut query = Query::of(&format!("/?{text}").parse().unwrap(), Code::InvalidFilter).unwrap();
            filter_of(&mut query);
            assert_eq!(query.done().unwrap_err().code(), Code::InvalidFilter, "{text}");
        }
    }
}
