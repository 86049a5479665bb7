//! `GET /api/tasks/`: filtered, sorted, page by page.

use super::caller::Caller;
use super::cursor::{Cursor, query_hash};
use super::known::{Given, Keep};
use super::problem::{Body as ProblemBody, Code, Problem, Result};
use super::query::Query;
use super::wire::TaskView;
use super::{Api, etag, filter, to_json};
use crate::store::Piece;
use crate::task::filter::After;
use crate::task::{Filter, Page, Sort, Task, Time};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Uri};
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The most rows on one page.
pub const MAX_LIMIT: i64 = 500;
/// The rows on a page when nothing is said.
const DEFAULT_LIMIT: i64 = 50;
/// The first rows read with params and result; how large they are is not known yet.
pub const FIRST_FULL: i64 = 16;
/// A page with params and result ends early, with a cursor, when it has so many bytes of them.
pub const FULL_BYTES: usize = 8 * 1024 * 1024;

/// The routes.
pub fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list))
}

/// A page of tasks.
#[derive(Serialize, ToSchema)]
pub struct TaskList<'a> {
    /// Its rows.
    pub tasks: Vec<TaskView<'a>>,
    /// For the next page; null on the last one.
    pub next_cursor: Option<&'a str>,
}

/// What a caller asks for.
struct Asked {
    filter: Filter,
    sort: Sort,
    limit: i64,
    full: bool,
    cursor: Option<String>,
}

impl Asked {
    fn of(uri: &Uri) -> Result<Asked> {
        let mut query = Query::of(uri, Code::InvalidFilter)?;
        let filter = filter::of_query(&mut query);
        let sort = sort(&mut query);
        let full = query.read("view", "must be full or summary", |view| match view {
            "full" => Some(true),
            "summary" => Some(false),
            _ => None,
        });
        let full = full.unwrap_or(false);
        let limit = query.integer("limit", 1..=MAX_LIMIT).unwrap_or(DEFAULT_LIMIT);
        let cursor = query.one("cursor");
        query.done()?;
        Ok(Asked { filter, sort, limit, full, cursor })
    }
}

/// The order a query asks for.
pub fn sort(query: &mut Query) -> Sort {
    let wrong = format!("must be one of {}", Sort::ALL.map(|(word, _)| word).join(", "));
    let of_word = |word: &str| Sort::ALL.into_iter().find(|(known, _)| *known == word).map(|(_, sort)| sort);
    query.read("sort", wrong, of_word).unwrap_or_default()
}

