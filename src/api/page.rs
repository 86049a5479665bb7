//! The page: the files of `static/`, inside the binary (from disk in debug builds).

use super::problem::Result;
use super::{Api, common, etag, json_response};
use crate::files::hex;
use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use flate2::Compression;
use flate2::write::GzEncoder;
use rust_embed::{Embed, EmbeddedFile};
use serde_json::json;
use std::io::Write;

/// What the page may do: nothing inline, nothing from elsewhere.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; \
    connect-src 'self'; font-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; frame-src 'self'";

/// The page's addresses: all of them are `index.html`, which reads its own address.
const ADDRESSES: [&str; 11] = [
    "/tasks",
    "/tasks/{id}",
    "/submit",
    "/settings",
    "/insights",
    "/activity",
    "/notifications",
    "/approvals",
    "/docs",
    "/docs/{*chapter}",
    "/index.html",
];

#[derive(Embed)]
#[folder = "static/"]
#[allow_missing = true]
struct Assets;

/// The routes.
pub fn router() -> Router<Api> {
    let router =
        Router::new().route("/", get(root)).route("/static/{*path}", get(asset)).route("/favicon.ico", get(favicon));
    ADDRESSES.into_iter().fold(router, |router, address| router.route(address, get(index))).fallback(missing)
}

/// That an error is told by the page itself, not by a problem.
#[derive(Clone, Copy)]
pub struct Told;

/// An address nobody knows: for a person's browser the page, which says so; a problem for all else.
async fn missing(method: Method, uri: Uri, headers: HeaderMap) -> Result<Response> {
    let for_people = accepts(&headers, "text/html") && !uri.path().starts_with("/api/");
    if !for_people || uri.path().starts_with("/static/") || !matches!(method, Method::GET | Method::HEAD) {
        return Err(common::not_found());
    }
    let mut response = serve("index.html", &HeaderMap::new())?;
    *response.status_mut() = StatusCode::NOT_FOUND;
    response.extensions_mut().insert(Told);
    Ok(response)
}

fn accepts(headers: &HeaderMap, media: &str) -> bool {
    headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).is_some_and(|accept| accept.contains(media))
}

/// The page for people, the service's name for programs.
async fn root(State(api): State<Api>, headers: HeaderMap) -> Result<Response> {
    let vary = (header::VARY, HeaderValue::from_static("accept"));
    let mut response = if accepts(&headers, "application/json") && !accepts(&headers, "text/html") {
        let about = json!({
            "name": "errand",
            "version": api.node.version,
            "endpoints": {
                "tasks": "/api/tasks/", "submit": "/api/tasks/submit", "batch": "/api/tasks/batch",
                "changes": "/api/tasks/changes", "types": "/api/task-types", "files": "/api/files",
                "stats": "/api/stats", "health": "/api/health", "version": "/api/version",
                "openapi": "/api/openapi.json", "docs": "/docs", "metrics": "/metrics",
            },
        });
        json_response(StatusCode::OK, Body::from(about.to_string()))
    } else {
        index(headers).await?
    };
    response.headers_mut().append(vary.0, vary.1);
    Ok(response)
}

async fn index(headers: HeaderMap) -> Result<Response> {
    serve("index.html", &headers)
}

async fn asset(Path(path): Path<String>, headers: HeaderMap) -> Result<Response> {
    serve(&path, &headers)
}

async fn favicon(headers: HeaderMap) -> Result<Response> {
    serve("favicon.svg", &headers)
}

fn serve(path: &str, headers: &HeaderMap) -> Result<Response> {
    let EmbeddedFile { data, metadata } = Assets::get(path).ok_or_else(common::not_found)?;
    let encoding = if takes_gzip(headers) { "gzip" } else { "identity" };
    let tag = format!("\"{}-{encoding}\"", hex(&metadata.sha256_hash()[..16]));
    let mut response = match etag::matches(headers, &tag) {
        true => StatusCode::NOT_MODIFIED.into_response(),
        false if encoding == "gzip" => {
            let mut response = Response::new(Body::from(gzip(&data)));
            response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            response
        }
        false => Response::new(Body::from(data.into_owned())),
    };
    let media = metadata.mimetype();
    let media = if media.starts_with("text/") { format!("{media}; charset=utf-8") } else { media.to_owned() };
    let values = [
        (header::CONTENT_TYPE, media.as_str()),
        (header::ETAG, &tag),
        (header::CACHE_CONTROL, "no-cache"),
        (header::VARY, "accept-encoding"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ];
    for (name, text) in values {
        if let Ok(value) = HeaderValue::from_str(text) {
            response.headers_mut().insert(name, value);
        }
    }
    Ok(response)
}

/// Whether the caller takes an answer compressed so.
fn takes_gzip(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|one| {
        let mut words = one.split(';').map(str::trim);
        words.next() == Some("gzip") && !words.any(|word| word.strip_prefix("q=").is_some_and(|q| q.parse() == Ok(0.0)))
    })
}

/// A third of what it was. All files of the page are text, and each is sent once, until it changes.
fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(data.len() / 2), Compression::default());
    encoder.write_all(data).and_then(|()| encoder.finish()).expect("memory takes all")
}
