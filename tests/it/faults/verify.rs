//! `errand verify`: nothing to say of a service at work, and each kind of difference seen.

use super::{PATIENCE, noop, submit};
use crate::support::node::{Home, Node};
use crate::support::on_both_databases;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

/// A home for nodes on either database.
struct Place;

impl Place {
    async fn sqlite() -> Home {
        Home::sqlite()
    }

    async fn postgres() -> Home {
        Home::postgres().await
    }
}

on_both_databases!(Place:
    a_service_at_work_agrees_with_itself,
    a_wrong_counter_is_seen,
    a_row_that_is_not_what_the_log_says_is_seen,
    a_life_with_a_step_missing_is_seen,
    two_ends_in_one_life_are_seen,
    a_running_task_without_a_lease_is_seen,
    a_file_that_is_not_what_its_row_says_is_seen,
    many_differences_are_listed_in_part_and_counted_in_full,
);

/// Runs `errand verify --json`: the exit code and the report.
#[track_caller]
fn verify(home: &Home) -> (Option<i32>, Value) {
    let output = home.command(&["verify", "--json"]).output().unwrap();
    let report = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
    (output.status.code(), report)
}

/// Fails unless it finds differences, all of this kind.
#[track_caller]
fn finds(home: &Home, kind: &str) -> Value {
    let (code, report) = verify(home);
    assert_eq!((code, &report["agrees"]), (Some(1), &json!(false)), "{kind}: {report}");
    let differences = report["differences"].as_array().unwrap();
    assert!(!differences.is_empty() && differences.iter().all(|found| found["kind"] == kind), "{kind}: {report}");
    report
}

/// Tasks that ended in every way, an upload and output files, on a node that has stopped.
async fn lived(home: &Home) {
    let mut node = home.start(&["--workers", "4"]);
    submit(&node, 20).await;
    let (status, file) = node.upload("a.csv", b"a,b\n1,2\n".to_vec()).await;
    assert_eq!(status, 201, "{file}");
    let table = json!({"type": "csv_processing", "params": {"file_id": file["file_id"]}});
    let mails = json!({"type": "email_sending", "params": {"num_emails": 2}});
    let fails = json!({"type": "demo", "params": {"duration": 1000, "steps": 1, "fail_at": 1}});
    for body in [table, mails, fails.clone()] {
        let id = node.submit(body).await;
        node.until(&id, PATIENCE, |task| task["finished_at"].is_string()).await;
    }
    let failed = node.submit(fails).await;
    node.until(&failed, PATIENCE, |task| task["status"] == "FAILED").await;
    node.post(&format!("/api/tasks/{failed}/retry"), json!({})).await.unwrap();
    let later = node.submit(json!({"type": "noop", "params": {}, "run_at": "2100-01-01T00:00:00Z"})).await;
    node.delete(&format!("/api/tasks/{later}")).await;
    let held = json!({"type": "noop", "needs_approval": true});
    let [approved, rejected] = [node.submit(held.clone()).await, node.submit(held.clone()).await];
    node.submit(held).await;
    node.delete(&format!("/api/tasks/{approved}")).await;
    for (id, step) in [(&approved, "retry"), (&approved, "approve"), (&rejected, "reject")] {
        node.post(&format!("/api/tasks/{id}/{step}"), json!({})).await.unwrap();
    }
    node.until(&approved, PATIENCE, |task| task["status"] == "SUCCESS").await;
    node.until(&failed, PATIENCE, |task| task["status"] == "FAILED").await;
    node.signal("TERM");
    assert_eq!(node.ended(PATIENCE).await.code(), Some(0));
    let (code, report) = verify(home);
    assert_eq!(code, Some(0), "{report}");
    assert!(report["files"].as_u64() > Some(2) && report["tasks"].as_u64() > Some(20), "{report}");
}

/// Changes the database behind Errand's back, on a node that has stopped.
async fn plant(home: &Home, statement: &str) {
    if let Some(file) = home.sqlite_file() {
        let planted = Command::new("sqlite3").arg("-bail").arg(file).arg(statement).output().unwrap();
        assert!(planted.status.success(), "{planted:?}");
        return;
    }
    let mut server = PgConnection::connect(home.postgres_url()).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut server).await.unwrap();
}

async fn a_service_at_work_agrees_with_itself(home: Home) {
    let node = Arc::new(home.start(&["--workers", "4"]));
    let load: Vec<_> = (0..4).map(|_| tokio::spawn(at_work(node.clone()))).collect();
    let mut looked_at = 0;
    while looked_at < 500 {
        assert!(load.iter().all(|load| !load.is_finished()), "the service is at work");
        let (code, report) = verify(&home);
        assert_eq!(code, Some(0), "{report}");
        looked_at = report["tasks"].as_u64().unwrap();
    }
    load.iter().for_each(|load| load.abort());
    let text = home.command(&["verify"]).output().unwrap();
    assert!(text.status.success() && String::from_utf8_lossy(&text.stdout).contains("all agree"), "{text:?}");
}

async fn at_work(node: Arc<Node>) {
    for n in 0.. {
        let batch: Vec<Value> = (0..20).map(noop).collect();
        node.post("/api/tasks/batch", json!({"tasks": batch})).await.unwrap();
        let mails = json!({"type": "email_sending", "params": {"num_emails": 1}});
        let id = node.submit(if n % 2 == 0 { mails } else { noop(n) }).await;
        node.delete(&format!("/api/tasks/{id}")).await;
        let (_, file) = node.upload("a.csv", vec![b'a'; 10_000]).await;
        node.delete(&format!("/api/files/{}", file["file_id"].as_str().unwrap())).await;
    }
}

