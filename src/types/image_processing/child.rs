//! A process of its own that works on pictures, from the node's side: one picture after the other, and gone with the
//! first that it does not survive.

use super::picture::{Refused, refused};
use super::wire::{self, Reply, Request};
use super::work::{Job, Made};
use crate::files::Reader;
use crate::types::Failure;
use rustix::pipe::fcntl_setpipe_size;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::process::{ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

/// How long a dead process may take to be known as dead.
const TO_DIE: Duration = Duration::from_secs(2);

/// As much of a file is read and handed over at once: each time costs two threads and a process a turn.
const CHUNK_BYTES: usize = 256 * 1024;

/// What is started for pictures: it must call `serve_pictures`.
#[derive(Debug, Clone)]
pub struct Program {
    /// The binary.
    pub path: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// A picture that takes longer in it is given up; its header has a tenth of that.
    pub patience: Duration,
}

/// The process. Dropped, it is killed.
pub struct Child {
    process: tokio::process::Child,
    input: ChildStdin,
    output: ChildStdout,
    patience: Duration,
}

/// Why a picture has no answer.
#[derive(Debug)]
pub enum Lost {
    /// It was too much for the process, which is gone.
    Picture(Refused),
    /// Somebody ended the process, whatever it was doing.
    Ended,
    /// Its file could not be read, or no process be started.
    Failure(Failure),
}

impl Child {
    /// Starts one. It has nothing of this process but a pipe in each direction: no environment, no folder, no
    /// terminal's signals.
    pub fn start(program: &Program) -> Result<Child, Failure> {
        let mut command = Command::new(&program.path);
        command.args(&program.arguments).env_clear().current_dir("/").process_group(0).kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let failed = |why: &str| {
            tracing::warn!(%why, "no process for pictures could be started");
            Failure::retry("no_process", "no process could be started to work on the picture")
        };
        let mut process = command.spawn().map_err(|error| failed(&error.to_string()))?;
        match (process.stdin.take(), process.stdout.take()) {
            (Some(input), Some(output)) => {
                // Where they may not be so large they stay as they are.
                let _ = fcntl_setpipe_size(&input, CHUNK_BYTES);
                let _ = fcntl_setpipe_size(&output, CHUNK_BYTES);
                Ok(Child { process, input, output, patience: program.patience })
            }
            _ => Err(failed("no pipes")),
        }
    }

    /// Hands it a picture; answers how many MiB the rest takes.
    pub async fn open(
        &mut self,
        job: &Job,
        mark: &[u8],
        mut file: Reader,
        bytes: u64,
    ) -> Result<Result<u32, Refused>, Lost> {
        let request = Request::Open { job: job.clone(), mark_bytes: mark.len() as u64, bytes };
        let said = wire::say(&mut self.input, &request).await;
        if said.is_err() || self.input.write_all(mark).await.is_err() {
            return Err(self.lost().await);
        }
        let mut chunk = vec![0; CHUNK_BYTES];
        let mut left = bytes;
        while left > 0 {
            let read =
                file.read(&mut chunk).await.map_err(|error| Lost::Failure(crate::files::Error::from(error).into()))?;
            if read == 0 {
                return Err(Lost::Failure(crate::files::Error::NotFound.into()));
            }
            let read = read.min(usize::try_from(left).unwrap_or(usize::MAX));
            if self.input.write_all(&chunk[..read]).await.is_err() {
                return Err(self.lost().await);
            }
            left -= read as u64;
        }
        match self.answer(self.patience / 10).await? {
            Reply::Opened(mib) => Ok(Ok(mib)),
            Reply::Refused(why) => Ok(Err(why)),
            Reply::Made(_) => Err(crashed()),
        }
    }

    /// Has it work on that picture. Its files are then [poured](Child::pour), in order.
    pub async fn make(&mut self) -> Result<Result<Made, Refused>, Lost> {
        if wire::say(&mut self.input, &Request::Make).await.is_err() {
            return Err(self.lost().await);
        }
        match self.answer(self.patience).await? {
            Reply::Made(made) => Ok(Ok(made)),
            Reply::Refused(why) => Ok(Err(why)),
            Reply::Opened(_) => Err(crashed()),
        }
    }

    /// The next file that it made, of so many bytes.
    pub async fn pour(&mut self, bytes: u64, to: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
        let mut file = BufReader::with_capacity(CHUNK_BYTES, (&mut self.output).take(bytes));
        let poured = tokio::io::copy_buf(&mut file, to).await?;
        if poured == bytes { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }

    async fn answer(&mut self, patience: Duration) -> Result<Reply, Lost> {
        match timeout(patience, wire::hear(&mut self.output)).await {
            Ok(Ok(reply)) => Ok(reply),
            Ok(Err(_)) => Err(self.lost().await),
            Err(_) => {
                // Dropping it kills it too; here it is certain before the next one begins.
                let _ = self.process.kill().await;
                Err(Lost::Picture(refused("took_too_long", "the picture took too long to work on")))
            }
        }
    }

    /// How it was lost.
    async fn lost(&mut self) -> Lost {
        match timeout(TO_DIE, self.process.wait()).await {
            Ok(Ok(status)) => died(status),
            _ => crashed(),
        }
    }
}

fn died(status: ExitStatus) -> Lost {
    use rustix::process::Signal;
    let is = |signal: Signal| status.signal() == Some(signal.as_raw());
    if is(Signal::ABORT) {
        // That is how memory ends that cannot be had.
        return Lost::Picture(refused("too_large", "the picture needs more memory than one may have"));
    }
    if is(Signal::XCPU) {
        return Lost::Picture(refused("took_too_long", "the picture took too long to work on"));
    }
    if [Signal::TERM, Signal::INT, Signal::HUP, Signal::QUIT].into_iter().any(is) {
        return Lost::Ended;
    }
    crashed()
}

fn crashed() -> Lost {
    Lost::Picture(refused("crashed", "the picture ended the process that worked on it"))
}
