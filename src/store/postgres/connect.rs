//! Connections: how they are made, and the ones a writer owns.

use super::notify::Notifier;
use super::{PATIENCE, Postgres, failed};
use crate::store::{Error, Result};
use sqlx::migrate::MigrateError;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions, Connection, PgConnection};
use std::str::FromStr;
use std::time::Duration;
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::timeout;

/// Connections for reads.
const READERS: u32 = 8;

static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("migrations/postgres");

impl Postgres {
    /// Connects, and brings the tables up to date (one node at a time: an advisory lock).
    pub async fn open(url: &str) -> Result<Postgres> {
        let options = options(url)?;
        let mut first = connect(&options).await?;
        MIGRATIONS.run(&mut first).await.map_err(not_migrated)?;
        let _ = first.close().await;
        let bounded = options.clone().options([
            ("statement_timeout", "15s"),
            ("lock_timeout", "2s"),
            ("idle_in_transaction_session_timeout", "10s"),
        ]);
        // A writer's statements look rows up by id and nothing else: a plan made while the tables
        // were empty, or after a burst nobody has analysed, must not scan them.
        let writer = bounded.clone().options([
            ("enable_seqscan", "off"),
            ("enable_hashjoin", "off"),
            ("enable_mergejoin", "off"),
            ("plan_cache_mode", "force_generic_plan"),
        ]);
        let pool = PgPoolOptions::new()
            .max_connections(READERS)
            .acquire_timeout(Duration::from_secs(2))
            .connect_with(bounded.clone())
            .await
            .map_err(failed)?;
        Ok(Postgres {
            pool,
            submits: Owned::new(writer.clone()),
            changes: Owned::new(writer.clone()),
            work: Owned::new(writer),
            notifier: Notifier::start(bounded),
        })
    }
}

/// A connection of one writer, made when first needed. It is taken out for each write and put back
/// only after success: whatever else happens to the write (an error, a time-out, a dropped future)
/// closes the connection, and the server undoes what was not committed.
pub struct Owned {
    options: PgConnectOptions,
    slot: Mutex<Option<PgConnection>>,
}

/// The connection, for one write.
pub struct Lent<'a> {
    pub connection: PgConnection,
    slot: MutexGuard<'a, Option<PgConnection>>,
}

impl Owned {
    pub fn new(options: PgConnectOptions) -> Owned {
        Owned { options, slot: Mutex::new(None) }
    }

    pub async fn lend(&self) -> Result<Lent<'_>> {
        let mut slot = self.slot.lock().await;
        let connection = match slot.take() {
            Some(connection) => connection,
            None => connect(&self.options).await?,
        };
        Ok(Lent { connection, slot })
    }

    pub async fn close(&self) {
        if let Some(connection) = self.slot.lock().await.take() {
            let _ = connection.close().await;
        }
    }
}

impl Lent<'_> {
    /// Gives the connection back if the write went well.
    pub fn done<T>(mut self, written: Result<T>) -> Result<T> {
        if written.is_ok() {
            *self.slot = Some(self.connection);
        }
        written
    }
}

fn options(url: &str) -> Result<PgConnectOptions> {
    let options = PgConnectOptions::from_str(url).map_err(|error| Error::Internal(error.to_string()))?;
    Ok(options.application_name("errand").disable_statement_logging())
}

/// A connection that can only read, without the limits of those that serve.
pub async fn connect_to_read(url: &str) -> Result<PgConnection> {
    connect(&options(url)?.options([("default_transaction_read_only", "on")])).await
}

/// A new connection, within [`PATIENCE`].
pub async fn connect(options: &PgConnectOptions) -> Result<PgConnection> {
    match timeout(PATIENCE, options.connect()).await {
        Ok(connected) => connected.map_err(failed),
        Err(_) => Err(Error::Unavailable("no connection in time".to_owned())),
    }
}

fn not_migrated(error: MigrateError) -> Error {
    match error {
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => failed(error),
        MigrateError::VersionMissing(version) => {
            Error::Internal(format!("it was written by a newer Errand (migration {version})"))
        }
        error => Error::Internal(error.to_string()),
    }
}
