//! What the other tests look for would be seen: here it is done on purpose.

use crate::hostile::FOUND;
use crate::screens::{TOO_WIDE, axe};
use crate::support::page::Page;
use crate::support::stage::Stage;
use serde_json::json;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_must_not_happen_would_be_seen() {
    let mut stage = Stage::sqlite().await;
    let page = &mut stage.page;
    page.go("/settings").await;
    page.clean().await;
    says(page, "console.warn('a warning')", "console: ").await;
    says(page, "console.error('an error')", "console: ").await;
    says(page, "setTimeout(() => { throw new Error('thrown') })", "exception: ").await;
    says(page, "setTimeout(() => alert('hello'))", "dialog: ").await;
    says(page, "fetch('/api/nothing')", "404").await;
    says(page, "try { new WebSocket('ws://127.0.0.2:9/') } catch {}", "policy: ").await;
    let inline =
        "document.body.append(Object.assign(document.createElement('script'), { textContent: 'window.hit = 1' }))";
    says(page, inline, "policy: ").await;
    assert_eq!(page.js("return window.hit ?? null").await, json!(null));
    says(
        page,
        "const away = document.createElement('a'); away.href = 'http://127.0.0.2:9/'; away.click()",
        "another host: ",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_must_not_be_there_would_be_found() {
    let mut stage = Stage::sqlite().await;
    let page = &mut stage.page;
    page.go("/settings").await;
    assert_eq!(axe(page).await, Vec::<String>::new());
    assert_eq!(page.js(FOUND).await, json!([]));
    assert_eq!(page.js(TOO_WIDE).await, json!(null));
    let add = |markup: &str| format!("document.querySelector('main h1').innerHTML = {}", json!(markup));

    page.js(&add("a field <input>")).await;
    page.js("document.querySelector('main h1').style.color = '#999'").await;
    let faults = axe(page).await;
    for rule in ["label: ", "color-contrast: "] {
        assert!(faults.iter().any(|fault| fault.starts_with(rule)), "{rule}{faults:#?}");
    }
    page.js(&add("<b onload='x'>markup</b>")).await;
    assert!(page.js(FOUND).await[0].as_str().unwrap().starts_with("<b onload"));
    page.js(&add("\u{202e}gpj.exe <small>12 B</small>")).await;
    assert!(page.js(FOUND).await[0].as_str().unwrap().starts_with("turns around"));
    page.js(&add("<bdi>\u{202e}gpj.exe</bdi> <small>12 B</small>")).await;
    assert_eq!(page.js(FOUND).await, json!([]));
    page.js(&add(&format!("<pre>{}</pre>", "W".repeat(200)))).await;
    page.js("document.querySelector('main pre').style.whiteSpace = 'pre'; document.querySelector('main pre').style.overflow = 'visible'").await;
    assert!(page.js(TOO_WIDE).await.as_str().unwrap().starts_with("as wide as "));
    assert!(page.js(FOUND).await[0].as_str().unwrap().starts_with("as wide as "));
}

/// Waits until what a script does is among the faults.
async fn says(page: &mut Page, code: &str, kind: &str) {
    page.js(code).await;
    let began = std::time::Instant::now();
    loop {
        let faults = page.faults().await;
        if faults.iter().any(|fault| fault.contains(kind)) {
            return page.forget();
        }
        assert!(began.elapsed() < crate::support::protocol::PATIENCE, "{code}: {faults:#?}");
    }
}
