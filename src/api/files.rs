//! Uploads: streamed in, recorded when whole, streamed out.

use super::caller::Caller;
use super::download::{self, Kept};
use super::multipart::Form;
use super::problem::{Body as ProblemBody, Code, Problem, Result};
use super::query::{self, Query};
use super::{Api, body, json_response, sniff, to_json};
use crate::fault;
use crate::files::hex;
use crate::files::{self, Files, Stored, Writer};
use crate::queue::Share;
use crate::store::File;
use crate::task::text::FieldError;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use bytes::Bytes;
use futures_util::StreamExt;
use serde::Serialize;
use tokio::io::AsyncWriteExt;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

/// A longer name is cut to so many characters.
const MAX_NAME: usize = 255;
/// A form may be so much larger than its file.
const FORM_BYTES: u64 = 1024 * 1024;
/// How often an upload looks whether there is room for more.
const LOOK_BYTES: u64 = 8 * 1024 * 1024;

/// The routes that take and answer files.
pub fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(upload)).routes(routes!(get, delete))
}

/// An upload.
#[derive(Serialize, ToSchema)]
struct Uploaded<'a> {
    #[schema(value_type = String, format = "uuid")]
    file_id: Uuid,
    name: &'a str,
    bytes: i64,
    sha256: &'a str,
    /// By its first bytes; what the sender said is believed of text only.
    content_type: &'a str,
}

/// What its sender says of a file.
#[derive(Default)]
struct Said {
    name: String,
    content_type: Option<String>,
    sha256: Option<Vec<u8>>,
}

