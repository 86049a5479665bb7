//! What is told beside the page: by the system's own notifications, and by a sound.

use crate::support::page::Page;
use crate::support::stage::{Stage, failing, noop};
use serde_json::json;

/// Notes each notification and each sound, and lets them happen.
const WATCH: &str = "
    window.told = [];
    window.sounds = 0;
    const construct = (note) => ({ construct: (real, given) => (note(given), Reflect.construct(real, given)) });
    window.Notification = new Proxy(Notification, construct(([title, more]) => told.push([title, more?.body])));
    window.AudioContext = new Proxy(AudioContext, construct(() => (sounds += 1)));
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_fails_is_told_by_the_system_and_by_a_sound_once_it_was_asked_for() {
    let mut stage = Stage::sqlite().await;
    let page = &mut stage.page;
    page.call("Page.addScriptToEvaluateOnNewDocument", json!({ "source": WATCH })).await;
    stage.chromium.permit(page, "notifications", "granted").await;
    page.go("/tasks").await;
    page.sees("#light-text", "Live").await;
    stage.node.submit(failing("not asked for")).await;
    page.sees(".toast", "not asked for has failed").await;
    assert_eq!(page.js("return [told, sounds]").await, json!([[], 0]));

    page.go("/settings").await;
    page.press("Tab").await; // a browser makes no sound before one has done anything
    switch(page, "Desktop notifications").await;
    switch(page, "Sound").await;
    page.until("the sound that was chosen", "sounds === 1").await;
    page.go("/tasks").await; // kept over a visit
    page.sees("#light-text", "Live").await;
    page.sees("#bell .sr", "Notifications, 1 unread").await;
    page.press("Tab").await;
    stage.node.submit(failing("seen")).await;
    page.sees(".toast", "seen has failed").await;
    page.until("a sound", "sounds === 1").await;
    assert_eq!(page.js("return told").await, json!([])); // one looks at the page

    stage.chromium.cover(page).await;
    stage.node.submit(noop("<b>fine</b>")).await; // what succeeds is not asked for
    stage.node.submit(failing("<img src=x onerror=alert(1)>")).await;
    page.until("it is told", "told.length > 0 && sounds > 1").await;
    page.until("all are counted", "document.querySelector('#bell .sr').textContent === 'Notifications, 4 unread'")
        .await;
    assert_eq!(
        page.js("return told").await,
        json!([["<img src=x onerror=alert(1)> has failed", "failed at step 1, as asked"]])
    );
    page.clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_browser_that_allows_no_notifications_is_said_so() {
    let mut stage = Stage::sqlite().await;
    let page = &mut stage.page;
    stage.chromium.permit(page, "notifications", "denied").await;
    page.go("/settings").await;
    switch(page, "Desktop notifications").await;
    page.sees(".toast strong", "The browser does not allow notifications here").await;
    page.until("it is off", "document.querySelector('input[name=desktop][value=off]').checked").await;
    assert_eq!(page.js("return JSON.parse(localStorage['errand.settings'] ?? '{}').desktop ?? 'off'").await, "off");
    page.clean().await;
}

/// Switches a setting on.
async fn switch(page: &mut Page, name: &str) {
    let label = format!(
        "(() => {{ const group = all('fieldset').find((one) => words(one.querySelector('legend')) === {}); \
         [...(group?.querySelectorAll('label') ?? [])].find((one) => words(one) === 'On')?.click(); return !!group }})()",
        json!(name)
    );
    page.until(&format!("{name} to switch on"), &label).await;
}
