//! Entity tags: an answer the caller already has is not sent again.

use crate::files::hex;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};

/// The tag of exactly these bytes.
pub fn of(bytes: &[u8]) -> String {
    format!("\"{}\"", hex(&Sha256::digest(bytes)[..16]))
}

/// Whether the caller's `if-none-match` names this tag (compared weakly, as it must be).
pub fn matches(headers: &HeaderMap, tag: &str) -> bool {
    let opaque = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    let values = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|one| one.trim() == "*" || opaque(one) == opaque(tag))
}

/// JSON under its tag, or 304 where the caller has it.
pub fn json(headers: &HeaderMap, tag: &str, body: impl Into<Body>) -> Response {
    let mut response = match matches(headers, tag) {
        true => StatusCode::NOT_MODIFIED.into_response(),
        false => super::json_response(StatusCode::OK, body.into()),
    };
    set(&mut response, tag);
    response
}

/// Puts an answer under its tag.
pub fn set(response: &mut Response, tag: &str) {
    if let Ok(tag) = HeaderValue::from_str(tag) {
        response.headers_mut().insert(header::ETAG, tag);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(header::IF_NONE_MATCH, HeaderValue::from_static(value))])
    }

    #[test]
    fn a_tag_is_found_alone_in_a_list_weakly_and_by_the_star() {
        for value in ["\"a\"", "\"b\", \"a\"", "W/\"a\"", "*"] {
            assert!(matches(&sent(value), "\"a\""), "{value}");
            assert!(matches(&sent(value), "W/\"a\""), "{value}");
        }
        for value in ["\"b\"", "a", "", "\"b\", \"c\""] {
            assert!(!matches(&sent(value), "\"a\""), "{value}");
        }
        assert!(!matches(&HeaderMap::new(), "\"a\""));
    }
}
