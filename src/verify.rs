//! `errand verify`: whether everything that is kept twice says the same both times.
//!
//! The counters and the rows, each row and its last entry in the change log, each entry and the one
//! before it, each file and its row. It reads piece by piece, beside the processes that use the
//! database, and changes nothing.

mod life;

use crate::config::VerifyArgs;
use crate::files::{self, Files};
use crate::store::{Inspect, Miscount, Named, Pair, Result, Stand};
use crate::task::Status;
use life::Lives;
use serde::Serialize;
use std::io::{self, Write};
use uuid::Uuid;

/// Rows in a piece.
const PIECE: i64 = 2_000;
/// So many differences are listed; the rest is counted.
const LISTED: usize = 100;

/// What was looked at, and what differs.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// Whether nothing differs.
    pub agrees: bool,
    /// How many tasks there are.
    pub tasks: u64,
    /// How many entries the change log has.
    pub changes: u64,
    /// How many uploads and artifacts.
    pub files: u64,
    /// How many bytes of them were read.
    pub bytes: u64,
    /// How many differences, those that are not listed too.
    pub found: u64,
    /// The first of them.
    pub differences: Vec<Difference>,
}

/// Something that is kept twice, and differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// `counter`, `row`, `lease`, `life`, `two_ends` or `file`.
    pub kind: &'static str,
    /// Whose it is: a task, a file, a counter.
    pub subject: String,
    /// What both say.
    pub detail: String,
}

impl Report {
    fn differs(&mut self, kind: &'static str, subject: impl ToString, detail: impl Into<String>) {
        self.found += 1;
        if self.differences.len() < LISTED {
            self.differences.push(Difference { kind, subject: subject.to_string(), detail: detail.into() });
        }
    }
}

/// Compares everything; `files` is `None` where there is no file store yet. `Damaged` if the database cannot be read whole.
pub async fn verify(db: &mut dyn Inspect, files: Option<&Files>, args: &VerifyArgs) -> Result<Report> {
    let mut report = Report::default();
    let wrong = db.structure().await?;
    if !wrong.is_empty() {
        return Err(crate::store::Error::Damaged(format!("integrity_check: {}", wrong.join("; "))));
    }
    for Miscount { of, status, counted, rows } in db.miscounts().await? {
        let subject = format!("{} {}", of.join("/"), word(status));
        report.differs("counter", subject, format!("the counter says {counted}, there are {rows}"));
    }
    let log_start = db.log_start().await?;
    rows(db, &mut report, log_start).await?;
    steps(db, &mut report, log_start).await?;
    if !args.no_files {
        uploads(db, files, &mut report).await?;
        artifacts(db, files, &mut report).await?;
    }
    report.agrees = report.found == 0;
    Ok(report)
}

async fn rows(db: &mut dyn Inspect, report: &mut Report, log_start: i64) -> Result<()> {
    let mut after = Uuid::nil();
    loop {
        let piece = db.pairs(after, PIECE).await?;
        let Some(last) = piece.last() else { return Ok(()) };
        after = last.id;
        report.tasks += piece.len() as u64;
        for Pair { id, leased, row, log } in piece {
            if (row.status == Status::Running as i64) != leased {
                report.differs("lease", id, format!("a task that is {} has a lease: {leased}", word(row.status)));
            }
            match log {
                Some(log) if log != row => report.differs("row", id, unlike(&row, &log)),
                // Its entries may be older than what is kept of the log.
                None if log_start == 0 => report.differs("row", id, "the change log has no entry of it"),
                _ => {}
            }
        }
    }
}

