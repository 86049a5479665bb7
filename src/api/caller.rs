//! Who is calling: the one place that knows what comes with a request.

use super::Api;
use super::common::Peer;
use super::problem::{Code, Problem, Result};
use super::query::Query;
use super::session::{self, Token};
use crate::queue::keys::{Identity, Refused, SessionId};
use crate::task::{Scope, text};
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use std::ops::Deref;
use std::sync::Arc;
use uuid::Uuid;

/// The longest client id, in characters.
pub const MAX_CLIENT_ID: usize = 200;
/// The longest name of an owner, in characters.
const MAX_OWNER: usize = 100;
/// The headers that may name the client, the first that is there wins.
const CLIENT_HEADERS: [&str; 3] = ["x-socket-id", "x-session-id", "x-client-id"];
/// The header that may hold a key, beside `authorization`.
const KEY_HEADER: HeaderName = HeaderName::from_static("x-api-key");

/// A caller: who it is, and what it calls itself. A handler that asks for one has it from the guard of
/// `access`, so its role was let in.
#[derive(Debug, Clone)]
pub struct Caller {
    identity: Arc<Identity>,
    /// Its client id, from a header.
    client_id: Option<String>,
}

impl Deref for Caller {
    type Target = Identity;

    fn deref(&self) -> &Identity {
        &self.identity
    }
}

impl Caller {
    /// The caller who this is, by the client that the headers name.
    pub fn of(identity: Arc<Identity>, headers: &HeaderMap) -> Result<Caller> {
        Ok(Caller { identity, client_id: client_of(headers)? })
    }

    /// The client id of a task it submits: the body's, else the header's, else a new one.
    pub fn client_id(&self, of_body: Option<String>) -> String {
        of_body.or_else(|| self.client_id.clone()).unwrap_or_else(|| Uuid::new_v4().to_string())
    }

    /// Its scope, or what of that is the owner's whom a query names as `owner`.
    pub fn scope_of(&self, query: &mut Query) -> Scope {
        let owner = |text: &str| text::label(text, MAX_OWNER).is_none().then(|| text.to_owned());
        self.scope.of_owner(query.read("owner", "must be the name of an owner", owner))
    }

    /// Who it is.
    pub fn identity(&self) -> &Arc<Identity> {
        &self.identity
    }

    /// Its client id, if a header named one.
    pub fn client_header(&self) -> Option<&str> {
        self.client_id.as_deref()
    }

    /// What the history calls it where it changes a task.
    pub fn by(&self) -> &str {
        self.client_id.as_deref().unwrap_or(&self.owner)
    }

    /// 403 where its key is limited to other types or queues.
    pub fn may_submit(&self, r#type: &str, queue: &str) -> Result<()> {
        let allows = |list: &Option<Vec<String>>, word: &str| {
            list.as_ref().is_none_or(|list| list.iter().any(|one| one == word))
        };
        if !allows(&self.types, r#type) {
            return Err(Problem::new(
                Code::TypeNotAllowed,
                format!("this key may not submit tasks of the type {:?}", r#type),
            ));
        }
        if !allows(&self.queues, queue) {
            return Err(Problem::new(Code::QueueNotAllowed, format!("this key may not submit to the queue {queue:?}")));
        }
        Ok(())
    }

    /// A caller without a client header.
    #[cfg(test)]
    pub fn test(identity: Identity) -> Caller {
        Caller { identity: Arc::new(identity), client_id: None }
    }
}

impl FromRequestParts<Api> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Api) -> Result<Caller> {
        let identity = parts.extensions.get::<Arc<Identity>>().cloned();
        let identity = identity.ok_or_else(|| Problem::internal("the table of routes lets nobody in here"))?;
        Caller::of(identity, &parts.headers)
    }
}

