//! Disks that fail: the n-th call of the operating system fails, for each n, once or from then on.
//! Whatever was acknowledged before, meanwhile or after is there, and nothing half-written shows.
//!
//! The faults are injected by strace. A run takes as many n, evenly spread, as fit a few minutes;
//! `ERRAND_TEST_LONG=1` takes each.

use super::{PATIENCE, noop, submit};
use crate::support::node::{Home, Node};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::fs;
use std::process::Command;
use std::time::Instant;

/// So many n are tried in each loop, unless all are.
const TRIED: usize = 60;

/// Something that was acknowledged, and must be so ever after.
enum Fact {
    Task(String),
    Cancelled(String),
    Succeeded(String),
    File(String),
    FileGone(String),
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_sync_that_fails_once_loses_what_was_acknowledged() {
    each_failure("fsync,fdatasync", "EIO", "").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_disk_that_stops_syncing_loses_what_was_acknowledged() {
    each_failure("fsync,fdatasync", "EIO", "+").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_write_that_fails_once_loses_what_was_acknowledged() {
    each_failure("pwrite64", "EIO", "").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_disk_that_stops_writing_loses_what_was_acknowledged() {
    each_failure("pwrite64", "EIO", "+").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_write_that_finds_no_room_once_loses_what_was_acknowledged() {
    each_failure("pwrite64,fallocate", "ENOSPC", "").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_disk_that_fills_up_loses_what_was_acknowledged() {
    each_failure("pwrite64,fallocate", "ENOSPC", "+").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_name_that_cannot_be_made_or_cut_loses_what_was_acknowledged() {
    each_failure("rename,link,unlink,ftruncate,mkdir", "EIO", "").await;
    each_failure("rename,link,unlink,ftruncate,mkdir", "EIO", "+").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_start_that_fails_anywhere_can_be_made_again() {
    for calls in ["pwrite64,fallocate", "fsync,fdatasync", "rename,link,unlink,ftruncate,mkdir,openat"] {
        let home = Home::sqlite();
        let all = busiest(&home, Node::start(traced(&home, calls, None)));
        let mut failed = 0;
        for n in (1..=all).step_by(step(all)) {
            let home = Home::sqlite();
            let inject = format!("inject={calls}:error=EIO:when={n}");
            drop(Node::try_start(traced(&home, calls, Some(&inject))));
            failed += usize::from(was_hit(&home));
            submit(&home.start(&[]), 1).await;
        }
        assert!(failed > 2, "{calls}: {failed} of {all}");
    }
}

/// Lets the n-th of these calls of each thread fail (`then` is `+`: and all behind it), for n from 1
/// until it fails no more.
async fn each_failure(calls: &str, error: &str, then: &str) {
    let home = Home::sqlite();
    drop(home.start(&[]));
    let all = count_calls(&home, calls).await;
    let step = step(all);
    let (mut facts, mut failed) = (Vec::new(), 0);
    for n in (1..=all + step).step_by(step) {
        let inject = format!("inject={calls}:error={error}:when={n}{then}");
        if let Ok(node) = Node::try_start(traced(&home, calls, Some(&inject))) {
            facts.extend(use_it(&node).await);
            node.signal("KILL");
        }
        failed += usize::from(was_hit(&home));
        let node = home.start(&["--workers", "0"]);
        for fact in &facts {
            fact.holds(&node, &format!("{calls} failed with {error} at {n}{then}")).await;
        }
        let verified = home.command(&["verify"]).output().unwrap();
        assert!(verified.status.success(), "{inject}: {verified:?}");
        // Looked at no more: each run would take longer than the one before. What goes missing later is
        // seen by `verify` in all that is kept beside it.
        facts.clear();
    }
    eprintln!("{calls} {error} {then}: of {all} calls each {step}th, {failed} failed");
    assert!(failed > 2, "{failed} of {all} calls (each {step}th) failed");
}

/// How many of these calls the busiest thread makes when nothing fails.
async fn count_calls(home: &Home, calls: &str) -> usize {
    let node = Node::start(traced(home, calls, None));
    let facts = use_it(&node).await;
    assert!(facts.len() >= 9, "{} facts without a fault", facts.len());
    busiest(home, node)
}

/// How many of the traced calls the busiest thread of a node made until it is killed now.
fn busiest(home: &Home, node: Node) -> usize {
    drop(node);
    let mut by_thread = HashMap::new();
    for line in fs::read_to_string(trace(home)).unwrap().lines() {
        *by_thread.entry(line.split(' ').next().unwrap().to_owned()).or_insert(0) += 1;
    }
    let busiest = by_thread.into_values().max().unwrap_or(0);
    assert!(busiest > 3, "{busiest} calls");
    busiest
}

/// How far apart the tried ones stand.
fn step(all: usize) -> usize {
    if std::env::var_os("ERRAND_TEST_LONG").is_some() { 1 } else { all.div_ceil(TRIED) }
}

/// Whether a call did fail.
fn was_hit(home: &Home) -> bool {
    fs::read_to_string(trace(home)).is_ok_and(|trace| trace.contains("(INJECTED)"))
}

fn trace(home: &Home) -> std::path::PathBuf {
    home.folder.path().join("trace")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_submit_is_synced_before_it_is_acknowledged() {
    let home = Home::sqlite();
    let node = Node::start(traced(&home, "fdatasync,fsync", None));
    let syncs = || fs::read_to_string(trace(&home)).unwrap().matches("sync(").count();
    for n in 0..20 {
        let before = syncs();
        node.submit(json!({"type": "noop", "params": {"n": n}, "run_at": "2099-01-01T00:00:00Z"})).await;
        assert!(syncs() > before, "submit {n} was acknowledged without a sync");
    }
}

/// The command that starts a node under strace, which stands beside it: the process is the node's.
fn traced(home: &Home, calls: &str, inject: Option<&str>) -> Command {
    let plain = home.command(&["--workers", "1", "--lease-seconds", "5"]);
    let mut command = Command::new("strace");
    command.args(["-D", "-f", "-qqq", "--seccomp-bpf", "-e", "signal=none", "-o"]).arg(trace(home));
    command.args(["-e", &format!("trace={calls}")]);
    if let Some(inject) = inject {
        command.args(["-e", inject]);
    }
    command.arg(plain.get_program()).args(plain.get_args()).current_dir(home.folder.path());
    command
}

/// Calls everything that writes, whatever it answers; what was acknowledged is a fact.
async fn use_it(node: &Node) -> Vec<Fact> {
    let id = |task: &Value| task["id"].as_str().unwrap().to_owned();
    let mut facts = Vec::new();
    if let Ok((201, task)) = node.post("/api/tasks/submit", noop(0)).await {
        facts.push(Fact::Task(id(&task)));
    }
    if let Ok((201, batch)) = node.post("/api/tasks/batch", json!({"tasks": [noop(1), noop(2), noop(3)]})).await {
        facts.extend(batch["tasks"].as_array().unwrap().iter().map(|task| Fact::Task(id(task))));
    }
    let later = json!({"type": "noop", "params": {}, "run_at": "2100-01-01T00:00:00Z"});
    if let Ok((201, task)) = node.post("/api/tasks/submit", later).await {
        facts.push(Fact::Task(id(&task)));
        if let Ok((200, cancelled)) = node.try_delete(&format!("/api/tasks/{}", id(&task))).await {
            facts.push(Fact::Cancelled(id(&cancelled)));
        }
    }
    let mails = json!({"type": "email_sending", "params": {"num_emails": 2}});
    if let Ok((201, task)) = node.post("/api/tasks/submit?wait=1", mails).await {
        facts.push(Fact::Task(id(&task)));
        if task["status"] == "SUCCESS" {
            facts.push(Fact::Succeeded(id(&task)));
        }
    }
    for delete in [false, true] {
        let Ok((201, file)) = node.try_upload("a.txt", b"some text".to_vec()).await else { continue };
        let file = file["file_id"].as_str().unwrap().to_owned();
        match delete {
            true if matches!(node.try_delete(&format!("/api/files/{file}")).await, Ok((204, _))) => {
                facts.push(Fact::FileGone(file));
            }
            // Deleted or not: nobody knows.
            true => {}
            false => facts.push(Fact::File(file)),
        }
    }
    facts
}

impl Fact {
    async fn holds(&self, node: &Node, what: &str) {
        match self {
            Fact::Task(id) => {
                let task = node.get(&format!("/api/tasks/{id}")).await;
                assert_eq!(task["id"], id.as_str(), "{what}: {task}");
            }
            Fact::Cancelled(id) => assert_eq!(status(node, id).await, "CANCELLED", "{what}"),
            Fact::Succeeded(id) => {
                assert_eq!(status(node, id).await, "SUCCESS", "{what}");
                let artifacts = node.get(&format!("/api/tasks/{id}/artifacts")).await;
                assert_eq!(artifacts["artifacts"].as_array().unwrap().len(), 2, "{what}: {artifacts}");
            }
            Fact::File(id) => assert_eq!(node.text(&format!("/api/files/{id}")).await, "some text", "{what}"),
            Fact::FileGone(id) => assert_eq!(node.status(&format!("/api/files/{id}")).await, 404, "{what}"),
        }
    }
}

async fn status(node: &Node, id: &str) -> Value {
    node.get(&format!("/api/tasks/{id}")).await["status"].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_syncs_that_fail_make_a_node_unwell_until_the_disk_is_well() {
    let home = Home::sqlite();
    drop(home.start(&[]));
    let inject = "inject=fsync,fdatasync:error=EIO:when=40..60";
    let node = Node::start(traced(&home, "fsync,fdatasync", Some(inject)));
    let mut ids = Vec::new();
    let mut refused = 0;
    while refused < 3 {
        match node.post("/api/tasks/submit", noop(0)).await.unwrap() {
            (201, task) => ids.push(task["id"].as_str().unwrap().to_owned()),
            (status, problem) => {
                assert_eq!((status, &problem["code"]), (503, &json!("unavailable")), "{problem}");
                refused += 1;
            }
        }
        assert!(ids.len() < 100, "none of 100 failed");
    }
    assert_eq!(node.status("/api/ready").await, 503);
    assert_eq!(node.status("/api/live").await, 200);
    super::knows(&node, &ids).await;
    // Each question tries one write: it needs no work to be well again.
    let began = Instant::now();
    while node.status("/api/ready").await == 503 {
        assert!(began.elapsed() < PATIENCE, "still unwell");
    }
    ids.extend(submit(&node, 3).await);
    super::knows(&node, &ids).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_breaks_off_at_any_byte_is_never_seen() {
    let home = Home::postgres().await;
    let content = vec![b'a'; 20_000];
    for blocks in (0..40).step_by(3) {
        // Blocks of 512 bytes: the file that reaches the limit is cut there, within a write.
        let plain = home.command(&["--workers", "1"]);
        let mut limited = Command::new("sh");
        limited.args(["-c", &format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$@\""), "sh"]);
        limited.arg(plain.get_program()).args(plain.get_args()).current_dir(home.folder.path()).env_clear();
        let node = Node::start(limited);
        let (status, problem) = node.upload("a.txt", content.clone()).await;
        assert_eq!((status, &problem["code"]), (507, &json!("storage_full")), "{blocks} blocks: {problem}");
        let mails = json!({"type": "email_sending", "params": {"num_emails": 1}});
        let (_, task) = node.post("/api/tasks/submit?wait=30", mails).await.unwrap();
        // A mail takes more than one block and less than three.
        let expected = if blocks < 1 { "FAILED" } else { "SUCCESS" };
        assert!(task["status"] == expected || blocks < 3, "{blocks} blocks: {task}");
        drop(node);
        let verified = home.command(&["verify"]).output().unwrap();
        assert!(verified.status.success(), "{blocks} blocks: {verified:?}");
    }
    let node = home.start(&["--workers", "0"]);
    assert_eq!(node.upload("a.txt", content).await.0, 201);
    assert!(!names(&home).iter().any(|name| name.contains('#')), "{:?}", names(&home));
}

/// The names of everything in the file store.
fn names(home: &Home) -> Vec<String> {
    let found = Command::new("find").arg(home.folder.path().join("files")).args(["-type", "f"]).output().unwrap();
    String::from_utf8(found.stdout).unwrap().lines().map(str::to_owned).collect()
}
