//! `errand backup` and `errand verify`: beside the nodes that use the database, or without any.

use super::{Failure, files, say};
use crate::config::{Config, DatabaseUrl, FileStore, VerifyArgs};
use crate::store::{self, Inspect, Postgres, Sqlite};
use crate::verify;
use std::path::Path;

/// Copies the database; what else belongs to a backup is told.
pub async fn backup(config: &Config, to: &Path) -> Result<(), Failure> {
    let files = match &config.files {
        FileStore::Folder(folder) => format!("the folder {}", folder.display()),
        bucket => format!("what lies in {bucket}"),
    };
    let DatabaseUrl::Sqlite(path) = &config.database else {
        return Err(Failure::Usage(format!(
            "the tasks are kept in Postgres: back it up with pg_dump, then copy {files}"
        )));
    };
    if to.exists() {
        return Err(Failure::Usage(format!("{} is there already, and is not written over", to.display())));
    }
    let copied = Sqlite::beside(path).await?.backup(to).await;
    let bytes = copied.map_err(|error| match error {
        store::BackupError::Database(error) => Failure::Store(error),
        error => Failure::Other(error.to_string()),
    })?;
    say(&format!("{}: {bytes} bytes, checked. The files are not in it: copy {files} now", to.display()))
}

/// Whether everything that is kept twice agrees; prints what does not.
pub async fn verify(config: &Config, args: &VerifyArgs) -> Result<bool, Failure> {
    let mut database: Box<dyn Inspect> = match &config.database {
        DatabaseUrl::Sqlite(path) => Box::new(Sqlite::beside(path).await?),
        DatabaseUrl::Postgres(url) => Box::new(Postgres::beside(url).await?),
    };
    let other = |error: &dyn std::fmt::Display| Failure::Other(error.to_string());
    let files = files::open_existing(config)?;
    let report = verify::verify(&mut *database, files.as_ref(), args).await?;
    verify::print(&report, args.json).map_err(|error| other(&error))?;
    Ok(report.agrees)
}
