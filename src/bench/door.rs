//! Scenarios at the door: the real store with its change log and counters, without HTTP.

use super::{Measured, measured};
use crate::queue::{Queue, Reported};
use crate::task::{Draft, Outcome, Task};
use crate::worker::{self, Settings};
use futures_util::future::try_join_all;
use serde_json::value::RawValue;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// Batches under way at once: some are written while others are prepared.
const PIPELINES: u64 = 4;
/// A worker's lease, far longer than any batch takes.
const LEASE: Duration = Duration::from_secs(300);
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
            let claimed = queue.claim("bench", (size - finished) as i64, &[], LEASE.as_millis() as i64).await;
            let claimed = claimed.map_err(|error| error.to_string())?;
            finished += claimed.len() as u64;
            try_join_all(claimed.into_iter().map(|task| finish(&queue, task))).await?;
        }
        latencies.push(began.elapsed());
    }
}

async fn submit(queue: &Queue, n: u64) -> Result<(), String> {
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

/// From the return of a submit to the start of the task in an idle pool, one at a time.
pub async fn pickup(queue: &Queue, tasks: u64) -> Result<Measured, String> {
    let stop = CancellationToken::new();
    let settings = Settings {
        name: "bench".to_owned(),
        places: 4,
        queues: Vec::new(),
        lease: LEASE,
        drain: Duration::from_secs(5),
    };
    let pool = tokio::spawn(worker::work(queue.clone(), settings, stop.clone()));
    let began = Instant::now();
    let mut latencies = Vec::new();
    for _ in 0..tasks {
        latencies.push(picked_up(queue).await?);
        // Long enough for the pool to be idle again.
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let took = began.elapsed();
    stop.cancel();
    pool.await.map_err(|error| error.to_string())?;
    let what = "single submits to an idle pool, one every 5 ms";
    Ok(measured(
        "pickup",
        what,
        tasks,
        took,
        "submit returned to task started (claim committed and handed out)",
        latencies,
    ))
}

async fn picked_up(queue: &Queue) -> Result<Duration, String> {
    let draft = Draft::new("noop", params(), "default", "bench");
    let prepared = queue.prepare(vec![draft]).await.map_err(|invalid| format!("{invalid:?}"))?;
    let started = queue.events().watch(prepared.tasks[0].id);
    let changed = started.changed();
    tokio::pin!(changed);
    changed.as_mut().enable();
    queue.submit(prepared, None).await.map_err(|error| error.to_string())?;
    let returned = Instant::now();
    tokio::time::timeout(Duration::from_secs(10), changed).await.map_err(|_| "a task was not started in 10 s")?;
    Ok(returned.elapsed())
}

fn params() -> Box<RawValue> {
    RawValue::from_string(PARAMS.to_owned()).expect("a constant")
}
