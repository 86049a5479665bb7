//! Opening: the tables brought up to date, the parts put together.

use super::connect::{Connections, connect, options, session};
use super::heads::Heads;
use super::link::Link;
use super::notify::Notifier;
use super::{Postgres, failed};
use crate::fault;
use crate::store::{Error, Result};
use sqlx::Connection;
use sqlx::migrate::MigrateError;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Connections for reads. With three for writes, one to listen, one to tell and one to look when in
/// doubt, a node has at most 14.
const READERS: usize = 8;

/// A migration may rewrite large tables, or wait for another node that does.
const MIGRATION: Duration = Duration::from_secs(24 * 3600);

static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("migrations/postgres");

impl Postgres {
    /// Connects, and brings the tables up to date (one node at a time: an advisory lock).
    pub async fn open(url: &str) -> Result<Postgres> {
        let options = options(url)?;
        let link = Arc::new(Link::new(session(&options, "look")));
        let mut look = JoinSet::new();
        look.spawn({
            let link = link.clone();
            async move { link.keep().await }
        });
        let mut first = connect(&options).await?;
        fault::point("migrate_begun").await;
        let migrated = async { MIGRATIONS.run(&mut first).await.map_err(not_migrated) };
        fault::during("migrate_in_flight", link.in_time(Instant::now() + MIGRATION, migrated)).await?;
        fault::point("migrate_done").await;
        let _ = first.close().await;
        // A writer's statements look rows up by id, or take the first of an index: a plan made while
        // the tables were empty, or after a burst nobody has analysed, must not scan or sort them.
        // Nor must what reads a piece of a long history.
        let plans = [
            ("enable_seqscan", "off"),
            ("enable_bitmapscan", "off"),
            ("enable_hashjoin", "off"),
            ("enable_mergejoin", "off"),
        ];
        let generic = [("plan_cache_mode", "force_generic_plan")];
        let writer = |what| Connections::new(link.clone(), session(&options, what).options(plans).options(generic), 1);
        Ok(Postgres {
            pool: Connections::new(link.clone(), session(&options, "reads").options(plans), READERS),
            submits: writer("submits"),
            changes: writer("changes"),
            work: writer("work"),
            heads: Heads::default(),
            notifier: Notifier::start(
                session(&options, "listen"),
                Connections::new(link.clone(), session(&options, "tell"), 1),
            ),
            _look: look,
        })
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
