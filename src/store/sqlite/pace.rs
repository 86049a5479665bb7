//! How fast things went, in SQLite.

use super::json::json;
use super::{Sqlite, failed};
use crate::store::{Minute, PaceStore, Result};
use crate::task::Scope;
use async_trait::async_trait;
use sqlx::SqliteConnection;

#[async_trait]
impl PaceStore for Sqlite {
    async fn put_minutes(&self, minutes: &[Minute]) -> Result<()> {
        let mut write = self.writer.begin().await?;
        let put = put_minutes(&mut write, minutes).await;
        write.done(put).await
    }

    async fn minutes(&self, scope: &Scope, since: i64) -> Result<Vec<Minute>> {
        let owner = scope.owner();
        let rows = sqlx::query_as!(
            Minute,
            "SELECT minute, node, owner, type, submitted, started, succeeded, failed, cancelled, waits, runs FROM minutes
             WHERE minute >= ?1 AND (?2 IS NULL OR owner = ?2)",
            since,
            owner
        );
        rows.fetch_all(&self.readers).await.map_err(failed)
    }

    async fn put_quarters(&self, quarters: &[Minute], first: i64) -> Result<()> {
        let mut write = self.writer.begin().await?;
        let put = put_quarters(&mut write, quarters, first).await;
        write.done(put).await
    }

    async fn quarters(&self, scope: &Scope, since: i64) -> Result<Vec<Minute>> {
        let owner = scope.owner();
        let rows = sqlx::query_as!(
            Minute,
            "SELECT minute, node, owner, type, submitted, started, succeeded, failed, cancelled, waits, runs FROM quarters
             WHERE minute >= ?1 AND (?2 IS NULL OR owner = ?2)",
            since,
            owner
        );
        rows.fetch_all(&self.readers).await.map_err(failed)
    }
}

async fn put_minutes(db: &mut SqliteConnection, minutes: &[Minute]) -> Result<()> {
    let rows = json(minutes);
    sqlx::query!(
        "INSERT OR REPLACE INTO minutes (minute, node, owner, type, submitted, started, succeeded, failed, cancelled, waits, runs)
         SELECT value ->> 'minute', value ->> 'node', value ->> 'owner', value ->> 'type', value ->> 'submitted',
                value ->> 'started', value ->> 'succeeded', value ->> 'failed', value ->> 'cancelled', value ->> 'waits',
                value ->> 'runs'
         FROM jsonb_each(?1)",
        rows
    )
    .execute(db)
    .await
    .map_err(failed)?;
    Ok(())
}

async fn put_quarters(db: &mut SqliteConnection, quarters: &[Minute], first: i64) -> Result<()> {
    let rows = json(quarters);
    sqlx::query!(
        "INSERT INTO quarters (minute, node, owner, type, submitted, started, succeeded, failed, cancelled, waits, runs)
         SELECT value ->> 'minute', value ->> 'node', value ->> 'owner', value ->> 'type', value ->> 'submitted',
                value ->> 'started', value ->> 'succeeded', value ->> 'failed', value ->> 'cancelled', value ->> 'waits',
                value ->> 'runs'
         FROM jsonb_each(?1) WHERE true
         ON CONFLICT (minute, node, owner, type) DO UPDATE SET
           submitted = excluded.submitted, started = excluded.started, succeeded = excluded.succeeded,
           failed = excluded.failed, cancelled = excluded.cancelled, waits = excluded.waits, runs = excluded.runs
         WHERE excluded.submitted + excluded.started + excluded.succeeded + excluded.failed + excluded.cancelled
               >= quarters.submitted + quarters.started + quarters.succeeded + quarters.failed + quarters.cancelled",
        rows
    )
    .execute(&mut *db)
    .await
    .map_err(failed)?;
    sqlx::query!("DELETE FROM quarters WHERE minute < ?1", first).execute(db).await.map_err(failed)?;
    Ok(())
}
