//! The one writing connection.

use super::anchor::Anchor;
use super::ballast::Ballast;
use super::failed;
use crate::fault;
use crate::store::{Error, Result};
use sqlx::{AssertSqlSafe, Row, SqliteConnection};
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use tokio::sync::{Mutex, MutexGuard, watch};

/// The one writing connection, lent for one write at a time.
pub struct Writer {
    slot: Mutex<Slot>,
    anchor: Anchor,
    ballast: Ballast,
    /// The number of this run, as the file's header has it.
    run: u32,
    commits: AtomicU64,
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
    pub fn new(connection: SqliteConnection, anchor: Anchor, ballast: Ballast, run: u32) -> Writer {
        let slot = Mutex::new(Slot { connection, open: false });
        Writer { slot, anchor, ballast, run, commits: AtomicU64::new(0), broken: watch::Sender::new(None) }
    }

    /// Begins a write of what is new: `Full` while the disk is short of room, so that what little
    /// there is serves what is under way.
    pub async fn begin_new(&self) -> Result<Write<'_>> {
        self.ballast.check()?;
        self.begin().await
    }

    /// Begins a write, once the one before has ended.
    pub async fn begin(&self) -> Result<Write<'_>> {
        self.check()?;
        let mut slot = self.slot().await;
        slot.run("BEGIN IMMEDIATE").await?;
        slot.open = true;
        Ok(Write { writer: self, slot })
    }

    /// The connection outside of a transaction: for pragmas.
    pub async fn idle(&self) -> impl DerefMut<Target = SqliteConnection> + '_ {
        MutexGuard::map(self.slot().await, |slot| &mut slot.connection)
    }

    /// Writes something that changes nothing, as durably as all else.
    pub async fn probe(&self) -> Result<()> {
        let statement = format!("PRAGMA user_version = {}", self.run);
        let mut write = self.begin().await?;
        let written = sqlx::query(AssertSqlSafe(statement)).execute(&mut *write).await.map(drop).map_err(failed);
        write.done(written).await
    }

    /// Writes the log back and cuts it to nothing, unless a reader is in the way for more than a
    /// moment. Answers whether it is cut.
    pub async fn cut_log(&self) -> bool {
        self.slot().await.cut_log().await
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

    /// Writes so far.
    pub fn commits(&self) -> u64 {
        self.commits.load(Relaxed)
    }

    /// The files it writes to.
    pub fn anchor(&self) -> &Anchor {
        &self.anchor
    }

    /// The room that is held back for it.
    pub fn ballast(&self) -> &Ballast {
        &self.ballast
    }

    async fn slot(&self) -> MutexGuard<'_, Slot> {
        let mut slot = self.slot.lock().await;
        if slot.open {
            slot.undo().await;
        }
        slot
    }
}

impl Write<'_> {
    /// Commits what was written, or undoes it. What it answers is on disk, in the file that people
    /// see under its name. If there was no room, the ballast is given up, and the next one has some.
    pub async fn done<T>(mut self, written: Result<T>) -> Result<T> {
        let commit = async |slot: &mut Slot| {
            fault::fails("sqlite_uncommitted").await?;
            slot.run("COMMIT").await
        };
        let done = match written {
            Ok(value) => commit(&mut self.slot).await.map(|()| value),
            Err(error) => Err(error),
        };
        if done.is_ok() {
            self.slot.open = false;
            self.writer.commits.fetch_add(1, Relaxed);
            self.writer.check()?;
            return done;
        }
        self.slot.undo().await;
        if matches!(done, Err(Error::Full(_))) {
            self.writer.ballast.give_up();
            self.slot.cut_log().await;
        }
        done
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

    async fn cut_log(&mut self) -> bool {
        // All writes wait for this: not for as long as they would wait for each other.
        let _ = self.run("PRAGMA busy_timeout = 200").await;
        let cut = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").fetch_one(&mut self.connection).await;
        let _ = self.run("PRAGMA busy_timeout = 5000").await;
        cut.is_ok_and(|row| row.try_get::<i64, _>(0).is_ok_and(|busy| busy == 0))
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
