//! What is written beside the transitions: beats, log lines, checkpoints, uploads. One
//! statement each.

use super::failed;
use crate::store::row::FileRow;
use crate::store::{Beat, File, Held, Result, Save, Saved};
use crate::task::{Progress, Scope, Time, checkpoint};
use crate::types::LogLine;
use sqlx::PgConnection;
use uuid::Uuid;

pub async fn beat(db: &mut PgConnection, beats: &[Beat], until: Time, now: Time) -> Result<Vec<Held>> {
    let lines: Vec<(&Beat, &LogLine)> =
        beats.iter().flat_map(|beat| beat.lines.iter().map(move |line| (beat, line))).collect();
    let held = sqlx::query!(
        r#"WITH held AS (
             UPDATE tasks t SET
               lease_until = CASE WHEN t.cancel_requested_at IS NULL THEN greatest(t.lease_until, $4) ELSE t.lease_until END,
               progress = coalesce(b.progress, t.progress), ahead = false,
               updated_at = CASE WHEN b.progress IS NULL THEN t.updated_at ELSE $5 END
             FROM unnest($1::uuid[], $2::uuid[], $3::text[]) AS b(id, lease, progress)
             WHERE t.id = b.id AND t.lease = b.lease
             RETURNING t.lease, t.cancel_requested_at
           ), said AS (
             INSERT INTO log_lines (task_id, attempt, at, level, message)
             SELECT l.task_id, l.attempt, l.at, l.level, l.message
             FROM unnest($6::uuid[], $7::uuid[], $8::bigint[], $9::bigint[], $10::bigint[], $11::text[])
                  AS l(lease, task_id, attempt, at, level, message)
             WHERE l.lease IN (SELECT lease FROM held)
           )
           SELECT lease AS "lease!", cancel_requested_at IS NOT NULL AS "cancel_requested!" FROM held"#,
        &beats.iter().map(|beat| beat.id).collect::<Vec<_>>(),
        &beats.iter().map(|beat| beat.lease).collect::<Vec<_>>(),
        &beats.iter().map(|beat| beat.progress.as_ref().map(Progress::to_json)).collect::<Vec<_>>()
            as &[Option<String>],
        until.0,
        now.0,
        &lines.iter().map(|(beat, _)| beat.lease).collect::<Vec<_>>(),
        &lines.iter().map(|(beat, _)| beat.id).collect::<Vec<_>>(),
        &lines.iter().map(|(beat, _)| beat.attempt).collect::<Vec<_>>(),
        &lines.iter().map(|(_, line)| line.at.0).collect::<Vec<_>>(),
        &lines.iter().map(|(_, line)| line.level as i64).collect::<Vec<_>>(),
        &lines.iter().map(|(_, line)| line.message.clone()).collect::<Vec<_>>(),
    );
    let held = held.fetch_all(db).await.map_err(failed)?;
    Ok(held.into_iter().map(|row| Held { lease: row.lease, cancel_requested: row.cancel_requested }).collect())
}

/// The row's lock is what fences: whoever would take the task over waits for it, and a lease that
/// went while this waited is not found.
pub async fn save(db: &mut PgConnection, saves: &[Save], now: Time) -> Result<Vec<Saved>> {
    let current = sqlx::query!(
        r#"WITH current AS MATERIALIZED (
             SELECT s.*, EXISTS (SELECT 1 FROM checkpoints c WHERE c.task_id = s.id AND c.name = s.name) AS known,
                    t.checkpoints < $7 AS room
             FROM unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::text[], $5::text[]) AS s(id, lease, attempt, name, data)
             JOIN tasks t ON t.id = s.id AND t.lease = s.lease FOR NO KEY UPDATE OF t
           ), written AS (
             INSERT INTO checkpoints (task_id, name, attempt, data, updated_at)
             SELECT id, name, attempt, data, $6 FROM current WHERE known OR room
             ON CONFLICT (task_id, name) DO UPDATE SET attempt = excluded.attempt, data = excluded.data,
                                                       updated_at = excluded.updated_at
           ), counted AS (
             UPDATE tasks t SET checkpoints = t.checkpoints + 1 FROM current c WHERE t.id = c.id AND NOT c.known AND c.room
           )
           SELECT id AS "id!", (known OR room) AS "written!" FROM current"#,
        &saves.iter().map(|save| save.id).collect::<Vec<_>>(),
        &saves.iter().map(|save| save.lease).collect::<Vec<_>>(),
        &saves.iter().map(|save| save.attempt).collect::<Vec<_>>(),
        &saves.iter().map(|save| save.name.clone()).collect::<Vec<_>>(),
        &saves.iter().map(|save| save.data.get().to_owned()).collect::<Vec<_>>(),
        now.0,
        checkpoint::MAX_NAMES,
    );
    let current = current.fetch_all(db).await.map_err(failed)?;
    let of = |save: &Save| match current.iter().find(|row| row.id == save.id) {
        Some(row) if row.written => Saved::Written,
        Some(_) => Saved::TooMany,
        None => Saved::Lost,
    };
    Ok(saves.iter().map(of).collect())
}

