//! Whether writes work, as the last ones tell.

use super::{Error, Queue};
use crate::files;
use crate::store;
use std::sync::atomic::{AtomicU32, Ordering};

/// So many writes must have failed one after another before a node calls itself unwell: one may be
/// a hiccup of the disk or of the network.
const FAILURES: u32 = 3;

/// What the writes of one kind came to lately.
#[derive(Debug)]
pub(super) struct Health {
    kind: &'static str,
    failed: AtomicU32,
}

impl Health {
    pub(super) fn of(kind: &'static str) -> Health {
        Health { kind, failed: AtomicU32::new(0) }
    }

    /// Notes how a write ended. A mistake of ours and a full disk do not count: neither says that
    /// this node can do less than another. The log is told of the first failure, and of its end.
    pub(super) fn note<T>(&self, written: &store::Result<T>) {
        match written {
            Ok(_) if self.failed.load(Ordering::Relaxed) > 0 => {
                self.failed.store(0, Ordering::Relaxed);
                tracing::info!(kind = self.kind, "writes to the database work again");
            }
            Err(error @ (store::Error::Unavailable(_) | store::Error::Damaged(_)))
                if self.failed.fetch_add(1, Ordering::Relaxed) == 0 =>
            {
                error.tell("a write to the database failed");
            }
            _ => {}
        }
    }

    fn is_well(&self) -> bool {
        self.failed.load(Ordering::Relaxed) < FAILURES
    }
}

impl Queue {
    /// Whether the database can be read and written: `Unavailable` if it cannot be read, or if three
    /// writes in a row failed and one more, which changes nothing, does too. A node that gets no
    /// work because of that is well again with the first question after the fault has gone. `Away` before
    /// its file store has answered for the first time: later it is away for every node alike, and what
    /// needs no file goes on.
    pub async fn well(&self) -> Result<(), Error> {
        self.inner.store.now().await?;
        let unwell: Vec<_> = self.inner.health.iter().filter(|health| !health.is_well()).collect();
        if !unwell.is_empty() {
            let probed = self.probe().await;
            unwell.iter().for_each(|health| health.note(&probed));
            probed?;
        }
        match self.inner.files.is_reached() {
            true => Ok(()),
            false => Err(files::Error::Away("it has not answered yet".to_owned()).into()),
        }
    }

    /// On a task of its own: whoever asks may not wait for the end.
    async fn probe(&self) -> store::Result<()> {
        let store = self.inner.store.clone();
        super::read::own(async move { store.probe().await }).await
    }
}
