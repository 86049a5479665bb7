//! What a running attempt can do: say how far it is, log, read uploads, make output files, stop.

use crate::clock::Clock;
use crate::files::{self, Files};
use crate::task::{Artifact, Progress, Task, Time, text};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

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

impl From<files::Error> for Failure {
    fn from(error: files::Error) -> Failure {
        match error {
            files::Error::Full => Failure::retry("storage_full", "the file store has no space left"),
            files::Error::NotFound => Failure::fatal("file_not_found", "the file is no longer there"),
            files::Error::Other(_) => Failure::retry("storage_failed", "the file store failed"),
        }
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

/// An upload a type may read.
#[derive(Debug, Clone)]
pub struct Input {
    /// Its id.
    pub id: Uuid,
    /// What its uploader called it.
    pub name: String,
    /// Its size.
    pub bytes: u64,
    /// Its media type, by its first bytes.
    pub content_type: String,
    location: String,
}

impl Input {
    /// An upload kept at `location`.
    pub fn new(id: Uuid, name: String, bytes: u64, content_type: String, location: String) -> Input {
        Input { id, name, bytes, content_type, location }
    }
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
    inputs: Vec<Input>,
    files: Files,
    clock: Clock,
    stop: CancellationToken,
    began: Instant,
    said: Mutex<Said>,
}

/// What the attempt said and nobody has written down yet.
#[derive(Default)]
struct Said {
    progress: Progress,
    progress_is_new: bool,
    lines: Vec<LogLine>,
    lines_total: usize,
    outputs: Vec<Artifact>,
}

impl Context {
    /// The context of the attempt of `task` under `lease`; `inputs` are the uploads its params name.
    pub fn new(
        task: Task,
        lease: Uuid,
        inputs: Vec<Input>,
        files: Files,
        clock: Clock,
        stop: CancellationToken,
    ) -> Context {
        let (began, said) = (Instant::now(), Mutex::default());
        Context { inner: Arc::new(Inner { task, lease, inputs, files, clock, stop, began, said }) }
    }

    /// The task's id.
    pub fn task_id(&self) -> Uuid {
        self.inner.task.id
    }

    /// Which attempt this is, from 1.
    pub fn attempt(&self) -> i64 {
        self.inner.task.attempt
    }

    /// The params as the type's own struct. They were checked at submit; a failure here is fatal.
    pub fn params<P: DeserializeOwned>(&self, params: &RawValue) -> Result<P, Failure> {
        serde_json::from_str(params.get()).map_err(|error| Failure::fatal("invalid_params", error.to_string()))
    }

    /// A result as JSON.
    pub fn result(&self, result: &impl Serialize) -> Result<Box<RawValue>, Failure> {
        serde_json::value::to_raw_value(result).map_err(|error| Failure::fatal("invalid_result", error.to_string()))
    }

    /// Says that `processed` of `total` items are done; percent and ETA follow from it. Call it as
    /// often as you like: it is written a few times a second, and the last one is never swallowed.
    pub fn progress(&self, processed: i64, total: i64, step: Option<String>) {
        let step = step.map(|step| text::clip(&step, MAX_STEP_BYTES));
        let progress = Progress::of(processed, total, step, self.inner.began.elapsed().as_secs_f64());
        let mut said = self.said();
        said.progress_is_new |= said.progress != progress;
        said.progress = progress;
    }

    /// Writes a line to the task's log. Lines beyond the limit are dropped, and a last line says so.
    pub fn log(&self, level: Level, message: impl AsRef<str>) {
        let mut said = self.said();
        said.lines_total += 1;
        let (level, message) = match said.lines_total {
            n if n < MAX_LOG_LINES => (level, text::clip(message.as_ref(), MAX_LOG_LINE_BYTES)),
            MAX_LOG_LINES => (Level::Warn, format!("more than {MAX_LOG_LINES} lines: the rest is dropped")),
            _ => return,
        };
        said.lines.push(LogLine { at: self.inner.clock.now(), level, message });
    }

    /// Whether it has been told to stop.
    pub fn is_stopped(&self) -> bool {
        self.inner.stop.is_cancelled()
    }

    /// `Err(Failure::Stopped)` once it has been told to stop: for loops, with `?`.
    pub fn check(&self) -> Result<(), Failure> {
        if self.is_stopped() { Err(Failure::Stopped) } else { Ok(()) }
    }

    /// Waits, unless it is told to stop.
    pub async fn sleep(&self, wait: Duration) -> Result<(), Failure> {
        tokio::select! {
            () = self.inner.stop.cancelled() => Err(Failure::Stopped),
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
        match tokio::task::spawn_blocking(move || work(&ctx)).await {
            Ok(done) => done,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => Err(Failure::Stopped),
        }
    }

    /// An upload its params name. Fatal `file_not_found` if it has been deleted since the submit.
    pub fn input(&self, id: Uuid) -> Result<&Input, Failure> {
        let found = self.inner.inputs.iter().find(|input| input.id == id);
        found.ok_or_else(|| Failure::fatal("file_not_found", "the file is no longer there"))
    }

    /// An upload's content from `offset` on, as a stream to read; never whole in memory.
    pub async fn read(&self, input: &Input, offset: u64) -> Result<files::Reader, Failure> {
        Ok(self.inner.files.read(&input.location, offset..input.bytes).await?)
    }

    /// Begins an output file. It becomes an artifact only if it is [kept](Output::keep) and the
    /// attempt succeeds. `name`: letters, digits, `.`, `-`, `_`, at most 100 characters.
    pub async fn output(&self, name: &str, content_type: &str) -> Result<Output, Failure> {
        let location = format!("{}/{name}", self.output_folder());
        let writer = self.inner.files.create(&location).await?;
        Ok(Output { ctx: self.clone(), name: name.to_owned(), content_type: content_type.to_owned(), location, writer })
    }

    /// Where this attempt's output files are kept, as a prefix in the file store.
    pub fn output_folder(&self) -> String {
        format!("artifacts/{}/{}", self.inner.task.id, self.inner.lease)
    }

    /// For the worker: progress and log lines said since the last call.
    pub fn take_said(&self) -> (Option<Progress>, Vec<LogLine>) {
        let mut said = self.said();
        let progress = std::mem::take(&mut said.progress_is_new).then(|| said.progress.clone());
        (progress, std::mem::take(&mut said.lines))
    }

    /// For the worker: what was taken by [`Context::take_said`] could not be written; it comes again
    /// with the next call, before anything said since.
    pub fn unsay(&self, progress: Option<Progress>, mut lines: Vec<LogLine>) {
        let mut said = self.said();
        said.progress_is_new |= progress.is_some();
        lines.append(&mut said.lines);
        said.lines = lines;
    }

    /// For the worker: the output files kept so far.
    pub fn outputs(&self) -> Vec<Artifact> {
        self.said().outputs.clone()
    }

    /// For the worker: the progress as last said.
    pub fn last_progress(&self) -> Progress {
        self.said().progress.clone()
    }

    fn said(&self) -> MutexGuard<'_, Said> {
        self.inner.said.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An output file being written. Dropped before [`Output::keep`], nothing of it remains.
pub struct Output {
    ctx: Context,
    name: String,
    content_type: String,
    location: String,
    /// Where its content goes.
    pub writer: files::Writer,
}

impl Output {
    /// Completes the file: whole and on disk when this returns.
    pub async fn keep(self) -> Result<(), Failure> {
        let stored = self.writer.finish().await?;
        self.ctx.said().outputs.push(Artifact {
            name: self.name,
            bytes: stored.bytes as i64,
            content_type: self.content_type,
            sha256: stored.sha256,
            location: self.location,
        });
        Ok(())
    }
}

/// For the types' own tests: one attempt in a folder that removes itself.
#[cfg(test)]
pub(in crate::types) mod trial {
    use super::*;
    use crate::types::TaskType;
    use serde_json::Value;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    /// An attempt, its uploads and what it leaves.
    pub struct Trial {
        _folder: tempfile::TempDir,
        files: Files,
        inputs: Vec<Input>,
        /// Cancelled, it tells the attempt to stop.
        pub stop: CancellationToken,
    }

    /// What an attempt left: its result, its log and its output files by name.
    pub struct Left {
        pub result: Result<Value, Failure>,
        pub log: Vec<String>,
        pub outputs: Vec<(String, Vec<u8>)>,
    }

    impl Trial {
        pub fn new() -> Trial {
            let folder = tempfile::tempdir().unwrap();
            let files = Files::local(folder.path()).unwrap();
            Trial { _folder: folder, files, inputs: Vec::new(), stop: CancellationToken::new() }
        }

        pub async fn upload(&mut self, name: &str, content: &[u8]) -> Uuid {
            let id = Uuid::now_v7();
            let location = format!("uploads/{id}");
            let mut writer = self.files.create(&location).await.unwrap();
            writer.write_all(content).await.unwrap();
            let bytes = writer.finish().await.unwrap().bytes;
            self.inputs.push(Input::new(id, name.to_owned(), bytes, "application/octet-stream".to_owned(), location));
            id
        }

        /// Checks the params as a submit does and runs the attempt with the defaults filled in.
        pub async fn run(&self, r#type: impl TaskType, params: Value) -> Left {
            let params = serde_json::value::to_raw_value(&params).unwrap();
            let types = crate::types::Types::new(vec![Box::new(r#type)]);
            let entry = types.iter().next().unwrap();
            let checked = entry.check(&params).expect("params of a test fit");
            let params = serde_json::value::to_raw_value(&checked.params).unwrap();
            let draft = crate::task::Draft::new(entry.r#type.name(), params.clone(), "owner", "client");
            let task = draft.into_task(Uuid::nil(), Time(0));
            let clock = Clock::by_hand(Time(0));
            let (inputs, files) = (self.inputs.clone(), self.files.clone());
            let ctx = Context::new(task, Uuid::nil(), inputs, files, clock, self.stop.clone());
            let result = entry.r#type.run(&params, &ctx).await;
            let mut outputs = Vec::new();
            for output in ctx.outputs() {
                let mut content = Vec::new();
                let mut reader = self.files.read(&output.location, 0..output.bytes as u64).await.unwrap();
                reader.read_to_end(&mut content).await.unwrap();
                outputs.push((output.name, content));
            }
            let log = ctx.take_said().1.into_iter().map(|line| line.message).collect();
            let result = result.map(|result| serde_json::from_str(result.get()).unwrap());
            Left { result, log, outputs }
        }
    }

    impl Left {
        pub fn result(self) -> Value {
            self.result.expect("it worked")
        }

        pub fn code(self) -> String {
            match self.result.expect_err("it failed") {
                Failure::Retry { code, .. } | Failure::Fatal { code, .. } => code,
                Failure::Stopped => "stopped".to_owned(),
            }
        }

        pub fn output(&self, name: &str) -> &[u8] {
            let found = self.outputs.iter().find(|output| output.0 == name);
            &found.unwrap_or_else(|| panic!("no output {name}")).1
        }
    }
}
