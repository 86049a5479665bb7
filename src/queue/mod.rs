//! The one door for every change of state, and for every look at it.
//!
//! It asks the clock, decides through [`crate::task`], has the store write by compare, and tells
//! whoever listens. Concurrent submits and finishes are gathered into one write ([`batch`]).

pub mod activity;
mod announce;
mod approvals;
mod batch;
mod bulk;
mod checkpoint;
pub mod costs;
mod explain;
pub mod feed;
mod health;
mod ids;
mod journal;
pub mod keys;
mod leftovers;
mod list;
pub mod notifications;
mod operations;
mod pace;
pub mod present;
mod queues;
mod quota;
mod read;
mod retain;
mod series;
mod stats;
mod submit;
mod sweep;
mod work;

use crate::clock::Clock;
use crate::events::Events;
use crate::fault;
use crate::files::{self, Files};
use crate::store::{self, Save, Saved, Stamp, Store, Submission, Submitted};
use crate::task::{Change, Scope, Status, Task, Time};
use crate::types::Types;
use announce::{announce, announce_new};
use batch::Batch;
use costs::RunTime;
use feed::Feed;
use health::Health;
use ids::Ids;
use operations::Look;
use pace::Pace;
use quota::Meters;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;
use uuid::Uuid;

pub use bulk::Bulk;
pub use checkpoint::Kept;
pub use explain::Reason;
pub use journal::Journal;
pub use queues::Queues;
pub use quota::{Quotas, Share};
pub use read::{Attempt, ChangePage};
pub use retain::{Progress, Retention};
pub use series::{Point, Series};
pub use stats::{Pair, Quantiles, Stats};
pub use submit::{Invalid, Prepared, UNKNOWN_TYPE};
pub use work::Reported;

/// One write takes at most about this many tasks.
const WRITE_WEIGHT: usize = 2_000;

/// Why the door did not open.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No such task within the caller's scope.
    #[error("no such task")]
    NotFound,
    /// No such upload within the caller's scope.
    #[error("no such file")]
    FileNotFound,
    /// A task in this status cannot be cancelled.
    #[error("a task that is {} cannot be cancelled", .0.word())]
    NotCancellable(Status),
    /// A task in this status cannot be retried.
    #[error("a task that is {} cannot be retried", .0.word())]
    NotRetryable(Status),
    /// A task that waits for no approval can be neither approved nor rejected.
    #[error("the task does not wait for an approval")]
    NoneAwaited,
    /// The idempotency key was used with another body.
    #[error("the idempotency key was used with another body")]
    KeyReused,
    /// The change log no longer reaches back so far; it reaches back to this number.
    #[error("the change log reaches back to {0} only")]
    SequenceExpired(i64),
    /// The change log never had this number.
    #[error("the change log has not come so far")]
    SequenceAhead,
    /// More is muted than may be.
    #[error("at most {} may be muted", crate::task::notification::MAX_MUTED)]
    TooManyMuted,
    /// A checkpoint that cannot be kept, and why.
    #[error("{0}")]
    InvalidCheckpoint(String),
    /// The owner would have more than it may.
    #[error("an owner may have at most {most} {what}")]
    QuotaExceeded {
        /// Of what.
        what: &'static str,
        /// How much it may have.
        most: u64,
        /// When it may be worth another try.
        wait: Duration,
    },
    /// The database did not do it.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The file store did not do it.
    #[error(transparent)]
    Files(#[from] files::Error),
}

impl Error {
    /// Writes to the log what could not be done; see [`store::Error::tell`].
    pub fn tell(&self, what: &str) {
        match self {
            Error::Store(error) => error.tell(what),
            error => tracing::warn!(%error, "{what}"),
        }
    }
}

/// The door. Cheap to clone.
#[derive(Clone)]
pub struct Queue {
    inner: Arc<Inner>,
}

