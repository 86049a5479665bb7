//! Nodes that are told to stop: nothing is lost, no attempt is burnt, and they stop in time.

use super::caller::Callers;
use super::{NODE, alone, at_ms, now_ms, seed};
use crate::support::node::{Home, Node};
use crate::support::postgres::{Server, free_port};
use crate::support::proxy::{Proxy, Way};
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

const RESTARTS: usize = 10;
/// What [`NODE`] gives running tasks.
const DRAIN: Duration = Duration::from_secs(1);
/// A drained node has ended so long after its tasks had their time.
const ENDED: Duration = Duration::from_secs(2);
/// A node that was told to stop begins nothing after this; a busy machine tells it a little late.
const CLAIMS_STOP_MS: i64 = 250;
const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_rolling_restarts_under_load_lose_nothing_and_burn_no_attempt() {
    let _alone = alone().await;
    let server = Server::start(&[]).await;
    let home = Home::at(server.url(server.port));
    let ports = [free_port(), free_port(), free_port()];
    let mut nodes: Vec<Node> = ports.iter().map(|port| Node::start_on(*port, home.command_on(*port, NODE))).collect();
    for node in &nodes {
        node.until_status("/api/ready", 200, PATIENCE).await;
    }
    let callers = Arc::new(Callers::new(nodes.iter().map(|node| node.url.clone()).collect()));
    let (stop, mut clients) = (CancellationToken::new(), JoinSet::new());
    let seed = seed();
    for number in 0..10 {
        clients.spawn(submit(callers.clone(), seed.wrapping_add(number), number, stop.clone()));
    }
    let mut told = Vec::new();
    for restart in 0..RESTARTS {
        let n = restart % nodes.len();
        sleep(Duration::from_millis(500)).await;
        let worker = worker(&nodes[n]);
        nodes[n].signal("TERM");
        let (begun, at) = (Instant::now(), now_ms());
        assert_eq!(nodes[n].ended(PATIENCE).await.code(), Some(0), "{}", nodes[n].log());
        assert!(begun.elapsed() < DRAIN + ENDED, "it took {:?}: {}", begun.elapsed(), nodes[n].log());
        told.push((worker, at));
        nodes[n] = Node::start_on(ports[n], home.command_on(ports[n], NODE));
        nodes[n].until_status("/api/ready", 200, PATIENCE).await;
    }
    stop.cancel();
    while let Some(client) = clients.join_next().await {
        client.unwrap();
    }
    let changes = all_ended(&nodes[0], &callers).await;
    let verdict = callers.history.check(&changes);
    let open = callers.unknown.load(Relaxed);
    eprintln!("{} acknowledged, {open} answers left open", callers.acknowledged());
    // Somebody may come at the very moment in which the door closes.
    assert!(open <= 1, "{open} answers were left open");
    verdict.is_clean(&["released", "told yes"]);
    for never in ["rescued", "retrying", "failed", "told no", "unknown, there", "unknown, not there"] {
        assert!(!verdict.seen.contains_key(never), "{never}: {:?}", verdict.seen);
    }
    for (worker, at) in told {
        let late = changes.iter().find(|change| {
            change["event"] == "started" && change["task"]["worker"] == worker && at_ms(change) > at + CLAIMS_STOP_MS
        });
        assert!(late.is_none(), "{worker} was told to stop at {at} and began at {}: {late:?}", at_ms(late.unwrap()));
    }
}

/// Submits with keys, again and again until it is told.
async fn submit(callers: Arc<Callers>, seed: u64, number: u64, stop: CancellationToken) {
    let mut draw = StdRng::seed_from_u64(seed);
    for turn in 0.. {
        if stop.is_cancelled() {
            return;
        }
        let name = format!("{number}-{turn}");
        match turn % 8 {
            0 => callers.submit_long(&mut draw, &name).await,
            _ => callers.submit_short(&mut draw, &name).await,
        }
        sleep(Duration::from_millis(40)).await;
    }
}

async fn all_ended(node: &Node, callers: &Callers) -> Vec<Value> {
    let begun = Instant::now();
    loop {
        let stats = node.get("/api/stats").await;
        if stats["by_status"]["PENDING"] == 0 && stats["by_status"]["RUNNING"] == 0 {
            return callers.changes(&node.url).await;
        }
        assert!(begun.elapsed() < PATIENCE, "{}", stats["by_status"]);
        sleep(Duration::from_millis(100)).await;
    }
}

/// The name under which a node takes tasks, from its log.
fn worker(node: &Node) -> String {
    let lines = node.lines();
    let line = lines.iter().find(|line| line.contains("taking tasks")).expect("it says so");
    line.split("worker=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("with its name").to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_signal_ends_a_drain_within_a_second() {
    let _alone = alone().await;
    let home = Home::sqlite();
    let mut node = home.start(&["--drain-seconds", "25"]);
    let id = node.submit(json!({"type": "demo", "params": {"duration": 30000, "steps": 1}})).await;
    node.until(&id, PATIENCE, |task| task["status"] == "RUNNING").await;
    node.signal("TERM");
    sleep(Duration::from_millis(500)).await;
    assert!(node.runs(), "it drains");
    let told = Instant::now();
    node.signal("TERM");
    node.ended(PATIENCE).await;
    assert!(told.elapsed() < Duration::from_secs(1), "it took {:?}", told.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_ends_in_time_whatever_its_tasks_and_its_database_do() {
    let _alone = alone().await;
    let server = Server::start(&[]).await;
    let proxy = Proxy::before(server.port).await;
    let home = Home::at(server.url(proxy.port));
    let mut node = home.start(NODE);
    // One that waits, one that computes on a thread of its own, and a caller who waits for both.
    let pictures = json!({"num_images": 20, "target_width": 2000, "target_height": 2000});
    let ids = node
        .submit_many(vec![
            json!({"type": "demo", "params": {"duration": 30000, "steps": 1}}),
            json!({"type": "image_processing", "params": pictures}),
        ])
        .await;
    node.until_count("RUNNING", 2, PATIENCE).await;
    let (http, url) = (node.http.clone(), format!("{}/api/tasks/{}?wait=60", node.url, ids[0]));
    let waits = tokio::spawn(async move { http.get(url).send().await });
    proxy.ways(Way::Hold);
    node.signal("TERM");
    let told = Instant::now();
    assert_eq!(node.ended(PATIENCE).await.code(), Some(0), "{}", node.log());
    assert!(told.elapsed() < DRAIN + ENDED, "it took {:?}: {}", told.elapsed(), node.log());
    drop(waits.await);
}
