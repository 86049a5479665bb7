//! Files in a bucket on S3, which several nodes share: what goes up comes down, what breaks off is
//! never seen, and a store that is away takes nothing with it.

use super::{PATIENCE, noop, until};
use crate::support::bed::{BEGIN, Bed, noop as draft};
use crate::support::node::{Home, Homes, Node};
use crate::support::on_both_databases;
use crate::support::s3::{Fault, S3};
use errand::files::Files;
use errand::queue::Queue;
use errand::store;
use errand::task::Time;
use errand::types::Types;
use serde_json::{Value, json};
use std::fmt::Write;
use std::time::{Duration, Instant, SystemTime};
use uuid::Uuid;

const FLAGS: &[&str] = &["--lease-seconds", "5", "--workers", "2"];
const DENIES: Fault = Fault { of: "", status: 403, code: "AccessDenied" };

on_both_databases![
    Homes:
    a_file_goes_up_through_a_task_and_down_again,
    an_upload_that_breaks_off_is_never_seen_and_leaves_no_parts,
    a_table_whose_node_was_killed_while_it_read_is_done_by_the_next,
    a_store_that_is_away_fails_what_needs_it_and_nothing_else,
    a_node_that_has_not_reached_its_store_takes_no_tasks_until_it_does,
];

mod swept {
    use super::*;
    on_both_databases![what_no_row_names_in_a_bucket_goes_after_a_day_and_what_one_names_stays];
}

fn table(rows: usize) -> Vec<u8> {
    let mut table = "id,amount,note\n".to_owned();
    (0..rows).for_each(|i| writeln!(table, "{i},{}.5,{}", i % 1000, "as before ".repeat(10)).unwrap());
    table.into_bytes()
}

fn csv(file: &str) -> Value {
    json!({"type": "csv_processing", "params": {"file_id": file, "filter": "amount > 500"}})
}

async fn ended(node: &Node, id: &str) -> Value {
    node.until(id, Duration::from_secs(90), |task| task["finished_at"].is_string()).await
}

async fn a_file_goes_up_through_a_task_and_down_again(home: Home) {
    let s3 = S3::start().await;
    let node = Node::start(s3.command(&home, FLAGS));
    let content = table(120_000);
    assert!(content.len() > 12 << 20, "it goes up in three parts and is read in four pieces");
    let file = node.uploaded("table.csv", content.clone()).await;
    assert_eq!((s3.keys("uploads/"), s3.uploads()), (vec![format!("uploads/{file}")], (0, 1)));
    let path = format!("/api/files/{file}");
    assert!(node.download(&path).await == content, "byte for byte");
    let range = node.http.get(format!("{}{path}", node.url)).header("range", "bytes=4194300-4194309").send().await;
    assert_eq!(range.unwrap().bytes().await.unwrap(), content[4194300..4194310], "across two pieces");
    let preview = node.get(&format!("{path}/preview")).await;
    assert!(preview.to_string().contains("as before"), "{preview}");

    let id = node.submit(csv(&file)).await;
    let task = ended(&node, &id).await;
    assert_eq!((&task["status"], &task["result"]["rows"]), (&json!("SUCCESS"), &json!(60_000)), "{task}");
    let artifacts = node.get(&format!("/api/tasks/{id}/artifacts")).await;
    let output = artifacts["artifacts"].as_array().unwrap().iter().find(|file| file["name"] == "output.csv").unwrap();
    let rows = node.download(output["url"].as_str().unwrap()).await;
    assert_eq!(
        (rows.len() as u64, rows.split(|byte| *byte == b'\n').count()),
        (output["bytes"].as_u64().unwrap(), 60_002)
    );
    let verified = s3.command(&home, &["verify"]).output().unwrap();
    assert_eq!(verified.status.code(), Some(0), "{}", String::from_utf8_lossy(&verified.stdout));

    assert_eq!(node.delete(&path).await.0, 204);
    assert_eq!((s3.keys("uploads/").len(), s3.keys("artifacts/").len(), s3.uploads().0), (0, 3, 0));
    assert!(!home.folder.path().join("files").exists(), "and nothing in a folder");
}

