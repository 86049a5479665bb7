//! Opening: the tables brought up to date, the parts put together.

use super::connect::{Connections, connect, options, session};
use super::heads::Heads;
use super::link::Link;
use super::looks::Looks;
use super::notify::Notifier;
use super::{PATIENCE, Postgres, failed, pooled};
use crate::fault;
use crate::store::{Error, Result};
use sqlx::migrate::MigrateError;
use sqlx::{Connection, Executor, PgConnection, Row};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Connections for reads. With three for writes, one to listen, one to tell and one to look when in
/// doubt, a node has at most 14.
const READERS: usize = 8;

/// A migration may rewrite large tables, or wait for another node that does.
const MIGRATION: Duration = Duration::from_secs(24 * 3600);

impl Postgres {
    /// Connects, and brings the tables up to date (one node at a time: an advisory lock).
    pub async fn open(url: &str) -> Result<Postgres> {
        Postgres::try_open(url).await.map_err(pooled::at_open)
    }

    async fn try_open(url: &str) -> Result<Postgres> {
        let options = options(url)?;
        let link = Arc::new(Link::new(session(&options, "look")));
        let mut look = JoinSet::new();
        look.spawn({
            let link = link.clone();
            async move { link.keep().await }
        });
        let mut first = connect(&options).await?;
        link.in_time(Instant::now() + PATIENCE, pooled::check(&options, &mut first)).await?;
        fault::point("migrate_begun").await;
        let migrated = migrate(&mut first);
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
            looks: Looks::default(),
            notifier: Notifier::start(
                link.clone(),
                session(&options, "listen"),
                Connections::new(link.clone(), session(&options, "tell"), 1),
            ),
            _look: look,
        })
    }
}

/// A newer Errand may have been here: in a rolling restart old and new nodes share the database, and
/// an old one may be started again. That works as migrations only add.
async fn migrate(db: &mut PgConnection) -> Result<()> {
    let mut migrations = sqlx::migrate!("migrations/postgres");
    migrations.set_ignore_missing(true).run(&mut *db).await.map_err(not_migrated)?;
    let row = db.fetch_one("SELECT max(version) FROM _sqlx_migrations").await.map_err(failed)?;
    let found: Option<i64> = row.try_get(0).map_err(failed)?;
    let known = migrations.iter().map(|one| one.version).max();
    if found > known {
        tracing::warn!(found, known, "a newer Errand has migrated the database: this one works beside it for a while");
    }
    Ok(())
}

fn not_migrated(error: MigrateError) -> Error {
    match error {
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => failed(error),
        error => Error::Internal(error.to_string()),
    }
}
