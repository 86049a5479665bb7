//! Nothing jumps while a screen loads: what comes later finds its room kept.

use crate::support::page::{DESK, PHONE, Page, Size, TABLET};
use crate::support::protocol::PATIENCE;
use crate::support::stage::{Stage, endless, failing, noop};
use serde_json::json;

/// What a load may move: the share of the window that moves, times how far. 0.1 is what is commonly called good.
const MOVED: f64 = 0.05;
/// From the first byte of every answer on, so that the parts of a screen come one after the other.
const LATENCY_MS: u64 = 40;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_screen_moves_what_is_seen_while_it_loads() {
    let mut stage = Stage::sqlite().await;
    let mut paths: Vec<String> = [
        "/",
        "/tasks",
        "/submit",
        "/approvals",
        "/insights",
        "/insights?window=1h",
        "/activity",
        "/notifications",
        "/settings",
        "/docs",
    ]
    .map(str::to_owned)
    .into();
    let page = &mut stage.page;
    page.call("Page.addScriptToEvaluateOnNewDocument", json!({ "source": WATCH })).await;
    let slow = json!({ "offline": false, "latency": LATENCY_MS, "downloadThroughput": -1, "uploadThroughput": -1 });
    page.call("Network.emulateNetworkConditions", slow).await;
    let mut faults = Vec::new();
    for path in &paths {
        faults.extend(loads(page, DESK, path).await); // with nothing there
    }

    let node = &stage.node;
    let ended = node.submit(noop("one that ended")).await;
    let failed = node.submit(failing(&"W".repeat(200))).await;
    for id in [&ended, &failed] {
        node.until(id, PATIENCE, |task| !task["finished_at"].is_null()).await;
    }
    let running = node.submit(endless("one that runs")).await;
    node.until(&running, PATIENCE, |task| task["status"] == "RUNNING").await;
    let held = node.submit(json!({ "type": "noop", "name": "held", "params": {}, "needs_approval": true })).await;
    node.submit_many((0..60).map(|n| noop(&format!("task {n}"))).collect()).await;
    paths.extend([ended, failed, running, held].map(|id| format!("/tasks/{id}")));
    for size in [DESK, TABLET, PHONE] {
        stage.page.size(size).await;
        for path in &paths {
            faults.extend(loads(&mut stage.page, size, path).await);
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
    stage.page.clean().await;
}

/// Loads a screen anew; says what moved, where that is too much.
async fn loads(page: &mut Page, size: Size, path: &str) -> Option<String> {
    page.go(path).await;
    page.until("it is told live", "one('#light-text', 'Live')").await;
    if path.starts_with("/insights") {
        page.sees("main p", "Live, every second").await; // what the screen waits longest for
    }
    // What was drawn is told at the frame after.
    let moved = page
        .js("await new Promise((drawn) => requestAnimationFrame(() => setTimeout(drawn))); return window.moved")
        .await;
    let moved = moved.as_array().unwrap();
    let sum: f64 = moved.iter().map(|one| one["value"].as_f64().unwrap()).sum();
    println!("{path} at {}: {sum:.3}", size.0);
    (sum > MOVED).then(|| format!("{path} at {size:?} moved {sum:.3}: {}", json!(moved)))
}

/// Notes each shift that nobody asked for, and what moved from where to where.
const WATCH: &str = "
    window.moved = [];
    const box = ({ x, y, width, height }) => [x, y, width, height].map(Math.round).join(' ');
    const told = ({ node, previousRect, currentRect }) => `${(node?.outerHTML ?? node?.data ?? '').slice(0, 80)}: ${box(previousRect)} to ${box(currentRect)}`;
    new PerformanceObserver((list) => {
        for (const { value, hadRecentInput, sources } of list.getEntries()) {
            if (!hadRecentInput) window.moved.push({ value, sources: sources.map(told) });
        }
    }).observe({ type: 'layout-shift', buffered: true });
";
