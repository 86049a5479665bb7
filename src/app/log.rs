//! The process's log: a line is handed to a thread that writes it to standard error, so that nothing
//! of ours ever waits for whoever reads it.

use crate::config::{Config, LogFormat};
use crate::store;
use crate::types;
use std::collections::VecDeque;
use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use std::{backtrace, panic, thread};

/// Lines wait in so much memory for a reader that is slow or stuck; those that find no room are dropped.
const ROOM: usize = 4 << 20;
/// How long the last lines before an exit may take: within what a stop has beyond its drain.
const LAST_WORDS: Duration = Duration::from_millis(100);

/// Takes lines without waiting. Cheap to clone.
#[derive(Clone, Default)]
pub struct Log {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    /// A line came in, or the last one went out.
    changed: Condvar,
    dropped: Arc<AtomicU64>,
}

#[derive(Default)]
struct Waiting {
    lines: VecDeque<Vec<u8>>,
    bytes: usize,
    /// One that was taken out is being written.
    writing: bool,
}

impl Log {
    /// The log on standard error, where everything that is traced goes from now on, and every panic.
    pub fn start(config: &Config) -> Log {
        let log = Log::to(io::stderr());
        let (terminal, lines) = (io::stderr().is_terminal(), log.clone());
        let format = tracing_subscriber::fmt()
            .with_env_filter(tracing_subscriber::EnvFilter::new(format!("{},{}", store::QUIET, config.log)))
            .with_writer(move || lines.clone())
            .with_ansi(terminal);
        let started = match LogFormat::is_json(config.log_format, terminal) {
            true => format.json().flatten_event(true).try_init(),
            false => format.try_init(),
        };
        // A second log in one process (a test) keeps the first.
        if started.is_ok() {
            panic::set_hook(Box::new(tell_panic));
        }
        log
    }

    /// A log that is written there.
    fn to(sink: impl Write + Send + 'static) -> Log {
        let log = Log::default();
        let shared = log.shared.clone();
        // Without a thread it is a log that drops what it has no room for, which is no reason not to serve.
        let _ = thread::Builder::new().name("log".to_owned()).spawn(move || shared.write_out(sink));
        log
    }

    /// Adds whole lines; drops and counts them where they find no room.
    pub fn add(&self, text: &[u8]) {
        let mut waiting = self.shared.lock();
        if waiting.bytes + text.len() > ROOM {
            self.shared.dropped.fetch_add(1, Relaxed);
            return;
        }
        waiting.bytes += text.len();
        waiting.lines.push_back(text.to_vec());
        self.shared.changed.notify_all();
    }

    /// How many lines never came to be written.
    pub fn dropped(&self) -> Arc<AtomicU64> {
        self.shared.dropped.clone()
    }

    /// Returns when everything is written, or soon if nobody takes it: then it is lost.
    pub fn last_words(&self) {
        let waits = |waiting: &mut Waiting| waiting.writing || !waiting.lines.is_empty();
        let _ = self.shared.changed.wait_timeout_while(self.shared.lock(), LAST_WORDS, waits);
    }
}

/// What is formatted for one event comes in one piece.
impl Write for Log {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.add(text);
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes line by line, for as long as the process lives.
    fn write_out(&self, mut sink: impl Write) {
        let mut told = 0;
        loop {
            let (line, is_last) = self.next();
            // A reader that has gone, a disk that is full: the next line may fare better.
            if sink.write_all(&line).is_err() {
                self.dropped.fetch_add(1, Relaxed);
                continue;
            }
            let dropped = self.dropped.load(Relaxed);
            if is_last && dropped > told {
                told = dropped;
                tracing::warn!(dropped, "lines of this log were dropped: nobody took them in time");
            }
        }
    }

    /// The next line, and whether it is the last for now.
    fn next(&self) -> (Vec<u8>, bool) {
        let mut waiting = self.lock();
        waiting.writing = false;
        self.changed.notify_all();
        loop {
            if let Some(line) = waiting.lines.pop_front() {
                waiting.bytes -= line.len();
                waiting.writing = true;
                return (line, waiting.lines.is_empty());
            }
            waiting = self.changed.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// In place of the standard library's own hook, which writes to standard error itself.
fn tell_panic(panic: &panic::PanicHookInfo<'_>) {
    let said = panic.payload_as_str().unwrap_or("not in words");
    let (at, thread) = (panic.location().map(ToString::to_string), thread::current());
    tracing::error!(at, thread = thread.name(), "panicked: {}", types::mask(said).escape_debug());
    let trace = backtrace::Backtrace::capture();
    if trace.status() == backtrace::BacktraceStatus::Captured {
        tracing::error!("{trace}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader};

    #[test]
    fn what_finds_no_room_is_dropped_and_counted_and_adding_never_waits() {
        let (reader, writer) = io::pipe().unwrap();
        let log = Log::to(writer);
        let line = [&[b'a'; 1023][..], b"\n"].concat();
        let all = (ROOM + (1 << 20)) / line.len();
        (0..all).for_each(|_| log.add(&line));
        log.last_words();
        let dropped = log.dropped().load(Relaxed) as usize;
        // Beyond the room, a pipe holds some.
        assert!(dropped > 0 && dropped <= (1 << 20) / line.len(), "{dropped}");
        assert_eq!(BufReader::new(reader).lines().take(all - dropped).map(Result::unwrap).count(), all - dropped);
        log.last_words();
        assert!(log.shared.lock().lines.is_empty());
    }

    #[test]
    fn the_last_words_are_written_and_a_reader_that_has_gone_holds_nobody_up() {
        let (reader, writer) = io::pipe().unwrap();
        let log = Log::to(writer);
        log.add(b"one\n");
        log.last_words();
        drop(log);
        let mut lines = BufReader::new(reader).lines();
        assert_eq!(lines.next().unwrap().unwrap(), "one");

        let (reader, writer) = io::pipe().unwrap();
        let log = Log::to(writer);
        drop(reader);
        (0..3).for_each(|_| log.add(b"two\n"));
        log.last_words();
        assert_eq!((log.dropped().load(Relaxed), log.shared.lock().lines.len()), (3, 0));
    }
}
