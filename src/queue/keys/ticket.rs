//! Tickets: a key is exchanged for a random text that opens one socket, once and soon. It may stand in an
//! address, which others write down.

use super::super::read::own;
use super::session::SessionId;
use super::{Identity, Keys, Refused, form};
use crate::files::hex;
use crate::store::{self, Ticket};
use crate::task::Time;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::sync::Arc;

/// A ticket that is not used within this is none any more: time to connect, and none to be found.
pub const TICKET_SECONDS: i64 = 30;
/// Characters of a ticket: 256 bits in base64.
const TICKET_CHARS: usize = 43;

/// Who had a ticket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Who asked for it.
    pub identity: Arc<Identity>,
    /// The session by which that one did: whatever the ticket opened ends with it.
    pub session: Option<SessionId>,
}

impl Keys {
    /// A ticket that stands once for this caller, at any node; answers it and when it ends. It is kept nowhere.
    pub async fn ticket(&self, holder: &Holder) -> store::Result<(String, Time)> {
        let text = URL_SAFE_NO_PAD.encode(form::random::<32>());
        let now = self.inner.clock.now();
        let ticket = Ticket {
            token: hex(&form::hash(text.as_bytes())),
            key_id: holder.identity.key_id.clone(),
            secret: hex(&holder.identity.hash),
            session: holder.session.as_ref().map(|session| session.as_text().to_owned()),
            expires_at: now.plus(TICKET_SECONDS * 1000),
        };
        let (store, until) = (self.inner.store.clone(), ticket.expires_at);
        own(async move { store.add_ticket(&ticket, now).await }).await?;
        Ok((text, until))
    }

    /// Who has this ticket, which is used up by that, whatever comes of it: the key's owner it was made for, for as
    /// long as that is valid with the secret it had then. `Unknown` for one that was used, is too old, or never was.
    pub async fn caller_of_ticket(&self, text: &str) -> Result<Holder, Refused> {
        let known = self.inner.memory.known().await?;
        if text.len() != TICKET_CHARS {
            return Err(Refused::Unknown);
        }
        let (store, token) = (self.inner.store.clone(), hex(&form::hash(text.as_bytes())));
        let ticket = own(async move { store.take_ticket(&token).await }).await?.ok_or(Refused::Unknown)?;
        if ticket.expires_at <= self.inner.clock.now() {
            return Err(Refused::Unknown);
        }
        let hash = form::of_hex(&ticket.secret);
        let identity = self.current(ticket.key_id.as_deref(), &hash, &known).ok_or(Refused::Unknown)?;
        let session = ticket.session.map(SessionId::of_text);
        if let Some(session) = &session {
            self.caller_within(session).await?;
        }
        Ok(Holder { identity: self.valid(&identity)?, session })
    }
}
