//! The transitions: every statement that changes a task's state, its log and its counters.
//! Callers hold the one writing connection, in a transaction.

use super::failed;
use super::json::{ChangeJson, ExpectedJson, Hex, LoggedJson, ReadyJson, TaskJson, json, rows};
use crate::store::row::all;
use crate::store::{Claim, Error, Once, Result, Submission, Submitted};
use crate::task::{Change, Event, Progress, Status, Task, Time};
use sqlx::{SqliteConnection, SqliteExecutor};
use std::collections::HashMap;

/// A transition as the change log and the counters need it.
struct Transition<'a> {
    event: Event,
    from: Option<Status>,
    to: Status,
    /// Before or after: for what cannot change.
    task: &'a Task,
    actor: Option<&'a str>,
}

impl Transition<'_> {
    /// What the log's line needs beside the row: id, event, status before, who did it.
    fn row(&self) -> (Hex, i64, Option<i64>, Option<&str>) {
        (Hex(self.task.id), self.event as i64, self.from.map(|from| from as i64), self.actor)
    }
}

/// What a write says, as its statements take it: made before the connection is taken, and again of less where not all
/// of it is written.
pub struct Rows {
    batch: String,
    log: LogRows,
}

/// The lines in the change log, and how the counters move.
struct LogRows {
    lines: String,
    moved: String,
}

impl Rows {
    /// Of the tasks of these submissions.
    pub fn of_new<'a>(submissions: impl Iterator<Item = &'a Submission>) -> Rows {
        let tasks: Vec<&Task> = submissions.flat_map(|submission| &submission.tasks).collect();
        let queued = |task: &&'a Task| Transition {
            event: Event::Queued,
            from: None,
            to: Status::Pending,
            task,
            actor: Some(&task.client_id),
        };
        Rows {
            batch: json(&tasks.iter().map(|task| TaskJson::of(task)).collect::<Vec<_>>()),
            log: LogRows::of(&tasks.iter().map(queued).collect::<Vec<_>>()),
        }
    }

    /// Of these changes.
    pub fn of_changes<'a>(changes: impl Iterator<Item = &'a Change> + Clone) -> Rows {
        let transition = |change: &'a Change| Transition {
            event: change.event,
            from: Some(change.task.status),
            to: change.to,
            task: &change.task,
            actor: change.by.as_deref(),
        };
        Rows {
            batch: json(&changes.clone().map(ChangeJson::of).collect::<Vec<_>>()),
            log: LogRows::of(&changes.map(transition).collect::<Vec<_>>()),
        }
    }
}

