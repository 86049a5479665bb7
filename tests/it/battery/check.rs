//! What must be true afterwards, whatever happened: by the client's ledger, then by the change log
//! against the rows, then by the files on the disk.

use super::load::Client;
use crate::support::bed::DatabaseUrl;
use crate::support::node::Home;
use serde_json::Value;
use sha2::{Digest, Sha256};
use sqlx::{Connection, PgConnection, SqliteConnection};
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// How long everything may take to come to its end.
const PATIENCE: Duration = Duration::from_secs(60);
/// So many lost workers end a task.
const MAX_LOSSES: usize = 3;

/// What was looked at.
#[derive(Debug, Default)]
pub struct Figures {
    pub tasks: usize,
    pub transitions: usize,
    pub losses: usize,
    pub files: usize,
}

/// Waits until nothing is left to do, then answers everything that is wrong.
pub async fn check(client: &Client, home: &Home) -> (Figures, Vec<String>) {
    settle(client).await;
    let mut wrong = Vec::new();
    let rows = rows(client).await;
    let histories = histories(client, &mut wrong).await;
    of_the_ledger(client, &rows, &histories, &mut wrong);
    for (id, history) in &histories {
        let row = rows.get(id).unwrap_or(&Value::Null);
        wrong.extend(of_a_history(history, row).into_iter().map(|what| format!("{id}: {what}")));
    }
    of_the_counts(client, &rows, &mut wrong).await;
    let files = of_the_files(client, home, &rows, &mut wrong).await;
    let events = |word: &str| histories.values().flatten().filter(|(event, _)| event == word).count();
    let transitions = histories.values().map(Vec::len).sum();
    (Figures { tasks: rows.len(), transitions, losses: events("rescued"), files }, wrong)
}

