//! Reading bodies: never more than allowed, never waited for without end.

use super::fields::Fields;
use super::json;
use super::problem::{Code, Problem, Result};
use axum::body::{Body, BodyDataStream};
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, header};
use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt};
use std::time::Duration;
use tokio::time::{Instant, timeout, timeout_at};

/// A body of which nothing comes for so long is given up (408).
const IDLE: Duration = Duration::from_secs(30);
/// Slower than this, a body that has had [`IDLE`] already is given up too: one that drips holds a
/// connection, and a file, for as long as it likes.
const SLOWEST_BYTES_A_SECOND: u64 = 1024;
/// A JSON body that is not whole after so long is given up (408).
const WHOLE: Duration = Duration::from_secs(60);
/// What is left of a refused body is read for so long, so that its sender gets to read the answer.
const LINGER: Duration = Duration::from_secs(5);
/// And no more of it than this.
const LINGER_BYTES: usize = 64 * 1024 * 1024;

/// The longest body of a call that takes no members.
const NONE_BYTES: usize = 16 * 1024;

/// A body that is JSON by every rule of [`json`], without NUL characters.
#[derive(Debug)]
pub struct Json {
    text: String,
}

impl Json {
    /// The text, as sent.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Checks a text. 400 where it is no JSON, 422 where it has NUL characters.
    pub fn check(bytes: Vec<u8>) -> Result<Json> {
        let malformed =
            |at, why| Problem::new(Code::MalformedJson, format!("the body is not valid JSON: {why} at byte {at}"));
        let text =
            String::from_utf8(bytes).map_err(|error| malformed(error.utf8_error().valid_up_to(), "it is not UTF-8"))?;
        match json::check(&text) {
            Ok(nuls) if nuls.is_empty() => Ok(Json { text }),
            Ok(nuls) => Err(Problem::invalid(Code::InvalidRequest, nuls)),
            Err(error) => Err(malformed(error.at, error.why)),
        }
    }
}

/// The JSON body of a request, at most `limit` bytes.
pub async fn json(request: Request, limit: usize) -> Result<Json> {
    let (head, body) = request.into_parts();
    let bytes = whole(&head.headers, body, limit).await?;
    if !is_json(&head.headers) {
        return Err(Problem::new(Code::UnsupportedMediaType, "send application/json"));
    }
    Json::check(bytes.into())
}

/// The JSON body of a request that may have none.
pub async fn json_or_none(request: Request, limit: usize) -> Result<Option<Json>> {
    let (head, body) = request.into_parts();
    let bytes = whole(&head.headers, body, limit).await?;
    match bytes.is_empty() {
        true => Ok(None),
        false if !is_json(&head.headers) => Err(Problem::new(Code::UnsupportedMediaType, "send application/json")),
        false => Json::check(bytes.into()).map(Some),
    }
}

/// A call that takes no members: nothing, `null`, or an empty object.
pub async fn none(request: Request) -> Result<()> {
    let body = json_or_none(request, NONE_BYTES).await?.filter(|body| body.text().trim() != "null");
    Fields::of(body.as_ref().map_or("{}", Json::text), "").done(Code::InvalidRequest)
}

/// The media type of a header, in lower case and without its parameters.
pub fn media_type(value: &HeaderValue) -> Option<String> {
    Some(value.to_str().ok()?.split(';').next()?.trim().to_ascii_lowercase())
}

/// The body as a stream that ends in an error when it is too long or stalls.
pub fn stream(
    headers: &HeaderMap,
    body: Body,
    limit: u64,
) -> Result<impl Stream<Item = Result<Bytes>> + Send + 'static> {
    let declared = declared(headers)?;
    if declared.is_some_and(|declared| declared > limit) {
        linger(body.into_data_stream());
        return Err(too_large(limit));
    }
    let begun = Instant::now();
    let state = (body.into_data_stream(), 0u64, false);
    Ok(futures_util::stream::unfold(state, move |(mut body, mut read, ended)| async move {
        if ended {
            return None;
        }
        let item = match timeout_at(patience(begun, read), body.next()).await {
            Err(_) => Err(stalled()),
            Ok(None) => return None,
            Ok(Some(Err(_))) => Err(broken()),
            Ok(Some(Ok(bytes))) => {
                read += bytes.len() as u64;
                if read > limit { Err(too_large(limit)) } else { Ok(bytes) }
            }
        };
        let ended = item.is_err();
        Some((item, (body, read, ended)))
    }))
}