impl LogRows {
    fn of(transitions: &[Transition<'_>]) -> LogRows {
        let mut counts: HashMap<(&str, &str, &str, i64), i64> = HashMap::new();
        for Transition { from, to, task, .. } in transitions {
            let key = |status: Status| (task.owner.as_str(), task.queue.as_str(), task.r#type.as_str(), status as i64);
            if let Some(from) = from {
                *counts.entry(key(*from)).or_default() -= 1;
            }
            *counts.entry(key(*to)).or_default() += 1;
        }
        LogRows {
            lines: json(&transitions.iter().map(Transition::row).collect::<Vec<_>>()),
            moved: json(&counts.iter().filter(|(_, n)| **n != 0).collect::<Vec<_>>()),
        }
    }
}

/// `rows` are those of all submissions.
pub async fn insert(db: &mut SqliteConnection, submissions: &[Submission], mut rows: Rows) -> Result<Vec<Submitted>> {
    let mut answers = Vec::with_capacity(submissions.len());
    for submission in submissions {
        answers.push(use_key(db, submission).await?);
    }
    let new = || submissions.iter().zip(&answers).filter(|(_, answer)| matches!(answer, Submitted::New));
    if new().count() < submissions.len() {
        rows = Rows::of_new(new().map(|(submission, _)| submission));
    }
    sqlx::query!(
        "INSERT INTO tasks (id, type, name, queue, priority, tags, owner, client_id, params, status, ready, attempt,
                            failures, losses, max_attempts, backoff, timeout_seconds, run_at, created_at, updated_at, version)
         SELECT unhex(value ->> 'id'), value ->> 'type', value ->> 'name', value ->> 'queue', value ->> 'priority',
                value ->> 'tags', value ->> 'owner', value ->> 'client_id', value ->> 'params', 0, value ->> 'ready', 0,
                0, 0, value ->> 'max_attempts', value ->> 'backoff', value ->> 'timeout_seconds', value ->> 'run_at',
                value ->> 'created_at', value ->> 'created_at', 1
         FROM jsonb_each(?1)",
        rows.batch
    )
    .execute(&mut *db)
    .await
    .map_err(failed)?;
    log(db, &rows.log).await?;
    Ok(answers)
}

/// `New` if the submission has no key or is the first with it.
async fn use_key(db: &mut SqliteConnection, submission: &Submission) -> Result<Submitted> {
    let (Some(once), Some(first)) = (&submission.once, submission.tasks.first()) else { return Ok(Submitted::New) };
    let created_at = first.created_at.0;
    let inserted = sqlx::query!(
        "INSERT INTO idempotency (owner, route, key, fingerprint, answer, created_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT DO NOTHING",
        once.owner,
        once.route,
        once.key,
        once.fingerprint,
        once.answer,
        created_at
    )
    .execute(&mut *db)
    .await
    .map_err(failed)?;
    if inserted.rows_affected() == 1 {
        return Ok(Submitted::New);
    }
    before(db, once).await?.ok_or_else(|| Error::Internal("a key that was used is gone".to_owned()))
}

/// What a key was used for.
pub async fn before<'e>(db: impl SqliteExecutor<'e>, once: &Once) -> Result<Option<Submitted>> {
    let before = sqlx::query!(
        "SELECT fingerprint, answer FROM idempotency WHERE owner = ?1 AND route = ?2 AND key = ?3",
        once.owner,
        once.route,
        once.key
    );
    let before = before.fetch_optional(db).await.map_err(failed)?;
    Ok(before.map(|before| Submitted::Before { fingerprint: before.fingerprint, answer: before.answer }))
}

/// Looks, and then writes: nobody else writes meanwhile, and what `RETURNING` would answer row by row
/// comes as one.
pub async fn claim(db: &mut SqliteConnection, claim: &Claim) -> Result<Vec<Task>> {
    let (types, queues) = (json(&claim.types), json(&claim.queues));
    let ready = sqlx::query!(
        r#"SELECT json_group_array(json_array(hex(id), lease)) AS "leases!: String",
                  json_group_array(json_array(hex(id), lease, type, name, queue, priority, tags, owner, client_id, params, error,
                                              attempt, failures, losses, max_attempts, backoff, timeout_seconds, run_at,
                                              created_at, version)) AS "tasks!: String"
           FROM (SELECT id, hex(randomblob(16)) AS lease, type, name, queue, priority, tags, owner, client_id, params, error,
                        attempt, failures, losses, max_attempts, backoff, timeout_seconds, run_at, created_at, version
                 FROM tasks
                 WHERE ready = 1 AND type IN (SELECT value FROM json_each(?1))
                   AND (?2 = '[]' OR queue IN (SELECT value FROM json_each(?2)))
                 ORDER BY priority DESC, run_at, id LIMIT ?3)"#,
        types,
        queues,
        claim.max
    )
    .fetch_one(&mut *db)
    .await
    .map_err(failed)?;
    let (now, until) = (claim.now.0, claim.now.plus(claim.lease_ms).0);
    let update = sqlx::query!(
        "UPDATE tasks SET status = 1, ready = 0, attempt = attempt + 1, lease = unhex(c.value ->> 1), lease_until = ?1,
                          worker = ?2, started_at = ?3, updated_at = ?3, progress = NULL, version = version + 1,
                          ahead = ?5
         FROM jsonb_each(?4) AS c WHERE tasks.id = unhex(c.value ->> 0) AND +tasks.ready = 1",
        until,
        claim.worker,
        now,
        ready.leases,
        claim.ahead
    );
    // They are read, and the log's lines made, while SQLite writes.
    let tasks = async {
        let tasks = all(rows::<ReadyJson>(&ready.tasks)?, |row| row.claimed(claim))?;
        let started = |task| {
            let (from, to) = (Some(Status::Pending), Status::Running);
            Transition { event: Event::Started, from, to, task, actor: None }
        };
        let lines = LogRows::of(&tasks.iter().map(started).collect::<Vec<_>>());
        Ok::<_, Error>((tasks, lines))
    };
    let (claimed, tasks) = tokio::join!(update.execute(&mut *db), tasks);
    let (tasks, lines) = tasks?;
    all_written(claimed.map_err(failed)?.rows_affected(), tasks.len())?;
    if !tasks.is_empty() {
        log(db, &lines).await?;
    }
    Ok(tasks)
}

