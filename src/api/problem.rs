//! Where errors meet HTTP, and the only place: every answer of 400 and above is a [`Problem`].
//!
//! A handler returns one; [`super::common`] writes it out, adds the request id, and makes one of
//! whatever the framework itself refuses.

use crate::queue;
use crate::task::text::FieldError;
use crate::{files, store};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use std::borrow::Cow;
use std::time::Duration;

/// No more errors than this are listed.
pub const MAX_ERRORS: usize = 100;

/// What a caller should wait before it tries again, in seconds.
const RETRY_AFTER_SECONDS: u64 = 1;

macro_rules! codes {
    ($($variant:ident $status:literal $word:literal $title:literal;)*) => {
        /// What went wrong, in a word that a program can branch on. A word never changes its meaning.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[allow(missing_docs)] // the title says it
        pub enum Code { $($variant),* }

        impl Code {
            /// Every code, with its status, its word and its title.
            pub const ALL: &[(Code, u16, &str, &str)] = &[$((Code::$variant, $status, $word, $title)),*];
        }
    };
}

codes! {
    MalformedJson 400 "malformed_json" "The body is not valid JSON";
    MalformedMultipart 400 "malformed_multipart" "The body is not valid multipart/form-data";
    EmptyFilter 400 "empty_filter" "An empty filter means every task";
    BadHeader 400 "bad_header" "A header is not valid";
    BadRequest 400 "bad_request" "The request is not valid HTTP";
    Unauthenticated 401 "unauthenticated" "A key is needed here";
    KeyExpired 401 "key_expired" "The key has expired";
    KeyRevoked 401 "key_revoked" "The key was revoked";
    Forbidden 403 "forbidden" "This is not allowed";
    TypeNotAllowed 403 "type_not_allowed" "This key may not submit tasks of this type";
    QueueNotAllowed 403 "queue_not_allowed" "This key may not submit to this queue";
    NotFound 404 "not_found" "There is nothing here";
    TaskNotFound 404 "task_not_found" "No such task";
    FileNotFound 404 "file_not_found" "No such file";
    ArtifactNotFound 404 "artifact_not_found" "No such artifact";
    NoPreview 404 "no_preview" "There is no preview of such a file";
    KeyNotFound 404 "key_not_found" "No such key";
    TaskTypeNotFound 404 "task_type_not_found" "No such task type";
    MethodNotAllowed 405 "method_not_allowed" "This method is not allowed here";
    NotAcceptable 406 "not_acceptable" "The answer comes in no type you accept";
    RequestTimeout 408 "request_timeout" "The request took too long to arrive";
    TaskNotCancellable 409 "task_not_cancellable" "The task cannot be cancelled";
    TaskNotRetryable 409 "task_not_retryable" "The task cannot be retried";
    TaskNotAwaitingApproval 409 "task_not_awaiting_approval" "The task waits for no approval";
    SequenceExpired 410 "sequence_expired" "The change log no longer reaches back so far";
    BodyTooLarge 413 "body_too_large" "The body is too large";
    UriTooLong 414 "uri_too_long" "The address is too long";
    UnsupportedMediaType 415 "unsupported_media_type" "This content type is not taken here";
    RangeNotSatisfiable 416 "range_not_satisfiable" "The range lies outside the file";
    MisdirectedRequest 421 "misdirected_request" "The request was meant for another host";
    InvalidRequest 422 "invalid_request" "The request is not valid";
    UnknownTaskType 422 "unknown_task_type" "There is no such task type";
    KeyReused 422 "idempotency_key_reused" "The idempotency key was used with another body";
    PreviewRefused 422 "preview_refused" "The file cannot be looked into";
    InvalidFilter 422 "invalid_filter" "The filter is not valid";
    InvalidCursor 422 "invalid_cursor" "The cursor is not valid here";
    RateLimited 429 "rate_limited" "Too much at once";
    QuotaExceeded 429 "quota_exceeded" "The owner has as much as it may have";
    HeadersTooLarge 431 "headers_too_large" "The headers are too large";
    Internal 500 "internal" "Something went wrong on the server";
    Unavailable 503 "unavailable" "The service cannot do this right now";
    Starting 503 "starting" "This node is starting";
    Draining 503 "draining" "This node is shutting down";
    StorageFull 507 "storage_full" "There is no space left";
}

