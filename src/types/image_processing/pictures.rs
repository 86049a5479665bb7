//! Where pictures are worked on, and how many at once.

use super::MAX_FILE_BYTES;
use super::child::{Child, Lost, Program};
use super::picture::{Refused, refused};
use super::room::Room;
use super::work::{self, Job, Made};
use crate::files::{self, Reader};
use crate::task::Artifact;
use crate::types::{Context, Failure, Input};
use bytes::Bytes;
use std::num::NonZero;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{Semaphore, SemaphorePermit};

/// What all pictures that are worked on at one time may take, in MiB. One that alone takes more is worked on alone.
const MEMORY_MIB: u32 = 768;
/// A picture that takes longer is given up. The largest takes some seconds on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// A picture whose process somebody ended is begun anew so often.
const MAX_ENDED: u32 = 3;

/// Where the pictures of users are decoded, and how many at once in this process. Clones share that.
#[derive(Clone)]
pub struct Pictures {
    program: Option<Program>,
    cores: usize,
    hands: Arc<Semaphore>,
    memory: Arc<Semaphore>,
}

impl Pictures {
    /// In this process. A file that a decoder does not survive, or that makes it hang, takes this process along.
    pub fn in_process() -> Pictures {
        let cores = available_parallelism().map_or(1, NonZero::get);
        let (hands, memory) = (Semaphore::new(cores), Semaphore::new(MEMORY_MIB as usize));
        Pictures { program: None, cores, hands: Arc::new(hands), memory: Arc::new(memory) }
    }

    /// In processes of their own, with limits: each is this program with these arguments, which must call
    /// [`serve_pictures`](crate::types::serve_pictures) before anything else.
    pub fn in_children(path: PathBuf, arguments: &[&str]) -> Pictures {
        let arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        Pictures { program: Some(Program { path, arguments, patience: PATIENCE }), ..Pictures::in_process() }
    }

    /// How many pictures of one task are on their way at once: one that is being written down beside one for each core.
    pub fn lanes(&self) -> usize {
        self.cores + 1
    }

    /// Gives up earlier.
    #[cfg(test)]
    pub fn with_patience(mut self, patience: Duration) -> Pictures {
        if let Some(program) = &mut self.program {
            program.patience = patience;
        }
        self
    }

    async fn room(&self, mib: u32) -> Result<(SemaphorePermit<'_>, SemaphorePermit<'_>), Failure> {
        let closed = |_| Failure::Stopped;
        // Memory first: whoever has a hand then needs nothing more, and ends.
        let memory = self.memory.acquire_many(mib.min(MEMORY_MIB)).await.map_err(closed)?;
        Ok((memory, self.hands.acquire().await.map_err(closed)?))
    }
}

/// Where a picture is.
#[derive(Clone, Copy)]
pub enum Source<'a> {
    /// An upload.
    Upload(&'a Input),
    /// One that this task made.
    Made(&'a Artifact),
}

impl Source<'_> {
    fn bytes(self) -> u64 {
        match self {
            Source::Upload(input) => input.bytes,
            Source::Made(artifact) => artifact.bytes as u64,
        }
    }

    async fn read(self, ctx: &Context) -> Result<Reader, Failure> {
        match self {
            // Its decoder says what is damaged.
            Source::Upload(input) => ctx.read_unchecked(input, 0).await,
            Source::Made(artifact) => Ok(ctx.reread(artifact).await?.ok_or(files::Error::NotFound)?),
        }
    }
}

/// A place where one picture at a time is worked on: with a process that serves one after the other, or without.
pub struct Lane {
    pictures: Pictures,
    child: Option<Child>,
}

/// A picture that was worked on, its files not yet written anywhere.
pub struct Finished {
    /// What became of it.
    pub made: Made,
    files: Vec<Vec<u8>>,
}

impl Lane {
    /// A new one; its process is started with its first picture.
    pub fn new(pictures: Pictures) -> Lane {
        Lane { pictures, child: None }
    }

