//! What one does with a list: keep it as a view, act on all that match, compare two of it.

use crate::hostile::FOUND;
use crate::palette::find;
use crate::support::on_both_databases;
use crate::support::page::{PHONE, Page};
use crate::support::protocol::PATIENCE;
use crate::support::stage::{Stage, later};
use serde_json::{Value, json};

on_both_databases![Stage:
    all_that_match_are_shown_before_they_are_cancelled_and_can_be_brought_back,
    two_tasks_are_compared_by_what_differs,
];

pub const MARKUP: &str = "<img src=x onerror=\"window.hit=1;alert(1)\">";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn filters_are_kept_as_a_view_and_got_back_by_its_name() {
    let mut stage = Stage::sqlite().await;
    let page = &mut stage.page;
    page.go("/tasks?status=FAILED&tag=a%20%26%20b").await;
    page.click(".head button", "Views").await;
    page.sees("dialog .empty", "No view yet").await;
    page.fill("Save what is shown now as", MARKUP).await;
    page.press("Enter").await;
    page.sees(".toast strong", "View saved").await;
    page.go("/tasks").await;
    page.click(".head button", "Views").await;
    page.sees("dialog small", "status: FAILED · tag: a & b").await;
    assert_eq!(page.js(FOUND).await, json!([]));

    page.click("dialog button", &format!("Rename {MARKUP}")).await;
    page.fill("New name", "Broken").await;
    page.press("Enter").await;
    page.sees("dialog li a", "Broken").await;
    page.press("Escape").await;
    find(page, "broken", "Broken").await; // it is in the palette too
    page.until(
        "its filters",
        "location.search === '?status=FAILED&tag=a+%26+b' || location.search === '?status=FAILED&tag=a%20%26%20b'",
    )
    .await;
    page.sees(".chip", "tag: a & b").await;

    page.click(".head button", "Views").await;
    page.click("dialog button", "Forget Broken").await;
    page.sees("dialog .empty", "No view yet").await;
    page.clean().await;
}

async fn all_that_match_are_shown_before_they_are_cancelled_and_can_be_brought_back(mut stage: Stage) {
    let tagged = |n: usize| {
        let mut task = later(&format!("wave {n}"));
        task["tags"] = json!(["wave"]);
        task
    };
    stage.node.submit_many((0..60).map(tagged).chain([later("not of it")]).collect()).await;
    let page = &mut stage.page;
    page.go("/tasks?tag=wave").await;
    select_all(page).await;
    page.click(".bulk button", "Cancel").await;
    page.sees("dialog h2", "Cancel 60 tasks?").await;
    page.sees("dialog p", "and 55 more").await;
    page.click("dialog button", "Keep").await;
    page.until("nothing was done", "all('task-table [data-status=PENDING]').length === 50").await;
    page.click(".bulk button", "Cancel").await;
    page.click("dialog button", "Cancel 60 tasks").await;
    page.sees(".toast strong", "60 of 60 tasks cancelled").await;
    stage.node.until_count("CANCELLED", 60, PATIENCE).await;
    page.click(".toast button", "Undo").await;
    stage.node.until_count("PENDING", 61, PATIENCE).await;

    page.until("all wait again", "all('task-table [data-status=PENDING]').length === 50").await;
    select_all(page).await;
    page.click(".bulk button", "Cancel").await;
    page.click("dialog button", "Cancel 60 tasks").await;
    stage.node.until_count("CANCELLED", 60, PATIENCE).await;
    page.go("/tasks?tag=wave&status=CANCELLED").await;
    select_all(page).await;
    page.click(".bulk button", "Retry").await;
    page.click("dialog button", "Retry 60 tasks").await;
    page.sees(".toast strong", "60 of 60 tasks back in the queue").await;
    stage.node.until_count("PENDING", 61, PATIENCE).await;
    page.clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_loaded_is_there_after_back_and_all_of_it_is_counted() {
    let mut stage = Stage::sqlite().await;
    stage.node.submit_many((0..120).map(|n| later(&format!("task {n}"))).collect()).await;
    let page = &mut stage.page;
    page.go("/tasks").await;
    page.click("main button", "Load more").await;
    page.until("more rows", "all('task-table tbody tr').length === 100").await;
    page.click("task-table a", "task 30").await;
    page.sees("h1", "task 30").await;
    page.js("history.back()").await;
    page.until("as it was", "all('task-table tbody tr').length === 100 && scrollY > 1000").await;
    page.click("[aria-label='Select all shown']", "").await;
    page.click(".bulk button", "Select all 120 that match").await;
    page.sees(".bulk", "All 120 that match").await;
    page.clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn json_that_cannot_be_read_is_neither_ready_nor_sent() {
    let mut stage = Stage::sqlite().await;
    let page = &mut stage.page;
    page.go("/submit?type=noop").await;
    page.sees(".submit-row [role=status]", "Ready to submit").await;
    page.js("document.getElementById('request-json').focus()").await;
    page.write("{").await;
    page.sees("#request-json-error", "Not valid yet").await;
    page.sees(".submit-row [role=status]", "The JSON is not valid").await;
    page.click(".submit-row button", "Submit").await;
    page.until("the focus where it is mended", "document.activeElement.id === 'request-json'").await;
    page.clean().await;
}

/// Selects all that match, those that are not shown too.
async fn select_all(page: &mut Page) {
    page.click("[aria-label='Select all shown']", "").await;
    page.sees(".bulk", "50 tasks selected").await;
    page.click(".bulk button", "Select all that match").await;
    page.sees(".bulk", "All that match").await;
}

async fn two_tasks_are_compared_by_what_differs(mut stage: Stage) {
    let one =
        json!({ "type": "noop", "name": "left", "params": { "same": 1, "big": 9007199254740993_u64, "text": MARKUP } });
    let other = json!({ "type": "noop", "name": "right", "params": { "same": 1, "big": 9007199254740992_u64, "text": "W".repeat(5000) } });
    stage.node.submit_many(vec![one, other]).await;
    stage.node.until_count("SUCCESS", 2, PATIENCE).await;
    let page = &mut stage.page;
    page.go("/tasks").await;
    page.until("both have ended", "all('task-table status-badge[data-status=SUCCESS]').length === 2").await;
    page.click("[aria-label='Select all shown']", "").await;
    page.click(".bulk a", "Compare").await;
    page.sees("main th a", "left").await;
    let cells = "Object.fromEntries(all('main tbody tr').map((row) => [words(row.cells[0]), [words(row.cells[1]), words(row.cells[2])]]))";
    let found = page.js(&format!("return {cells}")).await;
    assert_eq!(found["params.big"], json!(["9007199254740993", "9007199254740992"]), "{found}");
    assert_eq!(found["params.text"][0], MARKUP);
    assert!(found["params.text"][1].as_str().unwrap().ends_with("(5,000 characters)"), "{found}");
    assert_eq!(found["params.same"], Value::Null);
    for size in [crate::support::page::DESK, PHONE] {
        page.size(size).await;
        assert_eq!(page.js(FOUND).await, json!([]), "{size:?}");
    }
    page.click("label", "Only what differs").await;
    page.until("what is equal too", &format!("{cells}['params.same']?.join() === '1,1'")).await;
    page.clean().await;
}
