//! What is submitted while the server does not answer: kept, shown, and sent once.

use crate::hostile::FOUND;
use crate::support::node::Node;
use crate::support::on_both_databases;
use crate::support::page::Page;
use crate::support::protocol::PATIENCE;
use crate::support::stage::{Stage, killed};
use serde_json::{Value, json};

on_both_databases![Stage:
    what_is_submitted_while_the_server_is_away_waits_and_is_sent_by_priority_once_it_is_back,
    what_the_server_took_and_did_not_answer_is_not_run_twice,
];

const MARKUP: &str = "<img src=x onerror=\"window.hit=1;alert(1)\">";

/// Notes each submit that leaves the page as `[name, key]`, and loses the answers of the first ones.
fn watch(lost: usize) -> String {
    format!(
        "const real = window.fetch;
         window.sent = [];
         window.fetch = async (url, how) => {{
             const submit = how?.method === 'POST' && String(url).endsWith('/api/tasks/submit');
             if (submit) sent.push([JSON.parse(how.body).name, how.headers['idempotency-key']]);
             const lost = submit && sent.length <= {lost};
             const answer = await real(url, how);
             if (lost) throw new TypeError('the answer was lost');
             return answer;
         }}"
    )
}

async fn what_is_submitted_while_the_server_is_away_waits_and_is_sent_by_priority_once_it_is_back(mut stage: Stage) {
    let page = &mut stage.page;
    page.go("/submit?type=noop").await;
    page.sees(".submit-row [role=status]", "Ready to submit").await;
    page.until("the outbox, before it is needed", "!!document.querySelector('#outbox-open')").await;
    page.sees("#light-text", "Live").await;
    page.expect("net::ERR_");
    page.expect("WebSocket connection to");
    page.expect("503"); // while it starts
    let port = killed(&mut stage.node).await;
    page.sees("#light-text", "Offline since").await;
    for (at, (name, priority)) in [("low", -5), ("high", 50), ("not at all", 1), (MARKUP, 7)].iter().enumerate() {
        submit(page, json!({ "type": "noop", "name": name, "priority": priority, "params": {} })).await;
        page.sees("#outbox-open", &format!("{} in the outbox", at + 1)).await;
    }
    page.click("#outbox-open", "").await;
    entries_are(page, &["high", MARKUP, "not at all", "low"]).await;
    page.click("#outbox button", "Pause").await;
    page.click("#outbox button", "Cancel not at all").await;
    entries_are(page, &["high", MARKUP, "low"]).await;
    assert_eq!(page.js(FOUND).await, json!([]));

    stage.node = Node::start_on(port, stage.home.command_on(port, &["--workers", "4"]));
    stage.node.until_status("/api/ready", 200, PATIENCE).await;
    page.sees("#light-text", "Live").await;
    page.go("/tasks").await; // the document is another one
    page.sees("#outbox-open", "3 in the outbox, paused").await;
    page.sees("main .empty", "No tasks yet").await;
    page.js(&watch(0)).await;
    page.click("#outbox-open", "").await;
    entries_are(page, &["high", MARKUP, "low"]).await;
    page.click("#outbox button", "Go on").await;
    page.sees("#outbox .empty", "The outbox is empty").await;
    let sent = page.js("return sent").await;
    let names: Vec<_> = sent.as_array().unwrap().iter().map(|one| &one[0]).collect();
    assert_eq!(names, ["high", MARKUP, "low"]);
    page.press("Escape").await;
    page.sees(".toast strong", "Submitted from the outbox").await;
    page.until("nothing waits", "!one('#outbox-open')").await;
    stage.node.until_count("SUCCESS", 3, PATIENCE).await;
    assert_eq!(names_of(&stage.node).await, [MARKUP, "high", "low"]);
    assert_eq!(stage.page.js(FOUND).await, json!([]));
    stage.page.clean().await;
}

async fn what_the_server_took_and_did_not_answer_is_not_run_twice(mut stage: Stage) {
    let page = &mut stage.page;
    page.go("/submit?type=noop").await;
    page.sees(".submit-row [role=status]", "Ready to submit").await;
    page.js(&watch(2)).await;
    submit(page, json!({ "type": "noop", "name": "once", "params": {} })).await;
    page.sees(".toast strong", "Submitted from the outbox").await;
    page.until("nothing waits", "!one('#outbox-open')").await;
    let sent = page.js("return sent").await;
    let sent = sent.as_array().unwrap();
    assert!(sent.len() >= 3 && sent.iter().all(|one| *one == sent[0]) && sent[0][1].is_string(), "{sent:?}");
    page.clean().await;
    stage.node.until_count("SUCCESS", 1, PATIENCE).await;
    assert_eq!(names_of(&stage.node).await, ["once"]);
}

/// Writes the request and submits it, when the button may be pressed.
async fn submit(page: &mut Page, request: Value) {
    page.fill("As JSON", &request.to_string()).await;
    page.click(".submit-row button", "Submit").await;
}

async fn entries_are(page: &mut Page, names: &[&str]) {
    let rows = "JSON.stringify(all('#outbox li strong').map(words))";
    page.until(&format!("the entries {names:?}"), &format!("{rows} === {}", json!(json!(names).to_string()))).await;
}

/// The names of all tasks there are, in the order of the alphabet.
async fn names_of(node: &Node) -> Vec<String> {
    let list = node.get("/api/tasks/").await;
    let name = |task: &Value| task["name"].as_str().unwrap().to_owned();
    let mut names: Vec<_> = list["tasks"].as_array().unwrap().iter().map(name).collect();
    names.sort();
    names
}
