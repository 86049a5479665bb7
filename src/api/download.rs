//! Files going out: streamed, in ranges, and safe to open from a browser.

use super::etag;
use super::problem::{Code, Problem, Result};
use crate::files::Files;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use std::ops::Range;
use tokio_util::io::ReaderStream;

/// What stays as it is in an address.
pub const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// How much is read at once.
const CHUNK_BYTES: usize = 64 * 1024;

/// A file as kept.
pub struct Kept<'a> {
    /// What it is called: any text.
    pub name: &'a str,
    /// Its size.
    pub bytes: u64,
    /// Its media type.
    pub content_type: &'a str,
    /// SHA-256 in hex.
    pub sha256: &'a str,
    /// Where the file store has it.
    pub location: &'a str,
}

/// The file, or the range of it that was asked for, or 304 where the caller has it. Always as an
/// attachment in a sandbox: it is somebody's upload and may be anything.
pub async fn answer(files: &Files, method: &Method, headers: &HeaderMap, file: Kept<'_>) -> Result<Response> {
    let tag = format!("\"{}\"", file.sha256);
    if etag::matches(headers, &tag) {
        let mut response = StatusCode::NOT_MODIFIED.into_response();
        set(&mut response, header::ETAG, &tag);
        return Ok(response);
    }
    // Only a GET has ranges.
    let asked = if *method == Method::HEAD { Wanted::Whole } else { wanted(headers, &tag, file.bytes) };
    let (status, range) = match asked {
        Wanted::Whole => (StatusCode::OK, 0..file.bytes),
        Wanted::Part(range) => (StatusCode::PARTIAL_CONTENT, range),
        Wanted::Outside => {
            let all = format!("bytes */{}", file.bytes);
            let problem = Problem::new(Code::RangeNotSatisfiable, format!("the file has {} bytes", file.bytes));
            return Err(problem.with_header(header::CONTENT_RANGE, value(&all)));
        }
    };
    let length = range.end - range.start;
    let body = match *method == Method::HEAD {
        true => Body::empty(),
        false => {
            let reader = files.read(file.location, range.clone()).await?;
            Body::from_stream(ReaderStream::with_capacity(reader, CHUNK_BYTES))
        }
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    if status == StatusCode::PARTIAL_CONTENT {
        let part = format!("bytes {}-{}/{}", range.start, range.end - 1, file.bytes);
        set(&mut response, header::CONTENT_RANGE, &part);
    }
    set(&mut response, header::CONTENT_LENGTH, &length.to_string());
    set(&mut response, header::CONTENT_TYPE, file.content_type);
    seal(&mut response, file.name);
    set(&mut response, header::ACCEPT_RANGES, "bytes");
    set(&mut response, header::ETAG, &tag);
    Ok(response)
}

/// Has what is of somebody's file open nowhere but in a sandbox, and be saved under its name.
pub fn seal(response: &mut Response, name: &str) {
    set(response, header::CONTENT_DISPOSITION, &disposition(name));
    set(response, header::CONTENT_SECURITY_POLICY, "sandbox; default-src 'none'");
}

fn set(response: &mut Response, name: header::HeaderName, text: &str) {
    response.headers_mut().insert(name, value(text));
}

fn value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static("application/octet-stream"))
}

#[derive(Debug, PartialEq, Eq)]
enum Wanted {
    Whole,
    Part(Range<u64>),
    Outside,
}

/// What a range header asks for. One that is malformed, or asks for several ranges, or for parts of
/// another version, is ignored, as RFC 9110 allows.
fn wanted(headers: &HeaderMap, tag: &str, bytes: u64) -> Wanted {
    let same = headers.get(header::IF_RANGE).is_none_or(|version| version.as_bytes() == tag.as_bytes());
    let text = headers.get(header::RANGE).filter(|_| same).and_then(|range| range.to_str().ok());
    let Some((first, last)) = text.and_then(|text| text.strip_prefix("bytes=")?.trim().split_once('-')) else {
        return Wanted::Whole;
    };
    let number = |text: &str| match text.bytes().all(|byte| byte.is_ascii_digit()) {
        // Too many digits for a number are beyond every end.
        true if !text.is_empty() => Some(text.parse().unwrap_or(u64::MAX)),
        _ => None,
    };
    match (number(first), number(last)) {
        (Some(first), Some(last)) if first > last => Wanted::Whole,
        (Some(first), _) if first >= bytes && (last.is_empty() || number(last).is_some()) => Wanted::Outside,
        (Some(first), Some(last)) => Wanted::Part(first..last.saturating_add(1).min(bytes)),
        (Some(first), None) if last.is_empty() => Wanted::Part(first..bytes),
        (None, Some(0)) if first.is_empty() => Wanted::Outside,
        (None, Some(n)) if first.is_empty() && bytes > 0 => Wanted::Part(bytes.saturating_sub(n)..bytes),
        (None, Some(_)) if first.is_empty() => Wanted::Outside,
        _ => Wanted::Whole,
    }
}

