//! Who may call: the keys of the database and of the settings, looked up in memory.
//!
//! A look at a key costs a hash and no question to the database ([`memory`] says how it stays true). If
//! the keys cannot be read, nobody is let in: [`Refused::Away`].
//!
//! For sockets, which live longer than a look: [`Keys::caller_of`] once and [`Keys::ended`] beside whatever the
//! socket does; or [`Keys::caller_of_session`] and [`Keys::session_ended`].

mod change;
mod form;
mod memory;
mod session;
mod table;
mod ticket;
#[cfg(test)]
mod timing;

use super::read::own;
use crate::clock::Clock;
use crate::store::{self, Key, Store};
use crate::task::{Role, Scope, Time};
use form::Hash;
use memory::{Known, Memory};
use session::Sessions;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

pub use change::{KeyError, NewKey, create, revoke, rotate};
pub use session::{SESSION_HOURS, SessionId};
pub use ticket::{Holder, TICKET_SECONDS};

/// The owner of everything while there are no keys.
const DEFAULT_OWNER: &str = "default";
/// A worker's key with this owner takes every owner's tasks.
const EVERY_OWNER: &str = "*";

/// A key of the settings.
#[derive(Clone, PartialEq, Eq)]
pub struct Configured {
    /// What its holder may do.
    pub role: Role,
    /// Whose tasks it is for.
    pub owner: String,
    /// The key, any text.
    pub key: String,
}

/// Never shows the key.
impl std::fmt::Debug for Configured {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}:***", self.role.word(), self.owner)
    }
}

/// Who calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Whose tasks it submits.
    pub owner: String,
    /// Whose tasks it sees.
    pub scope: Scope,
    /// What it may do.
    pub role: Role,
    /// The id of its key; `None` where no key is needed.
    pub key_id: Option<String>,
    /// What people call the key.
    pub name: Option<String>,
    /// Only these types may be submitted; `None` is any.
    pub types: Option<Vec<String>>,
    /// Only to these queues; `None` is any.
    pub queues: Option<Vec<String>>,
    /// From then on the key is no longer valid.
    pub expires_at: Option<Time>,
    /// When the key was revoked.
    revoked_at: Option<Time>,
    /// Of the key's secret.
    hash: Hash,
}

/// Why nobody is let in.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Refused {
    /// No key, or none of this service.
    #[error("this is no key of this service")]
    Unknown,
    /// It was a key once.
    #[error("the key has expired")]
    Expired,
    /// It was a key once.
    #[error("the key was revoked")]
    Revoked,
    /// Nobody knows: the keys cannot be read. Not the caller's fault.
    #[error("the keys cannot be read: {0}")]
    Away(#[from] store::Error),
}

/// The keys. Cheap to clone.
#[derive(Clone)]
pub struct Keys {
    inner: Arc<Inner>,
}

struct Inner {
    store: Arc<dyn Store>,
    clock: Clock,
    configured: Vec<Arc<Identity>>,
    /// Who everybody is while there is no key; `None`: nobody is let in without one.
    anybody: Option<Arc<Identity>>,
    memory: Memory,
    sessions: Sessions,
}

impl Keys {
    /// The keys of this database and these of the settings. While there is none, and never was one,
    /// everybody is let in where `may_be_open` says so: where only this machine can call. Must be called
    /// on a tokio runtime; nothing is read yet.
    pub fn new(store: Arc<dyn Store>, clock: Clock, configured: &[Configured], may_be_open: bool) -> Keys {
        let configured: Vec<_> =
            configured.iter().zip(1..).map(|(key, n)| Arc::new(Identity::of_settings(key, n))).collect();
        let anybody = (may_be_open && configured.is_empty()).then(|| Arc::new(Identity::anybody()));
        let memory = Memory::of(store.clone());
        Keys { inner: Arc::new(Inner { store, clock, configured, anybody, memory, sessions: Sessions::default() }) }
    }

    /// Whose key this is.
    pub async fn caller_of(&self, key: &str) -> Result<Arc<Identity>, Refused> {
        let known = self.inner.memory.known().await?;
        let hash = form::hash(key.as_bytes());
        // All of them, so that the time it takes says nothing.
        let found = self
            .inner
            .configured
            .iter()
            .fold(None, |found, identity| if form::equal(&identity.hash, &hash) { Some(identity) } else { found });
        if let Some(configured) = found {
            return Ok(configured.clone());
        }
        let (id, secret) = form::read(key).ok_or(Refused::Unknown)?;
        // Of a key that is not there another one is looked at, so that the time it takes does not say so.
        let (found, identity) = known.keys.nearest(id).ok_or(Refused::Unknown)?;
        match form::equal(&identity.hash, &form::hash(&secret)) & (found == id) {
            true => self.valid(identity),
            false => Err(Refused::Unknown),
        }
    }

    /// Whose key this text says it is, right or wrong, expired or revoked: by its public id alone.
    pub async fn claimed(&self, key: &str) -> Option<Arc<Identity>> {
        let known = self.inner.memory.known().await.ok()?;
        known.keys.get(form::id(key)?).cloned()
    }

    /// Who everybody is, where no key is needed.
    pub async fn anybody(&self) -> Result<Arc<Identity>, Refused> {
        let known = self.inner.memory.known().await?;
        match &self.inner.anybody {
            Some(anybody) if known.keys.is_empty() => Ok(anybody.clone()),
            _ => Err(Refused::Unknown),
        }
    }

