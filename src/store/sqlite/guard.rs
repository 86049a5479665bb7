//! What is looked at before the file is opened, without SQLite: is it there, is it ours, did the
//! last process leave everything behind that it wrote? Whatever is refused is left as it is.
//!
//! Beside `errand.db` lie `errand.db-wal` and `-shm` (SQLite's own log), `errand.db.lock` (who has
//! the file) and `errand.db.open` (the mark: somebody has it open, or ended without closing it).

use crate::store::{Error, Result};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

/// `ERRD`, in the header of every database of ours.
pub const APPLICATION_ID: u32 = 0x4552_5244;
/// What the first bytes of every SQLite file say.
const MAGIC: &[u8] = b"SQLite format 3\0";
/// The size of SQLite's header; the smallest page is larger.
const HEADER_BYTES: usize = 100;

/// What stands in the first bytes of the file itself, whatever its log holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Whose database it is; 0 where nobody said.
    pub application_id: u32,
    /// The number of the run that has the file open, or had it last (`PRAGMA user_version`).
    pub run: u32,
}

/// The file beside the database with this ending.
pub fn beside(database: &Path, ending: &str) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

/// A lock on a file beside the database, held by the operating system for as long as the process
/// lives, so that a killed one leaves nothing behind. `InUse` if another process has it.
pub fn lock(database: &Path) -> Result<File> {
    let failed = |error| Error::Unavailable(format!("the lock file: {error}"));
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(beside(database, ".lock"));
    let file = file.map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::InUse(database.display().to_string())),
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}

/// Whether there is a database to open (`false`: there is none yet, and one may be made). `Damaged`
/// if the file is none of ours, or if what the last process wrote is not all there any more.
pub fn look(database: &Path) -> Result<bool> {
    let name = database.display();
    let log = size(&beside(database, "-wal"))?;
    let mark = Mark::of(database).read()?;
    let Some(header) = header(database)? else {
        return match (mark, log) {
            (None, None | Some(0)) => Ok(false),
            (None, Some(_)) => Err(Error::Damaged(format!(
                "{name} is not there, but its log {name}-wal is: a new database would be written over by it. Bring \
                 the file back, or move the log away"
            ))),
            (Some(_), _) => Err(Error::Damaged(format!(
                "{name} is gone, and it was open when the last process ended: a new one is not made in its place. \
                 Bring it back; or delete {name}.open, and {name}-wal if it is there, to begin with an empty one"
            ))),
        };
    };
    let Some(run) = mark else { return Ok(true) };
    if log.is_none() {
        return Err(Error::Damaged(format!(
            "{name}-wal is gone, and the last process ended without closing the database: what it committed last may \
             have been in that log only. Bring it back; or, if you know what is missing, or that nothing is (another \
             program, as sqlite3, may have written the log into the database), delete {name}.open to go on"
        )));
    }
    if run != 0 && run != header.run {
        return Err(Error::Damaged(format!(
            "{name} is not the file that was open when the last process ended, and that one's log {name}-wal would be \
             written into it. If you restored a backup, delete {name}-wal, {name}-shm and {name}.open to go on"
        )));
    }
    Ok(true)
}

/// The first bytes of the file; `None` if there is no file, `Damaged` if it is no database of ours.
pub fn header(database: &Path) -> Result<Option<Header>> {
    let name = database.display();
    let mut file = match File::open(database) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(database, &error)),
    };
    let mut bytes = Vec::with_capacity(HEADER_BYTES);
    let read = (&mut file).take(HEADER_BYTES as u64).read_to_end(&mut bytes);
    read.map_err(|error| unreadable(database, &error))?;
    if bytes.is_empty() {
        return Err(Error::Damaged(format!("{name} is empty, which a database of Errand's never is")));
    }
    if bytes.len() < HEADER_BYTES || !bytes.starts_with(MAGIC) {
        return Err(Error::Damaged(format!("{name} is no SQLite database")));
    }
    let number = |at: usize| u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    let header = Header { application_id: number(68), run: number(60) };
    match header.application_id {
        APPLICATION_ID | 0 => Ok(Some(header)),
        other => Err(Error::Damaged(format!("{name} is another program's database (application id {other})"))),
    }
}

