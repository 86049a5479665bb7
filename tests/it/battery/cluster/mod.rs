//! Processes that are killed, stopped and drained, networks that hang, databases that go away: under load,
//! with the real binary. The oracle is what callers were told. They are long and heavy: one at a time.

mod away; // Postgres is away
mod caller; // clients that keep a record
mod chaos; // any fault, at random, under load
mod crowded; // Postgres is there and says no
mod drain; // nodes that are told to stop
mod failover; // another Postgres is the primary now
mod half_open; // connections that are dead without a word
mod hang_up; // callers that hang up in the middle
mod herd; // all die at once and come back at once
mod history; // the record, and the check of a change log against it
mod lost_reply; // done, and the answer never came
mod pause; // a node that is stopped and goes on

use crate::support::node::Node;
use serde_json::{Value, json};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::{Mutex, MutexGuard};

/// The shortest lease there is, and some places.
const NODE: &[&str] = &["--lease-seconds", "5", "--drain-seconds", "1", "--workers", "24"];
const LEASE: Duration = Duration::from_secs(5);
/// A task whose worker is lost waits again within its lease and this: a sweep and a second.
const TAKEN_BACK: Duration = Duration::from_secs(6);

/// Service is back so long after its database is.
const BACK: Duration = Duration::from_secs(5);

/// Held by each of these tests while it runs. Where every test is a process of its own, the runner's
/// configuration sees to it.
async fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::const_new(());
    ONE.lock().await
}

/// What chance is drawn from: `ERRAND_TEST_SEED`, else new, and always printed.
fn seed() -> u64 {
    let given = std::env::var("ERRAND_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = given.unwrap_or_else(rand::random);
    eprintln!("ERRAND_TEST_SEED={seed}");
    seed
}

/// A task goes all the way, within `patience`.
async fn works(node: &Node, patience: Duration) {
    let begun = Instant::now();
    loop {
        let answer = node.post("/api/tasks/submit?wait=2", json!({"type": "noop", "params": {}})).await;
        if answer.as_ref().is_ok_and(|(status, task)| *status == 201 && task["status"] == "SUCCESS") {
            return;
        }
        assert!(begun.elapsed() < patience, "{answer:?} after {:?}: {}", begun.elapsed(), node.log());
    }
}

/// The machine's clock; the databases of these tests go by the same.
fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64
}

/// When an entry of the change log happened.
fn at_ms(change: &Value) -> i64 {
    chrono::DateTime::parse_from_rfc3339(change["at"].as_str().unwrap()).unwrap().timestamp_millis()
}
