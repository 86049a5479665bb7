//! What runs here, and the beat that keeps its leases: one write for all of them.

use crate::queue::Queue;
use crate::store::{Beat, Held};
use crate::types::Context;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// How often progress and log lines are written: four times a second at most.
const TICK: Duration = Duration::from_millis(250);
/// How often leases are looked at for a cancel whose signal was lost.
const LOOK: Duration = Duration::from_secs(1);

/// Why an attempt was told to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// A caller asked for the task's end.
    Cancel,
    /// Its time is up.
    Timeout,
    /// The node drains.
    Drain,
    /// Its lease could not be extended in time: it may soon be another's.
    Unsure,
    /// Its lease is no longer current: whatever it does is not kept.
    Lost,
}

/// One attempt that runs here.
pub struct Attempt {
    pub task: Uuid,
    pub number: i64,
    pub ctx: Context,
    pub token: CancellationToken,
    why: Mutex<Option<Stop>>,
    last_beat: Mutex<Instant>,
    ended: AtomicBool,
}

impl Attempt {
    /// Claimed by a call that was made at this instant.
    pub fn new(ctx: Context, token: CancellationToken, claimed: Instant) -> Attempt {
        let (task, number) = (ctx.task_id(), ctx.attempt());
        let (why, last_beat, ended) = (Mutex::new(None), Mutex::new(claimed), AtomicBool::new(false));
        Attempt { task, number, ctx, token, why, last_beat, ended }
    }

    /// Tells it to stop; the first reason counts, but a lost lease outweighs all. Whether this reason
    /// is new to it.
    pub fn stop(&self, why: Stop) -> bool {
        let mut first = lock(&self.why);
        let new = first.is_none() || (why == Stop::Lost && *first != Some(Stop::Lost));
        if new {
            *first = Some(why);
        }
        self.token.cancel();
        new
    }

    /// The lease was last taken or extended by a call that was made at this instant: it holds for
    /// its length from then on, by the monotonic clock.
    pub fn last_beat(&self) -> Instant {
        *lock(&self.last_beat)
    }

    /// It is about to report: a lease that is missing from now on is no loss.
    pub fn end(&self) {
        self.ended.store(true, Relaxed);
    }

    /// Why it was told to stop, if it was.
    pub fn stopped(&self) -> Option<Stop> {
        *lock(&self.why)
    }
}

/// The attempts of one pool, by lease.
#[derive(Default)]
pub struct Running {
    attempts: Mutex<HashMap<Uuid, Arc<Attempt>>>,
    stopped: Mutex<Option<Stop>>,
}

/// An attempt's place among them.
pub struct Place {
    running: Arc<Running>,
    lease: Uuid,
}

impl Drop for Place {
    fn drop(&mut self) {
        lock(&self.running.attempts).remove(&self.lease);
    }
}

impl Running {
    /// Has the attempt's lease renewed for as long as the place is held: it is given up however the
    /// attempt ends, by a mistake of ours too. Otherwise its task would be `RUNNING` for ever. If all
    /// were told to stop before, so is this one.
    pub fn add(self: Arc<Self>, lease: Uuid, attempt: Arc<Attempt>) -> Place {
        lock(&self.attempts).insert(lease, attempt.clone());
        if let Some(why) = *lock(&self.stopped) {
            attempt.stop(why);
        }
        Place { running: self, lease }
    }

    /// Tells the attempt under `lease` to stop, if it still runs.
    pub fn stop(&self, lease: Uuid, why: Stop) {
        if let Some(attempt) = self.get(lease) {
            attempt.stop(why);
        }
    }

    /// Whether the attempt under `lease` was told to stop, or no longer runs.
    pub fn is_stopped(&self, lease: Uuid) -> bool {
        self.get(lease).is_none_or(|attempt| attempt.stopped().is_some())
    }

    /// Tells all of them to stop, and whoever comes later.
    pub fn stop_all(&self, why: Stop) {
        *lock(&self.stopped) = Some(why);
        for attempt in self.all().values() {
            attempt.stop(why);
        }
    }

