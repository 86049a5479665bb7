//! Finished tasks that are there before the measuring begins, and how fast they go.

use super::{Measured, door, measured};
use crate::queue::{Progress, Queue, Retention};
use crate::store::Made;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// Tasks written at once: well within the time a statement may take.
const PIECE: i64 = 5_000;
/// They are spread over so many days …
const DAYS: i64 = 30;
/// … the last of which ended an hour ago.
const BEFORE_MS: i64 = 3_600_000;

/// Makes `tasks` of them.
pub async fn make(queue: &Queue, tasks: u64) -> Result<(), String> {
    let (tasks, store) = (tasks as i64, queue.store());
    let begin = queue.clock().now().plus(-BEFORE_MS - DAYS * 24 * 3_600_000);
    let step_micros = DAYS * 24 * 3_600_000 * 1_000 / tasks;
    let mut from = 0;
    while from < tasks {
        let made = Made { numbers: from..tasks.min(from + PIECE), begin, step_micros };
        store.fill(&made).await.map_err(|error| error.to_string())?;
        from = made.numbers.end;
    }
    let tidied = store.tidy(begin, 0).await;
    tidied.map_err(|error| error.to_string())
}

/// Retention of the older half of them, while somebody submits a task every few milliseconds.
pub async fn prune(queue: &Queue) -> Result<Measured, String> {
    let stop = CancellationToken::new();
    let submitting = tokio::spawn(submit_until(queue.clone(), stop.clone()));
    let half = Some(Duration::from_secs(DAYS as u64 / 2 * 24 * 3_600));
    let retention = Retention { success: half, failed: half, cancelled: half, activity: None };
    let began = Instant::now();
    let gone = queue.prune(&retention, &mut Progress::default()).await.map_err(|error| error.to_string())?;
    let took = began.elapsed();
    stop.cancel();
    let latencies = submitting.await.map_err(|error| error.to_string())??;
    let what = "finished tasks deleted with their history, while others submit";
    Ok(measured("prune", what, gone as u64, took, "one submit meanwhile", latencies))
}

async fn submit_until(queue: Queue, stop: CancellationToken) -> Result<Vec<Duration>, String> {
    let mut latencies = Vec::new();
    while !stop.is_cancelled() {
        let began = Instant::now();
        door::submit(&queue, 1).await?;
        latencies.push(began.elapsed());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(latencies)
}
