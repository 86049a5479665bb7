//! What lies in the store and may be nobody's: found here, judged by the queue.

use super::{Error, Files, parse};
use crate::task::Time;
use futures_util::{StreamExt, TryStreamExt, stream};
use object_store::path::Path as Location;
use object_store::{ObjectStore, ObjectStoreExt};
use std::fs::{self, DirEntry};
use std::future::ready;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::mpsc;
use uuid::Uuid;

/// Files in a piece.
const PIECE: usize = 256;
/// Pieces that are found ahead of whoever judges them.
const AHEAD: usize = 2;
/// The file that says whose database's rows name the files here.
const MARK: &str = ".database";

/// A file that was not touched for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Old {
    /// Its location; of a half-written file it is none that can be read.
    pub location: String,
    /// Whose it is, or was.
    pub of: Of,
    /// Whether it never got its name.
    pub half_written: bool,
    /// When it was written to last.
    pub touched: Time,
}

/// Whose a file is, by its location.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of {
    /// The upload with this id.
    Upload(Uuid),
    /// This task's attempt under this lease.
    Attempt(Uuid, Uuid),
}

impl Files {
    /// Since when only this database's rows name files here; `None` if they are another one's. Said
    /// first by the first database: what was there already may be anybody's.
    pub async fn since(&self, database: &str, now: Time) -> Result<Option<Time>, Error> {
        let mark = parse(MARK)?;
        let text = match self.store.get(&mark).await {
            Ok(found) => String::from_utf8_lossy(&found.bytes().await?).into_owned(),
            Err(object_store::Error::NotFound { .. }) => {
                let empty = !self.holds_any("uploads").await? && !self.holds_any("artifacts").await?;
                let since = if empty { 0 } else { now.0 };
                let text = format!("{database}\n{since}\n");
                self.store.put(&mark, text.clone().into()).await?;
                text
            }
            Err(error) => return Err(error.into()),
        };
        let mut lines = text.lines();
        let ours = lines.next() == Some(database);
        Ok(lines.next().and_then(|since| since.parse().ok()).filter(|_| ours).map(Time))
    }

    /// Every upload and output file not touched since `before`, in pieces. Folders that are empty and
    /// as old are removed on the way. Nothing else in the store is looked at. A bucket that cannot be
    /// read to its end says so in the last piece; a folder is tried the next time.
    pub fn older_than(&self, before: Time) -> mpsc::Receiver<Result<Vec<Old>, Error>> {
        let (found, pieces) = mpsc::channel(AHEAD);
        match self.folder.clone() {
            Some(folder) => drop(tokio::task::spawn_blocking(move || {
                let mut walk = Walk { before, piece: Vec::new(), found };
                let _ = walk.uploads(&folder.join("uploads")).and_then(|()| walk.tasks(&folder.join("artifacts")));
                let _ = walk.send();
            })),
            None => drop(tokio::spawn(list(self.store.clone(), before, found))),
        }
        pieces
    }

    /// Deletes these; those that are gone are deleted already.
    pub async fn delete_old(&self, old: &[Old]) -> Result<(), Error> {
        let Some(folder) = &self.folder else {
            let locations: Vec<_> = old.iter().map(|old| parse(&old.location)).collect::<Result<_, Error>>()?;
            return self.delete_each(stream::iter(locations.into_iter().map(Ok)).boxed()).await;
        };
        for old in old {
            match fs::remove_file(folder.join(&old.location)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
                _ => {}
            }
        }
        Ok(())
    }
}

/// Lists what is old in a bucket. What is half-written there is in no list.
async fn list(store: Arc<dyn ObjectStore>, before: Time, found: mpsc::Sender<Result<Vec<Old>, Error>>) {
    let all = ["uploads", "artifacts"].map(|folder| store.list(Some(&Location::from(folder))));
    let old = stream::iter(all).flatten().try_filter_map(|object| {
        let touched = Time(object.last_modified.timestamp_millis());
        let of = whose(object.location.as_ref()).filter(|_| touched < before);
        let location = object.location.to_string();
        ready(Ok(of.map(|of| Old { location, of, half_written: false, touched })))
    });
    let mut pieces = std::pin::pin!(old.try_chunks(PIECE));
    while let Some(piece) = pieces.next().await {
        if found.send(piece.map_err(|cut| cut.1.into())).await.is_err() {
            return;
        }
    }
}