    fn get(&self, lease: Uuid) -> Option<Arc<Attempt>> {
        lock(&self.attempts).get(&lease).cloned()
    }

    fn all(&self) -> HashMap<Uuid, Arc<Attempt>> {
        lock(&self.attempts).clone()
    }
}

/// Beats until `end`: writes what was said, extends leases in time, hears of cancels and of lost leases.
pub async fn beat(queue: Queue, running: Arc<Running>, lease: Duration, end: CancellationToken) {
    let mut cancels = queue.events().cancels();
    let mut last_look = Instant::now();
    loop {
        let cancel_heard = tokio::select! {
            () = end.cancelled() => return,
            () = tokio::time::sleep(TICK) => false,
            _ = cancels.recv() => true,
        };
        let attempts = running.all();
        if attempts.is_empty() {
            continue;
        }
        if cancel_heard || last_look.elapsed() >= LOOK {
            last_look = Instant::now();
            look(&queue, &attempts).await;
        }
        let beats: Vec<Beat> =
            attempts.iter().filter_map(|(lease_id, attempt)| beat_of(*lease_id, attempt, lease / 3)).collect();
        if !beats.is_empty() {
            write(&queue, &attempts, &beats, lease).await;
        }
    }
}

/// What an attempt has to say now, if its time for a beat has come or it said something new.
pub fn beat_of(lease: Uuid, attempt: &Attempt, every: Duration) -> Option<Beat> {
    let (progress, lines) = attempt.ctx.take_said();
    let silent = progress.is_none() && lines.is_empty();
    (!silent || lock(&attempt.last_beat).elapsed() >= every).then_some(Beat {
        id: attempt.task,
        lease,
        attempt: attempt.number,
        progress,
        lines,
    })
}

/// Writes beats; whatever of them is no longer held is stopped. A failure is tried again with the
/// next tick: what was said is kept until then.
async fn write(queue: &Queue, attempts: &HashMap<Uuid, Arc<Attempt>>, beats: &[Beat], lease: Duration) {
    let asked = Instant::now();
    match queue.beat(beats, lease.as_millis() as i64).await {
        Ok(held) => {
            let lost = heed(attempts, beats.iter().map(|beat| beat.lease), &held);
            queue.count_fenced(lost);
            for attempt in held.iter().filter_map(|held| attempts.get(&held.lease)) {
                *lock(&attempt.last_beat) = asked;
            }
        }
        Err(error) => {
            error.tell("a beat failed; it is tried again");
            for beat in beats {
                if let Some(attempt) = attempts.get(&beat.lease) {
                    attempt.ctx.unsay(beat.progress.clone(), beat.lines.clone());
                }
            }
        }
    }
}

async fn look(queue: &Queue, attempts: &HashMap<Uuid, Arc<Attempt>>) {
    let leases: Vec<(Uuid, Uuid)> = attempts.iter().map(|(lease, attempt)| (attempt.task, *lease)).collect();
    match queue.held(&leases).await {
        Ok(held) => drop(heed(attempts, leases.into_iter().map(|(_, lease)| lease), &held)),
        Err(error) => tracing::debug!(%error, "could not look for cancels; trying again"),
    }
}

/// Stops what is to stop; answers how many leases turned out to be lost.
fn heed(attempts: &HashMap<Uuid, Arc<Attempt>>, asked: impl Iterator<Item = Uuid>, held: &[Held]) -> u64 {
    let mut lost = 0;
    let held: HashMap<Uuid, bool> = held.iter().map(|held| (held.lease, held.cancel_requested)).collect();
    for (lease, attempt) in asked.filter_map(|lease| Some((lease, attempts.get(&lease)?))) {
        match held.get(&lease) {
            Some(false) => {}
            Some(true) => drop(attempt.stop(Stop::Cancel)),
            // Its own run may just have reported it.
            None if attempt.ended.load(Relaxed) => {}
            None => lost += u64::from(attempt.stop(Stop::Lost)),
        }
    }
    lost
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
