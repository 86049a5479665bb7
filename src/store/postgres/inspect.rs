//! The statements of `errand verify`. Each is one look of its own, on a connection without the
//! time limits of those that serve: counting every row takes a while.

use super::connect::connect_to_read;
use super::{Postgres, failed};
use crate::store::inspect::{Inspect, MiscountRow, Named, PairRow, StepRow};
use crate::store::row::all;
use crate::store::{Miscount, Pair, Result, Step};
use async_trait::async_trait;
use sqlx::PgConnection;
use uuid::Uuid;

/// A connection that only reads, beside the nodes.
pub struct PostgresBeside {
    db: PgConnection,
}

impl Postgres {
    /// Connects to read a database beside the nodes that use it. Its tables are taken as they are.
    pub async fn beside(url: &str) -> Result<PostgresBeside> {
        Ok(PostgresBeside { db: connect_to_read(url).await? })
    }
}

#[async_trait]
impl Inspect for PostgresBeside {
    async fn structure(&mut self) -> Result<Vec<String>> {
        Ok(Vec::new())
    }

    async fn miscounts(&mut self) -> Result<Vec<Miscount>> {
        let rows = sqlx::query_as!(
            MiscountRow,
            r#"SELECT owner AS "owner!", queue AS "queue!", type AS "type!", status AS "status!",
                      sum(counted)::bigint AS "counted!", sum(n)::bigint AS "rows!"
               FROM (SELECT owner, queue, type, status, 0::bigint AS counted, count(*) AS n FROM tasks
                     GROUP BY owner, queue, type, status
                     UNION ALL
                     SELECT owner, queue, type, status, n, 0 FROM counts) AS both_ways
               GROUP BY owner, queue, type, status HAVING sum(counted) <> sum(n) LIMIT 1000"#
        );
        Ok(rows.fetch_all(&mut self.db).await.map_err(failed)?.into_iter().map(MiscountRow::miscount).collect())
    }

    async fn log_start(&mut self) -> Result<i64> {
        sqlx::query_scalar!("SELECT seq FROM log_start FETCH FIRST 1 ROW ONLY")
            .fetch_one(&mut self.db)
            .await
            .map_err(failed)
    }

    async fn pairs(&mut self, after: Uuid, limit: i64) -> Result<Vec<Pair>> {
        let rows = sqlx::query_as!(
            PairRow,
            r#"SELECT t.id, (t.lease IS NOT NULL AND t.lease_until IS NOT NULL) AS "leased!", t.owner, t.version, t.status,
                      t.attempt, t.failures, t.losses, t.error, t.worker, t.run_at, t.started_at, t.finished_at,
                      t.cancel_requested_at, c.owner AS "log_owner?", c.version AS "log_version?",
                      c.status AS "log_status?", c.attempt AS "log_attempt?", c.failures AS "log_failures?",
                      c.losses AS "log_losses?", c.error AS "log_error?", c.worker AS "log_worker?",
                      c.run_at AS "log_run_at?", c.started_at AS "log_started_at?", c.finished_at AS "log_finished_at?",
                      c.cancel_requested_at AS "log_cancel_requested_at?"
               FROM (SELECT * FROM tasks WHERE id > $1 ORDER BY id LIMIT $2) AS t
               LEFT JOIN LATERAL (SELECT * FROM changes WHERE task_id = t.id ORDER BY seq DESC LIMIT 1) AS c ON true
               ORDER BY t.id"#,
            after,
            limit
        );
        Ok(rows.fetch_all(&mut self.db).await.map_err(failed)?.into_iter().map(PairRow::pair).collect())
    }

    async fn steps(&mut self, (task, seq): (Uuid, i64), limit: i64) -> Result<Vec<Step>> {
        let rows = sqlx::query_as!(
            StepRow,
            "SELECT task_id, seq, event, from_status, status, version
             FROM changes WHERE (task_id, seq) > ($1, $2) ORDER BY task_id, seq LIMIT $3",
            task,
            seq,
            limit
        );
        all(rows.fetch_all(&mut self.db).await.map_err(failed)?, StepRow::step)
    }

    async fn uploads(&mut self, after: Uuid, limit: i64) -> Result<Vec<Named>> {
        let rows = sqlx::query_as!(
            Named,
            r#"SELECT id, '' AS "name!", location, bytes, sha256 FROM files WHERE id > $1 ORDER BY id LIMIT $2"#,
            after,
            limit
        );
        rows.fetch_all(&mut self.db).await.map_err(failed)
    }

    async fn artifacts(&mut self, (task, name): (Uuid, &str), limit: i64) -> Result<Vec<Named>> {
        let rows = sqlx::query_as!(
            Named,
            r#"SELECT task_id AS id, name, location, bytes, sha256
               FROM artifacts WHERE (task_id, name) > ($1, $2) ORDER BY task_id, name LIMIT $3"#,
            task,
            name,
            limit
        );
        rows.fetch_all(&mut self.db).await.map_err(failed)
    }
}
