//! Scenarios of the worker pool: tasks are claimed, run and reported as a node does it.

use super::door::{LEASE, params, submit};
use super::{Measured, measured};
use crate::queue::{Queue, Retention};
use crate::task::{Draft, Scope, Status};
use crate::worker::{self, Settings};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Tasks submitted at once while a backlog is made.
const FILL: u64 = 5_000;
/// No scenario waits longer for its last task.
const PATIENCE: Duration = Duration::from_secs(600);

/// A pool that works until it is ended.
pub struct Pool {
    stop: CancellationToken,
    ended: JoinHandle<()>,
}

impl Pool {
    /// Starts one with so many places.
    pub fn start(queue: &Queue, places: usize) -> Pool {
        let stop = CancellationToken::new();
        let drain = Duration::from_secs(5);
        let settings = Settings { name: "bench".to_owned(), places, queues: Vec::new(), lease: LEASE, drain };
        let ended = tokio::spawn(worker::work(queue.clone(), settings, stop.clone()));
        Pool { stop, ended }
    }

    /// Drains it.
    pub async fn end(self) -> Result<(), String> {
        self.stop.cancel();
        self.ended.await.map_err(|error| error.to_string())
    }
}

/// Makes a backlog of `tasks` noop tasks.
pub async fn backlog(queue: &Queue, tasks: u64) -> Result<(), String> {
    let mut left = tasks;
    while left > 0 {
        let size = left.min(FILL);
        submit(queue, size).await?;
        left -= size;
    }
    Ok(())
}

/// A [`backlog`] of `tasks`, worked off by one node's pool.
pub async fn drain(queue: &Queue, tasks: u64, places: usize) -> Result<Measured, String> {
    let before = finished(queue).await?;
    let began = Instant::now();
    let pool = Pool::start(queue, places);
    until_finished(queue, before + tasks).await?;
    let took = began.elapsed();
    pool.end().await?;
    let what = "a backlog of noop tasks, claimed, run and finished by one node's pool";
    Ok(measured("drain", what, tasks, took, "nothing", Vec::new()))
}

/// From the return of a submit to the start of the task in an idle pool, one at a time.
pub async fn pickup(queue: &Queue, tasks: u64, places: usize) -> Result<Measured, String> {
    let pool = Pool::start(queue, places);
    let began = Instant::now();
    let mut latencies = Vec::new();
    for _ in 0..tasks {
        latencies.push(picked_up(queue).await?);
        // Long enough for the pool to be idle again.
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let took = began.elapsed();
    pool.end().await?;
    let what = "single submits to an idle pool, one every 5 ms";
    let of = "submit returned to task started (claim committed and handed out)";
    Ok(measured("pickup", what, tasks, took, of, latencies))
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

/// A node with nothing to do, for `seconds`: what it costs is in the columns of costs.
pub async fn idle(queue: &Queue, seconds: u64, places: usize) -> Result<Measured, String> {
    let pool = Pool::start(queue, places);
    let house_end = CancellationToken::new();
    let house = tokio::spawn(worker::keep(queue.clone(), Retention::default(), true, house_end.clone()));
    let began = Instant::now();
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    let took = began.elapsed();
    house_end.cancel();
    let _ = house.await;
    pool.end().await?;
    Ok(measured(
        "idle",
        "a node with nothing to do; a task stands for a second of it",
        seconds,
        took,
        "nothing",
        Vec::new(),
    ))
}

/// How many tasks are finished.
pub async fn finished(queue: &Queue) -> Result<u64, String> {
    let stats = queue.stats(&Scope::Everyone).await.map_err(|error| error.to_string())?;
    let success = stats.counts.iter().filter(|count| count.status == Status::Success);
    Ok(success.map(|count| count.n as u64).sum())
}

/// Waits until so many are.
pub async fn until_finished(queue: &Queue, n: u64) -> Result<(), String> {
    let mut grown = queue.events().log();
    let patience = Instant::now() + PATIENCE;
    while finished(queue).await? < n {
        if Instant::now() > patience {
            return Err("the tasks were not finished in time".to_owned());
        }
        let _ = tokio::time::timeout(Duration::from_millis(500), grown.changed()).await;
        // The counters are read to know; more often would be part of what is measured.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}
