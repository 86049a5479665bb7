//! `GET /api/tasks/export`: the list, whole, as NDJSON or CSV; read page by page while it is sent.

use super::caller::{Caller, refused};
use super::problem::{Body as ProblemBody, Code, Problem, Result};
use super::query::Query;
use super::wire::TaskView;
use super::{Api, filter, list, to_json};
use crate::task::{Filter, Page, Task, Time};
use crate::types::Types;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Uri, header};
use axum::response::Response;
use bytes::Bytes;
use serde_json::value::RawValue;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The first page; how large rows are is not known yet.
const FIRST_PAGE: i64 = 16;
/// A page should hold about so many bytes.
const PAGE_BYTES: usize = 2 * 1024 * 1024;

/// The columns of the CSV form.
const COLUMNS: [&str; 23] = [
    "id",
    "type",
    "name",
    "status",
    "queue",
    "priority",
    "tags",
    "owner",
    "client_id",
    "worker",
    "attempt",
    "max_attempts",
    "percent",
    "error_code",
    "error_message",
    "run_at",
    "created_at",
    "started_at",
    "finished_at",
    "updated_at",
    "cancel_requested_at",
    "params",
    "result",
];

/// The routes.
pub fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(export))
}

/// How an export is written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One JSON object a line.
    Ndjson,
    /// With a line of names first.
    Csv,
}

impl Format {
    /// What a request asks for: by `format`, else by its accept header.
    pub fn of(query: &mut Query, headers: &HeaderMap) -> Format {
        let format = query.read("format", "must be ndjson or csv", |word| match word {
            "ndjson" => Some(Format::Ndjson),
            "csv" => Some(Format::Csv),
            _ => None,
        });
        let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
        format.unwrap_or(if accept.contains("text/csv") { Format::Csv } else { Format::Ndjson })
    }
}

/// Where an export stands.
struct Export {
    api: Api,
    caller: Caller,
    filter: Filter,
    page: Page,
    format: Format,
    now: Time,
    ended: bool,
}

