//! Keys are made, revoked, and given another secret: by the API of a running node, or by the command
//! line beside it.

use super::form;
use crate::files::hex;
use crate::store::{self, Key, KeyStore};
use crate::task::{Role, Time};

/// A key to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewKey {
    /// What its holder may do.
    pub role: Role,
    /// Whose tasks it is for.
    pub owner: String,
    /// What people call it.
    pub name: Option<String>,
    /// From then on it is no longer valid.
    pub expires_at: Option<Time>,
    /// Only these types may be submitted with it.
    pub types: Option<Vec<String>>,
    /// Only to these queues.
    pub queues: Option<Vec<String>>,
}

/// Why a key was not changed.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// There is none with this id, or it is revoked and cannot get another secret.
    #[error("there is no such key")]
    NotFound,
    /// The database did not do it.
    #[error(transparent)]
    Store(#[from] store::Error),
}

/// Makes a key; answers it and its text. Nobody else has that text: it is kept nowhere.
pub async fn create(store: &dyn KeyStore, new: NewKey, now: Time) -> Result<(Key, String), KeyError> {
    let (id, secret) = (form::new_id(), form::random());
    let key = Key {
        id,
        owner: new.owner,
        name: new.name,
        role: new.role,
        secret: hex(&form::hash(&secret)),
        types: new.types,
        queues: new.queues,
        created_at: now,
        expires_at: new.expires_at,
        revoked_at: None,
        last_used_at: None,
    };
    store.add_key(&key).await?;
    let text = form::write(&key.id, &secret);
    Ok((key, text))
}

/// Revokes a key. Again: as it is.
pub async fn revoke(store: &dyn KeyStore, id: &str, now: Time) -> Result<Key, KeyError> {
    store.revoke_key(id, now).await?.ok_or(KeyError::NotFound)
}

/// Gives a key another secret; answers it and its new text. There is no time in which both are valid:
/// who needs one makes a second key, and revokes the first one later.
pub async fn rotate(store: &dyn KeyStore, id: &str) -> Result<(Key, String), KeyError> {
    let secret = form::random();
    let key = store.rotate_key(id, &hex(&form::hash(&secret))).await?.ok_or(KeyError::NotFound)?;
    let text = form::write(&key.id, &secret);
    Ok((key, text))
}
