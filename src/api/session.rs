//! The page's session: a key is exchanged for a cookie that no script can read.

use super::body;
use super::caller::{self, Caller};
use super::common::Peer;
use super::fields::Fields;
use super::problem::{Body as ProblemBody, Code, Problem, Result};
use super::trail::Trail;
use super::{Api, json_response, query, to_json};
use crate::queue::keys::SESSION_HOURS;
use crate::task::{Role, Time};
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header, uri::Authority};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// More bytes of a body are refused.
const MAX_BODY_BYTES: usize = 4 * 1024;
/// The cookie's name where the page came over TLS: the browser then takes it from this very host only.
const OVER_TLS: &str = "__Host-errand";
/// Its name elsewhere.
const PLAIN: &str = "errand";

/// The routes.
pub fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(sign_in, sign_out)).routes(routes!(me))
}

/// A session that a request brings.
pub struct Token<'a> {
    /// What the cookie holds.
    pub token: &'a str,
    name: &'static str,
}

/// A key.
#[derive(ToSchema)]
#[schema(as = SignIn)]
#[allow(dead_code)] // only for the document
struct SignIn {
    key: String,
}

/// Begins a session: the cookie counts as the key, for 12 hours at most, and not in another site's hands.
#[utoipa::path(
    post, path = "/api/session", tag = "access", request_body = SignIn, security(()),
    responses(
        (status = 204, description = "The session has begun", headers(("set-cookie" = String))),
        (status = "default", description = "An error", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn sign_in(State(api): State<Api>, request: Request) -> Result<Response> {
    query::none(request.uri())?;
    let (headers, trail) = (request.headers().clone(), Trail::on(&request).cloned());
    if (headers.contains_key(header::ORIGIN) || headers.contains_key("sec-fetch-site")) && !is_same_origin(&headers) {
        return Err(foreign());
    }
    let peer = request.extensions().get::<Peer>().copied();
    let body = body::json(request, MAX_BODY_BYTES).await?;
    let mut fields = Fields::of(body.text(), "");
    let key = fields.text("key", |_| None);
    if key.is_none() {
        fields.missing("key");
    }
    fields.done(Code::InvalidRequest)?;
    let key = key.unwrap_or_default();
    let signed = api.guesses.look(peer, &key, api.keys.sign_in(&key)).await;
    if let Some(trail) = trail {
        match &signed {
            Ok((identity, _)) => trail.is_of(identity),
            Err(_) => trail.claims(&api.keys, Some(&key)).await,
        }
    }
    let (_, token) = signed?;
    // The one before is nobody's any more.
    if let Some(before) = token_of(&headers) {
        api.keys.sign_out(before.token).await.map_err(caller::refused)?;
    }
    let name = if is_over_tls(&headers) { OVER_TLS } else { PLAIN };
    Ok(with_cookie(StatusCode::NO_CONTENT.into_response(), name, &token, SESSION_HOURS * 3600))
}

/// Ends the session whose cookie this brings; the cookie is worth nothing any more, wherever it is.
#[utoipa::path(
    delete, path = "/api/session", tag = "access",
    responses(
        (status = 204, description = "It has ended"),
        (status = "default", description = "An error", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn sign_out(State(api): State<Api>, _caller: Caller, uri: Uri, headers: HeaderMap) -> Result<Response> {
    query::none(&uri)?;
    let response = StatusCode::NO_CONTENT.into_response();
    let Some(Token { token, name }) = token_of(&headers) else { return Ok(response) };
    api.keys.sign_out(token).await.map_err(caller::refused)?;
    Ok(with_cookie(response, name, "", 0))
}

/// Who calls.
#[derive(Serialize, ToSchema)]
struct Me<'a> {
    owner: &'a str,
    #[schema(inline, value_type = super::wire::RoleView)]
    role: &'static str,
    /// Null while no key is needed.
    key_id: Option<&'a str>,
    /// What people call the key.
    name: Option<&'a str>,
    /// The only types that may be submitted; null is any.
    types: Option<&'a [String]>,
    /// The only queues they may go to; null is any.
    queues: Option<&'a [String]>,
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Time>,
}

/// Who calls, and what that one may do.
#[utoipa::path(
    get, path = "/api/me", tag = "access",
    responses(
        (status = 200, description = "Who", body = Me),
        (status = "default", description = "An error", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn me(caller: Caller, uri: Uri) -> Result<Response> {
    query::none(&uri)?;
    let me = Me {
        owner: &caller.owner,
        role: Role::word(caller.role),
        key_id: caller.key_id.as_deref(),
        name: caller.name.as_deref(),
        types: caller.types.as_deref(),
        queues: caller.queues.as_deref(),
        expires_at: caller.expires_at,
    };
    Ok(json_response(StatusCode::OK, Body::from(to_json(&me))))
}

/// The session of a request, if it brings one. The name that another site cannot set goes first.
pub fn token_of(headers: &HeaderMap) -> Option<Token<'_>> {
    let values = || headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let cookies = || values().flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let named =
        |name: &'static str| cookies().find(|(known, _)| *known == name).map(|(_, token)| Token { token, name });
    named(OVER_TLS).or_else(|| named(PLAIN))
}

/// That a request comes from a page of this very origin, as the browser says: by `sec-fetch-site`, or by
/// `origin` where the page came over plain HTTP and there is no such header.
pub fn is_same_origin(headers: &HeaderMap) -> bool {
    match (headers.get("sec-fetch-site"), headers.get(header::ORIGIN)) {
        (Some(site), _) => site == "same-origin",
        (None, Some(_)) => is_of_this_host(headers),
        (None, None) => false,
    }
}

/// Whether `origin` is a page that came from this host, its port as the scheme says it where none is named.
pub fn is_of_this_host(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let (Some((scheme, authority)), Some(host)) =
        (text(header::ORIGIN).and_then(|origin| origin.split_once("://")), text(header::HOST))
    else {
        return false;
    };
    let port = match scheme {
        "http" => 80,
        "https" => 443,
        _ => return false,
    };
    let read = |text: &str| {
        let authority: Authority = text.parse().ok()?;
        Some((authority.host().to_ascii_lowercase(), authority.port_u16().unwrap_or(port)))
    };
    read(authority).is_some_and(|origin| read(host) == Some(origin))
}

/// What a page of another origin hears.
pub fn foreign() -> Problem {
    Problem::new(Code::Forbidden, "a page of another origin may not change anything here; use a key")
}

/// Whether the browser speaks TLS, with us or with a proxy before us.
fn is_over_tls(headers: &HeaderMap) -> bool {
    let first = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    first("x-forwarded-proto").split(',').next().is_some_and(|scheme| scheme.trim().eq_ignore_ascii_case("https"))
        || first("origin").starts_with("https://")
}

fn with_cookie(mut response: Response, name: &str, token: &str, max_age_seconds: i64) -> Response {
    let secure = if name == OVER_TLS { "; Secure" } else { "" };
    let cookie = format!("{name}={token}; Path=/; Max-Age={max_age_seconds}; HttpOnly; SameSite=Strict{secure}");
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderName;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        HeaderMap::from_iter(pairs.iter().map(pair))
    }

    #[test]
    fn only_a_page_of_this_origin_is_of_the_same_origin() {
        for same in [
            &[("sec-fetch-site", "same-origin"), ("origin", "null")][..],
            &[("origin", "http://Box:8080"), ("host", "box:8080")],
        ] {
            assert!(is_same_origin(&headers(same)), "{same:?}");
        }
        for other in [
            &[][..],
            &[("sec-fetch-site", "same-site"), ("origin", "http://box"), ("host", "box")],
            &[("sec-fetch-site", "none")],
            &[("origin", "null"), ("host", "box")],
            &[("origin", "http://box:81"), ("host", "box")],
            &[("origin", "http://box.evil"), ("host", "box")],
            &[("origin", "http://box")],
        ] {
            assert!(!is_same_origin(&headers(other)), "{other:?}");
        }
    }

    #[test]
    fn only_a_page_of_this_host_is_of_this_host() {
        for (origin, host) in [
            ("http://127.0.0.1:8080", "127.0.0.1:8080"),
            ("https://errand.example", "Errand.example:443"),
            ("http://[::1]:80", "[::1]"),
        ] {
            assert!(is_of_this_host(&headers(&[("origin", origin), ("host", host)])), "{origin} {host}");
        }
        for (origin, host) in [
            ("null", "a"),
            ("", "a"),
            ("http://evil.example", "a"),
            ("http://a:81", "a"),
            ("https://a", "a:80"),
            ("http://a.evil.example", "a"),
            ("http://evil@a", ""),
            ("file://a", "a"),
            ("chrome-extension://a", "a"),
        ] {
            assert!(!is_of_this_host(&headers(&[("origin", origin), ("host", host)])), "{origin} {host}");
        }
    }

    #[test]
    fn a_session_is_found_among_other_cookies_and_the_safe_name_goes_first() {
        let token = |cookies| token_of(&headers(&[("cookie", cookies)])).map(|token| token.token.to_owned());
        assert_eq!(token("a=1; errand=x; b=2").as_deref(), Some("x"));
        assert_eq!(token("errand=x; __Host-errand=y").as_deref(), Some("y"));
        assert_eq!(token("errandx=1; xerrand=2"), None);
    }

    #[test]
    fn the_cookie_is_marked_secure_where_the_browser_speaks_tls() {
        let tls = |pairs| is_over_tls(&headers(pairs));
        assert!(tls(&[("x-forwarded-proto", "https, http")]) && tls(&[("origin", "https://box")]));
        assert!(!tls(&[("x-forwarded-proto", "http")]) && !tls(&[]));
    }
}
