//! Postgres: any number of nodes share one database.
//!
//! A write is one statement in its own transaction: nothing to cut in half, nothing locked over
//! the network. Its last step takes one advisory lock and draws the numbers of the change log
//! under it; the lock is held to the commit, so `seq` rises in commit order on all nodes.

mod connect;
mod inspect;
mod keep;
mod notify;
mod read;
mod scratch;
mod write;

use super::{
    Beat, Claim, Count, Database, Due, Entry, Error, File, Held, LineQuery, Minute, Result, Store, StoredLine,
    Submission, Submitted, Transition, Wake,
};
use crate::task::{Artifact, Change, Filter, Page, Scope, Task, Time};
use async_trait::async_trait;
use connect::Owned;

pub use inspect::PostgresBeside;
use notify::Notifier;
use sqlx::PgPool;
use std::future::Future;
use std::time::Duration;
use tokio::sync::broadcast;
use uuid::Uuid;

/// No call waits longer for the database; the connection is then given up.
const PATIENCE: Duration = Duration::from_secs(5);

/// How often a write that lost a deadlock is tried.
const DEADLOCK_TRIES: usize = 3;

/// The store in a Postgres database.
pub struct Postgres {
    /// Reads, and writes that are rare.
    pool: PgPool,
    /// One connection for submits, one for transitions, one for claims and beats: none waits for another.
    submits: Owned,
    changes: Owned,
    work: Owned,
    notifier: Notifier,
}

/// Ends a call that takes too long; its connection is given up with it.
async fn bounded<T>(call: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::time::timeout(PATIENCE, call)
        .await
        .unwrap_or_else(|_| Err(Error::Unavailable("no answer in time".to_owned())))
}

#[async_trait]
impl Store for Postgres {
    fn database(&self) -> Database {
        Database::Postgres
    }

    async fn durability(&self) -> Result<String> {
        bounded(read::durability(&self.pool)).await
    }

    async fn identity(&self) -> Result<String> {
        bounded(read::identity(&self.pool)).await
    }

    async fn now(&self) -> Result<Time> {
        bounded(read::now(&self.pool)).await
    }

    async fn insert(&self, submissions: &[Submission]) -> Result<Vec<Submitted>> {
        let mut lent = self.submits.lend().await?;
        let written = bounded(write::insert(&mut lent.connection, submissions)).await;
        lent.done(written)
    }

    async fn claim(&self, claim: &Claim) -> Result<Vec<Task>> {
        let mut lent = self.work.lend().await?;
        let written = bounded(write::claim(&mut lent.connection, claim)).await;
        lent.done(written)
    }

    async fn apply(&self, changes: &[Change]) -> Result<Vec<Option<Task>>> {
        for _ in 1..DEADLOCK_TRIES {
            let mut lent = self.changes.lend().await?;
            let written = bounded(write::apply(&mut lent.connection, changes)).await;
            match lent.done(written) {
                // Two writers met crosswise in the rows: nothing of this one was written.
                Err(Error::Unavailable(why)) if why.contains("deadlock detected") => {}
                written => return written,
            }
        }
        let mut lent = self.changes.lend().await?;
        let written = bounded(write::apply(&mut lent.connection, changes)).await;
        lent.done(written)
    }

    async fn beat(&self, beats: &[Beat], until: Time, now: Time) -> Result<Vec<Held>> {
        let mut lent = self.work.lend().await?;
        let written = bounded(keep::beat(&mut lent.connection, beats, until, now)).await;
        lent.done(written)
    }

    async fn held(&self, leases: &[Uuid]) -> Result<Vec<Held>> {
        bounded(read::held(&self.pool, leases)).await
    }

    async fn promote(&self, now: Time, limit: i64) -> Result<Due> {
        let next = bounded(read::next_due(&self.pool)).await?;
        if next.is_none_or(|next| next > now) {
            return Ok(Due { promoted: 0, next });
        }
        let mut lent = self.work.lend().await?;
        let promoted = bounded(keep::promote(&mut lent.connection, now, limit)).await;
        let promoted = lent.done(promoted)?;
        Ok(Due { promoted, next: bounded(read::next_due(&self.pool)).await? })
    }

    async fn lapsed(&self, now: Time, limit: i64) -> Result<Vec<Task>> {
        bounded(read::lapsed(&self.pool, now, limit)).await
    }