struct Inner {
    store: Arc<dyn Store>,
    clock: Clock,
    events: Events,
    types: Types,
    files: Files,
    /// When this process began to use the database.
    began: Time,
    pace: Arc<Pace>,
    run_time: Arc<RunTime>,
    /// Of the submits, of the transitions.
    health: [Arc<Health>; 2],
    submits: Batch<Submission, Submitted>,
    changes: Batch<Change, Option<Task>>,
    saves: Batch<Save, Saved>,
    /// Reads, gathered like writes: whoever asks while one is in flight shares the next.
    stamps: Batch<Look, Stamp>,
    /// Likewise.
    numbers: Batch<Scope, Stats>,
    meters: Meters,
    ids: Ids,
    journal: Journal,
    feed: Feed,
    activity_feed: activity::feed::Feed,
    marked: notifications::Marked,
    fenced: AtomicU64,
    /// Places of this node's pool that are taken.
    busy: Arc<AtomicUsize>,
}

impl Queue {
    /// Opens the door to a store. Must be called on a tokio runtime: its writers run there.
    pub fn open(store: Arc<dyn Store>, clock: Clock, types: Types, files: Files) -> Queue {
        Queue::open_with(store, clock, types, files, Quotas::default())
    }

    /// The same, where no owner may have more than this.
    pub fn open_with(store: Arc<dyn Store>, clock: Clock, types: Types, files: Files, quotas: Quotas) -> Queue {
        let events = Events::default();
        let pace = Arc::new(Pace::new(Uuid::now_v7().to_string()));
        let run_time = Arc::<RunTime>::default();
        let health = ["submit", "transition"].map(|kind| Arc::new(Health::of(kind)));
        let submits = Batch::start(WRITE_WEIGHT, {
            let (store, events, pace, health) = (store.clone(), events.clone(), pace.clone(), health[0].clone());
            move |operations: Vec<Submission>| {
                let (store, events, pace, health) = (store.clone(), events.clone(), pace.clone(), health.clone());
                async move {
                    if let Err(failure) = fault::fails("submit_taken").await {
                        return (operations, Err(failure.into()));
                    }
                    let written = fault::during("submit_in_flight", store.insert(&operations)).await;
                    fault::point("submit_committed").await;
                    health.note(&written);
                    if let Ok(answers) = &written {
                        announce_new(&*store, &events, &pace, operations.iter().zip(answers));
                    }
                    fault::point("submit_announced").await;
                    (operations, written)
                }
            }
        });
        let changes = Batch::start(WRITE_WEIGHT, {
            let (store, events, health) = (store.clone(), events.clone(), health[1].clone());
            let (pace, run_time) = (pace.clone(), run_time.clone());
            move |operations: Vec<Change>| {
                let (store, events, health) = (store.clone(), events.clone(), health.clone());
                let (pace, run_time) = (pace.clone(), run_time.clone());
                async move {
                    if let Err(failure) = fault::fails("change_taken").await {
                        return (operations, Err(failure.into()));
                    }
                    let written = fault::during("change_in_flight", store.apply(&operations)).await;
                    fault::point("change_committed").await;
                    health.note(&written);
                    if let Ok(tasks) = &written {
                        let pairs = operations.iter().zip(tasks);
                        let happened = pairs.filter_map(|(change, task)| Some((change.event, task.as_ref()?)));
                        run_time.happened(happened.clone());
                        announce(&*store, &events, &pace, happened);
                    }
                    fault::point("change_announced").await;
                    (operations, written)
                }
            }
        });
        let saves = Batch::start(WRITE_WEIGHT, {
            let (store, clock) = (store.clone(), clock.clone());
            move |operations: Vec<Save>| {
                let (store, now) = (store.clone(), clock.now());
                async move {
                    if let Err(failure) = fault::fails("save_taken").await {
                        return (operations, Err(failure.into()));
                    }
                    let written = fault::during("save_in_flight", store.save(&operations, now)).await;
                    fault::point("save_committed").await;
                    (operations, written)
                }
            }
        });
        let stamps = Batch::start(usize::MAX, {
            let store = store.clone();
            move |looks: Vec<Look>| {
                let store = store.clone();
                async move {
                    let stamp = store.stamp().await;
                    let stamps = stamp.map(|stamp| vec![stamp; looks.len()]);
                    (looks, stamps)
                }
            }
        });
        let numbers = Batch::start(usize::MAX, {
            let (store, clock, pace) = (store.clone(), clock.clone(), pace.clone());
            move |scopes: Vec<Scope>| {
                let (store, now, pace) = (store.clone(), clock.now(), pace.clone());
                async move {
                    let numbers = stats::of_each(&*store, &pace, now, &scopes).await;
                    (scopes, numbers)
                }
            }
        });
        let meters = Meters::new(quotas, &store);
        let journal = Journal::new(store.clone(), clock.clone());
        let activity_feed = activity::feed::Feed::new(store.clone());
        let (began, feed) = (clock.now(), Feed::new(store.clone(), clock.clone(), events.clone()));
        Queue {
            inner: Arc::new(Inner {
                marked: notifications::Marked::new(store.clone()),
                store,
                clock,
                events,
                types,
                files,
                began,
                pace,
                run_time,
                health,
                submits,
                changes,
                saves,
                stamps,
                numbers,
                meters,
                ids: Ids::default(),
                journal,
                feed,
                activity_feed,
                fenced: AtomicU64::new(0),
                busy: Arc::default(),
            }),
        }
    }

