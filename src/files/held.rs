//! A file that says for how long anybody still has something to write in it: it is locked, and a lock belongs to the
//! open file, so it lasts until the last process that was given it has closed it or is gone.

use super::growing::made;
use super::{Error, Files, parse};
use std::fs::{File, TryLockError};
use std::io;
use tokio::task::spawn_blocking;

impl Files {
    /// Begins a file that is [held](Files::is_held) for as long as it or a copy of it is open, in whatever process. One
    /// of that name is replaced at once. `None` where the store is no folder. Where its file system has no locks, nobody
    /// is seen to hold it.
    pub async fn hold(&self, location: &str) -> Result<Option<File>, Error> {
        let Some(root) = &self.folder else { return Ok(None) };
        let path = root.join(parse(location)?.as_ref());
        let held = spawn_blocking(move || {
            let file = made(&path)?;
            let _ = file.try_lock();
            Ok::<_, io::Error>(file)
        });
        Ok(Some(held.await.map_err(io::Error::other)??))
    }

    /// Whether anybody still holds that file. Nobody holds one that is gone.
    pub async fn is_held(&self, location: &str) -> Result<bool, Error> {
        let Some(root) = &self.folder else { return Ok(false) };
        let path = root.join(parse(location)?.as_ref());
        let looked = spawn_blocking(move || match File::open(path) {
            Ok(file) => Ok(matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        });
        Ok(looked.await.map_err(io::Error::other)??)
    }
}
