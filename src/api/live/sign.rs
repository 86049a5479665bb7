//! Who is at a socket: the one place where what a client shows becomes a caller.

use super::super::Api;
use super::super::caller::{Caller, identify, key_of};
use super::super::common::Peer;
use super::super::problem::{Code, Problem, Result};
use super::super::session;
use super::super::trail::Trail;
use crate::queue::keys::{Keys, Refused};
use crate::task::Role;
use axum::http::{HeaderMap, Method, header};
use std::pin::Pin;

/// What a client that shows its key as a protocol also offers, and gets.
pub const PROTOCOL: &str = "errand";

/// Somebody who was let in.
pub struct Signed {
    /// Who it is.
    pub caller: Caller,
    /// The session it has that by.
    session: Option<String>,
}

impl Signed {
    /// The sender of a request that the table of routes let in.
    pub fn of(caller: Caller, headers: &HeaderMap) -> Signed {
        let session = session::token_of(headers).filter(|_| caller.key_id.is_some() && key_of(headers).is_none());
        Signed { caller, session: session.map(|token| token.token.to_owned()) }
    }

    /// Ends once it would be let in no more.
    pub fn ended(&self, keys: Keys) -> Pin<Box<dyn Future<Output = Refused> + Send + 'static>> {
        let (caller, session) = (self.caller.clone(), self.session.clone());
        Box::pin(async move {
            match session {
                Some(token) => keys.session_ended(&token).await,
                None => keys.ended(&caller).await,
            }
        })
    }
}

/// Lets somebody in by a key in a message, or by the request it began with: a key among its headers or
/// the protocols it offers, or its session. `None` where it has shown nothing yet.
pub async fn sign_in(
    api: &Api,
    trail: &Trail,
    peer: Option<Peer>,
    headers: &HeaderMap,
    key: Option<&str>,
) -> Result<Option<Signed>> {
    let key = key.or_else(|| offered(headers));
    let signed = look(api, peer, headers, key).await;
    match &signed {
        Ok(Some(signed)) => trail.is_of(signed.caller.identity()),
        Ok(None) => {}
        Err(_) => trail.claims(&api.keys, key.or_else(|| key_of(headers))).await,
    }
    signed
}

async fn look(api: &Api, peer: Option<Peer>, headers: &HeaderMap, key: Option<&str>) -> Result<Option<Signed>> {
    let (identity, by_key) = match (api.keys.anybody().await, key) {
        (Ok(anybody), _) => (anybody, true),
        (Err(_), Some(key)) => (api.guesses.look(peer, key, api.keys.caller_of(key)).await?, true),
        (Err(Refused::Away(error)), None) => return Err(error.into()),
        (Err(_), None) if key_of(headers).is_some() => (identify(api, peer, &Method::GET, headers).await?, true),
        (Err(_), None) if session::token_of(headers).is_none() => return Ok(None),
        // A browser sends its cookie for any page; which one it is for, it says.
        (Err(_), None) if !session::is_of_this_host(headers) => return Err(session::foreign()),
        (Err(_), None) => (identify(api, peer, &Method::GET, headers).await?, false),
    };
    if identity.role == Role::Worker {
        return Err(Problem::new(Code::Forbidden, "a key with the role worker may not do this"));
    }
    let caller = Caller::of(identity, headers)?;
    let session = session::token_of(headers).filter(|_| !by_key).map(|token| token.token.to_owned());
    Ok(Some(Signed { caller, session }))
}

/// The key among the protocols that are offered.
fn offered(headers: &HeaderMap) -> Option<&str> {
    let values = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim).find(|offer| !offer.is_empty() && *offer != PROTOCOL)
}