    /// That a caller that was let in would be let in again.
    pub async fn still(&self, identity: &Identity) -> Result<(), Refused> {
        let known = self.inner.memory.known().await?;
        match self.current(identity.key_id.as_deref(), &identity.hash, &known) {
            Some(current) => self.valid(&current).map(drop),
            None => Err(Refused::Unknown),
        }
    }

    /// Returns once a caller that was let in would be let in no more, and why: within 5 s of what
    /// changed, at any node. `Away` where nobody knows.
    pub async fn ended(&self, identity: &Identity) -> Refused {
        let mut moved = self.inner.memory.moved();
        loop {
            if let Err(refused) = self.still(identity).await {
                return refused;
            }
            let left = identity.expires_at.map(|at| Duration::from_millis(at.since(self.inner.clock.now()) as u64));
            let wait = left.unwrap_or(memory::FRESH).min(memory::FRESH).max(Duration::from_millis(10));
            let _ = timeout(wait, moved.changed()).await;
        }
    }

    /// Every key of the database, revoked and expired ones too, oldest first.
    pub async fn list(&self) -> store::Result<Vec<Key>> {
        self.inner.store.keys().await
    }

    /// Makes a key; answers it and its text, which is shown this once. Valid here at once, at other
    /// nodes within 5 s.
    pub async fn create(&self, new: NewKey) -> Result<(Key, String), KeyError> {
        let now = self.inner.clock.now();
        self.change(move |store| async move { create(&*store, new, now).await }).await
    }

    /// Revokes a key, and ends the sessions that were begun with it: here at once, at other nodes
    /// within 5 s. Again: as it is.
    pub async fn revoke(&self, id: &str) -> Result<Key, KeyError> {
        let (id, now) = (id.to_owned(), self.inner.clock.now());
        self.change(move |store| async move { revoke(&*store, &id, now).await }).await
    }

    /// Gives a key another secret; answers it and its new text. The old one is no key any more, and its
    /// sessions have ended: here at once, at other nodes within 5 s.
    pub async fn rotate(&self, id: &str) -> Result<(Key, String), KeyError> {
        let id = id.to_owned();
        self.change(move |store| async move { rotate(&*store, &id).await }).await
    }

    /// Whether anybody could call with a key now.
    pub async fn any(&self) -> Result<bool, Refused> {
        let known = self.inner.memory.known().await?;
        Ok(!self.inner.configured.is_empty() || known.keys.all().any(|identity| self.valid(identity).is_ok()))
    }

    /// Changes the keys whatever becomes of the caller, and reads them again. Where that fails, what is
    /// known here is soon too old to be used.
    async fn change<T, C, F>(&self, change: C) -> Result<T, KeyError>
    where
        T: Send + 'static,
        C: FnOnce(Arc<dyn Store>) -> F + Send + 'static,
        F: Future<Output = Result<T, KeyError>> + Send,
    {
        let inner = self.inner.clone();
        own(async move {
            let changed = change(inner.store.clone()).await;
            if let Err(error) = inner.memory.read().await {
                error.tell("the keys could not be read");
            }
            changed
        })
        .await
    }

    /// The identity of the key with this id and secret as it is now; `None` where there is none any more.
    fn current(&self, id: Option<&str>, hash: &Hash, known: &Known) -> Option<Arc<Identity>> {
        let Some(id) = id else {
            return self.inner.anybody.clone().filter(|_| known.keys.is_empty());
        };
        let configured = self.inner.configured.iter().find(|identity| identity.key_id.as_deref() == Some(id));
        configured.or_else(|| known.keys.get(id)).filter(|identity| form::equal(&identity.hash, hash)).cloned()
    }

    fn valid(&self, identity: &Arc<Identity>) -> Result<Arc<Identity>, Refused> {
        let now = self.inner.clock.now();
        if identity.revoked_at.is_some() {
            return Err(Refused::Revoked);
        }
        if identity.expires_at.is_some_and(|at| at <= now) {
            return Err(Refused::Expired);
        }
        if let Some(id) = &identity.key_id {
            self.inner.memory.used(id, now);
        }
        Ok(identity.clone())
    }
}

impl Identity {
    /// Who everybody is where no key is needed.
    pub fn anybody() -> Identity {
        Identity {
            owner: DEFAULT_OWNER.to_owned(),
            scope: Scope::Owner(DEFAULT_OWNER.to_owned()),
            role: Role::Admin,
            key_id: None,
            name: None,
            types: None,
            queues: None,
            expires_at: None,
            revoked_at: None,
            hash: Hash::default(),
        }
    }

    /// Of the n-th key of the settings.
    fn of_settings(key: &Configured, n: usize) -> Identity {
        Identity {
            owner: key.owner.clone(),
            scope: scope(key.role, &key.owner),
            role: key.role,
            key_id: Some(format!("settings-{n}")),
            hash: form::hash(key.key.as_bytes()),
            ..Identity::anybody()
        }
    }

    /// Of a key of the database.
    fn of_key(key: Key) -> Identity {
        Identity {
            scope: scope(key.role, &key.owner),
            owner: key.owner,
            role: key.role,
            key_id: Some(key.id),
            name: key.name,
            types: key.types,
            queues: key.queues,
            expires_at: key.expires_at,
            revoked_at: key.revoked_at,
            hash: form::of_hex(&key.secret),
        }
    }
}

/// Whose tasks a role sees.
fn scope(role: Role, owner: &str) -> Scope {
    match role {
        Role::Admin => Scope::Everyone,
        Role::Worker if owner == EVERY_OWNER => Scope::Everyone,
        _ => Scope::Owner(owner.to_owned()),
    }
}
