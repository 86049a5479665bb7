//! Keys are changed beside a running process: that, and that it was done, is all that is ever written to a
//! file that another process has.
//!
//! SQLite itself lets several processes write, one after the other; the one that has the file waits for
//! such a write as it does for its own. What that process keeps in memory of the rows does not include keys.

use super::guard;
use super::{Sqlite, check, failed, keys, open};
use crate::store::{Error, Key, KeyStore, Result};
use crate::task::Time;
use async_trait::async_trait;
use sqlx::sqlite::SqliteSynchronous;
use sqlx::{ConnectOptions, SqliteConnection};
use std::mem::ManuallyDrop;
use std::ops::DerefMut;
use std::path::Path;
use tokio::sync::{Mutex, MutexGuard};

/// A connection that changes keys, writes down that it did, and nothing else. It is never closed, but ends with the process: the
/// last one to close writes the log back and deletes it, and that is for the process that has the file.
pub struct KeysBeside {
    db: Mutex<ManuallyDrop<SqliteConnection>>,
}

impl Sqlite {
    /// Opens the keys of a database that another process has.
    pub async fn keys_beside(path: &Path) -> Result<KeysBeside> {
        if !guard::look(path)? {
            return Err(Error::Unavailable(format!("there is no database at {}", path.display())));
        }
        let options = check::reading(path).read_only(false).synchronous(SqliteSynchronous::Full);
        let mut db = options.pragma("wal_autocheckpoint", "0").connect().await.map_err(failed)?;
        check::is_known(&mut db, open::newest()).await?;
        Ok(KeysBeside { db: Mutex::new(ManuallyDrop::new(db)) })
    }
}

impl KeysBeside {
    /// The connection, outside of a transaction.
    pub(super) async fn connection(&self) -> impl DerefMut<Target = SqliteConnection> + '_ {
        MutexGuard::map(self.db.lock().await, |db| &mut **db)
    }
}

/// One transaction, kept if it went well.
macro_rules! write {
    ($self:ident, |$db:ident| $statement:expr) => {{
        let mut db = $self.db.lock().await;
        let $db: &mut SqliteConnection = &mut db;
        sqlx::query("BEGIN IMMEDIATE").execute(&mut *$db).await.map_err(failed)?;
        let written = $statement.await;
        let end = if written.is_ok() { "COMMIT" } else { "ROLLBACK" };
        sqlx::query(end).execute(&mut *$db).await.map_err(failed)?;
        written
    }};
}

#[async_trait]
impl KeyStore for KeysBeside {
    async fn key_changes(&self) -> Result<i64> {
        keys::changes(&mut *self.db.lock().await).await
    }

    async fn keys(&self) -> Result<Vec<Key>> {
        keys::all(&mut *self.db.lock().await).await
    }

    async fn add_key(&self, key: &Key) -> Result<()> {
        write!(self, |db| keys::add(db, key))
    }

    async fn revoke_key(&self, id: &str, now: Time) -> Result<Option<Key>> {
        write!(self, |db| keys::revoke(db, id, now))
    }

    async fn rotate_key(&self, id: &str, secret: &str) -> Result<Option<Key>> {
        write!(self, |db| keys::rotate(db, id, secret))
    }

    async fn note_key_use(&self, used: &[(String, Time)]) -> Result<()> {
        write!(self, |db| keys::note_use(db, used))
    }
}
