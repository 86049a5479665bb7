//! Mails: what is refused at submit, what servers may do, and what a kill may not.

mod killed; // a node killed among mails
mod room; // the process that talks to the server, when its node or itself is killed
mod servers; // servers that refuse, hang, cut and lie
mod submit; // what may stand in a mail

use crate::support::http::Service;
use crate::support::mail::{Peer, Script, Tls};
use errand::config::MAIL_ROOM;
use errand::types::{Encryption, MailProgram, MailServer, Mailing, Patience};
use serde_json::{Value, json};
use std::time::Duration;

/// How long these tests' servers are waited for.
const PATIENCE: Duration = Duration::from_millis(1500);

/// A service that sends by `peer`.
fn by(service: Service, peer: &Peer, encryption: Encryption) -> Service {
    by_port(service, peer.port, encryption)
}

fn by_port(service: Service, port: u16, encryption: Encryption) -> Service {
    let host = "127.0.0.1".to_owned();
    let from = "Errand <errand@example.org>".parse().unwrap();
    let patience = Patience { resolve: PATIENCE, connect: PATIENCE, command: PATIENCE, mail: PATIENCE };
    let path = env!("CARGO_BIN_EXE_errand").into();
    let program = MailProgram { path, arguments: vec![MAIL_ROOM.to_owned()], environment: Vec::new() };
    let server = Some(MailServer { host, port, encryption, account: None, program });
    let service = service.with_mailing(Mailing { server, from, patience });
    service.work();
    service
}

/// A plain server and a service that sends by it.
async fn plain(service: Service, script: Script) -> (Service, Peer) {
    let peer = Peer::start(Tls::No, script).await;
    (by(service, &peer, Encryption::None), peer)
}

/// A mailing to so many.
fn mailing(recipients: usize) -> Value {
    let people: Vec<Value> = (1..=recipients)
        .map(|n| json!({ "email": format!("user{n}@example.org"), "name": format!("User {n}") }))
        .collect();
    json!({ "recipients": people, "subject": "To {{name}}", "body": "Dear {{name}},\nhello.\n" })
}

/// A task with three attempts, one after the other at once.
fn task(params: Value) -> Value {
    json!({ "type": "email_sending", "params": params, "max_attempts": 3, "backoff": { "base_seconds": 0 } })
}

/// What became of each recipient, as `user1 sent`.
fn told(task: &Value) -> Vec<String> {
    let emails = task["result"]["emails"].as_array().unwrap_or_else(|| panic!("{task}"));
    let line = |email: &Value| {
        format!("{} {}", email["to"].as_str().unwrap().split('@').next().unwrap(), email["status"].as_str().unwrap())
    };
    emails.iter().map(line).collect()
}
