//! Connections that are dead without anybody having said so: nothing comes, and nothing that is sent arrives.

use super::{NODE, alone};
use crate::support::node::{Home, Node};
use crate::support::postgres::Server;
use crate::support::proxy::Proxy;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tokio::time::sleep;

/// A task starts within this whatever becomes of the signals: a poll and a little.
const STARTS: Duration = Duration::from_secs(2);
/// A session that hears nothing is made anew within this.
const REMADE: Duration = Duration::from_secs(18);
const LONGEST_CALL: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deaf_listener_delays_no_start_beyond_the_poll_and_is_made_anew() {
    let _alone = alone().await;
    let server = Server::start(&[]).await;
    let proxy = Proxy::before(server.port).await;
    let home = Home::at(server.url(server.port));
    let api = home.start(&["--workers", "0"]);
    let other_home = Home::at(server.url(proxy.port));
    let _worker = other_home.start(NODE);
    proxy.until_made("listen", 1, STARTS).await;
    assert!(slowest_start(&api, 4).await < STARTS / 4, "a signal wakes the other node at once");

    proxy.half_open(Some("listen"));
    let deaf = Instant::now();
    let mut slowest = Duration::ZERO;
    while proxy.made("listen") < 2 {
        slowest = slowest.max(slowest_start(&api, 1).await);
        assert!(slowest < STARTS, "a task waited {slowest:?}");
        assert!(deaf.elapsed() < REMADE, "still deaf after {:?}", deaf.elapsed());
    }
    eprintln!("heard again after {:?}; meanwhile a task waited {slowest:?} at most", deaf.elapsed());
    assert!(slowest > STARTS / 8, "this run proves nothing: it never was deaf");
    assert!(slowest_start(&api, 4).await < STARTS / 4, "it hears again");
}

/// How long the slowest of some tasks, one after another at odd instants, waited for its start.
async fn slowest_start(node: &Node, tasks: u64) -> Duration {
    let mut slowest = Duration::ZERO;
    for n in 0..tasks {
        sleep(Duration::from_millis(150 + 37 * n)).await;
        let (status, task) =
            node.post("/api/tasks/submit?wait=10", json!({"type": "noop", "params": {}})).await.unwrap();
        assert_eq!((status, &task["status"]), (201, &json!("SUCCESS")), "{task}");
        let instant = |name: &str| chrono::DateTime::parse_from_rfc3339(task[name].as_str().unwrap()).unwrap();
        let waited = (instant("started_at") - instant("created_at")).to_std().unwrap_or_default();
        slowest = slowest.max(waited);
    }
    slowest
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dead_connections_of_the_pool_are_given_up_and_no_call_hangs_on_them() {
    let _alone = alone().await;
    let server = Server::start(&[]).await;
    let proxy = Proxy::before(server.port).await;
    let home = Home::at(server.url(proxy.port));
    let node = home.start(NODE);
    // Many at once, so that the pool is full.
    let ids = node.submit_many(vec![json!({"type": "noop", "params": {}}); 20]).await;
    let paths: Vec<String> = ids.iter().map(|id| format!("/api/tasks/{id}")).collect();
    futures_util::future::join_all(paths.iter().map(|path| node.get(path))).await;
    let made = proxy.made("reads");
    assert!(made > 3, "this run proves nothing: only {made} connections");

    proxy.half_open(None);
    let begun = Instant::now();
    let mut in_a_row = 0;
    while in_a_row < 20 {
        let call = Instant::now();
        let read = node.try_get(&format!("/api/tasks/{}", ids[0])).await.unwrap();
        let submitted = submit(&node).await;
        assert!(call.elapsed() < 2 * LONGEST_CALL, "two calls took {:?}", call.elapsed());
        in_a_row = if (read.0, submitted) == (200, 201) { in_a_row + 1 } else { 0 };
        assert!(begun.elapsed() < REMADE, "not well after {:?}: {read:?}", begun.elapsed());
    }
    eprintln!("well after {:?}", begun.elapsed());
    let (_, task) = node.post("/api/tasks/submit?wait=10", json!({"type": "noop", "params": {}})).await.unwrap();
    assert_eq!(task["status"], "SUCCESS", "{task}");
}

async fn submit(node: &Node) -> u16 {
    let call = Instant::now();
    let (status, body): (u16, Value) =
        node.post("/api/tasks/submit", json!({"type": "noop", "params": {}})).await.unwrap();
    assert!(call.elapsed() < LONGEST_CALL, "{status} after {:?}: {body}", call.elapsed());
    status
}
