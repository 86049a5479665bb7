//! `errand backup` and `errand verify`: beside the nodes that use the database, or without any.

use super::{Failure, say};
use crate::config::{Config, DatabaseUrl, VerifyArgs};
use crate::files::Files;
use crate::store::{self, Inspect, Postgres, Sqlite};
use crate::verify;
use std::path::Path;

/// Copies the database; what else belongs to a backup is told.
pub async fn backup(config: &Config, to: &Path) -> Result<(), Failure> {
    let files = config.data_dir.join("files");
    let DatabaseUrl::Sqlite(path) = &config.database else {
        return Err(Failure::Usage(format!(
            "the tasks are kept in Postgres: back it up with pg_dump, then copy the folder {}",
            files.display()
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
    let (to, files) = (to.display(), files.display());
    say(&format!("{to}: {bytes} bytes, checked. The files are not in it: copy the folder {files} now"))
}

/// Whether everything that is kept twice agrees; prints what does not.
pub async fn verify(config: &Config, args: &VerifyArgs) -> Result<bool, Failure> {
    let mut database: Box<dyn Inspect> = match &config.database {
        DatabaseUrl::Sqlite(path) => Box::new(Sqlite::beside(path).await?),
        DatabaseUrl::Postgres(url) => Box::new(Postgres::beside(url).await?),
    };
    let other = |error: &dyn std::fmt::Display| Failure::Other(error.to_string());
    let folder = config.data_dir.join("files");
    let files = folder.exists().then(|| Files::local(&folder)).transpose().map_err(|error| other(&error))?;
    let report = verify::verify(&mut *database, files.as_ref(), args).await?;
    verify::print(&report, args.json).map_err(|error| other(&error))?;
    Ok(report.agrees)
}
