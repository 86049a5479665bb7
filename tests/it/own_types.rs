//! Task types of another program, `examples/own_types.rs`: its node is one like any other, and what it is given to work with
//! (progress, batches, checkpoints, cancels) holds there too.

use crate::support::node::{Home, Homes, Node};
use crate::support::on_both_databases;
use crate::support::saved::{kill_once, until_saved};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

/// The shortest lease there is, so that what the killed node held comes back soon.
const FLAGS: &[&str] = &["--lease-seconds", "5", "--workers", "4"];
const PATIENCE: Duration = Duration::from_secs(60);

on_both_databases![
    Homes:
    types_of_ones_own_are_submitted_checked_and_run_like_the_built_in_ones,
    a_batch_goes_on_behind_the_last_item_that_its_killed_node_recorded,
    a_batch_of_which_too_many_fail_ends_and_a_retry_goes_on_behind_them,
    long_work_goes_on_after_a_kill_where_it_was,
    types_of_ones_own_that_are_cancelled_stop_within_two_seconds_and_leave_no_file,
];

async fn types_of_ones_own_are_submitted_checked_and_run_like_the_built_in_ones(home: Home) {
    let node = start(&home);
    let types = node.get("/api/task-types").await;
    let names: Vec<&str> = types["types"].as_array().unwrap().iter().map(|one| one["type"].as_str().unwrap()).collect();
    assert_eq!(names[names.len() - 6..], ["noop", "word_count", "invitations", "countdown", "flaky", "diary"]);

    let words = node.get("/api/task-types/word_count").await;
    assert_eq!(words["params_schema"]["properties"]["text"]["maxLength"], 100_000);
    assert_eq!(words["result_schema"]["properties"]["words"]["type"], "integer");
    let task = ended(&node, "word_count", words["examples"][0].clone()).await;
    assert_eq!((&task["status"], &task["result"]), (&json!("SUCCESS"), &json!({"words": 10, "longest": 9})));
    let progress = &task["progress"];
    assert_eq!((&progress["step"], &progress["processed"]), (&json!("counting words"), &json!(2)), "{task}");

    let refused = |kind: &str, params: Value| node.post("/api/tasks/submit", json!({"type": kind, "params": params}));
    let (status, problem) = refused("word_count", json!({"text": ""})).await.unwrap();
    assert_eq!((status, &problem["errors"][0]["pointer"]), (422, &json!("/params/text")), "{problem}");
    let (status, problem) = refused("flaky", json!({"failures": 1, "for_good": true})).await.unwrap();
    assert_eq!((status, &problem["errors"][0]["pointer"]), (422, &json!("/params/failures")), "{problem}");

    let flaky =
        json!({"type": "flaky", "params": {"failures": 1}, "max_attempts": 2, "backoff": {"base_seconds": 0.1}});
    let flaky = node.submit(flaky).await;
    let flaky = node.until(&flaky, PATIENCE, |task| task["finished_at"].is_string()).await;
    assert_eq!((&flaky["attempt"], &flaky["result"]), (&json!(2), &json!("attempt 2 did it")));
    let broken = ended(&node, "flaky", json!({"failures": 0, "for_good": true})).await;
    assert_eq!((&broken["status"], &broken["error"]["code"]), (&json!("FAILED"), &json!("broken")));
}

async fn a_batch_goes_on_behind_the_last_item_that_its_killed_node_recorded(home: Home) {
    let node = start(&home);
    let guests: Vec<String> = (1..=60).map(|n| if n % 10 == 0 { "nobody".to_owned() } else { guest(n) }).collect();
    let id = node.submit(json!({"type": "invitations", "params": {"guests": guests, "pause_ms": 40}})).await;
    let saved = kill_once(&home, node, &id, "guest", |saved| saved["tally"]["done"].as_u64() >= Some(12)).await;
    let recorded = ["done", "failed", "skipped"].iter().map(|end| saved["tally"][end].as_u64().unwrap()).sum::<u64>();

    let node = start(&home);
    let task = node.until(&id, PATIENCE, |task| task["finished_at"].is_string()).await;
    assert_eq!((&task["status"], &task["attempt"]), (&json!("SUCCESS"), &json!(2)), "{task}");
    let log = said(&node, &id, 2).await;
    assert_eq!(log[0], format!("going on from guest {} of 60", recorded + 1));
    let invited: Vec<&String> = log.iter().filter(|line| line.ends_with("is invited")).collect();
    let expected = (recorded + 1..=60).filter(|n| n % 10 != 0).map(|n| format!("{} is invited", guest(n)));
    assert_eq!(
        invited,
        expected.collect::<Vec<_>>().iter().collect::<Vec<_>>(),
        "nobody who was recorded is invited again"
    );
    let failures: Vec<Value> = (1..=6).map(|n| json!({"number": n * 10, "reason": "nobody is no address"})).collect();
    assert_eq!(task["result"], json!({"total": 60, "done": 54, "skipped": 0, "failed": 6, "failures": failures}));
}