impl Code {
    fn row(self) -> &'static (Code, u16, &'static str, &'static str) {
        &Code::ALL[self as usize]
    }

    /// The word on the wire.
    pub fn word(self) -> &'static str {
        self.row().2
    }

    /// Its HTTP status.
    pub fn status(self) -> StatusCode {
        StatusCode::from_u16(self.row().1).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// The code for a status that came without one.
    fn of_status(status: StatusCode) -> Code {
        let known = |&&(code, ..): &&(Code, u16, &str, &str)| code.status() == status && code != Code::EmptyFilter;
        match status {
            StatusCode::BAD_REQUEST => Code::BadRequest,
            StatusCode::UNPROCESSABLE_ENTITY => Code::InvalidRequest,
            status if status.is_client_error() => Code::ALL.iter().find(known).map_or(Code::BadRequest, |row| row.0),
            StatusCode::SERVICE_UNAVAILABLE => Code::Unavailable,
            _ => Code::Internal,
        }
    }
}

/// An error as the caller sees it. It shows no SQL, no path of the machine and no secret.
#[derive(Debug, Clone)]
pub struct Problem(Box<Parts>);

#[derive(Debug, Clone)]
struct Parts {
    code: Code,
    detail: Cow<'static, str>,
    errors: Vec<FieldError>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.0.code.word(), self.0.detail)
    }
}

impl std::error::Error for Problem {}

/// What handlers answer.
pub type Result<T> = std::result::Result<T, Problem>;

impl Problem {
    /// A problem with a sentence on what is wrong.
    pub fn new(code: Code, detail: impl Into<Cow<'static, str>>) -> Problem {
        let wait = matches!(code, Code::Unavailable | Code::Starting | Code::Draining | Code::StorageFull);
        let headers = wait.then(|| (header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER_SECONDS)));
        let headers = headers.into_iter().collect();
        Problem(Box::new(Parts { code, detail: detail.into(), errors: Vec::new(), headers }))
    }

    /// A 422 that names each member that is wrong; at most [`MAX_ERRORS`] of them.
    pub fn invalid(code: Code, mut errors: Vec<FieldError>) -> Problem {
        let n = errors.len();
        errors.truncate(MAX_ERRORS);
        let detail = match errors.as_slice() {
            [only] if only.pointer.is_empty() => format!("the body {}", only.detail),
            [only] => format!("{} {}", only.pointer, only.detail),
            _ => format!("{n} things are wrong"),
        };
        let mut problem = Problem::new(code, detail);
        problem.0.errors = errors;
        problem
    }

    /// One to be tried again after this time, which is told in whole seconds.
    pub fn later(code: Code, detail: impl Into<Cow<'static, str>>, wait: Duration) -> Problem {
        let seconds = wait.as_millis().div_ceil(1000).max(1) as u64;
        Problem::new(code, detail).with_header(header::RETRY_AFTER, HeaderValue::from(seconds))
    }

    /// A 500 that shows nothing; `cause` goes to the log.
    pub fn internal(cause: impl std::fmt::Display) -> Problem {
        tracing::error!(%cause, "a request failed");
        Problem::new(Code::Internal, "the request id names it in the server's log")
    }

    /// The problem for an answer of the framework's own.
    pub fn of_status(status: StatusCode) -> Problem {
        let code = Code::of_status(status);
        Problem::new(code, code.row().3)
    }

    /// The same with a header.
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Problem {
        self.0.headers.push((name, value));
        self
    }

    /// The same with its errors told otherwise.
    pub fn map_errors(mut self, tell: impl Fn(FieldError) -> FieldError) -> Problem {
        match std::mem::take(&mut self.0.errors) {
            errors if errors.is_empty() => self,
            errors => Problem::invalid(self.0.code, errors.into_iter().map(tell).collect()),
        }
    }

    /// Its code.
    pub fn code(&self) -> Code {
        self.0.code
    }

    /// What is wrong with this very request.
    pub fn detail(&self) -> &str {
        &self.0.detail
    }

    /// What is wrong, member by member.
    pub fn errors(&self) -> &[FieldError] {
        &self.0.errors
    }

    /// The document, as it goes over the wire.
    pub fn to_json(&self, request_id: &str) -> String {
        let (_, status, code, title) = *self.0.code.row();
        let body = Body {
            r#type: format!("/docs/problems#{code}"),
            title,
            status,
            detail: &self.0.detail,
            code,
            errors: &self.0.errors,
            request_id,
        };
        serde_json::to_string(&body).unwrap_or_default()
    }
}

/// An error, as `application/problem+json` (RFC 9457).
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Problem)]
pub struct Body<'a> {
    /// A stable address of this kind of problem.
    #[schema(example = "/docs/problems#invalid_request")]
    pub r#type: String,
    /// The kind of problem in a sentence.
    pub title: &'a str,
    /// The HTTP status.
    pub status: u16,
    /// What is wrong with this very request.
    pub detail: &'a str,
    /// A stable word to branch on.
    #[schema(example = "invalid_request")]
    pub code: &'a str,
    /// Every member that is wrong.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    #[schema(value_type = Vec<super::wire::FieldErrorView>, required = false)]
    pub errors: &'a [FieldError],
    /// The `x-request-id` of this answer.
    pub request_id: &'a str,
}