async fn an_upload_that_breaks_off_is_never_seen_and_leaves_no_parts(home: Home) {
    let s3 = S3::start().await;
    let mut node = Node::start(s3.command(&home, &["--workers", "0"]));
    let sent = node.begin_upload("a.csv", 12 << 20);
    until(|| s3.uploads() == (1, 1), "parts are there").await;
    sent.abort();
    until(|| s3.uploads().0 == 0, "its sender has gone, and so have they").await;
    let sent = node.begin_upload("b.csv", 12 << 20);
    until(|| s3.uploads() == (1, 2), "parts of the next are there").await;
    node.signal("KILL");
    node.ended(PATIENCE).await;
    let _ = sent.await;
    let node = Node::start(s3.command(&home, &["--workers", "0"]));
    assert_eq!(s3.keys("uploads/"), Vec::<String>::new());
    node.uploaded("c.csv", table(10)).await;
    assert_eq!(s3.keys("uploads/").len(), 1, "a node goes on there");
}

async fn a_table_whose_node_was_killed_while_it_read_is_done_by_the_next(home: Home) {
    let s3 = S3::start().await;
    let mut node = Node::start(s3.command(&home, FLAGS));
    let file = node.uploaded("table.csv", table(60_000)).await;
    s3.fault(Some(Fault { of: "GET /files/errand/uploads", status: 0, code: "" }));
    let id = node.submit(csv(&file)).await;
    until(|| s3.met() > 0, "it reads").await;
    node.signal("KILL");
    node.ended(PATIENCE).await;
    s3.fault(None);
    let node = Node::start(s3.command(&home, FLAGS));
    let task = ended(&node, &id).await;
    assert_eq!((&task["status"], &task["attempt"]), (&json!("SUCCESS"), &json!(2)), "{task}");
    until(|| s3.keys("artifacts/").len() == 3, "only what the success names is kept").await;
}

async fn a_store_that_is_away_fails_what_needs_it_and_nothing_else(home: Home) {
    let s3 = S3::start().await;
    let mut command = s3.command(&home, FLAGS);
    let node = Node::start({
        command.env("AWS_TIMEOUT", "500ms");
        command
    });
    let file = node.uploaded("a.csv", table(100)).await;
    for (status, code, told, word) in [
        (503, "SlowDown", 503, "unavailable"),
        (403, "AccessDenied", 503, "unavailable"),
        (404, "NoSuchBucket", 503, "unavailable"),
        (507, "XMinioStorageFull", 507, "storage_full"),
        (0, "", 503, "unavailable"),
    ] {
        s3.fault(Some(Fault { of: "", status, code }));
        let (answered, problem) = node.upload("b.csv", table(100)).await;
        assert_eq!((answered, &problem["code"]), (told, &json!(word)), "{code}: {problem}");
    }
    assert_eq!(s3.keys("uploads/").len(), 1, "nothing was kept");
    s3.fault(Some(DENIES));
    let id = node.submit(csv(&file)).await;
    let task = ended(&node, &id).await;
    assert_eq!((&task["status"], &task["error"]["code"]), (&json!("FAILED"), &json!("storage_failed")), "{task}");
    assert_eq!(node.try_get(&format!("/api/files/{file}")).await.unwrap().1["code"], "unavailable");
    let other = node.submit(noop(1)).await;
    assert_eq!(ended(&node, &other).await["status"], "SUCCESS", "what needs no file goes on");
    assert_eq!(node.status("/api/ready").await, 200);
    s3.fault(None);
    assert_eq!(node.post(&format!("/api/tasks/{id}/retry"), json!({})).await.unwrap().0, 200);
    assert_eq!(ended(&node, &id).await["status"], "SUCCESS");
}

