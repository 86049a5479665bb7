//! A database for measuring: a file in the data folder, or a database beside the one that is configured.

use crate::clock::Clock;
use crate::config::{Config, DatabaseUrl};
use crate::files::Files;
use crate::queue::Queue;
use crate::store::{HeldSnapshot, Postgres, Sqlite, Store};
use crate::types::Types;
use std::path::PathBuf;
use std::sync::Arc;
use uuid::Uuid;

/// The database and the folder, until removed.
pub struct Scratch {
    folder: PathBuf,
    database: DatabaseUrl,
    /// The Postgres in which the database was made.
    server: Option<String>,
}

impl Scratch {
    /// Makes them: nothing that is there already is touched. On Postgres the user must be allowed
    /// to create a database.
    pub async fn make(config: &Config) -> Result<Scratch, String> {
        let folder = config.data_dir.join(format!("bench-{}", Uuid::new_v4().simple()));
        std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        let (database, server) = match &config.database {
            DatabaseUrl::Sqlite(_) => (DatabaseUrl::Sqlite(folder.join("errand.db")), None),
            DatabaseUrl::Postgres(server) => {
                let url = Postgres::create_scratch(server).await.map_err(|error| error.to_string())?;
                (DatabaseUrl::Postgres(url), Some(server.clone()))
            }
        };
        Ok(Scratch { folder, database, server })
    }

    /// The door to it.
    pub async fn queue(&self) -> Result<Queue, String> {
        let failed = |error: crate::store::Error| error.to_string();
        let store: Arc<dyn Store> = match &self.database {
            DatabaseUrl::Sqlite(path) => Arc::new(Sqlite::open(path).await.map_err(failed)?),
            DatabaseUrl::Postgres(url) => Arc::new(Postgres::open(url).await.map_err(failed)?),
        };
        let files = Files::local(&self.folder.join("files")).map_err(|error| error.to_string())?;
        Ok(Queue::open(store, Clock::system(), Types::builtin(), files))
    }

    /// Holds a snapshot of it open, until dropped.
    pub async fn hold_snapshot(&self) -> Result<HeldSnapshot, String> {
        match &self.database {
            DatabaseUrl::Sqlite(_) => Err("snapshots are held on Postgres: give it a --database-url".to_owned()),
            DatabaseUrl::Postgres(url) => Postgres::hold_snapshot(url).await.map_err(|error| error.to_string()),
        }
    }

    /// Does at once what the database would do by itself in the time after many rows were written.
    pub async fn settle(&self) -> Result<(), String> {
        match &self.database {
            DatabaseUrl::Sqlite(_) => Ok(()),
            DatabaseUrl::Postgres(url) => Postgres::settle(url).await.map_err(|error| error.to_string()),
        }
    }

    /// Removes them.
    pub async fn remove(self) {
        if let (Some(server), DatabaseUrl::Postgres(url)) = (&self.server, &self.database)
            && let Err(error) = Postgres::drop_scratch(server, url).await
        {
            tracing::warn!(%error, "the database made for measuring could not be dropped");
        }
        if let Err(error) = std::fs::remove_dir_all(&self.folder) {
            tracing::warn!(%error, "the folder made for measuring could not be removed");
        }
    }
}
