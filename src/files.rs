//! Uploads and artifacts: in a folder, or in a bucket on S3, through the object_store crate.
//!
//! A file is written once, whole, and never changed: in a folder under a temporary name first, then
//! synced, renamed and its folder synced; in a bucket in parts that nobody sees. So a name that can be
//! read has all its bytes, after a power cut too. From blocking code both streams are used through [`Reader::into_blocking`] and
//! [`Writer::blocking`].

mod bucket;
mod folder;
mod growing;
mod held;
mod multipart;
mod sweep;
#[cfg(test)]
mod tests;
mod whole;

use crate::{disk, fault};
use bytes::Bytes;
use futures_util::{Stream, StreamExt, TryStreamExt};
use object_store::path::Path as Location;
use object_store::{GetOptions, GetRange, GetResultPayload, ObjectStore, ObjectStoreExt, buffered::BufWriter};
use sha2::{Digest, Sha256};
use std::io::{self, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::runtime::Handle;
use tokio::sync::SetOnce;
use tokio_util::io::{ReaderStream, StreamReader, SyncIoBridge};
use uuid::Uuid;

pub use growing::{Growing, Mark};
pub use multipart::Parts;
pub use sweep::{Of, Old};

/// How much is gathered before it is written. With what is on its way it is the memory of a file
/// being made, and a hundred may be at once. S3 wants more.
const PART_BYTES: usize = 256 * 1024;
/// How many parts may be on their way at once; with the one being filled, a writer's memory.
const PARTS_IN_FLIGHT: usize = 1;
/// How much one read of a file takes: each costs a hop to another thread.
const READ_BYTES: usize = 256 * 1024;
/// How much of a file's beginning is kept to tell what it is.
const HEAD_BYTES: usize = 512;
/// What uploads must leave free: one part in so many of the disk …
const HELD_BACK_PARTS: u64 = 20;
/// … but no more than this. Both are for the work that is under way: its output files, and the
/// database where it lies on the same disk.
const HELD_BACK_BYTES: u64 = 1 << 30;

/// Where the output files of a task's attempts are kept, as a folder.
pub fn of_task(task: Uuid) -> String {
    format!("artifacts/{task}")
}

/// Where those of the attempt under `lease` are: every attempt has a folder of its own.
pub fn of_attempt(task: Uuid, lease: Uuid) -> String {
    format!("{}/{lease}", of_task(task))
}

/// Why the file store did not do it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No space left.
    #[error("the file store has no space left")]
    Full,
    /// No such file.
    #[error("no such file")]
    NotFound,
    /// It is there, and is not what was kept.
    #[error("the file is not what was kept")]
    Changed,
    /// The store cannot be reached, or refuses to do it; the text is for the log, not for a client.
    #[error("the file store is away or refuses: {0}")]
    Away(String),
    /// Anything else; the text is for the log, not for a client.
    #[error("file store: {0}")]
    Other(String),
}

/// The file store. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Files {
    store: Arc<dyn ObjectStore>,
    /// The folder, where it is a local one.
    folder: Option<Arc<PathBuf>>,
    /// Else the bucket: the same as `store`.
    bucket: Option<Arc<dyn multipart::InParts>>,
    /// How much of a file is gathered before it is written.
    part_bytes: usize,
    /// Set once a bucket has answered.
    reached: Arc<SetOnce<()>>,
}

/// A file's content as a stream: `AsyncRead`. It is the file as it was when the read began, even
/// if it is deleted meanwhile (where the store is a folder).
pub struct Reader {
    inner: Box<dyn AsyncRead + Send + Unpin>,
}

/// A file being written: `AsyncWrite`. Dropped before [`Writer::finish`], nothing of it remains;
/// shutting it down does not finish it. After a failed write every further one fails.
pub struct Writer {
    /// `None` once it is being completed.
    inner: Option<BufWriter>,
    tally: Tally,
    failed: bool,
    /// Whether what was written of it has to be told to go.
    lingers: bool,
}

/// What went into a file so far.
#[derive(Default)]
struct Tally {
    hash: Sha256,
    bytes: u64,
    head: Vec<u8>,
}

/// What was written.
#[derive(Debug, Clone)]
pub struct Stored {
    /// Its size.
    pub bytes: u64,
    /// SHA-256 in lower-case hex.
    pub sha256: String,
    /// Its first bytes (up to 512), to tell what it is.
    pub head: Vec<u8>,
}