async fn a_node_that_has_not_reached_its_store_takes_no_tasks_until_it_does(home: Home) {
    let s3 = S3::start().await;
    s3.fault(Some(DENIES));
    let node = Node::start(s3.command(&home, FLAGS));
    let id = node.submit(noop(1)).await;
    until(|| node.log().contains("waiting for the file store"), "it says so").await;
    assert!(node.log().contains("AccessDenied"), "{}", node.log());
    assert_eq!((node.status("/api/ready").await, node.status("/api/live").await), (503, 200));
    assert_eq!(node.get(&format!("/api/tasks/{id}")).await["attempt"], 0);
    s3.fault(None);
    assert_eq!(ended(&node, &id).await["status"], "SUCCESS");
    assert_eq!((node.status("/api/ready").await, s3.keys(".reached").len()), (200, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_node_takes_another_one_reads_from_the_bucket() {
    let (s3, here) = (S3::start().await, Home::postgres().await);
    let there = Home::at(here.postgres_url().to_owned());
    let takes = Node::start(s3.command(&here, &["--workers", "0"]));
    let works = Node::start(s3.command(&there, FLAGS));
    let file = takes.uploaded("table.csv", table(1000)).await;
    let id = takes.submit(csv(&file)).await;
    assert_eq!(ended(&takes, &id).await["status"], "SUCCESS");
    let artifacts = takes.get(&format!("/api/tasks/{id}/artifacts")).await;
    let url = artifacts["artifacts"][0]["url"].as_str().unwrap();
    assert_eq!(takes.download(url).await, works.download(url).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_address_or_variable_ends_with_code_2() {
    let (s3, home) = (S3::start().await, Home::sqlite());
    let mut plain = s3.command(&home, &[]);
    plain.env_remove("AWS_ALLOW_HTTP");
    for (command, word) in [(home.command(&["--files-url", "gs://files"]), "s3://BUCKET"), (plain, "AWS_ALLOW_HTTP")] {
        let (status, said) = Node::try_start(command).err().expect("it must not start");
        assert!(status.code() == Some(2) && said.contains(word), "{status}: {said}");
    }
}

async fn what_no_row_names_in_a_bucket_goes_after_a_day_and_what_one_names_stays(bed: Bed) {
    let s3 = S3::start().await;
    let files = Files::bucket("files", "errand", s3.variables(), 1 << 20).unwrap();
    let queue = Queue::open(bed.queue.store().clone(), bed.clock.clone(), Types::builtin(), files);
    assert_eq!(queue.sweep_files().await.unwrap(), 0);
    let at = |time: Time| SystemTime::UNIX_EPOCH + Duration::from_millis(time.0 as u64);
    let task = bed.submit(draft()).await;
    let (id, young) = (Uuid::now_v7(), format!("uploads/{}", Uuid::now_v7()));
    let (named, other) = (format!("uploads/{id}"), format!("artifacts/{}/notes", task.id));
    let (name, content_type) = ("a".to_owned(), "text/plain".to_owned());
    let (owner, sha256, location) = ("default".to_owned(), String::new(), named.clone());
    let row = store::File { id, owner, name, bytes: 1, content_type, sha256, location, created_at: BEGIN };
    queue.add_file(row).await.unwrap();
    (0..5).for_each(|_| s3.put(&format!("uploads/{}", Uuid::now_v7()), at(BEGIN)));
    s3.put(&format!("artifacts/{}/{}/a.csv", task.id, Uuid::now_v7()), at(BEGIN));
    [&named, &other].iter().for_each(|key| s3.put(key, at(BEGIN)));
    s3.put(&young, at(BEGIN.plus(3_600_000)));

    bed.clock.advance(24 * 3_600_000 + 1);
    assert_eq!(queue.sweep_files().await.unwrap(), 6);
    let mut kept = vec![".database".to_owned(), other, named, young];
    kept.sort_unstable();
    assert_eq!(s3.keys(""), kept);
    s3.fault(Some(DENIES));
    let began = Instant::now();
    assert!(queue.sweep_files().await.is_err() && began.elapsed() < PATIENCE, "it is told, to be tried again");
}
