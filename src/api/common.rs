//! What every request passes on its way in and every answer on its way out.

use super::cors::Listed;
use super::problem::{Code, Problem};
use super::trail::Trail;
use super::{page, session};
use axum::body::Body;
use axum::extract::Request;
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, Version, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use percent_encoding::percent_decode_str;
use std::panic::AssertUnwindSafe;
use std::time::Instant;
use tracing::Instrument;
use uuid::Uuid;

/// The header by which a request is found again in the log.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// A longer address is refused (414).
const MAX_URI_BYTES: usize = 8 * 1024;
/// More header bytes are refused (431).
const MAX_HEADER_BYTES: usize = 16 * 1024;
/// More headers are refused (431).
const MAX_HEADERS: usize = 100;
/// A longer request id of the caller is replaced.
const MAX_REQUEST_ID: usize = 128;

/// That a request came over a connection, and from where; absent in tests that call the router.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub std::net::SocketAddr);

/// The outermost layer: request id, the address made plain, a span, panics, problems, headers.
pub async fn layer(mut request: Request, next: Next) -> Response {
    let id = request_id(&request);
    if let Some(trail) = Trail::on(&request) {
        trail.called(&id);
    }
    let (method, path) = (request.method().clone(), request.uri().path());
    let api = path.starts_with("/api");
    let peer = request.extensions().get::<Peer>().map(|peer| tracing::field::display(peer.0));
    let span = tracing::info_span!("request", id = id.to_str().unwrap_or_default(), %method, ?path, peer);
    let begun = Instant::now();
    let answered = async {
        if let Err(problem) = check(&request).and_then(|()| plain_path(&mut request)) {
            return problem.into_response();
        }
        match AssertUnwindSafe(next.run(request)).catch_unwind().await {
            Ok(response) => response,
            Err(panic) => Problem::internal(said(&*panic)).into_response(),
        }
    };
    let mut response = answered.instrument(span.clone()).await;
    write_problem(&mut response, id.to_str().unwrap_or_default());
    dress(&mut response, &method, id, api);
    span.in_scope(|| tracing::debug!(status = response.status().as_u16(), ms = begun.elapsed().as_millis() as u64));
    response
}

/// By which id a request is found again: its own, if it is a sane one.
pub fn request_id(request: &Request) -> HeaderValue {
    let sane = |id: &&HeaderValue| {
        let plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        !id.is_empty() && id.len() <= MAX_REQUEST_ID && id.as_bytes().iter().all(plain)
    };
    match request.headers().get(REQUEST_ID).filter(sane) {
        Some(id) => id.clone(),
        None => HeaderValue::from_str(&Uuid::now_v7().to_string()).expect("a uuid is plain text"),
    }
}

/// What HTTP itself asks for and the server below does not check.
fn check(request: &Request) -> Result<(), Problem> {
    let headers = request.headers();
    let header_bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    if header_bytes > MAX_HEADER_BYTES || headers.len() > MAX_HEADERS {
        let detail = format!("send at most {MAX_HEADERS} headers of {MAX_HEADER_BYTES} bytes in all");
        return Err(Problem::new(Code::HeadersTooLarge, detail));
    }
    let uri = request.uri();
    if uri.path().len() + uri.query().map_or(0, str::len) > MAX_URI_BYTES {
        return Err(Problem::new(Code::UriTooLong, format!("it may have at most {MAX_URI_BYTES} bytes")));
    }
    let hosts = headers.get_all(header::HOST).iter().count();
    let over_wire = request.extensions().get::<Peer>().is_some() && request.version() == Version::HTTP_11;
    if hosts > 1 || (hosts == 0 && over_wire) {
        return Err(Problem::new(Code::BadHeader, "send exactly one host header"));
    }
    if headers.get(header::CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity") {
        return Err(Problem::new(Code::UnsupportedMediaType, "send the body without a content-encoding"));
    }
    if is_coded(headers) {
        let problem = Problem::new(Code::BadHeader, "of transfer-encoding only chunked is taken");
        return Err(problem.with_header(header::CONNECTION, HeaderValue::from_static("close")));
    }
    let site = headers.get("sec-fetch-site").map(HeaderValue::as_bytes);
    let elsewhere = match site {
        Some(b"same-origin") => false,
        Some(b"cross-site" | b"same-site") => true,
        // Where the browser does not say it.
        _ => headers.contains_key(header::ORIGIN) && !session::is_of_this_host(headers),
    };
    let changes = !matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    let listed = request.extensions().get::<Listed>().is_some();
    if changes && !listed && elsewhere {
        return Err(Problem::new(Code::Forbidden, "a page of another origin may not change anything here"));
    }
    Ok(())
}

