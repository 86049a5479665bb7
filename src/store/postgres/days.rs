//! How long tasks ran, by the day, in Postgres.

use super::{Postgres, Tries, failed};
use crate::store::{Day, DayStore, Result};
use crate::task::Scope;
use async_trait::async_trait;
use sqlx::PgConnection;

#[async_trait]
impl DayStore for Postgres {
    async fn put_days(&self, days: &[Day], first: i64) -> Result<()> {
        write!(self.pool, |db| put(db, days, first))
    }

    async fn run_time(&self, scope: &Scope, since: i64) -> Result<Vec<(String, i64)>> {
        read!(self, |db| run_time(db, scope, since))
    }
}

async fn put(db: &mut PgConnection, days: &[Day], first: i64) -> Result<()> {
    let put = sqlx::query!(
        "WITH gone AS (DELETE FROM days WHERE day < $6)
         INSERT INTO days (day, node, owner, type, run_ms)
         SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::bigint[])
         ON CONFLICT (day, node, owner, type) DO UPDATE SET run_ms = greatest(days.run_ms, excluded.run_ms)",
        &days.iter().map(|day| day.day).collect::<Vec<_>>(),
        &days.iter().map(|day| day.node.clone()).collect::<Vec<_>>(),
        &days.iter().map(|day| day.owner.clone()).collect::<Vec<_>>(),
        &days.iter().map(|day| day.r#type.clone()).collect::<Vec<_>>(),
        &days.iter().map(|day| day.run_ms).collect::<Vec<_>>(),
        first
    );
    put.execute(db).await.map_err(failed)?;
    Ok(())
}

async fn run_time(db: &mut PgConnection, scope: &Scope, since: i64) -> Result<Vec<(String, i64)>> {
    let owner = scope.owner();
    let rows = sqlx::query!(
        r#"SELECT type, sum(run_ms)::bigint AS "run_ms!" FROM days WHERE day >= $1 AND ($2::text IS NULL OR owner = $2)
           GROUP BY type ORDER BY type COLLATE "C""#,
        since,
        owner
    );
    let rows = rows.fetch_all(db).await.map_err(failed)?;
    Ok(rows.into_iter().map(|row| (row.r#type, row.run_ms)).collect())
}
