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
    let mut meter = Meter { raw: Raw::open(&bed.url).await, bed, tasks: 0 };
    meter.measure("to begin with").await;
    let before = meter.measure("before").await;
    let mut other = Raw::open(&meter.bed.url).await;
    other.execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM tasks").await;
    for _ in 0..2 {
        meter.measure("while a snapshot is held").await;
    }
    let held = meter.measure("while a snapshot is held").await;
    other.execute("COMMIT").await;
    // Blocks and not seconds: they are the same on a busy machine.
    assert!(held <= 2.0 * before, "{held:.0} blocks a task instead of {before:.0}");
}

/// Each looks for what is due and what has lapsed; the leases of all that was done lie before it, dead.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_a_snapshot_is_held_open_a_look_walks_no_dead_leases() {
    // What a connection read it tells the server once a second: so most of it is known in the end.
    const LOOKS_FOR: Duration = Duration::from_secs(3);
    let bed = Bed::postgres().await;
    let mut other = Raw::open(&bed.url).await;
    other.execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM tasks").await;
    let mut meter = Meter { raw: Raw::open(&bed.url).await, bed, tasks: 0 };
    meter.measure("while a snapshot is held").await;
    meter.bed.clock.advance(40_000);
    meter.bed.queue.promote().await.unwrap();
    let (before, began, mut looks) = (meter.read().await, Instant::now(), 0);
    while began.elapsed() < LOOKS_FOR {
        meter.bed.clock.advance(100);
        assert!(!meter.bed.queue.promote().await.unwrap().lapsed);
        looks += 1;
    }
    let blocks = (meter.read().await - before) / f64::from(looks);
    other.execute("COMMIT").await;
    println!("{looks} looks, {blocks:.0} blocks each");
    assert!(blocks < TASKS as f64 / 160.0, "{blocks:.0} blocks each behind {TASKS} dead leases");
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

/// Works, and says how much was read for it.
struct Meter {
    bed: Bed,
    raw: Raw,
    tasks: usize,
}

impl Meter {
    /// Submits, claims and finishes; answers the blocks of the table and its indexes read for each task.
    async fn measure(&mut self, when: &str) -> f64 {
        let blocks = self.read().await;
        let (began, mut claiming) = (Instant::now(), Duration::ZERO);
        for _ in 0..TASKS / BATCH {
            claiming += self.work(BATCH, MANY).await;
            // Far more tasks a second than there are, so that time helps nobody.
            self.bed.clock.advance(100);
        }
        let rate = |time: Duration| TASKS as f64 / time.as_secs_f64();
        let (all, claims) = (rate(began.elapsed()), rate(claiming));
        let blocks = (self.read().await - blocks) / TASKS as f64;
        println!("{when}: {blocks:.0} blocks a task, {all:.0} tasks a second, {claims:.0} in a second of claiming");
        blocks
    }

    /// So many tasks from submit to success, `many` at once; answers how long the claims took.
    async fn work(&mut self, tasks: usize, many: usize) -> Duration {
        let (bed, mut claiming) = (&self.bed, Duration::ZERO);
        bed.submit_many((0..tasks).map(|_| noop()).collect(), None).await.unwrap();
        for _ in 0..tasks / many {
            let claim = Instant::now();
            let claimed = bed.claim(many as i64).await;
            claiming += claim.elapsed();
            assert_eq!(claimed.len(), many);
            let outcome = success();
            join_all(claimed.iter().map(|task| bed.queue.report(task, task.lease.unwrap(), &outcome))).await;
        }
        self.tasks += tasks;
        claiming
    }

    /// Blocks read so far. A connection tells the server at the end of a write, once a second at most:
    /// so it is given one to end until all that was done is known.
    async fn read(&mut self) -> f64 {
        let done = self.tasks;
        let until = Instant::now() + Duration::from_secs(20);
        loop {
            self.work(1, 1).await;
            let sums = "SELECT n_tup_ins || ' ' || n_tup_upd || ' ' ||
                               (heap_blks_hit + heap_blks_read + idx_blks_hit + idx_blks_read)
                        FROM pg_stat_user_tables JOIN pg_statio_user_tables USING (relid)
                        WHERE pg_stat_user_tables.relname = 'tasks'";
            let sums = self.raw.texts(sums).await.remove(0);
            let sums: Vec<usize> = sums.split(' ').map(|sum| sum.parse().unwrap()).collect();
            if sums[0] >= done && sums[1] >= 2 * done {
                return sums[2] as f64;
            }
            assert!(Instant::now() < until, "the server knows of {sums:?} after {done} tasks");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}