/// What the row and its last entry say differently.
fn unlike(row: &Stand, log: &Stand) -> String {
    let tries = |stand: &Stand| {
        let [attempt, failures, losses] = stand.tries;
        format!("{attempt} ({failures} failures, {losses} losses)")
    };
    let text = |text: &Option<String>| text.clone().unwrap_or_else(|| "none".to_owned());
    let parts = [
        ("version", row.version.to_string(), log.version.to_string()),
        ("status", word(row.status), word(log.status)),
        ("attempt", tries(row), tries(log)),
        ("error", text(&row.error), text(&log.error)),
        ("worker", text(&row.worker), text(&log.worker)),
        ("times", format!("{:?}", row.times), format!("{:?}", log.times)),
        ("owner", row.owner.clone(), log.owner.clone()),
    ];
    let differ = parts.into_iter().filter(|(_, row, log)| row != log);
    let told: Vec<String> = differ.map(|(what, row, log)| format!("{what}: row {row}, log {log}")).collect();
    told.join("; ")
}

async fn steps(db: &mut dyn Inspect, report: &mut Report, log_start: i64) -> Result<()> {
    let (mut after, mut lives) = ((Uuid::nil(), 0), Lives::new(log_start > 0));
    loop {
        let piece = db.steps(after, PIECE).await?;
        let Some(last) = piece.last() else { return Ok(()) };
        after = (last.task, last.seq);
        report.changes += piece.len() as u64;
        for step in piece {
            if let Some((kind, detail)) = lives.next(step) {
                report.differs(kind, step.task, format!("at {}: {detail}", step.seq));
            }
        }
    }
}

async fn uploads(db: &mut dyn Inspect, files: Option<&Files>, report: &mut Report) -> Result<()> {
    let mut after = Uuid::nil();
    loop {
        let piece = db.uploads(after, PIECE).await?;
        let Some(last) = piece.last() else { return Ok(()) };
        after = last.id;
        for named in piece {
            if let Some(detail) = compare(files, &named, report).await {
                // A record goes before its file: one that is gone by now was deleted meanwhile.
                let before = Uuid::from_u128(named.id.as_u128().saturating_sub(1));
                if db.uploads(before, 1).await?.contains(&named) {
                    report.differs("file", format!("upload {}", named.id), detail);
                }
            }
        }
    }
}

async fn artifacts(db: &mut dyn Inspect, files: Option<&Files>, report: &mut Report) -> Result<()> {
    let (mut task, mut name) = (Uuid::nil(), String::new());
    loop {
        let piece = db.artifacts((task, &name), PIECE).await?;
        let Some(last) = piece.last() else { return Ok(()) };
        (task, name) = (last.id, last.name.clone());
        for named in piece {
            if let Some(detail) = compare(files, &named, report).await {
                report.differs("file", format!("artifact {} of {}", named.name, named.id), detail);
            }
        }
    }
}

/// What a file and its row say differently.
async fn compare(files: Option<&Files>, named: &Named, report: &mut Report) -> Option<String> {
    report.files += 1;
    let found = match files {
        Some(files) => files.digest(&named.location).await,
        None => Err(files::Error::NotFound),
    };
    match found {
        Err(files::Error::NotFound) => Some("its file is not there".to_owned()),
        Err(error) => Some(format!("its file cannot be read: {error}")),
        Ok((bytes, _)) if bytes as i64 != named.bytes => {
            Some(format!("its file has {bytes} bytes, the row says {}", named.bytes))
        }
        Ok((bytes, sha256)) => {
            report.bytes += bytes;
            (sha256 != named.sha256).then(|| "its file has another SHA-256 than the row says".to_owned())
        }
    }
}

fn word(status: i64) -> String {
    Status::from_number(status).map_or_else(|| format!("status {status}"), |status| status.word().to_owned())
}

/// Prints a report, as text or as JSON.
pub fn print(report: &Report, json: bool) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if json {
        return writeln!(out, "{}", serde_json::to_string_pretty(report)?);
    }
    for Difference { kind, subject, detail } in &report.differences {
        writeln!(out, "{kind}: {subject}: {detail}")?;
    }
    if report.found > report.differences.len() as u64 {
        writeln!(out, "… and {} more", report.found - report.differences.len() as u64)?;
    }
    let Report { tasks, changes, files, bytes, found, .. } = report;
    let verdict = if *found == 0 { "all agree".to_owned() } else { format!("{found} differences") };
    writeln!(out, "{tasks} tasks, {changes} changes, {files} files of {bytes} bytes: {verdict}")
}
