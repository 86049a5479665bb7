//! Without a mouse.

use crate::support::on_both_databases;
use crate::support::page::{Page, ZOOMED};
use crate::support::stage::{Stage, endless};

on_both_databases![Stage: a_task_is_submitted_watched_cancelled_and_retried_by_keys_alone];

/// What has the focus, by its label or its words; and null where it cannot be seen.
const FOCUS: &str = "(() => {
    const held = document.activeElement;
    if (held === document.body) return '';
    const box = held.labels?.length ? held.closest('.segments label') ?? held : held;
    const [at] = box.getClientRects();
    if (!at) return null;
    const inside = [[at.x + at.width / 2, at.y + at.height / 2], [at.x + 4, at.y + 4], [at.right - 4, at.bottom - 4]];
    const seen = inside.some(([x, y]) => box.contains(document.elementFromPoint(x, y)));
    return seen ? (held.getAttribute('aria-label') ?? (words(held.labels?.[0] ?? held) || held.tagName)) : null;
})()";

async fn a_task_is_submitted_watched_cancelled_and_retried_by_keys_alone(mut stage: Stage) {
    let page = &mut stage.page;
    page.go("/").await;
    page.press("Tab").await;
    page.focused("Skip to content").await;
    page.press("Enter").await;
    page.until("the content has the focus", "document.activeElement === document.querySelector('main')").await;
    page.press("c").await;
    page.focused("Submit a task").await;
    page.settled().await;
    page.tab_to("email_sending").await;
    page.press("Enter").await;
    page.until("its form is there", "field('Delay per email')").await;
    for (label, text) in [("Num emails", "100"), ("Delay per email", "5")] {
        page.tab_to(label).await;
        page.write(text).await;
    }
    page.sees(".submit-row [role=status]", "Ready to submit").await;
    page.tab_to("Submit and watch").await;
    page.press("Enter").await;
    stage.shown(|task| task["status"] == "RUNNING").await;

    let page = &mut stage.page;
    page.sees("main status-badge", "Running").await;
    page.tab_to("Cancel").await;
    page.press("Enter").await;
    page.focused("Keep").await; // nothing is cancelled by one key too many
    page.tab_to("Cancel task").await;
    page.press("Enter").await;
    page.sees("main status-badge", "Cancelled").await;
    page.until("its button is gone, and the focus where one reads on", "document.activeElement === one('main h1')")
        .await;
    stage.shown(|task| task["status"] == "CANCELLED").await;

    let page = &mut stage.page;
    page.press("r").await;
    page.sees("main status-badge", "Running").await;
    assert_eq!(stage.shown(|task| task["status"] == "RUNNING").await["attempt"], 2);
    stage.page.clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_the_focus_is_seen_at_400_percent() {
    let mut stage = Stage::sqlite().await;
    let id = stage.node.submit(endless("seen")).await;
    let page = &mut stage.page;
    page.size(ZOOMED).await;
    for path in ["/", "/tasks", &format!("/tasks/{id}"), "/submit?type=demo", "/notifications", "/settings"] {
        page.go(path).await;
        page.js("document.activeElement.blur()").await;
        let (mut hidden, mut last) = (Vec::new(), String::new());
        for step in 0.. {
            page.press("Tab").await;
            let focus = page.js(&format!("return [{FOCUS}, document.activeElement.outerHTML.slice(0, 200)]")).await;
            if focus[0] == "" || step > 150 {
                break;
            }
            if focus[0].is_null() {
                page.picture(&format!("hidden{}-{step}", path.replace(['/', '?', '='], "-"))).await;
                hidden.push(format!("after {last}: {}", focus[1]));
            }
            last = focus[0].to_string();
        }
        assert!(hidden.is_empty(), "{path}: covered or outside:\n{}", hidden.join("\n"));
    }
    page.clean().await;
}

impl Page {
    /// Waits until what says so has the focus, and can be seen.
    async fn focused(&mut self, said: &str) {
        let focus = format!("({FOCUS} ?? '').startsWith({})", serde_json::json!(said));
        self.until(&format!("the focus on {said:?}"), &focus).await;
    }

    /// Goes there by Tab.
    async fn tab_to(&mut self, said: &str) {
        let mut passed = Vec::new();
        while passed.len() < 200 {
            let focus = self.js(&format!("return {FOCUS}")).await;
            assert!(!focus.is_null(), "what has the focus behind {passed:?} cannot be seen");
            let focus = focus.as_str().unwrap().to_owned();
            if focus.starts_with(said) {
                return;
            }
            passed.push(focus);
            self.press("Tab").await;
        }
        panic!("{said:?} is not among {passed:?}");
    }
}
