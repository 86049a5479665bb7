//! How long tasks ran, by the day, in SQLite.

use super::json::json;
use super::{Sqlite, failed};
use crate::store::{Day, DayStore, Result};
use crate::task::Scope;
use async_trait::async_trait;
use sqlx::SqliteConnection;

#[async_trait]
impl DayStore for Sqlite {
    async fn put_days(&self, days: &[Day], first: i64) -> Result<()> {
        let mut write = self.writer.begin().await?;
        let put = put(&mut write, days, first).await;
        write.done(put).await
    }

    async fn run_time(&self, scope: &Scope, since: i64) -> Result<Vec<(String, i64)>> {
        let owner = scope.owner();
        let rows = sqlx::query!(
            r#"SELECT type, sum(run_ms) AS "run_ms!: i64" FROM days WHERE day >= ?1 AND (?2 IS NULL OR owner = ?2)
               GROUP BY type ORDER BY type"#,
            since,
            owner
        );
        let rows = rows.fetch_all(&self.readers).await.map_err(failed)?;
        Ok(rows.into_iter().map(|row| (row.r#type, row.run_ms)).collect())
    }
}

async fn put(db: &mut SqliteConnection, days: &[Day], first: i64) -> Result<()> {
    let days = json(days);
    sqlx::query!(
        "INSERT INTO days (day, node, owner, type, run_ms)
         SELECT value ->> 'day', value ->> 'node', value ->> 'owner', value ->> 'type', value ->> 'run_ms'
         FROM jsonb_each(?1) WHERE true
         ON CONFLICT (day, node, owner, type) DO UPDATE SET run_ms = max(run_ms, excluded.run_ms)",
        days
    )
    .execute(&mut *db)
    .await
    .map_err(failed)?;
    sqlx::query!("DELETE FROM days WHERE day < ?1", first).execute(db).await.map_err(failed)?;
    Ok(())
}
