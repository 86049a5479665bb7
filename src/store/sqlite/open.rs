//! Opening the file: the lock, the settings, the migrations.

use super::{Sqlite, failed};
use crate::store::{Error, Result};
use sqlx::ConnectOptions;
use sqlx::migrate::MigrateError;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::path::Path;
use std::time::Duration;
use tokio::sync::{Mutex, broadcast};

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
    /// process has it, `Damaged` if it is no database of ours. What it writes is on disk when a
    /// write returns (`synchronous=FULL`).
    pub async fn open(path: &Path) -> Result<Sqlite> {
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            fs::create_dir_all(folder).map_err(|error| Error::Unavailable(format!("the data folder: {error}")))?;
        }
        let lock = lock(path)?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
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
            .disable_statement_logging();
        let mut writer = options.connect().await.map_err(failed)?;
        let version: String =
            sqlx::query_scalar("SELECT sqlite_version()").fetch_one(&mut writer).await.map_err(failed)?;
        check_version(&version)?;
        MIGRATIONS.run(&mut writer).await.map_err(not_migrated)?;
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS)
            .acquire_timeout(Duration::from_secs(2))
            .connect_with(options.create_if_missing(false).read_only(true))
            .await
            .map_err(failed)?;
        Ok(Sqlite { writer: Mutex::new(writer), readers, wakes: broadcast::Sender::new(1), _lock: lock })
    }
}

/// A lock on a file beside the database, held by the operating system for as long as the process
/// lives, so that a killed one leaves nothing behind.
fn lock(path: &Path) -> Result<File> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(&name);
    let file = file.map_err(|error| Error::Unavailable(format!("the lock file: {error}")))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::InUse(path.display().to_string())),
        Err(TryLockError::Error(error)) => Err(Error::Unavailable(format!("the lock file: {error}"))),
    }
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
        MigrateError::VersionMissing(version) => {
            Error::Damaged(format!("it was written by a newer Errand (migration {version})"))
        }
        error => Error::Damaged(error.to_string()),
    }
}
