//! Beside a running process: a database is read that another process has, without its lock.

use super::guard::{self, beside};
use super::{Sqlite, check, failed, open};
use crate::store::{Error, Result};
use sqlx::{ConnectOptions, Connection, SqliteConnection};
use std::fs::{self, File};
use std::io;
use std::path::Path;

/// A connection that cannot write, to a database that a process may have open.
pub struct Beside {
    pub(super) db: SqliteConnection,
}

/// Why there is no backup.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The database could not be read.
    #[error(transparent)]
    Database(#[from] Error),
    /// The copy could not be written. Nothing of it remains.
    #[error("the backup could not be written: {0}")]
    Copy(String),
}

impl Sqlite {
    /// Opens a database to read it, while a process has it or while none does. It takes no lock
    /// and changes nothing. `Damaged` as in [`Sqlite::open`]; `Unavailable` if there is none.
    pub async fn beside(path: &Path) -> Result<Beside> {
        if !guard::look(path)? {
            return Err(Error::Unavailable(format!("there is no database at {}", path.display())));
        }
        let mut db = check::reading(path).connect().await.map_err(failed)?;
        check::is_known(&mut db, open::newest()).await?;
        Ok(Beside { db })
    }
}

impl Beside {
    /// Copies the database as it is at one instant into a file that is not there yet, checks the copy
    /// and answers its size. Under its name the copy is whole and on disk, however this ends. The
    /// process that has the database goes on meanwhile; its log cannot be cut until the copy is made.
    pub async fn backup(&mut self, to: &Path) -> Result<u64, BackupError> {
        if to.exists() {
            return Err(BackupError::Copy(format!("{} is there already", to.display())));
        }
        let part = beside(to, ".part");
        let copied = self.copy(&part, to).await;
        if copied.is_err() {
            let _ = fs::remove_file(&part);
        }
        copied
    }

    async fn copy(&mut self, part: &Path, to: &Path) -> Result<u64, BackupError> {
        let unwritten = |error: io::Error| BackupError::Copy(error.to_string());
        let name = part.to_str().ok_or_else(|| BackupError::Copy("its path is not UTF-8".to_owned()))?;
        absent_is_removed(fs::remove_file(part)).map_err(unwritten)?;
        let vacuumed = sqlx::query("VACUUM INTO ?1").bind(name).execute(&mut self.db).await;
        vacuumed.map_err(failed).map_err(of_vacuum)?;
        // The copy is nobody's run.
        let mut copy = check::reading(part).read_only(false).connect().await.map_err(failed)?;
        sqlx::query("PRAGMA user_version = 0").execute(&mut copy).await.map_err(failed)?;
        copy.close().await.map_err(failed)?;
        check::examine(part, open::newest()).await?;
        let file = File::open(part).map_err(unwritten)?;
        file.sync_all().map_err(unwritten)?;
        name_it(part, to).map_err(unwritten)?;
        guard::sync_folder(to).map_err(unwritten)?;
        Ok(file.metadata().map_err(unwritten)?.len())
    }
}

/// Gives the copy its name, unless that has been taken meanwhile.
fn name_it(part: &Path, to: &Path) -> io::Result<()> {
    match fs::hard_link(part, to) {
        Ok(()) => fs::remove_file(part),
        // A file system without links.
        Err(_) if !to.exists() => fs::rename(part, to),
        Err(error) => Err(error),
    }
}

fn absent_is_removed(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// What the copy lacks is told as such, and not as if the database had none.
fn of_vacuum(error: Error) -> BackupError {
    match error {
        Error::Full(_) => BackupError::Copy("no space left".to_owned()),
        Error::Unavailable(why) => BackupError::Copy(why),
        error => error.into(),
    }
}
