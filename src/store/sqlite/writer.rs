//! The one writing connection.

use super::anchor::Anchor;
use super::failed;
use crate::fault;
use crate::store::{Error, Result};
use sqlx::SqliteConnection;
use std::ops::{Deref, DerefMut};
use tokio::sync::{Mutex, MutexGuard, watch};

/// The one writing connection, lent for one write at a time.
pub struct Writer {
    slot: Mutex<Slot>,
    anchor: Anchor,
    broken: watch::Sender<Option<Error>>,
}

struct Slot {
    connection: SqliteConnection,
    /// A write has begun, and nobody has seen its end.
    open: bool,
}

/// A write that has begun: `BEGIN IMMEDIATE`. Dropped before [`Write::done`], nothing of it is kept.
pub struct Write<'a> {
    writer: &'a Writer,
    slot: MutexGuard<'a, Slot>,
}

impl Writer {
    /// A writer on this connection to these files.
    pub fn new(connection: SqliteConnection, anchor: Anchor) -> Writer {
        let slot = Mutex::new(Slot { connection, open: false });
        Writer { slot, anchor, broken: watch::Sender::new(None) }
    }

    /// Begins a write, once the one before has ended.
    pub async fn begin(&self) -> Result<Write<'_>> {
        self.check()?;
        let mut slot = self.slot.lock().await;
        if slot.open {
            slot.undo().await;
        }
        slot.run("BEGIN IMMEDIATE").await?;
        slot.open = true;
        Ok(Write { writer: self, slot })
    }

    /// The connection outside of a transaction: for pragmas.
    pub async fn idle(&self) -> impl DerefMut<Target = SqliteConnection> + '_ {
        let mut slot = self.slot.lock().await;
        if slot.open {
            slot.undo().await;
        }
        MutexGuard::map(slot, |slot| &mut slot.connection)
    }

    /// `Damaged` once the file is no longer the one that was opened; whoever waits for that is told.
    pub fn check(&self) -> Result<()> {
        let checked = self.anchor.check();
        if let Err(error) = &checked {
            self.broken.send_if_modified(|broken| broken.replace(error.clone()).is_none());
        }
        checked
    }

    /// Returns when [`Writer::check`] has failed.
    pub async fn broken(&self) -> Error {
        let mut broken = self.broken.subscribe();
        let found = broken.wait_for(Option::is_some).await.ok().and_then(|found| found.clone());
        // The sender lives as long as `self` does.
        found.unwrap_or_else(|| Error::Unavailable("the store is closed".to_owned()))
    }

    /// The files it writes to.
    pub fn anchor(&self) -> &Anchor {
        &self.anchor
    }
}

impl Write<'_> {
    /// Commits what was written, or undoes it. What it answers is on disk, in the file that people
    /// see under its name.
    pub async fn done<T>(mut self, written: Result<T>) -> Result<T> {
        let commit = async |slot: &mut Slot| {
            fault::fails("sqlite_uncommitted").await?;
            slot.run("COMMIT").await
        };
        let done = match written {
            Ok(value) => commit(&mut self.slot).await.map(|()| value),
            Err(error) => Err(error),
        };
        match done {
            Ok(value) => {
                self.slot.open = false;
                self.writer.check()?;
                Ok(value)
            }
            Err(error) => {
                self.slot.undo().await;
                Err(error)
            }
        }
    }
}

impl Slot {
    async fn run(&mut self, statement: &'static str) -> Result<()> {
        sqlx::query(statement).execute(&mut self.connection).await.map(drop).map_err(failed)
    }

    /// Ends the transaction, if there is one still: SQLite itself ends it after some errors, and
    /// then refuses this, which is as good. The driver's own transactions would count that wrong.
    async fn undo(&mut self) {
        let _ = self.run("ROLLBACK").await;
        self.open = false;
    }
}

impl Deref for Write<'_> {
    type Target = SqliteConnection;

    fn deref(&self) -> &SqliteConnection {
        &self.slot.connection
    }
}

impl DerefMut for Write<'_> {
    fn deref_mut(&mut self) -> &mut SqliteConnection {
        &mut self.slot.connection
    }
}
