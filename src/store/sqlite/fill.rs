//! A history that never happened, for measuring: rows, change log and counters as if it had.

use super::failed;
use crate::store::{Made, Result};
use sqlx::SqliteConnection;

/// Its caller holds the one writing connection, in a transaction.
pub async fn fill(db: &mut SqliteConnection, made: &Made) -> Result<()> {
    let (from, to) = (made.numbers.start, made.numbers.end);
    let tasks = sqlx::query!(
        r#"WITH RECURSIVE numbers (n) AS (SELECT ?1 UNION ALL SELECT n + 1 FROM numbers WHERE n + 1 < ?2),
           made AS (
             SELECT n, ?3 + n * ?4 / 1000 AS at,
                    CASE WHEN n * 2654435761 / 65536 % 100 < 90 THEN 2 WHEN n * 2654435761 / 65536 % 100 < 97 THEN 3 ELSE 4 END AS status,
                    n % 1000000 = 7 AS rare
             FROM numbers
           )
           INSERT INTO tasks (id, type, name, queue, priority, tags, owner, client_id, params, result, error, status, ready,
                              attempt, failures, losses, max_attempts, worker, run_at, created_at, started_at, finished_at,
                              updated_at, version)
           SELECT unhex(printf('%012x70008%015x', at, n)),
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
                  status, 0, status < 4, status = 3, 0, 1, CASE WHEN status < 4 THEN 'bench' END, at, at,
                  CASE WHEN status < 4 THEN at + 50 END, at + 120, at + 120, CASE WHEN status < 4 THEN 3 ELSE 2 END
           FROM made"#,
        from,
        to,
        made.begin.0,
        made.step_micros
    );
    tasks.execute(&mut *db).await.map_err(failed)?;
    let (first, last) = (made.id(from), made.id(to));
    let changes = sqlx::query!(
        "INSERT INTO changes (at, event, task_id, owner, from_status, status, error, attempt, failures, losses, worker, run_at,
                              started_at, finished_at, version, actor)
         SELECT created_at, 0, id, owner, NULL, 0, NULL, 0, 0, 0, NULL, run_at, NULL, NULL, 1, client_id
         FROM tasks WHERE id >= ?1 AND id < ?2
         UNION ALL
         SELECT started_at, 1, id, owner, 0, 1, NULL, 1, 0, 0, worker, run_at, started_at, NULL, 2, NULL
         FROM tasks WHERE id >= ?1 AND id < ?2 AND started_at IS NOT NULL
         UNION ALL
         SELECT finished_at, status, id, owner, attempt, status, error, attempt, failures, 0, worker, run_at, started_at,
                finished_at, version, CASE WHEN status = 4 THEN client_id END
         FROM tasks WHERE id >= ?1 AND id < ?2",
        first,
        last
    );
    changes.execute(&mut *db).await.map_err(failed)?;
    let counts = sqlx::query!(
        "INSERT INTO counts (owner, queue, type, status, n)
         SELECT owner, queue, type, status, count(*) FROM tasks WHERE id >= ?1 AND id < ?2 GROUP BY owner, queue, type, status
         ON CONFLICT (owner, queue, type, status) DO UPDATE SET n = n + excluded.n",
        first,
        last
    );
    counts.execute(db).await.map_err(failed)?;
    Ok(())
}
