//! The pool: claims as many tasks as it has free places, runs them, and drains when told to.

mod janitor;
mod run;
mod running;
mod saves;

use crate::fault;
use crate::queue::Queue;
use futures_util::future::join_all;
use running::{Running, Stop};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use janitor::keep;

/// How long an idle pool waits for a signal before it looks anyway.
const POLL: Duration = Duration::from_secs(1);
/// After a claim that failed; twice as long at most, drawn by chance, so that nodes do not return in step.
const AFTER_FAILURE: Duration = Duration::from_millis(500);
/// What is released at the end of a drain gets this long to write it down.
const LAST_WORDS: Duration = Duration::from_millis(1500);

/// How a pool works.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Its name, as tasks and attempts show it.
    pub name: String,
    /// Tasks run at once.
    pub places: usize,
    /// Only these queues; empty is any.
    pub queues: Vec<String>,
    /// How long a lease lasts; beats come three times as often.
    pub lease: Duration,
    /// How long running tasks get to finish once the pool drains.
    pub drain: Duration,
}

/// Claims and runs tasks until `stop`, then drains: claiming ends at once, running tasks get
/// [`Settings::drain`], the rest are released without burning an attempt. Returns when none runs.
/// Panics if its beat or its claims do: leases that nobody renews would be lost one after the other.
pub async fn work(queue: Queue, settings: Settings, stop: CancellationToken) {
    let running = Arc::new(Running::default());
    let attempts = TaskTracker::new();
    let beats_end = CancellationToken::new();
    let mut beats = tokio::spawn(running::beat(queue.clone(), running.clone(), settings.lease, beats_end.clone()));
    let mut claims = attempts.spawn(claim(queue, settings.clone(), running.clone(), attempts.clone(), stop.clone()));

    let parts = async {
        tokio::select! { ended = &mut beats => ended, ended = &mut claims => ended }
    };
    if let Some(ended) = stop.run_until_cancelled(parts).await {
        ended.expect("neither the beat nor the claims end before the pool");
    }
    fault::point("drain_begun").await;
    attempts.close();
    if timeout(settings.drain, attempts.wait()).await.is_err() {
        fault::point("drain_releasing").await;
        running.stop_all(Stop::Drain);
        let _ = timeout(LAST_WORDS, attempts.wait()).await;
        fault::point("drain_released").await;
    }
    beats_end.cancel();
    let _ = beats.await;
}

/// Claims and starts attempts until `stop`. A claim that is under way then is awaited: what the
/// database has given out by it goes back at once, and does not wait for its leases to end.
async fn claim(
    queue: Queue,
    settings: Settings,
    running: Arc<Running>,
    attempts: TaskTracker,
    stop: CancellationToken,
) {
    let places = Arc::new(Semaphore::new(settings.places));
    while let Some(first) = stop.run_until_cancelled(place(&places)).await {
        let mut free = vec![first];
        while let Ok(permit) = places.clone().try_acquire_owned() {
            free.push(permit);
        }
        let (max, lease_ms) = (free.len(), settings.lease.as_millis() as i64);
        let claimed = Instant::now();
        let tasks = match queue.claim(&settings.name, max as i64, &settings.queues, lease_ms).await {
            Ok(tasks) => tasks,
            Err(error) => {
                error.tell("could not claim; trying again");
                let wait = sleep(AFTER_FAILURE.mul_f64(1.0 + rand::random::<f64>()));
                stop.run_until_cancelled(wait).await;
                continue;
            }
        };
        if stop.is_cancelled() {
            join_all(tasks.iter().map(|task| run::release(&queue, task))).await;
            return;
        }
        let found_all = tasks.len() < max;
        for (task, permit) in tasks.into_iter().zip(free) {
            let attempt = run::attempt(queue.clone(), running.clone(), task, claimed, settings.lease);
            attempts.spawn(async move {
                attempt.await;
                drop(permit);
            });
        }
        if found_all {
            stop.run_until_cancelled(timeout(POLL, queue.events().until_ready())).await;
        }
    }
}

async fn place(places: &Arc<Semaphore>) -> OwnedSemaphorePermit {
    places.clone().acquire_owned().await.expect("the pool never closes its places")
}
