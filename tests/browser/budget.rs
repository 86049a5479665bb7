//! What the page may cost: bytes, and time of the processor.

use crate::support::page::Page;
use crate::support::protocol::PATIENCE;
use crate::support::stage::{Stage, later};
use serde_json::json;
use std::time::Duration;
use tokio::time::{Instant, interval, timeout_at};

const FIRST_LOAD: u64 = 120 * 1024;
const STYLES: u64 = 20 * 1024;
/// What a frame may take where 60 are drawn a second.
const FRAME: f64 = 0.016;
/// Seconds of work until a large result can be read: a fifth at most, on a machine that has nothing else to do.
const SHOWN: f64 = 0.5;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_load_is_at_most_120_kb() {
    let mut stage = Stage::sqlite().await;
    for path in ["/", "/submit"] {
        let mut page = stage.chromium.window(&stage.node.url).await;
        page.go(path).await;
        let mut loaded = page.loaded().await;
        while loaded.iter().any(|(url, bytes)| url.contains("/static/") && *bytes == 0) {
            loaded = page.loaded().await;
        }
        loaded.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
        let sum: u64 = loaded.iter().map(|(_, bytes)| bytes).sum();
        println!("{path}: {sum} bytes in {} answers", loaded.len());
        assert!(sum > 10_000 && sum <= FIRST_LOAD, "{path}: {sum} bytes: {loaded:#?}");
        page.clean().await;
    }
}

#[test]
fn all_styles_are_at_most_20_kb() {
    let folder = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/static")).unwrap();
    let files =
        folder.map(|entry| entry.unwrap()).filter(|entry| entry.path().extension().is_some_and(|is| is == "css"));
    let sizes: Vec<_> = files.map(|file| (file.file_name(), file.metadata().unwrap().len())).collect();
    let sum: u64 = sizes.iter().map(|(_, bytes)| bytes).sum();
    assert!(sum <= STYLES, "{sum} bytes: {sizes:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_of_500_rows_with_100_changes_a_second_leaves_time_for_each_frame() {
    const AT_ONCE: usize = 10;
    const ROUNDS: usize = 80;
    let mut stage = Stage::sqlite().await;
    let ids = stage.node.submit_many((0..500).map(|n| later(&format!("task {n}"))).collect()).await;
    let page = &mut stage.page;
    page.go("/tasks").await;
    for shown in (100..=500).step_by(50) {
        page.click("main button", "Load more").await;
        page.until("more rows", &format!("all('task-table tbody tr').length >= {shown}")).await;
    }
    page.js("window.frames_drawn = 0; (function draw() { window.frames_drawn += 1; requestAnimationFrame(draw) })()")
        .await;
    let (mut every, mut last, mut costs) = (interval(Duration::from_millis(100)), figures(page).await, Vec::new());
    every.tick().await;
    let until = Instant::now() + PATIENCE;
    for round in 0..ROUNDS {
        timeout_at(until, every.tick()).await.expect("100 changes a second can be made");
        let some: Vec<_> = (0..AT_ONCE).map(|n| &ids[(round / 2 * AT_ONCE + n) % ids.len()]).collect();
        let act = if round % 2 == 0 { "cancel" } else { "retry" };
        let (status, answer) = stage.node.post(&format!("/api/tasks/{act}"), json!({ "ids": some })).await.unwrap();
        assert_eq!((status, &answer["changed"]), (200, &json!(AT_ONCE)), "{answer}");
        let now = figures(page).await;
        if now.1 > last.1 {
            costs.push((now.0 - last.0) / (now.1 - last.1));
            last = now;
        }
    }
    costs.sort_by(f64::total_cmp);
    let [median, most, longest] = [50, 90, 99].map(|percent| costs[costs.len() * percent / 100]);
    println!("work a frame: p50 {:.1} ms, p90 {:.1} ms, p99 {:.1} ms", median * 1e3, most * 1e3, longest * 1e3);
    assert!(median < FRAME, "{costs:?}");
    page.until("the last changes", "all('task-table [data-status=PENDING]').length === 500").await;
    page.clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_result_of_a_megabyte_is_shown_at_once() {
    let mut stage = Stage::sqlite().await;
    let rows: Vec<_> =
        (0..7400).map(|n| json!({ "id": n, "city": "Rome", "note": "x".repeat(80), "of": [n, { "n": n }] })).collect();
    let params = json!({ "rows": rows });
    let bytes = params.to_string().len();
    assert!((900_000..1_048_576).contains(&bytes), "{bytes}");
    let id = stage.node.submit(json!({ "type": "noop", "name": "large", "params": params })).await;
    stage.node.until(&id, PATIENCE, |task| task["status"] == "SUCCESS").await;
    let page = &mut stage.page;
    page.go("/tasks").await;
    let (before, _) = figures(page).await;
    page.click("task-table a", "large").await;
    page.sees("h1", "large").await;
    page.settled().await;
    page.sees("json-view summary", "rows").await;
    let work = figures(page).await.0 - before;
    println!("work until a result of {bytes} bytes is shown: {:.0} ms", work * 1e3);
    assert!(work < SHOWN, "{work} s");
    page.clean().await;
}

/// Seconds that the window's thread has worked, and frames that it has drawn.
async fn figures(page: &mut Page) -> (f64, f64) {
    let frames = page.js("return window.frames_drawn ?? 0").await.as_f64().unwrap();
    let metrics = page.call("Performance.getMetrics", json!({})).await;
    let metrics = metrics["metrics"].as_array().unwrap();
    let work = metrics.iter().find(|one| one["name"] == "TaskDuration").unwrap();
    (work["value"].as_f64().unwrap(), frames)
}
