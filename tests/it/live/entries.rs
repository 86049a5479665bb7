//! Who did what, over a socket, as it is written down.

use super::{Live, elsewhere, served};
use crate::support::http::Service;
use crate::support::on_both_databases;
use crate::support::web_socket::WebSocket;
use errand::api::Bounds;
use errand::task::{Action, Activity, Ending, Role};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

on_both_databases![
    Live: an_entry_is_told_as_the_list_shows_it,
    an_owner_hears_what_it_did_on_any_node_and_nothing_of_others,
    whoever_connects_again_and_again_misses_no_entry_and_hears_none_twice,
    entries_are_told_of_the_words_that_are_asked_for,
    the_stream_is_all_of_the_owners_tasks_and_nothing_else,
];

async fn as_key(address: SocketAddr, path: &str, key: &str) -> WebSocket {
    let header = format!("authorization: Bearer {key}\r\n");
    let mut socket = WebSocket::try_open(address, path, &header).await.unwrap();
    assert_eq!(socket.said().await["type"], "connection");
    socket
}

/// The next entry.
async fn entry(socket: &mut WebSocket) -> Value {
    let mut frame = socket.said().await;
    assert_eq!(frame["type"], "activity", "{frame}");
    frame["entry"].take()
}

async fn settle(service: &Service) {
    assert!(service.queue.journal().settle().await);
}

async fn an_entry_is_told_as_the_list_shows_it(live: Live) {
    let (mut socket, _) = live.connected("/ws/activity").await;
    let id = live.submit("me").await;
    live.service.delete(&format!("/api/tasks/{id}")).await;
    assert_eq!(live.service.post(&format!("/api/tasks/{id}/nope"), json!({})).await.status, 404);
    assert_eq!(live.service.post("/api/tasks/submit", json!({ "type": "nope" })).await.status, 422);
    settle(&live.service).await;
    let mut listed = live.service.get("/api/activity").await.ok()["activity"].take();
    listed.as_array_mut().unwrap().reverse();
    let told = [entry(&mut socket).await, entry(&mut socket).await, entry(&mut socket).await];
    assert_eq!(json!(told), listed);
    assert_eq!(told.map(|entry| entry["outcome"].clone()), ["done", "done", "refused"]);
}

async fn an_owner_hears_what_it_did_on_any_node_and_nothing_of_others(live: Live) {
    let service = &live.service;
    let admin = service.key(Role::Admin, "root").await;
    let [alice, reader] = [service.key(Role::Submit, "alice").await, service.key(Role::Read, "alice").await];
    let [bob, worker] = [service.key(Role::Submit, "bob").await, service.key(Role::Worker, "alice").await];
    let (other, stop) = (elsewhere(service).await, CancellationToken::new());
    let (_, address) = served(&other, &service.keys, Bounds::default(), stop.clone());
    let mut sockets = Vec::new();
    for key in [&admin, &alice, &reader, &bob] {
        sockets.push(as_key(address, "/ws/activity", key).await);
    }
    for (key, n) in [(&alice, 1), (&bob, 2), (&alice, 3)] {
        let body = json!({ "tasks": vec![json!({ "type": "noop" }); n] });
        assert_eq!(service.call_as(key, "POST", "/api/tasks/batch", body).await.status, 201);
        settle(service).await;
    }
    let mut ids = Vec::new();
    for (socket, counts) in sockets.iter_mut().zip([vec![1, 2, 3], vec![1, 3], vec![1, 3], vec![2]]) {
        for count in counts {
            let entry = entry(socket).await;
            assert_eq!(entry["count"], count, "{entry}");
            ids.push(entry["id"].as_str().unwrap().to_owned());
        }
    }
    // Another owner's entry is none: told alike, to the byte.
    let (bobs, nobodys) = (&ids[1], "0193c5a0-7b1e-7000-8000-0123456789ab");
    for (after, missing) in [(bobs.as_str(), true), (nobodys, true), (ids[0].as_str(), false)] {
        let mut socket = as_key(live.address, &format!("/ws/activity?after={after}"), &reader).await;
        let first = socket.said().await;
        match missing {
            true => assert_eq!(first, json!({ "type": "resync", "topic": "activity", "reason": "entry_unknown" })),
            false => assert_eq!(first["entry"]["count"], 3),
        }
    }
    let mut refused = live.open("/ws/activity").await;
    refused.ask(json!({ "type": "auth", "key": worker })).await;
    let (over_socket, over_http) =
        (refused.said().await, service.call_as(&worker, "GET", "/api/activity", Value::Null));
    let over_http = over_http.await.json;
    for member in ["code", "status", "detail"] {
        assert_eq!(over_socket[member], over_http[member], "{over_socket}");
    }
    stop.cancel();
}

