//! Callers that hang up in the middle: what is acknowledged afterwards is on disk, and no connection is
//! left within a transaction of somebody who has gone.

use super::caller::Callers;
use super::{alone, seed};
use crate::support::node::{Home, Node};
use crate::support::postgres::Server;
use crate::support::proxy::{Proxy, To, Way};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::task::JoinSet;

/// Requests that are dropped, and so many at once.
const DROPPED: u64 = 1000;
const AT_ONCE: u64 = 25;
/// Submits afterwards.
const PLAIN: usize = 200;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_callers_that_hang_up_cost_nobody_else_a_task_on_postgres() {
    let _alone = alone().await;
    let server = Server::start(&[]).await;
    let proxy = Proxy::before(server.port).await;
    // Far away: every statement can be hung up on in the middle.
    proxy.way(To::Server, Way::Delay(Duration::from_millis(50)));
    proxy.way(To::Client, Way::Delay(Duration::from_millis(50)));
    let home = Home::at(server.url(proxy.port));
    let node = home.start(&["--workers", "2"]);
    let most = storm(&node, Some(&server)).await;
    assert!(most <= 14, "{most} sessions of one node");
    let acknowledged = plain_submits(&node).await;
    let idle = "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'";
    assert_eq!(server.ask(idle).await, 0);
    assert!(!server.log().contains("current transaction is aborted"), "{}", server.log());
    node.signal("KILL");
    let elsewhere = Home::at(server.url(server.port));
    are_there(&elsewhere.start(&["--workers", "0"]), &acknowledged).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_callers_that_hang_up_cost_nobody_else_a_task_on_sqlite() {
    let _alone = alone().await;
    let home = Home::sqlite();
    let mut node = home.start(&["--workers", "2"]);
    storm(&node, None).await;
    let acknowledged = plain_submits(&node).await;
    node.signal("KILL");
    node.ended(Duration::from_secs(5)).await;
    are_there(&home.start(&["--workers", "0"]), &acknowledged).await;
}

/// Drops requests of every kind at random instants; answers the most sessions the node had meanwhile.
async fn storm(node: &Node, server: Option<&Server>) -> i64 {
    // Far from its database a request takes 100 ms and more, else a few.
    let longest = if server.is_some() { 300_000 } else { 3_000 };
    let (seed, begun, hung_up) = (seed(), Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let known = node.submit(json!({"type": "noop", "params": {}})).await;
    let mut callers = JoinSet::new();
    for number in 0..AT_ONCE {
        let (http, url, known) = (node.http.clone(), node.url.clone(), known.clone());
        let (begun, hung_up) = (begun.clone(), hung_up.clone());
        callers.spawn(async move {
            let mut draw = StdRng::seed_from_u64(seed.wrapping_add(number));
            while begun.fetch_add(1, Relaxed) < DROPPED {
                let request = request(&mut draw, &http, &url, &known).send();
                let instant = Duration::from_micros(draw.random_range(0..longest));
                if tokio::time::timeout(instant, request).await.is_err() {
                    hung_up.fetch_add(1, Relaxed);
                }
            }
        });
    }
    let mut most = 0;
    while !callers.is_empty() {
        if let Some(server) = server {
            most = most.max(server.sessions().await);
        }
        let _ = tokio::time::timeout(Duration::from_millis(100), callers.join_next()).await;
    }
    let hung_up = hung_up.load(Relaxed);
    eprintln!("{hung_up} hung up, at most {most} sessions");
    assert!(hung_up > DROPPED / 10, "this run proves nothing: {hung_up} hung up");
    most
}

fn request(draw: &mut StdRng, http: &reqwest::Client, url: &str, known: &str) -> reqwest::RequestBuilder {
    let noop = json!({"type": "noop", "params": {"dropped": true}});
    let batch = json!({ "tasks": vec![noop.clone(); 20] });
    let submit = || http.post(format!("{url}/api/tasks/submit")).json(&noop);
    match draw.random_range(0..8) {
        0..3 => submit(),
        3 => submit().header("idempotency-key", format!("k{}", draw.random_range(0..50))),
        4 => http.post(format!("{url}/api/tasks/batch")).json(&batch),
        5 => http.get(format!("{url}/api/tasks/{known}/timeline")),
        6 => http.get(format!("{url}/api/tasks?limit=50")),
        _ => http.delete(format!("{url}/api/tasks/{known}")),
    }
}

/// The ids of tasks that were acknowledged to callers who waited.
async fn plain_submits(node: &Node) -> Vec<String> {
    let submits = (0..PLAIN).map(|n| node.submit(json!({"type": "noop", "name": format!("plain-{n}"), "params": {}})));
    futures_util::future::join_all(submits).await
}

async fn are_there(node: &Node, ids: &[String]) {
    let changes = Callers::new(vec![]).changes(&node.url).await;
    let queued = changes.iter().filter(|change| change["event"] == "queued");
    let there: std::collections::HashSet<&Value> = queued.map(|change| &change["task"]["id"]).collect();
    let lost: Vec<_> = ids.iter().filter(|id| !there.contains(&json!(id))).collect();
    assert!(lost.is_empty(), "{} of {} acknowledged tasks are lost: {lost:?}", lost.len(), ids.len());
}
