//! What people do, each way from its beginning to its end.

use crate::support::on_both_databases;
use crate::support::page::Page;
use crate::support::protocol::PATIENCE;
use crate::support::stage::{Stage, failing, later, noop};
use serde_json::json;

on_both_databases![Stage:
    a_task_is_submitted_watched_cancelled_and_retried,
    the_list_is_filtered_and_the_way_back_keeps_the_filter,
    many_tasks_are_cancelled_and_brought_back_at_once,
    a_task_shows_all_that_is_known_of_it,
    a_file_is_handed_over_in_the_form,
    an_approval_is_given_and_another_one_refused,
];

async fn a_task_is_submitted_watched_cancelled_and_retried(mut stage: Stage) {
    let page = &mut stage.page;
    page.go("/").await;
    page.click(".rail a", "Submit").await;
    page.click(".type-cards a", "email_sending").await;
    page.fill("Num emails", "100").await;
    page.fill("Delay per email", "5").await;
    page.sees(".submit-row [role=status]", "Ready to submit").await;
    page.click("button", "Submit and watch").await;
    let task = stage.shown(|task| task["status"] == "RUNNING").await;
    assert_eq!(task["params"]["num_emails"], 100);

    let page = &mut stage.page;
    page.sees("main status-badge", "Running").await;
    page.click(".actions button", "Cancel").await;
    page.click("#confirm button", "Cancel task").await;
    page.sees("main status-badge", "Cancelled").await;
    assert_eq!(stage.shown(|task| task["status"] == "CANCELLED").await["attempt"], 1);

    let page = &mut stage.page;
    page.click(".actions button", "Retry").await;
    page.sees("main status-badge", "Running").await;
    page.sees(".facts dd", "2 of 2").await;
    page.clean().await;
}

async fn the_list_is_filtered_and_the_way_back_keeps_the_filter(mut stage: Stage) {
    for task in [noop("alpha one"), noop("alpha two"), noop("beta"), failing("alpha fails")] {
        stage.node.submit(task).await;
    }
    stage.node.until_count("SUCCESS", 3, PATIENCE).await;
    stage.node.until_count("FAILED", 1, PATIENCE).await;
    let page = &mut stage.page;
    page.go("/tasks").await;
    rows_are(page, &["alpha fails", "alpha one", "alpha two", "beta"]).await;
    page.click(".tabs a", "Failed").await;
    rows_are(page, &["alpha fails"]).await;
    assert_eq!(page.path().await, "/tasks?status=FAILED");
    page.click(".tabs a", "All").await;
    rows_are(page, &["alpha fails", "alpha one", "alpha two", "beta"]).await;

    page.choose("Type", "noop").await;
    rows_are(page, &["alpha one", "alpha two", "beta"]).await;
    page.press("/").await;
    page.write("alpha").await;
    rows_are(page, &["alpha one", "alpha two"]).await;
    assert_eq!(page.path().await, "/tasks?type=noop&q=alpha");

    page.click("task-table a", "alpha one").await;
    page.sees("h1", "alpha one").await;
    page.js("history.back()").await;
    rows_are(page, &["alpha one", "alpha two"]).await;
    assert_eq!(page.js("return document.querySelector('#search input').value").await, "alpha");
    page.click(".chip", "search: alpha").await;
    rows_are(page, &["alpha one", "alpha two", "beta"]).await;
    page.clean().await;
}

async fn many_tasks_are_cancelled_and_brought_back_at_once(mut stage: Stage) {
    stage.node.submit_many(vec![later("first"), later("second"), later("third")]).await;
    let page = &mut stage.page;
    page.go("/tasks").await;
    page.click("[aria-label='Select all shown']", "").await;
    page.sees(".bulk", "3 tasks selected").await;
    page.click(".bulk button", "Cancel").await;
    page.click("#confirm button", "Cancel tasks").await;
    page.until("all are cancelled", "all('task-table [data-status=CANCELLED]').length === 3").await;
    page.click(".toast button", "Undo").await;
    page.until("all wait again", "all('task-table [data-status=PENDING]').length === 3").await;
    stage.node.until_count("PENDING", 3, PATIENCE).await;
    page.clean().await;
}

async fn a_task_shows_all_that_is_known_of_it(mut stage: Stage) {
    let table = "city,id\nRome,9007199254740993\nLima,2\n";
    let file = stage.node.uploaded("cities.csv", table.into()).await;
    let params = json!({ "file_id": file, "sort": ["city"] });
    let task = json!({ "type": "csv_processing", "name": "cities", "params": params, "tags": ["atlas"] });
    let id = stage.node.submit(task).await;
    stage.node.until(&id, PATIENCE, |task| task["status"] == "SUCCESS").await;
    let page = &mut stage.page;
    page.go("/tasks").await;
    page.click("task-table a", "cities").await;
    page.sees("h1", "cities").await;
    page.sees("main status-badge", "Success").await;
    page.sees(".facts .chip", "atlas").await;
    // More than a double holds: each digit is there.
    page.sees(".panel td", "9007199254740993").await;
    for (tab, selector, said) in [
        ("Attempts", ".panel", ""),
        ("Logs", ".log", ""),
        ("Timeline", ".timeline li", ""),
        ("Artifacts", ".files strong", "output.csv"),
    ] {
        page.click(".tabs a", tab).await;
        page.sees(selector, said).await;
        page.settled().await;
    }
    assert_eq!(page.path().await, format!("/tasks/{id}?tab=artifacts"));
    page.click("summary", "Preview of output.csv").await;
    page.sees(".preview td", "Lima").await;
    page.clean().await;
}

async fn a_file_is_handed_over_in_the_form(mut stage: Stage) {
    let file = stage.home.folder.path().join("cities & <b>.csv");
    std::fs::write(&file, "city,amount\nRome,12.5\nLima,7\n").unwrap();
    let page = &mut stage.page;
    page.go("/submit?type=csv_processing").await;
    page.click(".segments label", "Your own file").await;
    page.attach("schema-form input[type=file]", &file).await;
    page.sees(".uploads li", "cities & <b>.csv").await;
    page.sees(".submit-row [role=status]", "Ready to submit").await;
    page.click("button", "Submit and watch").await;
    let task = stage.shown(|task| task["status"] == "SUCCESS").await;
    assert_eq!(task["result"]["rows"], 2);
    stage.page.sees(".panel th", "city").await;
    stage.page.clean().await;
}

async fn an_approval_is_given_and_another_one_refused(mut stage: Stage) {
    let held = |name: &str| json!({ "type": "noop", "name": name, "params": {}, "needs_approval": true });
    let ids = stage.node.submit_many(vec![held("yes"), held("no")]).await;
    let page = &mut stage.page;
    page.go("/").await;
    page.click(".notice a", "Tasks wait for an approval").await;
    page.click("button", "Approve yes").await;
    page.until("one is left", "all('.feed > li').length === 1").await;
    page.click("button", "Reject no").await;
    page.click("dialog button", "Reject").await;
    page.sees("main .empty", "Nothing waits for an approval").await;
    stage.node.until(&ids[0], PATIENCE, |task| task["status"] == "SUCCESS").await;
    stage.node.until(&ids[1], PATIENCE, |task| task["status"] == "CANCELLED").await;
    page.clean().await;
}

/// Waits until the list has these names, in the order of the alphabet.
async fn rows_are(page: &mut Page, names: &[&str]) {
    let rows = "JSON.stringify(all('task-table tbody td.task a span').map(words).sort())";
    page.until(&format!("the rows {names:?}"), &format!("{rows} === {}", json!(json!(names).to_string()))).await;
}
