//! Deletes what was kept long enough, with everything that belongs to it. One statement.
//!
//! One node at a time: another one that comes meanwhile finds nothing. A task that somebody sets
//! going again at this moment is passed over.

use super::failed;
use crate::store::{Prune, Pruned, Result};
use crate::task::Time;
use sqlx::PgConnection;
use uuid::Uuid;

pub async fn prune(db: &mut PgConnection, prune: &Prune) -> Result<Pruned> {
    let (finished_at, id) = prune.after.map_or((-1, Uuid::nil()), |(at, id)| (at.0, id));
    let statuses: Vec<i64> = prune.statuses.iter().map(|status| *status as i64).collect();
    let row = sqlx::query!(
        r#"WITH mine AS MATERIALIZED (
             SELECT pg_try_advisory_xact_lock(7472616366) AS mine
           ), looked AS MATERIALIZED (
             SELECT id, finished_at FROM tasks
             WHERE (SELECT mine FROM mine) AND finished_at IS NOT NULL AND finished_at < $1 AND (finished_at, id) > ($2, $3)
             ORDER BY finished_at, id LIMIT $4
           ), old AS MATERIALIZED (
             SELECT t.id FROM looked JOIN tasks t ON t.id = looked.id
             WHERE t.finished_at < $1 AND t.status + 0 = ANY($5) FOR UPDATE OF t SKIP LOCKED
           ), gone AS (
             DELETE FROM tasks WHERE id = ANY(ARRAY(SELECT id FROM old)) RETURNING id, owner, queue, type, status, checkpoints
           ), unlogged AS (
             DELETE FROM changes WHERE task_id = ANY(ARRAY(SELECT id FROM old)) RETURNING seq
           ), cut AS (
             UPDATE log_start SET seq = greatest(seq, (SELECT max(seq) FROM unlogged)) WHERE EXISTS (SELECT FROM old)
           ), untold AS (
             DELETE FROM log_lines WHERE task_id = ANY(ARRAY(SELECT id FROM old))
           ), unsaved AS (
             DELETE FROM checkpoints WHERE task_id = ANY(ARRAY(SELECT id FROM old))
           ), unkept AS (
             DELETE FROM artifacts WHERE task_id = ANY(ARRAY(SELECT id FROM old)) RETURNING task_id
           ), counted AS (
             INSERT INTO counts (owner, queue, type, status, n)
             SELECT owner, queue, type, status, -count(*) FROM gone GROUP BY owner, queue, type, status
           )
           SELECT (SELECT count(*) FROM gone) AS "tasks!", (SELECT count(*) FROM looked) AS "looked!",
                  ARRAY(SELECT task_id FROM unkept UNION SELECT id FROM gone WHERE checkpoints > 0) AS "with_files!: Vec<Uuid>",
                  last.id AS "last_id?", last.finished_at AS "last_finished_at?"
           FROM mine LEFT JOIN LATERAL (SELECT id, finished_at FROM looked ORDER BY finished_at DESC, id DESC LIMIT 1) AS last
                     ON true"#,
        prune.before.0,
        finished_at,
        id,
        prune.limit,
        &statuses,
    );
    let row = row.fetch_one(db).await.map_err(failed)?;
    let next = row.last_finished_at.zip(row.last_id).map(|(at, id)| (Time(at), id));
    Ok(Pruned { tasks: row.tasks, with_files: row.with_files, next: next.filter(|_| row.looked >= prune.limit) })
}
