//! How fast things went, in Postgres.

use super::{Postgres, Tries, failed};
use crate::store::{Minute, PaceStore, Result};
use crate::task::Scope;
use async_trait::async_trait;
use sqlx::PgConnection;

#[async_trait]
impl PaceStore for Postgres {
    async fn put_minutes(&self, minutes: &[Minute]) -> Result<()> {
        write!(self.pool, |db| put_minutes(db, minutes))
    }

    async fn minutes(&self, scope: &Scope, since: i64) -> Result<Vec<Minute>> {
        read!(self, |db| minutes(db, scope, since))
    }

    async fn put_quarters(&self, quarters: &[Minute], first: i64) -> Result<()> {
        write!(self.pool, |db| put_quarters(db, quarters, first))
    }

    async fn quarters(&self, scope: &Scope, since: i64) -> Result<Vec<Minute>> {
        read!(self, |db| quarters(db, scope, since))
    }
}

async fn put_minutes(db: &mut PgConnection, minutes: &[Minute]) -> Result<()> {
    let put = sqlx::query!(
        "INSERT INTO minutes (minute, node, owner, type, submitted, started, succeeded, failed, cancelled, waits, runs)
         SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::bigint[], $7::bigint[],
                              $8::bigint[], $9::bigint[], $10::text[], $11::text[])
         ON CONFLICT (minute, node, owner, type) DO UPDATE SET
           submitted = excluded.submitted, started = excluded.started, succeeded = excluded.succeeded,
           failed = excluded.failed, cancelled = excluded.cancelled, waits = excluded.waits, runs = excluded.runs",
        &each(minutes, |m| m.minute),
        &each(minutes, |m| m.node.clone()),
        &each(minutes, |m| m.owner.clone()),
        &each(minutes, |m| m.r#type.clone()),
        &each(minutes, |m| m.submitted),
        &each(minutes, |m| m.started),
        &each(minutes, |m| m.succeeded),
        &each(minutes, |m| m.failed),
        &each(minutes, |m| m.cancelled),
        &each(minutes, |m| m.waits.clone()),
        &each(minutes, |m| m.runs.clone()),
    );
    put.execute(db).await.map_err(failed)?;
    Ok(())
}

async fn minutes(db: &mut PgConnection, scope: &Scope, since: i64) -> Result<Vec<Minute>> {
    let owner = scope.owner();
    let rows = sqlx::query_as!(
        Minute,
        "SELECT minute, node, owner, type, submitted, started, succeeded, failed, cancelled, waits, runs FROM minutes
         WHERE minute >= $1 AND ($2::text IS NULL OR owner = $2)",
        since,
        owner
    );
    rows.fetch_all(db).await.map_err(failed)
}

async fn put_quarters(db: &mut PgConnection, quarters: &[Minute], first: i64) -> Result<()> {
    let put = sqlx::query!(
        "WITH gone AS (DELETE FROM quarters WHERE minute < $12)
         INSERT INTO quarters (minute, node, owner, type, submitted, started, succeeded, failed, cancelled, waits, runs)
         SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::bigint[], $7::bigint[],
                              $8::bigint[], $9::bigint[], $10::text[], $11::text[])
         ON CONFLICT (minute, node, owner, type) DO UPDATE SET
           submitted = excluded.submitted, started = excluded.started, succeeded = excluded.succeeded,
           failed = excluded.failed, cancelled = excluded.cancelled, waits = excluded.waits, runs = excluded.runs
         WHERE excluded.submitted + excluded.started + excluded.succeeded + excluded.failed + excluded.cancelled
               >= quarters.submitted + quarters.started + quarters.succeeded + quarters.failed + quarters.cancelled",
        &each(quarters, |q| q.minute),
        &each(quarters, |q| q.node.clone()),
        &each(quarters, |q| q.owner.clone()),
        &each(quarters, |q| q.r#type.clone()),
        &each(quarters, |q| q.submitted),
        &each(quarters, |q| q.started),
        &each(quarters, |q| q.succeeded),
        &each(quarters, |q| q.failed),
        &each(quarters, |q| q.cancelled),
        &each(quarters, |q| q.waits.clone()),
        &each(quarters, |q| q.runs.clone()),
        first
    );
    put.execute(db).await.map_err(failed)?;
    Ok(())
}

async fn quarters(db: &mut PgConnection, scope: &Scope, since: i64) -> Result<Vec<Minute>> {
    let owner = scope.owner();
    let rows = sqlx::query_as!(
        Minute,
        "SELECT minute, node, owner, type, submitted, started, succeeded, failed, cancelled, waits, runs FROM quarters
         WHERE minute >= $1 AND ($2::text IS NULL OR owner = $2)",
        since,
        owner
    );
    rows.fetch_all(db).await.map_err(failed)
}

fn each<T>(rows: &[Minute], part: impl Fn(&Minute) -> T) -> Vec<T> {
    rows.iter().map(part).collect()
}