    async fn get(&self, scope: &Scope, id: Uuid) -> Result<Option<Task>> {
        bounded(read::get(&self.pool, scope, id)).await
    }

    async fn list(&self, scope: &Scope, filter: &Filter, page: &Page) -> Result<Vec<Task>> {
        bounded(read::list(&self.pool, scope, filter, page)).await
    }

    async fn changes(&self, scope: &Scope, after: i64, limit: i64) -> Result<Vec<Entry>> {
        bounded(read::changes(&self.pool, scope, after, limit)).await
    }

    async fn log_bounds(&self) -> Result<(i64, i64)> {
        bounded(read::log_bounds(&self.pool)).await
    }

    async fn transitions(&self, scope: &Scope, id: Uuid) -> Result<Vec<Transition>> {
        bounded(read::transitions(&self.pool, scope, id)).await
    }

    async fn lines(&self, scope: &Scope, id: Uuid, query: &LineQuery) -> Result<Vec<StoredLine>> {
        bounded(read::lines(&self.pool, scope, id, query)).await
    }

    async fn artifacts(&self, scope: &Scope, id: Uuid) -> Result<Vec<Artifact>> {
        bounded(read::artifacts(&self.pool, scope, id)).await
    }

    async fn add_file(&self, file: &File) -> Result<()> {
        let mut lent = self.submits.lend().await?;
        let written = bounded(keep::add_file(&mut lent.connection, file)).await;
        lent.done(written)
    }

    async fn files(&self, scope: &Scope, ids: &[Uuid]) -> Result<Vec<File>> {
        bounded(read::files(&self.pool, scope, ids)).await
    }

    async fn remove_file(&self, scope: &Scope, id: Uuid) -> Result<Option<File>> {
        let mut lent = self.submits.lend().await?;
        let written = bounded(keep::remove_file(&mut lent.connection, scope, id)).await;
        lent.done(written)
    }

    async fn counts(&self, scope: &Scope) -> Result<Vec<Count>> {
        bounded(read::counts(&self.pool, scope)).await
    }

    async fn put_minutes(&self, minutes: &[Minute]) -> Result<()> {
        let mut lent = self.work.lend().await?;
        let written = bounded(keep::put_minutes(&mut lent.connection, minutes)).await;
        lent.done(written)
    }

    async fn minutes(&self, scope: &Scope, since: i64) -> Result<Vec<Minute>> {
        bounded(read::minutes(&self.pool, scope, since)).await
    }

    async fn ahead(&self, task: &Task, limit: i64) -> Result<i64> {
        bounded(read::ahead(&self.pool, task, limit)).await
    }

    async fn tidy(&self, keys_before: Time, minutes_before: i64) -> Result<()> {
        let mut lent = self.work.lend().await?;
        let written = bounded(keep::tidy(&mut lent.connection, keys_before, minutes_before)).await;
        lent.done(written)
    }

    fn wake(&self, wake: Wake) {
        self.notifier.wake(wake);
    }

    fn wakes(&self) -> broadcast::Receiver<Wake> {
        self.notifier.subscribe()
    }

    async fn probe(&self) -> Result<()> {
        let mut lent = self.work.lend().await?;
        let written = bounded(keep::probe(&mut lent.connection)).await;
        lent.done(written)
    }

    fn log_bytes(&self) -> Option<u64> {
        None
    }

    /// A server is away for a while, never gone for good.
    async fn broken(&self) -> Error {
        std::future::pending().await
    }

    async fn close(&self) {
        self.notifier.stop().await;
        for owned in [&self.submits, &self.changes, &self.work] {
            owned.close().await;
        }
        self.pool.close().await;
    }
}

/// What a failure of the driver means to the domain. See the error codes of the Postgres manual.
fn failed(error: sqlx::Error) -> Error {
    let text = error.to_string();
    let code = error.as_database_error().and_then(|error| error.code()).unwrap_or_default();
    match (&*code, &error) {
        ("53100", _) => Error::Full(text),
        ("XX001" | "XX002", _) => Error::Damaged(text),
        // Connections, shutdown, resources, read-only standby, cancelled, locked, deadlocked, serialisation.
        (code, _) if ["08", "57", "53", "25", "40", "55"].iter().any(|class| code.starts_with(class)) => {
            Error::Unavailable(text)
        }
        ("", sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::Protocol(_)) => Error::Unavailable(text),
        ("", sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed) => {
            Error::Unavailable(text)
        }
        _ => Error::Internal(text),
    }
}