/// Uploads a file: the first part with a file name of a form, or the body itself. A sender that
/// breaks off leaves nothing.
#[utoipa::path(
    post, path = "/api/files", tag = "files",
    request_body(
        content((super::openapi::FileContent = "application/octet-stream"), (super::openapi::FileForm = "multipart/form-data")),
        description = "The file, or a form with it"
    ),
    params(
        ("name" = Option<String>, Query, description = "Its name, where the body is the file"),
        ("content-digest" = Option<String>, Header, description = "`sha-256=:base64:`; checked if sent"),
    ),
    responses(
        (status = 201, description = "It is on disk", body = Uploaded, headers(("location" = String))),
        (status = "default", description = "An error", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn upload(State(api): State<Api>, caller: Caller, request: Request) -> Result<Response> {
    api.taking()?;
    let mut query = Query::of(request.uri(), Code::InvalidRequest)?;
    let name = query.one("name");
    query.done()?;
    let headers = request.headers().clone();
    let limit = api.node.max_file_bytes;
    let id = Uuid::now_v7();
    let location = format!("uploads/{id}");
    let files = api.queue.file_store();
    let declared = body::declared(&headers)?.unwrap_or(0).min(limit);
    let room = match files.has_room_for(declared) {
        Ok(()) => api.queue.room(&caller.owner, declared).await.map_err(Problem::from),
        Err(full) => Err(full.into()),
    };
    let mut room = match room {
        Ok(room) => room,
        Err(full) => {
            body::linger(request.into_body().into_data_stream());
            return Err(full);
        }
    };
    let mut writer = files.create(&location).await?;
    let content_type = headers.get(header::CONTENT_TYPE).and_then(body::media_type);
    let mut said = Said { sha256: digest(&headers)?, ..Said::default() };
    if content_type.as_deref() == Some("multipart/form-data") {
        let whole = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let body = body::stream(&headers, request.into_body(), limit.saturating_add(FORM_BYTES))?;
        let mut form = Form::new(whole, body)?;
        let mut part = form.file().await?;
        let mut written = 0;
        while let Some(chunk) = part.chunk().await? {
            write(files, &mut writer, &chunk, &mut written, limit, &mut room).await?;
        }
        said.name = name.unwrap_or_else(|| std::mem::take(&mut part.name));
        said.content_type = part.content_type.take();
        drop(part);
        form.finish().await?;
        // The digest is of the form, not of the file in it.
        said.sha256 = None;
    } else {
        let mut body = std::pin::pin!(body::stream(&headers, request.into_body(), limit)?);
        let mut written = 0;
        while let Some(chunk) = body.next().await {
            write(files, &mut writer, &chunk?, &mut written, limit, &mut room).await?;
        }
        said.name = name.unwrap_or_default();
        said.content_type = content_type;
    }
    fault::point("upload_received").await;
    // From here on it is finished, whatever becomes of the caller: a file has its record or is gone.
    let kept = tokio::spawn(keep(api.clone(), caller.owner.clone(), id, location, writer, said, room));
    let file = kept.await.map_err(Problem::internal)??;
    let answer = Uploaded {
        file_id: file.id,
        name: &file.name,
        bytes: file.bytes,
        sha256: &file.sha256,
        content_type: &file.content_type,
    };
    let mut response = json_response(StatusCode::CREATED, Body::from(to_json(&answer)));
    if let Ok(location) = HeaderValue::from_str(&format!("/api/files/{id}")) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

async fn write(
    files: &Files,
    writer: &mut Writer,
    chunk: &Bytes,
    written: &mut u64,
    limit: u64,
    room: &mut Share,
) -> Result<()> {
    let before = *written;
    *written += chunk.len() as u64;
    if *written > limit {
        return Err(Problem::new(Code::BodyTooLarge, format!("a file may have at most {limit} bytes")));
    }
    // One that did not say how large it is takes its room piece by piece.
    if *written > room.size() {
        room.grow(*written - room.size()).await?;
    }
    if before / LOOK_BYTES != *written / LOOK_BYTES {
        files.has_room_for(0)?;
    }
    Ok(writer.write_all(chunk).await.map_err(files::Error::from)?)
}

/// Completes the file and records it, or deletes it.
async fn keep(
    api: Api,
    owner: String,
    id: Uuid,
    location: String,
    writer: Writer,
    said: Said,
    mut room: Share,
) -> Result<File> {
    let stored = writer.finish().await?;
    let content_type = match judge(&said, &stored) {
        Ok(content_type) => content_type,
        Err(problem) => {
            forget(api.queue.file_store(), &location).await;
            return Err(problem);
        }
    };
    let file = File {
        id,
        owner,
        name: inert(&said.name),
        bytes: stored.bytes as i64,
        content_type,
        sha256: stored.sha256,
        location,
        created_at: api.now(),
    };
    fault::point("upload_kept").await;
    room.begin();
    api.queue.add_file(file.clone()).await?;
    room.used(stored.bytes);
    fault::point("upload_recorded").await;
    Ok(file)
}

/// What a whole file is, if it may be kept.
fn judge(said: &Said, stored: &Stored) -> Result<String> {
    if stored.bytes == 0 {
        return Err(Problem::new(Code::InvalidRequest, "the file is empty"));
    }
    if said.sha256.as_ref().is_some_and(|sha256| hex(sha256) != stored.sha256) {
        let wrong = FieldError::new("/content-digest", "is not the SHA-256 of the body");
        return Err(Problem::invalid(Code::InvalidRequest, vec![wrong]));
    }
    sniff::content_type(said.content_type.as_deref(), &stored.head)
}

async fn forget(files: &Files, location: &str) {
    if let Err(error) = files.delete(location).await {
        tracing::warn!(%error, location, "a refused upload could not be deleted");
    }
}

/// A name as inert text: what could command a terminal or reorder a line is replaced.
fn inert(name: &str) -> String {
    let hidden = |c: char| c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let clean = name.chars().take(MAX_NAME).map(|c| if hidden(c) { '\u{fffd}' } else { c });
    match clean.collect::<String>() {
        name if name.trim().is_empty() => "file".to_owned(),
        name => name,
    }
}

/// The SHA-256 that the caller says the body has (RFC 9530).
fn digest(headers: &HeaderMap) -> Result<Option<Vec<u8>>> {
    let bad = || Problem::new(Code::BadHeader, "content-digest must be sha-256=:base64:");
    for name in ["content-digest", "repr-digest"] {
        let Some(value) = headers.get(name) else { continue };
        let digests = value.to_str().map_err(|_| bad())?;
        let mut of_sha256 = digests.split(',').filter_map(|one| one.trim().strip_prefix("sha-256="));
        let Some(encoded) = of_sha256.next() else { continue };
        let encoded = encoded.strip_prefix(':').and_then(|encoded| encoded.strip_suffix(':')).ok_or_else(bad)?;
        let digest = base64::engine::general_purpose::STANDARD.decode(encoded).map_err(|_| bad())?;
        return Ok(Some(digest));
    }
    Ok(None)
}

/// An upload, or a range of it.
#[utoipa::path(
    get, path = "/api/files/{id}", tag = "files",
    params(("id" = String, Path, format = "uuid"), ("range" = Option<String>, Header)),
    responses(
        (status = 200, description = "The file, as the media type it has", content_type = "*/*"),
        (status = 206, description = "A range of it", content_type = "*/*"),
        (status = "default", description = "An error", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn get(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<String>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response> {
    let file = api.queue.file(&caller.scope, file_id(&id)?).await?;
    let kept = Kept {
        name: &file.name,
        bytes: file.bytes as u64,
        content_type: &file.content_type,
        sha256: &file.sha256,
        location: &file.location,
    };
    download::answer(api.queue.file_store(), &method, &headers, kept).await
}

/// Deletes an upload.
#[utoipa::path(
    delete, path = "/api/files/{id}", tag = "files",
    params(("id" = String, Path, format = "uuid")),
    responses(
        (status = 204, description = "It is gone"),
        (status = "default", description = "An error", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn delete(State(api): State<Api>, caller: Caller, Path(id): Path<String>, uri: Uri) -> Result<Response> {
    query::none(&uri)?;
    api.queue.remove_file(&caller.scope, file_id(&id)?).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// The id of an upload in an address. What is no id is a file that is not there.
pub fn file_id(text: &str) -> Result<Uuid> {
    super::id_of(text).ok_or_else(|| crate::queue::Error::FileNotFound.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_kept_as_inert_text() {
        assert_eq!(inert("../../x"), "../../x");
        assert_eq!(inert("a\r\nb\0\u{202e}c"), "a\u{fffd}\u{fffd}b\u{fffd}\u{fffd}c");
        assert_eq!(inert(&"x".repeat(5000)).len(), 255);
        assert_eq!(inert(""), "file");
    }

    #[test]
    fn a_digest_is_read_from_its_header() {
        let of = |text: &'static str| {
            digest(&HeaderMap::from_iter([("content-digest".parse().unwrap(), HeaderValue::from_static(text))]))
        };
        assert_eq!(of("sha-256=:AAEC:").unwrap(), Some(vec![0, 1, 2]));
        assert_eq!(of("sha-512=:AAEC:").unwrap(), None);
        assert!(of("sha-256=AAEC").is_err());
    }
}
