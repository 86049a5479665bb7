//! What a running attempt can do: say how far it is, log, save checkpoints, read uploads, make
//! output files, stop.

mod checkpoint;
mod files;
mod grown;
mod look;
#[cfg(test)]
mod tests;
#[cfg(test)]
pub(in crate::types) mod trial;

use super::{Secrets, schema};
use crate::clock::Clock;
use crate::files::Files;
use crate::task::{Artifact, Checkpoint, Metrics, Pace, Progress, Task, Time, text};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub use checkpoint::Saves;
pub use files::{Input, Output};
pub use grown::{Grown, Marked};

/// A longer log line is cut to this.
pub const MAX_LOG_LINE_BYTES: usize = 8 * 1024;
/// An attempt keeps this many log lines; the last one says that more were dropped.
pub const MAX_LOG_LINES: usize = 10_000;
/// A longer step is cut to this.
const MAX_STEP_BYTES: usize = 200;

/// Why an attempt ended without a result.
#[derive(Debug)]
pub enum Failure {
    /// Another attempt may mend it: counts against `max_attempts`.
    Retry {
        /// A stable word.
        code: String,
        /// A sentence for a person, without a path or a secret.
        message: String,
    },
    /// No retry can mend it.
    Fatal {
        /// A stable word.
        code: String,
        /// A sentence for a person, without a path or a secret.
        message: String,
    },
    /// It was told to stop, and did.
    Stopped,
}

impl Failure {
    /// A failure that another attempt may mend.
    pub fn retry(code: &str, message: impl Into<String>) -> Failure {
        Failure::Retry { code: code.to_owned(), message: message.into() }
    }

    /// A failure that no retry can mend.
    pub fn fatal(code: &str, message: impl Into<String>) -> Failure {
        Failure::Fatal { code: code.to_owned(), message: message.into() }
    }
}

/// How much a log line matters. The number is what the databases store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(i64)]
pub enum Level {
    /// For whoever writes the type.
    Debug = 0,
    /// What is being done.
    Info = 1,
    /// Something was left out or mended.
    Warn = 2,
    /// Something failed.
    Error = 3,
}

impl Level {
    /// Every level, by number.
    pub const ALL: [Level; 4] = [Level::Debug, Level::Info, Level::Warn, Level::Error];

    /// The word on the wire.
    pub fn word(self) -> &'static str {
        ["debug", "info", "warn", "error"][self as usize]
    }
}

/// One line of a task's log.
#[derive(Debug, Clone)]
pub struct LogLine {
    /// When it was written.
    pub at: Time,
    /// How much it matters.
    pub level: Level,
    /// What it says; at most 8 KiB, cut beyond.
    pub message: String,
}

/// What an attempt is given beside its task.
pub struct Given {
    /// The uploads that its params name.
    pub inputs: Vec<Input>,
    /// What earlier attempts saved.
    pub checkpoints: Vec<Checkpoint>,
    /// Where its own checkpoints go.
    pub saves: Arc<dyn Saves>,
    /// Where files are kept.
    pub files: Files,
    /// The shared clock.
    pub clock: Clock,
    /// Cancelled when it is to stop.
    pub stop: CancellationToken,
    /// Masked in all that it says.
    pub secrets: Secrets,
}

/// The hands of one attempt. Cheap to clone; clones are the same attempt. Everything it says is
/// written under the attempt's lease: once that is lost, nothing of it is kept.
#[derive(Clone)]
pub struct Context {
    inner: Arc<Inner>,
}

struct Inner {
    task: Task,
    lease: Uuid,
    given: Given,
    began: Instant,
    said: Mutex<Said>,
}

/// What the attempt said and nobody has written down yet.
#[derive(Default)]
struct Said {
    progress: Progress,
    progress_is_new: bool,
    metrics: Metrics,
    /// Whether the log says that a metric was not kept.
    metric_refused: bool,
    lines: Vec<LogLine>,
    lines_total: usize,
    pace: Pace,
    /// Files begun, and those that become artifacts.
    begun: usize,
    outputs: Vec<Artifact>,
}

impl Said {
    /// With what was measured.
    fn progress(&self) -> Progress {
        Progress { metrics: self.metrics.clone(), ..self.progress.clone() }
    }
}

impl Context {
    /// The context of the attempt of `task` under `lease`.
    pub fn new(task: Task, lease: Uuid, given: Given) -> Context {
        let (began, said) = (Instant::now(), Mutex::default());
        Context { inner: Arc::new(Inner { task, lease, given, began, said }) }
    }

    /// The task's id.
    pub fn task_id(&self) -> Uuid {
        self.inner.task.id
    }

    /// Which attempt this is, from 1.
    pub fn attempt(&self) -> i64 {
        self.inner.task.attempt
    }

    /// The params as the type's own struct; `1.0` is a whole number as 1 is. They were checked at submit; a failure here is
    /// fatal.
    pub fn params<P: DeserializeOwned>(&self, params: &RawValue) -> Result<P, Failure> {
        let as_written = serde_json::from_str(params.get());
        let whole = || P::deserialize(&*schema::with_whole_numbers(&serde_json::from_str(params.get())?));
        as_written
            .or_else(|_| whole())
            .map_err(|error: serde_json::Error| Failure::fatal("invalid_params", error.to_string()))
    }

