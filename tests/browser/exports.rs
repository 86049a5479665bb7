//! What one takes along: how much it will be, that it is all that is shown, and that it can be stopped.

use crate::list::MARKUP;
use crate::support::on_both_databases;
use crate::support::page::Page;
use crate::support::protocol::PATIENCE;
use crate::support::stage::{Stage, later, noop};
use serde_json::{Value, json};
use std::collections::HashSet;

on_both_databases![
    Stage: an_export_says_how_much_it_is_and_holds_what_the_list_shows,
    an_export_can_be_stopped_and_then_leaves_nothing,
];

async fn an_export_says_how_much_it_is_and_holds_what_the_list_shows(mut stage: Stage) {
    let names = ["=1+1", "@cmd", "+1", "-1", "\"quoted\", twice", "two\nlines", MARKUP];
    let tagged = |name: &str| {
        let mut task = noop(name);
        task["tags"] = json!(["take"]);
        task
    };
    stage.node.submit_many(names.map(tagged).into_iter().chain([noop("not of it")]).collect()).await;
    stage.node.submit_many((0..100).map(|n| noop(&format!("many {n}"))).collect()).await;
    stage.node.until_count("SUCCESS", 108, PATIENCE).await;
    let held = json!({ "type": "noop", "name": "held", "params": { "sum": 7 }, "needs_approval": true });
    stage.node.submit(held).await;
    let page = &mut stage.page;
    page.go("/tasks?tag=take&status=SUCCESS").await;
    page.until("all rows", "all('task-table tbody tr').length === 7").await;
    let shown = page.js("return all('task-table tbody td.task a span').map((one) => one.textContent).sort()").await;
    let text = taken(page, "NDJSON", "7 tasks, ").await;
    let named = |line: &str| serde_json::from_str::<Value>(line).unwrap()["name"].as_str().unwrap().to_owned();
    let mut lines: Vec<String> = text.lines().map(named).collect();
    lines.sort();
    assert_eq!(json!(lines), shown);
    let table = taken(page, "CSV", "7 tasks, ").await;
    for cell in [",'=1+1,", ",'@cmd,", ",'+1,", ",'-1,", ",\"\"\"quoted\"\", twice\",", ",\"two\nlines\","] {
        assert!(table.contains(cell), "{cell} in {table}");
    }
    assert!(!table.contains("not of it"), "{table}");

    let submitted = "(await (await fetch('/api/activity?action=task.submitted')).json()).activity.reduce((sum, { count }) => sum + count, 0)";
    page.until("all is written down", &format!("{submitted} === 109")).await;
    page.go("/activity?category=task").await;
    let shown = page.js("return all('.timeline li').length").await.as_u64().unwrap() as usize;
    let said = if shown == 1 { "1 entry, ".to_owned() } else { format!("{shown} entries, ") };
    assert_eq!(taken(page, "NDJSON", &said).await.lines().count(), shown);
    assert_eq!(taken(page, "CSV", &said).await.lines().count(), shown + 1);

    // What the server does not export itself is read page by page.
    page.go("/notifications").await;
    let lines = taken(page, "NDJSON", "108 notifications, ").await;
    let titles: HashSet<_> =
        lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["title"].to_string()).collect();
    assert!(lines.lines().count() == 108 && titles.len() == 108, "{lines}");
    let table = taken(page, "CSV", "108 notifications, ").await;
    assert!(table.starts_with("id,kind,level,title,task_id,task_name,task_type,"), "{table}");
    assert!(
        table.contains(",'=1+1 has succeeded,") && table.contains(",\"\"\"quoted\"\", twice has succeeded\","),
        "{table}"
    );
    page.go("/approvals").await;
    assert!(taken(page, "CSV", "1 task, ").await.contains(",\"{\"\"sum\"\":7}\","));
    page.clean().await;
}

async fn an_export_can_be_stopped_and_then_leaves_nothing(mut stage: Stage) {
    const MANY: usize = 1_000;
    stage.node.submit_many((0..MANY).map(|n| later(&format!("task {n} {}", "x".repeat(150)))).collect()).await;
    let page = &mut stage.page;
    page.go("/tasks").await;
    page.until("they are counted", "!!one('.tabs .count', '1,000')").await;
    page.js(KEEP).await;
    page.click(".head button", "Export").await;
    page.sees("dialog [role=status]", "1,000 tasks now, about ").await;
    let slow =
        |bytes: i64| json!({ "offline": false, "latency": 0, "downloadThroughput": bytes, "uploadThroughput": bytes });
    page.call("Network.emulateNetworkConditions", slow(30_000)).await;
    page.click("dialog button", "Export").await;
    page.until("how far it is", "/^\\d+ of 1,000 · /.test(words(one('.toast.progress p')))").await;
    for _ in 0..6 {
        page.click(".head button", "Copy as curl").await; // what others say does not push it out
    }
    page.click(".toast.progress button", "Stop").await;
    page.sees(".toast strong", "Export stopped").await;
    assert_eq!(page.js("return window.kept").await, Value::Null);
    page.call("Network.emulateNetworkConditions", slow(-1)).await;
    page.until("it is over", "!one('.toast.progress')").await;
    page.clean().await;
}

/// What would be written to the disk is kept in the window.
const KEEP: &str = "
    window.kept = null;
    URL.createObjectURL = (blob) => ((window.kept = blob), 'blob:kept');
    addEventListener('click', (event) => event.target.closest?.('a[download]') && event.preventDefault(), true)";

/// What the export in this format brings, whose dialog begins to say so much of it.
async fn taken(page: &mut Page, format: &str, said: &str) -> String {
    page.js(KEEP).await;
    page.click(".head button", "Export").await;
    page.click(&format!("dialog .segments input[value={}]", format.to_lowercase()), "").await;
    page.sees("dialog [role=status]", said).await;
    page.click("dialog button", "Export").await;
    page.until("it is complete", "!!window.kept").await;
    page.sees(".toast.success", "").await;
    page.js("return window.kept.text()").await.as_str().unwrap().to_owned()
}
