//! What waits for an approval and what becomes of it, over a socket.

use super::{Live, elsewhere, served};
use crate::support::on_both_databases;
use crate::support::web_socket::WebSocket;
use errand::api::Bounds;
use errand::task::Role;
use serde_json::{Value, json};
use std::net::SocketAddr;
use tokio_util::sync::CancellationToken;

on_both_databases![
    Live: each_step_of_an_approval_is_told_once_in_order_and_nothing_else_is,
    a_socket_is_told_of_approvals_within_its_scope_at_any_node,
    what_was_missed_of_approvals_is_told_again,
    approvals_are_a_topic_beside_the_others,
];

async fn as_key(address: SocketAddr, path: &str, key: &str) -> WebSocket {
    let header = format!("authorization: Bearer {key}\r\n");
    let mut socket = WebSocket::try_open(address, path, &header).await.unwrap();
    assert_eq!(socket.said().await["type"], "connection");
    socket
}

/// The next frame, which is of an approval, as `event id`.
async fn told(socket: &mut WebSocket) -> String {
    let frame = socket.said().await;
    assert!(frame["type"] == "approval" && frame["seq"].is_i64(), "{frame}");
    format!("{} {}", frame["event"].as_str().unwrap(), frame["task"]["id"].as_str().unwrap())
}

/// A held task of some client that goes through everything; what has to be told of it.
async fn lived(live: &Live) -> Vec<String> {
    let service = &live.service;
    let id = service.submit(json!({ "type": "noop", "needs_approval": true, "client_id": "c" })).await;
    service.delete(&format!("/api/tasks/{id}")).await.ok();
    for step in ["retry", "reject", "retry", "approve"] {
        service.post(&format!("/api/tasks/{id}/{step}"), json!({})).await.ok();
    }
    service.delete(&format!("/api/tasks/{id}")).await.ok();
    let events = ["requested", "cancelled", "requested", "rejected", "requested", "approved"];
    events.map(|event| format!("{event} {id}")).to_vec()
}

async fn each_step_of_an_approval_is_told_once_in_order_and_nothing_else_is(live: Live) {
    let (mut socket, _) = live.connected("/ws/approvals").await;
    for _ in 0..2 {
        live.submit("a").await;
        for expected in lived(&live).await {
            assert_eq!(told(&mut socket).await, expected);
        }
    }
    socket.ask(json!({ "type": "unsubscribe", "id": 1 })).await;
    assert_eq!(socket.answered().await["topics"], json!([]));
    lived(&live).await;
    socket.ask(json!({ "type": "ping", "id": 2 })).await;
    assert_eq!(socket.said().await["type"], "pong");
}

async fn a_socket_is_told_of_approvals_within_its_scope_at_any_node(live: Live) {
    let service = &live.service;
    let admin = service.key(Role::Admin, "root").await;
    let [alice, bob] = [service.key(Role::Submit, "alice").await, service.key(Role::Read, "bob").await];
    let (other, stop) = (elsewhere(service).await, CancellationToken::new());
    let (_, address) = served(&other, &service.keys, Bounds::default(), stop.clone());
    let mut told_all = [as_key(address, "/ws/approvals", &admin).await, as_key(address, "/ws/approvals", &alice).await];
    let mut bobs = as_key(live.address, "/ws/approvals?scope=owner", &bob).await;
    let held = json!({ "type": "noop", "needs_approval": true });
    let id = service.call_as(&alice, "POST", "/api/tasks/submit", held).await.id();
    for socket in &mut told_all {
        assert_eq!(told(socket).await, format!("requested {id}"));
    }
    service.call_as(&admin, "POST", &format!("/api/tasks/{id}/approve"), Value::Null).await.ok();
    for socket in &mut told_all {
        assert_eq!(told(socket).await, format!("approved {id}"));
    }
    bobs.ask(json!({ "type": "ping", "id": 1 })).await;
    assert_eq!(bobs.said().await["type"], "pong");
    stop.cancel();
}

async fn what_was_missed_of_approvals_is_told_again(live: Live) {
    let first = lived(&live).await;
    live.submit("a").await;
    let (mut socket, _) = live.connected("/ws/approvals?after_seq=0").await;
    let second = lived(&live).await;
    for expected in first.iter().chain(&second) {
        assert_eq!(told(&mut socket).await, *expected);
    }
    // From any place of the log on, and at a socket that listened to nothing of it so far.
    let (mut other, _) = live.connected("/ws/metrics").await;
    other.ask(json!({ "type": "unsubscribe", "topics": ["metrics"] })).await;
    other.answered().await;
    let last = live.logged(0).await.pop().unwrap();
    let seq: i64 = last.split(' ').next().unwrap().parse().unwrap();
    other.ask(json!({ "type": "subscribe", "id": 1, "topics": ["approvals"], "after_seq": seq })).await;
    assert_eq!(other.answered().await["seq"], seq);
    for expected in lived(&live).await {
        assert_eq!(told(&mut other).await, expected);
    }
    let ahead = seq + 1_000_000;
    other.ask(json!({ "type": "subscribe", "id": 2, "topics": ["approvals"], "after_seq": ahead })).await;
    other.answered().await;
    let resync = other.said().await;
    assert_eq!([&resync["type"], &resync["topic"], &resync["reason"]], ["resync", "approvals", "sequence_ahead"]);
}

async fn approvals_are_a_topic_beside_the_others(live: Live) {
    let (mut socket, _) = live.connected("/ws?scope=owner").await;
    socket.ask(json!({ "type": "subscribe", "id": 1, "topics": ["tasks", "approvals"] })).await;
    assert_eq!(socket.answered().await["topics"], json!(["tasks", "approvals"]));
    let id = live.service.submit(json!({ "type": "noop", "needs_approval": true })).await;
    live.service.post(&format!("/api/tasks/{id}/reject"), json!({})).await.ok();
    let mut frames = Vec::new();
    for _ in 0..4 {
        let frame = socket.said().await;
        frames.push(format!("{} {}", frame["type"].as_str().unwrap(), frame["event"].as_str().unwrap()));
    }
    frames.sort();
    assert_eq!(frames, ["approval rejected", "approval requested", "taskFinished rejected", "taskQueued queued"]);
}
