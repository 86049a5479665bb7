//! The process dies at each fail point, on both databases, under a small mixed load; then another
//! one takes over. Afterwards nothing is lost, nothing is there twice, and no file is half there.

use super::check::{Figures, check};
use super::ledger::Ledger;
use super::load::Client;
use crate::support::node::{Home, Node};
use crate::support::on_both_databases;
use errand::fault::POINTS;
use serde_json::{Value, json};
use std::ops::RangeInclusive;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;

on_both_databases!(
    Which: a_node_may_die_at_any_point_of_a_submit,
    a_node_may_die_at_any_point_of_a_transition,
    a_node_may_die_at_any_point_of_an_attempt,
    a_node_may_die_at_any_point_of_a_file,
    a_node_may_die_at_any_point_of_its_start_its_sweep_and_its_end,
);

const FLAGS: &[&str] = &["--lease-seconds", "5", "--drain-seconds", "1", "--workers", "8"];
/// How long a node may live before it passes its point.
const PATIENCE: Duration = Duration::from_secs(30);
/// At which passing each of the nodes dies, one after the other, on the same database: the first,
/// one drawn from the next few, and one from when the load is under way.
const PASSINGS: [RangeInclusive<u64>; 3] = [1..=1, 2..=6, 7..=20];
/// Cases at once: each mostly waits for leases to end.
const AT_ONCE: usize = 4;
const SIGABRT: i32 = 6;

/// The points of each test, by how they begin.
const SUBMITS: &[&str] = &["submit_"];
const TRANSITIONS: &[&str] = &["change_", "sqlite_uncommitted", "cancel_", "retry_"];
const ATTEMPTS: &[&str] = &["promote", "claim_", "attempt_", "beat_", "save_", "handler_", "last_words_", "report_"];
const FILES: &[&str] = &["output_", "file_", "upload_"];
const ENDS: &[&str] = &["sqlite_made", "sqlite_numbered", "migrate_", "rescue_", "leftovers_", "drain_"];
/// Where nothing is written, so that nothing is lost by dying there; for tests that have them fail.
const READS: &[&str] = &["missed_"];
/// What is passed only where another node has left something behind.
const BEQUEATHED: &[&str] = &["rescue_", "leftovers_"];

/// Which database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    Sqlite,
    Postgres,
}

impl Which {
    pub async fn sqlite() -> Which {
        Which::Sqlite
    }

    pub async fn postgres() -> Which {
        Which::Postgres
    }

    pub async fn home(self) -> Home {
        match self {
            Which::Sqlite => Home::sqlite(),
            Which::Postgres => Home::postgres().await,
        }
    }
}

async fn a_node_may_die_at_any_point_of_a_submit(which: Which) {
    dies_at_each(which, SUBMITS).await;
}

async fn a_node_may_die_at_any_point_of_a_transition(which: Which) {
    dies_at_each(which, TRANSITIONS).await;
}

async fn a_node_may_die_at_any_point_of_an_attempt(which: Which) {
    dies_at_each(which, ATTEMPTS).await;
}

async fn a_node_may_die_at_any_point_of_a_file(which: Which) {
    dies_at_each(which, FILES).await;
}

async fn a_node_may_die_at_any_point_of_its_start_its_sweep_and_its_end(which: Which) {
    dies_at_each(which, ENDS).await;
}

#[test]
fn every_point_has_its_test() {
    for point in POINTS {
        let tests = [SUBMITS, TRANSITIONS, ATTEMPTS, FILES, ENDS, READS].concat();
        assert_eq!(tests.iter().filter(|begin| point.starts_with(**begin)).count(), 1, "{point}");
    }
    assert!(POINTS.len() >= 25, "{}", POINTS.len());
}

