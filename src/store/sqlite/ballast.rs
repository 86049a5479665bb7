//! The ballast: room that is held back on the database's disk, and given up when that is full.
//!
//! On a full disk SQLite can neither write its log back nor delete, so nothing done in the database
//! makes room again. With the ballast gone there is some: for what is under way to be written down,
//! and for the log to be cut. Until people have made room, and the ballast is back, nothing new is
//! taken in.

use super::guard::beside;
use crate::disk;
use crate::store::{Error, Result};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What is held back: some 100,000 reports of attempts.
const BALLAST_BYTES: u64 = 64 << 20;
/// On a disk of less than 1 GiB, one part in so many of it.
const SMALL_DISK_PARTS: u64 = 16;

/// The ballast, and whether it had to be given up.
#[derive(Debug, Clone)]
pub struct Ballast {
    file: PathBuf,
    database: PathBuf,
    short: Arc<AtomicBool>,
}

impl Ballast {
    /// The ballast of a database that is there.
    pub fn of(database: &Path) -> Ballast {
        Ballast { file: beside(database, ".ballast"), database: database.to_owned(), short: Arc::default() }
    }

    /// `Full` from the time the ballast was given up until it is back.
    pub fn check(&self) -> Result<()> {
        match self.is_short() {
            true => {
                Err(Error::Full("the disk was full, and nothing new is taken until there is room again".to_owned()))
            }
            false => Ok(()),
        }
    }

    /// Whether there is one to be given up.
    pub fn is_there(&self) -> bool {
        self.file.exists()
    }

    /// Whether it was given up.
    pub fn is_short(&self) -> bool {
        self.short.load(Ordering::Relaxed)
    }

    /// Gives it up. Said again, or where there was none, only [`Ballast::check`] changes.
    pub fn give_up(&self) {
        if !self.short.swap(true, Ordering::Relaxed) {
            tracing::error!(
                "the disk of the database is full: the ballast {} is given up, and submits are refused (507) until \
                 there is room for twice as much",
                self.file.display()
            );
        }
        let _ = fs::remove_file(&self.file);
    }

    /// Whether it could be made again and as much be left: not at the first free byte, or the disk
    /// would be full again at once.
    pub fn has_room(&self) -> bool {
        disk::room(&self.database).is_ok_and(|room| room.free >= 2 * bytes(room))
    }

    /// Makes it if it is missing and there is room; answers whether it is there.
    pub fn keep(&self) -> bool {
        let kept = || -> io::Result<bool> {
            let bytes = bytes(disk::room(&self.database)?);
            if fs::metadata(&self.file).is_ok_and(|found| found.len() == bytes) {
                return Ok(true);
            }
            if !self.has_room() {
                return Ok(false);
            }
            disk::take_room(&mut File::create(&self.file)?, bytes)?;
            Ok(true)
        };
        kept().unwrap_or_else(|error| {
            let _ = fs::remove_file(&self.file);
            tracing::warn!(%error, "the ballast could not be made");
            false
        })
    }

    /// There is room again: what is new is taken in.
    pub fn is_back(&self) {
        if self.short.swap(false, Ordering::Relaxed) {
            tracing::info!("there is room on the disk of the database again");
        }
    }
}

fn bytes(room: disk::Room) -> u64 {
    BALLAST_BYTES.min(room.total / SMALL_DISK_PARTS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ballast_takes_room_and_gives_it_back() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("errand.db");
        fs::write(&database, "x").unwrap();
        let ballast = Ballast::of(&database);
        assert!(ballast.keep() && ballast.keep());
        let path = beside(&database, ".ballast");
        assert_eq!(fs::metadata(&path).unwrap().len(), bytes(disk::room(&database).unwrap()));
        ballast.check().unwrap();
        ballast.give_up();
        assert!(!path.exists() && matches!(ballast.check(), Err(Error::Full(_))));
        assert!(ballast.has_room() && ballast.keep());
        ballast.is_back();
        ballast.check().unwrap();
    }
}