/// An attachment under a name that no header and no shell can be broken with.
fn disposition(name: &str) -> String {
    let plain: String = name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ' ') { c } else { '_' })
        .take(100)
        .collect();
    let plain = plain.trim_matches(|c| c == '.' || c == ' ');
    let plain = if plain.is_empty() { "file" } else { plain };
    format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{}", utf8_percent_encode(name, UNRESERVED))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn range(text: &'static str, bytes: u64) -> Wanted {
        wanted(&HeaderMap::from_iter([(header::RANGE, HeaderValue::from_static(text))]), "\"t\"", bytes)
    }

    #[test]
    fn one_range_is_served_and_what_lies_outside_is_refused() {
        assert_eq!(range("bytes=0-3", 10), Wanted::Part(0..4));
        assert_eq!(range("bytes=8-", 10), Wanted::Part(8..10));
        assert_eq!(range("bytes=8-99999999999999999999999", 10), Wanted::Part(8..10));
        assert_eq!(range("bytes=-1", 10), Wanted::Part(9..10));
        assert_eq!(range("bytes=-50", 10), Wanted::Part(0..10));
        for outside in ["bytes=10-", "bytes=10-12", "bytes=-0"] {
            assert_eq!(range(outside, 10), Wanted::Outside, "{outside}");
        }
        assert_eq!(range("bytes=-1", 0), Wanted::Outside);
    }

    #[test]
    fn what_is_no_single_range_gets_the_whole() {
        for text in ["bytes=5-2", "bytes=0-1,3-4", "lines=0-1", "bytes=", "bytes=-", "bytes=a-b", "bytes=10-x"] {
            assert_eq!(range(text, 10), Wanted::Whole, "{text}");
        }
        let mut headers = HeaderMap::from_iter([(header::RANGE, HeaderValue::from_static("bytes=0-3"))]);
        headers.insert(header::IF_RANGE, HeaderValue::from_static("\"other\""));
        assert_eq!(wanted(&headers, "\"t\"", 10), Wanted::Whole);
    }

    #[test]
    fn a_name_cannot_break_out_of_its_header() {
        assert_eq!(disposition("table.csv"), "attachment; filename=\"table.csv\"; filename*=UTF-8''table.csv");
        let odd = disposition("../ü\"\r\nx: y;.png");
        assert_eq!(odd.matches(['\r', '\n']).count(), 0);
        assert_eq!(odd.matches('"').count(), 2);
        assert!(odd.contains("filename*=UTF-8''..%2F%C3%BC%22%0D%0Ax%3A%20y%3B.png"));
        assert!(disposition("...").contains("filename=\"file\""));
    }

    proptest! {
        #[test]
        fn any_range_lies_within_the_file(
            text in prop_oneof![any::<String>(), "(bytes=)?[0-9]{0,22}-[0-9]{0,22}", "bytes=[0-9,= -]{0,12}"],
            bytes in prop_oneof![0..30u64, any::<u64>()],
        ) {
            let Ok(value) = HeaderValue::from_str(&text) else { return Ok(()) };
            if let Wanted::Part(part) = wanted(&HeaderMap::from_iter([(header::RANGE, value)]), "\"t\"", bytes) {
                prop_assert!(part.start < part.end && part.end <= bytes, "{part:?}");
            }
        }

        #[test]
        fn each_range_is_what_it_says(first in 0..40u64, last in 0..40u64, bytes in 0..30u64) {
            let range = |text: String| {
                wanted(&HeaderMap::from_iter([(header::RANGE, HeaderValue::from_str(&text).unwrap())]), "\"t\"", bytes)
            };
            let part = |from: u64, to: u64| if from < to { Wanted::Part(from..to) } else { Wanted::Outside };
            let expected = if first > last { Wanted::Whole } else { part(first, bytes.min(last + 1)) };
            prop_assert_eq!(range(format!("bytes={first}-{last}")), expected);
            prop_assert_eq!(range(format!("bytes={first}-")), part(first, bytes));
            prop_assert_eq!(range(format!("bytes=-{last}")), part(bytes.saturating_sub(last), bytes));
        }

        #[test]
        fn any_name_makes_a_header_that_holds(name in any::<String>()) {
            let text = disposition(&name);
            prop_assert!(HeaderValue::from_str(&text).is_ok() && text.matches('"').count() == 2, "{text}");
        }
    }
}
