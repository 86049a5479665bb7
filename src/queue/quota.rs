//! Quotas: how much an owner may have at once. Off where nobody sets them.
//!
//! What an owner has is read at most once a second ([`FRESH`]), and what this node adds is counted on top, so that no
//! submit costs a question. What this node adds is never too much. What other nodes added since the last reading is not
//! seen: with n nodes, an owner may get beyond by what it sends to n - 1 of them within a second. What ends makes room once
//! it is read again.

use super::batch::{Batch, Operation};
use super::{Error, Queue};
use crate::store::{self, Store};
use crate::task::{Change, Scope, Status, Task};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What was read is good for so long.
const FRESH: Duration = Duration::from_secs(1);
/// Uploads have no end of their own: somebody must delete some.
const UNTIL_DELETED: Duration = Duration::from_secs(60);

/// How much each owner may have at once; `None` is any number.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Quotas {
    /// Tasks that wait or run.
    pub open_tasks: Option<u64>,
    /// Bytes of uploads.
    pub stored_bytes: Option<u64>,
}

/// A part of a quota that was taken; given back when it is dropped.
pub struct Share(Option<Taken>);

struct Taken {
    meter: Arc<Meter>,
    owner: String,
    n: u64,
    /// What it was taken for may happen by now: dropped, it counts until the next reading.
    begun: bool,
}

/// The quotas at work.
pub(super) struct Meters {
    settings: Quotas,
    tasks: Option<Arc<Meter>>,
    bytes: Option<Arc<Meter>>,
}

/// What every owner has of one thing.
struct Meter {
    what: What,
    most: u64,
    seen: Arc<Seen>,
    looks: Batch<Look, ()>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    OpenTasks,
    StoredBytes,
}

/// What was read, and what came on top. Owners are those of keys, so there are few.
struct Seen {
    what: What,
    store: Arc<dyn Store>,
    owners: Mutex<HashMap<String, Known>>,
}

#[derive(Default)]
struct Known {
    /// From before it was read.
    read_at: Option<Instant>,
    read: u64,
    /// Added here since then.
    added: u64,
    /// Being added.
    under_way: u64,
}

/// A look at what an owner has: whoever asks while one is under way shares the next.
struct Look(String);

impl Operation for Look {
    type Key = ();
}

impl Queue {
    /// The quotas of every owner.
    pub fn quotas(&self) -> Quotas {
        self.inner.meters.settings
    }

    /// Room for so many more bytes of uploads, or [`Error::QuotaExceeded`].
    pub async fn room(&self, owner: &str, bytes: u64) -> Result<Share, Error> {
        take(self.inner.meters.bytes.as_ref(), owner, bytes).await
    }

    /// The owner has deleted some: the next look sees how much.
    pub(super) fn count_bytes_again(&self, owner: &str) {
        let Some(meter) = &self.inner.meters.bytes else { return };
        if let Some(known) = meter.seen.owners().get_mut(owner) {
            known.read_at = None;
        }
    }

    /// Places for so many more tasks that wait or run, or [`Error::QuotaExceeded`].
    pub(super) async fn places(&self, owner: &str, tasks: usize) -> Result<Share, Error> {
        take(self.inner.meters.tasks.as_ref(), owner, tasks as u64).await
    }

    /// Writes a retry, which takes a place like a submit. `None`: the row has moved on.
    pub(super) async fn reopen(&self, owner: &str, retry: Change) -> Result<Option<Task>, Error> {
        let mut place = self.places(owner, 1).await?;
        place.begin();
        let reopened = self.write(retry).await?;
        if reopened.is_none() {
            place.give_back();
        }
        Ok(reopened)
    }
}

async fn take(meter: Option<&Arc<Meter>>, owner: &str, n: u64) -> Result<Share, Error> {
    let Some(meter) = meter else { return Ok(Share(None)) };
    meter.take(owner, n).await?;
    Ok(Share(Some(Taken { meter: meter.clone(), owner: owner.to_owned(), n, begun: false })))
}

impl Share {
    /// How much was taken; where there is no quota, everything.
    pub fn size(&self) -> u64 {
        self.0.as_ref().map_or(u64::MAX, |taken| taken.n)
    }

