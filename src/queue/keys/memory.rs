//! The keys in memory, and how they stay true.
//!
//! What is known is at most [`STALE`] old, so that a new, a revoked and an expired key is one at every
//! node within 5 s. Whoever calls has it read again once it is [`FRESH`] no more, beside the call; only
//! where nobody called for a while does a call wait for it. A node that nobody calls asks for nothing.

use super::super::batch::{Batch, Operation};
use super::Identity;
use super::table::Table;
use crate::store::{self, Store};
use crate::task::Time;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// After so long what is known is read again, beside whoever calls.
pub const FRESH: Duration = Duration::from_secs(2);
/// What is known is good for no longer than this: whoever calls waits until it was read again.
pub const STALE: Duration = Duration::from_secs(4);
/// When a key was last used is written down at most so often for each.
const NOTE_MS: i64 = 60_000;

/// The keys as they were read. None is ever forgotten by the database, so none at all means that there
/// never was one.
#[derive(Default)]
pub struct Known {
    /// From before they were read; `None`: never yet.
    read_at: Option<Instant>,
    /// The database's number for them.
    changes: i64,
    /// By id, revoked and expired ones too.
    pub keys: Table,
}

/// What is known, and the one who reads it again.
pub struct Memory {
    shared: Arc<Shared>,
    reads: Arc<Batch<Read, ()>>,
}

struct Shared {
    store: Arc<dyn Store>,
    known: RwLock<Arc<Known>>,
    /// It is being read again beside a call.
    reading: AtomicBool,
    /// Moves when it has changed.
    moved: watch::Sender<()>,
    /// When keys were last used and when that was last written down.
    used: Mutex<HashMap<String, Use>>,
}

#[derive(Clone, Copy)]
struct Use {
    at: Time,
    noted: Time,
}

/// A look at the keys: whoever asks while one is under way shares the next.
struct Read;

impl Operation for Read {
    type Key = ();
}

impl Memory {
    /// Nothing is read yet.
    pub fn of(store: Arc<dyn Store>) -> Memory {
        let shared = Arc::new(Shared {
            store,
            known: RwLock::default(),
            reading: AtomicBool::new(false),
            moved: watch::Sender::new(()),
            used: Mutex::default(),
        });
        let reads = Batch::start(usize::MAX, {
            let shared = shared.clone();
            move |reads: Vec<Read>| {
                let shared = shared.clone();
                async move {
                    let read = shared.read().await.map(|()| vec![(); reads.len()]);
                    (reads, read)
                }
            }
        });
        Memory { shared, reads: Arc::new(reads) }
    }

    /// What is known, not older than [`STALE`].
    pub async fn known(&self) -> store::Result<Arc<Known>> {
        let known = self.shared.known();
        match known.read_at.map(|at| at.elapsed()) {
            Some(age) if age < FRESH => return Ok(known),
            Some(age) if age < STALE => {
                if !self.shared.reading.swap(true, Ordering::Relaxed) {
                    let (shared, reads) = (self.shared.clone(), self.reads.clone());
                    // Ends with the read, which is bounded. Whether it went well is seen by its outcome.
                    tokio::spawn(async move {
                        if let Err(error) = reads.write(Read).await {
                            error.tell("the keys could not be read; trying again");
                        }
                        shared.reading.store(false, Ordering::Relaxed);
                    });
                }
                return Ok(known);
            }
            _ => {}
        }
        self.read().await?;
        Ok(self.shared.known())
    }

    /// Reads it anew.
    pub async fn read(&self) -> store::Result<()> {
        self.reads.write(Read).await
    }

    /// Tells whenever it has changed.
    pub fn moved(&self) -> watch::Receiver<()> {
        self.shared.moved.subscribe()
    }

    /// That a key was used; written down with the next read, if that is due.
    pub fn used(&self, id: &str, at: Time) {
        let mut used = self.shared.used();
        match used.get_mut(id) {
            Some(known) => known.at = at,
            None => drop(used.insert(id.to_owned(), Use { at, noted: Time(0) })),
        }
    }
}

impl Shared {
    fn known(&self) -> Arc<Known> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn used(&self) -> MutexGuard<'_, HashMap<String, Use>> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for the number of the keys, and for the keys where it has moved: the number first, so that a
    /// change in between is seen the next time.
    async fn read(self: &Arc<Self>) -> store::Result<()> {
        let (before, read_at) = (self.known(), Instant::now());
        let changes = self.store.key_changes().await?;
        let changed = before.read_at.is_none() || before.changes != changes;
        let keys = match changed {
            true => {
                let keys = self.store.keys().await?.into_iter();
                Table::of(keys.map(|key| (key.id.clone(), Arc::new(Identity::of_key(key)))))
            }
            false => before.keys.clone(),
        };
        let known = Arc::new(Known { read_at: Some(read_at), changes, keys });
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = known;
        if changed {
            self.moved.send_replace(());
        }
        self.note();
        Ok(())
    }

    /// Writes down when keys were last used, beside everything else. What a stop loses is a minute.
    fn note(self: &Arc<Self>) {
        let mut due: Vec<(String, Time)> = Vec::new();
        let (known, mut used) = (self.known(), self.used());
        used.retain(|id, _| known.keys.get(id).is_some()); // not those of the settings
        for (id, known) in used.iter_mut() {
            if known.at.since(known.noted) >= NOTE_MS {
                known.noted = known.at;
                due.push((id.clone(), known.at));
            }
        }
        drop(used);
        if due.is_empty() {
            return;
        }
        due.sort_unstable();
        let shared = self.clone();
        tokio::spawn(async move {
            if let Err(error) = shared.store.note_key_use(&due).await {
                tracing::debug!(%error, "when keys were last used could not be written down");
            }
        });
    }
}
