//! A history that never happened, for measuring: rows, change log and counters as if it had.

use super::failed;
use crate::store::{Made, Result};
use sqlx::PgConnection;

pub async fn fill(db: &mut PgConnection, made: &Made) -> Result<()> {
    let filled = sqlx::query!(
        r#"WITH made AS (
             SELECT n, $3 + n * $4 / 1000 AS at, n % 1000000 = 7 AS rare,
                    CASE WHEN n * 2654435761 / 65536 % 100 < 90 THEN 2 WHEN n * 2654435761 / 65536 % 100 < 97 THEN 3 ELSE 4 END AS status
             FROM generate_series($1::bigint, $2::bigint - 1) AS n
           ), inserted AS (
             INSERT INTO tasks (id, type, name, queue, priority, tags, owner, client_id, params, result, error, status, ready,
                                attempt, failures, losses, max_attempts, worker, run_at, created_at, started_at, finished_at,
                                updated_at, version)
             SELECT (lpad(to_hex(at), 12, '0') || '70008' || lpad(to_hex(n), 15, '0'))::uuid,
                    CASE WHEN n % 20 < 12 THEN 'noop' WHEN n % 20 < 15 THEN 'csv_processing' WHEN n % 20 < 18 THEN 'email_sending'
                         WHEN n % 20 < 19 THEN 'image_processing' ELSE 'demo' END,
                    CASE WHEN rare THEN 'a needle' WHEN n % 2 = 0 THEN 'Report ' || n END,
                    CASE WHEN rare THEN 'rare' WHEN n / 20 % 10 < 8 THEN 'default' WHEN n / 20 % 10 < 9 THEN 'mails' ELSE 'slow' END,
                    0,
                    CASE WHEN rare THEN '["rare"]' WHEN n % 3 = 0 THEN '["blue","nightly"]' ELSE '[]' END,
                    CASE WHEN rare OR n / 7 % 20 < 17 THEN 'default' WHEN n / 7 % 20 < 19 THEN 'anna' ELSE 'berta' END,
                    CASE WHEN rare THEN 'rare' ELSE 'client-' || (n % 997) END,
                    '{"customer":"c-' || n || '","document":"d-5647382910","pages":[1,2,3,4],"urgent":false,"note":"hello"}',
                    CASE WHEN status = 2 THEN '{"customer":"c-' || n || '","pages":4}' END,
                    CASE WHEN status = 3 THEN '{"code":"broken","message":"it broke at step ' || (n % 10) || '","attempt":1}' END,
                    status, 0, (status < 4)::int, (status = 3)::int, 0, 1, CASE WHEN status < 4 THEN 'bench' END, at, at,
                    CASE WHEN status < 4 THEN at + 50 END, at + 120, at + 120, CASE WHEN status < 4 THEN 3 ELSE 2 END
             FROM made
             RETURNING id, owner, queue, type, status, error, attempt, failures, worker, run_at, created_at, started_at,
                       finished_at, version, client_id
           ), gate AS MATERIALIZED (
             SELECT CASE WHEN count(*) > 0 THEN pg_advisory_xact_lock(7472616365) END FROM inserted
           ), logged AS (
             INSERT INTO changes (seq, at, event, task_id, owner, from_status, status, error, attempt, failures, losses, worker,
                                  run_at, started_at, finished_at, version, actor)
             SELECT nextval('changes_seq'), at, event, task_id, owner, from_status, status, error, attempt, failures, 0, worker,
                    run_at, started_at, finished_at, version, actor
             FROM gate, (SELECT created_at AS at, 0 AS event, id AS task_id, owner, NULL::bigint AS from_status, 0 AS status,
                          NULL::text AS error, 0 AS attempt, 0 AS failures, NULL::text AS worker, run_at,
                          NULL::bigint AS started_at, NULL::bigint AS finished_at, 1 AS version, client_id AS actor
                   FROM inserted
                   UNION ALL
                   SELECT started_at, 1, id, owner, 0, 1, NULL, 1, 0, worker, run_at, started_at, NULL, 2, NULL
                   FROM inserted WHERE started_at IS NOT NULL
                   UNION ALL
                   SELECT finished_at, status, id, owner, attempt, status, error, attempt, failures, worker, run_at, started_at,
                          finished_at, version, CASE WHEN status = 4 THEN client_id END
                   FROM inserted) AS entries
           )
           INSERT INTO counts (owner, queue, type, status, n)
           SELECT owner, queue, type, status, count(*) FROM gate, inserted GROUP BY owner, queue, type, status"#,
        made.numbers.start,
        made.numbers.end,
        made.begin.0,
        made.step_micros
    );
    filled.execute(db).await.map_err(failed)?;
    Ok(())
}
