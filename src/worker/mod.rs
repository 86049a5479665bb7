//! The pool: claims as many tasks as it has free places and works off in a moment, runs them, and
//! drains when told to.

mod ahead;
mod janitor;
mod place;
mod run;
mod running;
mod saves;

use crate::fault;
use crate::queue::{Error, Queue};
use crate::task::Task;
use ahead::Ahead;
use futures_util::future::join_all;
use place::Place;
use running::{Running, Stop};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;
use tokio::time::{sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use janitor::keep;

/// How long an idle pool waits for a signal before it looks anyway. With the janitor's looks and what is
/// asked of the session that hears others, an idle node asks its database about once a second.
const POLL: Duration = Duration::from_millis(1600);
/// After a claim that failed; twice as long at most, drawn by chance, so that nodes do not return in step.
const AFTER_FAILURE: Duration = Duration::from_millis(500);
/// What was claimed ahead and has waited so long for a place goes back: another node may have one.
/// Far below a lease, and short enough for a cancel to be heard in time.
const HELD: Duration = Duration::from_millis(500);
/// While the pool is busy, claims that find all there is are at least so far apart.
const GATHERED: Duration = Duration::from_millis(2);
/// Reports under way at once; beyond, attempts keep their places until theirs is.
const REPORTS: usize = 2_000;
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
    let pool = Pool::new(queue, settings.clone(), running.clone(), attempts.clone());
    let mut claims = attempts.spawn(pool.work(stop.clone()));

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

/// What claims and starts attempts.
struct Pool {
    queue: Queue,
    settings: Settings,
    running: Arc<Running>,
    attempts: TaskTracker,
    places: Arc<Semaphore>,
    reports: Arc<Semaphore>,
    ahead: Arc<Ahead>,
    /// Claimed, and waiting for a place.
    waiting: VecDeque<Claimed>,
    /// The last claim, and whether it found fewer tasks than it asked for.
    last_claim: Instant,
    dry: bool,
}

/// A task under its lease.
struct Claimed {
    task: Task,
    /// When the call was made that claimed it.
    at: Instant,
    /// When it was answered.
    since: Instant,
}

/// What a pool has to do next.
enum Turn {
    Start,
    Claim,
    GiveBack,
}

impl Pool {
    fn new(queue: Queue, settings: Settings, running: Arc<Running>, attempts: TaskTracker) -> Pool {
        let now = Instant::now();
        Pool {
            queue,
            running,
            attempts,
            places: Arc::new(Semaphore::new(settings.places)),
            reports: Arc::new(Semaphore::new(REPORTS)),
            ahead: Arc::new(Ahead::new(now)),
            waiting: VecDeque::new(),
            last_claim: now,
            dry: false,
            settings,
        }
    }

    async fn work(mut self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            self.start();
            match self.wanted() {
                0 if self.is_idle() => self.claim_next(&stop).await,
                0 => match stop.run_until_cancelled(self.turn()).await {
                    Some(Turn::Claim) => self.dry = false,
                    Some(Turn::GiveBack) => self.give_back().await,
                    Some(Turn::Start) | None => {}
                },
                // A claim that is under way at the end is awaited: what the database has given out
                // by it goes back at once, and does not wait for its leases to end.
                wanted => self.claim(wanted, &stop).await,
            }
        }
        self.give_back().await;
    }

    /// Starts what waits, as far as there are places.
    fn start(&mut self) {
        while !self.waiting.is_empty()
            && let Ok(place) = self.places.clone().try_acquire_owned()
            && let Some(Claimed { task, at, .. }) = self.waiting.pop_front()
        {
            let place = Place::new(place, self.reports.clone(), self.ahead.clone(), self.queue.take_place());
            let (queue, running) = (self.queue.clone(), self.running.clone());
            self.attempts.spawn(run::attempt(queue, running, task, at, self.settings.lease, place));
        }
    }

    /// How many tasks to claim now; 0 while there are enough, and after a claim that found all there were.
    fn wanted(&self) -> usize {
        let (free, ahead) = (self.places.available_permits(), self.ahead.wanted(Instant::now()));
        let enough = free == 0 && self.waiting.len() > ahead / 2;
        if self.dry || enough { 0 } else { (free + ahead).saturating_sub(self.waiting.len()) }
    }

    async fn claim(&mut self, wanted: usize, stop: &CancellationToken) {
        let lease_ms = self.settings.lease.as_millis() as i64;
        self.last_claim = Instant::now();
        let ahead = wanted > self.places.available_permits();
        let claimed =
            self.queue.claim(&self.settings.name, wanted as i64, &self.settings.queues, lease_ms, ahead).await;
        self.take(claimed, wanted, stop).await;
    }

    /// Takes in what the last claim answered.
    async fn take(&mut self, claimed: Result<Vec<Task>, Error>, wanted: usize, stop: &CancellationToken) {
        match claimed {
            Ok(tasks) => {
                self.dry = tasks.len() < wanted;
                let (at, since) = (self.last_claim, Instant::now());
                self.waiting.extend(tasks.into_iter().map(|task| Claimed { task, at, since }));
            }
            Err(error) => {
                error.tell("could not claim; trying again");
                let wait = sleep(AFTER_FAILURE.mul_f64(1.0 + rand::random::<f64>()));
                stop.run_until_cancelled(wait).await;
            }
        }
    }

    /// Nothing runs, nothing waits, and there was nothing to claim.
    fn is_idle(&self) -> bool {
        self.dry && self.waiting.is_empty() && self.places.available_permits() == self.settings.places
    }

    /// Claims what comes next, as soon as there is something, and looks from time to time.
    async fn claim_next(&mut self, stop: &CancellationToken) {
        let Settings { name, places, queues, lease, .. } = &self.settings;
        let wait = async {
            tokio::select! {
                () = stop.cancelled() => false,
                _ = timeout(POLL, self.queue.events().until_ready()) => true,
            }
        };
        let wanted = *places;
        let claimed =
            self.queue.claim_next(name, wanted as i64, queues, lease.as_millis() as i64, Box::pin(wait)).await;
        let claimed = claimed.map(|(made, tasks)| {
            self.last_claim = made;
            tasks
        });
        self.take(claimed, wanted, stop).await;
    }

    /// Waits until there is something to do.
    async fn turn(&self) -> Turn {
        let oldest = self.waiting.front().map(|claimed| claimed.since);
        let busy = self.places.available_permits() < self.settings.places;
        tokio::select! {
            // Whoever comes back to the loop takes the place. Nothing to start and nothing to claim: no place is needed.
            _ = self.places.acquire(), if !self.dry || oldest.is_some() => Turn::Start,
            () = sleep_until((oldest.unwrap_or(self.last_claim) + HELD).into()), if oldest.is_some() => Turn::GiveBack,
            // The last one has ended: the pool is idle, and stands by.
            _ = self.places.acquire_many(self.settings.places as u32), if self.dry && oldest.is_none() => Turn::Start,
            _ = timeout(POLL, self.queue.events().until_ready()), if self.dry => {
                // A stream of single submits is claimed in batches; an idle pool claims at once.
                if busy {
                    sleep_until((self.last_claim + GATHERED).into()).await;
                }
                Turn::Claim
            }
        }
    }

    /// What waits goes back, at no cost.
    async fn give_back(&mut self) {
        join_all(self.waiting.drain(..).map(|claimed| {
            let queue = self.queue.clone();
            async move { run::release(&queue, &claimed.task).await }
        }))
        .await;
    }
}
