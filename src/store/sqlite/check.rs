//! What is looked at in the file before anything is written to it, over a connection that cannot write.

use super::failed;
use super::guard::{self, APPLICATION_ID};
use crate::store::{Error, Result};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, SqliteConnection};
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::time::interval;

/// A larger file takes long enough to check that the log says so. Measured on 767 MiB (a million tasks,
/// three million entries of the log): 1.0 s from memory, 7 s from the disk.
const WORTH_TELLING: u64 = 256 << 20;
/// How often the log says that it is still being checked.
const TELL_EVERY: Duration = Duration::from_secs(5);

/// A connection that cannot write, to a database that may be open elsewhere.
pub fn reading(database: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(database)
        .create_if_missing(false)
        .read_only(true)
        .busy_timeout(Duration::from_secs(5))
        .disable_statement_logging()
}

/// `Damaged` if it holds another program's tables, was written by a newer Errand (`newest` is the
/// last migration this one knows), or does not pass SQLite's `quick_check`, which reads all of it.
pub async fn examine(database: &Path, newest: i64) -> Result<()> {
    let mut db = reading(database).connect().await.map_err(failed)?;
    let examined = async {
        is_ours(database, &mut db).await?;
        is_known(&mut db, newest).await?;
        is_whole(database, &mut db).await
    };
    let examined = examined.await;
    let _ = db.close().await;
    examined
}

/// Databases made before there was an application id are known by their tables.
async fn is_ours(database: &Path, db: &mut SqliteConnection) -> Result<()> {
    if guard::header(database)?.is_some_and(|header| header.application_id == APPLICATION_ID) {
        return Ok(());
    }
    let tables: Vec<String> = sqlx::query_scalar("SELECT name FROM sqlite_schema WHERE type = 'table'")
        .fetch_all(db)
        .await
        .map_err(failed)?;
    match tables.is_empty() || tables.iter().any(|table| table == "_sqlx_migrations") {
        true => Ok(()),
        false => Err(Error::Damaged(format!("{} is another program's database", database.display()))),
    }
}

/// That no migration was run which this Errand does not know.
pub async fn is_known(db: &mut SqliteConnection, newest: i64) -> Result<()> {
    let has_any: i64 = sqlx::query_scalar("SELECT count(*) FROM sqlite_schema WHERE name = '_sqlx_migrations'")
        .fetch_one(&mut *db)
        .await
        .map_err(failed)?;
    if has_any == 0 {
        return Ok(());
    }
    let found: Option<i64> =
        sqlx::query_scalar("SELECT max(version) FROM _sqlx_migrations").fetch_one(db).await.map_err(failed)?;
    match found {
        Some(found) if found > newest => {
            Err(Error::Damaged(format!("it was written by a newer Errand (migration {found}); start that one")))
        }
        _ => Ok(()),
    }
}

async fn is_whole(database: &Path, db: &mut SqliteConnection) -> Result<()> {
    let bytes = guard::size(database)?.unwrap_or(0);
    if bytes > WORTH_TELLING {
        tracing::info!(megabytes = bytes >> 20, "checking the database file");
    }
    let (began, mut tell) = (Instant::now(), interval(TELL_EVERY));
    tell.tick().await;
    let check = quick_check(db);
    tokio::pin!(check);
    let wrong = loop {
        tokio::select! {
            wrong = &mut check => break wrong?,
            _ = tell.tick() => tracing::info!(seconds = began.elapsed().as_secs(), "still checking the database file"),
        }
    };
    if wrong.is_empty() {
        return Ok(());
    }
    Err(Error::Damaged(format!("{} does not pass SQLite's quick_check: {}", database.display(), wrong.join("; "))))
}

/// What SQLite finds wrong with the structure of the file; empty if nothing is.
async fn quick_check(db: &mut SqliteConnection) -> Result<Vec<String>> {
    let said: Vec<String> = match sqlx::query_scalar("PRAGMA quick_check(5)").fetch_all(db).await.map_err(failed) {
        // So wrong that it could not go on.
        Err(Error::Damaged(wrong)) => vec![wrong],
        said => said?,
    };
    Ok(said.into_iter().filter(|line| line != "ok").map(|line| line.replace('\n', " ")).collect())
}