impl Files {
    /// The store in this folder, created if missing.
    pub fn local(folder: &Path) -> Result<Files, Error> {
        std::fs::create_dir_all(folder)?;
        let folder = folder.canonicalize()?;
        let store = object_store::local::LocalFileSystem::new_with_prefix(&folder)?;
        let store = store.with_fsync(true).with_automatic_cleanup(true);
        Ok(Files {
            store: Arc::new(store),
            folder: Some(Arc::new(folder)),
            bucket: None,
            part_bytes: PART_BYTES,
            reached: Arc::new(SetOnce::new_with(Some(()))),
        })
    }

    /// `Full` if `bytes` more would leave less free than is held back: 5 % of the disk, 1 GiB at most.
    /// For uploads: whoever sends one can wait, and an attempt that is running cannot. A bucket has room.
    pub fn has_room_for(&self, bytes: u64) -> Result<(), Error> {
        let Some(folder) = &self.folder else { return Ok(()) };
        let room = disk::room(folder)?;
        let held_back = HELD_BACK_BYTES.min(room.total / HELD_BACK_PARTS);
        if room.free < held_back.saturating_add(bytes) { Err(Error::Full) } else { Ok(()) }
    }

    /// Begins a file. One of that name is replaced when the new one is finished, not before.
    pub async fn create(&self, location: &str) -> Result<Writer, Error> {
        let inner = BufWriter::with_capacity(self.store.clone(), parse(location)?, self.part_bytes);
        let inner = Some(inner.with_max_concurrency(PARTS_IN_FLIGHT));
        Ok(Writer { inner, tally: Tally::default(), failed: false, lingers: self.folder.is_none() })
    }

    /// Reads a range of a file, as a stream; a range beyond its end is cut there.
    pub async fn read(&self, location: &str, range: Range<u64>) -> Result<Reader, Error> {
        let location = parse(location)?;
        // The crate refuses a range of no bytes, which is a good question to ask of an empty file.
        if range.is_empty() {
            self.store.head(&location).await?;
            return Ok(Reader { inner: Box::new(tokio::io::empty()) });
        }
        if self.folder.is_none() {
            let pieces = bucket::pieces(self.store.clone(), location, range).await?;
            return Ok(Reader { inner: Box::new(StreamReader::new(pieces.boxed())) });
        }
        let options = GetOptions { range: Some(GetRange::Bounded(range)), ..GetOptions::default() };
        let found = self.store.get_opts(&location, options).await?;
        let range = found.range.clone();
        let inner: Box<dyn AsyncRead + Send + Unpin> = match found.payload {
            // Its own stream of a local file makes a thread hop for every 8 KiB.
            GetResultPayload::File(mut file, _) => {
                file.seek(SeekFrom::Start(range.start))?;
                let mut file = tokio::fs::File::from_std(file);
                file.set_max_buf_size(READ_BYTES);
                Box::new(file.take(range.end - range.start))
            }
            GetResultPayload::Stream(stream) => Box::new(StreamReader::new(stream.map_err(io::Error::from))),
        };
        Ok(Reader { inner })
    }

    /// The size of a file and its SHA-256 in lower-case hex, from its content.
    pub async fn digest(&self, location: &str) -> Result<(u64, String), Error> {
        let (mut hash, mut bytes) = (Sha256::new(), 0);
        let size = self.store.head(&parse(location)?).await?.size;
        let content = self.read(location, 0..size).await?.into_stream();
        let mut content = std::pin::pin!(content);
        while let Some(piece) = content.next().await.transpose()? {
            hash.update(&piece);
            bytes += piece.len() as u64;
        }
        Ok((bytes, hex(&hash.finalize())))
    }

    /// Deletes a file; one that is not there is deleted already.
    pub async fn delete(&self, location: &str) -> Result<(), Error> {
        let location = parse(location)?;
        self.end_upload(&location).await?;
        absent_is_deleted(self.store.delete(&location).await)
    }
}

impl Reader {
    /// The same for a file that is read from its beginning, of so many bytes with that SHA-256: it ends with
    /// [`Error::Changed`] where it is another one.
    pub fn whole(self, bytes: u64, sha256: &str) -> Reader {
        Reader { inner: Box::new(whole::Whole::new(self, bytes, sha256.to_owned())) }
    }

    /// The content as chunks, for a body.
    pub fn into_stream(self) -> impl Stream<Item = Result<Bytes, io::Error>> + Send + 'static {
        ReaderStream::with_capacity(self.inner, READ_BYTES)
    }

    /// The content for blocking code: `Read`. To be called and read off the async threads, within
    /// a runtime (`spawn_blocking`); panics elsewhere.
    pub fn into_blocking(self) -> impl io::Read + Send + 'static {
        self.into_blocking_by(READ_BYTES)
    }

    /// The same, of which so many bytes are read at once: for who reads many files side by side.
    pub fn into_blocking_by(self, bytes: usize) -> impl io::Read + Send + 'static {
        io::BufReader::with_capacity(bytes, SyncIoBridge::new(self.inner))
    }
}

