//! One window: what a person does in it, and what they see.

use super::faults::Faults;
use super::protocol::{PATIENCE, Protocol};
use base64::Engine;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// What the scripts below have at hand: `all` are the visible elements that a selector names, `one` is the first of
/// them that says these words, or begins with them.
const PRELUDE: &str = "
    const all = (selector) => [...document.querySelectorAll(selector)].filter((one) => one.checkVisibility());
    const words = (one) => one.textContent.replace(/\\s+/g, ' ').trim();
    const one = (selector, said) => said == null ? all(selector)[0]
        : (all(selector).find((one) => words(one) === said) ?? all(selector).find((one) => words(one).startsWith(said)));
    const clipped = (one) => one !== document.body && (getComputedStyle(one.parentElement).overflowX !== 'visible' || clipped(one.parentElement));
    const field = (label) => document.getElementById(one('label', label)?.htmlFor);
";

/// The screen is there, with all that it loads at first.
const SETTLED: &str = "document.readyState === 'complete' && one('main h1') \
    && !all('main :is(.skeleton, .unknown)').length";

/// How wide, how high, and how many dots a pixel has.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Size(pub u32, pub u32, pub u32);

pub const DESK: Size = Size(1280, 900, 1);
pub const WIDE: Size = Size(1440, 900, 1);
pub const TABLET: Size = Size(768, 1024, 1);
pub const PHONE: Size = Size(320, 640, 2);
/// A window of 1280 × 1024 at 400 %.
pub const ZOOMED: Size = Size(320, 256, 4);

pub struct Page {
    protocol: Protocol,
    base: String,
    /// Whose window it is, in the browser's words.
    person: Value,
    faults: Faults,
}

impl Page {
    /// A window at this service, of the person whom the browser knows by this.
    pub async fn new(protocol: Protocol, base: String, person: Value) -> Page {
        let faults = Faults::new(&base);
        let mut page = Page { protocol, base, person, faults };
        for domain in ["Page", "Runtime", "Network", "Log", "Audits", "Performance"] {
            // Figures in the processor's time: what else runs on the machine does not count.
            let params = if domain == "Performance" { json!({ "timeDomain": "threadTicks" }) } else { json!({}) };
            page.call(&format!("{domain}.enable"), params).await;
        }
        // As if its window were in front, whatever other windows do.
        page.call("Emulation.setFocusEmulationEnabled", json!({ "enabled": true })).await;
        page.size(DESK).await;
        page.theme("light").await;
        page
    }

    /// The address of the service.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Whose window it is.
    pub fn person(&self) -> &Value {
        &self.person
    }

    // --- where one is

    /// Opens an address of the service, and waits until all is there.
    pub async fn go(&mut self, path: &str) {
        self.open(path).await;
        self.settled().await;
    }

    /// Opens an address of the service.
    pub async fn open(&mut self, path: &str) {
        let url = format!("{}{path}", self.base);
        let gone = self.call("Page.navigate", json!({ "url": url })).await;
        assert!(gone.get("errorText").is_none(), "{url}: {gone}");
    }

    pub async fn settled(&mut self) {
        self.until("the screen is there", SETTLED).await;
    }

    pub async fn size(&mut self, Size(width, height, dots): Size) {
        let phone = dots == PHONE.2;
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": dots, "mobile": phone });
        self.call("Emulation.setDeviceMetricsOverride", size).await;
    }

    /// What the system prefers: `light` or `dark`; and nothing moves.
    pub async fn theme(&mut self, theme: &str) {
        let features = json!([
            { "name": "prefers-color-scheme", "value": theme },
            { "name": "prefers-reduced-motion", "value": "reduce" },
        ]);
        self.call("Emulation.setEmulatedMedia", json!({ "features": features })).await;
    }

    // --- what one sees

