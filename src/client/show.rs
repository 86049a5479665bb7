//! Tasks as text for people.

use crate::task::Time;
use serde::Deserialize;
use serde_json::value::RawValue;

/// What is shown of a task. Members the service leaves out are simply not shown.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Task {
    pub id: String,
    pub r#type: String,
    pub name: Option<String>,
    pub status: String,
    pub phase: String,
    pub queue: String,
    pub priority: i64,
    pub tags: Vec<String>,
    pub progress: Progress,
    pub attempt: i64,
    pub max_attempts: i64,
    pub worker: Option<String>,
    pub run_at: Option<String>,
    pub created_at: Option<String>,
    pub started_at: Option<String>,
    pub finished_at: Option<String>,
    pub updated_at: Option<String>,
    pub error: Option<TaskError>,
    pub params: Option<Box<RawValue>>,
    pub result: Option<Box<RawValue>>,
}

/// How far it is.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Progress {
    pub percent: Option<f64>,
    pub step: Option<String>,
    pub processed: Option<i64>,
    pub total: Option<i64>,
    pub eta_seconds: Option<f64>,
}

/// Why it failed.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct TaskError {
    pub code: String,
    pub message: String,
    pub attempt: i64,
}

impl Task {
    /// Whether nothing more happens to it by itself.
    pub fn is_finished(&self) -> bool {
        matches!(self.status.as_str(), "SUCCESS" | "FAILED" | "CANCELLED")
    }
}

/// One row a task, aligned, under a heading; for no task at all, a sentence.
pub fn table(tasks: &[Task]) -> String {
    if tasks.is_empty() {
        return "no tasks\n".to_owned();
    }
    let heading = ["ID", "STATUS", "TYPE", "QUEUE", "DONE", "ATTEMPT", "CREATED", "NAME"].map(str::to_owned);
    let row = |task: &Task| {
        let attempt = format!("{}/{}", task.attempt, task.max_attempts);
        let done = task.progress.percent.map_or(String::new(), |percent| format!("{percent:.0} %"));
        let created = task.created_at.clone().unwrap_or_default();
        let name = task.name.clone().unwrap_or_default();
        let cells = [&task.id, &task.status, &task.r#type, &task.queue, &done, &attempt, &created, &name];
        cells.map(|cell| plain(cell))
    };
    let rows: Vec<[String; 8]> = std::iter::once(heading).chain(tasks.iter().map(row)).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; 8] = std::array::from_fn(width);
    let line = |row: &[String; 8]| {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        format!("{}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}

/// Everything of one task, a line each, what is not there left out.
pub fn whole(task: &Task) -> String {
    let phase = Some(&task.phase).filter(|phase| !phase.eq_ignore_ascii_case(&task.status) && !phase.is_empty());
    let status = phase.map_or(task.status.clone(), |phase| format!("{} ({phase})", task.status));
    let later = task.run_at.clone().filter(|run_at| Some(run_at) != task.created_at.as_ref());
    let lines = [
        ("id", Some(task.id.clone())),
        ("type", Some(task.r#type.clone())),
        ("name", task.name.clone()),
        ("status", Some(status)),
        ("queue", Some(format!("{}, priority {}", task.queue, task.priority))),
        ("tags", Some(task.tags.join(", ")).filter(|tags| !tags.is_empty())),
        ("attempt", Some(format!("{} of {}", task.attempt, task.max_attempts))),
        ("progress", Some(progress(&task.progress)).filter(|text| !text.is_empty())),
        ("worker", task.worker.clone()),
        ("created", task.created_at.clone()),
        ("run at", later),
        ("started", task.started_at.clone()),
        ("finished", task.finished_at.clone().map(|at| format!("{at}{}", took(task)))),
        ("error", task.error.as_ref().map(error)),
        ("params", task.params.as_ref().map(|json| json.get().to_owned())),
        ("result", task.result.as_ref().map(|json| json.get().to_owned())),
    ];
    lines.into_iter().filter_map(|(name, value)| Some(format!("{name:8}  {}\n", plain(&value?)))).collect()
}

/// Where a followed task stands: time, status, progress, and the error that a retry waits behind.
pub fn line(task: &Task) -> String {
    let at = task.updated_at.as_deref().unwrap_or_default();
    let phase = if task.phase.is_empty() { &task.status } else { &task.phase };
    let attempt = if task.attempt > 1 { format!("attempt {}", task.attempt) } else { String::new() };
    let (progress, error) = (progress(&task.progress), task.error.as_ref().map(error).unwrap_or_default());
    let parts = [at, &format!("{phase:9}"), &attempt, &progress, &error];
    let parts: Vec<String> = parts.iter().filter(|part| !part.is_empty()).map(|part| plain(part)).collect();
    parts.join("  ").trim_end().to_owned()
}

/// How a followed task ended: its status and how long it ran, then the result.
pub fn ending(task: &Task) -> String {
    let result = task.result.as_ref().map_or(String::new(), |json| format!("{}\n", plain(json.get())));
    format!("{}{}\n{result}", plain(&task.status), took(task))
}

/// What other people wrote, safe for a terminal: control characters are shown escaped.
pub fn plain(text: &str) -> String {
    let hidden = |c: char| c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let show = |c: char| if hidden(c) { c.escape_default().collect() } else { String::from(c) };
    text.chars().map(show).collect()
}

fn progress(progress: &Progress) -> String {
    let percent = progress.percent.map(|percent| format!("{percent:.1} %"));
    let count = match (progress.processed, progress.total) {
        (Some(processed), Some(total)) => Some(format!("{processed}/{total}")),
        (Some(processed), None) => Some(processed.to_string()),
        _ => None,
    };
    let eta = progress.eta_seconds.map(|seconds| format!("{seconds:.0} s left"));
    [percent, progress.step.clone(), count, eta].into_iter().flatten().collect::<Vec<_>>().join("  ")
}

fn error(error: &TaskError) -> String {
    format!("{}: {} (attempt {})", error.code, error.message, error.attempt)
}

/// ` in 1.2 s`, from the start of its last attempt; nothing when it never ran.
fn took(task: &Task) -> String {
    let time = |text: &Option<String>| text.as_deref().and_then(Time::parse);
    match (time(&task.started_at), time(&task.finished_at)) {
        (Some(from), Some(to)) => format!(" in {:.1} s", (to.0 - from.0).max(0) as f64 / 1000.0),
        _ => String::new(),
    }
}