impl IntoResponse for Problem {
    /// An answer without a body: the common layer writes it, with the request id.
    fn into_response(self) -> Response {
        let mut response = self.0.code.status().into_response();
        for (name, value) in &self.0.headers {
            response.headers_mut().insert(name.clone(), value.clone());
        }
        response.extensions_mut().insert(self);
        response
    }
}

impl From<queue::Error> for Problem {
    fn from(error: queue::Error) -> Problem {
        use queue::Error as E;
        let detail = error.to_string();
        match error {
            E::NotFound => Problem::new(Code::TaskNotFound, "there is no such task"),
            E::FileNotFound => Problem::new(Code::FileNotFound, "there is no such file"),
            E::NotCancellable(_) => Problem::new(Code::TaskNotCancellable, detail),
            E::NotRetryable(_) => Problem::new(Code::TaskNotRetryable, detail),
            E::NoneAwaited => Problem::new(Code::TaskNotAwaitingApproval, detail),
            E::KeyReused => Problem::new(Code::KeyReused, "send the same body again, or another key"),
            E::SequenceExpired(_) => Problem::new(Code::SequenceExpired, detail),
            E::SequenceAhead => Problem::new(Code::InvalidRequest, detail),
            E::TooManyMuted => Problem::invalid(Code::InvalidRequest, vec![FieldError::new("/mute", detail)]),
            E::InvalidCheckpoint(why) => Problem::new(Code::InvalidRequest, why),
            E::QuotaExceeded { wait, .. } => Problem::later(Code::QuotaExceeded, detail, wait),
            E::Store(error) => error.into(),
            E::Files(error) => error.into(),
        }
    }
}

impl From<store::Error> for Problem {
    fn from(error: store::Error) -> Problem {
        match error {
            store::Error::Unavailable(_) => {
                error.tell("a request was answered 503");
                Problem::new(Code::Unavailable, "the database cannot be reached right now")
            }
            store::Error::Full(_) => {
                error.tell("a request was answered 507");
                Problem::new(Code::StorageFull, "the database has no space left")
            }
            error => Problem::internal(error),
        }
    }
}

impl From<files::Error> for Problem {
    fn from(error: files::Error) -> Problem {
        match error {
            files::Error::Full => Problem::new(Code::StorageFull, "the file store has no space left"),
            files::Error::Away(_) => {
                tracing::warn!(%error, "a request was answered 503");
                Problem::new(Code::Unavailable, "the file store cannot be reached right now")
            }
            error => Problem::internal(error),
        }
    }
}

/// The 422 of drafts that did not pass, from the errors of each.
pub fn of_errors(drafts: impl Iterator<Item = Vec<FieldError>>) -> Problem {
    let all: Vec<FieldError> = drafts.flatten().collect();
    let unknown_type =
        |error: &FieldError| error.pointer.ends_with("/type") && error.detail.starts_with(queue::UNKNOWN_TYPE);
    let code = if all.iter().all(unknown_type) { Code::UnknownTaskType } else { Code::InvalidRequest };
    Problem::invalid(code, all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_a_word_of_its_own_and_finds_its_row() {
        for (code, status, word, _) in Code::ALL {
            assert_eq!((code.status().as_u16(), code.word()), (*status, *word));
            assert_eq!(Code::ALL.iter().filter(|row| row.2 == *word).count(), 1, "{word}");
        }
    }

    #[test]
    fn an_internal_error_shows_nothing_of_its_cause() {
        let problem: Problem = store::Error::Internal("SELECT secret FROM /var/lib".to_owned()).into();
        let text = problem.to_json("r1");
        assert!(!text.contains("secret") && !text.contains("/var"), "{text}");
        assert!(text.contains("\"request_id\":\"r1\""));
    }

    #[test]
    fn an_unknown_type_has_its_own_code_and_a_mixed_batch_has_not() {
        let unknown = || vec![FieldError::new("/tasks/3/type", "is no task type; the types are noop")];
        assert_eq!(of_errors([unknown()].into_iter()).code(), Code::UnknownTaskType);
        let missing = vec![FieldError::new("/type", "is required")];
        assert_eq!(of_errors([missing].into_iter()).code(), Code::InvalidRequest);
        let other = vec![FieldError::new("/params/x", "must be 1")];
        assert_eq!(of_errors([unknown(), other].into_iter()).code(), Code::InvalidRequest);
    }
}
