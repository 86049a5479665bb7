//! Keys and sessions in Postgres: each write is one statement.

use super::{Postgres, Tries, failed};
use crate::store::keys::{KeyRow, SessionRow, list_json};
use crate::store::{Key, KeyStore, Result, Session, SessionStore};
use crate::task::Time;
use async_trait::async_trait;
use sqlx::PgConnection;

#[async_trait]
impl KeyStore for Postgres {
    async fn key_changes(&self) -> Result<i64> {
        read!(self, |db| changes(db))
    }

    async fn keys(&self) -> Result<Vec<Key>> {
        read!(self, |db| all(db))
    }

    async fn add_key(&self, key: &Key) -> Result<()> {
        write!(self.pool, |db| add(db, key))
    }

    async fn revoke_key(&self, id: &str, now: Time) -> Result<Option<Key>> {
        write!(self.pool, |db| revoke(db, id, now))
    }

    async fn rotate_key(&self, id: &str, secret: &str) -> Result<Option<Key>> {
        write!(self.pool, |db| rotate(db, id, secret))
    }

    async fn note_key_use(&self, used: &[(String, Time)]) -> Result<()> {
        write!(self.pool, |db| note_use(db, used))
    }
}

#[async_trait]
impl SessionStore for Postgres {
    async fn add_session(&self, session: &Session) -> Result<()> {
        write!(self.pool, |db| add_session(db, session))
    }

    async fn session(&self, token: &str) -> Result<Option<Session>> {
        read!(self, |db| session(db, token))
    }

    async fn end_session(&self, token: &str) -> Result<()> {
        write!(self.pool, |db| end_session(db, token))
    }
}

async fn changes(db: &mut PgConnection) -> Result<i64> {
    sqlx::query_scalar!("SELECT n FROM key_changes LIMIT 1").fetch_one(db).await.map_err(failed)
}

async fn all(db: &mut PgConnection) -> Result<Vec<Key>> {
    let rows = sqlx::query_as!(
        KeyRow,
        "SELECT id, owner, name, role, secret, types, queues, created_at, expires_at, revoked_at, last_used_at
         FROM keys ORDER BY created_at, id COLLATE \"C\""
    );
    let rows = rows.fetch_all(db).await.map_err(failed)?;
    rows.into_iter().filter_map(|row| row.key().transpose()).collect()
}

async fn add(db: &mut PgConnection, key: &Key) -> Result<()> {
    let added = sqlx::query!(
        "WITH moved AS (UPDATE key_changes SET n = n + 1)
         INSERT INTO keys (id, owner, name, role, secret, types, queues, created_at, expires_at, revoked_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        key.id,
        key.owner,
        key.name.as_deref(),
        key.role.word(),
        key.secret,
        list_json(&key.types),
        list_json(&key.queues),
        key.created_at.0,
        key.expires_at.map(|at| at.0),
        key.revoked_at.map(|at| at.0),
    );
    added.execute(db).await.map(drop).map_err(failed)
}

async fn revoke(db: &mut PgConnection, id: &str, now: Time) -> Result<Option<Key>> {
    let revoked = sqlx::query_as!(
        KeyRow,
        "WITH moved AS (UPDATE key_changes SET n = n + 1)
         UPDATE keys SET revoked_at = coalesce(revoked_at, $2) WHERE id = $1
         RETURNING id, owner, name, role, secret, types, queues, created_at, expires_at, revoked_at, last_used_at",
        id,
        now.0
    );
    Ok(revoked.fetch_optional(db).await.map_err(failed)?.map(KeyRow::key).transpose()?.flatten())
}

async fn rotate(db: &mut PgConnection, id: &str, secret: &str) -> Result<Option<Key>> {
    let rotated = sqlx::query_as!(
        KeyRow,
        "WITH moved AS (UPDATE key_changes SET n = n + 1)
         UPDATE keys SET secret = $2 WHERE id = $1 AND revoked_at IS NULL
         RETURNING id, owner, name, role, secret, types, queues, created_at, expires_at, revoked_at, last_used_at",
        id,
        secret
    );
    Ok(rotated.fetch_optional(db).await.map_err(failed)?.map(KeyRow::key).transpose()?.flatten())
}

async fn note_use(db: &mut PgConnection, used: &[(String, Time)]) -> Result<()> {
    let noted = sqlx::query!(
        "UPDATE keys k SET last_used_at = greatest(k.last_used_at, u.at)
         FROM unnest($1::text[], $2::bigint[]) AS u(id, at) WHERE k.id = u.id",
        &used.iter().map(|(id, _)| id.clone()).collect::<Vec<_>>(),
        &used.iter().map(|(_, at)| at.0).collect::<Vec<_>>(),
    );
    noted.execute(db).await.map(drop).map_err(failed)
}

async fn add_session(db: &mut PgConnection, session: &Session) -> Result<()> {
    let added = sqlx::query!(
        "WITH gone AS (DELETE FROM sessions WHERE expires_at <= $4)
         INSERT INTO sessions (token, key_id, secret, created_at, expires_at) VALUES ($1, $2, $3, $4, $5)",
        session.token,
        session.key_id,
        session.secret,
        session.created_at.0,
        session.expires_at.0
    );
    added.execute(db).await.map(drop).map_err(failed)
}

async fn session(db: &mut PgConnection, token: &str) -> Result<Option<Session>> {
    let row = sqlx::query_as!(
        SessionRow,
        "SELECT token, key_id, secret, created_at, expires_at FROM sessions WHERE token = $1",
        token
    );
    Ok(row.fetch_optional(db).await.map_err(failed)?.map(SessionRow::session))
}

async fn end_session(db: &mut PgConnection, token: &str) -> Result<()> {
    sqlx::query!("DELETE FROM sessions WHERE token = $1", token).execute(db).await.map(drop).map_err(failed)
}
