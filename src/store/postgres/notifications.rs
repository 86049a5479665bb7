//! What owners have seen, in Postgres: each write is one statement.

use super::{Postgres, Tries, failed};
use crate::store::notifications::MarksRow;
use crate::store::{NotificationStore, Result};
use crate::task::{Marks, Time};
use async_trait::async_trait;
use sqlx::PgConnection;

#[async_trait]
impl NotificationStore for Postgres {
    async fn marks(&self, owners: &[String]) -> Result<Vec<(String, Marks)>> {
        read!(self, |db| marks(db, owners))
    }

    async fn put_marks(&self, owner: &str, marks: &Marks, now: Time) -> Result<bool> {
        let row = MarksRow::of(owner, marks)?;
        write!(self.pool, |db| put(db, &row, now))
    }
}

async fn marks(db: &mut PgConnection, owners: &[String]) -> Result<Vec<(String, Marks)>> {
    let rows = sqlx::query_as!(
        MarksRow,
        "SELECT owner, read_until, cleared_until, apart, muted, version FROM notification_marks WHERE owner = ANY($1)",
        owners
    );
    rows.fetch_all(db).await.map_err(failed)?.into_iter().map(MarksRow::marks).collect()
}

async fn put(db: &mut PgConnection, row: &MarksRow, now: Time) -> Result<bool> {
    let put = sqlx::query!(
        "INSERT INTO notification_marks (owner, read_until, cleared_until, apart, muted, version, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7)
         ON CONFLICT (owner) DO UPDATE SET read_until = excluded.read_until, cleared_until = excluded.cleared_until,
           apart = excluded.apart, muted = excluded.muted, version = excluded.version, updated_at = excluded.updated_at
         WHERE notification_marks.version = excluded.version - 1",
        row.owner,
        row.read_until,
        row.cleared_until,
        row.apart,
        row.muted,
        row.version,
        now.0
    );
    Ok(put.execute(db).await.map_err(failed)?.rows_affected() > 0)
}
