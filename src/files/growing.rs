//! A file that can be gone on with: what stood in it at a mark outlives a killed process.
//!
//! Nobody may name it to others before it is finished. In a folder it is written under its own name at once; in a bucket
//! it is an upload in parts, of which nothing is seen until then ([`super::multipart`]).

use super::multipart::{self, Multipart, Parts};
use super::{Error, Files, READ_BYTES, hex, parse};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A file that grows, for blocking code: `Write`, to be used as [`super::Writer::blocking`].
pub struct Growing {
    sink: Sink,
    hash: Sha256,
    bytes: u64,
}

enum Sink {
    Folder(Arc<Place>),
    Bucket(Box<Multipart>),
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
    sink: SinkMark,
}

enum SinkMark {
    Folder(Arc<Place>),
    Bucket(Box<multipart::Mark>),
}

impl Files {
    /// Begins a file that grows. In a folder one of that name is replaced at once, in a bucket when it is finished.
    pub async fn grow(&self, location: &str) -> Result<Growing, Error> {
        let place = parse(location)?;
        let sink = match (&self.folder, &self.bucket) {
            (Some(root), _) => Sink::Folder(Arc::new(open(root.clone(), root.join(place.as_ref())).await?)),
            (None, Some(store)) => Sink::Bucket(Box::new(Multipart::begin(self, store, place, location))),
            (None, None) => return Err(Error::Other("no file grows in this store".to_owned())),
        };
        Ok(Growing { sink, hash: Sha256::new(), bytes: 0 })
    }

    /// Goes on with the file at `location` itself, of so many bytes with that SHA-256, from the parts that were synced
    /// there; further marks keep their tails beside `own`. `None` where they are no longer whole, or the file is completed.
    pub async fn grow_on(
        &self,
        location: &str,
        own: &str,
        bytes: u64,
        sha256: &str,
        parts: &Parts,
    ) -> Result<Option<Growing>, Error> {
        let Some(store) = &self.bucket else { return Ok(None) };
        let gone_on = Multipart::begin(self, store, parse(location)?, own).go_on(parts, sha256).await?;
        Ok(gone_on.map(|(file, hash)| Growing { sink: Sink::Bucket(Box::new(file)), hash, bytes }))
    }
}

impl Growing {
    /// Where it stands now.
    pub fn mark(&mut self) -> Mark {
        let sink = match &mut self.sink {
            Sink::Folder(place) => SinkMark::Folder(place.clone()),
            Sink::Bucket(file) => SinkMark::Bucket(Box::new(file.mark())),
        };
        Mark { bytes: self.bytes, sha256: hex(&self.hash.clone().finalize()), sink }
    }

    /// Completes it: whole and on disk when this returns. Its size, and its SHA-256 in lower-case hex.
    pub async fn finish(self) -> Result<(u64, String), Error> {
        let sha256 = hex(&self.hash.finalize());
        match self.sink {
            Sink::Folder(place) => sync(place).await?,
            Sink::Bucket(file) => file.finish(self.bytes, &sha256).await?,
        }
        Ok((self.bytes, sha256))
    }

    /// How much is best written at once.
    pub const CHUNK_BYTES: usize = READ_BYTES;
}

impl Mark {
    /// Waits until everything before it is on disk. In a bucket, what it takes to go on from there.
    pub async fn sync(self) -> Result<Option<Parts>, Error> {
        match self.sink {
            SinkMark::Folder(place) => sync(place).await.map(|()| None),
            SinkMark::Bucket(mark) => mark.sync().await.map(Some),
        }
    }
}

impl Write for Growing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = match &mut self.sink {
            Sink::Folder(place) => (&place.file).write(bytes)?,
            Sink::Bucket(file) => file.write(bytes, &self.hash)?,
        };
        self.hash.update(&bytes[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// An empty file there, and the folders above it.
pub(super) fn made(path: &Path) -> io::Result<File> {
    std::fs::create_dir_all(path.parent().unwrap_or(path))?;
    File::create(path)
}

async fn open(root: Arc<PathBuf>, path: PathBuf) -> Result<Place, Error> {
    let made = tokio::task::spawn_blocking(move || Ok::<_, io::Error>(Place { file: made(&path)?, path, root }));
    Ok(made.await.map_err(io::Error::other)??)
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