/// A transaction that has a number and changes nothing: its commit is flushed like any other.
pub async fn probe(db: &mut PgConnection) -> Result<()> {
    sqlx::query("SELECT pg_current_xact_id()::text").execute(db).await.map(drop).map_err(failed)
}

/// Priority and `run_at` of each task that became ready.
pub async fn promote(db: &mut PgConnection, from: Time, now: Time, limit: i64) -> Result<Vec<(i64, i64)>> {
    let promoted = sqlx::query!(
        "WITH due AS MATERIALIZED (
           SELECT id FROM tasks WHERE status = 0 AND ready = 0 AND run_at BETWEEN $1 AND $2 ORDER BY run_at LIMIT $3
           FOR UPDATE SKIP LOCKED)
         UPDATE tasks t SET ready = 1 FROM due WHERE t.id = due.id RETURNING t.priority, t.run_at",
        from.0,
        now.0,
        limit
    );
    let promoted = promoted.fetch_all(db).await.map_err(failed)?;
    Ok(promoted.into_iter().map(|row| (row.priority, row.run_at)).collect())
}

pub async fn add_file(db: &mut PgConnection, file: &File) -> Result<()> {
    let added = sqlx::query!(
        "INSERT INTO files (id, owner, name, bytes, content_type, sha256, location, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        file.id,
        file.owner,
        file.name,
        file.bytes,
        file.content_type,
        file.sha256,
        file.location,
        file.created_at.0
    );
    added.execute(db).await.map_err(failed)?;
    Ok(())
}

pub async fn remove_file(db: &mut PgConnection, scope: &Scope, id: Uuid) -> Result<Option<File>> {
    let removed = sqlx::query_as!(
        FileRow,
        "DELETE FROM files WHERE id = $1 AND ($2::text IS NULL OR owner = $2)
         RETURNING id, owner, name, bytes, content_type, sha256, location, created_at",
        id,
        scope.owner()
    );
    removed.fetch_optional(db).await.map_err(failed)?.map(FileRow::file).transpose()
}

pub async fn tidy(db: &mut PgConnection, keys_before: Time, minutes_before: i64) -> Result<()> {
    // Rows of `counts` that another node folds at the same time are skipped here and folded there.
    let folded = sqlx::query!(
        "WITH old AS MATERIALIZED (SELECT ctid FROM counts FOR UPDATE SKIP LOCKED),
              gone AS (DELETE FROM counts USING old WHERE counts.ctid = old.ctid RETURNING counts.*)
         INSERT INTO counts (owner, queue, type, status, n)
         SELECT owner, queue, type, status, sum(n) FROM gone GROUP BY owner, queue, type, status HAVING sum(n) <> 0"
    );
    folded.execute(&mut *db).await.map_err(failed)?;
    let keys = sqlx::query!("DELETE FROM idempotency WHERE created_at < $1", keys_before.0);
    keys.execute(&mut *db).await.map_err(failed)?;
    let minutes = sqlx::query!("DELETE FROM minutes WHERE minute < $1", minutes_before);
    minutes.execute(db).await.map_err(failed)?;
    Ok(())
}
