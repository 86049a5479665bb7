//! What is so just now, as Postgres says it.

use super::{Postgres, Tries, failed};
use crate::store::{PresentStore, Result, Submitter};
use crate::task::Scope;
use async_trait::async_trait;
use sqlx::PgConnection;

#[async_trait]
impl PresentStore for Postgres {
    async fn at_work(&self, scope: &Scope, limit: i64) -> Result<Vec<(String, i64)>> {
        read!(self, |db| at_work(db, scope, limit))
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