/// Whose the file at this location is; `None` if it is none of ours.
fn whose(location: &str) -> Option<Of> {
    let parts: Vec<&str> = location.split('/').collect();
    match parts[..] {
        ["uploads", upload] => Some(Of::Upload(id(upload)?)),
        ["artifacts", task, lease, _] => Some(Of::Attempt(id(task)?, id(lease)?)),
        _ => None,
    }
}

struct Walk {
    before: Time,
    piece: Vec<Old>,
    found: mpsc::Sender<Result<Vec<Old>, Error>>,
}

impl Walk {
    fn uploads(&mut self, folder: &Path) -> io::Result<()> {
        for entry in entries(folder)? {
            let entry = entry?;
            if let Some((id, half_written)) = named(&entry).and_then(|(name, half)| Some((id(&name)?, half))) {
                self.look(&entry, Of::Upload(id), "uploads".to_owned(), half_written)?;
            }
        }
        Ok(())
    }

    fn tasks(&mut self, folder: &Path) -> io::Result<()> {
        for task in folders(folder)? {
            for attempt in folders(&task.1)? {
                let location = format!("artifacts/{}/{}", task.0, attempt.0);
                for entry in entries(&attempt.1)? {
                    let entry = entry?;
                    if let Some((_, half_written)) = named(&entry) {
                        self.look(&entry, Of::Attempt(task.0, attempt.0), location.clone(), half_written)?;
                    }
                }
                self.remove_empty(&attempt.1);
            }
            self.remove_empty(&task.1);
        }
        Ok(())
    }

    fn look(&mut self, entry: &DirEntry, of: Of, folder: String, half_written: bool) -> io::Result<()> {
        let Some(touched) = touched(&entry.path()).filter(|touched| *touched < self.before) else { return Ok(()) };
        let location = format!("{folder}/{}", entry.file_name().to_string_lossy());
        self.piece.push(Old { location, of, half_written, touched });
        if self.piece.len() < PIECE { Ok(()) } else { self.send() }
    }

    /// A folder that is not empty refuses, and one that is young may be about to be written to.
    fn remove_empty(&self, folder: &Path) {
        if touched(folder).is_some_and(|touched| touched < self.before) {
            let _ = fs::remove_dir(folder);
        }
    }

    fn send(&mut self) -> io::Result<()> {
        let piece = std::mem::take(&mut self.piece);
        self.found.blocking_send(Ok(piece)).map_err(|_| io::Error::other("nobody judges them any more"))
    }
}

/// What lies in a folder, nothing if it is not there.
fn entries(folder: &Path) -> io::Result<Box<dyn Iterator<Item = io::Result<DirEntry>>>> {
    match fs::read_dir(folder) {
        Ok(entries) => Ok(Box::new(entries)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Box::new(std::iter::empty())),
        Err(error) => Err(error),
    }
}

/// The folders in a folder whose names are ids.
fn folders(folder: &Path) -> io::Result<impl Iterator<Item = (Uuid, PathBuf)>> {
    let known = |entry: DirEntry| Some((id(entry.file_name().to_str()?)?, entry.path()));
    Ok(entries(folder)?.filter_map(Result::ok).filter_map(known).filter(|(_, path)| path.is_dir()))
}

/// A file's name without what a half-written one has behind it, and whether it is one.
fn named(entry: &DirEntry) -> Option<(String, bool)> {
    let name = entry.file_name().into_string().ok()?;
    entry.file_type().ok().filter(|kind| kind.is_file())?;
    Some(match name.split_once('#') {
        Some((name, _)) => (name.to_owned(), true),
        None => (name, false),
    })
}

fn id(text: &str) -> Option<Uuid> {
    Uuid::try_parse(text).ok()
}

fn touched(path: &Path) -> Option<Time> {
    let found = fs::symlink_metadata(path).ok()?;
    Some(Time(found.mtime() * 1000 + found.mtime_nsec() / 1_000_000))
}
