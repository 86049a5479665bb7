//! Texts of submitters that want to be more than text, in every field that they fill.

use crate::support::page::{DESK, PHONE, Page, TABLET, WIDE};
use crate::support::protocol::PATIENCE;
use crate::support::stage::{Stage, later};
use serde_json::{Value, json};

const OVERRIDE: &str = "\u{202e}gnp.elif\u{202c} \u{5e9}\u{5dc}\u{5d5}\u{5dd}";

fn texts() -> Vec<String> {
    let mut texts: Vec<String> = [
        "<img src=x onerror=\"window.hit=1;alert(1)\">",
        "\"><script>window.hit=2</script>",
        "</title></template><svg onload=window.hit=3>",
        "'`${window.hit=4}`{{7*7}} %s %00 &amp; &lt;b&gt;",
        "javascript:window.hit=5",
        "__proto__",
        OVERRIDE,
    ]
    .map(str::to_owned)
    .into();
    texts.push("z\u{351}\u{36f}\u{353}".repeat(40));
    texts.push("W".repeat(200)); // one word
    texts.push(
        "\\u0000\\x00 \u{1f469}\u{200d}\u{1f469}\u{200d}\u{1f467} \u{1f3f3}\u{fe0f}\u{200d}\u{1f308}\u{feff}"
            .to_owned(),
    );
    texts
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_submitters_write_is_shown_as_text_everywhere() {
    let mut stage = Stage::sqlite().await;
    let mut tasks = Vec::new();
    for text in texts() {
        tasks.push((
            text.clone(),
            submit(&stage, "noop", &text, json!({ "text": text, &text: [text, { &text: "W".repeat(5000) }] })).await,
        ));
    }
    // In what a task itself says: its steps, its log, its error, its mails, its table.
    let markup = &texts()[0];
    let word = &texts()[8];
    let demo = json!({ "name": markup, "duration": 1000, "steps": 2, "fail_at": 2 });
    let mut others = vec![submit(&stage, "demo", markup, demo).await];
    for text in [markup, word] {
        let table = format!("\"{0}\",n\n\"{0}\",1\n", text.replace('"', "\"\""));
        let params = json!({ "data": table, "has_header": true });
        others.push(submit(&stage, "csv_processing", text, params).await);
        let people = json!([{ "email": "ann@example.org", "name": text }]);
        let mail = json!({ "recipients": people, "subject": text, "body": "Dear {{name}}", "html": "<p>{{name}}</p>" });
        others.push(submit(&stage, "email_sending", text, mail).await);
    }
    for id in &others {
        stage.node.until(id, PATIENCE, |task| !task["finished_at"].is_null()).await;
    }
    let held = json!({ "type": "noop", "name": markup, "params": { markup: word }, "needs_approval": true });
    stage.node.submit(held).await;
    stage.node.submit(json!({ "type": "noop", "name": OVERRIDE, "params": {}, "needs_approval": true })).await;

    let page = &mut stage.page;
    for (text, id) in &tasks {
        page.go(&format!("/tasks/{id}")).await;
        // Each character, also those that are not seen.
        let shown = page.js("return document.querySelector('main h1').textContent").await;
        assert_eq!(shown, json!(text));
        page.sees("json-view .name", "text").await;
        harmless(page).await;
        page.go(&format!("/submit?clone={id}")).await;
        page.sees(".submit-row [role=status]", "Ready to submit").await;
        harmless(page).await;
    }
    for id in &others {
        for tab in ["summary", "attempts", "logs", "timeline", "artifacts"] {
            page.go(&format!("/tasks/{id}?tab={tab}")).await;
            page.open_details().await;
            harmless(page).await;
        }
    }
    let refused = stage.node.submit(json!({ "type": "noop", "params": {}, "needs_approval": true })).await;
    let (status, _) =
        stage.node.post(&format!("/api/tasks/{refused}/reject"), json!({ "reason": markup.repeat(20) })).await.unwrap();
    assert_eq!(status, 200);
    let compared = format!("/tasks/compare?a={}&b={}", tasks[0].1, tasks[8].1);
    let reason = format!("/tasks/{refused}");
    let own = ["/", "/tasks", "/notifications", "/approvals", "/activity", "/insights", &compared, &reason];
    for path in own {
        page.go(path).await;
        page.open_details().await;
        harmless(page).await;
    }
    for path in [&reason, "/tasks"] {
        page.go(path).await;
        let shown = page.js("return document.querySelector('main').textContent").await;
        assert!(shown.as_str().unwrap().contains(markup), "{path}: {shown}");
    }
    for (name, text) in [("queue", markup), ("tag", word), ("client_id", markup), ("type", markup), ("q", markup)] {
        let query = format!("{name}={}", percent(text));
        page.expect("422"); // a search may refuse a word
        page.go(&format!("/tasks?{query}")).await;
        harmless(page).await;
    }
    // In what pops up: a question, and an answer.
    page.go(&format!("/tasks/{}", stage.node.submit(later(markup)).await)).await;
    page.click(".actions button", "Cancel").await;
    harmless(page).await;
    page.click("#confirm button", "Cancel task").await;
    page.sees(".toast strong", "Cancelled").await;
    harmless(page).await;
    page.clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_typed_into_the_form_is_text_too() {
    let mut stage = Stage::sqlite().await;
    for text in texts() {
        let page = &mut stage.page;
        page.go("/submit?type=demo").await;
        page.fill("Name", &text).await;
        page.sees(".submit-row [role=status]", "Ready to submit").await;
        harmless(page).await;
        page.click("button", "Submit and watch").await;
        let task = stage.shown(|_| true).await;
        assert_eq!(task["params"]["name"], json!(text));
        harmless(&mut stage.page).await;
        stage.page.clean().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_keys_and_their_owners_are_called_is_text_too() {
    let mut stage = Stage::sqlite().await;
    let markup = &texts()[0];
    let mut admin = String::new(); // the first key is made without one
    for name in [OVERRIDE, &"W".repeat(200)] {
        let asked = json!({ "role": "admin", "owner": markup, "name": name, "queues": [markup, "default"] });
        let request =
            stage.node.http.post(format!("{}/api/keys", stage.node.url)).header("x-api-key", &admin).json(&asked);
        let made: Value = request.send().await.unwrap().json().await.unwrap();
        let key = made["key"].as_str().unwrap_or_else(|| panic!("{made}")).to_owned();
        let mut page = stage.chromium.window(&stage.node.url).await;
        page.expect("401"); // before one has signed in
        page.open("/settings").await;
        page.fill("Key", &key).await;
        page.click("#sign-in button", "Sign in").await;
        page.sees("main dd", markup).await;
        harmless(&mut page).await;
        for path in ["/activity", "/insights", "/", "/tasks"] {
            page.go(path).await;
            page.open_details().await;
            harmless(&mut page).await;
        }
        page.clean().await;
        admin = key;
    }
}

/// Nothing of it became code or markup, it does not make the page wider, and turns nothing beside it around.
async fn harmless(page: &mut Page) {
    for size in [PHONE, TABLET, WIDE] {
        page.size(size).await;
        let found = page.js(FOUND).await;
        assert_eq!(found, json!([]), "{} at {size:?}", page.path().await);
    }
    page.size(DESK).await;
}

pub const FOUND: &str = "
    const found = [];
    if (window.hit) found.push(`it ran: ${window.hit}`);
    const markup = document.querySelectorAll('[onerror], [onload], [src=x], main script, main style, a[href^=\"javascript:\" i]');
    for (const element of markup) found.push(element.outerHTML);
    const wide = document.documentElement;
    if (wide.scrollWidth > wide.clientWidth) {
        const far = [...document.body.querySelectorAll('*')].filter((one) => one.getBoundingClientRect().right > wide.clientWidth && !clipped(one));
        found.push(`as wide as ${wide.scrollWidth}: ${far.at(-1)?.outerHTML.slice(0, 300)}`);
    }
    // A text that turns the direction stands alone in its box, or apart from what follows it.
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) {
        let node = texts.currentNode;
        if (!node.data.includes('\\u202e') || !node.parentElement.checkVisibility() || node.parentElement.closest('textarea, pre')) continue;
        if (/\\u202c.*\\S.*$/s.test(node.data) && node.data.lastIndexOf('\\u202c') > node.data.lastIndexOf('\\u202e')) continue; // ends what it began
        for (; node !== document.body; node = node.parentNode) {
            if (node.nodeType === 1) {
                const style = getComputedStyle(node);
                if (style.display !== 'inline' || style.unicodeBidi !== 'normal' || style.position === 'absolute') break;
            }
            if (node.nextSibling?.textContent.trim()) {
                found.push(`turns around what follows it: ${node.parentNode.outerHTML.slice(0, 300)}`);
                break;
            }
        }
    }
    return found;
";

async fn submit(stage: &Stage, kind: &str, text: &str, params: Value) -> String {
    let mut task = json!({ "type": kind, "name": text, "params": params });
    // What one filters by has no such characters, and is shorter.
    if !text.contains('\u{202e}') {
        let label: String = text.chars().take(100).collect();
        task["tags"] = json!([label]);
        task["queue"] = json!("default");
        task["client_id"] = json!(label);
    }
    stage.node.submit(task).await
}

fn percent(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}
