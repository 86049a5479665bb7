//! SQLite: one file, one process, one writer with group commit, several readers.
//!
//! A write is one `BEGIN IMMEDIATE` transaction on the one writing connection, or shares one with those that
//! waited with it ([`writer`]), so `seq` is given out in commit order by construction. Batches travel as one JSON parameter, which costs about
//! as much as one row does on its own.

mod activity;
mod anchor;
mod approvals;
mod ballast;
mod beside;
mod check;
mod days;
mod fill;
mod guard;
mod inspect;
mod json;
mod keep;
mod keys;
mod keys_beside;
mod list;
mod notifications;
mod open;
mod pace;
mod present;
mod prune;
mod read;
mod tickets;
mod watch;
mod write;
mod writer;

use super::work::in_flight;
use super::{
    Beat, Claim, Count, Database, Due, Entry, Error, File, Group, Held, LineQuery, Made, Once, Piece, Prune, Pruned,
    Result, Save, Saved, Stamp, Store, StoredLine, Submission, Submitted, Transition, Wake, Way, Written,
};
use crate::task::{Artifact, Change, Checkpoint, Filter, Page, Scope, Task, Time};
use async_trait::async_trait;
use futures_util::future::BoxFuture;
use guard::Mark;
use sqlx::SqlitePool;
use std::sync::Arc;
use tokio::sync::broadcast;
use tokio_util::sync::DropGuard;
use uuid::Uuid;
use write::Rows;
use writer::{Write, Writer};

pub use beside::{BackupError, Beside};
pub use keys_beside::KeysBeside;

/// The store in a SQLite file.
pub struct Sqlite {
    writer: Arc<Writer>,
    readers: SqlitePool,
    wakes: broadcast::Sender<Wake>,
    /// There while the store is, and left behind by a process that is killed.
    mark: Mark,
    /// Ends the looks at the file.
    _watch: DropGuard,
    /// Held as long as the store is: a second process is refused.
    _lock: std::fs::File,
}

impl Drop for Sqlite {
    /// Its connections close behind this, and the last one writes the log back and deletes it. With the
    /// mark still there that would look like a loss: then one stays open, until the process ends.
    fn drop(&mut self) {
        if self.writer.check().is_err() || !self.mark.remove() {
            std::mem::forget(self.writer.clone());
        }
    }
}

#[async_trait]
impl Store for Sqlite {
    fn database(&self) -> Database {
        Database::Sqlite
    }

    async fn durability(&self) -> Result<String> {
        keep::durability(&mut *self.writer.idle().await).await
    }

    async fn identity(&self) -> Result<String> {
        read::identity(&self.readers).await
    }

    async fn now(&self) -> Result<Time> {
        read::now(&self.readers).await
    }

    async fn insert(&self, submissions: &[Submission]) -> Result<Vec<Submitted>> {
        let rows = Rows::of_new(submissions.iter());
        let mut write = self.writer.begin_new().await?;
        let submitted = write::insert(&mut write, submissions, rows).await;
        write.done_for_claims(submitted).await
    }

    async fn used(&self, once: &Once) -> Result<Option<Submitted>> {
        write::before(&self.readers, once).await
    }

    async fn claim(&self, claim: &Claim) -> Result<Vec<Task>> {
        claimed(self.writer.begin_new().await?, claim).await
    }

    async fn claim_next(&self, claim: &(dyn Fn() -> Claim + Sync), wait: BoxFuture<'_, bool>) -> Result<Vec<Task>> {
        match self.writer.begin_with_next(wait).await? {
            Some(write) => in_flight(claimed(write, &claim())).await,
            None => Ok(Vec::new()),
        }
    }

    async fn apply(&self, changes: &[Change]) -> Result<Vec<Option<Task>>> {
        let rows = Rows::of_changes(changes.iter());
        let mut write = self.writer.begin().await?;
        let applied = write::apply(&mut write, changes, rows).await;
        write.done(applied).await?.tasks(changes)
    }

    async fn beat(&self, beats: &[Beat], until: Time, now: Time) -> Result<Vec<Held>> {
        let mut write = self.writer.begin().await?;
        let held = keep::beat(&mut write, beats, until, now).await;
        write.done(held).await
    }

    async fn held(&self, leases: &[(Uuid, Uuid)]) -> Result<Vec<Held>> {
        read::held(&self.readers, leases).await
    }

    async fn save(&self, saves: &[Save], now: Time) -> Result<Vec<Saved>> {
        let mut write = self.writer.begin().await?;
        let saved = keep::save(&mut write, saves, now).await;
        write.done(saved).await
    }

    async fn checkpoints(&self, tasks: &[Uuid]) -> Result<Vec<Checkpoint>> {
        read::checkpoints(&self.readers, tasks).await
    }

    async fn promote(&self, now: Time, limit: i64) -> Result<Due> {
        let due = read::due(&self.readers, now).await?;
        if due.next.is_none_or(|next| next > now) {
            return Ok(due);
        }
        let mut write = self.writer.begin().await?;
        let promoted = keep::promote(&mut write, now, limit).await;
        let promoted = write.done(promoted).await?;
        Ok(Due { promoted, ..read::due(&self.readers, now).await? })
    }

    async fn lapsed(&self, now: Time, limit: i64) -> Result<Vec<Task>> {
        read::lapsed(&self.readers, now, limit).await
    }

    async fn stirred(&self, since: Time, leased: Time, limit: i64) -> Result<Vec<Task>> {
        read::stirred(&self.readers, since, leased, limit).await
    }

    async fn get(&self, scope: &Scope, id: Uuid) -> Result<Option<Task>> {
        read::get(&self.readers, scope, id).await
    }

