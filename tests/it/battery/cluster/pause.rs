//! A node that is stopped for longer than its leases and then goes on as if nothing had been.

use super::caller::Callers;
use super::{LEASE, NODE, TAKEN_BACK, alone, at_ms, now_ms};
use crate::support::node::{Home, Node};
use crate::support::postgres::Server;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use tokio::time::sleep;

const PATIENCE: Duration = Duration::from_secs(40);
/// A node that is back looks at its leases within this.
const NOTICES: Duration = Duration::from_secs(3);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_paused_node_held_is_taken_over_once_and_nothing_it_writes_later_is_kept() {
    let _alone = alone().await;
    let server = Server::start(&[]).await;
    let home = Home::at(server.url(server.port));
    let paused = home.start(NODE);
    let ids = paused.submit_many(tasks()).await;
    paused.until_count("RUNNING", ids.len() as u64, NOTICES).await;
    let other = home.start(NODE);
    paused.signal("STOP");
    let (stopped, at) = (Instant::now(), now_ms());
    for id in &ids {
        other.until(id, PATIENCE, |task| task["attempt"] == 2).await;
    }
    sleep((2 * LEASE).saturating_sub(stopped.elapsed())).await;
    paused.signal("CONT");
    let back = Instant::now();
    while paused.metric("errand_fenced_writes_total").await == 0.0 {
        assert!(back.elapsed() < NOTICES, "it does not notice: {}", paused.log());
        sleep(Duration::from_millis(50)).await;
    }
    let noticed = back.elapsed();
    for id in &ids {
        let task = other.until(id, PATIENCE, |task| task["finished_at"].is_string()).await;
        assert_eq!((&task["status"], &task["attempt"]), (&json!("SUCCESS"), &json!(2)), "{task}");
    }
    let fenced = paused.metric("errand_fenced_writes_total").await;
    eprintln!("{fenced} writes refused, the first {noticed:?} after it was back");
    for (id, life) in lives(&other).await {
        let events: Vec<&str> = life.iter().map(|change| change["event"].as_str().unwrap()).collect();
        assert_eq!(events, ["queued", "started", "rescued", "started", "succeeded"], "{id}");
        let taken_back = Duration::from_millis((at_ms(&life[2]) - at) as u64);
        assert!(taken_back < LEASE + TAKEN_BACK, "{id} was taken back after {taken_back:?}");
        // What the first attempt said after the second began was not kept.
        let lines = other.get(&format!("/api/tasks/{id}/logs?attempt=1")).await;
        let taken_over = life[3]["at"].as_str().unwrap();
        let late = lines["logs"].as_array().unwrap().iter().find(|line| line["at"].as_str().unwrap() > taken_over);
        assert!(late.is_none(), "{id}: {late:?} after {taken_over}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_node_on_sqlite_goes_on_with_its_own_tasks_and_finishes_each_once() {
    let _alone = alone().await;
    let home = Home::sqlite();
    let node = home.start(NODE);
    let ids = node.submit_many(tasks()).await;
    node.until_count("RUNNING", ids.len() as u64, NOTICES).await;
    node.signal("STOP");
    sleep(2 * LEASE).await;
    node.signal("CONT");
    for id in &ids {
        node.until(id, PATIENCE, |task| task["status"] == "SUCCESS").await;
    }
    for (id, life) in lives(&node).await {
        let events: Vec<&str> = life.iter().map(|change| change["event"].as_str().unwrap()).collect();
        let back = ["rescued", "released"].map(|back| vec!["queued", "started", back, "started", "succeeded"]);
        // One that ended while the node was stopped may still say so: nobody else could take it.
        let fine = events == ["queued", "started", "succeeded"] || back.contains(&events);
        assert!(fine, "{id}: {events:?}");
    }
}

/// Some that go on for longer than the pause, some that would end within it.
fn tasks() -> Vec<Value> {
    let demo = |duration, steps| json!({"type": "demo", "params": {"duration": duration, "steps": steps}});
    (0..8).map(|_| demo(12_000, 24)).chain((0..4).map(|_| demo(4_000, 4))).collect()
}

/// The change log, task by task.
async fn lives(node: &Node) -> BTreeMap<String, Vec<Value>> {
    let mut lives: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for change in Callers::new(vec![]).changes(&node.url).await {
        lives.entry(change["task"]["id"].as_str().unwrap().to_owned()).or_default().push(change);
    }
    lives
}