async fn dies_at_each(which: Which, beginnings: &[&str]) {
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let here = |point: &&&str| beginnings.iter().any(|begin| point.starts_with(begin));
    let reached = |point: &&&str| which == Which::Sqlite || !point.starts_with("sqlite_");
    let cases: Vec<_> = POINTS
        .iter()
        .filter(here)
        .filter(reached)
        .map(|point| {
            let places = places.clone();
            let case = tokio::spawn(async move {
                let _place = places.acquire_owned().await;
                dies_at(which, point).await;
            });
            (point, case)
        })
        .collect();
    let mut failed = Vec::new();
    for (point, case) in cases {
        if case.await.is_err() {
            failed.push(point);
        }
    }
    assert!(failed.is_empty(), "see above for {failed:?}");
}

/// Nodes die at this point one after the other; then one lives, and everything is checked.
async fn dies_at(which: Which, point: &'static str) {
    let home = which.home().await;
    let ledger = Arc::new(Ledger::default());
    let (began, mut passings) = (Instant::now(), Vec::new());
    for passing in PASSINGS {
        // What is passed once in a node's life can only be passed once.
        let once = ENDS.iter().any(|begin| point.starts_with(begin));
        let passing = if once { 1 } else { rand::random_range(passing) };
        passings.push(passing);
        if BEQUEATHED.iter().any(|begin| point.starts_with(begin)) {
            leave_something_running(&home, &ledger).await;
        }
        let died = match home.start_armed(FLAGS, &format!("{point}=abort@{passing}")) {
            Err(died) => died,
            Ok(node) => dies_under_load(node, &ledger, point.starts_with("drain_")).await,
        };
        assert_eq!(died.signal(), Some(SIGABRT), "{point}, passing {passing}: it ended otherwise, with {died}");
    }
    let node = home.start(FLAGS);
    let client = Client::new(&node.url, ledger);
    client.resume().await.unwrap();
    client.submit("/api/tasks/submit", json!({ "type": "noop" })).await.unwrap().expect("it is well again");
    let (figures, wrong) = check(&client, &home).await;
    let Figures { tasks, transitions, losses, files } = figures;
    println!(
        "{which:?} {point}: died at passings {passings:?}; {tasks} tasks, {transitions} transitions, {losses} lost \
         leases, {files} files; {:.1} s",
        began.elapsed().as_secs_f64()
    );
    assert!(wrong.is_empty(), "{which:?} {point} at passings {passings:?}:\n{}", wrong.join("\n"));
}

async fn dies_under_load(mut node: Node, ledger: &Arc<Ledger>, drain: bool) -> ExitStatus {
    let client = Client::new(&node.url, ledger.clone());
    let resumed = client.resume().await;
    if drain {
        run_something(&client).await;
    }
    let load = tokio::spawn(async move {
        if resumed.is_ok() {
            client.drive().await;
        }
    });
    if drain {
        node.signal("TERM");
    }
    let died = node.ended(PATIENCE).await;
    load.await.unwrap();
    died
}

/// A node is killed while it runs tasks.
async fn leave_something_running(home: &Home, ledger: &Arc<Ledger>) {
    let node = home.start(FLAGS);
    run_something(&Client::new(&node.url, ledger.clone())).await;
    node.signal("KILL");
}

/// Some tasks run, for longer than anybody waits, and one that makes files for some seconds.
async fn run_something(client: &Client) {
    let demo = json!({ "type": "demo", "params": { "duration": 30_000, "steps": 100 } });
    let mails = json!({ "num_emails": 20, "subject": "s", "delay_per_email": 0.2 });
    let tasks: Vec<Value> = std::iter::once(json!({ "type": "email_sending", "params": mails }))
        .chain(std::iter::repeat_n(demo, 4))
        .collect();
    let ids = client.submit("/api/tasks/batch", json!({ "tasks": tasks })).await.unwrap().unwrap();
    let until = Instant::now() + PATIENCE;
    for id in ids {
        loop {
            let task = client.get(&format!("/api/tasks/{id}")).await.unwrap();
            if task["progress"]["processed"].as_u64() > Some(0) {
                break;
            }
            assert!(Instant::now() < until, "it does not run: {task}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}
