//! Tables whose output grows in a bucket on S3, on nodes that are killed: the next one goes on where it was.

use super::resume::{CHECKPOINT_ROWS, files, table};
use super::until;
use crate::support::node::{Home, Homes, Node};
use crate::support::on_both_databases;
use crate::support::s3::{Fault, S3};
use crate::support::saved::kill_once;
use serde_json::{Value, json};
use std::time::Duration;

const FLAGS: &[&str] = &["--lease-seconds", "5", "--workers", "2"];
const PATIENCE: Duration = Duration::from_secs(120);
const PART_BYTES: usize = 5 << 20;
/// Rows of more than a run, so that there is a checkpoint once they are read; and of several parts.
const SORTED_ROWS: u32 = 80_000;
/// The first checkpoint is committed, and whoever made it waits until it is killed.
const SAVED: &str = "save_committed=delay:600000@1";

on_both_databases![
    Homes:
    a_table_in_a_bucket_goes_on_with_its_upload_after_a_kill_and_with_a_copy_after_one_behind_its_end,
    a_sorted_table_in_a_bucket_is_gone_on_with_twice,
    a_table_in_a_bucket_outlives_a_server_that_fails_for_a_moment,
];

async fn a_table_in_a_bucket_goes_on_with_its_upload_after_a_kill_and_with_a_copy_after_one_behind_its_end(home: Home) {
    let s3 = S3::start().await;
    let node = start(&s3, &home, Some(SAVED));
    let params = params(&node, CHECKPOINT_ROWS, json!({"filter": "amount > 10", "deduplicate": ["id"]})).await;
    let id = node.submit(params.clone()).await;
    let saved = kill_once(&home, node, &id, "table", |_| true).await;
    let (marked, before) = (saved["output"]["parts"]["etags"].as_array().unwrap().len(), s3.parts("output.csv"));
    assert!(before >= marked && s3.uploads().0 == usize::from(before > 0));

    let mut node = start(&s3, &home, Some("output_grown=delay:600000@1"));
    let output = || s3.keys(&format!("artifacts/{id}/")).into_iter().find(|key| key.ends_with("/output.csv"));
    until(|| output().is_some() && s3.uploads().0 == 0, "it is completed").await;
    let parts = s3.bytes(&output().unwrap()).div_ceil(PART_BYTES);
    // With the one that tells whether the upload is there, and one that was on its way when the node was killed.
    assert!(s3.parts("output.csv") - before <= parts - marked + 2, "no part before the mark is put again");
    node.signal("KILL");
    node.ended(PATIENCE).await;

    let node = start(&s3, &home, None);
    comes_to_the_same(&node, &s3, &id, 3, params).await;
}

async fn a_sorted_table_in_a_bucket_is_gone_on_with_twice(home: Home) {
    let s3 = S3::start().await;
    let node = start(&s3, &home, Some(SAVED));
    let params = params(&node, SORTED_ROWS, json!({"sort": ["-amount", "city"], "deduplicate": true})).await;
    let id = node.submit(params.clone()).await;
    let first = kill_once(&home, node, &id, "table", |_| true).await;
    let node = start(&s3, &home, Some(SAVED));
    kill_once(&home, node, &id, "table", |saved| saved["state"] != first["state"]).await;
    let node = start(&s3, &home, None);
    comes_to_the_same(&node, &s3, &id, 3, params).await;
}

async fn a_table_in_a_bucket_outlives_a_server_that_fails_for_a_moment(home: Home) {
    let s3 = S3::start().await;
    let node = start(&s3, &home, None);
    let params = params(&node, SORTED_ROWS, json!({})).await;
    s3.fault(Some(Fault { of: "PUT /files/errand/artifacts", status: 500, code: "InternalError" }));
    let id = node.submit(params.clone()).await;
    until(|| s3.met() > 1, "it is tried again").await;
    s3.fault(None);
    let task = node.until(&id, PATIENCE, |task| task["finished_at"].is_string()).await;
    assert_eq!((&task["status"], &task["attempt"]), (&json!("SUCCESS"), &json!(1)), "{task}");
    files(&node, &id).await;
}

fn start(s3: &S3, home: &Home, faults: Option<&str>) -> Node {
    let mut command = s3.command(home, FLAGS);
    faults.map(|faults| command.env("ERRAND_FAULTS", faults));
    Node::start(command)
}

/// A task on a table of so many rows.
async fn params(node: &Node, rows: u32, options: Value) -> Value {
    let mut params = options;
    params["file_id"] = json!(node.uploaded("table.csv", table(rows)).await);
    json!({"type": "csv_processing", "params": params})
}

/// Waits until the task's attempt of that number has gone on and succeeded; it must come to what it comes to in one go,
/// and leave only its artifacts.
async fn comes_to_the_same(node: &Node, s3: &S3, id: &str, attempt: u32, params: Value) {
    let task = node.until(id, PATIENCE, |task| task["finished_at"].is_string()).await;
    assert_eq!((&task["status"], &task["attempt"]), (&json!("SUCCESS"), &json!(attempt)), "{task}");
    let log = node.get(&format!("/api/tasks/{id}/logs?attempt={attempt}")).await;
    let first = log["logs"][0]["message"].as_str().unwrap_or_default();
    assert!(first.starts_with("going on from row "), "{first:?}");
    until(|| s3.keys(&format!("artifacts/{id}/")).len() == 3, "only what the success names is kept").await;
    assert_eq!(s3.uploads().0, 0);
    let again = node.submit(params).await;
    let whole = node.until(&again, PATIENCE, |task| task["status"] == "SUCCESS").await;
    assert_eq!((&whole["attempt"], &whole["result"]), (&json!(1), &task["result"]), "value for value");
    assert_eq!(files(node, id).await, files(node, &again).await, "byte for byte");
}
