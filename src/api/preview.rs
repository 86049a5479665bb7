//! A first look at a file: at an output of a task, or an upload.

use super::caller::Caller;
use super::problem::{Body as ProblemBody, Code, Problem, Result};
use super::{Api, artifacts, download, etag, files, json_response, query, to_json};
use crate::types::{Input, Mail, NoPreview, Preview, Rows};
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

/// The routes.
pub fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(of_artifact)).routes(routes!(of_upload))
}

/// A look at a table or a mail.
#[derive(Serialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum PreviewView {
    /// The first rows of a table.
    Table(TableView),
    /// The parts of a mail.
    Mail(MailView),
}

/// The first rows of a table.
#[derive(Serialize, ToSchema)]
struct TableView {
    /// The columns' names, each another; at most 100.
    columns: Vec<String>,
    /// At most 50 rows, their cells as they stand in the file, each at most 500 bytes.
    rows: Vec<Vec<String>>,
    /// How many columns the table has.
    width: usize,
    /// Whether the first line names the columns.
    has_header: bool,
    /// What stands between cells.
    delimiter: String,
    /// What it was read as.
    encoding: String,
    /// Whether the table goes on.
    more: bool,
}

/// The parts of a mail.
#[derive(Serialize, ToSchema)]
struct MailView {
    /// From, to, subject and the like, decoded.
    headers: Vec<HeaderView>,
    /// Its text; that of its HTML where it has no other.
    text: Option<String>,
    /// Its HTML as it was sent: a stranger's, and not to be shown as such.
    html: Option<String>,
    /// What is attached; at most 100.
    attachments: Vec<AttachmentView>,
    /// Whether there is more of it than this.
    more: bool,
}

/// A header of a mail.
#[derive(Serialize, ToSchema)]
struct HeaderView {
    name: String,
    value: String,
}

/// Something attached to a mail.
#[derive(Serialize, ToSchema)]
struct AttachmentView {
    name: Option<String>,
    content_type: String,
    bytes: usize,
}

impl From<Rows> for PreviewView {
    fn from(rows: Rows) -> PreviewView {
        let Rows { columns, rows, width, has_header, delimiter, encoding, more } = rows;
        PreviewView::Table(TableView { columns, rows, width, has_header, delimiter, encoding, more })
    }
}

impl From<Mail> for PreviewView {
    fn from(mail: Mail) -> PreviewView {
        let headers = mail.headers.into_iter().map(|one| HeaderView { name: one.name, value: one.value });
        let attachments = mail.attachments.into_iter().map(|one| AttachmentView {
            name: one.name,
            content_type: one.content_type,
            bytes: one.bytes,
        });
        PreviewView::Mail(MailView {
            headers: headers.collect(),
            text: mail.text,
            html: mail.html,
            attachments: attachments.collect(),
            more: mail.more,
        })
    }
}

/// A first look at an output file: the first rows of a table (CSV) and the parts of a mail as JSON, a picture as one of at most 512 by
/// 512 pixels. Of other files there is none: 404 `no_preview`.
#[utoipa::path(
    get, path = "/api/tasks/{id}/artifacts/{name}/preview", tag = "files",
    params(("id" = String, Path, format = "uuid"), ("name" = String, Path)),
    responses(
        (status = 200, description = "The look", content((PreviewView = "application/json"), (super::openapi::FileContent = "image/*")), headers(("etag" = String))),
        (status = "default", description = "An error", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn of_artifact(
    State(api): State<Api>,
    caller: Caller,
    Path((id, name)): Path<(String, String)>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response> {
    query::none(&uri)?;
    let kept = artifacts::find(&api, &caller, &id, &name).await?;
    let (bytes, sha256) = (kept.bytes as u64, kept.sha256);
    let file = Input::new(Uuid::nil(), kept.name, bytes, kept.content_type, sha256.clone(), kept.location);
    answer(&api, &headers, &sha256, &file, Code::ArtifactNotFound).await
}

/// A first look at an upload, as at an output file.
#[utoipa::path(
    get, path = "/api/files/{id}/preview", tag = "files",
    params(("id" = String, Path, format = "uuid")),
    responses(
        (status = 200, description = "The look", content((PreviewView = "application/json"), (super::openapi::FileContent = "image/*")), headers(("etag" = String))),
        (status = "default", description = "An error", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn of_upload(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response> {
    query::none(&uri)?;
    let kept = api.queue.file(&caller.scope, files::file_id(&id)?).await?;
    let (bytes, sha256) = (kept.bytes as u64, kept.sha256);
    let file = Input::new(kept.id, kept.name, bytes, kept.content_type, sha256.clone(), kept.location);
    answer(&api, &headers, &sha256, &file, Code::FileNotFound).await
}

/// The look, or 304 where the caller has it; as safe to open as the file itself.
async fn answer(api: &Api, headers: &HeaderMap, sha256: &str, file: &Input, gone: Code) -> Result<Response> {
    let tag = format!("\"{sha256}-preview\"");
    let mut response = if etag::matches(headers, &tag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let previews = api.queue.types().previews();
        let made = previews.of(api.queue.file_store(), api.queue.clock(), file).await;
        let mut response = match made.map_err(|why| problem(why, gone))? {
            Preview::Table(rows) => json(rows.into()),
            Preview::Mail(mail) => json(mail.into()),
            Preview::Picture(picture) => {
                let kind = HeaderValue::from_str(&picture.content_type).map_err(Problem::internal)?;
                ([(header::CONTENT_TYPE, kind)], picture.file).into_response()
            }
        };
        download::seal(&mut response, &file.name);
        response
    };
    response.headers_mut().insert(header::ETAG, HeaderValue::from_str(&tag).map_err(Problem::internal)?);
    Ok(response)
}

fn json(view: PreviewView) -> Response {
    json_response(StatusCode::OK, Body::from(to_json(&view)))
}

fn problem(why: NoPreview, gone: Code) -> Problem {
    match why {
        NoPreview::NoKind => Problem::new(Code::NoPreview, "there is one of tables (CSV), pictures and mails (.eml)"),
        NoPreview::Gone => Problem::new(gone, "the file is no longer there"),
        NoPreview::Refused(code, message) => Problem::new(Code::PreviewRefused, format!("{message} ({code})")),
        NoPreview::Away => Problem::new(Code::Unavailable, "a preview cannot be made just now; try again in a moment"),
    }
}
