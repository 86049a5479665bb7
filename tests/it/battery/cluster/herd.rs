//! All nodes die at once under load and come back at once.

use super::caller::Callers;
use super::history::{History, Told};
use super::{LEASE, TAKEN_BACK, alone, at_ms, now_ms};
use crate::support::node::{Home, Node};
use crate::support::postgres::{Server, free_port};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tokio::time::sleep;

const NODES: usize = 3;
const RUNNING: u64 = 240;
const PENDING: u64 = 3000;
const FLAGS: &[&str] = &["--lease-seconds", "5", "--workers", "80"];
/// The first task is begun so long after the start.
const FIRST_CLAIM_MS: i64 = 2000;
/// Connections of one node.
const MOST_SESSIONS: i64 = 14;
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_nodes_that_were_killed_under_load_come_back_at_once_and_finish_everything() {
    let _alone = alone().await;
    let server = Server::start(&["max_connections=60"]).await;
    let home = Home::at(server.url(server.port));
    let start = || -> Vec<Node> {
        let command = |port| Node::start_on(port, home.command_on(port, FLAGS));
        (0..NODES).map(|_| command(free_port())).collect()
    };
    let history = History::default();
    let nodes = start();
    for node in &nodes {
        node.until_status("/api/ready", 200, PATIENCE).await;
    }
    let demo = json!({"type": "demo", "priority": 1, "params": {"duration": 8000, "steps": 4}});
    submit(&nodes[0], &history, "running", RUNNING, &demo).await;
    nodes[0].until_count("RUNNING", RUNNING, PATIENCE).await;
    submit(&nodes[0], &history, "pending", PENDING, &json!({"type": "noop", "params": {}})).await;
    nodes.iter().for_each(|node| node.signal("KILL"));
    drop(nodes);

    let (restarted, at) = (Instant::now(), now_ms());
    let nodes = start();
    let (mut most, mut taken_back) = (0, None);
    loop {
        most = most.max(server.sessions().await);
        let Ok((200, stats)) = nodes[0].try_get("/api/stats").await else { continue };
        let left = |status: &str| stats["by_status"][status].as_u64().unwrap();
        if left("SUCCESS") == RUNNING + PENDING {
            break;
        }
        if taken_back.is_none() && left("SUCCESS") >= PENDING {
            taken_back = Some(restarted.elapsed());
        }
        assert!(restarted.elapsed() < PATIENCE, "{}", stats["by_status"]);
        sleep(Duration::from_millis(50)).await;
    }
    let changes = Callers::new(vec![]).changes(&nodes[0].url).await;
    let when = |event: &str| changes.iter().filter(|change| change["event"] == event).map(at_ms).collect::<Vec<_>>();
    let first = when("started").into_iter().find(|started| *started >= at).unwrap() - at;
    let last_rescue = when("rescued").into_iter().max().unwrap() - at;
    eprintln!(
        "first claim after {first} ms, last rescue after {last_rescue} ms, the pending ones done after {taken_back:?}, \
         all after {:?}, {most} sessions at most",
        restarted.elapsed()
    );
    assert!(first < FIRST_CLAIM_MS, "the first claim came after {first} ms");
    assert!(last_rescue < (LEASE + TAKEN_BACK).as_millis() as i64, "the last rescue came after {last_rescue} ms");
    assert!(most <= NODES as i64 * MOST_SESSIONS, "{most} sessions");
    let verdict = history.check(&changes);
    verdict.is_clean(&["rescued", "told yes"]);
    assert_eq!(verdict.seen["rescued"], RUNNING);
}

async fn submit(node: &Node, history: &History, name: &str, n: u64, task: &Value) {
    let named = |n| {
        let mut task = task.clone();
        task["name"] = json!(format!("{name}-{n}"));
        task
    };
    let ids = node.submit_many((0..n).map(named).collect()).await;
    for (n, id) in ids.into_iter().enumerate() {
        history.ask(&format!("{name}-{n}"), None);
        history.told(&format!("{name}-{n}"), Told::Yes(id));
    }
}
