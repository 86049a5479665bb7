//! What a browser says against a page, and what it sent for.

use serde_json::Value;
use std::collections::HashMap;

/// Collected from the events of the DevTools protocol.
pub struct Faults {
    /// The one host that may be asked: `127.0.0.1:1234`.
    host: String,
    expected: Vec<&'static str>,
    told: Vec<String>,
    /// By the number of the request: its address and the bytes that came.
    requests: HashMap<String, (String, u64)>,
}

impl Faults {
    pub fn new(base: &str) -> Faults {
        let host = base.trim_start_matches("http://").to_owned();
        Faults { host, expected: Vec::new(), told: Vec::new(), requests: HashMap::new() }
    }

    pub fn expect(&mut self, part: &'static str) {
        self.expected.push(part);
    }

    pub fn forget(&mut self) {
        self.told.clear();
    }

    pub fn told(&self) -> &[String] {
        &self.told
    }

    /// What came over the network: each address with its bytes, heads included.
    pub fn loaded(&self) -> Vec<(String, u64)> {
        self.requests.values().cloned().collect()
    }

    pub fn hear(&mut self, events: Vec<Value>) {
        for event in events {
            let params = &event["params"];
            match event["method"].as_str().unwrap_or_default() {
                "Runtime.consoleAPICalled" if loud(&params["type"]) => self.tell("console", &params["args"]),
                "Runtime.exceptionThrown" => self.tell("exception", &params["exceptionDetails"]),
                "Log.entryAdded" if loud(&params["entry"]["level"]) => self.tell("log", &params["entry"]),
                "Page.javascriptDialogOpening" => self.tell("dialog", params),
                "Audits.issueAdded" if params["issue"]["code"] == "ContentSecurityPolicyIssue" => {
                    self.tell("policy", &params["issue"]["details"]);
                }
                "Network.webSocketCreated" => self.is_ours(&params["url"]),
                "Network.requestWillBeSent" => {
                    let request = &params["request"]["url"];
                    self.is_ours(request);
                    let known = (text(request), 0);
                    self.requests.insert(text(&params["requestId"]), known);
                }
                "Network.loadingFinished" => {
                    if let Some((_, bytes)) = self.requests.get_mut(params["requestId"].as_str().unwrap_or_default()) {
                        *bytes = params["encodedDataLength"].as_f64().unwrap_or_default() as u64;
                    }
                }
                _ => {}
            }
        }
    }

    fn is_ours(&mut self, url: &Value) {
        let text = url.as_str().unwrap_or_default();
        let inside = ["data:", "blob:", "about:"].iter().any(|scheme| text.starts_with(scheme));
        let host = text.split("://").nth(1).and_then(|rest| rest.split(['/', '?', '#']).next());
        if !inside && host != Some(&self.host) {
            self.tell("another host", url);
        }
    }

    fn tell(&mut self, kind: &str, what: &Value) {
        let fault = format!("{kind}: {what}");
        if !self.expected.iter().any(|part| fault.contains(part)) {
            self.told.push(fault);
        }
    }
}

fn loud(level: &Value) -> bool {
    matches!(level.as_str(), Some("error" | "warning" | "assert"))
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
