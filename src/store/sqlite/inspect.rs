//! The statements of `errand verify`. Each is one look of its own, so that none holds the log up for long.

use super::beside::Beside;
use super::failed;
use crate::store::inspect::{Inspect, MiscountRow, Named, PairRow, StepRow};
use crate::store::row::all;
use crate::store::{Miscount, Pair, Result, Step};
use async_trait::async_trait;
use uuid::Uuid;

#[async_trait]
impl Inspect for Beside {
    async fn structure(&mut self) -> Result<Vec<String>> {
        let said: Vec<String> =
            sqlx::query_scalar("PRAGMA integrity_check(20)").fetch_all(&mut self.db).await.map_err(failed)?;
        Ok(said.into_iter().filter(|line| line != "ok").map(|line| line.replace('\n', " ")).collect())
    }

    async fn miscounts(&mut self) -> Result<Vec<Miscount>> {
        let rows = sqlx::query_as!(
            MiscountRow,
            r#"SELECT owner AS "owner!", queue AS "queue!", type AS "type!", status AS "status!",
                      sum(counted) AS "counted!: i64", sum(n) AS "rows!: i64"
               FROM (SELECT owner, queue, type, status, 0 AS counted, count(*) AS n FROM tasks GROUP BY owner, queue, type, status
                     UNION ALL
                     SELECT owner, queue, type, status, n, 0 FROM counts)
               GROUP BY owner, queue, type, status HAVING sum(counted) <> sum(n) LIMIT 1000"#
        );
        Ok(rows.fetch_all(&mut self.db).await.map_err(failed)?.into_iter().map(MiscountRow::miscount).collect())
    }

    async fn log_start(&mut self) -> Result<i64> {
        sqlx::query_scalar!("SELECT seq FROM log_start LIMIT 1").fetch_one(&mut self.db).await.map_err(failed)
    }

    async fn pairs(&mut self, after: Uuid, limit: i64) -> Result<Vec<Pair>> {
        let rows = sqlx::query_as!(
            PairRow,
            r#"SELECT t.id AS "id!: Uuid", t.lease IS NOT NULL AND t.lease_until IS NOT NULL AS "leased!: bool",
                      t.owner AS "owner!", t.version AS "version!", t.status AS "status!", t.attempt AS "attempt!",
                      t.failures AS "failures!", t.losses AS "losses!", t.error, t.worker, t.run_at AS "run_at!",
                      t.started_at, t.finished_at, t.cancel_requested_at, c.owner AS "log_owner?",
                      c.version AS "log_version?", c.status AS "log_status?", c.attempt AS "log_attempt?",
                      c.failures AS "log_failures?", c.losses AS "log_losses?", c.error AS "log_error?",
                      c.worker AS "log_worker?", c.run_at AS "log_run_at?", c.started_at AS "log_started_at?",
                      c.finished_at AS "log_finished_at?", c.cancel_requested_at AS "log_cancel_requested_at?"
               FROM (SELECT * FROM tasks WHERE id > ?1 ORDER BY id LIMIT ?2) AS t
               LEFT JOIN changes AS c ON c.seq = (SELECT max(seq) FROM changes WHERE task_id = t.id)
               ORDER BY t.id"#,
            after,
            limit
        );
        Ok(rows.fetch_all(&mut self.db).await.map_err(failed)?.into_iter().map(PairRow::pair).collect())
    }

    async fn steps(&mut self, (task, seq): (Uuid, i64), limit: i64) -> Result<Vec<Step>> {
        let rows = sqlx::query_as!(
            StepRow,
            r#"SELECT task_id AS "task_id!: Uuid", seq AS "seq!", event, from_status, status, version
               FROM changes WHERE (task_id, seq) > (?1, ?2) ORDER BY task_id, seq LIMIT ?3"#,
            task,
            seq,
            limit
        );
        all(rows.fetch_all(&mut self.db).await.map_err(failed)?, StepRow::step)
    }

    async fn uploads(&mut self, after: Uuid, limit: i64) -> Result<Vec<Named>> {
        let rows = sqlx::query_as!(
            Named,
            r#"SELECT id AS "id!: Uuid", '' AS "name!: String", location, bytes, sha256
               FROM files WHERE id > ?1 ORDER BY id LIMIT ?2"#,
            after,
            limit
        );
        rows.fetch_all(&mut self.db).await.map_err(failed)
    }

    async fn artifacts(&mut self, (task, name): (Uuid, &str), limit: i64) -> Result<Vec<Named>> {
        let rows = sqlx::query_as!(
            Named,
            r#"SELECT task_id AS "id!: Uuid", name, location, bytes, sha256
               FROM artifacts WHERE (task_id, name) > (?1, ?2) ORDER BY task_id, name LIMIT ?3"#,
            task,
            name,
            limit
        );
        rows.fetch_all(&mut self.db).await.map_err(failed)
    }
}
