//! Keys and sessions, as the database keeps them: of each secret its SHA-256 and nothing else.

use super::{Error, Result};
use crate::task::{Role, Time};
use async_trait::async_trait;

/// A key, without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// Public: it stands in the key itself.
    pub id: String,
    /// Whose tasks it is for.
    pub owner: String,
    /// What people call it.
    pub name: Option<String>,
    /// What its holder may do.
    pub role: Role,
    /// SHA-256 of its secret, in lower-case hex.
    pub secret: String,
    /// Only these types may be submitted with it; `None` is any.
    pub types: Option<Vec<String>>,
    /// Only to these queues; `None` is any.
    pub queues: Option<Vec<String>>,
    /// When it was made.
    pub created_at: Time,
    /// From then on it is no longer valid.
    pub expires_at: Option<Time>,
    /// When it was revoked.
    pub revoked_at: Option<Time>,
    /// When it was last used, to the minute.
    pub last_used_at: Option<Time>,
}

/// A browser that is signed in with a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// SHA-256 of what its cookie holds, in lower-case hex.
    pub token: String,
    /// The key.
    pub key_id: String,
    /// The key's [`Key::secret`] when it signed in: once that is another one, the session has ended.
    pub secret: String,
    /// When it signed in.
    pub created_at: Time,
    /// From then on it is no longer valid.
    pub expires_at: Time,
}

/// What the database does with keys. Every write that changes who may call moves
/// [`KeyStore::key_changes`] in its own transaction.
#[async_trait]
pub trait KeyStore: Send + Sync {
    /// A number that is another one after each change of the keys, but for `last_used_at`.
    async fn key_changes(&self) -> Result<i64>;

    /// Every key, revoked and expired ones too, oldest first. One whose role nobody knows here (a newer
    /// Errand made it) is left out: it may do nothing.
    async fn keys(&self) -> Result<Vec<Key>>;

    /// Keeps a new key.
    async fn add_key(&self, key: &Key) -> Result<()>;

    /// Revokes a key; answers it. Again: as it is. `None`: there is none.
    async fn revoke_key(&self, id: &str, now: Time) -> Result<Option<Key>>;

    /// Gives a key another secret, by its SHA-256; answers it. `None`: there is none, or it is revoked.
    async fn rotate_key(&self, id: &str, secret: &str) -> Result<Option<Key>>;

    /// Writes down when keys were last used.
    async fn note_key_use(&self, used: &[(String, Time)]) -> Result<()>;
}

/// What the database does with sessions.
#[async_trait]
pub trait SessionStore: Send + Sync {
    /// Keeps a new session, and forgets those that had expired when it was made.
    async fn add_session(&self, session: &Session) -> Result<()>;

    /// The session of this token, expired or not.
    async fn session(&self, token: &str) -> Result<Option<Session>>;

    /// Forgets a session.
    async fn end_session(&self, token: &str) -> Result<()>;
}

/// A row of `keys`.
#[derive(Debug)]
pub(super) struct KeyRow {
    pub id: String,
    pub owner: String,
    pub name: Option<String>,
    pub role: String,
    pub secret: String,
    pub types: Option<String>,
    pub queues: Option<String>,
    pub created_at: i64,
    pub expires_at: Option<i64>,
    pub revoked_at: Option<i64>,
    pub last_used_at: Option<i64>,
}

impl KeyRow {
    /// The key; `None` where its role is none that is known here.
    pub fn key(self) -> Result<Option<Key>> {
        let Some(role) = Role::of(&self.role) else {
            tracing::warn!(key = self.id, role = self.role, "a key has a role that this Errand does not know");
            return Ok(None);
        };
        let list = |text: Option<String>| {
            let list = text.map(|text| serde_json::from_str(&text)).transpose();
            list.map_err(|error| Error::Internal(format!("a key's list: {error}")))
        };
        Ok(Some(Key {
            id: self.id,
            owner: self.owner,
            name: self.name,
            role,
            secret: self.secret,
            types: list(self.types)?,
            queues: list(self.queues)?,
            created_at: Time(self.created_at),
            expires_at: self.expires_at.map(Time),
            revoked_at: self.revoked_at.map(Time),
            last_used_at: self.last_used_at.map(Time),
        }))
    }
}

/// A row of `sessions`.
#[derive(Debug)]
pub(super) struct SessionRow {
    pub token: String,
    pub key_id: String,
    pub secret: String,
    pub created_at: i64,
    pub expires_at: i64,
}

impl SessionRow {
    /// The session.
    pub fn session(self) -> Session {
        let SessionRow { token, key_id, secret, created_at, expires_at } = self;
        Session { token, key_id, secret, created_at: Time(created_at), expires_at: Time(expires_at) }
    }
}

/// A list as its column has it.
pub(super) fn list_json(list: &Option<Vec<String>>) -> Option<String> {
    list.as_ref().map(|list| serde_json::to_string(list).unwrap_or_default())
}