async fn whole(headers: &HeaderMap, body: Body, limit: usize) -> Result<Bytes> {
    let declared = declared(headers)?;
    let mut body = body.into_data_stream();
    if declared.is_some_and(|declared| declared > limit as u64) {
        linger(body);
        return Err(too_large(limit as u64));
    }
    let begun = Instant::now();
    let (mut first, mut all) = (Bytes::new(), BytesMut::new());
    loop {
        let read = (first.len() + all.len()) as u64;
        let bytes = match timeout_at(patience(begun, read).min(begun + WHOLE), body.next()).await {
            Err(_) => return Err(stalled()),
            Ok(None) => break,
            Ok(Some(Err(_))) => return Err(broken()),
            Ok(Some(Ok(bytes))) => bytes,
        };
        if first.len() + all.len() + bytes.len() > limit {
            linger(body);
            return Err(too_large(limit as u64));
        }
        if first.is_empty() && all.is_empty() {
            first = bytes;
        } else {
            all.extend_from_slice(&std::mem::take(&mut first));
            all.extend_from_slice(&bytes);
        }
    }
    Ok(if all.is_empty() { first } else { all.freeze() })
}

/// Until when more of a body is waited for.
fn patience(begun: Instant, read: u64) -> Instant {
    let paced = begun + IDLE + Duration::from_secs(read / SLOWEST_BYTES_A_SECOND);
    paced.min(Instant::now() + IDLE)
}

/// How long the body says it is.
pub fn declared(headers: &HeaderMap) -> Result<Option<u64>> {
    let Some(length) = headers.get(header::CONTENT_LENGTH) else { return Ok(None) };
    let length = length.to_str().ok().and_then(|length| length.parse().ok());
    length.map(Some).ok_or_else(|| Problem::new(Code::BadHeader, "content-length must be a number"))
}

fn is_json(headers: &HeaderMap) -> bool {
    let media = headers.get(header::CONTENT_TYPE).and_then(media_type).unwrap_or_default();
    media == "application/json" || (media.starts_with("application/") && media.ends_with("+json"))
}

/// Reads on for a while. Otherwise the connection is reset while the sender still sends, and the
/// answer is lost with it.
pub fn linger(mut body: BodyDataStream) {
    tokio::spawn(timeout(LINGER, async move {
        let mut left = LINGER_BYTES;
        while let Some(Ok(bytes)) = body.next().await {
            match left.checked_sub(bytes.len()) {
                Some(rest) => left = rest,
                None => return,
            }
        }
    }));
}

fn too_large(limit: u64) -> Problem {
    Problem::new(Code::BodyTooLarge, format!("the body may have at most {limit} bytes here"))
}

fn stalled() -> Problem {
    Problem::new(Code::RequestTimeout, "the body did not arrive in time")
}

fn broken() -> Problem {
    Problem::new(Code::BadRequest, "the body ended before its end")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(content_type: &str, body: &'static str) -> Request {
        Request::builder().header(header::CONTENT_TYPE, content_type).body(Body::from(body)).unwrap()
    }

    #[tokio::test]
    async fn a_body_up_to_the_limit_is_read_and_a_longer_one_is_not() {
        assert_eq!(json(request("application/json; charset=utf-8", "[1,2]"), 5).await.unwrap().text(), "[1,2]");
        assert_eq!(json(request("application/json", "[1,2]"), 4).await.unwrap_err().code(), Code::BodyTooLarge);
    }

    #[tokio::test]
    async fn a_declared_length_over_the_limit_is_refused_before_anything_is_read() {
        let mut request = request("application/json", "");
        request.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from_static("10000000000"));
        assert_eq!(json(request, 100).await.unwrap_err().code(), Code::BodyTooLarge);
    }

    #[tokio::test]
    async fn json_must_be_declared_as_json() {
        for content_type in ["text/plain", "application/x-www-form-urlencoded", "text/json"] {
            assert_eq!(json(request(content_type, "{}"), 9).await.unwrap_err().code(), Code::UnsupportedMediaType);
        }
        assert!(json_or_none(request("text/plain", ""), 9).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn a_body_that_keeps_its_pace_is_waited_for_and_one_that_drips_is_not() {
        let begun = Instant::now();
        let waits = |read| (patience(begun, read) - begun).as_secs();
        assert_eq!((waits(0), waits(1023), waits(1 << 20)), (30, 30, 30), "nothing at all comes for 30 s");
        let long_ago = begun - Duration::from_secs(100);
        let still = |read| patience(long_ago, read) > begun;
        assert_eq!((still(69 * 1024), still(71 * 1024)), (false, true), "1 KiB a second, after the first 30");
    }

    #[test]
    fn broken_json_is_400_and_a_nul_is_422() {
        for bytes in [&b"{\"a\":\xff}"[..], b"{", b"", b"\xef\xbb\xbf{}"] {
            assert_eq!(Json::check(bytes.to_vec()).unwrap_err().code(), Code::MalformedJson);
        }
        let problem = Json::check(br#"{"name":"\u0000"}"#.to_vec()).unwrap_err();
        assert_eq!((problem.code(), problem.errors()[0].pointer.as_str()), (Code::InvalidRequest, "/name"));
    }
}
