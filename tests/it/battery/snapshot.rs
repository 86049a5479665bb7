//! A snapshot held open by somebody (a dump, a forgotten psql) keeps Postgres from forgetting dead rows.
//! Claims must not drown in them.

use crate::promises::success;
use crate::support::bed::{BEGIN, Bed, noop};
use crate::support::raw::Raw;
use errand::task::Draft;
use futures_util::future::join_all;
use std::time::{Duration, Instant};

/// Claimed at once.
const MANY: usize = 10;
/// Tasks of one measurement.
const TASKS: usize = 8_000;
/// Submitted at once.
const BATCH: usize = 500;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_a_snapshot_is_held_open_a_claim_reads_at_most_twice_as_much() {
    let bed = Bed::postgres().await;
    let mut raw = Raw::open(&bed.url).await;
    measure(&bed, &mut raw, "to begin with").await;
    let before = measure(&bed, &mut raw, "before").await;
    let mut other = Raw::open(&bed.url).await;
    other.execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM tasks").await;
    for _ in 0..2 {
        measure(&bed, &mut raw, "while a snapshot is held").await;
    }
    let held = measure(&bed, &mut raw, "while a snapshot is held").await;
    other.execute("COMMIT").await;
    // Blocks and not seconds: they are the same on a busy machine.
    assert!(held <= 2.0 * before, "{held:.0} blocks a task instead of {before:.0}");
}

/// Claims begin behind what was claimed before; what another node makes ready further back is found all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_that_another_node_makes_ready_further_back_is_not_passed_over() {
    let bed = Bed::postgres().await;
    bed.submit(noop()).await;
    assert_eq!(bed.claim(1).await.len(), 1);
    let other = bed.another_node().await;
    let long_ago = Draft { run_at: Some(BEGIN.plus(-3_600_000)), ..noop() };
    other.submit(other.prepare(vec![long_ago]).await.unwrap(), None).await.unwrap();
    let submitted = Instant::now();
    while bed.claim(1).await.is_empty() {
        assert!(submitted.elapsed() < Duration::from_secs(5), "it was passed over");
        tokio::task::yield_now().await;
    }
}

/// Submits, claims and finishes; answers the blocks of the table and its indexes read for each task.
async fn measure(bed: &Bed, raw: &mut Raw, when: &str) -> f64 {
    let (began, blocks) = (Instant::now(), read(raw).await);
    let mut claiming = Duration::ZERO;
    for _ in 0..TASKS / BATCH {
        bed.submit_many((0..BATCH).map(|_| noop()).collect(), None).await.unwrap();
        for _ in 0..BATCH / MANY {
            let claim = Instant::now();
            let tasks = bed.claim(MANY as i64).await;
            claiming += claim.elapsed();
            assert_eq!(tasks.len(), MANY);
            let outcome = success();
            join_all(tasks.iter().map(|task| bed.queue.report(task, task.lease.unwrap(), &outcome))).await;
        }
        // Far more tasks a second than there are, so that time helps nobody.
        bed.clock.advance(100);
    }
    let blocks = (read(raw).await - blocks) / TASKS as f64;
    println!(
        "{when}: {blocks:.0} blocks a task, {:.0} tasks a second, {:.0} of them in a second of claiming",
        TASKS as f64 / began.elapsed().as_secs_f64(),
        TASKS as f64 / claiming.as_secs_f64()
    );
    blocks
}

/// Blocks read so far. A busy connection tells the server every second.
async fn read(raw: &mut Raw) -> f64 {
    let sum = "SELECT (heap_blks_hit + heap_blks_read + idx_blks_hit + idx_blks_read)::text
               FROM pg_statio_user_tables WHERE relname = 'tasks'";
    raw.texts(sum).await[0].parse().unwrap()
}
