//! Who is calling: the one place that will know keys and roles.

use super::Api;
use super::problem::{Code, Problem, Result};
use crate::task::{Scope, text};
use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::request::Parts;
use uuid::Uuid;

/// The longest client id, in characters.
pub const MAX_CLIENT_ID: usize = 200;
/// The owner of everything while no keys are configured.
const DEFAULT_OWNER: &str = "default";
/// The headers that may name the client, the first that is there wins.
const CLIENT_HEADERS: [&str; 3] = ["x-socket-id", "x-session-id", "x-client-id"];

/// A caller: whose tasks it sees, and what it calls itself.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Whose tasks it submits.
    pub owner: String,
    /// Whose tasks it sees.
    pub scope: Scope,
    /// Its client id, from a header.
    client_id: Option<String>,
}

impl Caller {
    /// The client id of a task it submits: the body's, else the header's, else a new one.
    pub fn client_id(&self, of_body: Option<String>) -> String {
        of_body.or_else(|| self.client_id.clone()).unwrap_or_else(|| Uuid::new_v4().to_string())
    }

    /// A caller without a client header.
    #[cfg(test)]
    pub fn test(owner: &str, scope: Scope) -> Caller {
        Caller { owner: owner.to_owned(), scope, client_id: None }
    }

    /// What the history calls it where it changes a task.
    pub fn by(&self) -> &str {
        self.client_id.as_deref().unwrap_or(&self.owner)
    }
}

impl FromRequestParts<Api> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Api) -> Result<Caller> {
        let client_id = client_of(&parts.headers)?;
        Ok(Caller { owner: DEFAULT_OWNER.to_owned(), scope: Scope::Owner(DEFAULT_OWNER.to_owned()), client_id })
    }
}

fn client_of(headers: &HeaderMap) -> Result<Option<String>> {
    for name in CLIENT_HEADERS {
        let Some(value) = headers.get(name).filter(|value| !value.is_empty()) else { continue };
        let wrong = match std::str::from_utf8(value.as_bytes()) {
            Err(_) => "must be UTF-8".to_owned(),
            Ok(id) => match text::label(id, MAX_CLIENT_ID) {
                None => return Ok(Some(id.to_owned())),
                Some(wrong) => wrong,
            },
        };
        return Err(Problem::new(Code::BadHeader, format!("{name} {wrong}")));
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    #[test]
    fn the_first_client_header_wins_and_a_bad_one_is_refused() {
        let mut headers = HeaderMap::new();
        assert_eq!(client_of(&headers).unwrap(), None);
        headers.insert("x-client-id", HeaderValue::from_static("c"));
        headers.insert("x-socket-id", HeaderValue::from_static("s"));
        assert_eq!(client_of(&headers).unwrap().as_deref(), Some("s"));
        headers.insert("x-socket-id", HeaderValue::from_str(&"x".repeat(201)).unwrap());
        assert_eq!(client_of(&headers).unwrap_err().code(), Code::BadHeader);
    }
}
