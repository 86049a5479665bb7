//! Who did what, on its way to the database: gathered in memory, and written a few times a second.
//!
//! To note something costs no write and no wait. What comes in great numbers (submits, whatever was refused)
//! becomes one entry a second with a count ([`Activity::same`]). A process that is killed loses what it had not
//! written: the last quarter of a second, and of what came in great numbers the last second. One that ends in order loses nothing.

use super::ids::Ids;
use super::read::own;
use crate::clock::Clock;
use crate::store::ActivityLog;
use crate::task::activity::Same;
use crate::task::{Action, Activity, Ending};
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

/// What is noted waits so long for more.
const GATHER: Duration = Duration::from_millis(250);
/// Of what comes in great numbers there is one entry in this time.
const APART: Duration = Duration::from_secs(1);
/// Entries in one write: about 10 ms. So it is at most 4,000 a second a node, whoever wants to fill the disk.
const MOST_A_WRITE: usize = 1_000;
/// Entries in memory, 5 MiB or so; further ones are dropped, and counted.
const MOST: usize = 10_000;
/// How long somebody waits for an entry to be on disk.
const SETTLE: Duration = Duration::from_secs(2);

/// What is to be written down. Cheap to clone.
#[derive(Clone)]
pub struct Journal {
    inner: Arc<Inner>,
}

struct Inner {
    store: Arc<dyn ActivityLog>,
    clock: Clock,
    ids: Ids,
    node: OnceLock<String>,
    waiting: Mutex<Waiting>,
    /// Something waits.
    noted: Notify,
    /// One write at a time: a later one does not overtake.
    turn: tokio::sync::Mutex<()>,
    dropped: AtomicU64,
}

/// What is not written yet.
#[derive(Default)]
struct Waiting {
    alone: VecDeque<Activity>,
    many: HashMap<Same, Many>,
    dropped: i64,
}

/// The same, again and again.
#[derive(Default)]
struct Many {
    entry: Option<Activity>,
    written: Option<Instant>,
}

impl Journal {
    /// Nothing yet. Entries are written by [`Journal::keep`].
    pub fn new(store: Arc<dyn ActivityLog>, clock: Clock) -> Journal {
        Journal {
            inner: Arc::new(Inner {
                store,
                clock,
                ids: Ids::default(),
                node: OnceLock::new(),
                waiting: Mutex::default(),
                noted: Notify::new(),
                turn: tokio::sync::Mutex::default(),
                dropped: AtomicU64::new(0),
            }),
        }
    }

    /// Says what this process is called, once; entries from before have no name.
    pub fn call(&self, node: &str) {
        let _ = self.inner.node.set(node.to_owned());
    }

    /// Entries that were dropped since this process began.
    pub fn dropped(&self) -> u64 {
        self.inner.dropped.load(Ordering::Relaxed)
    }

    /// Notes what has just happened. Never waits and never fails: beyond the bound it is counted instead.
    pub fn note(&self, entry: Activity) {
        let now = self.inner.clock.now();
        let node = self.inner.node.get().cloned().unwrap_or_default();
        let entry = Activity { id: self.inner.ids.next(now), at: now, node, ..entry };
        let taken = self.waiting().take_in(entry);
        if !taken {
            self.inner.dropped.fetch_add(1, Ordering::Relaxed);
        }
        self.inner.noted.notify_one();
    }

    /// Notes what the system did to so many things; nothing where it did nothing.
    pub fn happened(&self, action: Action, count: i64, detail: Option<String>) {
        if count > 0 {
            self.note(Activity { count, detail, ..Activity::new(action, Ending::Done) });
        }
    }

    /// Writes what is noted, until `stop`; then all that is left.
    pub async fn keep(&self, stop: CancellationToken) {
        while stop.run_until_cancelled(self.gathered()).await.is_some() {
            self.write(APART).await;
            if !self.waiting().is_empty() {
                self.inner.noted.notify_one();
            }
        }
        if !self.write_all().await {
            let entries = self.waiting().len();
            tracing::error!(entries, "the last of what was done could not be written down");
        }
    }

    /// Writes everything noted so far; whether it is on disk. What could not be written within 2 s is tried on.
    pub async fn settle(&self) -> bool {
        let journal = self.clone();
        timeout(SETTLE, own(async move { journal.write_all().await })).await.unwrap_or(false)
    }

    /// Something was noted a moment ago.
    async fn gathered(&self) {
        self.inner.noted.notified().await;
        sleep(GATHER).await;
    }

    /// Writes everything there is, or as much as can be written; whether that is all.
    async fn write_all(&self) -> bool {
        while self.write(Duration::ZERO).await {
            if self.waiting().is_empty() {
                return true;
            }
        }
        false
    }

    /// Writes what waits, of what comes in great numbers only that whose last entry is so long ago. Whether it went well.
    async fn write(&self, apart: Duration) -> bool {
        let _turn = self.inner.turn.lock().await;
        let mut entries = self.waiting().take_out(apart);
        let dropped = std::mem::take(&mut self.waiting().dropped);
        if dropped > 0 {
            let entry = Activity { count: dropped, ..Activity::new(Action::ActivityDropped, Ending::Done) };
            let (now, node) = (self.inner.clock.now(), self.inner.node.get().cloned().unwrap_or_default());
            entries.push(Activity { id: self.inner.ids.next(now), at: now, node, ..entry });
        }
        if entries.is_empty() {
            return true;
        }
        let Err(error) = self.inner.store.add_activity(&entries).await else { return true };
        error.tell("what was done could not be written down; it is tried again in a moment");
        self.waiting().put_back(entries);
        false
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.inner.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    /// Whether there was a place for it.
    fn take_in(&mut self, entry: Activity) -> bool {
        let room = self.alone.len() + self.many.len() < MOST;
        match entry.same() {
            Some(same) => match self.many.get_mut(&same) {
                Some(Many { entry: Some(known), .. }) => known.take_in(entry),
                Some(many) => many.entry = Some(entry),
                None if room => drop(self.many.insert(same, Many { entry: Some(entry), written: None })),
                None => return self.drop_one(),
            },
            None if room => self.alone.push_back(entry),
            None => return self.drop_one(),
        }
        true
    }

    fn drop_one(&mut self) -> bool {
        self.dropped += 1;
        false
    }

    /// What is to be written now.
    fn take_out(&mut self, apart: Duration) -> Vec<Activity> {
        let now = Instant::now();
        let recent = |many: &Many, apart| many.written.is_some_and(|written| now.duration_since(written) < apart);
        let fitting = self.alone.len().min(MOST_A_WRITE);
        let mut entries: Vec<Activity> = self.alone.drain(..fitting).collect();
        for many in self.many.values_mut() {
            if entries.len() >= MOST_A_WRITE {
                break;
            }
            if many.entry.is_some() && !recent(many, apart) {
                entries.extend(many.entry.take());
                many.written = Some(now);
            }
        }
        self.many.retain(|_, many| many.entry.is_some() || recent(many, APART));
        entries
    }

    /// What could not be written goes first the next time. It had its place.
    fn put_back(&mut self, entries: Vec<Activity>) {
        for entry in entries.into_iter().rev() {
            match entry.action == Action::ActivityDropped.word() {
                true => self.dropped += entry.count,
                false => self.alone.push_front(entry),
            }
        }
    }

    fn is_empty(&self) -> bool {
        self.len() == 0 && self.dropped == 0
    }

    /// Entries that wait.
    fn len(&self) -> usize {
        self.alone.len() + self.many.values().filter(|many| many.entry.is_some()).count()
    }
}
