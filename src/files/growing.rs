//! A file that can be gone on with: what stood in it at a mark outlives a killed process.
//!
//! Nobody may name it to others before it is finished, so it is written under its own name at
//! once. That takes a folder; in another store it is an ordinary [`Writer`] and has no marks.

use super::{Error, Files, READ_BYTES, Stored, Tally, Writer, parse};
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio_util::io::SyncIoBridge;

/// A file that grows, for blocking code: `Write`, to be used as [`Writer::blocking`].
pub struct Growing {
    sink: Sink,
    tally: Tally,
}

enum Sink {
    Folder(Arc<Place>),
    Store(Box<SyncIoBridge<Writer>>),
}

/// An open file, and the folders that have to know of it.
struct Place {
    file: File,
    path: PathBuf,
    root: Arc<PathBuf>,
}

/// Where a growing file stood. It holds after a power cut once it is [synced](Mark::sync).
pub struct Mark {
    /// How long it was.
    pub bytes: u64,
    /// SHA-256 of what it held, in lower-case hex.
    pub sha256: String,
    place: Arc<Place>,
}

impl Files {
    /// Begins a file that grows. One of that name is replaced at once.
    pub async fn grow(&self, location: &str) -> Result<Growing, Error> {
        let Some(root) = self.folder.clone() else {
            let writer = self.create(location).await?;
            return Ok(Growing { sink: Sink::Store(Box::new(SyncIoBridge::new(writer))), tally: Tally::default() });
        };
        let path = root.join(parse(location)?.as_ref());
        let made = tokio::task::spawn_blocking(move || Ok::<_, io::Error>(Place { file: made(&path)?, path, root }));
        let place = made.await.map_err(io::Error::other)??;
        Ok(Growing { sink: Sink::Folder(Arc::new(place)), tally: Tally::default() })
    }
}

impl Growing {
    /// Where it stands now; `None` in a store that knows no marks.
    pub fn mark(&self) -> Option<Mark> {
        let Sink::Folder(place) = &self.sink else { return None };
        let stored = self.tally.clone().stored();
        Some(Mark { bytes: stored.bytes, sha256: stored.sha256, place: place.clone() })
    }

    /// Completes it: whole and on disk when this returns.
    pub async fn finish(self) -> Result<Stored, Error> {
        match self.sink {
            Sink::Folder(place) => sync(place).await?,
            Sink::Store(writer) => return writer.into_inner().finish().await,
        }
        Ok(self.tally.stored())
    }

    /// How much is best written at once.
    pub const CHUNK_BYTES: usize = READ_BYTES;
}

impl Mark {
    /// Waits until everything before it is on disk.
    pub async fn sync(self) -> Result<(), Error> {
        sync(self.place).await
    }
}

impl Write for Growing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = match &mut self.sink {
            Sink::Folder(place) => (&place.file).write(bytes)?,
            Sink::Store(writer) => writer.write(bytes)?,
        };
        self.tally.add(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.sink {
            Sink::Folder(_) => Ok(()),
            Sink::Store(writer) => writer.flush(),
        }
    }
}

/// An empty file there, and the folders above it.
pub(super) fn made(path: &Path) -> io::Result<File> {
    std::fs::create_dir_all(path.parent().unwrap_or(path))?;
    File::create(path)
}

/// The file and its name on disk, and the names of the folders above it, which may be new.
async fn sync(place: Arc<Place>) -> Result<(), Error> {
    let synced = tokio::task::spawn_blocking(move || {
        place.file.sync_data()?;
        let above = place.path.ancestors().skip(1).take_while(|folder| folder.starts_with(&*place.root));
        above.map(Path::to_owned).try_for_each(|folder| File::open(folder)?.sync_all())
    });
    Ok(synced.await.map_err(io::Error::other)??)
}
