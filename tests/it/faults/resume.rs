//! A node killed in the middle of a task of each type: the next attempt goes on from the last
//! checkpoint, and the result is whole.

use crate::support::mail::{Peer, Tls, takes_all};
use crate::support::node::{Home, Homes, Node};
use crate::support::on_both_databases;
use crate::support::saved::{kill_once, until_saved};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::{BTreeSet, HashSet};
use std::fmt::Write;
use std::fs;
use std::time::{Duration, SystemTime};

/// The shortest lease there is, so that what the killed node held comes back soon.
const FLAGS: &[&str] = &["--lease-seconds", "5", "--workers", "2"];
/// Rows of a table that has a checkpoint however quick the machine: it has more than 64 MiB.
pub const CHECKPOINT_ROWS: u32 = 300_000;
const PATIENCE: Duration = Duration::from_secs(90);

on_both_databases![
    Homes:
    a_mail_that_was_down_as_sent_when_the_node_was_killed_is_not_written_again,
    a_mail_the_server_took_is_not_sent_again_though_the_node_was_killed_before_it_was_saved,
    pictures_that_were_finished_when_the_node_was_killed_are_not_made_again,
    a_table_half_read_when_the_node_was_killed_comes_to_what_it_comes_to_in_one_go,
    a_table_half_made_and_a_demo_half_done_when_the_node_was_killed_go_on,
];

async fn a_mail_that_was_down_as_sent_when_the_node_was_killed_is_not_written_again(home: Home) {
    let node = home.start(FLAGS);
    let id =
        node.submit(json!({"type": "email_sending", "params": {"num_emails": 100, "delay_per_email": 0.02}})).await;
    let saved = kill_once(&home, node, &id, "mails-0", |saved| saved["done"].as_object().unwrap().len() >= 30).await;
    let sent: Vec<&Value> = saved["done"].as_object().unwrap().values().map(|done| &done["file"]["location"]).collect();
    let path = |location: &Value| home.folder.path().join("files").join(location.as_str().unwrap());
    let written: Vec<SystemTime> =
        sent.iter().map(|location| fs::metadata(path(location)).unwrap().modified().unwrap()).collect();

    let node = home.start(FLAGS);
    let task = succeeded(&node, &id, &format!("going on from mail {} of 100", sent.len() + 1)).await;
    let files = files(&node, &id).await;
    let ids: Vec<String> = files.iter().map(|(_, mail)| message_id(mail)).collect();
    assert_eq!((files.len(), ids.iter().collect::<HashSet<_>>().len()), (100, 100), "each mail once");
    let told = task["result"]["emails"].as_array().unwrap().iter().map(|email| email["message_id"].as_str().unwrap());
    assert_eq!(told.collect::<Vec<_>>(), ids);
    for (location, written) in sent.iter().zip(written) {
        assert_eq!(fs::metadata(path(location)).unwrap().modified().unwrap(), written, "{location} was not touched");
    }
    let on_disk = count(&home.folder.path().join("files/artifacts"));
    assert_eq!(on_disk, 100, "and no mail lies there a second time");
}

async fn a_mail_the_server_took_is_not_sent_again_though_the_node_was_killed_before_it_was_saved(home: Home) {
    let peer = Peer::start(Tls::No, takes_all()).await;
    let url = format!("smtp://127.0.0.1:{}", peer.port);
    let flags = [FLAGS, &["--smtp-url", &url, "--mail-from", "errand@example.org"]].concat();
    // What became of the 30th goes with the beginning of the 31st, which does not come to be saved.
    let node = home.start_armed(&flags, "save_taken=delay:600000@31").expect("it starts");
    let people: Vec<Value> = (1..=40).map(|n| json!({ "email": format!("user{n}@example.org") })).collect();
    let params = json!({ "recipients": people, "subject": "s", "body": "b" });
    let id = node.submit(json!({ "type": "email_sending", "params": params })).await;
    let taken = |saved: &Value| {
        let path = home.folder.path().join("files").join(saved["taken"].as_str().unwrap());
        fs::read_to_string(path).unwrap().ends_with("\n30 taken.")
    };
    let saved = kill_once(&home, node, &id, "sent-0", taken).await;
    assert_eq!((&saved["begun"], saved["done"].as_object().unwrap().len()), (&json!(30), 29));
    let node = home.start(&flags);
    succeeded(&node, &id, "going on from mail 31 of 40").await;
    let to: BTreeSet<String> = peer.mails().into_iter().map(|mail| mail.to).collect();
    assert_eq!((peer.count(), to.len()), (40, 40), "each once");
    assert_eq!(count(&home.folder.path().join("files/artifacts")), 0, "and no file of it stays");
}

async fn pictures_that_were_finished_when_the_node_was_killed_are_not_made_again(home: Home) {
    let node = start_waiting_behind_save(&home, 5);
    let params = json!({"num_images": 20, "target_width": 200, "target_height": 200});
    let id = node.submit(json!({"type": "image_processing", "params": params})).await;
    let saved = kill_once(&home, node, &id, "pictures", |saved| saved["pictures"].as_array().unwrap().len() >= 4).await;
    let finished = saved["pictures"].as_array().unwrap().len();

    let node = home.start(FLAGS);
    let task = succeeded(&node, &id, &format!("going on from picture {} of 20", finished + 1)).await;
    assert_eq!(task["result"]["images_processed"], 20);
    let files = files(&node, &id).await;
    assert_eq!((files.len(), count(&home.folder.path().join("files/artifacts"))), (20, 20));
    let again = node.submit(json!({"type": "image_processing", "params": params})).await;
    let again = node.until(&again, PATIENCE, |task| task["status"] == "SUCCESS").await;
    assert_eq!(task["result"], again["result"], "as in one go");
}

