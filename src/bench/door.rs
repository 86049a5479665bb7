//! Scenarios at the door: the real store with its change log and counters, without HTTP.

use super::{Measured, measured};
use crate::queue::{Queue, Reported};
use crate::task::{Draft, Outcome, Task};
use futures_util::future::try_join_all;
use serde_json::value::RawValue;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Batches under way at once: some are written while others are prepared.
const PIPELINES: u64 = 4;
/// A worker's lease, far longer than any batch takes.
pub const LEASE: Duration = Duration::from_secs(300);
/// About as large as a small real task's params.
const PARAMS: &str =
    r#"{"customer":"c-1029384756","document":"d-5647382910","pages":[1,2,3,4],"urgent":false,"note":"hello"}"#;

/// The whole life of `tasks` noop tasks: submitted in batches, claimed, finished one by one (the
/// door gathers them).
pub async fn life(queue: &Queue, tasks: u64, batch: u64) -> Result<Measured, String> {
    let left = Arc::new(AtomicU64::new(tasks));
    let began = Instant::now();
    let pipelines = (0..PIPELINES).map(|_| tokio::spawn(pipeline(queue.clone(), left.clone(), batch)));
    let latencies = try_join_all(pipelines).await.map_err(|error| error.to_string())?;
    let latencies = latencies.into_iter().collect::<Result<Vec<_>, String>>()?.concat();
    let what = "noop tasks submitted in batches, claimed and finished, with change log and counters";
    Ok(measured("life", what, tasks, began.elapsed(), "a batch from submit to the last finish", latencies))
}

async fn pipeline(queue: Queue, left: Arc<AtomicU64>, batch: u64) -> Result<Vec<Duration>, String> {
    let mut latencies = Vec::new();
    loop {
        let take = |left: u64| (left > 0).then(|| left - left.min(batch));
        let Ok(before) = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, take) else { return Ok(latencies) };
        let (began, size) = (Instant::now(), before.min(batch));
        submit(&queue, size).await?;
        let mut finished = 0;
        while finished < size {
            let claimed = queue.claim("bench", (size - finished) as i64, &[], LEASE.as_millis() as i64, false).await;
            let claimed = claimed.map_err(|error| error.to_string())?;
            finished += claimed.len() as u64;
            try_join_all(claimed.into_iter().map(|task| finish(&queue, task))).await?;
        }
        latencies.push(began.elapsed());
    }
}

/// Submits `n` noop tasks together.
pub async fn submit(queue: &Queue, n: u64) -> Result<(), String> {
    let drafts = (0..n).map(|_| Draft::new("noop", params(), "default", "bench")).collect();
    let prepared = queue.prepare(drafts).await.map_err(|invalid| format!("{invalid:?}"))?;
    queue.submit(prepared, None).await.map_err(|error| error.to_string())?;
    Ok(())
}

async fn finish(queue: &Queue, mut task: Task) -> Result<(), String> {
    let lease = task.lease.ok_or("a claimed task has a lease")?;
    let outcome = Outcome::Success(task.params.take().unwrap_or_else(params), Vec::new());
    match queue.report(&task, lease, &outcome).await {
        Ok(Reported::Written(_)) => Ok(()),
        Ok(Reported::Lost) => Err("a lease was lost while measuring".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// A small task's params.
pub fn params() -> Box<RawValue> {
    RawValue::from_string(PARAMS.to_owned()).expect("a constant")
}
