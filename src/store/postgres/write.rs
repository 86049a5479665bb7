//! The transitions: every statement that changes a task's state, its log and its counters. One
//! statement each.
//!
//! The shape is the same everywhere: the rows are written first; `gate` waits for all of them and
//! takes the log's lock; `logged` and `counted` come behind the gate. Nothing after the gate can
//! wait for a row, so two writers never wait for each other in a circle there.

use super::failed;
use super::heads::Ranges;
use crate::store::row::{TaskRow, all, backoff_json, error_json, run_at_column, tags_json};
use crate::store::{Claim, Error, Once, Result, Submission, Submitted};
use crate::task::{Artifact, Change, Event, Progress, Task, Time};
use sqlx::PgConnection;
use std::collections::{HashMap, HashSet};
use uuid::Uuid;

pub async fn insert(db: &mut PgConnection, submissions: &[Submission]) -> Result<Vec<Submitted>> {
    let tasks: Vec<(i64, &Task)> = (0..)
        .zip(submissions)
        .flat_map(|(no, submission)| submission.tasks.iter().map(move |task| (no, task)))
        .collect();
    let keys: Vec<(i64, &Once)> =
        (0..).zip(submissions).filter_map(|(no, submission)| Some((no, submission.once.as_ref()?))).collect();
    let keyed: HashSet<i64> = keys.iter().map(|(no, _)| *no).collect();
    let now = tasks.first().map_or(0, |(_, task)| task.created_at.0);
    let new = sqlx::query_scalar!(
        r#"WITH keys AS MATERIALIZED (
             SELECT * FROM unnest($17::bigint[], $18::text[], $19::text[], $20::text[], $21::text[], $22::text[])
                      AS k(no, owner, route, key, fingerprint, answer)
           ), fresh AS (
             INSERT INTO idempotency (owner, route, key, fingerprint, answer, created_at)
             SELECT owner, route, key, fingerprint, answer, $23 FROM keys ON CONFLICT DO NOTHING RETURNING owner, route, key
           ), accepted AS MATERIALIZED (
             SELECT k.no FROM keys k JOIN fresh f ON (f.owner, f.route, f.key) = (k.owner, k.route, k.key)
           ), inserted AS (
             INSERT INTO tasks (id, type, name, queue, priority, tags, owner, client_id, params, status, ready, attempt,
                                failures, losses, max_attempts, backoff, timeout_seconds, run_at, created_at, updated_at, version)
             SELECT id, type, name, queue, priority, tags, owner, client_id, params, 0, (run_at <= created_at)::int, 0,
                    0, 0, max_attempts, backoff, timeout_seconds, run_at, created_at, created_at, 1
             FROM unnest($1::bigint[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::text[], $8::text[],
                         $9::text[], $10::text[], $11::bigint[], $12::text[], $13::bigint[], $14::bigint[], $15::bigint[],
                         $16::bool[])
                  AS t(no, id, type, name, queue, priority, tags, owner, client_id, params, max_attempts, backoff,
                       timeout_seconds, run_at, created_at, keyed)
             WHERE NOT keyed OR no IN (SELECT no FROM accepted)
             RETURNING id, type, queue, owner, client_id, run_at, created_at
           ), gate AS MATERIALIZED (
             SELECT CASE WHEN count(*) > 0 THEN pg_advisory_xact_lock(7472616365) END FROM inserted
           ), logged AS (
             INSERT INTO changes (seq, at, event, task_id, owner, status, attempt, failures, losses, run_at, version, actor)
             SELECT nextval('changes_seq'), created_at, 0, id, owner, 0, 0, 0, 0, run_at, 1, client_id FROM gate, inserted
           ), counted AS (
             INSERT INTO counts (owner, queue, type, status, n)
             SELECT owner, queue, type, 0, count(*) FROM gate, inserted GROUP BY owner, queue, type
           )
           SELECT no AS "no!" FROM accepted"#,
        &tasks.iter().map(|(no, _)| *no).collect::<Vec<_>>(),
        &tasks.iter().map(|(_, task)| task.id).collect::<Vec<_>>(),
        &tasks.iter().map(|(_, task)| task.r#type.clone()).collect::<Vec<_>>(),
        &tasks.iter().map(|(_, task)| task.name.clone()).collect::<Vec<_>>() as &[Option<String>],
        &tasks.iter().map(|(_, task)| task.queue.clone()).collect::<Vec<_>>(),
        &tasks.iter().map(|(_, task)| task.priority).collect::<Vec<_>>(),
        &tasks.iter().map(|(_, task)| tags_json(task)).collect::<Vec<_>>(),
        &tasks.iter().map(|(_, task)| task.owner.clone()).collect::<Vec<_>>(),
        &tasks.iter().map(|(_, task)| task.client_id.clone()).collect::<Vec<_>>(),
        &tasks.iter().map(|(_, task)| params(task)).collect::<Vec<_>>(),
        &tasks.iter().map(|(_, task)| task.max_attempts).collect::<Vec<_>>(),
        &tasks.iter().map(|(_, task)| backoff_json(task)).collect::<Vec<_>>() as &[Option<String>],
        &tasks.iter().map(|(_, task)| task.timeout_seconds).collect::<Vec<_>>() as &[Option<i64>],
        &tasks.iter().map(|(_, task)| run_at_column(task.run_at, task.held)).collect::<Vec<_>>(),
        &tasks.iter().map(|(_, task)| task.created_at.0).collect::<Vec<_>>(),
        &tasks.iter().map(|(no, _)| keyed.contains(no)).collect::<Vec<_>>(),
        &keys.iter().map(|(no, _)| *no).collect::<Vec<_>>(),
        &keys.iter().map(|(_, once)| once.owner.clone()).collect::<Vec<_>>(),
        &keys.iter().map(|(_, once)| once.route.clone()).collect::<Vec<_>>(),
        &keys.iter().map(|(_, once)| once.key.clone()).collect::<Vec<_>>(),
        &keys.iter().map(|(_, once)| once.fingerprint.clone()).collect::<Vec<_>>(),
        &keys.iter().map(|(_, once)| once.answer.clone()).collect::<Vec<_>>(),
        now,
    );
    let accepted: HashSet<i64> = new.fetch_all(&mut *db).await.map_err(failed)?.into_iter().collect();
    let mut answers = Vec::with_capacity(submissions.len());
    for (no, submission) in (0..).zip(submissions) {
        answers.push(match &submission.once {
            Some(once) if !accepted.contains(&no) => {
                before(db, once).await?.ok_or_else(|| Error::Internal("a key that was used is gone".to_owned()))?
            }
            _ => Submitted::New,
        });
    }
    Ok(answers)
}

/// What a key was used for.
pub async fn before(db: &mut PgConnection, once: &Once) -> Result<Option<Submitted>> {
    let before = sqlx::query!(
        "SELECT fingerprint, answer FROM idempotency WHERE owner = $1 AND route = $2 AND key = $3",
        once.owner,
        once.route,
        once.key
    );
    let before = before.fetch_optional(db).await.map_err(failed)?;
    Ok(before.map(|before| Submitted::Before { fingerprint: before.fingerprint, answer: before.answer }))
}

/// Looks into the ranges in their order, and into none that it does not need: `LIMIT` takes the rows
/// one by one, and locks no more than it takes.
pub async fn claim(db: &mut PgConnection, claim: &Claim, ranges: &Ranges) -> Result<Vec<Task>> {
    let rows = sqlx::query_as!(
        TaskRow,
        r#"WITH due AS MATERIALIZED (
             SELECT ready.id
             FROM unnest($7::bigint[], $8::bigint[], $9::bigint[]) AS range(highest, lowest, run_at),
                  LATERAL (SELECT id FROM tasks
                           WHERE ready = 1 AND priority BETWEEN range.lowest AND range.highest AND run_at >= range.run_at
                             AND type = ANY($4) AND (cardinality($5::text[]) = 0 OR queue = ANY($5))
                           ORDER BY priority DESC, run_at, id LIMIT $6 FOR UPDATE SKIP LOCKED) AS ready
             LIMIT $6
           ), claimed AS (
             UPDATE tasks t SET status = 1, ready = 0, attempt = attempt + 1, lease = gen_random_uuid(), lease_until = $1,
                                worker = $2, started_at = $3, updated_at = $3, progress = NULL, version = version + 1,
                                ahead = $10
             FROM due WHERE t.id = due.id RETURNING t.*
           ), gate AS MATERIALIZED (
             SELECT CASE WHEN count(*) > 0 THEN pg_advisory_xact_lock(7472616365) END FROM claimed
           ), logged AS (
             INSERT INTO changes (seq, at, event, task_id, owner, from_status, status, error, attempt, failures, losses, worker,
                                  run_at, started_at, version)
             SELECT nextval('changes_seq'), updated_at, 1, id, owner, 0, 1, error, attempt, failures, losses, worker, run_at,
                    started_at, version
             FROM gate, claimed ORDER BY priority DESC, run_at, id
           ), counted AS (
             INSERT INTO counts (owner, queue, type, status, n)
             SELECT owner, queue, type, s, sum(d) FROM gate, claimed, (VALUES (0, -1), (1, 1)) AS v(s, d)
             GROUP BY owner, queue, type, s
           )
           SELECT id, type, name, queue, priority, tags, owner, client_id, params AS "params?", result, error, progress,
                  status, attempt, failures, losses, max_attempts, backoff, timeout_seconds, lease, lease_until, worker,
                  run_at, created_at, started_at, finished_at, updated_at, cancel_requested_at, version, ahead
           FROM claimed"#,
        claim.now.plus(claim.lease_ms).0,
        claim.worker,
        claim.now.0,
        &claim.types,
        &claim.queues,
        claim.max,
        &ranges.highest,
        &ranges.lowest,
        &ranges.from,
        claim.ahead
    );
    let mut tasks = all(rows.fetch_all(db).await.map_err(failed)?, TaskRow::task)?;
    tasks.sort_by_key(|task| (-task.priority, task.run_at, task.id));
    Ok(tasks)
}

