//! The one writing connection, and how writes share a commit.
//!
//! A commit costs about as much as writing some tens of tasks. So a write that ends while others wait
//! for the connection leaves its transaction to the next one, and is answered when that is on disk:
//! submits, claims and reports that come together are one commit. Each write but the first is a
//! savepoint in it and can fail alone.
//!
//! A claim that finds nothing stands by ([`Writer::begin_with_next`]): whoever has written new tasks and leaves his
//! transaction to nobody else hands it the connection, so that they are given out in the commit that keeps them.
//!
//! Whoever left his transaction to others waits for the connection again, behind those who waited
//! already. That bounds how many share a commit, and sees to it that there is one even if a write that
//! was to come is dropped.

use super::anchor::Anchor;
use super::ballast::Ballast;
use super::failed;
use crate::fault;
use crate::store::{Error, Result};
use sqlx::{AssertSqlSafe, Row, SqliteConnection};
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed, Ordering::SeqCst};
use std::sync::{Arc, Mutex as Lock, PoisonError};
use tokio::sync::{Mutex, OwnedMutexGuard, oneshot, watch};

/// The one writing connection, lent for one write at a time.
pub struct Writer {
    slot: Arc<Mutex<Slot>>,
    /// How many wait for the connection in order to write.
    waiting: AtomicUsize,
    /// The claim that stands by for new tasks.
    standing: Lock<Option<oneshot::Sender<OwnedMutexGuard<Slot>>>>,
    anchor: Anchor,
    ballast: Ballast,
    /// The number of this run, as the file's header has it.
    run: u32,
    commits: AtomicU64,
    /// Rises before each commit and after it: while it stands still, so does what readers see.
    stamp: AtomicU64,
    broken: watch::Sender<Option<Error>>,
}

#[derive(Default)]
struct Shared {
    /// A transaction has begun, and nobody has seen its end.
    open: bool,
    /// A write has begun in it, and nobody has seen its end.
    writing: bool,
    /// There are new tasks in it that a claim may want.
    for_claims: bool,
    /// Who has written in it, and hears of its end.
    written: Vec<oneshot::Sender<Result<()>>>,
}

struct Slot {
    connection: SqliteConnection,
    shared: Shared,
}

/// A write that has begun. Dropped before [`Write::done`], nothing of it is kept.
pub struct Write<'a> {
    writer: &'a Writer,
    slot: OwnedMutexGuard<Slot>,
}

/// One who waits for the connection in order to write.
struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

impl Writer {
    /// A writer on this connection to these files.
    pub fn new(connection: SqliteConnection, anchor: Anchor, ballast: Ballast, run: u32) -> Writer {
        let slot = Arc::new(Mutex::new(Slot { connection, shared: Shared::default() }));
        Writer {
            slot,
            waiting: AtomicUsize::new(0),
            standing: Lock::default(),
            anchor,
            ballast,
            run,
            commits: AtomicU64::new(0),
            stamp: AtomicU64::new(0),
            broken: watch::Sender::new(None),
        }
    }

    /// Begins a write of what is new: `Full` while the disk is short of room, so that what little
    /// there is serves what is under way.
    pub async fn begin_new(&self) -> Result<Write<'_>> {
        self.ballast.check()?;
        self.begin().await
    }

    /// Begins a write of a claim: in the transaction of the next new tasks, or at the end of `wait` if none come
    /// before it; `None` if that ends with `false`.
    pub async fn begin_with_next(&self, wait: impl Future<Output = bool>) -> Result<Option<Write<'_>>> {
        let (hand, handed) = oneshot::channel();
        *self.standing.lock().unwrap_or_else(PoisonError::into_inner) = Some(hand);
        tokio::select! {
            biased;
            Ok(slot) = handed => self.begin_in(slot).await.map(Some),
            wanted = wait => if wanted { self.begin_new().await.map(Some) } else { Ok(None) },
        }
    }

    /// Begins a write, once the one before has ended.
    pub async fn begin(&self) -> Result<Write<'_>> {
        self.check()?;
        let slot = self.next().await;
        self.begin_in(slot).await
    }

    async fn begin_in(&self, mut slot: OwnedMutexGuard<Slot>) -> Result<Write<'_>> {
        if slot.shared.writing {
            slot.undo_write().await;
        }
        let begin = if slot.shared.open { "SAVEPOINT write" } else { "BEGIN IMMEDIATE" };
        // Said before it is done: dropped in between, the next one undoes it.
        (slot.shared.open, slot.shared.writing) = (true, true);
        match slot.run(begin).await {
            Ok(()) => Ok(Write { writer: self, slot }),
            Err(error) => {
                slot.undo_write().await;
                Err(error)
            }
        }
    }

    async fn next(&self) -> OwnedMutexGuard<Slot> {
        self.waiting.fetch_add(1, SeqCst);
        let _waiting = Waiting(&self.waiting);
        self.slot.clone().lock_owned().await
    }

    /// The connection outside of a transaction: for pragmas.
    pub async fn idle(&self) -> impl DerefMut<Target = SqliteConnection> + '_ {
        OwnedMutexGuard::map(self.slot().await, |slot| &mut slot.connection)
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

    /// Where the file stands.
    pub fn stamp(&self) -> u64 {
        self.stamp.load(SeqCst)
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

    /// The connection, outside of a transaction.
    async fn slot(&self) -> OwnedMutexGuard<Slot> {
        let mut slot = self.slot.clone().lock_owned().await;
        self.settle(&mut slot).await;
        slot
    }

    /// Ends the transaction: what was written in it is committed, and all who wrote are told.
    async fn settle(&self, slot: &mut Slot) {
        if slot.shared.writing {
            slot.undo_write().await;
        }
        if !slot.shared.open {
            return;
        }
        // Dropped from here on, nobody knows how it ended: the next one undoes what is left of it, and
        // those who wrote hear just that.
        let written = std::mem::take(&mut slot.shared.written);
        slot.shared.writing = true;
        let committed = async {
            fault::fails("sqlite_uncommitted").await?;
            slot.run("COMMIT").await
        };
        self.stamp.fetch_add(1, SeqCst);
        let committed = committed.await;
        self.stamp.fetch_add(1, SeqCst);
        let ended = match committed {
            Ok(()) => {
                slot.shared = Shared::default();
                self.commits.fetch_add(1, Relaxed);
                // In the file that people see under its name, or nobody will read it.
                self.check()
            }
            Err(error) => {
                self.give_up(slot, &error).await;
                Err(error)
            }
        };
        tell(written, &ended);
    }

    /// Undoes the transaction and tells all who wrote in it. If there was no room, the ballast is given
    /// up, and the next one has some.
    async fn give_up(&self, slot: &mut Slot, error: &Error) {
        slot.undo(error).await;
        if matches!(error, Error::Full(_)) {
            self.ballast.give_up();
            slot.cut_log().await;
        }
    }
}