    /// Works on a picture; `mark` is the watermark's, or empty. The outer error is the machine's, the inner one the picture's.
    pub async fn work(
        &mut self,
        job: &Job,
        mark: &Bytes,
        source: Source<'_>,
        ctx: &Context,
    ) -> Result<Result<Finished, Refused>, Failure> {
        if source.bytes() > MAX_FILE_BYTES {
            return Ok(Err(refused("too_large", "the file is larger than 100 MiB")));
        }
        if self.pictures.program.is_none() {
            return self.work_here(job, mark, source, ctx).await;
        }
        for _ in 0..MAX_ENDED {
            match self.work_there(job, mark, source, ctx).await {
                Ok(done) => return Ok(done),
                Err(Lost::Picture(why)) => {
                    self.child = None;
                    return Ok(Err(why));
                }
                Err(Lost::Failure(failure)) => {
                    self.child = None;
                    return Err(failure);
                }
                Err(Lost::Ended) => self.child = None,
            }
        }
        Err(Failure::retry("process_ended", "the process that worked on the picture was ended again and again"))
    }

    /// Writes the files of what was just finished here, one after the other.
    pub async fn pour(
        &mut self,
        finished: &mut Finished,
        at: usize,
        to: &mut (impl AsyncWrite + Unpin),
    ) -> Result<(), Failure> {
        if let Some(file) = finished.files.get_mut(at) {
            return Ok(to.write_all(&std::mem::take(file)).await.map_err(files::Error::from)?);
        }
        let Some(child) = &mut self.child else { return Err(Failure::Stopped) };
        let poured = child.pour(finished.made.pieces[at].bytes, to).await;
        if let Err(error) = poured {
            self.child = None;
            if error.kind() == std::io::ErrorKind::UnexpectedEof {
                return Err(Failure::retry("process_ended", "the process that worked on the picture was ended"));
            }
            return Err(files::Error::from(error).into());
        }
        Ok(())
    }

    async fn work_there(
        &mut self,
        job: &Job,
        mark: &Bytes,
        source: Source<'_>,
        ctx: &Context,
    ) -> Result<Result<Finished, Refused>, Lost> {
        let Lane { pictures, child } = self;
        let child = match (child, &pictures.program) {
            (Some(child), _) => child,
            (child, Some(program)) => child.insert(Child::start(program).map_err(Lost::Failure)?),
            (_, None) => return Err(Lost::Failure(Failure::Stopped)),
        };
        let file = source.read(ctx).await.map_err(Lost::Failure)?;
        let mib = match child.open(job, mark, file, source.bytes()).await? {
            Ok(mib) => mib,
            Err(why) => return Ok(Err(why)),
        };
        let _room = pictures.room(mib).await.map_err(Lost::Failure)?;
        let made = child.make().await?;
        Ok(made.map(|made| Finished { made, files: Vec::new() }))
    }

    async fn work_here(
        &self,
        job: &Job,
        mark: &Bytes,
        source: Source<'_>,
        ctx: &Context,
    ) -> Result<Result<Finished, Refused>, Failure> {
        let mut file = Vec::with_capacity(source.bytes() as usize);
        let reader = source.read(ctx).await?;
        reader.take(MAX_FILE_BYTES).read_to_end(&mut file).await.map_err(files::Error::from)?;
        let file = Bytes::from(file);
        let again = (job.clone(), mark.clone(), file.clone());
        let (job, mark) = (job.clone(), mark.clone());
        // Looked at twice: a decoder stays on its thread.
        let mib = ctx.blocking(move |_| Ok(work::begin(again.0, again.1, again.2).map(|begun| begun.mib()))).await?;
        let _room = match mib {
            Ok(mib) => self.pictures.room(mib).await?,
            Err(why) => return Ok(Err(why)),
        };
        let make = move |ctx: &Context| {
            ctx.check()?;
            Ok(work::begin(job, mark, file).and_then(|begun| begun.make(&mut Room::default())))
        };
        let made = ctx.blocking(make).await?;
        Ok(made.map(|(made, files)| Finished { made, files }))
    }
}
