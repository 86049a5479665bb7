//! Every screen, light and dark, wide and narrow: what axe-core and the browser say of it, and pictures of it.

use crate::support::page::{DESK, PHONE, Page, TABLET, WIDE, ZOOMED};
use crate::support::protocol::PATIENCE;
use crate::support::stage::{Stage, endless, failing, later, noop};
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_screen_is_without_fault_in_the_light() {
    every_screen_is_without_fault("light").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_screen_is_without_fault_in_the_dark() {
    every_screen_is_without_fault("dark").await;
}

async fn every_screen_is_without_fault(theme: &str) {
    let mut stage = Stage::sqlite().await;
    let mut faults = Vec::new();
    let empty = ["/", "/tasks", "/approvals", "/notifications"]
        .map(|path| (format!("empty{}", path.replace('/', "-")), path.to_owned()));
    stage.page.theme(theme).await;
    for (name, path) in empty {
        stage.page.go(&path).await;
        faults.extend(look(&mut stage.page, theme, &name).await);
    }
    let screens = populate(&stage).await;
    for (name, path) in screens {
        stage.page.go(&path).await;
        if name.ends_with("artifacts") {
            stage.page.open_details().await; // with what is in the files
        }
        faults.extend(look(&mut stage.page, theme, &name).await);
    }
    stage.page.expect("404");
    stage.page.go("/no/such/screen").await;
    faults.extend(look(&mut stage.page, theme, "missing").await);
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_opens_over_a_screen_is_without_fault_too() {
    let mut stage = Stage::sqlite().await;
    populate(&stage).await;
    for theme in ["light", "dark"] {
        let page = &mut stage.page;
        page.theme(theme).await;
        page.go("/tasks").await;
        page.press("?").await;
        page.sees("#help h2", "Keys").await;
        is_without_fault(page, theme, "help").await;
        page.press("Escape").await;
        page.click("#bell", "").await;
        page.sees("#drawer .told", "").await;
        page.click("#drawer button", "Mute…").await;
        is_without_fault(page, theme, "drawer").await;
        page.press("Escape").await;
        page.until("it is closed", "!document.querySelector('dialog[open]')").await;
        page.click("[aria-label='Select all shown']", "").await;
        page.sees(".bulk", "").await;
        is_without_fault(page, theme, "selection").await;
        page.click(".bulk button", "Cancel").await;
        is_without_fault(page, theme, "question").await;
        page.click("#confirm button", "Keep").await;
        page.click(".bulk button", "Retry").await;
        page.sees(".toast strong", "").await;
        is_without_fault(page, theme, "toast").await;
        page.press("Ctrl+k").await;
        page.sees("#palette [role=option]", "Overview").await;
        page.write("ta").await;
        page.sees("#palette [role=option]", "Tasks").await;
        is_without_fault(page, theme, "palette").await;
        page.press("Escape").await;
        for name in ["one", "another, with a name that is as long as one may write it down"] {
            page.click(".head button", "Views").await;
            page.fill("Save what is shown now as", name).await;
            page.press("Enter").await;
            page.until("it is saved", "!one('dialog')").await;
        }
        page.click(".head button", "Views").await;
        page.sees("dialog li a", "one").await;
        is_without_fault(page, theme, "views").await;
        page.press("Escape").await;
        page.click(".head button", "Export").await;
        page.until("how much it is", "/^\\d+ tasks, /.test(words(one('dialog p[role=status]')))").await;
        is_without_fault(page, theme, "export").await;
        page.press("Escape").await;
        page.go("/approvals").await;
        page.click("button", "Reject one to be approved").await;
        page.sees("#reject-title", "").await;
        is_without_fault(page, theme, "rejection").await;
        page.click("dialog button", "Keep").await;
        page.js("localStorage['errand.outbox'] = JSON.stringify({ paused: true, items: ['one', 'two '.repeat(40)].map((label, at) => ({ id: label, path: 'api/tasks/submit', text: '{}', priority: at, label, key: label, at: Date.now(), tries: at, after: 0, error: at ? 'The server cannot be reached.' : null, refused: at > 0, owner: 'null default' })) })").await;
        page.go("/docs").await;
        page.click("#outbox-open", "2 in the outbox, paused").await;
        page.sees("#outbox li", "").await;
        is_without_fault(page, theme, "outbox").await;
        page.click("#outbox button", "Cancel one").await;
        page.click("#outbox button", "Cancel two").await;
        page.sees("#outbox .empty", "").await;
        is_without_fault(page, theme, "outbox-empty").await;
        page.js("localStorage.removeItem('errand.outbox')").await;
        page.expect("422");
        page.go("/submit?type=demo").await;
        page.fill("Duration", "1").await;
        page.sees(".field-error", "must be").await;
        is_without_fault(page, theme, "refused").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_no_key_is_asked_for_one_on_a_screen_without_fault() {
    let mut stage = Stage::sqlite().await;
    let (status, made) = stage.node.post("/api/keys", json!({ "role": "admin", "owner": "ops" })).await.unwrap();
    assert_eq!(status, 201, "{made}");
    let page = &mut stage.page;
    page.expect("401");
    for theme in ["light", "dark"] {
        page.theme(theme).await;
        page.open("/tasks").await;
        page.until("a key is asked for", "document.querySelector('#sign-in')?.open").await;
        page.fill("Key", "errand_of_nobody").await;
        page.click("#sign-in button", "Sign in").await;
        page.sees("#sign-in-problem", "This is no key").await;
        is_without_fault(page, theme, "sign-in").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_theme_follows_the_system_until_one_chooses_it() {
    let mut stage = Stage::sqlite().await;
    let page = &mut stage.page;
    let lightness = "return parseFloat(/[\\d.]+/.exec(getComputedStyle(document.documentElement).backgroundColor)[0])";
    page.go("/").await;
    let light = page.js(lightness).await.as_f64().unwrap();
    page.theme("dark").await;
    let night = page.js(lightness).await.as_f64().unwrap();
    assert!(light > night, "{light} {night}");
    page.press("t").await;
    page.until("light was chosen", "document.documentElement.dataset.theme === 'light'").await;
    assert_eq!(page.js(lightness).await, light);
    // Chosen is chosen, before the first paint of the next visit too.
    page.go("/tasks").await;
    assert_eq!(page.js(lightness).await, light);
    page.clean().await;
}

/// Tasks of each kind and in each state; the screens that there are now, each with a name.
async fn populate(stage: &Stage) -> Vec<(String, String)> {
    let node = &stage.node;
    let table = json!({ "data": "city,amount\nRome,12.5\nLima,7\n", "sort": ["-amount"] });
    let people = json!([{ "email": "ann@example.org", "name": "Ann" }]);
    let mail =
        json!({ "recipients": people, "subject": "News", "body": "Dear {{name}}", "html": "<h1>Dear {{name}}</h1>" });
    let ended = [
        ("table", json!({ "type": "csv_processing", "name": "cities", "params": table, "tags": ["atlas", "small"] })),
        (
            "pictures",
            json!({ "type": "image_processing", "params": { "num_images": 2, "target_width": 200, "target_height": 100 } }),
        ),
        ("mail", json!({ "type": "email_sending", "name": "news", "params": mail })),
        ("failed", failing("one that fails")),
    ];
    let mut screens = Vec::new();
    for (name, task) in ended {
        let id = node.submit(task).await;
        node.until(&id, PATIENCE, |task| !task["finished_at"].is_null()).await;
        for tab in ["summary", "attempts", "logs", "timeline", "artifacts", "related"] {
            screens.push((format!("task-{name}-{tab}"), format!("/tasks/{id}?tab={tab}")));
        }
    }
    let running = node.submit(endless("one that runs")).await;
    node.until(&running, PATIENCE, |task| task["status"] == "RUNNING").await;
    let cancelled = node.submit(later("one that was cancelled")).await;
    node.delete(&format!("/api/tasks/{cancelled}")).await;
    let waits = node.submit(later("one for later")).await;
    let held = json!({ "type": "noop", "name": "one to be approved", "params": { "sum": 7 }, "needs_approval": true });
    let held = node.submit(held).await;
    node.submit(noop("a long name ".repeat(12).trim())).await;
    screens.push(("compare".to_owned(), format!("/tasks/compare?a={cancelled}&b={held}")));
    for (name, id) in [("running", running), ("cancelled", cancelled), ("later", waits), ("held", held)] {
        screens.push((format!("task-{name}"), format!("/tasks/{id}")));
    }
    let fixed = [
        ("overview", "/"),
        ("tasks", "/tasks"),
        ("tasks-filtered", "/tasks?status=FAILED&status=SUCCESS&tag=atlas&sort=finished_at"),
        ("tasks-none", "/tasks?q=nothing"),
        ("submit-table", "/submit?type=csv_processing"),
        ("submit-mail", "/submit?type=email_sending"),
        ("submit-pictures", "/submit?type=image_processing"),
        ("submit-demo", "/submit?type=demo"),
        ("submit-noop", "/submit?type=noop"),
        ("approvals", "/approvals"),
        ("notifications", "/notifications"),
        ("notifications-unread", "/notifications?unread=true"),
        ("metrics", "/insights"),
        ("activity", "/activity"),
        ("realtime", "/docs/realtime"),
        ("settings", "/settings"),
        ("docs", "/docs"),
        ("compare-none", "/tasks/compare"),
    ];
    screens.extend(fixed.map(|(name, path)| (name.to_owned(), path.to_owned())));
    screens
}

async fn is_without_fault(page: &mut Page, theme: &str, name: &str) {
    let faults = look(page, theme, name).await;
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

/// What is wrong with what is seen now: axe-core finds something, it does not fit into 320 pixels or 400 %, or the
/// browser says something against it. Leaves pictures of it.
async fn look(page: &mut Page, theme: &str, name: &str) -> Vec<String> {
    let mut faults = Vec::new();
    for (size, width) in [(WIDE, "1440"), (DESK, "1280"), (TABLET, "768"), (PHONE, "320"), (ZOOMED, "zoomed")] {
        page.size(size).await;
        page.settled().await;
        let wide = page.js(TOO_WIDE).await;
        faults.extend(wide.as_str().map(|wide| format!("{width}: {wide}")));
        let cut = page.js(NOT_HELD).await;
        faults
            .extend(cut.as_array().unwrap().iter().map(|cut| format!("{width}: its words do not fit into it: {cut}")));
        let broken = page.js(BROKEN).await;
        faults.extend(broken.as_array().unwrap().iter().map(|word| format!("{width}: a word is broken: {word}")));
        page.picture(&format!("{name}-{theme}-{width}")).await;
        if [DESK, PHONE].contains(&size) {
            faults.extend(axe(page).await.into_iter().map(|fault| format!("{width}: {fault}")));
        }
    }
    page.size(DESK).await;
    faults.extend(page.faults().await);
    page.forget();
    faults.into_iter().map(|fault| format!("{name}, {theme}: {fault}")).collect()
}

/// Whether the page scrolls sideways, and because of what.
pub const TOO_WIDE: &str = "
    const page = document.documentElement;
    if (page.scrollWidth <= page.clientWidth) return null;
    const far = [...document.body.querySelectorAll('*')].filter((one) => one.getBoundingClientRect().right > page.clientWidth && !clipped(one));
    return `as wide as ${page.scrollWidth}: ${far.map((one) => one.outerHTML.slice(0, 160)).slice(-2).join(' ')}`;
";

/// The links and buttons whose words reach out of them, into what stands beside them.
const NOT_HELD: &str = "
    const reach = (one) => { const range = document.createRange(); range.selectNodeContents(one); return range.getBoundingClientRect() };
    return all('nav a, button').filter((one) => one.getBoundingClientRect().width > 2 && getComputedStyle(one).overflowX === 'visible')
        .filter((one) => ![...one.querySelectorAll(':not(svg, svg *)')].some((inner) => getComputedStyle(inner).overflowX !== 'visible'))
        .filter((one) => reach(one).right > one.getBoundingClientRect().right + 1 || reach(one).left < one.getBoundingClientRect().left - 1)
        .map((one) => one.outerHTML.slice(0, 160));
";

/// The short words of headings, links, buttons and labels that stand on two lines, because there is no room for them.
const BROKEN: &str = "
    const found = [];
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) {
        const node = texts.currentNode;
        const holder = node.parentElement;
        if (!holder.closest('a, button, label, h1, h2, h3, th, dt, legend, summary, status-badge, .figure, .chip')) continue;
        if (holder.closest('code, .sr') || !holder.checkVisibility()) continue;
        for (const { 0: word, index } of node.data.matchAll(/[\\w,]+/g)) {
            if (word.length > 16) continue;
            const range = document.createRange();
            range.setStart(node, index);
            range.setEnd(node, index + word.length);
            const lines = new Set([...range.getClientRects()].map((box) => Math.round(box.top)));
            if (lines.size > 1) found.push(`${word} in ${holder.outerHTML.slice(0, 120)}`);
        }
    }
    return found;
";

/// What axe-core finds, in all its rules.
pub async fn axe(page: &mut Page) -> Vec<String> {
    if page.js("return typeof axe").await == "undefined" {
        // By the protocol and not by an element: the page's policy would refuse that, and stays as it is.
        page.call("Runtime.evaluate", json!({ "expression": include_str!("axe/axe.min.js") })).await;
    }
    // A mail's frame has no scripts, so there is nobody in it to ask.
    let found =
        page.js("return (await axe.run(document, { iframes: false, resultTypes: ['violations'] })).violations").await;
    let told = |one: &Value| {
        let nodes = one["nodes"].as_array().unwrap().iter();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let nodes: Vec<_> =
            nodes.map(|node| format!("  {} {}", text(&node["html"]), text(&node["failureSummary"]))).collect();
        format!("{}: {}\n{}", text(&one["id"]), text(&one["help"]), nodes.join("\n"))
    };
    found.as_array().unwrap().iter().map(told).collect()
}
