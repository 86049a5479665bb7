//! What happened, told to whoever waits for it on this node.
//!
//! Nothing here is a promise of its own: every listener also looks at the database from time to
//! time, so a signal that never came (another node's, say) costs a poll and loses nothing.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{Notify, broadcast, watch};
use uuid::Uuid;

/// How many cancels may wait for a worker that does not listen; beyond, it looks at the database.
const CANCELS_QUEUED: usize = 1024;

/// The signals of one node. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Events {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    grown: watch::Sender<()>,
    said: watch::Sender<()>,
    ready: Notify,
    due: Notify,
    cancels: broadcast::Sender<()>,
    waiters: Mutex<HashMap<Uuid, Arc<Notify>>>,
}

impl Default for Events {
    fn default() -> Events {
        let inner = Inner {
            grown: watch::Sender::new(()),
            said: watch::Sender::new(()),
            ready: Notify::new(),
            due: Notify::new(),
            cancels: broadcast::Sender::new(CANCELS_QUEUED),
            waiters: Mutex::default(),
        };
        Events { inner: Arc::new(inner) }
    }
}

impl Events {
    /// The change log has grown.
    pub fn logged(&self) {
        self.inner.grown.send_replace(());
    }

    /// Sees every growth of the change log by this node.
    pub fn log(&self) -> watch::Receiver<()> {
        self.inner.grown.subscribe()
    }

    /// A running attempt's progress was written.
    pub fn said(&self) {
        self.inner.said.send_replace(());
    }

    /// Sees every [`Events::said`] from here on.
    pub fn saying(&self) -> watch::Receiver<()> {
        self.inner.said.subscribe()
    }

    /// Something may be ready to be claimed. Many calls before a look are one.
    pub fn ready(&self) {
        self.inner.ready.notify_one();
    }

    /// Waits for [`Events::ready`]; one that came before the wait counts. One listener a node.
    pub async fn until_ready(&self) {
        self.inner.ready.notified().await;
    }

    /// A task waits for its time: whoever watches the clock should look when.
    pub fn due(&self) {
        self.inner.due.notify_one();
    }

    /// Waits for [`Events::due`]; one that came before the wait counts. One listener a node.
    pub async fn until_due(&self) {
        self.inner.due.notified().await;
    }

    /// A running task was asked to stop.
    pub fn cancel(&self) {
        let _ = self.inner.cancels.send(());
    }

    /// Sees every [`Events::cancel`] from here on.
    pub fn cancels(&self) -> broadcast::Receiver<()> {
        self.inner.cancels.subscribe()
    }

    /// Something of this task changed.
    pub fn touched(&self, id: Uuid) {
        let waiters = self.inner.waiters.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(waiter) = waiters.get(&id) {
            waiter.notify_waiters();
        }
    }

    /// Listens for [`Events::touched`] of one task until dropped.
    pub fn watch(&self, id: Uuid) -> Watch {
        let mut waiters = self.inner.waiters.lock().unwrap_or_else(PoisonError::into_inner);
        let notify = waiters.entry(id).or_default().clone();
        Watch { events: self.clone(), id, notify }
    }
}

/// A listener for one task.
pub struct Watch {
    events: Events,
    id: Uuid,
    notify: Arc<Notify>,
}

impl Watch {
    /// A future that ends at the next change. Make it before looking at the task, await it after:
    /// then nothing falls between.
    pub fn changed(&self) -> tokio::sync::futures::Notified<'_> {
        self.notify.notified()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut waiters = self.events.inner.waiters.lock().unwrap_or_else(PoisonError::into_inner);
        // The map's own and this one: nobody else listens.
        if Arc::strong_count(&self.notify) <= 2 {
            waiters.remove(&self.id);
        }
    }
}