/// Whether the body comes in another coding than chunks, which the server below takes for the only one.
fn is_coded(headers: &HeaderMap) -> bool {
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    codings.any(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"chunked"))
}

/// Takes a trailing slash off, so that both forms are answered; refuses addresses that only look
/// like one of ours: doubled slashes, dot segments, control characters.
fn plain_path(request: &mut Request) -> Result<(), Problem> {
    let path = request.uri().path();
    if !path.starts_with('/') {
        return Err(Problem::of_status(StatusCode::METHOD_NOT_ALLOWED).with_header(header::ALLOW, ALLOW_ANY));
    }
    if !is_plain(path) {
        return Err(not_found());
    }
    let Some(short) = path.strip_suffix('/').filter(|short| !short.is_empty()) else { return Ok(()) };
    let target = match request.uri().query() {
        Some(query) => format!("{short}?{query}"),
        None => short.to_owned(),
    };
    let mut parts = request.uri().clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(target).map_err(|_| not_found())?);
    *request.uri_mut() = Uri::from_parts(parts).map_err(|_| not_found())?;
    Ok(())
}

const ALLOW_ANY: HeaderValue = HeaderValue::from_static("GET, HEAD, POST, PUT, DELETE");

fn is_plain(path: &str) -> bool {
    let Ok(decoded) = percent_decode_str(path).decode_utf8() else { return false };
    let dots = decoded.split(['/', '\\']).any(|segment| matches!(segment, "." | ".."));
    !dots && !path.contains("//") && !decoded.chars().any(char::is_control)
}

/// Nothing stands at this address.
pub fn not_found() -> Problem {
    Problem::new(Code::NotFound, "nothing is served at this address")
}

/// Writes the problem of an error out; an error of the framework's own becomes one.
fn write_problem(response: &mut Response, request_id: &str) {
    let status = response.status();
    let is_error = status.is_client_error() || status.is_server_error();
    if !is_error || response.extensions().get::<page::Told>().is_some() {
        return;
    }
    let problem = response.extensions_mut().remove::<Problem>().unwrap_or_else(|| Problem::of_status(status));
    *response.body_mut() = Body::from(problem.to_json(request_id));
    response.extensions_mut().insert(problem.code());
    let headers = response.headers_mut();
    headers.remove(header::CONTENT_LENGTH);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
}

/// The headers of every answer; no body where none belongs.
pub fn dress(response: &mut Response, method: &Method, id: HeaderValue, api: bool) {
    let bodiless = matches!(response.status(), StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    if bodiless || method == Method::HEAD {
        *response.body_mut() = Body::empty();
    }
    let headers = response.headers_mut();
    if bodiless {
        headers.remove(header::CONTENT_TYPE);
        headers.remove(header::CONTENT_LENGTH);
    }
    headers.insert(REQUEST_ID, id);
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if !headers.contains_key(header::CACHE_CONTROL) {
        let checked = headers.contains_key(header::ETAG) || !api;
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(if checked { "no-cache" } else { "no-store" }));
    }
}

/// What a panic said, for the log.
fn said(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    format!("panic: {}", text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_only_look_like_ours_are_not_plain() {
        for path in ["/", "/api/tasks/", "/api/tasks/a%20b", "/static/app.js"] {
            assert!(is_plain(path), "{path}");
        }
        for path in
            ["/a/../b", "/a/%2e%2e/b", "/a/..%2fb", "//a", "/a//b", "/a%00", "/a%0d", "/a%ff", "/a/.", "/..%5cx"]
        {
            assert!(!is_plain(path), "{path}");
        }
    }

    #[test]
    fn a_trailing_slash_is_taken_off_and_the_query_stays() {
        let plain = |uri: &str| {
            let mut request = Request::builder().uri(uri).body(Body::empty()).unwrap();
            plain_path(&mut request).unwrap();
            request.uri().to_string()
        };
        assert_eq!(plain("/api/tasks/?limit=1"), "/api/tasks?limit=1");
        assert_eq!(plain("/api/tasks"), "/api/tasks");
        assert_eq!(plain("/"), "/");
    }
}