async fn settle(client: &Client) {
    let until = Instant::now() + PATIENCE;
    loop {
        let open = client.get("/api/tasks/?status=PENDING&status=RUNNING&limit=500").await.unwrap();
        if open["tasks"].as_array().unwrap().is_empty() {
            return;
        }
        assert!(Instant::now() < until, "still not finished after {PATIENCE:?}: {open}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Every row, by id.
async fn rows(client: &Client) -> HashMap<String, Value> {
    let (mut rows, mut cursor) = (HashMap::new(), String::new());
    loop {
        let page = client.get(&format!("/api/tasks/?limit=500{cursor}")).await.unwrap();
        let tasks = page["tasks"].as_array().unwrap();
        rows.extend(tasks.iter().map(|task| (task["id"].as_str().unwrap().to_owned(), task.clone())));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return rows,
        }
    }
}

/// What happened to a task, in order: the event, and the task right after.
type History = Vec<(String, Value)>;

async fn histories(client: &Client, wrong: &mut Vec<String>) -> HashMap<String, History> {
    let (mut histories, mut after) = (HashMap::<String, History>::new(), 0);
    loop {
        let page = client.get(&format!("/api/tasks/changes?limit=1000&after={after}")).await.unwrap();
        for change in page["changes"].as_array().unwrap() {
            let seq = change["seq"].as_i64().unwrap();
            if seq <= after {
                wrong.push(format!("the change log has {seq} after {after}"));
            }
            after = seq;
            let task = &change["task"];
            let history = histories.entry(task["id"].as_str().unwrap().to_owned()).or_default();
            history.push((change["event"].as_str().unwrap().to_owned(), task.clone()));
        }
        if page["has_more"] == false {
            return histories;
        }
    }
}

/// Nothing lost, nothing unexpected, and every task ended as it should.
fn of_the_ledger(
    client: &Client,
    rows: &HashMap<String, Value>,
    histories: &HashMap<String, History>,
    wrong: &mut Vec<String>,
) {
    let book = client.ledger.book();
    let known: HashMap<&String, &Value> = book.tasks().collect();
    wrong.extend(book.submits.iter().filter(|submit| submit.ids.is_none()).map(|_| "a submit is unknown".to_owned()));
    wrong.extend(rows.keys().filter(|id| !known.contains_key(id)).map(|id| format!("{id} is unexpected")));
    for (id, body) in known {
        let (Some(row), Some(history)) = (rows.get(id), histories.get(id)) else {
            wrong.push(format!("{id} is lost: {body}"));
            continue;
        };
        let count = |word: &str| history.iter().filter(|(event, _)| event == word).count();
        let cancelled = book.cancels.get(id);
        let (asked, granted) = book.retries.get(id).copied().unwrap_or_default();
        let expected: &[&str] = match (cancelled, body["params"]["fail_at"].is_null()) {
            (Some(_), _) => &["CANCELLED", "SUCCESS"],
            (None, true) => &["SUCCESS"],
            (None, false) => &["FAILED"],
        };
        let lost = row["error"]["code"] == "worker_lost" && count("rescued") >= MAX_LOSSES - 1;
        if !expected.contains(&row["status"].as_str().unwrap()) && !lost {
            wrong.push(format!("{id} should be {expected:?}: {row}"));
        }
        if cancelled == Some(&Some(200)) && count("cancelled") == 0 {
            wrong.push(format!("{id}: its cancel was acknowledged and is lost"));
        }
        if !(granted as usize..=asked as usize).contains(&count("retried")) {
            wrong.push(format!("{id}: {} retries where {granted} to {asked} are right", count("retried")));
        }
    }
}

/// What is wrong with one task: each transition is one the table has, each version there once, each
/// life ended once, and the row is what its last entry says.
fn of_a_history(history: &History, row: &Value) -> Vec<String> {
    let mut wrong = Vec::new();
    let (mut status, mut attempt) = ("", 0);
    for (n, (event, task)) in history.iter().enumerate() {
        let to = task["status"].as_str().unwrap();
        if !legal(event, status, to) {
            wrong.push(format!("{event} from {status:?} to {to}"));
        }
        attempt += i64::from(event == "started");
        if task["attempt"] != attempt || task["version"] != n as i64 + 1 {
            wrong.push(format!("{event}: attempt {attempt}, version {} expected in {task}", n + 1));
        }
        status = to;
    }
    let count = |words: &[&str]| history.iter().filter(|(event, _)| words.contains(&event.as_str())).count();
    if count(&["succeeded", "failed", "cancelled"]) != 1 + count(&["retried"]) {
        let events: Vec<&String> = history.iter().map(|(event, _)| event).collect();
        wrong.push(format!("it does not end once in each life: {events:?}"));
    }
    if let Some((_, last)) = history.last().filter(|(_, last)| last != row) {
        wrong.push(format!("the change log says {last}, the row {row}"));
    }
    wrong
}

fn legal(event: &str, from: &str, to: &str) -> bool {
    matches!(
        (event, from, to),
        ("queued", "", "PENDING")
            | ("started", "PENDING", "RUNNING")
            | ("succeeded", "RUNNING", "SUCCESS")
            | ("failed", "RUNNING", "FAILED")
            | ("cancelled", "PENDING" | "RUNNING", "CANCELLED")
            | ("retrying" | "rescued" | "released", "RUNNING", "PENDING")
            | ("cancel_requested", "RUNNING", "RUNNING")
            | ("retried", "FAILED" | "CANCELLED", "PENDING")
            | ("approved", "PENDING", "PENDING")
            | ("rejected", "PENDING", "CANCELLED")
    )
}

async fn of_the_counts(client: &Client, rows: &HashMap<String, Value>, wrong: &mut Vec<String>) {
    let stats = client.get("/api/stats").await.unwrap();
    for (status, counted) in stats["by_status"].as_object().unwrap() {
        let there = rows.values().filter(|row| row["status"] == status.as_str()).count();
        if counted.as_u64() != Some(there as u64) {
            wrong.push(format!("{counted} are counted as {status}, {there} are"));
        }
    }
}

/// A row never names a missing file or half a file; an acknowledged upload comes back as it was sent;
/// only a success has output files, and it has all of them, and no checkpoints.
async fn of_the_files(client: &Client, home: &Home, rows: &HashMap<String, Value>, wrong: &mut Vec<String>) -> usize {
    let named = named(home).await;
    for (location, bytes, sha256, of) in &named {
        let content = std::fs::read(home.folder.path().join("files").join(location)).unwrap_or_default();
        let hash: String = Sha256::digest(&content).iter().map(|byte| format!("{byte:02x}")).collect();
        if (content.len() as i64, &hash) != (*bytes, sha256) {
            wrong.push(format!("{location} should have {bytes} bytes and has {}", content.len()));
        }
        if of != "upload" && of != "artifact of 2" {
            wrong.push(format!("{location} is an {of}, which is no success"));
        }
    }
    let uploads = client.ledger.book().uploads.clone();
    for (id, upload) in uploads.iter().filter(|(_, upload)| !upload.deleted) {
        if client.download(&format!("/api/files/{id}")).await.unwrap() != (200, upload.content.clone()) {
            wrong.push(format!("the upload {id} is not what was sent"));
        }
    }
    let makers: Vec<(String, u64)> = {
        let book = client.ledger.book();
        let files = |body: &Value| match body["type"].as_str() {
            // The rows, the statistics, and these as a page.
            Some("csv_processing") => Some(3),
            Some("email_sending") => body["params"]["num_emails"].as_u64(),
            _ => None,
        };
        book.tasks().filter_map(|(id, body)| Some((id.clone(), files(body)?))).collect()
    };
    for (id, files) in makers.iter().filter(|(id, _)| rows.get(id).is_some_and(|row| row["status"] == "SUCCESS")) {
        let listed = client.get(&format!("/api/tasks/{id}/artifacts")).await.unwrap();
        if listed["artifacts"].as_array().map(|artifacts| artifacts.len() as u64) != Some(*files) {
            wrong.push(format!("{id} should have {files} output files: {listed}"));
        }
    }
    named.len()
}

/// Every file that a row names: where it is, its size, its hash, and whose it is.
async fn named(home: &Home) -> Vec<(String, i64, String, String)> {
    const ALL: &str = "SELECT location, bytes, sha256, 'upload' FROM files
        UNION ALL SELECT location, bytes, sha256, 'artifact of ' || status FROM artifacts JOIN tasks ON id = task_id
        UNION ALL SELECT checkpoints.name, 0, '', 'checkpoint' FROM checkpoints JOIN tasks ON id = task_id WHERE status = 2";
    match &home.database {
        DatabaseUrl::Sqlite(path) => {
            let mut database = SqliteConnection::connect(&format!("sqlite://{}", path.display())).await.unwrap();
            sqlx::query_as(ALL).fetch_all(&mut database).await.unwrap()
        }
        DatabaseUrl::Postgres(url) => {
            let mut database = PgConnection::connect(url).await.unwrap();
            sqlx::query_as(ALL).fetch_all(&mut database).await.unwrap()
        }
    }
}
