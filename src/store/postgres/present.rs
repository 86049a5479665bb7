//! What is so just now, as Postgres says it.

use super::{Postgres, Tries, failed};
use crate::store::present::older;
use crate::store::{PresentStore, Result, Submitter};
use crate::task::{Scope, Time};
use async_trait::async_trait;
use sqlx::PgConnection;
use std::collections::BTreeMap;

#[async_trait]
impl PresentStore for Postgres {
    async fn at_work(&self, scope: &Scope, limit: i64) -> Result<Vec<(String, i64)>> {
        read!(self, |db| at_work(db, scope, limit))
    }

    async fn oldest_ready(&self, scope: &Scope, limit: i64) -> Result<BTreeMap<String, Time>> {
        read!(self, |db| oldest_ready(db, scope, limit))
    }

    async fn submitters(&self, scope: &Scope, last: i64, limit: i64) -> Result<Vec<Submitter>> {
        read!(self, |db| submitters(db, scope, last, limit))
    }
}

async fn at_work(db: &mut PgConnection, scope: &Scope, limit: i64) -> Result<Vec<(String, i64)>> {
    let owner = scope.owner();
    let rows = sqlx::query!(
        r#"SELECT coalesce(worker, '') AS "worker!", count(*) AS "n!" FROM
             (SELECT worker, owner FROM tasks WHERE status = 1 ORDER BY lease_until LIMIT $2) AS running
           WHERE $1::text IS NULL OR owner = $1 GROUP BY worker ORDER BY worker COLLATE "C""#,
        owner,
        limit
    );
    let rows = rows.fetch_all(db).await.map_err(failed)?;
    Ok(rows.into_iter().map(|row| (row.worker, row.n)).collect())
}

async fn oldest_ready(db: &mut PgConnection, scope: &Scope, limit: i64) -> Result<BTreeMap<String, Time>> {
    // The priorities one after the other: each is one place in the index.
    let rows = sqlx::query!(
        r#"WITH RECURSIVE levels AS (
               (SELECT priority FROM tasks WHERE ready = 1 ORDER BY priority DESC LIMIT 1)
               UNION ALL
               SELECT (SELECT priority FROM tasks WHERE ready = 1 AND priority < levels.priority ORDER BY priority DESC LIMIT 1)
               FROM levels WHERE levels.priority IS NOT NULL)
           SELECT queue, min(run_at) AS "run_at!" FROM levels, LATERAL
               (SELECT queue, owner, run_at FROM tasks WHERE ready = 1 AND priority = levels.priority ORDER BY run_at LIMIT $2) AS head
           WHERE $1::text IS NULL OR owner = $1 GROUP BY queue"#,
        scope.owner(),
        limit
    );
    let mut oldest = BTreeMap::new();
    older(&mut oldest, rows.fetch_all(db).await.map_err(failed)?.into_iter().map(|row| (row.queue, row.run_at)));
    Ok(oldest)
}

async fn submitters(db: &mut PgConnection, scope: &Scope, last: i64, limit: i64) -> Result<Vec<Submitter>> {
    let owner = scope.owner();
    let rows = sqlx::query_as!(
        Submitter,
        r#"SELECT owner, client_id, count(*) AS "n!" FROM
             (SELECT owner, client_id FROM tasks ORDER BY id DESC LIMIT $2) AS lately
           WHERE $1::text IS NULL OR owner = $1 GROUP BY owner, client_id
           ORDER BY 3 DESC, owner COLLATE "C", client_id COLLATE "C" LIMIT $3"#,
        owner,
        last,
        limit
    );
    rows.fetch_all(db).await.map_err(failed)
}
