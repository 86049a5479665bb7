//! What breaks, and what holds nevertheless: the real binary under faults of its disk and its files.

mod bucket; // files on S3, and what its server may do
mod disk; // disks that are full
mod grown; // output files that grow in a bucket
mod hostile; // files and templates that do harm, one by one
mod io; // disks that fail, at each call
mod log; // SQLite's log while a reader holds it up
mod pictures; // pictures that do harm, and the processes that work on them
#[cfg(debug_assertions)] // only debug builds have fail points
mod resume; // killed in the middle of a task: the next attempt goes on from its checkpoints
mod small; // (no tests: a small disk)
mod sqlite_file; // the database file damaged, deleted, replaced
mod stderr; // a log that nobody reads
mod sweep; // files that no row names
#[cfg(debug_assertions)]
mod tables; // killed in the middle of a table whose output is in a bucket
mod verify; // what `errand verify` sees

use crate::support::node::{Home, Node};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// A node that does not do within this time what it should never will.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Starts a node that must not start; answers what it said.
#[track_caller]
pub fn refused(home: &Home, code: i32) -> String {
    match Node::try_start(home.command(&[])) {
        Ok(node) => panic!("it listens on {}", node.url),
        Err((status, said)) => {
            assert_eq!(status.code(), Some(code), "{said}");
            said
        }
    }
}

/// Submits `n` tasks one by one, each acknowledged; answers their ids.
pub async fn submit(node: &Node, n: usize) -> Vec<String> {
    let mut ids = Vec::new();
    for n in 0..n {
        ids.push(node.submit(noop(n)).await);
    }
    ids
}

pub fn noop(n: usize) -> Value {
    json!({"type": "noop", "params": {"n": n}})
}

/// Fails unless the node knows each of these tasks.
pub async fn knows(node: &Node, ids: &[String]) {
    for id in ids {
        let task = node.get(&format!("/api/tasks/{id}")).await;
        assert_eq!(task["id"], id.as_str(), "{task}");
    }
}

/// Waits until it is so; fails after a while.
pub async fn until(done: impl Fn() -> bool, what: &str) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < PATIENCE, "not so after {PATIENCE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
