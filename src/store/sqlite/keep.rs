//! What is written beside the transitions: beats, log lines, checkpoints, uploads. One
//! statement each, or a transaction of the caller's.

use super::failed;
use super::json::{BeatJson, LineJson, json};
use crate::store::{Beat, File, Held, Result, Save, Saved};
use crate::task::{Time, checkpoint};
use sqlx::SqliteConnection;
use uuid::Uuid;

pub async fn beat(db: &mut SqliteConnection, beats: &[Beat], until: Time, now: Time) -> Result<Vec<Held>> {
    let rows = json(&beats.iter().map(BeatJson::of).collect::<Vec<_>>());
    let (until, now) = (until.0, now.0);
    let held = sqlx::query!(
        r#"UPDATE tasks SET
               lease_until = CASE WHEN tasks.cancel_requested_at IS NULL THEN max(tasks.lease_until, ?2) ELSE tasks.lease_until END,
               progress = coalesce(b.progress, tasks.progress), ahead = 0,
               updated_at = CASE WHEN b.progress IS NULL THEN tasks.updated_at ELSE ?3 END
           FROM (SELECT unhex(value ->> 'id') AS id, unhex(value ->> 'lease') AS lease, value ->> 'progress' AS progress
                 FROM jsonb_each(?1)) AS b
           WHERE tasks.id = b.id AND tasks.lease = b.lease
           RETURNING tasks.lease AS "lease!: Uuid", tasks.cancel_requested_at IS NOT NULL AS "cancel_requested!: bool""#,
        rows,
        until,
        now
    )
    .fetch_all(&mut *db)
    .await
    .map_err(failed)?;
    let held: Vec<Held> =
        held.into_iter().map(|row| Held { lease: row.lease, cancel_requested: row.cancel_requested }).collect();
    let said = beats.iter().filter(|beat| held.iter().any(|held| held.lease == beat.lease));
    let lines: Vec<LineJson> =
        said.flat_map(|beat| beat.lines.iter().map(move |line| LineJson::of(beat, line))).collect();
    if !lines.is_empty() {
        let lines = json(&lines);
        sqlx::query!(
            "INSERT INTO log_lines (task_id, attempt, at, level, message)
             SELECT unhex(value ->> 'task_id'), value ->> 'attempt', value ->> 'at', value ->> 'level', value ->> 'message'
             FROM jsonb_each(?1)",
            lines
        )
        .execute(db)
        .await
        .map_err(failed)?;
    }
    Ok(held)
}

/// Its callers hold the one writing connection, in a transaction: what is looked at stays as it is.
pub async fn save(db: &mut SqliteConnection, saves: &[Save], now: Time) -> Result<Vec<Saved>> {
    let mut saved = Vec::with_capacity(saves.len());
    for save in saves {
        saved.push(save_one(db, save, now).await?);
    }
    Ok(saved)
}

async fn save_one(db: &mut SqliteConnection, save: &Save, now: Time) -> Result<Saved> {
    let current = sqlx::query!(
        r#"SELECT checkpoints AS "names!: i64",
                  EXISTS (SELECT 1 FROM checkpoints AS c WHERE c.task_id = ?1 AND c.name = ?3) AS "known!: bool"
           FROM tasks WHERE id = ?1 AND lease = ?2"#,
        save.id,
        save.lease,
        save.name
    );
    let Some(current) = current.fetch_optional(&mut *db).await.map_err(failed)? else { return Ok(Saved::Lost) };
    if !current.known && current.names >= checkpoint::MAX_NAMES {
        return Ok(Saved::TooMany);
    }
    let data = save.data.get();
    sqlx::query!(
        "INSERT INTO checkpoints (task_id, name, attempt, data, updated_at) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (task_id, name) DO UPDATE SET attempt = excluded.attempt, data = excluded.data,
                                                   updated_at = excluded.updated_at",
        save.id,
        save.name,
        save.attempt,
        data,
        now.0
    )
    .execute(&mut *db)
    .await
    .map_err(failed)?;
    if !current.known {
        let counted = sqlx::query!("UPDATE tasks SET checkpoints = checkpoints + 1 WHERE id = ?1", save.id);
        counted.execute(db).await.map_err(failed)?;
    }
    Ok(Saved::Written)
}

pub async fn durability(db: &mut SqliteConnection) -> Result<String> {
    let synchronous: i64 = sqlx::query_scalar("PRAGMA synchronous").fetch_one(&mut *db).await.map_err(failed)?;
    let journal: String = sqlx::query_scalar("PRAGMA journal_mode").fetch_one(db).await.map_err(failed)?;
    let word = ["OFF", "NORMAL", "FULL", "EXTRA"].get(synchronous as usize).copied().unwrap_or("?");
    Ok(format!("synchronous={word}, journal_mode={journal}"))
}

pub async fn promote(db: &mut SqliteConnection, now: Time, limit: i64) -> Result<i64> {
    let promoted = sqlx::query!(
        "UPDATE tasks SET ready = 1 WHERE id IN
             (SELECT id FROM tasks WHERE status = 0 AND ready = 0 AND run_at <= ?1 ORDER BY run_at LIMIT ?2)",
        now.0,
        limit
    )
    .execute(db)
    .await
    .map_err(failed)?;
    Ok(promoted.rows_affected() as i64)
}

pub async fn add_file(db: &mut SqliteConnection, file: &File) -> Result<()> {
    sqlx::query!(
        "INSERT INTO files (id, owner, name, bytes, content_type, sha256, location, created_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        file.id,
        file.owner,
        file.name,
        file.bytes,
        file.content_type,
        file.sha256,
        file.location,
        file.created_at.0
    )
    .execute(db)
    .await
    .map_err(failed)?;
    Ok(())
}

pub async fn remove_file(db: &mut SqliteConnection, id: Uuid) -> Result<()> {
    sqlx::query!("DELETE FROM files WHERE id = ?1", id).execute(db).await.map_err(failed)?;
    Ok(())
}

pub async fn tidy(db: &mut SqliteConnection, keys_before: Time, minutes_before: i64) -> Result<()> {
    sqlx::query!("DELETE FROM idempotency WHERE created_at < ?1", keys_before.0)
        .execute(&mut *db)
        .await
        .map_err(failed)?;
    sqlx::query!("DELETE FROM minutes WHERE minute < ?1", minutes_before).execute(db).await.map_err(failed)?;
    Ok(())
}
