//! Pages of other origins: a browser lets those call that the settings list, and no other one.
//!
//! They come with a key. What a browser keeps for this host it may send from there too, so a cookie is taken off
//! before anybody looks at it. Without a list nothing of this exists.

use super::access::TABLE;
use super::{common, session};
use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use axum::middleware::{self, Next};
use axum::response::Response;
use std::sync::Arc;
use std::time::Duration;
use tower::{Layer, ServiceExt};
use tower_http::cors::{AllowOrigin, CorsLayer};

/// The headers of a request that anything here reads, beside those that every page may send.
const READ: [&str; 13] = [
    "accept",
    "authorization",
    "content-type",
    "idempotency-key",
    "if-none-match",
    "if-range",
    "last-event-id",
    "range",
    "x-api-key",
    "x-client-id",
    "x-request-id",
    "x-session-id",
    "x-socket-id",
];
/// The headers of an answer that a page wants to read, beside those that every page may.
const TOLD: [&str; 13] = [
    "accept-ranges",
    "allow",
    "content-disposition",
    "content-range",
    "etag",
    "idempotent-replayed",
    "link",
    "location",
    "ratelimit",
    "ratelimit-policy",
    "retry-after",
    "www-authenticate",
    "x-request-id",
];
/// So long a browser need not ask again before it sends something: few questions, and an origin that was taken
/// off the list sends nothing more soon. It reads nothing from then on.
const REMEMBERED: Duration = Duration::from_secs(600);

/// Stands on a request of a page whose origin is listed.
#[derive(Debug, Clone, Copy)]
pub struct Listed;

/// The list, and what answers by it.
struct Origins {
    listed: Vec<HeaderValue>,
    layer: CorsLayer,
}

/// These routes, for pages of these origins too.
pub fn around(routes: Router, origins: &[String]) -> Router {
    match Origins::of(origins) {
        Some(origins) => routes.layer(middleware::from_fn_with_state(Arc::new(origins), layer)),
        None => routes,
    }
}

async fn layer(State(origins): State<Arc<Origins>>, mut request: Request, next: Next) -> Response {
    let asks = request.method() == Method::OPTIONS;
    let before = asks && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    if !origins.have(request.headers()) || (asks && !before) {
        let mut response = next.run(request).await;
        // What it was told is not for who comes from a listed one: a cache must tell them apart.
        response.headers_mut().append(header::VARY, HeaderValue::from_static("origin"));
        return response;
    }
    if !session::is_same_origin(request.headers()) {
        request.headers_mut().remove(header::COOKIE);
    }
    request.extensions_mut().insert(Listed);
    let id = before.then(|| common::request_id(&request));
    let Ok(mut response) = origins.layer.layer(next).oneshot(request).await;
    if let Some(id) = id {
        common::dress(&mut response, &Method::OPTIONS, id, true);
    }
    response
}

impl Origins {
    /// `None` for an empty list.
    fn of(origins: &[String]) -> Option<Origins> {
        let listed: Vec<_> = origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok()).collect();
        let known = TABLE.iter().filter_map(|(method, ..)| Method::from_bytes(method.as_bytes()).ok());
        let mut methods = vec![Method::HEAD];
        known.for_each(|method| {
            if !methods.contains(&method) {
                methods.push(method)
            }
        });
        let layer = CorsLayer::new().allow_origin(AllowOrigin::list(listed.clone())).max_age(REMEMBERED);
        let layer = layer.allow_methods(methods).allow_headers(READ.map(HeaderName::from_static));
        let layer = layer.expose_headers(TOLD.map(HeaderName::from_static));
        (!listed.is_empty()).then_some(Origins { listed, layer })
    }

    /// Whether a request comes from one of them, and from no second one.
    fn have(&self, headers: &HeaderMap) -> bool {
        let mut origins = headers.get_all(header::ORIGIN).iter();
        origins.next().is_some_and(|origin| self.listed.contains(origin)) && origins.next().is_none()
    }
}