async fn a_wrong_counter_is_seen(home: Home) {
    lived(&home).await;
    plant(&home, "UPDATE counts SET n = n + 1 WHERE status = 2 AND type = 'email_sending'").await;
    let report = finds(&home, "counter");
    assert_eq!(report["differences"][0]["subject"], "default/default/email_sending SUCCESS", "{report}");
    plant(&home, "DELETE FROM counts").await;
    finds(&home, "counter");
}

async fn a_row_that_is_not_what_the_log_says_is_seen(home: Home) {
    lived(&home).await;
    plant(&home, "UPDATE tasks SET attempt = attempt + 1 WHERE type = 'demo'").await;
    assert_eq!(finds(&home, "row")["found"], 2);
    plant(&home, "UPDATE tasks SET attempt = attempt - 1, worker = 'somebody' WHERE type = 'demo'").await;
    assert_eq!(finds(&home, "row")["found"], 2);
    plant(&home, "DELETE FROM changes WHERE task_id IN (SELECT id FROM tasks WHERE type = 'demo')").await;
    let report = finds(&home, "row");
    assert_eq!(report["differences"][0]["detail"], "the change log has no entry of it", "{report}");
}

async fn a_life_with_a_step_missing_is_seen(home: Home) {
    lived(&home).await;
    plant(&home, "DELETE FROM changes WHERE event = 1").await;
    assert!(finds(&home, "life")["found"].as_u64() > Some(20));
}

async fn two_ends_in_one_life_are_seen(home: Home) {
    lived(&home).await;
    plant(
        &home,
        "INSERT INTO changes (seq, at, event, task_id, owner, from_status, status, error, progress, attempt, failures,
                              losses, worker, run_at, started_at, finished_at, cancel_requested_at, version, actor)
         SELECT (SELECT max(seq) + 1 FROM changes), at, event, task_id, owner, from_status, status, error, progress, attempt,
                failures, losses, worker, run_at, started_at, finished_at, cancel_requested_at, version + 1, actor
         FROM changes WHERE seq = (SELECT max(seq) FROM changes WHERE event = 2);
         UPDATE tasks SET version = version + 1
         WHERE id = (SELECT task_id FROM changes WHERE seq = (SELECT max(seq) FROM changes))",
    )
    .await;
    let report = finds(&home, "two_ends");
    assert_eq!(report["found"], 1, "{report}");
}

async fn a_running_task_without_a_lease_is_seen(home: Home) {
    lived(&home).await;
    let robbed = "UPDATE tasks SET status = 1, result = NULL, finished_at = NULL WHERE type = 'email_sending'";
    if home.sqlite_file().is_some() {
        plant(&home, &format!("PRAGMA ignore_check_constraints = 1; {robbed}")).await;
    } else {
        let checks = "SELECT 'ALTER TABLE tasks DROP CONSTRAINT ' || quote_ident(conname) FROM pg_constraint \
                      WHERE conrelid = 'tasks'::regclass AND contype = 'c'";
        let mut server = PgConnection::connect(home.postgres_url()).await.unwrap();
        let drops: Vec<String> = sqlx::query_scalar(checks).fetch_all(&mut server).await.unwrap();
        plant(&home, &drops.join(";")).await;
        plant(&home, robbed).await;
    }
    let (code, report) = verify(&home);
    let kinds: Vec<_> = report["differences"].as_array().unwrap().iter().map(|found| &found["kind"]).collect();
    assert!(code == Some(1) && kinds.contains(&&json!("lease")), "{report}");
}

async fn a_file_that_is_not_what_its_row_says_is_seen(home: Home) {
    lived(&home).await;
    let mut kept = Vec::new();
    below(&home.folder.path().join("files"), &mut kept);
    // Not the mark that says whose files these are.
    kept.retain(|path| !path.file_name().unwrap().to_string_lossy().starts_with('.'));
    for path in kept {
        let whole = fs::read(&path).unwrap();
        let mut flipped = whole.clone();
        flipped[0] ^= 1;
        for (content, what) in [(flipped, "SHA-256"), (whole[1..].to_vec(), "bytes"), (Vec::new(), "0 bytes")] {
            fs::write(&path, content).unwrap();
            let report = finds(&home, "file");
            assert!(report["differences"][0]["detail"].as_str().unwrap().contains(what), "{report}");
        }
        fs::remove_file(&path).unwrap();
        assert_eq!(finds(&home, "file")["differences"][0]["detail"], "its file is not there");
        fs::write(&path, whole).unwrap();
    }
    assert_eq!(verify(&home).0, Some(0));
    fs::remove_dir_all(home.folder.path().join("files")).unwrap();
    finds(&home, "file");
    let without = home.command(&["verify", "--no-files"]).output().unwrap();
    assert!(without.status.success(), "{without:?}");
}

async fn many_differences_are_listed_in_part_and_counted_in_full(home: Home) {
    let mut node = home.start(&["--workers", "0"]);
    let batch: Vec<Value> = (0..5000).map(noop).collect();
    node.post("/api/tasks/batch", json!({"tasks": batch})).await.unwrap();
    node.signal("TERM");
    node.ended(PATIENCE).await;
    plant(&home, "UPDATE tasks SET version = version + 1").await;
    let report = finds(&home, "row");
    assert_eq!((&report["found"], report["differences"].as_array().unwrap().len()), (&json!(5000), 100));
    let text = home.command(&["verify"]).output().unwrap();
    assert!(String::from_utf8_lossy(&text.stdout).contains("and 4900 more"), "{text:?}");
}

fn below(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() { below(&entry, found) } else { found.push(entry) }
    }
}