/// Who sends this: by its key, else by its session, which must not change anything from a page of
/// another origin. While no key is needed it is always the same one, whatever comes with the request.
pub async fn identify(api: &Api, peer: Option<Peer>, method: &Method, headers: &HeaderMap) -> Result<Arc<Identity>> {
    match api.keys.anybody().await {
        Ok(anybody) => return Ok(anybody),
        Err(Refused::Away(error)) => return Err(error.into()),
        Err(_) => {}
    }
    if let Some(key) = key_of(headers) {
        return api.guesses.look(peer, key, api.keys.caller_of(key)).await;
    }
    let Some(Token { token, .. }) = session::token_of(headers) else {
        return Err(unauthenticated("send a key, as `authorization: Bearer errand_…`"));
    };
    let identity = api.keys.caller_of_session(token).await.map_err(refused)?;
    if !matches!(*method, Method::GET | Method::HEAD) && !session::is_same_origin(headers) {
        return Err(session::foreign());
    }
    Ok(identity)
}

/// The session by which a caller was let in; `None` where by a key, or where none was needed.
pub fn session_of(identity: &Identity, headers: &HeaderMap) -> Option<SessionId> {
    let token = session::token_of(headers).filter(|_| identity.key_id.is_some() && key_of(headers).is_none())?;
    SessionId::of(token.token)
}

/// The key a request brings; an empty one, which is nobody's, for one that is no text. Another scheme of
/// `authorization` is not for us: a proxy's.
pub fn key_of(headers: &HeaderMap) -> Option<&str> {
    let bearer = |value: &HeaderValue| {
        let scheme = value.as_bytes().get(..7).filter(|scheme| scheme.eq_ignore_ascii_case(b"bearer "));
        scheme.is_some() || value.as_bytes().eq_ignore_ascii_case(b"bearer")
    };
    if let Some(value) = headers.get_all(header::AUTHORIZATION).iter().find(|value| bearer(value)) {
        return Some(value.to_str().ok().and_then(|text| text.get(7..)).unwrap_or_default().trim());
    }
    headers.get(KEY_HEADER).map(|value| value.to_str().unwrap_or_default().trim())
}

/// What the wire says to who is not let in.
pub fn refused(refused: Refused) -> Problem {
    let code = match refused {
        Refused::Unknown => return unauthenticated("this is no key of this service, and no session"),
        Refused::Expired => Code::KeyExpired,
        Refused::Revoked => Code::KeyRevoked,
        Refused::Away(error) => return error.into(),
    };
    challenge(Problem::new(code, refused.to_string()))
}

fn unauthenticated(detail: &'static str) -> Problem {
    challenge(Problem::new(Code::Unauthenticated, detail))
}

fn challenge(problem: Problem) -> Problem {
    problem.with_header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
}

/// The header that names the client, right or wrong.
pub fn client_header(headers: &HeaderMap) -> Option<&HeaderValue> {
    CLIENT_HEADERS.iter().find_map(|name| headers.get(*name).filter(|value| !value.is_empty()))
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

    #[test]
    fn a_key_is_found_in_either_header_and_a_proxys_own_scheme_is_passed_over() {
        let key = |pairs: &[(&'static str, &[u8])]| {
            let pairs = pairs
                .iter()
                .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_bytes(value).unwrap()));
            key_of(&HeaderMap::from_iter(pairs)).map(str::to_owned)
        };
        assert_eq!(key(&[]), None);
        assert_eq!(key(&[("authorization", b"bearer k")]).as_deref(), Some("k"));
        assert_eq!(key(&[("x-api-key", b"k")]).as_deref(), Some("k"));
        assert_eq!(key(&[("authorization", b"Basic x"), ("x-api-key", b"k")]).as_deref(), Some("k"));
        assert_eq!(key(&[("authorization", b"Bearer a"), ("x-api-key", b"k")]).as_deref(), Some("a"));
        for nobodys in [&b"Bearer"[..], b"Bearer ", b"Bearer \xff", b"bearer\xc3\xa4"] {
            let found = key(&[("authorization", nobodys)]);
            assert!(found.is_none_or(|key| key.is_empty()), "{nobodys:?}");
        }
    }
}
