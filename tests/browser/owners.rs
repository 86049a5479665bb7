//! Two people with keys of two owners, and one who stays while the key is taken away.

use crate::support::on_both_databases;
use crate::support::page::Page;
use crate::support::protocol::PATIENCE;
use crate::support::stage::{Stage, endless, failing, later, noop};
use serde_json::{Value, json};

on_both_databases![Stage: two_clients_never_see_each_other];

async fn two_clients_never_see_each_other(mut stage: Stage) {
    let admin = key(&stage, None, "admin", "ops").await;
    let keys = [key(&stage, Some(&admin), "submit", "anna").await, key(&stage, Some(&admin), "submit", "bert").await];
    let bert = stage.chromium.window(&stage.node.url).await;
    let mut pages = [stage.page, bert];
    for (page, key) in pages.iter_mut().zip(&keys) {
        page.expect("401"); // a browser says so of each
        page.open("/tasks").await;
        sign_in(page, key).await;
        page.sees("main .empty", "No tasks yet").await;
        page.sees("#light-text", "Live").await;
    }
    let [anna, bert] = &mut pages;
    let mut ids = Vec::new();
    for (owner, key) in ["anna", "bert"].iter().zip(&keys) {
        // Together: what comes to a list that has rows already waits there until it is asked for.
        let tasks = json!({ "tasks": [noop(&format!("{owner} ends")), endless(&format!("{owner} runs"))] });
        let made = say(&stage.node.http, &stage.node.url, "/api/tasks/batch", key, tasks).await;
        ids.extend(made["tasks"].as_array().unwrap().iter().map(|task| task["id"].as_str().unwrap().to_owned()));
    }
    // Each list fills by itself, with one's own.
    for (owner, page) in [("anna", &mut *anna), ("bert", &mut *bert)] {
        let rows = "JSON.stringify(all('task-table tbody td.task a span').map(words).sort())";
        let own = json!([format!("{owner} ends"), format!("{owner} runs")]).to_string();
        page.until("one's own tasks", &format!("{rows} === {}", json!(own))).await;
    }
    // Nor by another's address, in figures, in news, or in searches.
    nothing_of(bert, "anna", "/").await;
    nothing_of(bert, "anna", "/notifications").await;
    nothing_of(bert, "anna", "/tasks?q=anna").await;
    nothing_of(bert, "anna", "/approvals").await;
    bert.go("/").await;
    bert.until("one task each", "words(one('.counts [data-status=RUNNING] .figure')) === '1'").await;
    bert.expect("404");
    bert.open(&format!("/tasks/{}", ids[1])).await;
    bert.sees("h1", "No such task").await;
    bert.expect("404");
    bert.open(&format!("/tasks/compare?a={}&b={}", ids[3], ids[1])).await;
    bert.sees("main [role=alert]", "No such task").await;
    let text = bert.js("return document.querySelector('main').textContent").await;
    assert!(!text.as_str().unwrap().contains("anna"), "{text}");
    anna.go(&format!("/tasks/{}", ids[1])).await;
    anna.sees("h1", "anna runs").await;

    // In bert's window anna signs in: nothing of bert is left.
    bert.go("/settings").await;
    bert.click("button", "Sign out").await;
    sign_in(bert, &keys[0]).await;
    bert.until("signed in", "!document.querySelector('#sign-in')?.open && one('h1')").await;
    nothing_of(bert, "bert", "/tasks").await;
    bert.sees("task-table a", "anna runs").await;
    for page in &mut pages {
        page.clean().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_can_only_read_is_shown_no_button_that_would_fail() {
    let mut stage = Stage::sqlite().await;
    let admin = key(&stage, None, "admin", "anna").await;
    let read = key(&stage, Some(&admin), "read", "anna").await;
    let (http, url) = (&stage.node.http, &stage.node.url);
    let mut ids = Vec::new();
    for task in [failing("fails"), later("waits")] {
        let made = say(http, url, "/api/tasks/submit?wait=2", &admin, task).await;
        ids.push(made["id"].as_str().unwrap().to_owned());
    }
    let page = &mut stage.page;
    page.expect("401");
    page.open("/").await;
    sign_in(page, &read).await;
    page.sees("section h2", "Failures by error").await;
    let paths = ["/".to_owned(), "/tasks".to_owned(), format!("/tasks/{}", ids[0]), format!("/tasks/{}", ids[1])];
    for path in paths {
        page.go(&path).await;
        if path == "/tasks" {
            page.click("[aria-label='Select all shown']", "").await;
            page.sees(".bulk", "2 tasks selected").await;
        }
        let none = "!all('main :is(button, a.button)').some((one) => /^(Submit|Retry|Cancel|Run again|Clone)/.test(words(one)))";
        page.until("nothing to press that would fail", none).await;
    }
    page.go("/submit").await;
    page.sees("main h2", "This key can only read").await;
    page.clean().await;
}

/// Nothing on this screen says this name.
async fn nothing_of(page: &mut Page, name: &str, path: &str) {
    page.go(path).await;
    let text = page
        .js("return document.querySelector('main').textContent + document.querySelector('toast-area').textContent")
        .await;
    // What one searched for oneself stands there.
    let text = text.as_str().unwrap().replace(&format!("search: {name}"), "");
    assert!(!text.contains(name), "{path}: {text}");
}

/// Gives the key that the page asks for.
pub async fn sign_in(page: &mut Page, key: &str) {
    page.until("a key is asked for", "document.querySelector('#sign-in')?.open").await;
    page.fill("Key", key).await;
    page.click("#sign-in button", "Sign in").await;
}

pub async fn key(stage: &Stage, admin: Option<&str>, role: &str, owner: &str) -> String {
    let body = json!({ "role": role, "owner": owner });
    let made = say(&stage.node.http, &stage.node.url, "/api/keys", admin.unwrap_or_default(), body).await;
    made["key"].as_str().unwrap_or_else(|| panic!("{made}")).to_owned()
}

pub async fn say(http: &reqwest::Client, url: &str, path: &str, key: &str, body: Value) -> Value {
    let request = http.post(format!("{url}{path}")).json(&body).timeout(PATIENCE);
    let request = if key.is_empty() { request } else { request.bearer_auth(key) };
    request.send().await.unwrap().json().await.unwrap()
}
