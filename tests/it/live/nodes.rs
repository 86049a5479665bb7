//! Another node, and the end of one.

use super::{Live, elsewhere, served, transition};
use crate::support::on_both_databases;
use crate::support::web_socket::{Came, WebSocket};
use errand::api::Bounds;
use serde_json::json;
use tokio_util::sync::CancellationToken;

on_both_databases![
    Live: what_a_task_does_on_one_node_is_told_on_another,
    what_another_node_has_told_already_is_not_told_again,
    a_node_that_drains_says_goodbye_and_when_to_come_again,
];

async fn what_a_task_does_on_one_node_is_told_on_another(live: Live) {
    live.service.work();
    let (other, stop) = (elsewhere(&live.service).await, CancellationToken::new());
    let (_, address) = served(&other, &live.service.keys, Bounds::default(), stop.clone());
    let mut socket = WebSocket::open(address, "/ws?scope=owner").await;
    assert_eq!(socket.said().await["type"], "connection");
    let params = json!({ "name": "x", "duration": 1000, "steps": 4 });
    live.service.submit(json!({ "type": "demo", "params": params })).await;
    let (mut told, mut progress) = (Vec::new(), 0);
    while told.len() < 3 {
        let frame = socket.said().await;
        progress += usize::from(frame["event"] == "progress");
        told.extend(transition(&frame));
    }
    assert_eq!(told, live.logged(0).await);
    assert!(progress > 0);
    stop.cancel();
}

async fn what_another_node_has_told_already_is_not_told_again(live: Live) {
    let (other, stop) = (elsewhere(&live.service).await, CancellationToken::new());
    let (_, address) = served(&other, &live.service.keys, Bounds::default(), stop.clone());
    // While it is there, that node reads, and comes to what nobody wakes it for within its poll.
    let mut watching = WebSocket::open(address, "/ws").await;
    assert_eq!(watching.said().await["type"], "connection");
    for _ in 0..5 {
        let id = live.submit("a").await;
        live.service.delete(&format!("/api/tasks/{id}")).await.ok();
        let seq = live.logged(0).await.len();
        let mut socket = WebSocket::open(address, &format!("/ws?scope=owner&after_seq={seq}")).await;
        assert_eq!(socket.said().await["seq"], seq);
        let next = live.submit("b").await;
        assert_eq!(socket.said().await["task"]["id"], next.as_str());
    }
    stop.cancel();
}

async fn a_node_that_drains_says_goodbye_and_when_to_come_again(live: Live) {
    let mut sockets = Vec::new();
    for _ in 0..20 {
        sockets.push(live.connected("/ws").await.0);
    }
    live.service.stop.cancel();
    let mut waits = Vec::new();
    for socket in &mut sockets {
        let goodbye = socket.said().await;
        assert_eq!(goodbye["type"], "goodbye");
        waits.push(goodbye["reconnect_in_ms"].as_u64().unwrap());
        assert_eq!(socket.next().await, Came::Closed(1012));
    }
    assert!(waits.iter().all(|wait| (200..=10_000).contains(wait)), "{waits:?}");
    waits.dedup();
    assert!(waits.len() > 10, "they come again one by one: {waits:?}");
}

#[tokio::test]
async fn a_node_that_drains_takes_no_more_sockets() {
    let live = Live::sqlite().await;
    live.service.stop.cancel();
    let refused = WebSocket::try_open(live.address, "/ws", "").await.err().unwrap();
    assert!(refused.starts_with("HTTP/1.1 503 ") && refused.contains("draining"), "{refused}");
}
