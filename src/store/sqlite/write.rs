//! The transitions: every statement that changes a task's state, its log and its counters.
//! Callers hold the one writing connection, in a transaction.

use super::failed;
use super::json::{ChangeJson, Hex, TaskJson, claimed, json};
use crate::store::row::all;
use crate::store::{Claim, Result, Submission, Submitted};
use crate::task::{Change, Event, Progress, Status, Task, Time};
use sqlx::SqliteConnection;
use std::collections::{HashMap, HashSet};
use uuid::Uuid;

/// A transition as the change log and the counters need it.
struct Transition<'a> {
    event: Event,
    from: Option<Status>,
    after: &'a Task,
    actor: Option<&'a str>,
}

impl Transition<'_> {
    /// What the log's line needs beside the row: id, event, status before, who did it.
    fn row(&self) -> (Hex, i64, Option<i64>, Option<&str>) {
        (Hex(self.after.id), self.event as i64, self.from.map(|from| from as i64), self.actor)
    }
}

/// The tasks of these submissions as a statement takes them.
pub fn task_rows<'a>(submissions: impl Iterator<Item = &'a Submission>) -> String {
    json(&submissions.flat_map(|submission| &submission.tasks).map(TaskJson::of).collect::<Vec<_>>())
}

/// These changes as a statement takes them.
pub fn change_rows(changes: &[Change]) -> String {
    json(&changes.iter().map(ChangeJson::of).collect::<Vec<_>>())
}

/// `rows` are the [`task_rows`] of all submissions, made before the connection was taken.
pub async fn insert(db: &mut SqliteConnection, submissions: &[Submission], mut rows: String) -> Result<Vec<Submitted>> {
    let mut answers = Vec::with_capacity(submissions.len());
    for submission in submissions {
        answers.push(use_key(db, submission).await?);
    }
    let new = || submissions.iter().zip(&answers).filter(|(_, answer)| matches!(answer, Submitted::New));
    if new().count() < submissions.len() {
        rows = task_rows(new().map(|(submission, _)| submission));
    }
    sqlx::query!(
        "INSERT INTO tasks (id, type, name, queue, priority, tags, owner, client_id, params, status, ready, attempt,
                            failures, losses, max_attempts, backoff, timeout_seconds, run_at, created_at, updated_at, version)
         SELECT unhex(value ->> 'id'), value ->> 'type', value ->> 'name', value ->> 'queue', value ->> 'priority',
                value ->> 'tags', value ->> 'owner', value ->> 'client_id', value ->> 'params', 0, value ->> 'ready', 0,
                0, 0, value ->> 'max_attempts', value ->> 'backoff', value ->> 'timeout_seconds', value ->> 'run_at',
                value ->> 'created_at', value ->> 'created_at', 1
         FROM jsonb_each(?1)",
        rows
    )
    .execute(&mut *db)
    .await
    .map_err(failed)?;
    let transitions: Vec<Transition> = new()
        .flat_map(|(submission, _)| &submission.tasks)
        .map(|after| Transition { event: Event::Queued, from: None, after, actor: Some(&after.client_id) })
        .collect();
    log(db, &transitions).await?;
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
    let before = sqlx::query!(
        "SELECT fingerprint, answer FROM idempotency WHERE owner = ?1 AND route = ?2 AND key = ?3",
        once.owner,
        once.route,
        once.key
    )
    .fetch_one(db)
    .await
    .map_err(failed)?;
    Ok(Submitted::Before { fingerprint: before.fingerprint, answer: before.answer })
}

pub async fn claim(db: &mut SqliteConnection, claim: &Claim) -> Result<Vec<Task>> {
    let (types, queues) = (json(&claim.types), json(&claim.queues));
    let (now, until) = (claim.now.0, claim.now.plus(claim.lease_ms).0);
    let rows = sqlx::query!(
        r#"UPDATE tasks SET status = 1, ready = 0, attempt = attempt + 1, lease = randomblob(16), lease_until = ?1,
                            worker = ?2, started_at = ?3, updated_at = ?3, progress = NULL, version = version + 1
           WHERE id IN (SELECT id FROM tasks
                        WHERE ready = 1 AND type IN (SELECT value FROM json_each(?4))
                          AND (?5 = '[]' OR queue IN (SELECT value FROM json_each(?5)))
                        ORDER BY priority DESC, run_at, id LIMIT ?6)
           RETURNING id AS "id!: Uuid", lease AS "lease!: Uuid",
                     json_array(type, name, queue, priority, tags, owner, client_id, params, error, attempt, failures, losses,
                                max_attempts, backoff, timeout_seconds, run_at, created_at, version) AS "rest!: String""#,
        until,
        claim.worker,
        now,
        types,
        queues,
        claim.max
    )
    .fetch_all(&mut *db)
    .await
    .map_err(failed)?;
    let mut tasks = all(rows, |row| claimed(row.id, row.lease, &row.rest, claim))?;
    tasks.sort_by_key(|task| (-task.priority, task.run_at, task.id));
    let started = |after| Transition { event: Event::Started, from: Some(Status::Pending), after, actor: None };
    log(db, &tasks.iter().map(started).collect::<Vec<_>>()).await?;
    Ok(tasks)
}

