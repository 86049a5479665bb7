//! What is so just now, as SQLite says it.

use super::{Sqlite, failed};
use crate::store::{PresentStore, Result, Submitter};
use crate::task::Scope;
use async_trait::async_trait;

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
