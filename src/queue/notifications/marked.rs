//! What owners mark, told to whoever watches here.
//!
//! What this node writes is told at once; another node says that something was marked, and then the rows of those who
//! are watched here are read, all in one question. Nothing is asked on a timer: while nobody watches, or nobody marks,
//! this costs nothing. A word of another node that is lost is made up for by its next one.

use crate::store::{Result, Store, Wake};
use crate::task::Marks;
use futures_util::FutureExt;
use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep};

/// Rows are read so far apart, however often other nodes say that something was marked.
const APART: Duration = Duration::from_millis(100);
/// What could not be read is read again after this.
const AGAIN: Duration = Duration::from_secs(1);

/// Who watches at one node. Cheap to clone.
#[derive(Clone)]
pub(in crate::queue) struct Marked {
    store: Arc<dyn Store>,
    hub: Arc<Hub>,
}

#[derive(Default)]
struct Hub {
    state: Mutex<State>,
    /// Somebody has left.
    left: Notify,
}

#[derive(Default)]
struct State {
    /// Whether other nodes are listened to.
    is_heard: bool,
    /// By owner; nothing is known of one until its row was read first.
    known: HashMap<String, watch::Sender<Option<Arc<Marks>>>>,
}

/// One that watches an owner's marks; until dropped.
pub struct Watcher {
    // In this order: it is gone before that is told.
    newest: watch::Receiver<Option<Arc<Marks>>>,
    _leaves: Leaves,
}

struct Leaves(Arc<Hub>);

impl Drop for Leaves {
    fn drop(&mut self) {
        self.0.left.notify_one();
    }
}

impl Watcher {
    /// The marks as they are known here.
    pub fn marks(&self) -> Arc<Marks> {
        self.newest.borrow().clone().unwrap_or_default()
    }

    /// The marks once they are others than it was told before: only the newest wait. A call that is dropped takes nothing.
    pub async fn changed(&mut self) -> Arc<Marks> {
        while self.newest.changed().await.is_ok() {
            if let Some(marks) = self.newest.borrow_and_update().clone() {
                return marks;
            }
        }
        std::future::pending().await
    }
}

impl Marked {
    pub fn new(store: Arc<dyn Store>) -> Marked {
        Marked { store, hub: Arc::default() }
    }

    pub fn is_watched(&self) -> bool {
        self.hub.lock().is_heard
    }

    /// One more watcher. The first one has other nodes listened to.
    pub async fn watch(&self, owner: &str) -> Result<Watcher> {
        let (mut watcher, is_first) = self.hub.clone().join(owner);
        if is_first {
            tokio::spawn(self.clone().run(self.store.wakes()));
        }
        // Whatever is marked behind this read is told.
        let found = self.store.marks(&[owner.to_owned()]).await?;
        self.tell(owner, found.into_iter().next().map(|(_, marks)| marks).unwrap_or_default());
        watcher.newest.mark_unchanged();
        Ok(watcher)
    }

    /// Tells those who watch this owner, unless they know it or better.
    pub fn tell(&self, owner: &str, marks: Marks) {
        if let Some(newest) = self.hub.lock().known.get(owner) {
            newest.send_if_modified(|known| {
                let is_news = known.as_ref().is_none_or(|known| known.version < marks.version);
                if is_news {
                    *known = Some(Arc::new(marks));
                }
                is_news
            });
        }
    }

    /// Listens to other nodes for as long as anybody watches. A mistake of ours costs a moment.
    async fn run(self, mut wakes: broadcast::Receiver<Wake>) {
        while AssertUnwindSafe(self.hear(&mut wakes)).catch_unwind().await.is_err() {
            tracing::error!("what tells of marks has panicked: it goes on");
            sleep(AGAIN).await;
        }
    }

    async fn hear(&self, wakes: &mut broadcast::Receiver<Wake>) {
        let mut next = Instant::now();
        loop {
            tokio::select! {
                () = self.hub.left.notified() => {}
                wake = wakes.recv() => match wake {
                    Ok(Wake::Marks) | Err(RecvError::Lagged(_)) => next = self.read(next).await,
                    Ok(Wake::Ready | Wake::Cancel) => continue,
                    // The store ends.
                    Err(RecvError::Closed) => self.hub.left.notified().await,
                }
            }
            if self.hub.watched().is_empty() {
                return;
            }
        }
    }

    /// Reads the rows of all who are watched, not before this instant; answers when that may be done again.
    async fn read(&self, next: Instant) -> Instant {
        tokio::time::sleep_until(next).await;
        loop {
            let owners = self.hub.watched();
            if owners.is_empty() {
                return Instant::now();
            }
            match self.store.marks(&owners).await {
                Ok(found) => {
                    found.into_iter().for_each(|(owner, marks)| self.tell(&owner, marks));
                    return Instant::now() + APART;
                }
                Err(error) => error.tell("what was marked could not be read; it is tried again"),
            }
            sleep(AGAIN).await;
        }
    }
}

impl Hub {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One more watcher, and whether it is the first.
    fn join(self: Arc<Hub>, owner: &str) -> (Watcher, bool) {
        let mut state = self.lock();
        let newest = state.known.entry(owner.to_owned()).or_default().subscribe();
        let is_first = !std::mem::replace(&mut state.is_heard, true);
        drop(state);
        (Watcher { newest, _leaves: Leaves(self) }, is_first)
    }

    /// Who is watched. Nobody is: then whoever comes next is the first.
    fn watched(&self) -> Vec<String> {
        let mut state = self.lock();
        state.known.retain(|_, newest| newest.receiver_count() > 0);
        state.is_heard = !state.known.is_empty();
        state.known.keys().cloned().collect()
    }
}