/// `rows` are the [`change_rows`] of `changes`, made before the connection was taken.
pub async fn apply(db: &mut SqliteConnection, changes: &[Change], rows: String) -> Result<Vec<Option<Task>>> {
    let written = sqlx::query!(
        r#"UPDATE tasks SET
               status = c.to_status, ready = c.ready, error = c.error, result = c.result,
               progress = coalesce(c.progress, tasks.progress), run_at = c.run_at, failures = c.failures, losses = c.losses,
               lease = CASE WHEN c.to_status = 1 THEN tasks.lease END,
               lease_until = CASE WHEN c.to_status = 1 THEN tasks.lease_until END,
               finished_at = CASE WHEN c.to_status >= 2 THEN c.at END,
               cancel_requested_at = CASE WHEN c.cancels THEN c.at WHEN c.to_status = 0 THEN NULL
                                          ELSE tasks.cancel_requested_at END,
               updated_at = c.at, version = tasks.version + 1
           FROM (SELECT unhex(value ->> 'id') AS id, value ->> 'from' AS from_status, value ->> 'to' AS to_status,
                        value ->> 'ready' AS ready, unhex(value ->> 'lease') AS lease, value ->> 'version' AS version,
                        value ->> 'lapsed_by' AS lapsed_by, value ->> 'unless_cancelling' AS unless_cancelling,
                        value ->> 'cancels' AS cancels, value ->> 'at' AS at, value ->> 'error' AS error,
                        value ->> 'result' AS result, value ->> 'progress' AS progress, value ->> 'run_at' AS run_at,
                        value ->> 'failures' AS failures, value ->> 'losses' AS losses
                 FROM jsonb_each(?1)) AS c
           WHERE tasks.id = c.id AND +tasks.status = c.from_status
             AND (c.lease IS NULL OR tasks.lease = c.lease)
             AND (c.version IS NULL OR tasks.version = c.version)
             AND (c.lapsed_by IS NULL OR tasks.lease_until <= c.lapsed_by)
             AND (c.unless_cancelling = 0 OR tasks.cancel_requested_at IS NULL)
           RETURNING tasks.id AS "id!: Uuid", tasks.version AS "version!: i64",
                     tasks.cancel_requested_at AS "cancel_requested_at: i64", tasks.progress AS "progress: String",
                     tasks.checkpoints AS "checkpoints!: i64""#,
        rows
    )
    .fetch_all(&mut *db)
    .await
    .map_err(failed)?;
    let with_checkpoints: HashSet<Uuid> = written.iter().filter(|row| row.checkpoints > 0).map(|row| row.id).collect();
    let mut written: HashMap<Uuid, _> = written.into_iter().map(|row| (row.id, row)).collect();
    let after = |change: &Change| {
        let row = written.remove(&change.task.id)?;
        let progress = Progress::from_json(row.progress.as_deref());
        Some(change.after(row.version, row.cancel_requested_at.map(Time), progress))
    };
    let tasks: Vec<Option<Task>> = changes.iter().map(after).collect();
    let pairs = || changes.iter().zip(&tasks).filter_map(|(change, task)| Some((change, task.as_ref()?)));
    let transitions: Vec<Transition> = pairs()
        .map(|(change, after)| {
            let (from, actor) = (Some(change.task.status), change.by.as_deref());
            Transition { event: change.event, from, after, actor }
        })
        .collect();
    log(db, &transitions).await?;
    keep_artifacts(db, pairs().map(|(change, _)| change)).await?;
    let succeeded = pairs().map(|(_, task)| task).filter(|task| task.status == Status::Success);
    for task in succeeded.filter(|task| with_checkpoints.contains(&task.id)) {
        let gone = sqlx::query!("DELETE FROM checkpoints WHERE task_id = ?1", task.id);
        gone.execute(&mut *db).await.map_err(failed)?;
    }
    Ok(tasks)
}

/// The lines in the change log and the counters of these transitions.
async fn log(db: &mut SqliteConnection, transitions: &[Transition<'_>]) -> Result<()> {
    if transitions.is_empty() {
        return Ok(());
    }
    let rows = json(&transitions.iter().map(Transition::row).collect::<Vec<_>>());
    sqlx::query!(
        "INSERT INTO changes (at, event, task_id, owner, from_status, status, error, progress, attempt, failures, losses,
                              worker, run_at, started_at, finished_at, cancel_requested_at, version, actor)
         SELECT t.updated_at, l.value ->> 1, t.id, t.owner, l.value ->> 2, t.status, t.error, t.progress, t.attempt,
                t.failures, t.losses, t.worker, t.run_at, t.started_at, t.finished_at, t.cancel_requested_at, t.version,
                l.value ->> 3
         FROM jsonb_each(?1) AS l CROSS JOIN tasks AS t ON t.id = unhex(l.value ->> 0)",
        rows
    )
    .execute(&mut *db)
    .await
    .map_err(failed)?;
    let mut counts: HashMap<(&str, &str, &str, i64), i64> = HashMap::new();
    for Transition { from, after, .. } in transitions {
        let key = |status: Status| (after.owner.as_str(), after.queue.as_str(), after.r#type.as_str(), status as i64);
        if let Some(from) = from {
            *counts.entry(key(*from)).or_default() -= 1;
        }
        *counts.entry(key(after.status)).or_default() += 1;
    }
    let moved = json(&counts.iter().filter(|(_, n)| **n != 0).collect::<Vec<_>>());
    sqlx::query!(
        "INSERT INTO counts (owner, queue, type, status, n)
         SELECT value ->> '$[0][0]', value ->> '$[0][1]', value ->> '$[0][2]', value ->> '$[0][3]', value ->> '$[1]'
         FROM jsonb_each(?1) WHERE true
         ON CONFLICT (owner, queue, type, status) DO UPDATE SET n = n + excluded.n",
        moved
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