impl AsyncRead for Reader {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl Writer {
    /// Completes it: whole, under its name and on disk when this returns.
    pub async fn finish(mut self) -> Result<Stored, Error> {
        self.open()?;
        fault::fails("file_unfinished").await?;
        if let Some(mut inner) = self.inner.take() {
            fault::during("file_in_flight", inner.shutdown()).await?;
        }
        fault::point("file_finished").await;
        Ok(std::mem::take(&mut self.tally).stored())
    }

    /// What is below, while it may be written to: the crate's writer panics or leaves a hole when it is
    /// used beyond an error.
    fn open(&mut self) -> io::Result<Pin<&mut BufWriter>> {
        match &mut self.inner {
            Some(inner) if !self.failed => Ok(Pin::new(inner)),
            _ => Err(io::Error::other("a write before failed")),
        }
    }

    /// The writer for blocking code: `Write`, to be used as [`Reader::into_blocking`]. Flush it
    /// before it is dropped: only then does an error of the last bytes show.
    pub fn blocking(&mut self) -> impl io::Write + Send {
        io::BufWriter::with_capacity(READ_BYTES, SyncIoBridge::new(self))
    }
}

impl AsyncWrite for Writer {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let done = ready!(self.open()?.poll_write(cx, buf));
        match done {
            Ok(written) => self.tally.add(&buf[..written]),
            Err(_) => self.failed = true,
        }
        Poll::Ready(done)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let done = ready!(self.open()?.poll_flush(cx));
        self.failed = done.is_err();
        Poll::Ready(done)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flush(cx)
    }
}

impl Drop for Writer {
    /// In a folder a half-written file goes by itself; the parts in a bucket stay until somebody says
    /// that nothing will come of them.
    fn drop(&mut self) {
        if let Some(mut inner) = self.inner.take().filter(|_| self.lingers)
            && let Ok(runtime) = Handle::try_current()
        {
            runtime.spawn(async move {
                if let Err(error) = inner.abort().await {
                    tracing::debug!(%error, "the parts of a file that was broken off stay in the bucket");
                }
            });
        }
    }
}

impl Tally {
    fn stored(self) -> Stored {
        Stored { bytes: self.bytes, sha256: hex(&self.hash.finalize()), head: self.head }
    }

    fn add(&mut self, written: &[u8]) {
        self.hash.update(written);
        self.bytes += written.len() as u64;
        let missing = HEAD_BYTES - self.head.len();
        self.head.extend_from_slice(&written[..written.len().min(missing)]);
    }
}

fn parse(location: &str) -> Result<Location, Error> {
    Location::parse(location).map_err(|error| Error::Other(error.to_string()))
}

fn absent_is_deleted(done: Result<(), object_store::Error>) -> Result<(), Error> {
    match done {
        Err(object_store::Error::NotFound { .. }) => Ok(()),
        done => Ok(done?),
    }
}

/// Whether a media type, in lower case and without parameters, is one of text.
pub fn is_text_type(media: &str) -> bool {
    const OTHERS: [&str; 6] = ["json", "csv", "x-ndjson", "ndjson", "xml", "yaml"];
    media.starts_with("text/") || media.strip_prefix("application/").is_some_and(|rest| OTHERS.contains(&rest))
}

/// Bytes as lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl From<object_store::Error> for Error {
    fn from(error: object_store::Error) -> Error {
        of_cause(&error)
    }
}

impl From<fault::Failure> for Error {
    fn from(failure: fault::Failure) -> Error {
        Error::Other(failure.to_string())
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Error {
        match error.get_ref() {
            Some(inner) if inner.is::<whole::Changed>() => Error::Changed,
            _ => of_cause(&error),
        }
    }
}

/// What an error means, by its causes, however deep they lie.
fn of_cause(error: &(dyn std::error::Error + 'static)) -> Error {
    let mut missing = false;
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(meaning) = error.downcast_ref::<object_store::Error>().and_then(bucket::meaning) {
            return meaning;
        }
        match error.downcast_ref::<io::Error>().map(io::Error::kind) {
            // A full disk, a spent quota or a limit of the process.
            Some(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge) => {
                return Error::Full;
            }
            Some(io::ErrorKind::NotFound) => missing = true,
            _ => {}
        }
        // An io::Error that wraps another error says so by `get_ref`, its `source` is one deeper.
        let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        cause = wrapped.map(|inner| inner as &(dyn std::error::Error + 'static)).or_else(|| error.source());
    }
    if missing { Error::NotFound } else { Error::Other(error.to_string()) }
}