/// Every task that the list's filters name, with params and result. The answer breaks off, and is
/// not complete, if the database is lost half-way.
#[utoipa::path(
    get, path = "/api/tasks/export", tag = "tasks",
    params(
        ("format" = Option<String>, Query, description = "`ndjson` (default) or `csv`; or by the accept header"),
        ("sort" = Option<String>, Query, description = "As in the list; so are all its filters"),
    ),
    responses(
        (status = 200, description = "The tasks", content((String = "application/x-ndjson"), (String = "text/csv"))),
        (status = "default", description = "An error", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn export(State(api): State<Api>, caller: Caller, uri: Uri, headers: HeaderMap) -> Result<Response> {
    let mut query = Query::of(&uri, Code::InvalidFilter)?;
    let filter = filter::of_query(&mut query);
    let sort = list::sort(&mut query);
    let format = Format::of(&mut query, &headers);
    query.done()?;
    let now = api.now();
    let page = Page { sort, limit: FIRST_PAGE, after: None, as_of: now, full: true };
    let export = Export { api, caller, filter, page, format, now, ended: false };
    stream(format, "tasks", &COLUMNS, export).await
}

/// What is exported, page by page.
pub trait Pages: Send + 'static {
    /// The next page as text; `None` at the end.
    fn next(&mut self) -> impl Future<Output = Result<Option<Vec<u8>>>> + Send;
}

/// An answer that is made while it is sent; the line of names comes first where it is CSV. The first page is there
/// before the answer begins: what fails there is still an error with a status.
pub async fn stream(format: Format, name: &str, names: &[&str], mut export: impl Pages) -> Result<Response> {
    let first = export.next().await?.unwrap_or_default();
    let first = if format == Format::Csv { [csv(&[names])?, first].concat() } else { first };
    let pages = futures_util::stream::try_unfold((Some(first), export), |(first, mut export)| async move {
        let next = match first {
            Some(first) => Some(first),
            None => export.next().await.map_err(|_| std::io::Error::other("the export broke off"))?,
        };
        std::io::Result::Ok(next.map(|bytes| (Bytes::from(bytes), (None, export))))
    });
    let (media, ending) = match format {
        Format::Ndjson => ("application/x-ndjson", "ndjson"),
        Format::Csv => ("text/csv; charset=utf-8", "csv"),
    };
    let mut response = Response::new(Body::from_stream(pages));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
    let name =
        HeaderValue::from_str(&format!("attachment; filename=\"{name}.{ending}\"")).map_err(Problem::internal)?;
    response.headers_mut().insert(header::CONTENT_DISPOSITION, name);
    Ok(response)
}

impl Pages for Export {
    async fn next(&mut self) -> Result<Option<Vec<u8>>> {
        let mut tasks = Vec::new();
        // A piece may be empty and not the last one.
        while tasks.is_empty() {
            if self.ended {
                return Ok(None);
            }
            // It may take long: a key that is none any more gets no further page.
            self.api.keys.still(&self.caller).await.map_err(refused)?;
            let piece = self.api.queue.list(&self.caller.scope, &self.filter, &self.page).await?;
            (tasks, self.page.after, self.ended) = (piece.tasks, piece.next, piece.next.is_none());
        }
        let types = self.api.queue.types();
        let text = match self.format {
            Format::Ndjson => {
                tasks.iter().fold(String::new(), |text, task| text + &line(types, task, self.now)).into_bytes()
            }
            Format::Csv => csv(&tasks.iter().map(|task| cells(types, task)).collect::<Vec<_>>())?,
        };
        self.page.limit = list::fitting(PAGE_BYTES, text.len(), tasks.len(), FIRST_PAGE);
        Ok(Some(text))
    }
}

fn line(types: &Types, task: &Task, now: Time) -> String {
    to_json(&TaskView::whole(types, task, now)) + "\n"
}

fn cells(types: &Types, task: &Task) -> [String; 23] {
    let time = |time: Option<Time>| time.map(|time| time.to_string()).unwrap_or_default();
    let json = |json: &Option<Box<RawValue>>| json.as_ref().map(|json| json.get().to_owned()).unwrap_or_default();
    let error = task.error.as_ref();
    [
        task.id.to_string(),
        safe(&task.r#type),
        safe(task.name.as_deref().unwrap_or_default()),
        task.status.word().to_owned(),
        safe(&task.queue),
        task.priority.to_string(),
        safe(&task.tags.join(" ")),
        safe(&task.owner),
        safe(&task.client_id),
        safe(task.worker.as_deref().unwrap_or_default()),
        task.attempt.to_string(),
        task.max_attempts.to_string(),
        task.progress.percent.to_string(),
        safe(error.map_or("", |error| &error.code)),
        safe(error.map_or("", |error| &error.message)),
        time(Some(task.run_at)),
        time(Some(task.created_at)),
        time(task.started_at),
        time(task.finished_at),
        time(Some(task.updated_at)),
        time(task.cancel_requested_at),
        types.shown(task).map(|params| params.get().to_owned()).unwrap_or_default(),
        safe(&json(&task.result)),
    ]
}

/// Text that no spreadsheet takes for a formula.
pub fn safe(text: &str) -> String {
    match text.chars().next() {
        Some('=' | '+' | '-' | '@' | '\t' | '\r' | '\0') => format!("'{text}"),
        _ => text.to_owned(),
    }
}

/// Rows as CSV.
pub fn csv<C: AsRef<[u8]>>(rows: &[impl AsRef<[C]>]) -> Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    for row in rows {
        writer.write_record(row.as_ref()).map_err(Problem::internal)?;
    }
    writer.into_inner().map_err(Problem::internal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_be_a_formula_is_quoted_and_numbers_stay() {
        assert_eq!(safe("=cmd|'/c calc'!A1"), "'=cmd|'/c calc'!A1");
        assert_eq!(safe("-1"), "'-1");
        assert_eq!(safe("plain"), "plain");
    }
}
