//! Another Postgres becomes the primary. With a synchronous standby nothing that was acknowledged is lost.

use super::caller::{Callers, call};
use super::{BACK, NODE, alone, seed, works};
use crate::support::node::{Home, Node};
use crate::support::postgres::Server;
use crate::support::proxy::Proxy;
use serde_json::json;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

const PATIENCE: Duration = Duration::from_secs(20);
/// The node meets the standby for so long before it is promoted.
const STANDBY: Duration = Duration::from_secs(2);

/// A primary, its standby, and the address of the primary.
async fn pair() -> (Server, Server, Proxy) {
    let primary = Server::start(&[]).await;
    let standby = primary.synchronous_standby().await;
    let proxy = Proxy::before(primary.port).await;
    (primary, standby, proxy)
}

/// The standby is the primary now; answers when.
async fn take_over(standby: &Server, proxy: &Proxy) -> Instant {
    standby.promote().await;
    proxy.lead_to(standby.port);
    Instant::now()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failover_loses_nothing_that_was_acknowledged_and_work_goes_on_within_five_seconds() {
    let _alone = alone().await;
    let (primary, standby, proxy) = pair().await;
    let home = Home::at(primary.url(proxy.port));
    let (node, other) = (home.start(NODE), home.start(NODE));
    let callers = Arc::new(Callers::new(vec![node.url.clone(), other.url.clone()]));
    let (stop, mut clients, seed) = (CancellationToken::new(), JoinSet::new(), seed());
    for number in 0..10 {
        clients.spawn(call(callers.clone(), seed, number, stop.clone()));
    }
    node.until_count("SUCCESS", 20, PATIENCE).await;

    primary.stop().await;
    let before = callers.acknowledged();
    // Whoever leads the address is early: the standby can only be read.
    proxy.lead_to(standby.port);
    for node in [&node, &other] {
        node.until_status("/api/ready", 503, BACK).await;
    }
    let looks = proxy.made("look");
    sleep(STANDBY).await;
    assert!(proxy.made("look") > looks, "nobody has looked at the standby");
    assert_eq!(node.status("/api/ready").await, 503, "{}", node.log());
    let back = take_over(&standby, &proxy).await;
    for node in [&node, &other] {
        node.until_status("/api/ready", 200, BACK.saturating_sub(back.elapsed())).await;
    }
    let done = node.get("/api/stats").await["by_status"]["SUCCESS"].as_u64().unwrap();
    node.until_count("SUCCESS", done + 10, BACK.saturating_sub(back.elapsed())).await;
    eprintln!("work goes on {:?} after there is a primary", back.elapsed());

    sleep(STANDBY).await;
    stop.cancel();
    while let Some(client) = clients.join_next().await {
        client.unwrap();
    }
    for status in ["PENDING", "RUNNING"] {
        none_is(&node, status).await;
    }
    assert!(callers.acknowledged() > before, "nothing was acknowledged afterwards");
    callers.history.check(&callers.changes(&node.url).await).is_clean(&["told yes", "started"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_primary_that_was_made_read_only_is_left_for_the_new_one_by_reads_too() {
    let _alone = alone().await;
    let (primary, standby, proxy) = pair().await;
    let home = Home::at(primary.url(proxy.port));
    // The one without places writes nothing: only its look at what is due can tell.
    let (node, reader) = (home.start(NODE), home.start(&["--workers", "0"]));
    works(&node, PATIENCE).await;
    for node in [&node, &reader] {
        // Every connection for reads is there.
        futures_util::future::join_all((0..40).map(|_| node.status("/api/tasks"))).await;
    }
    let listens = proxy.made("listen");

    // Every connection stays where it is; only new ones lead to the new one.
    primary.say("ALTER SYSTEM SET default_transaction_read_only = on").await;
    primary.say("SELECT pg_reload_conf()").await;
    let back = take_over(&standby, &proxy).await;
    works(&node, BACK).await;
    let id = node.submit(json!({"type": "noop", "params": {}})).await;
    let path = format!("/api/tasks/{id}");
    for node in [&node, &reader] {
        node.until_status(&path, 200, BACK.saturating_sub(back.elapsed())).await;
        let all = futures_util::future::join_all((0..40).map(|_| node.status(&path))).await;
        assert!(all.iter().all(|status| *status == 200), "some still read from the old one: {all:?}");
    }
    eprintln!("all read from the new primary {:?} after it was there", back.elapsed());
    proxy.until_made("listen", listens + 2, BACK).await;
}

async fn none_is(node: &Node, status: &str) {
    let begun = Instant::now();
    while node.get("/api/stats").await["by_status"][status] != 0 {
        assert!(begun.elapsed() < PATIENCE, "some stay {status}");
        sleep(Duration::from_millis(50)).await;
    }
}
