//! A server that goes away and comes back, and a network that is slow.

use crate::support::node::Node;
use crate::support::on_both_databases;
use crate::support::protocol::PATIENCE;
use crate::support::stage::{Stage, later, noop};
use serde_json::json;

on_both_databases![Stage: a_server_that_is_away_is_said_so_and_what_it_did_is_there_once_it_is_back];

async fn a_server_that_is_away_is_said_so_and_what_it_did_is_there_once_it_is_back(mut stage: Stage) {
    stage.node.submit(later("from before")).await;
    let page = &mut stage.page;
    page.go("/tasks").await;
    page.sees("#light-text", "Live").await;
    page.clean().await;

    // A browser says of each call that it did not get through.
    page.expect("net::ERR_");
    page.expect("WebSocket connection to");
    page.expect("503"); // while it starts
    let port: u16 = stage.node.url.rsplit(':').next().unwrap().parse().unwrap();
    stage.node.signal("KILL");
    stage.node.ended(PATIENCE).await;
    page.sees("#light-text", "Offline since").await;
    page.sees("task-table a", "from before").await;

    stage.node = Node::start_on(port, stage.home.command_on(port, &["--workers", "4"]));
    stage.node.until_status("/api/ready", 200, PATIENCE).await;
    stage.node.submit(noop("from after")).await;
    page.sees("#light-text", "Live").await;
    page.click(".news", "1 new").await;
    page.sees("task-table a", "from after").await;
    page.sees("task-table a", "from before").await;
    page.clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_slow_network_a_second_click_submits_nothing_twice() {
    let mut stage = Stage::sqlite().await;
    let page = &mut stage.page;
    page.go("/submit?type=noop").await;
    page.sees(".submit-row [role=status]", "Ready to submit").await;
    let slow = json!({ "offline": false, "latency": 400, "downloadThroughput": 50_000, "uploadThroughput": 20_000 });
    page.call("Network.emulateNetworkConditions", slow).await;
    page.js("const submit = one('button', 'Submit and watch'); submit.click(); submit.click()").await;
    stage.shown(|task| task["status"] == "SUCCESS").await;
    let page = &mut stage.page;
    page.sees("main status-badge", "Success").await;
    assert_eq!(stage.node.get("/api/stats").await["by_status"]["SUCCESS"], 1);
    page.go("/tasks").await;
    page.until("one row", "all('task-table tbody tr').length === 1").await;
    page.clean().await;
}