pub async fn apply(db: &mut PgConnection, changes: &[Change]) -> Result<Vec<Option<Task>>> {
    let files: Vec<(Uuid, &Artifact)> =
        changes.iter().flat_map(|change| change.artifacts.iter().map(|artifact| (change.task.id, artifact))).collect();
    let written = sqlx::query!(
        r#"WITH updated AS (
             UPDATE tasks t SET
               status = c.to_status, ready = c.ready, error = c.error, result = c.result,
               progress = coalesce(c.progress, t.progress), run_at = c.run_at, failures = c.failures, losses = c.losses,
               lease = CASE WHEN c.to_status = 1 THEN t.lease END,
               lease_until = CASE WHEN c.to_status = 1 THEN t.lease_until END,
               finished_at = CASE WHEN c.to_status >= 2 THEN c.at END,
               cancel_requested_at = CASE WHEN c.event = 8 THEN c.at WHEN c.to_status = 0 THEN NULL
                                          ELSE t.cancel_requested_at END,
               ahead = t.ahead AND c.to_status = 1, updated_at = c.at, version = t.version + 1
             FROM unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::uuid[], $7::bigint[],
                         $8::bigint[], $9::bool[], $10::bigint[], $11::text[], $12::text[], $13::text[], $14::bigint[],
                         $15::bigint[], $16::bigint[], $17::text[]) WITH ORDINALITY
                  AS c(id, event, from_status, to_status, ready, lease, version, lapsed_by, unless_cancelling, at, error,
                       result, progress, run_at, failures, losses, actor, no)
             WHERE t.id = c.id AND t.status + 0 = c.from_status
               AND (c.lease IS NULL OR t.lease = c.lease)
               AND (c.version IS NULL OR t.version = c.version)
               AND (c.lapsed_by IS NULL OR t.lease_until <= c.lapsed_by)
               AND (NOT c.unless_cancelling OR t.cancel_requested_at IS NULL)
             RETURNING t.id, t.owner, t.queue, t.type, t.status, t.error, t.progress, t.attempt, t.failures, t.losses,
                       t.worker, t.run_at, t.started_at, t.finished_at, t.cancel_requested_at, t.version, t.updated_at,
                       t.checkpoints, c.event, c.from_status, c.actor, c.no
           ), gone AS (
             DELETE FROM checkpoints WHERE task_id IN (SELECT id FROM updated WHERE status = 2 AND checkpoints > 0)
           ), gate AS MATERIALIZED (
             SELECT CASE WHEN count(*) > 0 THEN pg_advisory_xact_lock(7472616365) END FROM updated
           ), logged AS (
             INSERT INTO changes (seq, at, event, task_id, owner, from_status, status, error, progress, attempt, failures,
                                  losses, worker, run_at, started_at, finished_at, cancel_requested_at, version, actor)
             SELECT nextval('changes_seq'), updated_at, event, id, owner, from_status, status, error, progress, attempt,
                    failures, losses, worker, run_at, started_at, finished_at, cancel_requested_at, version, actor
             FROM gate, updated ORDER BY no
           ), counted AS (
             INSERT INTO counts (owner, queue, type, status, n)
             SELECT owner, queue, type, s, sum(d)
             FROM gate, updated, LATERAL (VALUES (from_status, -1), (status, 1)) AS v(s, d)
             GROUP BY owner, queue, type, s HAVING sum(d) <> 0
           ), kept AS (
             INSERT INTO artifacts (task_id, name, bytes, content_type, sha256, location)
             SELECT a.* FROM unnest($18::uuid[], $19::text[], $20::bigint[], $21::text[], $22::text[], $23::text[])
                             AS a(task_id, name, bytes, content_type, sha256, location)
             WHERE a.task_id IN (SELECT id FROM updated)
           )
           SELECT id, version, cancel_requested_at, progress FROM updated"#,
        &changes.iter().map(|c| c.task.id).collect::<Vec<_>>(),
        &changes.iter().map(|c| c.event as i64).collect::<Vec<_>>(),
        &changes.iter().map(|c| c.task.status as i64).collect::<Vec<_>>(),
        &changes.iter().map(|c| c.to as i64).collect::<Vec<_>>(),
        &changes.iter().map(|c| i64::from(c.makes_ready())).collect::<Vec<_>>(),
        &changes.iter().map(|c| c.lease).collect::<Vec<_>>() as &[Option<Uuid>],
        &changes.iter().map(|c| c.version).collect::<Vec<_>>() as &[Option<i64>],
        &changes.iter().map(|c| c.lapsed_by.map(|time| time.0)).collect::<Vec<_>>() as &[Option<i64>],
        &changes.iter().map(|c| c.unless_cancelling).collect::<Vec<_>>(),
        &changes.iter().map(|c| c.at.0).collect::<Vec<_>>(),
        &changes.iter().map(|c| error_json(c.error.as_ref())).collect::<Vec<_>>() as &[Option<String>],
        &changes.iter().map(|c| c.result.as_deref().map(|r| r.get().to_owned())).collect::<Vec<_>>()
            as &[Option<String>],
        &changes.iter().map(|c| c.progress.as_ref().map(Progress::to_json)).collect::<Vec<_>>() as &[Option<String>],
        &changes.iter().map(|c| run_at_column(c.run_at, c.held)).collect::<Vec<_>>(),
        &changes.iter().map(|c| c.failures).collect::<Vec<_>>(),
        &changes.iter().map(|c| c.losses).collect::<Vec<_>>(),
        &changes.iter().map(|c| c.by.clone()).collect::<Vec<_>>() as &[Option<String>],
        &files.iter().map(|(id, _)| *id).collect::<Vec<_>>(),
        &files.iter().map(|(_, file)| file.name.clone()).collect::<Vec<_>>(),
        &files.iter().map(|(_, file)| file.bytes).collect::<Vec<_>>(),
        &files.iter().map(|(_, file)| file.content_type.clone()).collect::<Vec<_>>(),
        &files.iter().map(|(_, file)| file.sha256.clone()).collect::<Vec<_>>(),
        &files.iter().map(|(_, file)| file.location.clone()).collect::<Vec<_>>(),
    );
    let written = written.fetch_all(db).await.map_err(failed)?;
    let mut written: HashMap<Uuid, _> = written.into_iter().map(|row| (row.id, row)).collect();
    let after = |change: &Change| {
        let row = written.remove(&change.task.id)?;
        let progress = Progress::from_json(row.progress.as_deref());
        Some(change.after(row.version, row.cancel_requested_at.map(Time), progress))
    };
    Ok(changes.iter().map(after).collect())
}

fn params(task: &Task) -> String {
    task.params.as_deref().map_or_else(|| "{}".to_owned(), |params| params.get().to_owned())
}

const _: () = assert!(Event::CancelRequested as i64 == 8 && Event::Started as i64 == 1 && Event::Queued as i64 == 0);
