//! Keys and sessions in SQLite: each write is one transaction.

use super::json::json;
use super::{Sqlite, failed};
use crate::store::keys::{KeyRow, SessionRow, list_json};
use crate::store::{Key, KeyStore, Result, Session, SessionStore};
use crate::task::Time;
use async_trait::async_trait;
use sqlx::SqliteConnection;

#[async_trait]
impl KeyStore for Sqlite {
    async fn key_changes(&self) -> Result<i64> {
        changes(&mut *self.reader().await?).await
    }

    async fn keys(&self) -> Result<Vec<Key>> {
        all(&mut *self.reader().await?).await
    }

    async fn add_key(&self, key: &Key) -> Result<()> {
        let mut write = self.writer.begin_new().await?;
        let added = add(&mut write, key).await;
        write.done(added).await
    }

    async fn revoke_key(&self, id: &str, now: Time) -> Result<Option<Key>> {
        let mut write = self.writer.begin().await?;
        let revoked = revoke(&mut write, id, now).await;
        write.done(revoked).await
    }

    async fn rotate_key(&self, id: &str, secret: &str) -> Result<Option<Key>> {
        let mut write = self.writer.begin().await?;
        let rotated = rotate(&mut write, id, secret).await;
        write.done(rotated).await
    }

    async fn note_key_use(&self, used: &[(String, Time)]) -> Result<()> {
        let mut write = self.writer.begin_new().await?;
        let noted = note_use(&mut write, used).await;
        write.done(noted).await
    }
}

#[async_trait]
impl SessionStore for Sqlite {
    async fn add_session(&self, session: &Session) -> Result<()> {
        let mut write = self.writer.begin_new().await?;
        let added = add_session(&mut write, session).await;
        write.done(added).await
    }

    async fn session(&self, token: &str) -> Result<Option<Session>> {
        session(&mut *self.reader().await?, token).await
    }

    async fn end_session(&self, token: &str) -> Result<()> {
        let mut write = self.writer.begin().await?;
        let ended = end_session(&mut write, token).await;
        write.done(ended).await
    }
}

impl Sqlite {
    /// A connection to read by.
    pub(super) async fn reader(&self) -> Result<sqlx::pool::PoolConnection<sqlx::Sqlite>> {
        self.readers.acquire().await.map_err(failed)
    }
}

pub async fn changes(db: &mut SqliteConnection) -> Result<i64> {
    sqlx::query_scalar!("SELECT n FROM key_changes").fetch_one(db).await.map_err(failed)
}

pub async fn all(db: &mut SqliteConnection) -> Result<Vec<Key>> {
    let rows = sqlx::query_as!(
        KeyRow,
        "SELECT id, owner, name, role, secret, types, queues, created_at, expires_at, revoked_at, last_used_at
         FROM keys ORDER BY created_at, id"
    );
    let rows = rows.fetch_all(db).await.map_err(failed)?;
    rows.into_iter().filter_map(|row| row.key().transpose()).collect()
}

pub async fn add(db: &mut SqliteConnection, key: &Key) -> Result<()> {
    let (role, types, queues) = (key.role.word(), list_json(&key.types), list_json(&key.queues));
    let (expires_at, revoked_at) = (key.expires_at.map(|at| at.0), key.revoked_at.map(|at| at.0));
    let added = sqlx::query!(
        "INSERT INTO keys (id, owner, name, role, secret, types, queues, created_at, expires_at, revoked_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        key.id,
        key.owner,
        key.name,
        role,
        key.secret,
        types,
        queues,
        key.created_at.0,
        expires_at,
        revoked_at
    );
    added.execute(&mut *db).await.map_err(failed)?;
    moved(db).await
}

pub async fn revoke(db: &mut SqliteConnection, id: &str, now: Time) -> Result<Option<Key>> {
    let revoked = sqlx::query_as!(
        KeyRow,
        r#"UPDATE keys SET revoked_at = coalesce(revoked_at, ?2) WHERE id = ?1
           RETURNING id AS "id!", owner AS "owner!", name, role AS "role!", secret AS "secret!", types, queues,
                     created_at AS "created_at!", expires_at, revoked_at, last_used_at"#,
        id,
        now.0
    );
    let row = revoked.fetch_optional(&mut *db).await.map_err(failed)?;
    moved(db).await?;
    Ok(row.map(KeyRow::key).transpose()?.flatten())
}

pub async fn rotate(db: &mut SqliteConnection, id: &str, secret: &str) -> Result<Option<Key>> {
    let rotated = sqlx::query_as!(
        KeyRow,
        r#"UPDATE keys SET secret = ?2 WHERE id = ?1 AND revoked_at IS NULL
           RETURNING id AS "id!", owner AS "owner!", name, role AS "role!", secret AS "secret!", types, queues,
                     created_at AS "created_at!", expires_at, revoked_at, last_used_at"#,
        id,
        secret
    );
    let row = rotated.fetch_optional(&mut *db).await.map_err(failed)?;
    moved(db).await?;
    Ok(row.map(KeyRow::key).transpose()?.flatten())
}

async fn moved(db: &mut SqliteConnection) -> Result<()> {
    sqlx::query!("UPDATE key_changes SET n = n + 1").execute(db).await.map(drop).map_err(failed)
}

pub async fn note_use(db: &mut SqliteConnection, used: &[(String, Time)]) -> Result<()> {
    let used = json(&used.iter().map(|(id, at)| (id, at.0)).collect::<Vec<_>>());
    let noted = sqlx::query!(
        "UPDATE keys SET last_used_at = max(coalesce(keys.last_used_at, 0), u.at)
         FROM (SELECT value ->> 0 AS id, value ->> 1 AS at FROM jsonb_each(?1)) AS u WHERE keys.id = u.id",
        used
    );
    noted.execute(db).await.map(drop).map_err(failed)
}

pub async fn add_session(db: &mut SqliteConnection, session: &Session) -> Result<()> {
    let gone = sqlx::query!("DELETE FROM sessions WHERE expires_at <= ?1", session.created_at.0);
    gone.execute(&mut *db).await.map_err(failed)?;
    let added = sqlx::query!(
        "INSERT INTO sessions (token, key_id, secret, created_at, expires_at) VALUES (?1, ?2, ?3, ?4, ?5)",
        session.token,
        session.key_id,
        session.secret,
        session.created_at.0,
        session.expires_at.0
    );
    added.execute(db).await.map(drop).map_err(failed)
}

pub async fn session(db: &mut SqliteConnection, token: &str) -> Result<Option<Session>> {
    let row = sqlx::query_as!(
        SessionRow,
        "SELECT token, key_id, secret, created_at, expires_at FROM sessions WHERE token = ?1",
        token
    );
    Ok(row.fetch_optional(db).await.map_err(failed)?.map(SessionRow::session))
}

pub async fn end_session(db: &mut SqliteConnection, token: &str) -> Result<()> {
    sqlx::query!("DELETE FROM sessions WHERE token = ?1", token).execute(db).await.map(drop).map_err(failed)
}
