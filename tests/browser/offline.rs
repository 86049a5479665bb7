//! A server that goes away and comes back, and a network that is slow.

use crate::support::node::Node;
use crate::support::on_both_databases;
use crate::support::protocol::PATIENCE;
use crate::support::stage::{Stage, endless, failing, killed, later, noop};
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
    let port = killed(&mut stage.node).await;
    page.sees("#light-text", "Offline since").await;
    page.sees("task-table a", "from before").await;

    // What was not loaded yet comes once it can.
    page.expect("Failed to fetch dynamically imported module");
    page.press("?").await;
    page.sees(".toast strong", "Not loaded").await;
    page.click(".rail a", "Metrics").await;
    page.sees("main h1", "This screen did not load").await;
    page.sees("main .notice strong", "The server does not answer").await;

    stage.node = Node::start_on(port, stage.home.command_on(port, &["--workers", "4"]));
    stage.node.until_status("/api/ready", 200, PATIENCE).await;
    page.sees("main h1", "Metrics").await;
    page.press("?").await;
    page.sees("#help h2", "Keys").await;
    page.press("Escape").await;
    page.js("history.back()").await;
    // What comes before the list was read stands in it at once.
    page.sees("task-table a", "from before").await;
    stage.node.submit(noop("from after")).await;
    page.sees("#light-text", "Live").await;
    page.click(".news", "1 new").await;
    page.sees("task-table a", "from after").await;
    page.sees("task-table a", "from before").await;
    page.clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_screen_keeps_what_it_shows_while_the_server_is_away_and_goes_on_by_itself() {
    let mut stage = Stage::sqlite().await;
    let held = |name: &str| json!({ "type": "noop", "name": name, "params": {}, "needs_approval": true });
    let id = stage.node.submit(noop("before")).await;
    stage.node.until(&id, PATIENCE, |task| task["status"] == "SUCCESS").await;
    let waits = stage.node.submit(later("waits")).await;
    stage.node.submit(held("held before")).await;
    let task = format!("/tasks/{waits}");
    let compare = format!("/tasks/compare?a={id}&b={waits}");
    let new = "/^\\d+ new/.test(words(one('.news')))";
    // Where one is, what is there all the time, and what comes by itself afterwards.
    let screens = [
        ("/", "one('.counts [data-status=SUCCESS] .figure', '1')", "one('.counts [data-status=SUCCESS] .figure', '2')"),
        ("/tasks", "one('task-table a', 'before')", "one('.news', '2 new')"),
        (&task, "one('main status-badge', 'Pending')", "one('main status-badge', 'Cancelled')"),
        ("/submit?type=noop", "one('.type-cards a', 'noop')", "one('.type-cards a', 'noop')"),
        ("/approvals", "one('.feed a', 'held before')", "one('.feed a', 'held after')"),
        ("/insights", "one('main h2', 'Throughput')", "one('main p', 'Live, every second')"),
        ("/activity", "one('.timeline strong', 'Node started')", new),
        ("/notifications", "one('.told', 'before has succeeded')", new),
        (&compare, "one('th a', 'before')", "one('th status-badge', 'Cancelled')"),
        ("/settings", "one('main dd', '0.')", "one('main dd', '0.')"),
        ("/docs", "one('main .path', '/api/tasks/submit')", "one('main .path', '/api/tasks/submit')"),
    ];
    let mut pages = Vec::new();
    for (path, there, _) in screens {
        let mut page = stage.chromium.window(&stage.node.url).await;
        page.go(path).await;
        page.until(there, &format!("!!{there}")).await;
        page.sees("#light-text", "Live").await;
        page.clean().await;
        for said in ["net::ERR_", "WebSocket connection to", "503"] {
            page.expect(said);
        }
        pages.push(page);
    }
    let port = killed(&mut stage.node).await;
    for (page, (path, there, _)) in pages.iter_mut().zip(screens) {
        page.until(path, "/^Offline since \\d\\d:\\d\\d$/.test(words(one('#light-text')))").await;
        page.until(path, &format!("!!{there} && !one('main .skeleton')")).await;
    }
    stage.node = Node::start_on(port, stage.home.command_on(port, &["--workers", "4"]));
    stage.node.until_status("/api/ready", 200, PATIENCE).await;
    stage.node.submit(noop("after")).await;
    stage.node.submit(held("held after")).await;
    stage.node.delete(&format!("/api/tasks/{waits}")).await;
    for (page, (path, _, after)) in pages.iter_mut().zip(screens) {
        page.sees("#light-text", "Live").await;
        page.until(path, &format!("!!{after} && !one('main [role=alert]')")).await;
        page.until("nothing is lost any more", "!one('[data-lost]')").await;
        page.clean().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_slow_network_nothing_is_said_that_is_not_known_yet() {
    // What is said while a screen fills; and whether it says at all that it does.
    const WATCH: &str = "
        window.said = new Set();
        const look = () => {
            for (const one of document.querySelectorAll('main :is(.figure, .empty h2, .tabs .count)')) said.add(one.textContent.trim());
            if (document.querySelector('main :is(.skeleton, .unknown)')) said.add('skeleton');
        };
        new MutationObserver(look).observe(document, { childList: true, subtree: true, characterData: true });";
    let mut stage = Stage::sqlite().await;
    let held = json!({ "type": "noop", "name": "held", "params": {}, "needs_approval": true });
    stage.node.submit_many(vec![noop("ended"), failing("failed"), endless("runs"), held]).await;
    let cancelled = stage.node.submit(later("cancelled")).await;
    stage.node.delete(&format!("/api/tasks/{cancelled}")).await;
    for (status, many) in [("SUCCESS", 1), ("FAILED", 1), ("RUNNING", 1), ("CANCELLED", 1), ("PENDING", 1)] {
        stage.node.until_count(status, many, PATIENCE).await;
    }
    let page = &mut stage.page;
    let slow = json!({ "offline": false, "latency": 400, "downloadThroughput": 50_000, "uploadThroughput": 20_000 });
    page.call("Network.emulateNetworkConditions", slow).await;
    page.call("Page.addScriptToEvaluateOnNewDocument", json!({ "source": WATCH })).await;
    page.open("/").await;
    for (name, there) in [
        ("Overview", "one('.counts [data-status=SUCCESS] .figure', '1')"),
        ("Tasks", "all('task-table tbody tr').length === 5 && one('.tabs [data-status=FAILED]', '1')"),
        ("Approvals", "one('.feed a', 'held')"),
        ("Activity", "one('.timeline strong')"),
        ("Metrics", "one('main h2', 'Throughput')"),
    ] {
        page.until("the way there", &format!("document.readyState === 'complete' && !!one('.rail a', '{name}')")).await;
        page.js("said.clear()").await;
        page.click(".rail a", name).await;
        page.until(there, &format!("!!({there})")).await;
        page.settled().await;
        let said = page.js("return [...said]").await;
        let said: Vec<_> = said.as_array().unwrap().iter().map(|one| one.as_str().unwrap()).collect();
        let false_ones = said.iter().filter(|one| **one == "0" || one.starts_with("No"));
        assert_eq!(false_ones.count(), 0, "{name}: {said:?}");
        assert!(name == "Overview" || said.contains(&"skeleton"), "{name}: {said:?}");
    }
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