/// What came of some changes, as SQLite answered it.
pub struct Applied {
    /// Which were written.
    written: Vec<ExpectedJson>,
    /// What the log says of these.
    logged: String,
}

impl Applied {
    /// Each of these changes' tasks right after, if it was written.
    pub fn tasks(self, changes: &[Change]) -> Result<Vec<Option<Task>>> {
        let mut tasks = vec![None; changes.len()];
        for (row, after) in self.written.iter().zip(rows::<LoggedJson>(&self.logged)?) {
            let progress = Progress::from_json(after.progress.as_deref());
            tasks[row.no] = Some(changes[row.no].after(after.version, after.cancel_requested_at.map(Time), progress));
        }
        Ok(tasks)
    }
}

/// `rows` are those of all `changes`.
pub async fn apply(db: &mut SqliteConnection, changes: &[Change], mut rows: Rows) -> Result<Applied> {
    let expected = as_expected(db, &rows.batch).await?;
    if expected.is_empty() {
        return Ok(Applied { written: Vec::new(), logged: "[]".to_owned() });
    }
    let (written, checkpoints): (Vec<&Change>, Vec<i64>) =
        expected.iter().filter_map(|row| Some((changes.get(row.no)?, row.checkpoints))).unzip();
    if written.len() < changes.len() {
        rows = Rows::of_changes(written.iter().copied());
    }
    let updated = sqlx::query!(
        "UPDATE tasks SET
             status = c.to_status, ready = c.ready, error = c.error, result = c.result,
             progress = coalesce(c.progress, tasks.progress), run_at = c.run_at, failures = c.failures, losses = c.losses,
             lease = CASE WHEN c.to_status = 1 THEN tasks.lease END,
             lease_until = CASE WHEN c.to_status = 1 THEN tasks.lease_until END,
             finished_at = CASE WHEN c.to_status >= 2 THEN c.at END,
             cancel_requested_at = CASE WHEN c.cancels THEN c.at WHEN c.to_status = 0 THEN NULL
                                        ELSE tasks.cancel_requested_at END,
             ahead = tasks.ahead AND c.to_status = 1, updated_at = c.at, version = tasks.version + 1
         FROM (SELECT unhex(value ->> 'id') AS id, value ->> 'from' AS from_status, value ->> 'to' AS to_status,
                      value ->> 'ready' AS ready, value ->> 'cancels' AS cancels, value ->> 'at' AS at,
                      value ->> 'error' AS error, value ->> 'result' AS result, value ->> 'progress' AS progress,
                      value ->> 'run_at' AS run_at, value ->> 'failures' AS failures, value ->> 'losses' AS losses
               FROM jsonb_each(?1)) AS c
         WHERE tasks.id = c.id AND +tasks.status = c.from_status",
        rows.batch
    )
    .execute(&mut *db)
    .await
    .map_err(failed)?;
    all_written(updated.rows_affected(), written.len())?;
    log(db, &rows.log).await?;
    let logged = logged(db, written.len()).await?;
    keep_artifacts(db, written.iter().copied()).await?;
    let succeeded = written.iter().zip(checkpoints).filter(|(change, _)| change.to == Status::Success);
    for (change, _) in succeeded.filter(|(_, checkpoints)| *checkpoints > 0) {
        let gone = sqlx::query!("DELETE FROM checkpoints WHERE task_id = ?1", change.task.id);
        gone.execute(&mut *db).await.map_err(failed)?;
    }
    Ok(Applied { written: expected, logged })
}

