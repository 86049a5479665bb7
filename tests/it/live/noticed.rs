//! Notifications, over a socket, as tasks end; and what is marked, at every page that is open.

use super::{Live, elsewhere, served};
use crate::support::on_both_databases;
use crate::support::web_socket::WebSocket;
use errand::api::Bounds;
use errand::task::Role;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

on_both_databases![
    Live: an_end_is_told_as_the_list_shows_it_and_nothing_else_is,
    an_owner_is_told_of_its_own_ends_and_marks_at_any_node_and_of_no_others,
    what_is_muted_is_not_told_from_then_on,
    whoever_is_not_subscribed_costs_nothing,
];

async fn as_key(address: SocketAddr, path: &str, key: &str) -> WebSocket {
    let header = format!("authorization: Bearer {key}\r\n");
    let mut socket = WebSocket::try_open(address, path, &header).await.unwrap();
    assert_eq!(socket.said().await["type"], "connection");
    socket
}

/// The next frame, which is a notification.
async fn notification(socket: &mut WebSocket) -> Value {
    let mut frame = socket.said().await;
    assert_eq!((&frame["type"], frame.get("seq")), (&json!("notification"), None), "{frame}");
    frame["notification"].take()
}

async fn cancelled(live: &Live) -> String {
    let id = live.submit("a").await;
    live.service.delete(&format!("/api/tasks/{id}")).await.ok();
    id
}

async fn an_end_is_told_as_the_list_shows_it_and_nothing_else_is(live: Live) {
    let (mut socket, _) = live.connected("/ws/notifications").await;
    let (mut other, _) = live.connected("/ws").await;
    other.ask(json!({ "type": "subscribe", "id": 1, "topics": ["notifications"] })).await;
    assert_eq!(other.answered().await["topics"], json!(["tasks", "notifications"]));
    let waits = live.submit("a").await;
    cancelled(&live).await;
    live.service.work();
    live.service.finished(&waits).await;
    live.service
        .run(json!({ "type": "demo", "params": { "name": "x", "duration": 1000, "steps": 1, "fail_at": 1 } }))
        .await;
    let mut listed = live.service.get("/api/notifications").await.ok()["items"].take();
    listed.as_array_mut().unwrap().reverse();
    for socket in [&mut socket, &mut other] {
        let told = [notification(socket).await, notification(socket).await, notification(socket).await];
        assert_eq!(json!(told), listed);
    }
    socket.ask(json!({ "type": "unsubscribe", "topics": ["notifications"] })).await;
    assert_eq!(socket.answered().await["topics"], json!([]));
    let refused = live.service.get("/api/events?topics=notifications").await;
    assert_eq!((refused.status, refused.pointers()), (422, vec!["/topics"]));
}

async fn an_owner_is_told_of_its_own_ends_and_marks_at_any_node_and_of_no_others(live: Live) {
    let service = &live.service;
    let admin = service.key(Role::Admin, "root").await;
    let [alice, bob] = [service.key(Role::Submit, "alice").await, service.key(Role::Submit, "bob").await];
    let reader = service.key(Role::Read, "alice").await;
    let (other, stop) = (elsewhere(service).await, CancellationToken::new());
    let (_, address) = served(&other, &service.keys, Bounds::default(), stop.clone());
    let mut alices =
        [as_key(address, "/ws/notifications", &alice).await, as_key(live.address, "/ws/notifications", &reader).await];
    let mut others =
        [as_key(address, "/ws/notifications", &bob).await, as_key(address, "/ws/notifications", &admin).await];
    let end = async |key: &str| {
        let id = service.call_as(key, "POST", "/api/tasks/submit", json!({ "type": "noop" })).await.id();
        service.call_as(key, "DELETE", &format!("/api/tasks/{id}"), Value::Null).await.ok();
        id
    };
    let id = end(&alice).await;
    let mut place = Value::Null;
    for socket in &mut alices {
        let told = notification(socket).await;
        assert_eq!((&told["task"]["id"], &told["read"]), (&json!(id), &json!(false)));
        place = told["id"].clone();
    }
    for _ in 0..2 {
        // Once: the second time it is read already.
        service.call_as(&alice, "POST", "/api/notifications/read", json!({ "until": place })).await.ok();
    }
    for socket in &mut alices {
        let marked = socket.said().await;
        assert_eq!((&marked["type"], &marked["version"]), (&json!("notificationsMarked"), &json!(1)), "{marked}");
        assert!(marked["read_until"].as_str().unwrap().ends_with(&id), "{marked}");
    }
    service.call_as(&alice, "DELETE", "/api/notifications", Value::Null).await.ok();
    for socket in &mut alices {
        assert_eq!(socket.said().await["version"], 2);
    }
    for (socket, key) in others.iter_mut().zip([&bob, &admin]) {
        let id = end(key).await;
        assert_eq!(notification(socket).await["task"]["id"], id, "the first thing it hears");
    }
    stop.cancel();
}

async fn what_is_muted_is_not_told_from_then_on(live: Live) {
    let (mut socket, _) = live.connected("/ws/notifications").await;
    let patch = async |body: Value| {
        let json = [("content-type", "application/json")];
        live.service.call("PATCH", "/api/notifications/muted", &json, body.to_string()).await.ok();
    };
    patch(json!({ "mute": [{ "status": "CANCELLED" }] })).await;
    assert_eq!(socket.said().await["type"], "notificationsMarked");
    cancelled(&live).await;
    live.service.work();
    let done = live.service.run(json!({ "type": "noop" })).await;
    assert_eq!(notification(&mut socket).await["task"]["id"], done["id"]);
    patch(json!({ "unmute": [{ "status": "CANCELLED" }] })).await;
    assert_eq!(socket.said().await["type"], "notificationsMarked");
    let later = live.service.submit(json!({ "type": "noop", "run_at": "2999-01-01T00:00:00Z" })).await;
    live.service.delete(&format!("/api/tasks/{later}")).await.ok();
    assert_eq!(notification(&mut socket).await["task"]["id"], later);
}

async fn whoever_is_not_subscribed_costs_nothing(live: Live) {
    let queue = &live.service.queue;
    let (mut socket, _) = live.connected("/ws/metrics").await;
    assert!(!queue.is_followed() && !queue.are_marks_watched());
    socket.ask(json!({ "type": "subscribe", "topics": ["notifications"] })).await;
    socket.answered().await;
    assert!(queue.is_followed() && queue.are_marks_watched());
    socket.ask(json!({ "type": "unsubscribe", "topics": ["notifications"] })).await;
    socket.answered().await;
    let until = Instant::now() + Duration::from_secs(10);
    while queue.is_followed() || queue.are_marks_watched() {
        assert!(Instant::now() < until, "it is still read for somebody");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