impl Write<'_> {
    /// [`Write::done`] for new tasks, which a claim may want.
    pub async fn done_for_claims<T>(mut self, written: Result<T>) -> Result<T> {
        self.slot.shared.for_claims = true;
        self.done(written).await
    }

    /// The claim that stands by, if there is anything for it.
    fn standing(&self) -> Option<oneshot::Sender<OwnedMutexGuard<Slot>>> {
        let mut standing = self.writer.standing.lock().unwrap_or_else(PoisonError::into_inner);
        if self.slot.shared.for_claims { standing.take() } else { None }
    }

    /// Keeps what was written, or undoes it. What it answers is on disk, in the file that people see
    /// under its name.
    pub async fn done<T>(mut self, written: Result<T>) -> Result<T> {
        let written = match written {
            Ok(value) => self.slot.keep_write().await.map(|()| value),
            error => error,
        };
        let value = match written {
            Ok(value) => value,
            // A mistake in this write; the others are whole.
            Err(error @ Error::Internal(_)) => {
                self.slot.undo_write().await;
                return Err(error);
            }
            Err(error) => {
                self.writer.give_up(&mut self.slot, &error).await;
                return Err(error);
            }
        };
        let (tell, told) = oneshot::channel();
        self.slot.shared.written.push(tell);
        if self.writer.waiting.load(SeqCst) > 0 {
            drop(self.slot);
        } else if let Some(standing) = self.standing() {
            // Gone meanwhile, it leaves the connection to whoever is next.
            let _ = standing.send(self.slot);
        } else {
            self.writer.settle(&mut self.slot).await;
            drop(self.slot);
        }
        tokio::pin!(told);
        tokio::select! {
            biased;
            told = &mut told => told,
            mut slot = self.writer.slot.lock() => {
                // Whoever ended it has told; if nobody has, it is still open.
                if let Ok(told) = told.try_recv() {
                    Ok(told)
                } else {
                    self.writer.settle(&mut slot).await;
                    told.await
                }
            }
        }
        .unwrap_or_else(|_| Err(broken_off()))
        .map(|()| value)
    }
}

impl Slot {
    async fn run(&mut self, statement: &'static str) -> Result<()> {
        sqlx::query(statement).execute(&mut self.connection).await.map(drop).map_err(failed)
    }

    /// The write that was the last to begin becomes part of the transaction.
    async fn keep_write(&mut self) -> Result<()> {
        if !self.shared.written.is_empty() {
            self.run("RELEASE write").await?;
        }
        self.shared.writing = false;
        Ok(())
    }

    /// Undoes the write that was the last to begin; without others in it, the transaction.
    async fn undo_write(&mut self) {
        if self.shared.written.is_empty() {
            return self.undo(&broken_off()).await;
        }
        let undone = async {
            self.run("ROLLBACK TO write").await?;
            self.keep_write().await
        };
        if let Err(error) = undone.await {
            self.undo(&error).await;
        }
    }

    /// Ends the transaction, if there is one still: SQLite itself ends it after some errors, and
    /// then refuses this, which is as good. The driver's own transactions would count that wrong.
    async fn undo(&mut self, why: &Error) {
        let _ = self.run("ROLLBACK").await;
        tell(std::mem::take(&mut self.shared).written, &Err(why.clone()));
    }

    async fn cut_log(&mut self) -> bool {
        // All writes wait for this: not for as long as they would wait for each other.
        let _ = self.run("PRAGMA busy_timeout = 200").await;
        let cut = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").fetch_one(&mut self.connection).await;
        let _ = self.run("PRAGMA busy_timeout = 5000").await;
        cut.is_ok_and(|row| row.try_get::<i64, _>(0).is_ok_and(|busy| busy == 0))
    }
}

/// Tells those who wrote how it ended.
fn tell(written: Vec<oneshot::Sender<Result<()>>>, how: &Result<()>) {
    for written in written {
        let _ = written.send(how.clone());
    }
}

fn broken_off() -> Error {
    Error::Unavailable("the write broke off".to_owned())
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

#[cfg(test)]
mod tests;
