//! Opening the file: the lock, the looks at it, the settings, the migrations, the mark.

use super::anchor::Anchor;
use super::ballast::Ballast;
use super::guard::{self, APPLICATION_ID, Mark, beside};
use super::writer::Writer;
use super::{Sqlite, check, failed, watch};
use crate::fault;
use crate::store::{Error, Result};
use sqlx::migrate::MigrateError;
use sqlx::sqlite::{SqliteAutoVacuum, SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, SqliteConnection, SqlitePool};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use std::{fs, io};
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
    ///
    /// On a full disk the ballast is given up for it; `Full` if there is none.
    pub async fn open(path: &Path) -> Result<Sqlite> {
        let ballast = Ballast::of(path);
        match Sqlite::open_with(path, ballast.clone()).await {
            Err(Error::Full(_)) if ballast.is_there() => {
                ballast.give_up();
                Sqlite::open_with(path, ballast).await
            }
            opened => opened,
        }
    }

    async fn open_with(path: &Path, ballast: Ballast) -> Result<Sqlite> {
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            fs::create_dir_all(folder).map_err(|error| Error::Unavailable(format!("the data folder: {error}")))?;
        }
        let lock = guard::lock(path)?;
        match guard::look(path)? {
            true => check::examine(path, newest()).await?,
            false => make(path).await?,
        }
        let mark = Mark::of(path);
        let run = rand::random_range(1..=i32::MAX as u32);
        let mut writer = writing(path).connect().await.map_err(failed)?;
        let begun = begin(path, &mut writer, run, &mark).await;
        let (readers, anchor) = match begun {
            Ok(begun) => begun,
            Err(error) => {
                // To close it would delete the log, which with a mark looks like a loss.
                if !mark.remove() {
                    std::mem::forget(writer);
                } else {
                    let _ = writer.close().await;
                }
                return Err(error);
            }
        };
        let writer = Arc::new(Writer::new(writer, anchor, ballast, run));
        let watch = watch::start(writer.clone());
        Ok(Sqlite { writer, readers, wakes: broadcast::Sender::new(1), mark, _watch: watch, _lock: lock })
    }
}

/// What stands between a connection and a store: version, migrations, readers, the number of the
/// run, the mark.
async fn begin(path: &Path, writer: &mut SqliteConnection, run: u32, mark: &Mark) -> Result<(SqlitePool, Anchor)> {
    let version: String =
        sqlx::query_scalar("SELECT sqlite_version()").fetch_one(&mut *writer).await.map_err(failed)?;
    check_version(&version)?;
    fault::point("migrate_begun").await;
    fault::during("migrate_in_flight", MIGRATIONS.run(&mut *writer)).await.map_err(not_migrated)?;
    fault::point("migrate_done").await;
    // While the number changes, the mark names none: whenever this ends, the two do not contradict.
    mark.set(0).map_err(unwritten)?;
    let told = begin_run(path, writer, run).await?;
    fault::point("sqlite_numbered").await;
    let readers = SqlitePoolOptions::new()
        .max_connections(READERS)
        .acquire_timeout(Duration::from_secs(2))
        .connect_with(writing(path).read_only(true))
        .await
        .map_err(failed)?;
    let anchor = Anchor::of(path).map_err(unwritten);
    let marked = anchor.and_then(|anchor| mark.set(told).map_err(unwritten).map(|()| anchor));
    match marked {
        Ok(anchor) => Ok((readers, anchor)),
        Err(error) => {
            readers.close().await;
            Err(error)
        }
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
    let new = beside(path, ".new");
    for left in [new.clone(), beside(&new, "-wal"), beside(&new, "-shm"), beside(&new, "-journal")] {
        let _ = fs::remove_file(left);
    }
    // With a map of its pages, so that the file can be made shorter.
    let options = writing(&new).create_if_missing(true).auto_vacuum(SqliteAutoVacuum::Incremental);
    let mut db = options.connect().await.map_err(failed)?;
    sign(&mut db).await?;
    db.close().await.map_err(failed)?;
    fault::point("sqlite_made").await;
    fs::rename(&new, path).map_err(unwritten)?;
    guard::sync_folder(path).map_err(unwritten)?;
    tracing::info!(path = %path.display(), "made a new database");
    Ok(())
}

fn unwritten(error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::StorageFull => Error::Full(error.to_string()),
        _ => Error::Unavailable(format!("beside the database: {error}")),
    }
}

/// Writes whose database it is into its header.
async fn sign(db: &mut SqliteConnection) -> Result<()> {
    let statement = format!("PRAGMA application_id = {APPLICATION_ID}");
    sqlx::query(AssertSqlSafe(statement)).execute(db).await.map_err(failed)?;
    Ok(())
}

/// Writes the number of this run into the file itself, past the log; what the log held is written
/// back with it. Answers it, for the mark; 0 if a reader from outside is in the way of that: then a
/// file that is put in this one's place is not told from it.
async fn begin_run(path: &Path, db: &mut SqliteConnection, run: u32) -> Result<u32> {
    sign(db).await?;
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
