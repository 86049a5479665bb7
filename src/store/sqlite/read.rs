//! Every statement that reads from SQLite. Readers never wait for the writer.

use super::failed;
use super::json::{Hex, json};
use crate::store::row::{CheckpointRow, CountRow, EntryRow, FileRow, LineRow, TaskRow, TransitionRow, all, next_due};
use crate::store::{Count, Due, Entry, File, Held, LineQuery, Result, StoredLine, Transition};
use crate::task::{Artifact, Checkpoint, Scope, Task, Time};
use sqlx::SqlitePool;
use uuid::Uuid;

pub async fn now(db: &SqlitePool) -> Result<Time> {
    // One process has the file, so its own clock is the shared one; the question shows that the file can be read.
    let now = sqlx::query_scalar!(r#"SELECT CAST(unixepoch('subsec') * 1000 AS INTEGER) AS "now!: i64""#);
    Ok(Time(now.fetch_one(db).await.map_err(failed)?))
}

pub async fn identity(db: &SqlitePool) -> Result<String> {
    let first = "SELECT installed_on || '/' || execution_time FROM _sqlx_migrations ORDER BY version LIMIT 1";
    sqlx::query_scalar(first).fetch_one(db).await.map_err(failed)
}

pub async fn get(db: &SqlitePool, scope: &Scope, id: Uuid) -> Result<Option<Task>> {
    let owner = scope.owner();
    let row = sqlx::query_as!(
        TaskRow,
        r#"SELECT id AS "id!: Uuid", type, name, queue, priority, tags, owner, client_id, params AS "params?", result, error,
                  progress, status, attempt, failures, losses, max_attempts, backoff, timeout_seconds, lease AS "lease: Uuid",
                  lease_until, worker, run_at, created_at, started_at, finished_at, updated_at, cancel_requested_at, version,
                  ahead AS "ahead: bool"
           FROM tasks WHERE id = ?1 AND (?2 IS NULL OR owner = ?2)"#,
        id,
        owner
    );
    row.fetch_optional(db).await.map_err(failed)?.map(TaskRow::task).transpose()
}

pub async fn lapsed(db: &SqlitePool, now: Time, limit: i64) -> Result<Vec<Task>> {
    let rows = sqlx::query_as!(
        TaskRow,
        r#"SELECT id AS "id!: Uuid", type, name, queue, priority, tags, owner, client_id, NULL AS "params: String",
                  NULL AS "result: String", error, progress, status, attempt, failures, losses, max_attempts, backoff,
                  timeout_seconds, lease AS "lease: Uuid", lease_until, worker, run_at, created_at, started_at, finished_at,
                  updated_at, cancel_requested_at, version, ahead AS "ahead: bool"
           FROM tasks WHERE status = 1 AND lease_until <= ?1 ORDER BY lease_until, id LIMIT ?2"#,
        now.0,
        limit
    );
    all(rows.fetch_all(db).await.map_err(failed)?, TaskRow::task)
}

/// Along the index of leases: there are as many as tasks run.
pub async fn stirred(db: &SqlitePool, since: Time, leased: Time, limit: i64) -> Result<Vec<Task>> {
    let rows = sqlx::query_as!(
        TaskRow,
        r#"SELECT id AS "id!: Uuid", type, name, queue, priority, tags, owner, client_id, NULL AS "params: String",
                  NULL AS "result: String", error, progress, status, attempt, failures, losses, max_attempts, backoff,
                  timeout_seconds, lease AS "lease: Uuid", lease_until, worker, run_at, created_at, started_at, finished_at,
                  updated_at, cancel_requested_at, version, ahead AS "ahead: bool"
           FROM tasks INDEXED BY tasks_leased
           WHERE status = 1 AND lease_until >= ?1 AND updated_at >= ?2 LIMIT ?3"#,
        leased.0,
        since.0,
        limit
    );
    all(rows.fetch_all(db).await.map_err(failed)?, TaskRow::task)
}

pub async fn due(db: &SqlitePool, now: Time) -> Result<Due> {
    let due = sqlx::query!(
        r#"SELECT (SELECT run_at FROM tasks WHERE status = 0 AND ready = 0 ORDER BY run_at LIMIT 1) AS "next: i64",
                  EXISTS (SELECT 1 FROM tasks WHERE status = 1 AND lease_until <= ?1) AS "lapsed!: bool""#,
        now.0
    );
    let due = due.fetch_one(db).await.map_err(failed)?;
    Ok(Due { promoted: 0, next: next_due(due.next), lapsed: due.lapsed })
}

pub async fn held(db: &SqlitePool, leases: &[(Uuid, Uuid)]) -> Result<Vec<Held>> {
    let leases = json(&leases.iter().map(|(id, lease)| (Hex(*id), Hex(*lease))).collect::<Vec<_>>());
    let rows = sqlx::query!(
        r#"SELECT tasks.lease AS "lease!: Uuid", tasks.cancel_requested_at IS NOT NULL AS "cancel_requested!: bool"
           FROM jsonb_each(?1) AS h CROSS JOIN tasks
           WHERE tasks.id = unhex(h.value ->> 0) AND tasks.lease = unhex(h.value ->> 1)"#,
        leases
    );
    let rows = rows.fetch_all(db).await.map_err(failed)?;
    Ok(rows.into_iter().map(|row| Held { lease: row.lease, cancel_requested: row.cancel_requested }).collect())
}

pub async fn changes(db: &SqlitePool, scope: &Scope, after: i64, limit: i64) -> Result<Vec<Entry>> {
    let owner = scope.owner();
    let rows = sqlx::query_as!(
        EntryRow,
        r#"SELECT c.seq, c.at, c.event, c.from_status, c.actor, c.status, c.error, c.progress, c.attempt, c.failures, c.losses,
                  c.worker, c.run_at, c.started_at, c.finished_at, c.cancel_requested_at, c.version, t.id AS "id!: Uuid",
                  t.type, t.name, t.queue, t.priority, t.tags, t.owner, t.client_id, t.max_attempts, t.backoff,
                  t.timeout_seconds, t.created_at
           FROM changes c CROSS JOIN tasks t ON t.id = c.task_id
           WHERE c.seq > ?1 AND (SELECT seq FROM log_start) <= ?1 AND (?2 IS NULL OR c.owner = ?2) ORDER BY c.seq LIMIT ?3"#,
        after,
        owner,
        limit
    );
    all(rows.fetch_all(db).await.map_err(failed)?, EntryRow::entry)
}

pub async fn log_bounds(db: &SqlitePool) -> Result<(i64, i64)> {
    let row = sqlx::query!(
        r#"SELECT (SELECT seq FROM log_start) AS "start!: i64",
                  coalesce((SELECT max(seq) FROM changes), (SELECT seq FROM log_start)) AS "end!: i64""#
    );
    let row = row.fetch_one(db).await.map_err(failed)?;
    Ok((row.start, row.end))
}

pub async fn transitions(db: &SqlitePool, scope: &Scope, id: Uuid) -> Result<Vec<Transition>> {
    let owner = scope.owner();
    let rows = sqlx::query_as!(
        TransitionRow,
        "SELECT seq, at, event, from_status, status, attempt, worker, error, actor FROM changes
         WHERE task_id = ?1 AND (?2 IS NULL OR owner = ?2) ORDER BY seq",
        id,
        owner
    );
    all(rows.fetch_all(db).await.map_err(failed)?, TransitionRow::transition)
}

pub async fn lines(db: &SqlitePool, scope: &Scope, id: Uuid, query: &LineQuery) -> Result<Vec<StoredLine>> {
    let owner = scope.owner();
    let rows = sqlx::query_as!(
        LineRow,
        "SELECT l.seq, l.attempt, l.at, l.level, l.message FROM log_lines l JOIN tasks t ON t.id = l.task_id
         WHERE l.task_id = ?1 AND (?2 IS NULL OR t.owner = ?2) AND l.seq > ?3 AND l.level >= ?4
           AND (?5 IS NULL OR l.attempt = ?5)
         ORDER BY l.seq LIMIT ?6",
        id,
        owner,
        query.after,
        query.level,
        query.attempt,
        query.limit
    );
    all(rows.fetch_all(db).await.map_err(failed)?, LineRow::line)
}

pub async fn artifacts(db: &SqlitePool, scope: &Scope, id: Uuid) -> Result<Vec<Artifact>> {
    let owner = scope.owner();
    let rows = sqlx::query_as!(
        Artifact,
        "SELECT a.name, a.bytes, a.content_type, a.sha256, a.location FROM artifacts a JOIN tasks t ON t.id = a.task_id
         WHERE a.task_id = ?1 AND (?2 IS NULL OR t.owner = ?2) ORDER BY a.name",
        id,
        owner
    );
    rows.fetch_all(db).await.map_err(failed)
}

pub async fn checkpoints(db: &SqlitePool, tasks: &[Uuid]) -> Result<Vec<Checkpoint>> {
    let tasks = json(&tasks.iter().copied().map(Hex).collect::<Vec<_>>());
    let rows = sqlx::query_as!(
        CheckpointRow,
        r#"SELECT task_id AS "task_id!: Uuid", name, attempt, data, updated_at FROM checkpoints
           WHERE task_id IN (SELECT unhex(value) FROM json_each(?1)) ORDER BY task_id, name"#,
        tasks
    );
    all(rows.fetch_all(db).await.map_err(failed)?, CheckpointRow::checkpoint)
}

pub async fn files(db: &SqlitePool, scope: &Scope, ids: &[Uuid]) -> Result<Vec<File>> {
    let ids = json(&ids.iter().copied().map(Hex).collect::<Vec<_>>());
    let owner = scope.owner();
    let rows = sqlx::query_as!(
        FileRow,
        r#"SELECT id AS "id!: Uuid", owner, name, bytes, content_type, sha256, location, created_at FROM files
           WHERE id IN (SELECT unhex(value) FROM json_each(?1)) AND (?2 IS NULL OR owner = ?2)"#,
        ids,
        owner
    );
    all(rows.fetch_all(db).await.map_err(failed)?, FileRow::file)
}

pub async fn stored(db: &SqlitePool, owner: &str) -> Result<i64> {
    let bytes =
        sqlx::query_scalar!(r#"SELECT coalesce(sum(bytes), 0) AS "n!: i64" FROM files WHERE owner = ?1"#, owner);
    bytes.fetch_one(db).await.map_err(failed)
}

pub async fn counts(db: &SqlitePool, scope: &Scope) -> Result<Vec<Count>> {
    let owner = scope.owner();
    let rows = sqlx::query_as!(
        CountRow,
        r#"SELECT queue, type, status, sum(n) AS "n!: i64" FROM counts WHERE (?1 IS NULL OR owner = ?1)
           GROUP BY queue, type, status"#,
        owner
    );
    all(rows.fetch_all(db).await.map_err(failed)?, CountRow::count)
}

pub async fn ahead(db: &SqlitePool, scope: &Scope, task: &Task, limit: i64) -> Result<i64> {
    let owner = scope.owner();
    let ahead = sqlx::query_scalar!(
        r#"SELECT count(*) AS "n!: i64" FROM
             (SELECT owner FROM tasks WHERE ready = 1 AND (priority > ?1 OR (priority = ?1 AND (run_at, id) < (?2, ?3))) LIMIT ?4)
           WHERE ?5 IS NULL OR owner = ?5"#,
        task.priority,
        task.run_at.0,
        task.id,
        limit,
        owner
    );
    ahead.fetch_one(db).await.map_err(failed)
}
