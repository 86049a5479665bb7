//! Every statement that reads from Postgres.

use super::failed;
use crate::store::row::{CheckpointRow, CountRow, EntryRow, FileRow, LineRow, TaskRow, TransitionRow, all, next_due};
use crate::store::{Count, Due, Entry, File, Held, LineQuery, Result, Stamp, StoredLine, Transition, Written};
use crate::task::{Artifact, Checkpoint, Scope, Task, Time};
use sqlx::PgConnection;
use uuid::Uuid;

pub async fn now(db: &mut PgConnection) -> Result<Time> {
    let now = sqlx::query_scalar!(r#"SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS "now!""#);
    Ok(Time(now.fetch_one(db).await.map_err(failed)?))
}

pub async fn durability(db: &mut PgConnection) -> Result<String> {
    let settings = sqlx::query_scalar!(
        r#"SELECT string_agg(name || '=' || setting, ', ' ORDER BY name DESC) AS "settings!" FROM pg_settings
           WHERE name IN ('synchronous_commit', 'fsync', 'server_version')"#
    );
    settings.fetch_one(db).await.map_err(failed)
}

pub async fn identity(db: &mut PgConnection) -> Result<String> {
    let first = "SELECT extract(epoch FROM installed_on)::text || '/' || execution_time FROM _sqlx_migrations \
                 ORDER BY version LIMIT 1";
    sqlx::query_scalar(first).fetch_one(db).await.map_err(failed)
}

pub async fn get(db: &mut PgConnection, scope: &Scope, id: Uuid) -> Result<Option<Task>> {
    let owner = scope.owner();
    let row = sqlx::query_as!(
        TaskRow,
        r#"SELECT id, type, name, queue, priority, tags, owner, client_id, params AS "params?", result, error,
                  progress, status, attempt, failures, losses, max_attempts, backoff, timeout_seconds, lease,
                  lease_until, worker, run_at, created_at, started_at, finished_at, updated_at, cancel_requested_at, version,
                  ahead
           FROM tasks WHERE id = $1 AND ($2::text IS NULL OR owner = $2)"#,
        id,
        owner
    );
    row.fetch_optional(db).await.map_err(failed)?.map(TaskRow::task).transpose()
}

pub async fn lapsed(db: &mut PgConnection, from: Time, now: Time, limit: i64) -> Result<Vec<Task>> {
    let rows = sqlx::query_as!(
        TaskRow,
        r#"SELECT id, type, name, queue, priority, tags, owner, client_id, NULL::text AS params,
                  NULL::text AS result, error, progress, status, attempt, failures, losses, max_attempts, backoff,
                  timeout_seconds, lease, lease_until, worker, run_at, created_at, started_at, finished_at,
                  updated_at, cancel_requested_at, version, ahead
           FROM tasks WHERE status = 1 AND lease_until BETWEEN $1 AND $2 ORDER BY lease_until, id LIMIT $3"#,
        from.0,
        now.0,
        limit
    );
    all(rows.fetch_all(db).await.map_err(failed)?, TaskRow::task)
}

/// By the index of leases, from a place behind which few dead rows stand.
pub async fn stirred(db: &mut PgConnection, since: Time, leased: Time, limit: i64) -> Result<Vec<Task>> {
    let rows = sqlx::query_as!(
        TaskRow,
        r#"SELECT id, type, name, queue, priority, tags, owner, client_id, NULL::text AS params,
                  NULL::text AS result, error, progress, status, attempt, failures, losses, max_attempts, backoff,
                  timeout_seconds, lease, lease_until, worker, run_at, created_at, started_at, finished_at,
                  updated_at, cancel_requested_at, version, ahead
           FROM tasks WHERE status = 1 AND lease_until >= $1 AND updated_at >= $2 LIMIT $3"#,
        leased.0,
        since.0,
        limit
    );
    all(rows.fetch_all(db).await.map_err(failed)?, TaskRow::task)
}

/// Each node asks from time to time, one that writes nothing too: so none goes on reading from what is
/// no longer the primary.
pub async fn due(db: &mut PgConnection, from: Time, now: Time) -> Result<Due> {
    let due = sqlx::query!(
        r#"SELECT current_setting('transaction_read_only')::bool AS "read_only!",
                  (SELECT run_at FROM tasks WHERE status = 0 AND ready = 0 AND run_at >= $1
                   ORDER BY run_at FETCH FIRST ROW ONLY) AS next,
                  EXISTS (SELECT 1 FROM tasks WHERE status = 1 AND lease_until BETWEEN $1 AND $2) AS "lapsed!""#,
        from.0,
        now.0
    );
    let due = due.fetch_one(db).await.map_err(failed)?;
    if due.read_only {
        return Err(super::read_only());
    }
    Ok(Due { promoted: 0, next: next_due(due.next), lapsed: due.lapsed })
}

pub async fn held(db: &mut PgConnection, leases: &[(Uuid, Uuid)]) -> Result<Vec<Held>> {
    let (ids, leases): (Vec<Uuid>, Vec<Uuid>) = leases.iter().copied().unzip();
    let rows = sqlx::query!(
        r#"SELECT t.lease AS "lease!", t.cancel_requested_at IS NOT NULL AS "cancel_requested!"
           FROM unnest($1::uuid[], $2::uuid[]) AS h(id, lease) JOIN tasks t ON t.id = h.id AND t.lease = h.lease"#,
        &ids,
        &leases
    );
    let rows = rows.fetch_all(db).await.map_err(failed)?;
    Ok(rows.into_iter().map(|row| Held { lease: row.lease, cancel_requested: row.cancel_requested }).collect())
}

pub async fn changes(db: &mut PgConnection, scope: &Scope, after: i64, limit: i64) -> Result<Vec<Entry>> {
    let owner = scope.owner();
    let rows = sqlx::query_as!(
        EntryRow,
        r#"SELECT c.seq, c.at, c.event, c.from_status, c.actor, c.status, c.error, c.progress, c.attempt, c.failures, c.losses,
                  c.worker, c.run_at, c.started_at, c.finished_at, c.cancel_requested_at, c.version, t.id,
                  t.type, t.name, t.queue, t.priority, t.tags, t.owner, t.client_id, t.max_attempts, t.backoff,
                  t.timeout_seconds, t.created_at
           FROM changes c JOIN tasks t ON t.id = c.task_id
           WHERE c.seq > $1 AND (SELECT seq FROM log_start) <= $1 AND ($2::text IS NULL OR c.owner = $2) ORDER BY c.seq LIMIT $3"#,
        after,
        owner,
        limit
    );
    all(rows.fetch_all(db).await.map_err(failed)?, EntryRow::entry)
}

pub async fn log_bounds(db: &mut PgConnection) -> Result<(i64, i64)> {
    let row = sqlx::query!(
        r#"SELECT (SELECT seq FROM log_start) AS "start!",
                  coalesce((SELECT max(seq) FROM changes), (SELECT seq FROM log_start)) AS "end!""#
    );
    let row = row.fetch_one(db).await.map_err(failed)?;
    Ok((row.start, row.end))
}

pub async fn transitions(db: &mut PgConnection, scope: &Scope, id: Uuid) -> Result<Vec<Transition>> {
    let owner = scope.owner();
    let rows = sqlx::query_as!(
        TransitionRow,
        "SELECT seq, at, event, from_status, status, attempt, worker, error, actor FROM changes
         WHERE task_id = $1 AND ($2::text IS NULL OR owner = $2) ORDER BY seq",
        id,
        owner
    );
    all(rows.fetch_all(db).await.map_err(failed)?, TransitionRow::transition)
}

pub async fn lines(db: &mut PgConnection, scope: &Scope, id: Uuid, query: &LineQuery) -> Result<Vec<StoredLine>> {
    let owner = scope.owner();
    let rows = sqlx::query_as!(
        LineRow,
        "SELECT l.seq, l.attempt, l.at, l.level, l.message FROM log_lines l JOIN tasks t ON t.id = l.task_id
         WHERE l.task_id = $1 AND ($2::text IS NULL OR t.owner = $2) AND l.seq > $3 AND l.level >= $4
           AND ($5::bigint IS NULL OR l.attempt = $5)
         ORDER BY l.seq LIMIT $6",
        id,
        owner,
        query.after,
        query.level,
        query.attempt,
        query.limit
    );
    all(rows.fetch_all(db).await.map_err(failed)?, LineRow::line)
}

pub async fn artifacts(db: &mut PgConnection, scope: &Scope, id: Uuid) -> Result<Vec<Artifact>> {
    let owner = scope.owner();
    let rows = sqlx::query_as!(
        Artifact,
        "SELECT a.name, a.bytes, a.content_type, a.sha256, a.location FROM artifacts a JOIN tasks t ON t.id = a.task_id
         WHERE a.task_id = $1 AND ($2::text IS NULL OR t.owner = $2) ORDER BY a.name COLLATE \"C\"",
        id,
        owner
    );
    rows.fetch_all(db).await.map_err(failed)
}

pub async fn checkpoints(db: &mut PgConnection, tasks: &[Uuid]) -> Result<Vec<Checkpoint>> {
    let rows = sqlx::query_as!(
        CheckpointRow,
        "SELECT task_id, name, attempt, data, updated_at FROM checkpoints WHERE task_id = ANY($1) ORDER BY task_id, name",
        tasks
    );
    all(rows.fetch_all(db).await.map_err(failed)?, CheckpointRow::checkpoint)
}

pub async fn files(db: &mut PgConnection, scope: &Scope, ids: &[Uuid]) -> Result<Vec<File>> {
    let owner = scope.owner();
    let rows = sqlx::query_as!(
        FileRow,
        r#"SELECT id, owner, name, bytes, content_type, sha256, location, created_at FROM files
           WHERE id = ANY($1) AND ($2::text IS NULL OR owner = $2)"#,
        ids,
        owner
    );
    all(rows.fetch_all(db).await.map_err(failed)?, FileRow::file)
}

/// What is committed, and nothing else, says what a snapshot is.
pub async fn stamp(db: &mut PgConnection) -> Result<Stamp> {
    let snapshot = sqlx::query_scalar!(r#"SELECT pg_current_snapshot()::text AS "snapshot!""#);
    Ok(Stamp(snapshot.fetch_one(db).await.map_err(failed)?))
}

pub async fn written(db: &mut PgConnection) -> Result<Written> {
    let row = sqlx::query!(
        r#"SELECT xact_commit AS "commits!", (pg_current_wal_lsn() - '0/0')::bigint AS "log_bytes!"
           FROM pg_stat_database WHERE datname = current_database()"#
    )
    .fetch_one(db)
    .await
    .map_err(failed)?;
    Ok(Written { commits: row.commits as u64, log_bytes: Some(row.log_bytes as u64) })
}

pub async fn stored(db: &mut PgConnection, owner: &str) -> Result<i64> {
    let bytes =
        sqlx::query_scalar!(r#"SELECT coalesce(sum(bytes), 0)::bigint AS "n!" FROM files WHERE owner = $1"#, owner);
    bytes.fetch_one(db).await.map_err(failed)
}

pub async fn counts(db: &mut PgConnection, scope: &Scope) -> Result<Vec<Count>> {
    let owner = scope.owner();
    let rows = sqlx::query_as!(
        CountRow,
        r#"SELECT queue, type, status, sum(n)::bigint AS "n!" FROM counts WHERE ($1::text IS NULL OR owner = $1)
           GROUP BY queue, type, status HAVING sum(n) <> 0"#,
        owner
    );
    all(rows.fetch_all(db).await.map_err(failed)?, CountRow::count)
}

pub async fn ahead(db: &mut PgConnection, scope: &Scope, task: &Task, limit: i64) -> Result<i64> {
    let ahead = sqlx::query_scalar!(
        r#"SELECT count(*) AS "n!" FROM
             (SELECT owner FROM tasks WHERE ready = 1 AND (priority > $1 OR (priority = $1 AND (run_at, id) < ($2, $3))) LIMIT $4) AS before
           WHERE $5::text IS NULL OR owner = $5"#,
        task.priority,
        task.run_at.0,
        task.id,
        limit,
        scope.owner()
    );
    ahead.fetch_one(db).await.map_err(failed)
}
