//! One socket for all tabs of a browser.

use crate::owners::{key, say, sign_in};
use crate::support::on_both_databases;
use crate::support::page::Page;
use crate::support::protocol::PATIENCE;
use crate::support::stage::{Stage, noop};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tokio::time::sleep;

on_both_databases![Stage: tabs_share_one_socket_and_the_next_one_takes_it_over];

/// Writes down what a tab hears of the ends of tasks.
const LISTEN: &str = "
    const name = (await navigator.locks.query()).held[0].name;
    window.ended = [];
    window.spy = new BroadcastChannel(name);
    window.spy.onmessage = ({ data }) => data.frame?.type === 'taskFinished' && window.ended.push(data.frame.task.name)";

async fn tabs_share_one_socket_and_the_next_one_takes_it_over(mut stage: Stage) {
    stage.node.submit(noop("from before")).await;
    let mut tabs = vec![stage.chromium.beside(&stage.page).await, stage.chromium.beside(&stage.page).await];
    for page in [&mut stage.page].into_iter().chain(&mut tabs) {
        page.go("/tasks").await;
        page.sees("#light-text", "Live").await;
    }
    let [second, third] = &mut tabs[..] else { unreachable!() };
    let first = leader(second, &Value::Null, 2).await;
    sockets(&stage, 1).await;
    for page in [&mut *second, &mut *third] {
        page.js(LISTEN).await;
    }
    stage.node.submit(noop("for all")).await;
    for page in [&mut *second, &mut *third] {
        page.until("the others are told", "window.ended.includes('for all')").await;
        page.click(".news", "1 new").await;
        page.sees("task-table a", "for all").await;
    }

    // Whoever has it is closed: the next one has it then, and the last one hears by it.
    stage.page.clean().await;
    stage.page.call("Page.close", json!({})).await;
    let next = leader(third, &first, 1).await;
    sockets(&stage, 1).await;
    second.sees("#light-text", "Live").await;
    third.sees("#light-text", "Live").await;
    stage.node.submit(noop("after it was closed")).await;
    third.until("it is told on", "window.ended.includes('after it was closed')").await;
    for page in [&mut *second, &mut *third] {
        page.click(".news", "1 new").await;
        page.sees("task-table a", "after it was closed").await;
    }

    // It stands still: the last one notices, and takes over.
    second.call("Debugger.enable", json!({})).await;
    second.call("Debugger.pause", json!({})).await;
    leader(third, &next, 0).await;
    third.sees("#light-text", "Live").await;
    second.call("Debugger.resume", json!({})).await;
    second.call("Debugger.disable", json!({})).await;
    sockets(&stage, 1).await;
    stage.node.submit(noop("at last")).await;
    for page in [&mut *second, &mut *third] {
        page.click(".news", "1 new").await;
        page.sees("task-table a", "at last").await;
        page.clean().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tabs_of_another_owner_hear_nothing_of_the_first_one() {
    let mut stage = Stage::sqlite().await;
    let admin = key(&stage, None, "admin", "ops").await;
    let keys = [key(&stage, Some(&admin), "submit", "anna").await, key(&stage, Some(&admin), "submit", "bert").await];
    let mut tab = stage.chromium.beside(&stage.page).await;
    for page in [&mut stage.page, &mut tab] {
        page.expect("401"); // a browser says so of each
        page.open("/tasks").await;
    }
    sign_in(&mut stage.page, &keys[0]).await;
    for page in [&mut stage.page, &mut tab] {
        page.sees("main .empty", "No tasks yet").await;
        page.sees("#light-text", "Live").await;
    }
    tab.js(LISTEN).await;
    // In one tab bert signs in: the other one is his as well, and anna's channel is nobody's.
    stage.page.go("/settings").await;
    stage.page.click("button", "Sign out").await;
    sign_in(&mut stage.page, &keys[1]).await;
    tab.until("it begins anew", "window.ended === undefined && one('main .empty', 'No tasks yet')").await;
    tab.sees("#light-text", "Live").await;
    let names = tab.js("return (await navigator.locks.query()).held.map(({ name }) => name)").await;
    assert!(names.as_array().unwrap().len() == 1 && names[0].as_str().unwrap().ends_with(" bert"), "{names}");
    tab.js(LISTEN).await;
    for (owner, key) in ["anna", "bert"].iter().zip(&keys) {
        say(&stage.node.http, &stage.node.url, "/api/tasks/submit", key, noop(&format!("{owner} ends"))).await;
    }
    let tabs = [&mut stage.page, &mut tab];
    for page in tabs {
        page.go("/tasks").await;
        page.sees("task-table a", "bert ends").await;
        page.until("nothing of anna", "!document.body.textContent.includes('anna')").await;
        page.clean().await;
    }
}

/// Who has the lock, once it is another one than before, and so many wait for it.
async fn leader(page: &mut Page, before: &Value, waiting: u64) -> Value {
    const LOCKS: &str = "const { held, pending } = await navigator.locks.query();
        return [held[0]?.clientId, pending.length, held.length]";
    let began = Instant::now();
    loop {
        let locks = page.js(LOCKS).await;
        if locks[0].is_string() && locks[0] != *before && locks[1] == waiting && locks[2] == 1 {
            return locks[0].clone();
        }
        assert!(began.elapsed() < PATIENCE, "{locks}");
        sleep(Duration::from_millis(25)).await;
    }
}

/// Waits until the node has so many sockets.
async fn sockets(stage: &Stage, wanted: u64) {
    let began = Instant::now();
    let line = format!("errand_sockets {wanted}");
    loop {
        let text =
            stage.node.http.get(format!("{}/metrics", stage.node.url)).send().await.unwrap().text().await.unwrap();
        if text.lines().any(|one| one == line) {
            return;
        }
        assert!(began.elapsed() < PATIENCE, "not {wanted} sockets: {text}");
        sleep(Duration::from_millis(25)).await;
    }
}
