//! Deletes what was kept long enough, with everything that belongs to it.

use super::failed;
use super::json::{Hex, json};
use crate::store::{Prune, Pruned, Result};
use crate::task::Time;
use sqlx::{AssertSqlSafe, SqliteConnection};
use uuid::Uuid;

/// Free pages that stay, for what is written next: 8 MiB, and a fifth of the file.
const SPARE_PAGES: i64 = 1024;
const SPARE_SHARE: i64 = 5;
/// Pages given back in one go, more than a piece of retention frees: a few milliseconds.
const PAGES_AT_ONCE: i64 = 250;

/// Its caller holds the one writing connection, in a transaction: what is looked at stays as it is.
pub async fn prune(db: &mut SqliteConnection, prune: &Prune) -> Result<Pruned> {
    let (finished_at, id) = prune.after.map_or((-1, Uuid::nil()), |(at, id)| (at.0, id));
    let window = sqlx::query!(
        r#"SELECT id AS "id!: Uuid", finished_at AS "finished_at!", status, checkpoints > 0 AS "saved!: bool" FROM tasks
           WHERE finished_at IS NOT NULL AND finished_at < ?1 AND (finished_at, id) > (?2, ?3)
           ORDER BY finished_at, id LIMIT ?4"#,
        prune.before.0,
        finished_at,
        id,
        prune.limit
    );
    let window = window.fetch_all(&mut *db).await.map_err(failed)?;
    let last = window.last().map(|row| (Time(row.finished_at), row.id));
    let old = window.iter().filter(|row| prune.statuses.iter().any(|status| *status as i64 == row.status));
    let ids = json(&old.clone().map(|row| Hex(row.id)).collect::<Vec<_>>());
    let mut with_files: Vec<Uuid> = old.filter(|row| row.saved).map(|row| row.id).collect();
    let counted = sqlx::query!(
        "INSERT INTO counts (owner, queue, type, status, n)
         SELECT owner, queue, type, status, -count(*) FROM tasks WHERE id IN (SELECT unhex(value) FROM json_each(?1))
         GROUP BY owner, queue, type, status
         ON CONFLICT (owner, queue, type, status) DO UPDATE SET n = n + excluded.n",
        ids
    );
    counted.execute(&mut *db).await.map_err(failed)?;
    let gone = sqlx::query!("DELETE FROM tasks WHERE id IN (SELECT unhex(value) FROM json_each(?1))", ids);
    let tasks = gone.execute(&mut *db).await.map_err(failed)?.rows_affected() as i64;
    // From here on the log has gaps up to the last of these.
    let cut = sqlx::query!(
        "UPDATE log_start SET seq = max(seq, coalesce((SELECT max(seq) FROM changes
                                                       WHERE task_id IN (SELECT unhex(value) FROM json_each(?1))), 0))",
        ids
    );
    cut.execute(&mut *db).await.map_err(failed)?;
    for gone in [
        sqlx::query!("DELETE FROM changes WHERE task_id IN (SELECT unhex(value) FROM json_each(?1))", ids),
        sqlx::query!("DELETE FROM log_lines WHERE task_id IN (SELECT unhex(value) FROM json_each(?1))", ids),
        sqlx::query!("DELETE FROM checkpoints WHERE task_id IN (SELECT unhex(value) FROM json_each(?1))", ids),
    ] {
        gone.execute(&mut *db).await.map_err(failed)?;
    }
    let artifacts = sqlx::query_scalar!(
        r#"DELETE FROM artifacts WHERE task_id IN (SELECT unhex(value) FROM json_each(?1)) RETURNING task_id AS "task_id!: Uuid""#,
        ids
    );
    with_files.extend(artifacts.fetch_all(db).await.map_err(failed)?);
    with_files.sort_unstable();
    with_files.dedup();
    let next = last.filter(|_| window.len() as i64 >= prune.limit);
    Ok(Pruned { tasks, with_files, next })
}

/// Gives some of the file back to the disk if much of it is free: its last pages take the place of free
/// ones. A file that was made without a map of its pages stays as long as it is.
pub async fn shrink(db: &mut SqliteConnection) -> Result<()> {
    let mut number =
        async |pragma| -> Result<i64> { sqlx::query_scalar(pragma).fetch_one(&mut *db).await.map_err(failed) };
    let (free, pages) = (number("PRAGMA freelist_count").await?, number("PRAGMA page_count").await?);
    if free > SPARE_PAGES.max(pages / SPARE_SHARE) {
        let shrink = format!("PRAGMA incremental_vacuum({PAGES_AT_ONCE})");
        sqlx::query(AssertSqlSafe(shrink)).fetch_all(db).await.map_err(failed)?;
    }
    Ok(())
}
