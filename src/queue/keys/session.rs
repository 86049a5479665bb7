//! Sessions of browsers: a key is exchanged for a random token that a cookie holds.

use super::super::read::own;
use super::memory::{FRESH, STALE};
use super::{Identity, Keys, Refused, form};
use crate::files::hex;
use crate::store::Session;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tokio::time::timeout;

/// A session ends after so long: a working day, and the key is asked for again.
pub const SESSION_HOURS: i64 = 12;
/// Sessions that are remembered at once; beyond, all are asked for again.
const MOST: usize = 10_000;
/// Characters of a token: 256 bits in base64.
const TOKEN_CHARS: usize = 43;

/// Which session: the hash of its token, by which the database knows it and which opens nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionId(String);

impl SessionId {
    /// Of this token; `None` where it is none.
    pub fn of(token: &str) -> Option<SessionId> {
        (token.len() == TOKEN_CHARS).then(|| SessionId(hex(&form::hash(token.as_bytes()))))
    }

    /// As the database has it.
    pub(super) fn of_text(text: String) -> SessionId {
        SessionId(text)
    }

    pub(super) fn as_text(&self) -> &str {
        &self.0
    }
}

/// Sessions as they were read, by the hash of their token; `None`: ended here.
#[derive(Default)]
pub struct Sessions {
    seen: Mutex<HashMap<String, Option<(Instant, Session)>>>,
}

impl Sessions {
    fn seen(&self) -> MutexGuard<'_, HashMap<String, Option<(Instant, Session)>>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers a session, unless it has ended here meanwhile.
    fn remember(&self, asked: Instant, session: &Session) {
        let mut seen = self.seen();
        if seen.len() >= MOST {
            seen.clear();
        }
        let known = seen.entry(session.token.clone()).or_insert_with(|| Some((asked, session.clone())));
        if let Some(known) = known {
            *known = (asked, session.clone());
        }
    }
}

impl Keys {
    /// Begins a session with this key; answers who that is, and a new token, which is kept nowhere.
    pub async fn sign_in(&self, key: &str) -> Result<(Arc<Identity>, String), Refused> {
        let identity = self.caller_of(key).await?;
        let token = URL_SAFE_NO_PAD.encode(form::random::<32>());
        let now = self.inner.clock.now();
        let session = Session {
            token: hex(&form::hash(token.as_bytes())),
            key_id: identity.key_id.clone().unwrap_or_default(),
            secret: hex(&identity.hash),
            created_at: now,
            expires_at: now.plus(SESSION_HOURS * 3_600_000),
        };
        let store = self.inner.store.clone();
        own(async move { store.add_session(&session).await }).await?;
        Ok((identity, token))
    }

    /// Whose session this is: the key's it was begun with, for as long as that is valid with the secret
    /// it had then. The database is asked at most every 4 s for each.
    pub async fn caller_of_session(&self, token: &str) -> Result<Arc<Identity>, Refused> {
        self.caller_within(&SessionId::of(token).ok_or(Refused::Unknown)?).await
    }

    /// The same, by its id.
    pub(super) async fn caller_within(&self, session: &SessionId) -> Result<Arc<Identity>, Refused> {
        let known = self.inner.memory.known().await?;
        let session = self.session(session).await?.ok_or(Refused::Unknown)?;
        if session.expires_at <= self.inner.clock.now() {
            return Err(Refused::Unknown);
        }
        let hash = form::of_hex(&session.secret);
        let identity = self.current(Some(&session.key_id), &hash, &known).ok_or(Refused::Unknown)?;
        self.valid(&identity)
    }

    /// As [`Keys::ended`], for who was let in by a session: it ends with a sign-out too.
    pub async fn session_ended(&self, session: &SessionId) -> Refused {
        let mut moved = self.inner.memory.moved();
        loop {
            if let Err(refused) = self.caller_within(session).await {
                return refused;
            }
            let _ = timeout(FRESH, moved.changed()).await;
        }
    }

    /// Ends a session: here at once, at other nodes within 5 s.
    pub async fn sign_out(&self, token: &str) -> Result<(), Refused> {
        let hash = hex(&form::hash(token.as_bytes()));
        let inner = self.inner.clone();
        own(async move {
            inner.store.end_session(&hash).await?;
            inner.sessions.seen().insert(hash, None);
            Ok(())
        })
        .await
    }

    async fn session(&self, SessionId(hash): &SessionId) -> Result<Option<Session>, Refused> {
        match self.inner.sessions.seen().get(hash) {
            Some(None) => return Ok(None),
            Some(Some((asked, session))) if asked.elapsed() < STALE => return Ok(Some(session.clone())),
            _ => {}
        }
        let asked = Instant::now();
        let session = self.inner.store.session(hash).await?;
        match &session {
            Some(session) => self.inner.sessions.remember(asked, session),
            None => drop(self.inner.sessions.seen().remove(hash)),
        }
        // Ended meanwhile, here: what was read is from before.
        let ended = matches!(self.inner.sessions.seen().get(hash), Some(None));
        Ok(session.filter(|_| !ended))
    }
}
