//! One connection of the DevTools protocol: calls, their answers, and what happened in between.

use super::web_socket::{Came, WebSocket};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::time::timeout;

/// Within this all that is waited for has come, on a slow and busy machine too.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub struct Protocol {
    socket: WebSocket,
    calls: u64,
    /// What happened and was not looked at yet: each `{method, params}`.
    events: Vec<Value>,
}

impl Protocol {
    pub async fn open(address: SocketAddr, path: &str) -> Protocol {
        Protocol { socket: WebSocket::open(address, path).await, calls: 0, events: Vec::new() }
    }

    /// What the browser answers; its message if it refuses.
    pub async fn call(&mut self, method: &str, params: Value) -> Result<Value, String> {
        let id = self.send(method, params).await;
        loop {
            let came = timeout(PATIENCE, self.socket.come()).await;
            let Came::Said(mut said) = came.unwrap_or_else(|_| panic!("no answer to {method}")) else {
                panic!("the browser has closed its end in {method}");
            };
            if said["id"] == id {
                return match said.get("error") {
                    Some(error) => Err(error.to_string()),
                    None => Ok(said["result"].take()),
                };
            }
            // A dialog holds everything up until it is answered.
            if said["method"] == "Page.javascriptDialogOpening" {
                self.send("Page.handleJavaScriptDialog", json!({ "accept": true })).await;
            }
            if said.get("method").is_some() {
                self.events.push(said);
            }
        }
    }

    /// What happened since this was last asked, as far as it was heard.
    pub fn events(&mut self) -> Vec<Value> {
        std::mem::take(&mut self.events)
    }

    async fn send(&mut self, method: &str, params: Value) -> u64 {
        self.calls += 1;
        self.socket.ask(json!({ "id": self.calls, "method": method, "params": params })).await;
        self.calls
    }
}
