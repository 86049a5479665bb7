//! Idempotency keys: a caller that does not know whether it was heard may say it again.

use super::body::Json;
use super::caller::Caller;
use super::problem::{Code, Problem, Result};
use super::{json, json_response};
use crate::files::hex;
use crate::store::Once;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// The header with the key.
const HEADER: HeaderName = HeaderName::from_static("idempotency-key");
/// The header that marks a first answer given again.
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
/// The longest key.
const MAX_KEY: usize = 255;

/// The caller's key, if it sent one: 1 to 255 printable ASCII characters, else 400.
pub fn key(headers: &HeaderMap) -> Result<Option<String>> {
    let mut sent = headers.get_all(&HEADER).iter();
    let Some(key) = sent.next() else { return Ok(None) };
    let printable = key.as_bytes().iter().all(|byte| (b' '..=b'~').contains(byte));
    match key.to_str() {
        Ok(key) if printable && !key.is_empty() && key.len() <= MAX_KEY && sent.next().is_none() => {
            Ok(Some(key.to_owned()))
        }
        _ => Err(Problem::new(
            Code::BadHeader,
            format!("idempotency-key must be 1 to {MAX_KEY} printable ASCII characters, sent once"),
        )),
    }
}

/// What the store keeps of a key: its route, what was sent with it, and what is answered.
pub fn remember(key: Option<String>, caller: &Caller, route: &str, body: Option<&Json>, answer: &str) -> Option<Once> {
    let key = key?;
    let fingerprint = fingerprint(route, body.map_or("", Json::text));
    Some(Once { owner: caller.owner.clone(), route: route.to_owned(), key, fingerprint, answer: answer.to_owned() })
}

/// The same for two bodies that mean the same: order of members and spaces do not count.
fn fingerprint(route: &str, body: &str) -> String {
    let canonical = json::canonical(body).unwrap_or_default();
    hex(&Sha256::digest(format!("{route}\n{canonical}")))
}

/// The first answer, byte for byte.
pub fn replay(answer: String) -> Response {
    #[derive(Deserialize)]
    struct Task {
        id: Uuid,
    }
    let task = serde_json::from_str::<Task>(&answer).ok();
    let mut response = json_response(StatusCode::OK, Body::from(answer));
    response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    if let Some(location) = task.and_then(|task| HeaderValue::from_str(&super::wire::address(task.id)).ok()) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_printable_keys_of_the_right_length_are_keys() {
        let key = |value: &[u8]| {
            let value = HeaderValue::from_bytes(value).unwrap();
            super::key(&HeaderMap::from_iter([(HEADER, value)]))
        };
        assert_eq!(key(b"a b-1").unwrap().as_deref(), Some("a b-1"));
        assert!(key(&[b'x'; 255]).is_ok());
        for bad in [&b""[..], &[b'x'; 256], b"a\tb", "ü".as_bytes()] {
            assert_eq!(key(bad).unwrap_err().code(), Code::BadHeader, "{bad:?}");
        }
        assert_eq!(super::key(&HeaderMap::new()).unwrap(), None);
    }

    #[test]
    fn order_and_spaces_do_not_change_the_fingerprint_but_values_and_routes_do() {
        let one = fingerprint("/a", r#"{"x":1,"y":[2]}"#);
        assert_eq!(one, fingerprint("/a", r#"{ "y": [2], "x": 1 }"#));
        assert_ne!(one, fingerprint("/a", r#"{"x":1.0,"y":[2]}"#));
        assert_ne!(one, fingerprint("/b", r#"{"x":1,"y":[2]}"#));
    }

    proptest! {
        #[test]
        fn any_header_is_a_key_or_is_refused(bytes in prop_oneof![any::<Vec<u8>>(), "[ -~]{0,300}".prop_map(String::into_bytes)]) {
            let Ok(value) = HeaderValue::from_bytes(&bytes) else { return Ok(()) };
            let printable = bytes.iter().all(|byte| (b' '..=b'~').contains(byte)) && (1..=MAX_KEY).contains(&bytes.len());
            match super::key(&HeaderMap::from_iter([(HEADER, value)])) {
                Ok(key) => prop_assert!(printable && key.unwrap().as_bytes() == bytes),
                Err(problem) => prop_assert!(!printable && problem.code() == Code::BadHeader),
            }
        }
    }
}
