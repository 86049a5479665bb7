//! What is live: while one reads or is about to press something, what is new waits; and a line begins with what is known.

use crate::support::on_both_databases;
use crate::support::page::Page;
use crate::support::protocol::PATIENCE;
use crate::support::stage::{Stage, endless, later};
use serde_json::{Value, json};

on_both_databases![Stage: what_is_new_in_a_feed_waits_until_one_asks_for_it];

async fn what_is_new_in_a_feed_waits_until_one_asks_for_it(mut stage: Stage) {
    let ids = waiting(&mut stage, 5).await;
    for (path, rows, said, [first, new]) in [
        ("/activity", ".timeline li", "1 task cancelled", [&ids[0], &ids[1]]),
        ("/notifications", ".told", "task 2 was cancelled", [&ids[2], &ids[3]]),
    ] {
        stage.node.delete(&format!("/api/tasks/{first}")).await;
        let page = &mut stage.page;
        page.go(path).await;
        page.sees("#light-text", "Live").await;
        let row = format!("all({}).find((one) => words(one).includes({}))", json!(rows), json!(said));
        page.until("what was before", &format!("one('.news')?.click() || !!{row}")).await;
        let before = shown(page, rows).await;
        stage.node.delete(&format!("/api/tasks/{new}")).await;
        let page = &mut stage.page;
        page.sees(".news", "1 new – show").await;
        assert_eq!(shown(page, rows).await, before, "{path}");
        page.click(".news", "").await;
        page.until("it is shown", &format!("all({}).length === {}", json!(rows), before.len() + 1)).await;
        let held = page.js("return document.activeElement.closest('li') !== null && !one('.news')").await;
        assert_eq!(held, true, "{path}");
        page.clean().await;
    }

    // Over another screen too.
    let page = &mut stage.page;
    page.click("#bell", "").await;
    page.sees("#drawer .told", "task 3 was cancelled").await;
    page.until("it is as new as can be", "!one('#drawer').hasAttribute('aria-busy')").await;
    let before = shown(page, "#drawer .told").await;
    stage.node.delete(&format!("/api/tasks/{}", ids[4])).await;
    let page = &mut stage.page;
    page.sees("#drawer .news", "1 new – show").await;
    assert_eq!(shown(page, "#drawer .told").await, before);
    page.press("Escape").await;
    page.click("#bell", "").await;
    let there = "words(one('#drawer .told')).startsWith('task 4 was cancelled') && !one('#drawer .news')";
    page.until("it is there", there).await;
    page.clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_follows_the_activity_sees_it_at_once_and_is_remembered() {
    let mut stage = Stage::sqlite().await;
    let ids = waiting(&mut stage, 1).await;
    let page = &mut stage.page;
    page.go("/activity").await;
    page.click("label input", "").await;
    page.go("/activity").await;
    page.until("it is remembered", "one('label input').checked").await;
    page.sees("#light-text", "Live").await;
    stage.node.delete(&format!("/api/tasks/{}", ids[0])).await;
    let page = &mut stage.page;
    page.sees(".timeline strong", "1 task cancelled").await;
    page.clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_latest_does_not_move_under_who_is_about_to_open_it() {
    let mut stage = Stage::sqlite().await;
    stage.node.submit_many(vec![later("one"), later("two")]).await;
    let page = &mut stage.page;
    page.go("/").await;
    page.sees(".card li a", "one").await;
    let before = shown(page, ".card li a").await;
    page.js("one('.card li a').focus()").await;
    stage.node.submit(later("three")).await;
    let page = &mut stage.page;
    page.sees("h2 small", "newer ones wait").await;
    assert_eq!(shown(page, ".card li a").await, before);
    page.js("document.activeElement.blur()").await;
    page.sees(".card li a", "three").await;
    page.until("nothing waits", "!one('h2 small', 'newer')").await;
    page.clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_of_the_metrics_is_drawn_when_there_are_points_and_grows_from_the_right() {
    const WATCH: &str = "
        window.first = [];
        new MutationObserver(() => {
            const lines = [...document.querySelectorAll('.counts .spark path')].map((one) => /^M([\\d.]+)/.exec(one.getAttribute('d'))?.[1]);
            if (lines.length && !first.length) first = lines.map(Number);
            if (document.querySelector('.counts span.spark')?.textContent) window.said = document.querySelector('.counts span.spark').textContent;
        }).observe(document, { childList: true, subtree: true })";
    let mut stage = Stage::sqlite().await;
    let running = stage.node.submit(endless("runs")).await;
    stage.node.until(&running, PATIENCE, |task| task["status"] == "RUNNING").await;
    let page = &mut stage.page;
    page.call("Page.addScriptToEvaluateOnNewDocument", json!({ "source": WATCH })).await;
    page.go("/insights").await;
    page.until("a line is drawn", "first.length > 0").await;
    assert_eq!(page.js("return window.said").await, "collecting …");
    let first = page.js("return first").await;
    let first: Vec<f64> = first.as_array().unwrap().iter().filter_map(Value::as_f64).collect();
    assert!(!first.is_empty() && first.iter().all(|&x| x > 500.0), "{first:?}"); // of 600
    page.clean().await;
}

/// So many tasks that wait, once it is written down who submitted them.
async fn waiting(stage: &mut Stage, many: usize) -> Vec<String> {
    let ids = stage.node.submit_many((0..many).map(|n| later(&format!("task {n}"))).collect()).await;
    stage.page.go("/").await;
    let found = "(await (await fetch('/api/activity?action=task.submitted')).json()).activity.length > 0";
    stage.page.until("it is written down", found).await;
    ids
}

/// What is shown, by its keys, where it has some: times go on by themselves.
async fn shown(page: &mut Page, selector: &str) -> Vec<String> {
    let code = format!("return all({}).map((one) => one.dataset.key ?? words(one))", json!(selector));
    page.js(&code).await.as_array().unwrap().iter().map(|one| one.as_str().unwrap().to_owned()).collect()
}
