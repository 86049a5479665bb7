//! The one reader of a node: from the change log, and from the rows of running tasks, to the hub.

use super::{Feed, Hub, Loss, News};
use crate::clock::Clock;
use crate::events::Events;
use crate::store::{Database, Result, Store, Wake};
use crate::task::{Progress, Scope, Status, Task, Time};
use futures_util::FutureExt;
use std::collections::{HashMap, HashSet};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{broadcast, watch};
use tokio::time::{Instant, sleep_until};
use uuid::Uuid;

/// Entries read at once.
const PAGE: i64 = 500;
/// Running tasks read at once; more than all nodes of a database run.
const MAX_RUNNING: i64 = 50_000;
/// Reads begin so far apart: a hundred commits a second are no hundred reads.
const APART: Duration = Duration::from_millis(15);
/// Progress is looked at so often: four times a second a task at most, and the last is never left out.
const PROGRESS: Duration = Duration::from_millis(250);
/// How often it looks without a word, where other nodes write too: they say when something is ready or
/// to be cancelled, and nothing else of tasks.
const POLL: Duration = Duration::from_millis(250);
/// The same where there are none.
const POLL_ALONE: Duration = Duration::from_secs(1);
/// How often it looks whether the log still reaches back to where it stands.
const BOUNDS: Duration = Duration::from_secs(1);
/// A row may say it changed so long before one can read it: nodes' clocks differ, and a write takes its time.
const LATE_MS: i64 = 6_000;

/// Reads on from where the hub stands.
pub struct Reader {
    store: Arc<dyn Store>,
    clock: Clock,
    hub: Arc<Hub>,
    log: watch::Receiver<()>,
    said: watch::Receiver<()>,
    wakes: broadcast::Receiver<Wake>,
    /// The progress last told of what runs, with the version of its task.
    known: HashMap<Uuid, (i64, Progress)>,
    /// When progress was last looked at, by the shared clock.
    looked: Time,
    bounds_at: Instant,
}

impl Reader {
    /// One that begins at the log's end, and where that is.
    pub async fn at_the_end(feed: &Feed) -> Result<(Reader, i64)> {
        let Feed { store, clock, events, hub, .. } = feed;
        let events: &Events = events;
        let mut reader = Reader {
            store: store.clone(),
            clock: clock.clone(),
            hub: hub.clone(),
            log: events.log(),
            said: events.saying(),
            wakes: store.wakes(),
            known: HashMap::new(),
            looked: clock.now(),
            bounds_at: Instant::now() + BOUNDS,
        };
        let (start, end) = store.log_bounds().await?;
        let since = reader.looked.plus(-LATE_MS);
        for task in store.stirred(since, since, MAX_RUNNING).await? {
            reader.note(&task);
        }
        Ok((reader, end.max(start)))
    }

    /// Reads for as long as anybody follows. A mistake of ours costs the followers a gap that they are
    /// told of, not the feed.
    pub async fn run(mut self) {
        while AssertUnwindSafe(self.follow()).catch_unwind().await.is_err() {
            tracing::error!("the live feed has panicked: it goes on at the log's end");
            self.hub.lose(self.hub.position(), Loss::Behind);
            sleep_until(Instant::now() + POLL_ALONE).await;
        }
    }

    async fn follow(&mut self) {
        let alone = self.store.database() == Database::Sqlite;
        let poll = if alone { POLL_ALONE } else { POLL };
        let (mut next_poll, mut next_look, mut look) = (Instant::now() + poll, Instant::now(), true);
        while self.hub.is_followed() {
            let began = Instant::now();
            let looks = look && began >= next_look;
            match self.read(looks).await {
                Ok(()) if looks => (look, next_look) = (false, began + PROGRESS),
                Ok(()) => {}
                Err(error) => {
                    error.tell("the live feed could not read; it tries again");
                    sleep_until(began + POLL).await;
                }
            }
            sleep_until(began + APART).await;
            tokio::select! {
                _ = self.log.changed() => {}
                _ = self.said.changed() => look = true,
                wake = self.wakes.recv(), if !alone => drop(wake),
                () = sleep_until(next_look), if look => {}
                () = sleep_until(next_poll) => {
                    next_poll = Instant::now() + poll;
                    look |= !alone;
                }
                () = self.hub.called.notified() => look |= self.hub.has_unaware(),
            }
        }
    }

    /// Tells everything the log has by now, and then what running tasks said.
    async fn read(&mut self, looks: bool) -> Result<()> {
        let now = self.clock.now();
        let unaware = if looks { self.hub.take_unaware() } else { HashSet::new() };
        // Of everything that runs for those who know nothing of it yet.
        let lately = self.looked.min(now).plus(-LATE_MS);
        let since = if unaware.is_empty() { lately } else { Time(0) };
        // The rows first: whatever led to one then stands in what is read of the log after it.
        let rows = if looks { self.store.stirred(since, lately, MAX_RUNNING).await? } else { Vec::new() };
        let newer = self.read_log(looks).await?;
        let seq = self.hub.position();
        let (mut new, mut known) = (Vec::new(), Vec::new());
        for task in rows {
            if newer.get(&task.id).is_some_and(|version| *version > task.version) {
                continue;
            }
            let said = task.progress != Progress::default();
            match self.note(&task) {
                true => new.push(News::progress(seq, task)),
                false if said => known.push(News::progress(seq, task)),
                false => {}
            }
        }
        self.hub.publish(new);
        self.hub.publish_to(&unaware, known);
        if looks {
            self.looked = now;
        }
        Ok(())
    }

    /// Tells everything the log has by now; answers the versions of these tasks.
    async fn read_log(&mut self, looks: bool) -> Result<HashMap<Uuid, i64>> {
        let mut versions = HashMap::new();
        loop {
            let entries = self.store.changes(&Scope::Everyone, self.hub.position(), PAGE).await?;
            for task in entries.iter().map(|entry| &entry.task) {
                self.note(task);
                if looks {
                    versions.insert(task.id, task.version);
                }
            }
            let n = entries.len() as i64;
            self.hub.publish(entries.into_iter().map(News::of).collect());
            match n {
                0 => break self.check_bounds().await?,
                n if n < PAGE => break,
                _ => {}
            }
        }
        Ok(versions)
    }

    /// Whether this is new of a task that runs.
    fn note(&mut self, task: &Task) -> bool {
        if task.status != Status::Running {
            self.known.remove(&task.id);
            return false;
        }
        let said = (task.version, task.progress.clone());
        self.known.insert(task.id, said.clone()).is_none_or(|known| known != said)
    }

    /// Where nothing came: whether that is because what comes next was deleted, or because the log is
    /// another one, shorter than it was.
    async fn check_bounds(&mut self) -> Result<()> {
        if Instant::now() < self.bounds_at {
            return Ok(());
        }
        let (start, end) = self.store.log_bounds().await?;
        let (position, end) = (self.hub.position(), end.max(start));
        if start > position || end < position {
            self.hub.lose(end, Loss::Expired);
        }
        self.bounds_at = Instant::now() + BOUNDS;
        Ok(())
    }
}