async fn a_table_half_read_when_the_node_was_killed_comes_to_what_it_comes_to_in_one_go(home: Home) {
    let node = start_waiting_behind_save(&home, 1);
    let file = node.uploaded("table.csv", table(CHECKPOINT_ROWS)).await;
    let params = json!({"file_id": file, "filter": "amount > 10", "deduplicate": ["id"]});
    let id = node.submit(json!({"type": "csv_processing", "params": params})).await;
    kill_once(&home, node, &id, "table", |_| true).await;

    let node = home.start(FLAGS);
    let task = succeeded(&node, &id, "going on from row ").await;
    let again = node.submit(json!({"type": "csv_processing", "params": params})).await;
    let whole = node.until(&again, PATIENCE, |task| task["status"] == "SUCCESS").await;
    assert_eq!(whole["attempt"], 1);
    assert_eq!(task["result"], whole["result"], "value for value");
    assert_eq!(files(&node, &id).await, files(&node, &again).await, "byte for byte");
    assert_eq!(count(&home.folder.path().join("files/artifacts").join(&id)), 3, "no state is left");
}

async fn a_table_half_made_and_a_demo_half_done_when_the_node_was_killed_go_on(home: Home) {
    let node = home.start(FLAGS);
    let table = json!({"num_rows": 1000, "processing_time": 8, "seed": 7});
    let made = node.submit(json!({"type": "csv_processing", "params": table})).await;
    let demo = node.submit(json!({"type": "demo", "params": {"duration": 8000, "steps": 80}})).await;
    until_saved(&home, &made, "step", |step| step.as_i64() >= Some(10)).await;
    kill_once(&home, node, &demo, "step", |step| step.as_i64() >= Some(10)).await;

    let node = home.start(FLAGS);
    succeeded(&node, &demo, "going on from step ").await;
    let task = succeeded(&node, &made, "going on from row ").await;
    let again = json!({"num_rows": 1000, "seed": 7});
    let again = node.submit(json!({"type": "csv_processing", "params": again})).await;
    let again = node.until(&again, PATIENCE, |task| task["status"] == "SUCCESS").await;
    assert_eq!(task["result"], again["result"]);
}

/// A node that goes on after its `n`th save only when it is long dead: no machine is so quick that
/// the kill comes too late.
fn start_waiting_behind_save(home: &Home, n: u32) -> Node {
    home.start_armed(FLAGS, &format!("save_committed=delay:600000@{n}")).unwrap()
}

/// The task, once its second attempt has succeeded; its log must say that it goes on from there.
async fn succeeded(node: &Node, id: &str, from: &str) -> Value {
    let task = node.until(id, PATIENCE, |task| task["finished_at"].is_string()).await;
    assert_eq!((&task["status"], &task["attempt"]), (&json!("SUCCESS"), &json!(2)), "{task}");
    let log = node.get(&format!("/api/tasks/{id}/logs?attempt=2")).await;
    let first = log["logs"][0]["message"].as_str().unwrap_or_default();
    assert!(first.starts_with(from), "{first:?} does not begin with {from:?}");
    task
}

/// The task's artifacts by name, each with the hash it is said to have.
pub async fn files(node: &Node, id: &str) -> Vec<(String, Vec<u8>)> {
    let artifacts = node.get(&format!("/api/tasks/{id}/artifacts")).await;
    let mut files = Vec::new();
    for artifact in artifacts["artifacts"].as_array().unwrap() {
        let content = node.download(artifact["url"].as_str().unwrap()).await;
        let mut hash = String::new();
        Sha256::digest(&content).iter().for_each(|byte| write!(hash, "{byte:02x}").unwrap());
        assert_eq!(artifact["sha256"], hash, "{artifact}");
        files.push((artifact["name"].as_str().unwrap().to_owned(), content));
    }
    files
}

fn message_id(mail: &[u8]) -> String {
    let text = std::str::from_utf8(mail).unwrap();
    text.lines().find_map(|line| line.strip_prefix("Message-ID: ")).unwrap().to_owned()
}

/// A table of some 270 bytes a row.
pub fn table(rows: u32) -> Vec<u8> {
    let mut table = "id,amount,city,day,note\n".to_owned();
    let note = "as before ".repeat(24);
    for i in 0..rows {
        let city = ["Rome", "Lima", "\"Osaka, Kita\"", ""][i as usize % 4];
        writeln!(table, "{i},{}.{:02},{city},2026-01-{:02},{note}", i % 1000, i % 97, i % 28 + 1).unwrap();
    }
    table.into_bytes()
}

fn count(folder: &std::path::Path) -> usize {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    entries.map(|entry| entry.unwrap().path()).map(|path| if path.is_dir() { count(&path) } else { 1 }).sum()
}
