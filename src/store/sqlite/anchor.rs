//! The files as they were when they were opened. SQLite would go on writing into a file that was
//! deleted or replaced, and acknowledge what nobody will ever read.

use super::guard::beside;
use crate::store::{Error, Result};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The database and its log, by what the file system knows them as.
#[derive(Debug)]
pub struct Anchor {
    files: [(PathBuf, Identity); 2],
}

/// Device and inode.
type Identity = (u64, u64);

impl Anchor {
    /// The files as they are now, while they are open.
    pub fn of(database: &Path) -> io::Result<Anchor> {
        let known = |path: PathBuf| identity(&path).map(|identity| (path, identity));
        Ok(Anchor { files: [known(database.to_owned())?, known(beside(database, "-wal"))?] })
    }

    /// `Damaged` unless both are still the same. Two calls of the operating system, no more.
    pub fn check(&self) -> Result<()> {
        let moved = self.files.iter().find(|(path, known)| match identity(path) {
            Ok(found) => found != *known,
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        });
        match moved {
            None => Ok(()),
            Some((path, _)) => Err(Error::Damaged(format!(
                "{} was deleted or replaced while it was open; nothing more is written, and what was written may be \
                 lost with it",
                path.display()
            ))),
        }
    }

    /// Bytes of the log.
    pub fn log_bytes(&self) -> u64 {
        fs::metadata(&self.files[1].0).map_or(0, |found| found.len())
    }
}

fn identity(path: &Path) -> io::Result<Identity> {
    fs::metadata(path).map(|found| (found.dev(), found.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_deleted_or_replaced_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("errand.db");
        for lost in [path.clone(), beside(&path, "-wal")] {
            fs::write(&path, "x").unwrap();
            fs::write(beside(&path, "-wal"), "x").unwrap();
            let anchor = Anchor::of(&path).unwrap();
            fs::write(&lost, "other content in the same file").unwrap();
            anchor.check().unwrap();
            let copy = folder.path().join("copy");
            fs::copy(&lost, &copy).unwrap();
            fs::rename(&copy, &lost).unwrap();
            assert!(matches!(anchor.check(), Err(Error::Damaged(_))), "replaced");
            fs::remove_file(&lost).unwrap();
            assert!(matches!(anchor.check(), Err(Error::Damaged(_))), "deleted");
        }
    }
}