    /// Where the database stands by now; many callers share one look.
    pub async fn stamp(&self) -> Result<Stamp, Error> {
        Ok(self.inner.stamps.write(Look).await?)
    }

    /// The clock that leases and due times go by.
    pub fn clock(&self) -> &Clock {
        &self.inner.clock
    }

    /// The signals of this node.
    pub fn events(&self) -> &Events {
        &self.inner.events
    }

    /// The task types of this node.
    pub fn types(&self) -> &Types {
        &self.inner.types
    }

    /// Where uploads and artifacts are kept.
    pub fn file_store(&self) -> &Files {
        &self.inner.files
    }

    /// The store below, for its clock, its wake-ups and its end. Whoever changes a task's state
    /// through it goes round the door.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.inner.store
    }

    /// Where it is noted who did what.
    pub fn journal(&self) -> &Journal {
        &self.inner.journal
    }

    /// How many writes of attempts were refused because their lease was no longer current.
    pub fn fenced(&self) -> u64 {
        self.inner.fenced.load(Ordering::Relaxed)
    }

    /// Counts more of them.
    pub fn count_fenced(&self, n: u64) {
        self.inner.fenced.fetch_add(n, Ordering::Relaxed);
    }

    /// Cancels a task: `PENDING` is `CANCELLED` on return; `RUNNING` is asked to stop and will be
    /// `CANCELLED` (or win the race and be `SUCCESS`). Asked again, or cancelled already: the task as it is.
    pub async fn cancel(&self, scope: &Scope, id: Uuid, by: &str) -> Result<Task, Error> {
        loop {
            let task = self.get(scope, id).await?;
            let Some(change) = task.cancel(self.inner.clock.now(), by).map_err(Error::NotCancellable)? else {
                return Ok(task);
            };
            fault::point("cancel_decided").await;
            if let Some(after) = self.write(change).await? {
                return Ok(Task { params: task.params, ..after });
            }
        }
    }

    /// Sets a `FAILED` or `CANCELLED` task going again: the same id, its history kept, its full
    /// number of attempts before it. It counts as open again, so it may be [`Error::QuotaExceeded`].
    pub async fn retry(&self, scope: &Scope, id: Uuid, by: &str) -> Result<Task, Error> {
        loop {
            let task = self.get(scope, id).await?;
            let change = task.retry(self.inner.clock.now(), by).map_err(Error::NotRetryable)?;
            fault::point("retry_decided").await;
            if let Some(after) = self.reopen(&task.owner, change).await? {
                return Ok(Task { params: task.params, ..after });
            }
        }
    }

    /// Writes one change, together with others. `None`: the row has moved on.
    async fn write(&self, change: Change) -> Result<Option<Task>, Error> {
        Ok(self.inner.changes.write(change).await?)
    }
}
