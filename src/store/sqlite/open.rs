//! Opening the file: the lock, the looks at it, the settings, the migrations, the mark.

use super::anchor::Anchor;
use super::guard::{self, APPLICATION_ID, Mark, beside};
use super::writer::Writer;
use super::{Sqlite, check, failed, watch};
use crate::fault;
use crate::store::{Error, Result};
use sqlx::migrate::MigrateError;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, SqliteConnection};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast;

/// Readers at once; a read takes well under a millisecond.
const READERS: u32 = 4;
/// Bytes of a page of a new file. What is written together stands together (ids rise with time), so
/// larger pages mean fewer of them; measured against 4 KiB.
const PAGE_BYTES: u32 = 8192;
/// Rows the driver's thread may be ahead of their reader. As many as a write returns, so that the
/// one writing thread never waits for a reader to be scheduled.
const ROWS_BUFFERED: usize = 4096;
/// Pages of the write-ahead log after which it is written back: 32 MiB.
const CHECKPOINT_PAGES: &str = "4000";
/// The log's file is cut to this size after a checkpoint.
const LOG_BYTES: &str = "67108864";
/// Before this version SQLite can damage a database in WAL mode (the WAL-reset bug).
const OLDEST_SAFE: (u32, u32, u32) = (3, 51, 3);

static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("migrations/sqlite");

impl Sqlite {
    /// Opens the file, made if missing, and brings its tables up to date. `InUse` if another
    /// process has it; `Damaged` if it is no database of ours, is not whole, or if something of
    /// what the last process wrote is missing: it is then left as it is. What it writes is on disk
    /// when a write returns (`synchronous=FULL`). Must be called on a tokio runtime.
    pub async fn open(path: &Path) -> Result<Sqlite> {
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            fs::create_dir_all(folder).map_err(|error| Error::Unavailable(format!("the data folder: {error}")))?;
        }
        let lock = guard::lock(path)?;
        match guard::look(path)? {
            true => check::examine(path, newest()).await?,
            false => make(path).await?,
        }
        let mut writer = writing(path).connect().await.map_err(failed)?;
        let version: String =
            sqlx::query_scalar("SELECT sqlite_version()").fetch_one(&mut writer).await.map_err(failed)?;
        check_version(&version)?;
        fault::point("migrate_begun").await;
        fault::during("migrate_in_flight", MIGRATIONS.run(&mut writer)).await.map_err(not_migrated)?;
        fault::point("migrate_done").await;
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS)
            .acquire_timeout(Duration::from_secs(2))
            .connect_with(writing(path).create_if_missing(false).read_only(true))
            .await
            .map_err(failed)?;
        let unavailable = |error: std::io::Error| Error::Unavailable(format!("{}: {error}", path.display()));
        let run = begin_run(path, &mut writer).await?;
        fault::point("sqlite_numbered").await;
        let anchor = Anchor::of(path).map_err(unavailable)?;
        let mark = Mark::of(path);
        mark.set(run).map_err(unavailable)?;
        let writer = Arc::new(Writer::new(writer, anchor));
        let watch = watch::start(writer.clone());
        Ok(Sqlite { writer, readers, wakes: broadcast::Sender::new(1), mark, _watch: watch, _lock: lock })
    }
}

/// The last migration this Errand knows.
pub fn newest() -> i64 {
    MIGRATIONS.iter().map(|migration| migration.version).max().unwrap_or(0)
}

fn writing(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(false)
        .page_size(PAGE_BYTES)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(Duration::from_secs(5))
        .foreign_keys(false)
        .statement_cache_capacity(200)
        .row_buffer_size(ROWS_BUFFERED)
        .pragma("wal_autocheckpoint", CHECKPOINT_PAGES)
        .pragma("journal_size_limit", LOG_BYTES)
        .pragma("temp_store", "memory")
        .pragma("cache_size", "-65536")
        .disable_statement_logging()
}

/// Makes the file under another name first: under its own one it is never empty, however the
/// process ends, so that one that is found empty is known to be damaged.
async fn make(path: &Path) -> Result<()> {
    let unavailable = |error: std::io::Error| Error::Unavailable(format!("a new database: {error}"));
    let new = beside(path, ".new");
    for left in [new.clone(), beside(&new, "-wal"), beside(&new, "-shm"), beside(&new, "-journal")] {
        let _ = fs::remove_file(left);
    }
    let mut db = writing(&new).create_if_missing(true).connect().await.map_err(failed)?;
    sign(&mut db).await?;
    db.close().await.map_err(failed)?;
    fault::point("sqlite_made").await;
    fs::rename(&new, path).map_err(unavailable)?;
    guard::sync_folder(path).map_err(unavailable)?;
    tracing::info!(path = %path.display(), "made a new database");
    Ok(())
}

/// Writes whose database it is into its header.
async fn sign(db: &mut SqliteConnection) -> Result<()> {
    let statement = format!("PRAGMA application_id = {APPLICATION_ID}");
    sqlx::query(AssertSqlSafe(statement)).execute(db).await.map_err(failed)?;
    Ok(())
}

/// Gives this run a number and writes it into the file itself, past the log; what the log held is
/// written back with it. 0 if a reader from outside is in the way of that: then a file that is put
/// in this one's place is not told from it.
async fn begin_run(path: &Path, db: &mut SqliteConnection) -> Result<u32> {
    sign(db).await?;
    let run = rand::random_range(1..=i32::MAX as u32);
    sqlx::query(AssertSqlSafe(format!("PRAGMA user_version = {run}"))).execute(&mut *db).await.map_err(failed)?;
    sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(db).await.map_err(failed)?;
    let written = guard::header(path)?.is_some_and(|header| header.run == run);
    Ok(if written { run } else { 0 })
}

fn check_version(version: &str) -> Result<()> {
    let mut parts = version.split('.').map(|part| part.parse().unwrap_or(0));
    let mut next = || parts.next().unwrap_or(0);
    let found = (next(), next(), next());
    if found >= OLDEST_SAFE { Ok(()) } else { Err(Error::Internal(format!("SQLite {version} is not safe to use"))) }
}

fn not_migrated(error: MigrateError) -> Error {
    match error {
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => failed(error),
        error => Error::Damaged(error.to_string()),
    }
}