    /// Waits until an expression is true, and answers its value.
    #[track_caller]
    pub fn until<'a>(&'a mut self, what: &'a str, expression: &'a str) -> impl Future<Output = Value> + use<'a> {
        let place = std::panic::Location::caller();
        let code = format!("return {expression}");
        async move {
            let began = Instant::now();
            loop {
                // While one document makes room for the next one, there is nothing to ask.
                let last = self.evaluate(&code).await;
                match &last {
                    Ok(Value::Null | Value::Bool(false)) | Err(_) => {}
                    Ok(Value::String(text)) if text.is_empty() => {}
                    Ok(value) => return value.clone(),
                }
                if began.elapsed() > PATIENCE {
                    let seen = self.picture("failed").await;
                    let text = self.evaluate("return document.body.innerText").await;
                    let faults = self.faults().await;
                    panic!(
                        "{place}: not within {PATIENCE:?}: {what}: {last:?}\nseen: {}\n{text:?}\n{faults:#?}",
                        seen.display()
                    );
                }
                tokio::time::sleep(Duration::from_millis(25)).await;
            }
        }
    }

    /// Waits until there is a visible element that says so: just that, or something that begins with it.
    #[track_caller]
    pub fn sees<'a>(&'a mut self, selector: &'a str, said: &'a str) -> impl Future<Output = ()> + use<'a> {
        let (place, code) = (std::panic::Location::caller(), format!("!!one({}, {})", json!(selector), json!(said)));
        async move {
            self.until(&format!("{place}: {selector} says {said:?}"), &code).await;
        }
    }

    /// What a script returns. It may wait.
    pub async fn js(&mut self, code: &str) -> Value {
        self.evaluate(code).await.unwrap_or_else(|error| panic!("{code}: {error}"))
    }

    pub async fn path(&mut self) -> String {
        self.js("return location.pathname + location.search").await.as_str().unwrap().to_owned()
    }

    // --- what one does

    /// Clicks what says so, once it is there and nothing covers it.
    #[track_caller]
    pub fn click<'a>(&'a mut self, selector: &'a str, said: &'a str) -> impl Future<Output = ()> + use<'a> {
        // In one go: between a look and a click the element might move.
        let code = format!(
            "(() => {{
                const found = one({}, {} || null);
                if (!found || found.matches(':disabled, [aria-disabled]')) return false;
                found.scrollIntoView({{ block: 'center' }});
                const at = found.getBoundingClientRect();
                const top = document.elementFromPoint(at.x + at.width / 2, at.y + at.height / 2);
                if (!found.contains(top) && !top?.closest('label')?.contains(found)) return false;
                found.focus();
                found.click();
                return true;
            }})()",
            json!(selector),
            json!(said)
        );
        let what = format!("{}: {selector} {said:?} to click", std::panic::Location::caller());
        async move {
            self.until(&what, &code).await;
        }
    }

    /// Writes into the field with this label, in the place of what stands there.
    #[track_caller]
    pub fn fill<'a>(&'a mut self, label: &'a str, text: &'a str) -> impl Future<Output = ()> + use<'a> {
        let find = format!(
            "(() => {{ const found = field({}); found?.focus(); found?.select(); return !!found }})()",
            json!(label)
        );
        let what = format!("{}: the field {label:?}", std::panic::Location::caller());
        async move {
            self.until(&what, &find).await;
            self.write(text).await;
        }
    }

    /// Chooses a value of the select with this name.
    pub async fn choose(&mut self, name: &str, value: &str) {
        let code = format!(
            "(() => {{
                const found = one('select[aria-label=' + {0} + ']');
                if (![...(found?.options ?? [])].some((option) => option.value === {1})) return false;
                found.value = {1};
                found.dispatchEvent(new Event('change', {{ bubbles: true }}));
                return true;
            }})()",
            json!(json!(name).to_string()),
            json!(value)
        );
        self.until(&format!("{value:?} can be chosen as {name}"), &code).await;
    }

    /// Chooses a file in a field for files, once it is there.
    pub async fn attach(&mut self, selector: &str, file: &Path) {
        let expression = format!("document.querySelector({})", json!(selector));
        self.until("a field for files", &format!("!!{expression}")).await;
        let field = self.call("Runtime.evaluate", json!({ "expression": expression })).await;
        let files = json!({ "objectId": field["result"]["objectId"], "files": [file] });
        self.call("DOM.setFileInputFiles", files).await;
    }

    /// Opens all that is folded, and waits until what is in it is there.
    pub async fn open_details(&mut self) {
        const OPEN: &str = "
            const opened = (details) => new Promise((done) => details.addEventListener('toggle', done, { once: true }));
            const closed = [...document.querySelectorAll('main details:not([open])')];
            const all_opened = Promise.all(closed.map(opened));
            for (const details of closed) details.open = true;
            await all_opened";
        self.js(OPEN).await;
        self.settled().await;
    }

    /// Writes where the focus is.
    pub async fn write(&mut self, text: &str) {
        self.call("Input.insertText", json!({ "text": text })).await;
    }

    /// Presses a key, by the name that events have for it; `Ctrl+k` is one with another held down.
    pub async fn press(&mut self, key: &str) {
        let (held, key) = key.strip_prefix("Ctrl+").map_or((0, key), |key| (2, key));
        let (code, number, text) = match key {
            "Enter" => ("Enter".to_owned(), 13, "\r"),
            "Tab" => ("Tab".to_owned(), 9, ""),
            "Escape" => ("Escape".to_owned(), 27, ""),
            "ArrowDown" => ("ArrowDown".to_owned(), 40, ""),
            letter => {
                let upper = letter.to_uppercase();
                (format!("Key{upper}"), i32::from(upper.as_bytes()[0]), letter)
            }
        };
        for kind in ["keyDown", "keyUp"] {
            let mut event =
                json!({ "type": kind, "key": key, "code": code, "windowsVirtualKeyCode": number, "modifiers": held });
            if kind == "keyDown" && !text.is_empty() && held == 0 {
                event["text"] = json!(text);
            }
            self.call("Input.dispatchKeyEvent", event).await;
        }
    }

    // --- what people look at later

    /// A picture of what is seen, in `target/browser`; never compared.
    pub async fn picture(&mut self, name: &str) -> PathBuf {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("browser");
        std::fs::create_dir_all(&folder).unwrap();
        let test = std::thread::current().name().unwrap_or_default().replace("::", "-");
        let file = folder.join(if name == "failed" { format!("failed-{test}.png") } else { format!("{name}.png") });
        let shot = self.call("Page.captureScreenshot", json!({ "format": "png" })).await;
        let bytes = base64::engine::general_purpose::STANDARD.decode(shot["data"].as_str().unwrap());
        std::fs::write(&file, bytes.unwrap()).unwrap();
        file
    }

    // --- what must not happen

    /// From now on, what the browser says against this is to be expected.
    pub fn expect(&mut self, part: &'static str) {
        self.faults.expect(part);
    }

    /// What was said so far has been dealt with.
    pub fn forget(&mut self) {
        self.faults.forget();
    }

    /// What the browser had to say against the page so far.
    pub async fn faults(&mut self) -> Vec<String> {
        // What happened before a call is told before its answer.
        let _ = self.evaluate("return 0").await;
        self.faults.hear(self.protocol.events());
        self.faults.told().to_vec()
    }

    /// Fails if the browser had anything to say against the page.
    pub async fn clean(&mut self) {
        let faults = self.faults().await;
        assert!(faults.is_empty(), "{}\n{}", self.path().await, faults.join("\n"));
    }

    /// What was sent for by this window, each `(address, bytes over the network)`.
    pub async fn loaded(&mut self) -> Vec<(String, u64)> {
        let _ = self.faults().await;
        self.faults.loaded()
    }

    pub async fn call(&mut self, method: &str, params: Value) -> Value {
        let answer = self.protocol.call(method, params).await;
        self.faults.hear(self.protocol.events());
        answer.unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    async fn evaluate(&mut self, code: &str) -> Result<Value, String> {
        let expression = format!("(async () => {{ {PRELUDE} {code} }})()");
        let params = json!({ "expression": expression, "awaitPromise": true, "returnByValue": true });
        let mut answer = self.protocol.call("Runtime.evaluate", params).await?;
        self.faults.hear(self.protocol.events());
        match answer.get("exceptionDetails") {
            Some(details) => Err(details.to_string()),
            None => Ok(answer["result"]["value"].take()),
        }
    }
}