async fn a_batch_of_which_too_many_fail_ends_and_a_retry_goes_on_behind_them(home: Home) {
    let node = start(&home);
    let params = json!({"guests": ["a@x", "b", "c", "", "d@x", "e"], "max_failures": 1});
    let task = ended(&node, "invitations", params).await;
    let error = json!({"code": "too_many_failures", "message": "2 of 3 failed, of 6 in all; the last: c is no address", "attempt": 1});
    assert_eq!((&task["status"], &task["error"]), (&json!("FAILED"), &error));

    let id = task["id"].as_str().unwrap();
    assert_eq!(node.post(&format!("/api/tasks/{id}/retry"), json!({})).await.unwrap().0, 200);
    let task = node.until(id, PATIENCE, |task| task["attempt"] == 2 && task["finished_at"].is_string()).await;
    let tally = &task["result"];
    assert_eq!([&tally["done"], &tally["skipped"], &tally["failed"]], [&json!(2), &json!(1), &json!(3)], "{task}");
    let log = said(&node, id, 2).await;
    assert_eq!(log, ["going on from guest 4 of 6", "d@x is invited", "guest 6: e is no address"]);
}

async fn long_work_goes_on_after_a_kill_where_it_was(home: Home) {
    let node = start(&home);
    let id = node.submit(json!({"type": "countdown", "params": {"seconds": 6}})).await;
    let done = kill_once(&home, node, &id, "done", |done| done.as_u64() >= Some(3)).await;
    let node = start(&home);
    let task = node.until(&id, PATIENCE, |task| task["finished_at"].is_string()).await;
    assert_eq!((&task["status"], &task["result"]), (&json!("SUCCESS"), &json!(6)), "{task}");
    assert_eq!(said(&node, &id, 2).await, [format!("going on from second {done}")]);
}

async fn types_of_ones_own_that_are_cancelled_stop_within_two_seconds_and_leave_no_file(home: Home) {
    let node = start(&home);
    let diary = node.submit(json!({"type": "diary", "params": {"lines": 10_000}})).await;
    let slow = json!({"guests": [guest(1), guest(2)], "pause_ms": 10_000});
    let batch = node.submit(json!({"type": "invitations", "params": slow})).await;
    let long = node.submit(json!({"type": "countdown", "params": {"seconds": 3600}})).await;
    until_saved(&home, &long, "done", |_| true).await;
    node.until(&diary, PATIENCE, |task| task["progress"]["processed"].as_i64() > Some(0)).await;
    for id in [&diary, &batch, &long] {
        let asked = Instant::now();
        assert_eq!(node.delete(&format!("/api/tasks/{id}")).await.0, 202);
        node.until(id, PATIENCE, |task| task["status"] == "CANCELLED").await;
        assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
    }
    assert_eq!(files(&home.folder.path().join("files/artifacts")), 0, "no half a diary is left");
}

fn start(home: &Home) -> Node {
    home.start_example("own_types", FLAGS)
}

async fn ended(node: &Node, kind: &str, params: Value) -> Value {
    let id = node.submit(json!({"type": kind, "params": params})).await;
    node.until(&id, PATIENCE, |task| task["finished_at"].is_string()).await
}

/// What an attempt wrote to the task's log.
async fn said(node: &Node, id: &str, attempt: u32) -> Vec<String> {
    let log = node.get(&format!("/api/tasks/{id}/logs?attempt={attempt}")).await;
    log["logs"].as_array().unwrap().iter().map(|line| line["message"].as_str().unwrap().to_owned()).collect()
}

fn guest(n: u64) -> String {
    format!("guest{n}@example.com")
}

fn files(folder: &Path) -> usize {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    entries.map(|entry| entry.unwrap().path()).map(|path| if path.is_dir() { files(&path) } else { 1 }).sum()
}