/// Which of these changes find their row as they expect it.
async fn as_expected(db: &mut SqliteConnection, changes: &str) -> Result<Vec<ExpectedJson>> {
    let expected = sqlx::query_scalar!(
        r#"SELECT json_group_array(json_array(c.no, tasks.checkpoints)) AS "expected!: String"
           FROM (SELECT key AS no, unhex(value ->> 'id') AS id, value ->> 'from' AS from_status,
                        unhex(value ->> 'lease') AS lease, value ->> 'version' AS version,
                        value ->> 'lapsed_by' AS lapsed_by, value ->> 'unless_cancelling' AS unless_cancelling
                 FROM jsonb_each(?1)) AS c CROSS JOIN tasks
           WHERE tasks.id = c.id AND +tasks.status = c.from_status
             AND (c.lease IS NULL OR tasks.lease = c.lease)
             AND (c.version IS NULL OR tasks.version = c.version)
             AND (c.lapsed_by IS NULL OR tasks.lease_until <= c.lapsed_by)
             AND (c.unless_cancelling = 0 OR tasks.cancel_requested_at IS NULL)"#,
        changes
    )
    .fetch_one(db)
    .await
    .map_err(failed)?;
    rows(&expected)
}

/// What the last `n` lines of the log say of their tasks, right after they were written.
async fn logged(db: &mut SqliteConnection, n: usize) -> Result<String> {
    let n = n as i64;
    let logged = sqlx::query_scalar!(
        r#"SELECT json_group_array(json_array(version, cancel_requested_at, progress)) AS "logged!: String"
           FROM (SELECT * FROM changes WHERE seq > (SELECT max(seq) FROM changes) - ?1 ORDER BY seq)"#,
        n
    );
    logged.fetch_one(db).await.map_err(failed)
}

/// What was looked at in this transaction is as it was: else nothing of it is kept.
fn all_written(written: u64, looked_at: usize) -> Result<()> {
    match written == looked_at as u64 {
        true => Ok(()),
        false => Err(Error::Internal(format!("{written} of {looked_at} rows were as they had been a moment ago"))),
    }
}

/// Writes the lines in the change log and moves the counters.
async fn log(db: &mut SqliteConnection, rows: &LogRows) -> Result<()> {
    sqlx::query!(
        "INSERT INTO changes (at, event, task_id, owner, from_status, status, error, progress, attempt, failures, losses,
                              worker, run_at, started_at, finished_at, cancel_requested_at, version, actor)
         SELECT t.updated_at, l.value ->> 1, t.id, t.owner, l.value ->> 2, t.status, t.error, t.progress, t.attempt,
                t.failures, t.losses, t.worker, t.run_at, t.started_at, t.finished_at, t.cancel_requested_at, t.version,
                l.value ->> 3
         FROM jsonb_each(?1) AS l CROSS JOIN tasks AS t ON t.id = unhex(l.value ->> 0)",
        rows.lines
    )
    .execute(&mut *db)
    .await
    .map_err(failed)?;
    sqlx::query!(
        "INSERT INTO counts (owner, queue, type, status, n)
         SELECT value ->> '$[0][0]', value ->> '$[0][1]', value ->> '$[0][2]', value ->> '$[0][3]', value ->> '$[1]'
         FROM jsonb_each(?1) WHERE true
         ON CONFLICT (owner, queue, type, status) DO UPDATE SET n = n + excluded.n",
        rows.moved
    )
    .execute(db)
    .await
    .map_err(failed)?;
    Ok(())
}

async fn keep_artifacts(db: &mut SqliteConnection, changes: impl Iterator<Item = &Change>) -> Result<()> {
    for change in changes {
        for artifact in &change.artifacts {
            sqlx::query!(
                "INSERT INTO artifacts (task_id, name, bytes, content_type, sha256, location) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                change.task.id,
                artifact.name,
                artifact.bytes,
                artifact.content_type,
                artifact.sha256,
                artifact.location
            )
            .execute(&mut *db)
            .await
            .map_err(failed)?;
        }
    }
    Ok(())
}