/// Lists tasks, newest first. Stable while tasks come and go: a row that was there from the start
/// is shown exactly once. A page may have fewer rows than asked for, or none, and still a cursor:
/// matches are so rare that looking for more would have taken long; the cursor goes on from there.
#[utoipa::path(
    get, path = "/api/tasks", tag = "tasks",
    params(
        ("status" = Option<Vec<super::wire::StatusView>>, Query, description = "One of these"),
        ("type" = Option<Vec<String>>, Query, description = "One of these"),
        ("queue" = Option<String>, Query, max_length = 100),
        ("tag" = Option<String>, Query, max_length = 100),
        ("client_id" = Option<String>, Query, max_length = 200),
        ("owner" = Option<String>, Query, max_length = 100),
        ("q" = Option<String>, Query, max_length = 200, description = "Words that all stand in name, id, tags or error"),
        ("created_after" = Option<String>, Query, format = DateTime, description = "Inclusive"),
        ("created_before" = Option<String>, Query, format = DateTime, description = "Exclusive"),
        ("sort" = Option<String>, Query, description = "-created_at (default), created_at, -finished_at or finished_at"),
        ("limit" = Option<i64>, Query, minimum = 1, maximum = 500, description = "Default 50"),
        ("cursor" = Option<String>, Query, description = "The next_cursor of the page before, of the same query"),
        ("view" = Option<String>, Query, description = "`full` adds params and result"),
        ("if-none-match" = Option<String>, Header),
    ),
    responses(
        (status = 200, description = "A page", body = TaskList, headers(("etag" = String), ("link" = String))),
        (status = 304, description = "The caller has it"),
        (status = "default", description = "An error", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn list(State(api): State<Api>, caller: Caller, uri: Uri, headers: HeaderMap) -> Result<Response> {
    let Asked { filter, sort, limit, full, cursor } = Asked::of(&uri)?;
    let question = match api.known.look(&api, &caller, &uri, &headers, Keep::Whole).await {
        Ok(known) => return Ok(known),
        Err(question) => question,
    };
    let query = query_hash(&caller.scope, &filter, sort);
    let now = api.now();
    let first = Cursor { after: After { finished_at: None, id: uuid::Uuid::nil() }, as_of: now };
    let from = match &cursor {
        None => None,
        Some(text) => Some(Cursor::read(text, &query).ok_or_else(bad_cursor)?),
    };
    let as_of = from.filter(|_| sort.by_finish()).unwrap_or(first).as_of;
    let page = Page { sort, limit, after: from.map(|cursor| cursor.after), as_of, full };
    let (tasks, next) = rows(&api, &caller, &filter, page).await?;
    let as_of = if sort.by_finish() { as_of } else { Time(0) };
    let next = next.map(|after| Cursor { after, as_of }.write(&query));
    let whole = |task| TaskView::whole(api.queue.types(), task, now);
    let rows = tasks.iter().map(|task| if full { whole(task) } else { TaskView::row(task, now) });
    let rows = rows.map(|row| row.seen_by(caller.role)).collect();
    let body = to_json(&TaskList { tasks: rows, next_cursor: next.as_deref() });
    let tag = match (sort.by_finish(), &next) {
        // The cursor holds the first page's instant: what is the same list is never the same text.
        (true, Some(next)) => format!("W/{}", etag::of(body.replace(next.as_str(), "more").as_bytes())),
        _ => etag::of(body.as_bytes()),
    };
    let next = next.map(|next| format!("<{}>; rel=\"next\"", next_page("/api/tasks/", &uri, &next)));
    let link = next.and_then(|next| HeaderValue::from_str(&next).ok());
    let given = Given { body: body.into(), tag, link };
    // An order by `finished_at` puts a task elsewhere once its end has passed by this node's clock.
    if !sort.by_finish() {
        api.known.remember(question, &given, now, &tasks);
    }
    Ok(given.response(&headers))
}

/// The rows of a page, and where the next one begins. Rows with params and result may have 2 MiB
/// each: they are read as far as they fit into memory.
async fn rows(api: &Api, caller: &Caller, filter: &Filter, mut page: Page) -> Result<(Vec<Task>, Option<After>)> {
    let wanted = page.limit as usize;
    let (mut tasks, mut bytes) = (Vec::new(), 0);
    loop {
        let missing = wanted - tasks.len();
        let fitting = if page.full { fitting(FULL_BYTES, bytes, tasks.len(), FIRST_FULL) as usize } else { missing };
        let chunk = missing.min(fitting);
        // One more tells whether there is another page.
        page.limit = chunk as i64 + 1;
        let Piece { tasks: mut read, mut next } = api.queue.list(&caller.scope, filter, &page).await?;
        let more = read.len() > chunk;
        if more {
            read.truncate(chunk);
            next = read.last().map(|last| page.behind(last));
        }
        bytes += read.iter().map(weight).sum::<usize>();
        tasks.append(&mut read);
        if !more || tasks.len() >= wanted || bytes > FULL_BYTES {
            return Ok((tasks, next));
        }
        page.after = next;
    }
}

/// How many rows fit into `budget` bytes, when so many had so many `bytes`; `first` while nothing is known.
pub fn fitting(budget: usize, bytes: usize, rows: usize, first: i64) -> i64 {
    match rows {
        0 => first,
        rows => ((budget / (bytes / rows + 1)) as i64).clamp(1, MAX_LIMIT),
    }
}

/// Bytes of params and result.
pub fn weight(task: &Task) -> usize {
    let json = |json: &Option<Box<serde_json::value::RawValue>>| json.as_ref().map_or(0, |json| json.get().len());
    json(&task.params) + json(&task.result)
}

/// The cursor of another query, or none.
pub fn bad_cursor() -> Problem {
    Problem::new(Code::InvalidCursor, "the cursor is not one of this query; begin with the first page")
}

/// The same query with another cursor.
pub fn next_page(path: &str, uri: &Uri, cursor: &str) -> String {
    let others = uri.query().unwrap_or_default().split('&');
    let kept: Vec<&str> = others.filter(|pair| !pair.is_empty() && !pair.starts_with("cursor=")).collect();
    let kept = kept.iter().map(|pair| format!("{pair}&")).collect::<String>();
    format!("{path}?{kept}cursor={cursor}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_next_page_is_the_same_query_with_its_cursor() {
        let next = |uri: &str| next_page("/api/tasks/", &uri.parse().unwrap(), "NEW");
        assert_eq!(next("/api/tasks"), "/api/tasks/?cursor=NEW");
        assert_eq!(next("/api/tasks?status=FAILED&cursor=OLD&limit=2"), "/api/tasks/?status=FAILED&limit=2&cursor=NEW");
    }

    #[test]
    fn bad_values_are_refused() {
        for query in ["limit=0", "limit=501", "sort=id;drop", "view=all", "offset=10", "status=DONE"] {
            let refused = Asked::of(&format!("/api/tasks?{query}").parse().unwrap());
            assert_eq!(refused.err().unwrap().code(), Code::InvalidFilter, "{query}");
        }
    }

    proptest! {
        #[test]
        fn any_query_is_a_page_or_is_refused(pairs in prop::collection::vec((name(), value()), 0..8)) {
            let query: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
            let Ok(uri) = format!("/api/tasks?{}", query.join("&")).parse::<Uri>() else { return Ok(()) };
            match Asked::of(&uri) {
                Err(problem) => prop_assert_eq!(problem.code(), Code::InvalidFilter),
                Ok(asked) => {
                    prop_assert!((1..=MAX_LIMIT).contains(&asked.limit));
                    let filter = asked.filter;
                    let labels = [&filter.queue, &filter.tag, &filter.owner, &filter.client_id].into_iter().flatten();
                    for label in labels.chain(&filter.types) {
                        prop_assert_eq!(crate::task::text::label(label, 200), None);
                    }
                    prop_assert!(filter.words.iter().all(|word| !word.contains('\0')));
                }
            }
        }
    }

    fn name() -> impl Strategy<Value = String> {
        let known = ["status", "type", "queue", "tag", "client_id", "owner", "q", "created_after", "created_before"];
        let more = ["sort", "limit", "cursor", "view", "%6cimit"];
        prop_oneof![
            9 => prop::sample::select([&known[..], &more].concat()).prop_map(str::to_owned),
            1 => "[a-z%&=+\\[\\]0-9]{0,8}",
        ]
    }

    fn value() -> impl Strategy<Value = String> {
        let known =
            ["PENDING", "FAILED", "noop", "50", "full", "-created_at", "2026-01-01T00:00:00Z", "%00", "%ff", "%zz"];
        prop_oneof![
            prop::sample::select(known.to_vec()).prop_map(str::to_owned),
            any::<Vec<u8>>().prop_map(|bytes| bytes.iter().map(|byte| format!("%{byte:02x}")).collect()),
            any::<String>().prop_map(|text| {
                percent_encoding::utf8_percent_encode(&text, percent_encoding::NON_ALPHANUMERIC).to_string()
            }),
            "[ -~]{0,12}",
        ]
    }
}
