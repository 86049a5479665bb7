//! SQLite: one file, one process, one writer with group commit, several readers.
//!
//! A write is one `BEGIN IMMEDIATE` transaction on the one writing connection, so `seq` is given
//! out in commit order by construction. Batches travel as one JSON parameter, which costs about
//! as much as one row does on its own.

mod json;
mod keep;
mod open;
mod read;
mod write;

use super::{
    Beat, Claim, Count, Database, Due, Entry, Error, File, Held, LineQuery, Minute, Result, Save, Saved, Store,
    StoredLine, Submission, Submitted, Transition, Wake,
};
use crate::task::{Artifact, Change, Checkpoint, Filter, Page, Scope, Task, Time};
use async_trait::async_trait;
use sqlx::{Connection, Sqlite as Driver, SqliteConnection, SqlitePool, Transaction};
use tokio::sync::{Mutex, MutexGuard, broadcast};
use uuid::Uuid;

/// The store in a SQLite file.
pub struct Sqlite {
    writer: Mutex<SqliteConnection>,
    readers: SqlitePool,
    wakes: broadcast::Sender<Wake>,
    /// Held as long as the store is: a second process is refused.
    _lock: std::fs::File,
}

/// The writing connection, while nobody else has it.
struct Writer<'a>(MutexGuard<'a, SqliteConnection>);

impl Sqlite {
    async fn writer(&self) -> Writer<'_> {
        Writer(self.writer.lock().await)
    }
}

impl Writer<'_> {
    async fn begin(&mut self) -> Result<Transaction<'_, Driver>> {
        self.0.begin_with("BEGIN IMMEDIATE").await.map_err(failed)
    }
}

#[async_trait]
impl Store for Sqlite {
    fn database(&self) -> Database {
        Database::Sqlite
    }

    async fn durability(&self) -> Result<String> {
        keep::durability(&mut self.writer().await.0).await
    }

    async fn now(&self) -> Result<Time> {
        read::now(&self.readers).await
    }

    async fn insert(&self, submissions: &[Submission]) -> Result<Vec<Submitted>> {
        let rows = write::task_rows(submissions.iter());
        let mut writer = self.writer().await;
        let mut transaction = writer.begin().await?;
        let submitted = write::insert(&mut transaction, submissions, rows).await?;
        commit(transaction).await?;
        Ok(submitted)
    }

    async fn claim(&self, claim: &Claim) -> Result<Vec<Task>> {
        let mut writer = self.writer().await;
        let mut transaction = writer.begin().await?;
        let tasks = write::claim(&mut transaction, claim).await?;
        commit(transaction).await?;
        Ok(tasks)
    }

    async fn apply(&self, changes: &[Change]) -> Result<Vec<Option<Task>>> {
        let rows = write::change_rows(changes);
        let mut writer = self.writer().await;
        let mut transaction = writer.begin().await?;
        let tasks = write::apply(&mut transaction, changes, rows).await?;
        commit(transaction).await?;
        Ok(tasks)
    }

    async fn beat(&self, beats: &[Beat], until: Time, now: Time) -> Result<Vec<Held>> {
        let mut writer = self.writer().await;
        let mut transaction = writer.begin().await?;
        let held = keep::beat(&mut transaction, beats, until, now).await?;
        commit(transaction).await?;
        Ok(held)
    }

    async fn held(&self, leases: &[Uuid]) -> Result<Vec<Held>> {
        read::held(&self.readers, leases).await
    }

    async fn save(&self, saves: &[Save], now: Time) -> Result<Vec<Saved>> {
        let mut writer = self.writer().await;
        let mut transaction = writer.begin().await?;
        let mut saved = Vec::with_capacity(saves.len());
        for save in saves {
            saved.push(keep::save(&mut transaction, save, now).await?);
        }
        commit(transaction).await?;
        Ok(saved)
    }

    async fn checkpoints(&self, tasks: &[Uuid]) -> Result<Vec<Checkpoint>> {
        read::checkpoints(&self.readers, tasks).await
    }

    async fn promote(&self, now: Time, limit: i64) -> Result<Due> {
        let next = read::next_due(&self.readers).await?;
        if next.is_none_or(|next| next > now) {
            return Ok(Due { promoted: 0, next });
        }
        let promoted = keep::promote(&mut self.writer().await.0, now, limit).await?;
        Ok(Due { promoted, next: read::next_due(&self.readers).await? })
    }

    async fn lapsed(&self, now: Time, limit: i64) -> Result<Vec<Task>> {
        read::lapsed(&self.readers, now, limit).await
    }

    async fn get(&self, scope: &Scope, id: Uuid) -> Result<Option<Task>> {
        read::get(&self.readers, scope, id).await
    }

    async fn list(&self, scope: &Scope, filter: &Filter, page: &Page) -> Result<Vec<Task>> {
        read::list(&self.readers, scope, filter, page).await
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
        keep::add_file(&mut self.writer().await.0, file).await
    }

    async fn files(&self, scope: &Scope, ids: &[Uuid]) -> Result<Vec<File>> {
        read::files(&self.readers, scope, ids).await
    }

    async fn remove_file(&self, scope: &Scope, id: Uuid) -> Result<Option<File>> {
        let mut writer = self.writer().await;
        let file = read::files(&self.readers, scope, &[id]).await?.pop();
        if file.is_some() {
            keep::remove_file(&mut writer.0, id).await?;
        }
        Ok(file)
    }

    async fn counts(&self, scope: &Scope) -> Result<Vec<Count>> {
        read::counts(&self.readers, scope).await
    }

    async fn put_minutes(&self, minutes: &[Minute]) -> Result<()> {
        keep::put_minutes(&mut self.writer().await.0, minutes).await
    }

    async fn minutes(&self, scope: &Scope, since: i64) -> Result<Vec<Minute>> {
        read::minutes(&self.readers, scope, since).await
    }

    async fn ahead(&self, task: &Task, limit: i64) -> Result<i64> {
        read::ahead(&self.readers, task, limit).await
    }

    async fn tidy(&self, keys_before: Time, minutes_before: i64) -> Result<()> {
        keep::tidy(&mut self.writer().await.0, keys_before, minutes_before).await
    }

    fn wake(&self, _: Wake) {}

    fn wakes(&self) -> broadcast::Receiver<Wake> {
        self.wakes.subscribe()
    }

    async fn close(&self) {
        self.readers.close().await;
        // The last connection to close writes the log back into the file; a failure loses nothing.
        let _ = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut *self.writer.lock().await).await;
    }
}

async fn commit(transaction: Transaction<'_, Driver>) -> Result<()> {
    transaction.commit().await.map_err(failed)
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
