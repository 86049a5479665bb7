//! What is so just now, as SQLite says it.

use super::{Sqlite, failed};
use crate::store::present::older;
use crate::store::{PresentStore, Result, Submitter};
use crate::task::{Scope, Time};
use async_trait::async_trait;
use std::collections::BTreeMap;

#[async_trait]
impl PresentStore for Sqlite {
    async fn at_work(&self, scope: &Scope, limit: i64) -> Result<Vec<(String, i64)>> {
        let owner = scope.owner();
        let rows = sqlx::query!(
            r#"SELECT coalesce(worker, '') AS "worker!: String", count(*) AS "n!: i64" FROM
                 (SELECT worker, owner FROM tasks INDEXED BY tasks_leased WHERE status = 1 LIMIT ?2)
               WHERE ?1 IS NULL OR owner = ?1 GROUP BY worker ORDER BY worker"#,
            owner,
            limit
        );
        let rows = rows.fetch_all(&self.readers).await.map_err(failed)?;
        Ok(rows.into_iter().map(|row| (row.worker, row.n)).collect())
    }

    async fn oldest_ready(&self, scope: &Scope, limit: i64) -> Result<BTreeMap<String, Time>> {
        let (owner, mut oldest, mut below) = (scope.owner(), BTreeMap::new(), i64::MAX);
        loop {
            let next = sqlx::query_scalar!(
                r#"SELECT priority AS "priority!: i64" FROM tasks INDEXED BY tasks_ready WHERE ready = 1 AND priority < ?1
                   ORDER BY priority DESC LIMIT 1"#,
                below
            );
            let Some(priority) = next.fetch_optional(&self.readers).await.map_err(failed)? else { return Ok(oldest) };
            let rows = sqlx::query!(
                r#"SELECT queue AS "queue!: String", min(run_at) AS "run_at!: i64" FROM
                     (SELECT queue, owner, run_at FROM tasks INDEXED BY tasks_ready WHERE ready = 1 AND priority = ?2
                      ORDER BY run_at LIMIT ?3)
                   WHERE ?1 IS NULL OR owner = ?1 GROUP BY queue"#,
                owner,
                priority,
                limit
            );
            let rows = rows.fetch_all(&self.readers).await.map_err(failed)?;
            older(&mut oldest, rows.into_iter().map(|row| (row.queue, row.run_at)));
            below = priority;
        }
    }

    async fn submitters(&self, scope: &Scope, last: i64, limit: i64) -> Result<Vec<Submitter>> {
        let owner = scope.owner();
        let rows = sqlx::query_as!(
            Submitter,
            r#"SELECT owner, client_id, count(*) AS "n!: i64" FROM
                 (SELECT owner, client_id FROM tasks ORDER BY id DESC LIMIT ?2)
               WHERE ?1 IS NULL OR owner = ?1 GROUP BY owner, client_id ORDER BY 3 DESC, owner, client_id LIMIT ?3"#,
            owner,
            last,
            limit
        );
        rows.fetch_all(&self.readers).await.map_err(failed)
    }
}
