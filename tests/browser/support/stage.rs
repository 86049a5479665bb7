//! A node, a browser, and its first window.

use super::chromium::Chromium;
use super::node::{Home, Node};
use super::page::Page;
use super::protocol::PATIENCE;
use serde_json::{Value, json};

pub struct Stage {
    // In the order in which they end.
    pub page: Page,
    pub chromium: Chromium,
    pub node: Node,
    pub home: Home,
}

impl Stage {
    pub async fn sqlite() -> Stage {
        Stage::at(Home::sqlite()).await
    }

    pub async fn postgres() -> Stage {
        Stage::at(Home::postgres().await).await
    }

    async fn at(home: Home) -> Stage {
        let node = home.start(&["--workers", "4"]);
        let mut chromium = Chromium::start().await;
        let page = chromium.window(&node.url).await;
        Stage { page, chromium, node, home }
    }

    /// The task whose page is shown, once the service says this of it.
    pub async fn shown(&mut self, is: impl Fn(&Value) -> bool) -> Value {
        let id = "(/^\\/tasks\\/([0-9a-f-]{36})/.exec(location.pathname) ?? [])[1]";
        let id = self.page.until("a task's page", id).await;
        self.node.until(id.as_str().unwrap(), PATIENCE, is).await
    }
}

/// Kills a node; the port that another one may take in its place.
pub async fn killed(node: &mut Node) -> u16 {
    node.signal("KILL");
    node.ended(PATIENCE).await;
    node.url.rsplit(':').next().unwrap().parse().unwrap()
}

/// A task that runs for minutes, if nobody stops it.
pub fn endless(name: &str) -> Value {
    json!({ "type": "email_sending", "name": name, "params": { "num_emails": 100, "delay_per_email": 5 } })
}

/// One that ends at once.
pub fn noop(name: &str) -> Value {
    json!({ "type": "noop", "name": name, "params": {} })
}

/// One that fails.
pub fn failing(name: &str) -> Value {
    json!({ "type": "demo", "name": name, "params": { "duration": 1000, "steps": 1000, "fail_at": 1 } })
}

/// One that waits for a year to come.
pub fn later(name: &str) -> Value {
    json!({ "type": "noop", "name": name, "params": {}, "run_at": "2100-01-01T00:00:00Z" })
}
