//! Who is at a socket: the one place where what a client shows becomes a caller.

use super::super::Api;
use super::super::caller::{Caller, identify, key_of, session_of};
use super::super::common::Peer;
use super::super::problem::{Code, Problem, Result};
use super::super::trail::Trail;
use super::super::{host, session, tickets};
use crate::queue::keys::{Holder, Identity, Keys, Refused, SessionId};
use crate::task::Role;
use axum::http::{HeaderMap, Method, header};
use std::pin::Pin;
use std::sync::Arc;

/// What a client that shows its key as a protocol also offers, and gets.
pub const PROTOCOL: &str = "errand";

/// Somebody who was let in.
pub struct Signed {
    /// Who it is.
    pub caller: Caller,
    /// The session it has that by.
    session: Option<SessionId>,
}

impl Signed {
    /// The sender of a request that the table of routes let in, by a ticket if there was one.
    pub fn of(caller: Caller, headers: &HeaderMap, ticket: Option<Holder>) -> Signed {
        let session = match ticket {
            Some(holder) => holder.session,
            None => session_of(caller.identity(), headers),
        };
        Signed { caller, session }
    }

    /// Ends once it would be let in no more.
    pub fn ended(&self, keys: Keys) -> Pin<Box<dyn Future<Output = Refused> + Send + 'static>> {
        let (caller, session) = (self.caller.clone(), self.session.clone());
        Box::pin(async move {
            match session {
                Some(session) => keys.session_ended(&session).await,
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
    host::check(api, headers).await?;
    let key = key.or_else(|| offered(headers));
    let signed = look(api, peer, headers, key).await;
    match &signed {
        Ok(Some(signed)) => trail.is_of(signed.caller.identity()),
        Ok(None) => {}
        Err(_) => trail.claims(&api.keys, key.or_else(|| key_of(headers))).await,
    }
    signed
}

/// Lets somebody in by a ticket, whatever else comes with the request. The ticket is used up by that.
pub async fn sign_in_by_ticket(api: &Api, trail: &Trail, headers: &HeaderMap, ticket: &str) -> Result<Option<Signed>> {
    host::check(api, headers).await?;
    let Holder { identity, session } = tickets::holder(api, ticket).await?;
    trail.is_of(&identity);
    admit(identity, session, headers)
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
    let session = session::token_of(headers).filter(|_| !by_key).and_then(|token| SessionId::of(token.token));
    admit(identity, session, headers)
}

fn admit(identity: Arc<Identity>, session: Option<SessionId>, headers: &HeaderMap) -> Result<Option<Signed>> {
    if identity.role == Role::Worker {
        return Err(Problem::new(Code::Forbidden, "a key with the role worker may not do this"));
    }
    Ok(Some(Signed { caller: Caller::of(identity, headers)?, session }))
}

/// The key among the protocols that are offered.
fn offered(headers: &HeaderMap) -> Option<&str> {
    let values = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim).find(|offer| !offer.is_empty() && *offer != PROTOCOL)
}
