//! The numbers of the change log are drawn by one writer at a time, to its commit: on Postgres, where
//! many write.

use crate::promises::success;
use crate::support::bed::{Bed, DatabaseUrl, noop};
use sqlx::{Connection, Executor, PgConnection};
use std::time::{Duration, Instant};

/// A write that does not wait ends sooner; the server ends one that waits for 2 s.
const PATIENCE: Duration = Duration::from_millis(1500);
/// Whether somebody waits for the lock of the log.
const WAITS: &str = "SELECT count(*) > 0 FROM pg_locks JOIN pg_database d ON d.oid = database
                     WHERE datname = current_database() AND locktype = 'advisory' AND NOT granted";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_number_of_the_change_log_is_drawn_while_another_writer_has_yet_to_commit() {
    let bed = Bed::postgres().await;
    let DatabaseUrl::Postgres(url) = &bed.url else { panic!("it is on Postgres") };
    let (mut other, mut look) = (PgConnection::connect(url).await.unwrap(), PgConnection::connect(url).await.unwrap());
    for write in ["submit", "claim", "report"] {
        bed.submit(noop()).await;
        let task = bed.claim(1).await.remove(0);
        bed.submit(noop()).await;
        let prepared = bed.queue.prepare(vec![noop()]).await.unwrap();
        // Another node's writer that has drawn its number, and not committed.
        other.execute("BEGIN; SELECT pg_advisory_xact_lock(7472616365), nextval('changes_seq')").await.unwrap();
        let queue = bed.queue.clone();
        let writing = tokio::spawn(async move {
            match write {
                "submit" => assert_eq!(queue.submit(prepared, None).await.unwrap(), None),
                "claim" => assert_eq!(queue.claim("tester", 1, &[], 30_000, false).await.unwrap().len(), 1),
                _ => drop(queue.report(&task, task.lease.unwrap(), &success()).await.unwrap()),
            }
        });
        let began = Instant::now();
        while !sqlx::query_scalar::<_, bool>(WAITS).fetch_one(&mut look).await.unwrap() {
            assert!(began.elapsed() < PATIENCE && !writing.is_finished(), "the {write} does not wait");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        other.execute("COMMIT").await.unwrap();
        writing.await.unwrap();
    }
}