    /// Takes more.
    pub async fn grow(&mut self, n: u64) -> Result<(), Error> {
        if let Some(taken) = &mut self.0 {
            taken.meter.take(&taken.owner, n).await?;
            taken.n += n;
        }
        Ok(())
    }

    /// What it was taken for is being written, and may happen whoever waits for it.
    pub fn begin(&mut self) {
        if let Some(taken) = &mut self.0 {
            taken.begun = true;
        }
    }

    /// So much of it is used, and the rest is given back.
    pub fn used(mut self, n: u64) {
        if let Some(taken) = &mut self.0 {
            taken.begun = true;
            let more = std::mem::replace(&mut taken.n, n);
            taken.settle(|known| known.under_way = known.under_way + n - more);
        }
    }

    /// Nothing came of it.
    pub fn give_back(self) {
        self.used(0);
    }
}

impl Taken {
    fn settle(&self, change: impl FnOnce(&mut Known)) {
        change(self.meter.seen.owners().entry(self.owner.clone()).or_default());
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.settle(|known| {
            known.under_way -= self.n;
            known.added += if self.begun { self.n } else { 0 };
        });
    }
}

impl Meters {
    /// Must be called on a tokio runtime if there is any quota.
    pub fn new(settings: Quotas, store: &Arc<dyn Store>) -> Meters {
        let meter = |what, most: Option<u64>| most.map(|most| Arc::new(Meter::new(what, most, store.clone())));
        Meters {
            settings,
            tasks: meter(What::OpenTasks, settings.open_tasks),
            bytes: meter(What::StoredBytes, settings.stored_bytes),
        }
    }
}

impl Meter {
    fn new(what: What, most: u64, store: Arc<dyn Store>) -> Meter {
        let seen = Arc::new(Seen { what, store, owners: Mutex::default() });
        let looks = Batch::start(usize::MAX, {
            let seen = seen.clone();
            move |looks: Vec<Look>| {
                let seen = seen.clone();
                async move {
                    let mut read = Ok(vec![(); looks.len()]);
                    for Look(owner) in &looks {
                        if let Err(error) = seen.read(owner).await {
                            read = Err(error);
                        }
                    }
                    (looks, read)
                }
            }
        });
        Meter { what, most, seen, looks }
    }

    async fn take(&self, owner: &str, n: u64) -> Result<(), Error> {
        if !self.seen.is_fresh(owner) {
            self.looks.write(Look(owner.to_owned())).await?;
        }
        let mut owners = self.seen.owners();
        let known = owners.entry(owner.to_owned()).or_default();
        if known.read + known.added + known.under_way + n > self.most {
            return Err(self.exceeded());
        }
        known.under_way += n;
        Ok(())
    }

    fn exceeded(&self) -> Error {
        let (what, wait) = match self.what {
            What::OpenTasks => ("tasks that wait or run", FRESH),
            What::StoredBytes => ("bytes of uploads", UNTIL_DELETED),
        };
        Error::QuotaExceeded { what, most: self.most, wait }
    }
}

impl Seen {
    fn owners(&self) -> MutexGuard<'_, HashMap<String, Known>> {
        self.owners.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_fresh(&self, owner: &str) -> bool {
        self.owners().get(owner).and_then(|known| known.read_at).is_some_and(|at| at.elapsed() < FRESH)
    }

    /// Reads what the owner has, unless somebody just did. What was under way meanwhile may be counted twice until the
    /// next reading, never not at all.
    async fn read(&self, owner: &str) -> store::Result<()> {
        if self.is_fresh(owner) {
            return Ok(());
        }
        let read_at = Instant::now();
        let before = self.owners().get(owner).map_or(0, |known| known.added);
        let read = match self.what {
            What::OpenTasks => {
                let counts = self.store.counts(&Scope::Owner(owner.to_owned())).await?;
                let open = counts.iter().filter(|count| matches!(count.status, Status::Pending | Status::Running));
                open.map(|count| count.n).sum()
            }
            What::StoredBytes => self.store.stored(owner).await?,
        };
        let mut owners = self.owners();
        let known = owners.entry(owner.to_owned()).or_default();
        known.read_at = Some(read_at);
        known.read = u64::try_from(read).unwrap_or_default();
        known.added -= before;
        Ok(())
    }
}
