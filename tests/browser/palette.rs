//! The command palette, by keys alone.

use crate::hostile::FOUND;
use crate::support::on_both_databases;
use crate::support::page::Page;
use crate::support::protocol::PATIENCE;
use crate::support::stage::{Stage, noop};
use serde_json::json;

on_both_databases![Stage: the_palette_goes_to_screens_and_tasks_and_does_what_it_is_told];

async fn the_palette_goes_to_screens_and_tasks_and_does_what_it_is_told(mut stage: Stage) {
    let markup = "<img src=x onerror=\"window.hit=1;alert(1)\"> quarterly";
    let id = stage.node.submit(noop("quarterly report")).await;
    stage.node.submit(noop(markup)).await;
    stage.node.until_count("SUCCESS", 2, PATIENCE).await;
    let page = &mut stage.page;
    page.go("/docs").await;
    page.js("one('.head a', 'Realtime').focus()").await;
    page.press("Ctrl+k").await;
    page.until("the palette", "document.activeElement.id === 'palette-input'").await;
    page.press("Escape").await;
    page.until("the focus is where it was", "!one('#palette') && words(document.activeElement) === 'Realtime'").await;

    find(page, "approv", "Approvals").await;
    page.until("the screen", "words(document.activeElement) === 'Approvals' && document.activeElement.matches('h1')")
        .await;
    assert_eq!(page.path().await, "/approvals");

    find(page, "quarterly", "quarterly report").await;
    page.sees("main h1", "quarterly report").await;
    assert_eq!(page.path().await, format!("/tasks/{id}"));
    page.go("/").await;
    find(page, &id, "quarterly report").await;
    page.sees("main h1", "quarterly report").await;

    find(page, "quarterly", markup).await;
    page.sees("main h1", markup).await;
    assert_eq!(page.js(FOUND).await, json!([]));

    find(page, "submit demo", "Submit demo").await;
    page.until("its form", "field('Duration')").await;
    assert_eq!(page.path().await, "/submit?type=demo");
    find(page, "theme dark", "Theme: dark").await;
    page.until("it is dark", "document.documentElement.dataset.theme === 'dark'").await;
    find(page, "no such thing", "Search the tasks for").await;
    page.sees("main .empty", "No task matches").await;
    page.clean().await;
}

/// Opens the palette, writes, goes down to what says so, and takes it.
pub async fn find(page: &mut Page, text: &str, wanted: &str) {
    page.press("Ctrl+k").await;
    page.until("the palette", "document.activeElement.id === 'palette-input'").await;
    page.write(text).await;
    let option = format!("all('#palette [role=option]').find((one) => words(one).startsWith({}))", json!(wanted));
    page.until(&format!("{wanted:?} is found"), &format!("!!{option}")).await;
    let active = format!("return {option}.id === document.activeElement.getAttribute('aria-activedescendant')");
    for _ in 0..12 {
        if page.js(&active).await == true {
            break;
        }
        page.press("ArrowDown").await;
    }
    page.press("Enter").await;
    page.until("the palette is closed", "!one('#palette')").await;
    page.settled().await;
}