async fn whoever_connects_again_and_again_misses_no_entry_and_hears_none_twice(live: Live) {
    const ENTRIES: usize = 1_500;
    let note = async |n: usize| {
        let entry = Activity::new(Action::TaskCancelled, Ending::Done);
        live.service.queue.journal().note(Activity { target: Some(n.to_string()), ..entry });
        if n.is_multiple_of(7) {
            settle(&live.service).await;
        }
    };
    let (mut socket, _) = live.connected("/ws/activity").await;
    let writing = async {
        for n in 0..ENTRIES {
            note(n).await;
        }
        settle(&live.service).await;
    };
    let hearing = async {
        let (mut told, mut left) = (0, 10);
        while told < ENTRIES {
            let entry = entry(&mut socket).await;
            assert_eq!(entry["target"], told.to_string());
            (told, left) = (told + 1, left - 1);
            if left == 0 {
                left = rand::random_range(1..300);
                let path = format!("/ws/activity?after={}", entry["id"].as_str().unwrap());
                socket = live.connected(&path).await.0;
            }
        }
    };
    tokio::join!(writing, hearing);
}

async fn entries_are_told_of_the_words_that_are_asked_for(live: Live) {
    let (mut socket, _) = live.connected("/ws/activity?category=task&category=file&outcome=refused").await;
    let (mut other, _) = live.connected("/ws?scope=owner").await;
    let denied =
        json!({ "type": "subscribe", "id": 1, "topics": ["activity"], "activity": { "action": "task.cancelled" } });
    other.ask(denied).await;
    assert_eq!(other.answered().await["topics"], json!(["tasks", "activity"]));
    let id = live.submit("me").await;
    assert_eq!(live.service.post(&format!("/api/tasks/{id}/retry"), Value::Null).await.status, 409);
    live.service.delete(&format!("/api/tasks/{id}")).await.ok();
    settle(&live.service).await;
    assert_eq!(other.said_of("activity").await["entry"]["action"], "task.cancelled");
    let refused = entry(&mut socket).await;
    assert_eq!((&refused["action"], &refused["outcome"]), (&json!("task.retried"), &json!("refused")));
    // A subscription takes the place of the one before.
    socket.ask(json!({ "type": "subscribe", "topics": ["activity"], "activity": { "after": refused["id"] } })).await;
    assert_eq!(socket.answered().await["topics"], json!(["activity"]));
    live.submit("me").await;
    settle(&live.service).await;
    for action in ["task.cancelled", "task.submitted"] {
        assert_eq!(entry(&mut socket).await["action"], action);
    }
    socket.ask(json!({ "type": "unsubscribe", "topics": ["activity"] })).await;
    assert_eq!(socket.answered().await["topics"], json!([]));
    for (query, pointer) in [("category=tasks", "/category"), ("after=7", "/after"), ("after_seq=7", "/after_seq")] {
        let refused = WebSocket::try_open(live.address, &format!("/ws/activity?{query}"), "").await.err().unwrap();
        assert!(refused.starts_with("HTTP/1.1 422 ") && refused.contains(pointer), "{refused}");
    }
    let refused = live.service.get("/api/events?topics=activity").await;
    assert_eq!((refused.status, refused.pointers()), (422, vec!["/topics"]));
}

async fn the_stream_is_all_of_the_owners_tasks_and_nothing_else(live: Live) {
    let (mut own, _) = live.connected("/ws").await;
    let (mut stream, _) = live.connected("/ws/stream").await;
    let (mut of_client, _) = live.connected("/ws/stream?client_id=b&after_seq=0").await;
    let [a, b] = [live.submit("a").await, live.submit("b").await];
    settle(&live.service).await;
    for id in [&a, &b] {
        assert_eq!(stream.said().await["task"]["id"], id.as_str());
    }
    assert_eq!(of_client.said().await["task"]["id"], b.as_str());
    own.ask(json!({ "type": "ping" })).await;
    assert_eq!(own.said().await["type"], "pong", "it was told of nothing before");
    stream.ask(json!({ "type": "unsubscribe", "topics": ["tasks"] })).await;
    assert_eq!(stream.answered().await["topics"], json!([]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_takes_no_entries_is_cut_and_others_hear_all_meanwhile() {
    const ENTRIES: usize = 9_000;
    let bounds = Bounds { stalled: Duration::from_secs(2), ..Bounds::default() };
    let live = Live::within(Service::sqlite().await, bounds);
    let _lazy = WebSocket::open_narrow(live.address, "/ws/activity").await;
    let (mut diligent, _) = live.connected("/ws/activity").await;
    for n in 0..ENTRIES {
        let (target, detail) = (Some(n.to_string()), Some("x".repeat(1_000)));
        let entry = Activity::new(Action::TaskCancelled, Ending::Done);
        live.service.queue.journal().note(Activity { target, detail, ..entry });
    }
    settle(&live.service).await;
    for n in 0..ENTRIES {
        assert_eq!(entry(&mut diligent).await["target"], n.to_string());
    }
    let until = Instant::now() + Duration::from_secs(12);
    while live.sockets().await > 1 {
        assert!(Instant::now() < until, "it is still there");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