    /// A result as JSON.
    pub fn result(&self, result: &impl Serialize) -> Result<Box<RawValue>, Failure> {
        serde_json::value::to_raw_value(result).map_err(|error| Failure::fatal("invalid_result", error.to_string()))
    }

    /// Says that `processed` of `total` items are done; percent and ETA follow from it. Call it as
    /// often as you like: it is written a few times a second, and the last one is never swallowed.
    pub fn progress(&self, processed: i64, total: i64, step: Option<String>) {
        let step = step.map(|step| text::clip(&self.secrets().mask(step), MAX_STEP_BYTES));
        let elapsed = self.inner.began.elapsed().as_secs_f64();
        let mut said = self.said();
        let progress = said.pace.progress(processed, total, step, elapsed);
        said.progress_is_new |= said.progress != progress;
        said.progress = progress;
    }

    /// Keeps the last value of something that the type measures, for people and programs to see with the task. It goes
    /// with the progress: call it as often as you like. At most 20 names, each 1 to 64 of `a-z 0-9 _ .`; another name, or a value that is not
    /// finite, is not kept, and the log says so once.
    pub fn metric(&self, name: &str, value: f64) {
        let name = self.secrets().mask(name);
        let mut said = self.said();
        match said.metrics.set(&name, value) {
            Ok(new) => said.progress_is_new |= new,
            Err(why) if !std::mem::replace(&mut said.metric_refused, true) => {
                drop(said);
                self.log(
                    Level::Warn,
                    format!("the metric {:?} {why}: it is not kept", text::clip(&name, MAX_STEP_BYTES)),
                );
            }
            Err(_) => {}
        }
    }

    /// Writes a line to the task's log. Lines beyond the limit are dropped, and a last line says so.
    pub fn log(&self, level: Level, message: impl AsRef<str>) {
        let mut said = self.said();
        said.lines_total += 1;
        let (level, message) = match said.lines_total {
            n if n < MAX_LOG_LINES => (level, text::clip(&self.secrets().mask(message.as_ref()), MAX_LOG_LINE_BYTES)),
            MAX_LOG_LINES => (Level::Warn, format!("more than {MAX_LOG_LINES} lines: the rest is dropped")),
            _ => return,
        };
        said.lines.push(LogLine { at: self.inner.given.clock.now(), level, message });
    }

    /// Whether it has been told to stop.
    pub fn is_stopped(&self) -> bool {
        self.inner.given.stop.is_cancelled()
    }

    /// `Err(Failure::Stopped)` once it has been told to stop: for loops, with `?`.
    pub fn check(&self) -> Result<(), Failure> {
        if self.is_stopped() { Err(Failure::Stopped) } else { Ok(()) }
    }

    /// Waits until it is told to stop.
    pub async fn stopped(&self) {
        self.inner.given.stop.cancelled().await;
    }

    /// Waits, unless it is told to stop.
    pub async fn sleep(&self, wait: Duration) -> Result<(), Failure> {
        tokio::select! {
            () = self.inner.given.stop.cancelled() => Err(Failure::Stopped),
            () = tokio::time::sleep(wait) => Ok(()),
        }
    }

    /// Runs CPU-bound or blocking work off the async threads. `work` must call [`Context::check`]
    /// often enough to stop within 2 s. A panic inside is a panic of the attempt.
    pub async fn blocking<R: Send + 'static>(
        &self,
        work: impl FnOnce(&Context) -> Result<R, Failure> + Send + 'static,
    ) -> Result<R, Failure> {
        let ctx = self.clone();
        match tokio::task::spawn_blocking(move || ctx.secrets().while_blocking(|| work(&ctx))).await {
            Ok(done) => done,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => Err(Failure::Stopped),
        }
    }

    /// For the worker: what is masked in how it ends.
    pub(crate) fn secrets(&self) -> &Secrets {
        &self.inner.given.secrets
    }

    /// For the worker: progress and log lines said since the last call.
    pub(crate) fn take_said(&self) -> (Option<Progress>, Vec<LogLine>) {
        let mut said = self.said();
        let progress = std::mem::take(&mut said.progress_is_new).then(|| said.progress());
        (progress, std::mem::take(&mut said.lines))
    }

    /// For the worker: what was taken by [`Context::take_said`] could not be written; it comes again
    /// with the next call, before anything said since.
    pub(crate) fn unsay(&self, progress: Option<Progress>, mut lines: Vec<LogLine>) {
        let mut said = self.said();
        said.progress_is_new |= progress.is_some();
        lines.append(&mut said.lines);
        said.lines = lines;
    }

    /// For the worker: the files that become artifacts if it succeeds.
    pub(crate) fn outputs(&self) -> Vec<Artifact> {
        self.said().outputs.clone()
    }

    /// For the worker: whether it may have left files that are none of [`Context::outputs`].
    pub(crate) fn may_leave_files(&self) -> bool {
        let said = self.said();
        self.attempt() > 1 || said.begun > said.outputs.len()
    }

    /// For the worker: whether it began any file.
    pub(crate) fn began_files(&self) -> bool {
        self.said().begun > 0
    }

    /// For the worker: the progress as last said.
    pub(crate) fn last_progress(&self) -> Progress {
        self.said().progress()
    }

    fn said(&self) -> MutexGuard<'_, Said> {
        self.inner.said.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
