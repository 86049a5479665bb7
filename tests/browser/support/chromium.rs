//! Debian's Chromium without a window, driven over its DevTools protocol.

use super::page::Page;
use super::protocol::{PATIENCE, Protocol};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// No network of its own, no first run, no sandbox (tests may run as root), and no need of a large /dev/shm.
const FLAGS: &[&str] = &[
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-breakpad",
    "--lang=en-US",
    "--remote-debugging-port=0",
];

/// A running browser with a profile of its own; both are gone when dropped.
pub struct Chromium {
    child: Child,
    profile: tempfile::TempDir,
    address: SocketAddr,
    protocol: Protocol,
}

impl Chromium {
    pub async fn start() -> Chromium {
        let profile = tempfile::tempdir().unwrap();
        let mut command = Command::new("chromium");
        // A cache or setting of the caller's is not what is tested.
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", profile.path()).env("LANG", "C.UTF-8").env("TZ", "UTC");
        command.args(FLAGS).arg(format!("--user-data-dir={}", profile.path().display())).arg("about:blank");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().expect("Chromium is installed (Debian: chromium)");
        let port_file = profile.path().join("DevToolsActivePort");
        let began = Instant::now();
        let (port, path) = loop {
            let text = std::fs::read_to_string(&port_file).unwrap_or_default();
            if let Some((port, path)) = text.split_once('\n').filter(|(_, path)| path.len() > 1) {
                break (port.parse().unwrap(), path.trim().to_owned());
            }
            let ended = child.try_wait().unwrap();
            assert!(ended.is_none() && began.elapsed() < PATIENCE, "Chromium does not start: {ended:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let protocol = Protocol::open(address, &path).await;
        Chromium { child, profile, address, protocol }
    }

    /// A window of somebody else: cookies and storage of its own. `base` is the service's address.
    pub async fn window(&mut self, base: &str) -> Page {
        let person = self.ask("Target.createBrowserContext", json!({})).await["browserContextId"].take();
        self.open(person, base.to_owned()).await
    }

    /// Another window of the same person.
    pub async fn beside(&mut self, page: &Page) -> Page {
        self.open(page.person().clone(), page.base().to_owned()).await
    }

    async fn open(&mut self, person: Value, base: String) -> Page {
        // A window and not a tab of one: what lies behind another tab is hidden, and does less.
        let about = json!({ "url": "about:blank", "browserContextId": person, "newWindow": true });
        let target = self.ask("Target.createTarget", about).await["targetId"].as_str().unwrap().to_owned();
        let protocol = Protocol::open(self.address, &format!("/devtools/page/{target}")).await;
        Page::new(protocol, base, person).await
    }

    /// What the browser lets this person's pages do: `granted`, `denied` or `prompt`.
    pub async fn permit(&mut self, page: &Page, name: &str, setting: &str) {
        let permission = json!({ "name": name });
        let given = json!({ "permission": permission, "setting": setting, "origin": page.base(), "browserContextId": page.person() });
        self.ask("Browser.setPermission", given).await;
    }

    /// Puts another tab in front of this window, which is hidden from then on.
    pub async fn cover(&mut self, page: &mut Page) {
        page.call("Emulation.setFocusEmulationEnabled", json!({ "enabled": false })).await;
        let tab = json!({ "url": "about:blank", "browserContextId": page.person() });
        let tab = self.ask("Target.createTarget", tab).await["targetId"].clone();
        self.ask("Target.activateTarget", json!({ "targetId": tab })).await;
        page.until("it is hidden", "document.hidden").await;
    }

    async fn ask(&mut self, method: &str, params: Value) -> Value {
        self.protocol.call(method, params).await.unwrap()
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        // Its other processes end with it, and write to the profile until they do.
        for _ in 0..100 {
            match std::fs::remove_dir_all(self.profile.path()) {
                Ok(()) => return,
                Err(_) => std::thread::sleep(Duration::from_millis(20)),
            }
        }
    }
}