    async fn list(&self, scope: &Scope, filter: &Filter, page: &Page, way: &Way) -> Result<Piece> {
        list::list(&self.readers, scope, filter, page, way).await
    }

    async fn groups(&self, scope: &Scope, filter: &Filter, limit: i64) -> Result<Vec<Group>> {
        list::groups(&self.readers, scope, filter, limit).await
    }

    async fn unfinished(&self, as_of: Time, limit: i64) -> Result<i64> {
        list::unfinished(&self.readers, as_of, limit).await
    }

    async fn changes(&self, scope: &Scope, after: i64, limit: i64) -> Result<Vec<Entry>> {
        read::changes(&self.readers, scope, after, limit).await
    }

    async fn log_bounds(&self) -> Result<(i64, i64)> {
        read::log_bounds(&self.readers).await
    }

    async fn transitions(&self, scope: &Scope, id: Uuid) -> Result<Vec<Transition>> {
        read::transitions(&self.readers, scope, id).await
    }

    async fn lines(&self, scope: &Scope, id: Uuid, query: &LineQuery) -> Result<Vec<StoredLine>> {
        read::lines(&self.readers, scope, id, query).await
    }

    async fn artifacts(&self, scope: &Scope, id: Uuid) -> Result<Vec<Artifact>> {
        read::artifacts(&self.readers, scope, id).await
    }

    async fn add_file(&self, file: &File) -> Result<()> {
        let mut write = self.writer.begin_new().await?;
        let added = keep::add_file(&mut write, file).await;
        write.done(added).await
    }

    async fn files(&self, scope: &Scope, ids: &[Uuid]) -> Result<Vec<File>> {
        read::files(&self.readers, scope, ids).await
    }

    async fn stored(&self, owner: &str) -> Result<i64> {
        read::stored(&self.readers, owner).await
    }

    async fn remove_file(&self, scope: &Scope, id: Uuid) -> Result<Option<File>> {
        let mut write = self.writer.begin().await?;
        // Nobody else writes meanwhile: what a reader sees is what there is.
        let file = read::files(&self.readers, scope, &[id]).await?.pop();
        let removed = match file {
            Some(file) => keep::remove_file(&mut write, id).await.map(|()| Some(file)),
            None => Ok(None),
        };
        write.done(removed).await
    }

    async fn counts(&self, scope: &Scope) -> Result<Vec<Count>> {
        read::counts(&self.readers, scope).await
    }

    async fn ahead(&self, scope: &Scope, task: &Task, limit: i64) -> Result<i64> {
        read::ahead(&self.readers, scope, task, limit).await
    }

    async fn tidy(&self, keys_before: Time, minutes_before: i64) -> Result<()> {
        let mut write = self.writer.begin().await?;
        let tidied = keep::tidy(&mut write, keys_before, minutes_before).await;
        write.done(tidied).await
    }

    async fn prune(&self, prune: &Prune) -> Result<Pruned> {
        let mut write = self.writer.begin().await?;
        let pruned = prune::prune(&mut write, prune).await;
        let pruned = write.done(pruned).await?;
        if pruned.tasks > 0
            && let Err(error) = self.shrink().await
        {
            tracing::warn!(%error, "the file could not be made shorter; it is tried again with the next deletion");
        }
        Ok(pruned)
    }

    async fn fill(&self, made: &Made) -> Result<()> {
        let mut write = self.writer.begin().await?;
        let filled = fill::fill(&mut write, made).await;
        write.done(filled).await
    }

    fn wake(&self, _: Wake) {}

    fn wakes(&self) -> broadcast::Receiver<Wake> {
        self.wakes.subscribe()
    }

    async fn probe(&self) -> Result<()> {
        self.writer.probe().await
    }

    async fn stamp(&self) -> Result<Stamp> {
        Ok(Stamp(self.writer.stamp().to_string()))
    }

    async fn written(&self) -> Result<Written> {
        Ok(Written { commits: self.writer.commits(), log_bytes: None })
    }

    fn log_bytes(&self) -> Option<u64> {
        Some(self.writer.anchor().log_bytes())
    }

    async fn broken(&self) -> Error {
        self.writer.broken().await
    }

    async fn close(&self) {
        self.readers.close().await;
        // What the log held is then in the file, unless a reader from outside is in the way; then, and
        // after a failure, nothing is lost and the mark stays.
        self.writer.cut_log().await;
        if self.writer.check().is_ok() && self.writer.anchor().log_bytes() == 0 {
            self.mark.remove();
        }
    }
}

impl Sqlite {
    async fn shrink(&self) -> Result<()> {
        let mut write = self.writer.begin().await?;
        let shrunk = prune::shrink(&mut write).await;
        write.done(shrunk).await
    }
}

async fn claimed(mut write: Write<'_>, claim: &Claim) -> Result<Vec<Task>> {
    let tasks = write::claim(&mut write, claim).await;
    write.done(tasks).await
}

/// What a failure of the driver means to the domain. See the result codes of the SQLite manual.
fn failed(error: sqlx::Error) -> Error {
    let text = error.to_string();
    let code = error.as_database_error().and_then(|error| error.code()).and_then(|code| code.parse::<i32>().ok());
    match (code.map(|code| code & 0xff), &error) {
        (Some(13), _) => Error::Full(text),
        (Some(11 | 26), _) => Error::Damaged(text),
        (Some(5 | 6 | 8 | 10 | 14), _) => Error::Unavailable(text),
        (
            None,
            sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed | sqlx::Error::Io(_),
        ) => Error::Unavailable(text),
        _ => Error::Internal(text),
    }
}