/// The mark: there while a process has the database open. One that is found at a start says that
/// the last process was killed, and which run it was.
pub struct Mark(PathBuf);

impl Mark {
    /// The mark of a database.
    pub fn of(database: &Path) -> Mark {
        Mark(beside(database, ".open"))
    }

    /// The run that was not closed; 0 where it could not say which it was.
    fn read(&self) -> Result<Option<u32>> {
        match fs::read_to_string(&self.0) {
            Ok(text) => Ok(Some(text.split_whitespace().next().and_then(|run| run.parse().ok()).unwrap_or(0))),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(unreadable(&self.0, &error)),
        }
    }

    /// Sets it, on disk when this returns.
    pub fn set(&self, run: u32) -> io::Result<()> {
        let mut file = File::create(&self.0)?;
        writeln!(file, "{run}\nErrand has the database open, or ended without closing it.")?;
        file.sync_all()?;
        sync_folder(&self.0)
    }

    /// Takes it away; answers whether it is gone.
    pub fn remove(&self) -> bool {
        fs::remove_file(&self.0).is_ok() || !self.0.exists()
    }
}

/// Makes a new name, or the loss of one, survive a power cut.
pub fn sync_folder(file: &Path) -> io::Result<()> {
    match file.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        Some(folder) => File::open(folder)?.sync_all(),
        None => File::open(".")?.sync_all(),
    }
}

/// The size of a file; `None` if it is not there.
pub fn size(path: &Path) -> Result<Option<u64>> {
    match fs::metadata(path) {
        Ok(found) => Ok(Some(found.len())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(unreadable(path, &error)),
    }
}

fn unreadable(path: &Path, error: &io::Error) -> Error {
    Error::Unavailable(format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn a_file(content: &[u8]) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("errand.db");
        fs::write(&path, content).unwrap();
        (folder, path)
    }

    fn a_header(application_id: u32, run: u32) -> Vec<u8> {
        let mut bytes = vec![0; 512];
        bytes[..16].copy_from_slice(MAGIC);
        bytes[60..64].copy_from_slice(&run.to_be_bytes());
        bytes[68..72].copy_from_slice(&application_id.to_be_bytes());
        bytes
    }

    #[test]
    fn a_missing_file_is_new_and_an_empty_or_foreign_one_is_damaged() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!look(&folder.path().join("errand.db")).unwrap());
        for content in [&b""[..], b"SQLite format 3\0", b"text ", &a_header(7, 0)] {
            let (_folder, path) = a_file(content);
            assert!(matches!(look(&path), Err(Error::Damaged(_))), "{} bytes", content.len());
        }
        for application_id in [0, APPLICATION_ID] {
            let (_folder, path) = a_file(&a_header(application_id, 5));
            assert!(look(&path).unwrap());
        }
    }

    #[test]
    fn after_an_unclean_end_the_log_and_the_file_must_both_be_there_and_belong_together() {
        let (_folder, path) = a_file(&a_header(APPLICATION_ID, 5));
        let mark = Mark::of(&path);
        mark.set(5).unwrap();
        assert!(matches!(look(&path), Err(Error::Damaged(why)) if why.contains("-wal is gone")));
        fs::write(beside(&path, "-wal"), b"").unwrap();
        assert!(look(&path).unwrap());
        mark.set(6).unwrap();
        assert!(matches!(look(&path), Err(Error::Damaged(why)) if why.contains("restored a backup")));
        mark.set(0).unwrap();
        assert!(look(&path).unwrap(), "a run that could not say which it was");
        fs::remove_file(&path).unwrap();
        assert!(matches!(look(&path), Err(Error::Damaged(why)) if why.contains("is gone")));
        mark.remove();
        assert!(!look(&path).unwrap());
        fs::write(beside(&path, "-wal"), b"frames").unwrap();
        assert!(matches!(look(&path), Err(Error::Damaged(_))));
    }
}
