//! Who is at a socket, and until when.

use super::Live;
use crate::promises::new_key;
use crate::support::http::{Service, node};
use crate::support::on_both_databases;
use crate::support::web_socket::{Came, WebSocket};
use errand::api::{Bounds, NodeInfo, RateSettings};
use errand::task::Role;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

on_both_databases![
    Live: a_key_is_shown_in_a_message_a_protocol_a_header_or_by_a_session,
    a_wrong_key_is_told_and_closed_with_4401,
    wrong_keys_count_at_a_socket_like_everywhere,
    a_key_that_is_revoked_or_a_session_that_ends_closes_its_sockets_within_five_seconds,
    an_owner_hears_nothing_of_another_while_that_one_is_busy,
    a_role_may_over_a_socket_what_it_may_by_a_request,
    what_is_asked_over_a_socket_counts_like_a_request,
    what_is_done_and_what_is_denied_over_a_socket_stands_in_the_activity,
    a_page_of_a_listed_origin_connects_with_a_key_and_never_by_a_cookie,
];

async fn open_with(live: &Live, headers: &str) -> WebSocket {
    WebSocket::try_open(live.address, "/ws?scope=owner", headers).await.unwrap()
}

/// A cookie of a session, with the origin of the page that has it.
async fn page(live: &Live, key: &str) -> String {
    let body = json!({ "key": key }).to_string();
    let json = ("content-type", "application/json");
    let answer = live.service.call("POST", "/api/session", &[json, ("sec-fetch-site", "same-origin")], body).await;
    format!("cookie: {}\r\n", answer.header("set-cookie").split(';').next().unwrap())
}

/// What a socket that is turned away hears, and its code.
async fn turned_away(mut socket: WebSocket) -> (Value, u16) {
    let told = socket.said().await;
    assert_eq!(told["type"], "error", "{told}");
    (told["code"].clone(), socket.closed().await)
}

async fn a_key_is_shown_in_a_message_a_protocol_a_header_or_by_a_session(live: Live) {
    let key = live.service.key(Role::Read, "alice").await;
    let cookie = page(&live, &key).await;
    let origin = format!("origin: http://{}\r\n", live.address);
    for headers in [
        format!("authorization: Bearer {key}\r\n"),
        format!("x-api-key: {key}\r\n"),
        format!("sec-websocket-protocol: errand, {key}\r\n"),
        format!("{cookie}{origin}"),
    ] {
        let first = open_with(&live, &headers).await.said().await;
        assert_eq!((&first["type"], &first["owner"]), (&json!("connection"), &json!("alice")), "{headers}");
    }
    let mut socket = open_with(&live, "").await;
    socket.text("ping").await;
    socket.ask(json!({ "type": "auth", "key": key })).await;
    let first = socket.said().await;
    assert_eq!((&first["type"], &first["owner"]), (&json!("connection"), &json!("alice")));
    let refused = WebSocket::try_open(live.address, "/ws", &cookie).await.err().unwrap();
    assert!(refused.starts_with("HTTP/1.1 403 "), "a cookie without an origin: {refused}");
    let foreign = format!("{cookie}origin: http://evil.example\r\n");
    let refused = WebSocket::try_open(live.address, "/ws", &foreign).await.err().unwrap();
    assert!(refused.starts_with("HTTP/1.1 403 "), "{refused}");
    let refused = WebSocket::try_open(live.address, &format!("/ws?key={key}"), "").await.err().unwrap();
    assert!(refused.starts_with("HTTP/1.1 422 "), "{refused}");
}

async fn a_wrong_key_is_told_and_closed_with_4401(live: Live) {
    let (made, revoked) = live.service.keys.create(new_key(Role::Read, "alice")).await.unwrap();
    live.service.keys.revoke(&made.id).await.unwrap();
    for (key, code) in [("errand_1_x", "unauthenticated"), (&revoked, "key_revoked")] {
        for headers in
            [format!("authorization: Bearer {key}\r\n"), format!("sec-websocket-protocol: errand, {key}\r\n")]
        {
            assert_eq!(turned_away(open_with(&live, &headers).await).await, (json!(code), 4401), "{headers}");
        }
        let mut socket = open_with(&live, "").await;
        socket.ask(json!({ "type": "auth", "key": key })).await;
        assert_eq!(turned_away(socket).await, (json!(code), 4401));
    }
    for first in [r#"{"type":"subscribe"}"#, "{"] {
        let mut socket = open_with(&live, "").await;
        socket.text(first).await;
        assert_eq!(turned_away(socket).await, (json!("unauthenticated"), 4401), "{first}");
    }
}

async fn wrong_keys_count_at_a_socket_like_everywhere(live: Live) {
    let key = live.service.key(Role::Read, "alice").await;
    for _ in 0..97 {
        let wrong = [("x-api-key", "wrong")];
        assert_eq!(live.service.call_from("127.0.0.1", "GET", "/api/me", &wrong, "").await.status, 401);
    }
    let by_message = async |key: &str| {
        let mut socket = open_with(&live, "").await;
        socket.ask(json!({ "type": "auth", "key": key })).await;
        turned_away(socket).await
    };
    let shown = [format!("authorization: Bearer {key}\r\n"), format!("sec-websocket-protocol: errand, {key}\r\n")];
    for headers in &shown {
        let wrong = headers.replace(&key, "wrong");
        assert_eq!(turned_away(open_with(&live, &wrong).await).await, (json!("unauthenticated"), 4401));
    }
    assert_eq!(by_message("wrong").await, (json!("unauthenticated"), 4401));
    // A hundred.
    assert_eq!(by_message(&key).await, (json!("rate_limited"), 4401));
    for headers in &shown {
        let refused = WebSocket::try_open(live.address, "/ws", headers).await.err().unwrap();
        assert!(refused.starts_with("HTTP/1.1 429 ") && refused.contains("retry-after: "), "{refused}");
    }
}

async fn a_key_that_is_revoked_or_a_session_that_ends_closes_its_sockets_within_five_seconds(live: Live) {
    let (made, key) = live.service.keys.create(new_key(Role::Read, "alice")).await.unwrap();
    let other = live.service.key(Role::Read, "alice").await;
    let bearer = |key: &str| format!("authorization: Bearer {key}\r\n");
    let by_session = format!("{}origin: http://{}\r\n", page(&live, &key).await, live.address);
    let mut sockets = Vec::new();
    for headers in [bearer(&key), by_session, bearer(&other)] {
        let mut socket = open_with(&live, &headers).await;
        assert_eq!(socket.said().await["type"], "connection");
        sockets.push(socket);
    }
    let revoked = Instant::now();
    live.service.keys.revoke(&made.id).await.unwrap();
    let mut stays = sockets.pop().unwrap();
    for socket in sockets {
        assert_eq!(turned_away(socket).await.1, 4401);
    }
    assert!(revoked.elapsed() < Duration::from_secs(5), "{:?}", revoked.elapsed());
    stays.text("ping").await;
    assert_eq!(stays.said().await["type"], "pong");
}

async fn an_owner_hears_nothing_of_another_while_that_one_is_busy(live: Live) {
    live.service.work();
    let (alice, bob) = (live.service.key(Role::Submit, "alice").await, live.service.key(Role::Submit, "bob").await);
    let mut socket = open_with(&live, &format!("authorization: Bearer {alice}\r\n")).await;
    assert_eq!(socket.said().await["type"], "connection");
    let batch = json!({ "tasks": vec![json!({ "type": "noop", "client_id": "x" }); 1000] });
    let made = live.service.call_as(&bob, "POST", "/api/tasks/batch", batch).await;
    let theirs = made.json["tasks"][0]["id"].clone();
    for ask in [
        json!({ "type": "subscribe", "client_id": "x", "after_seq": 0 }),
        json!({ "type": "subscribe", "filter": { "owner": "bob" }, "after_seq": 0 }),
        json!({ "type": "subscribe", "filter": { "ids": [theirs] }, "after_seq": 0 }),
        json!({ "type": "subscribe", "after_seq": 0 }),
    ] {
        socket.ask(ask).await;
        assert_eq!(socket.said().await["type"], "ack");
    }
    let own = live.service.call_as(&alice, "POST", "/api/tasks/submit?wait=60", json!({ "type": "noop" })).await.id();
    loop {
        let frame = socket.said().await;
        assert_eq!((&frame["task"]["owner"], &frame["task"]["id"]), (&json!("alice"), &json!(own)));
        if frame["type"] == "taskFinished" {
            break;
        }
    }
}

async fn a_role_may_over_a_socket_what_it_may_by_a_request(live: Live) {
    let key = |role| live.service.key(role, "alice");
    let (reads, submits, works) = (key(Role::Read).await, key(Role::Submit).await, key(Role::Worker).await);
    let task = live.service.call_as(&submits, "POST", "/api/tasks/submit", json!({ "type": "noop" })).await.id();
    for (key, kind, answer) in [
        (&reads, "status", "PENDING"),
        (&reads, "cancel", "forbidden"),
        (&reads, "retry", "forbidden"),
        (&submits, "cancel", "CANCELLED"),
        (&submits, "retry", "PENDING"),
    ] {
        let mut socket = open_with(&live, &format!("authorization: Bearer {key}\r\n")).await;
        assert_eq!(socket.said().await["type"], "connection");
        socket.ask(json!({ "type": kind, "id": 1, "task_id": task })).await;
        let said = socket.answered().await;
        let heard = if said["type"] == "ack" { &said["task"]["status"] } else { &said["code"] };
        assert_eq!(heard, answer, "{kind}");
        if answer == "forbidden" {
            // Before anything is looked for.
            socket.ask(json!({ "type": kind, "id": 1, "task_id": "7" })).await;
            assert_eq!(socket.answered().await["code"], "forbidden");
        }
    }
    let headers = format!("authorization: Bearer {works}\r\n");
    let refused = WebSocket::try_open(live.address, "/ws", &headers).await.err().unwrap();
    assert!(refused.starts_with("HTTP/1.1 403 "), "{refused}");
}

async fn what_is_asked_over_a_socket_counts_like_a_request(live: Live) {
    let live = live.limited(RateSettings { write: Some(5), read: Some(5), ..Default::default() });
    let key = live.service.key(Role::Submit, "alice").await;
    let task = live.service.call_as(&key, "POST", "/api/tasks/submit", json!({ "type": "noop" })).await.id();
    let mut socket = open_with(&live, &format!("authorization: Bearer {key}\r\n")).await;
    assert_eq!(socket.said().await["type"], "connection");
    for kind in ["status", "cancel"] {
        for _ in 0..50 {
            socket.ask(json!({ "type": kind, "task_id": task })).await;
        }
        let (mut passed, mut refused) = (0, 0);
        while passed + refused < 50 {
            let said = socket.said().await;
            match said["type"].as_str() {
                Some("ack") => passed += 1,
                Some("error") => refused += usize::from(said["code"] == "rate_limited"),
                _ => {} // what happened to the task
            }
        }
        assert!(passed >= 5 && refused > 0, "{kind}: {passed} passed");
    }
}

#[tokio::test]
async fn who_shows_no_key_in_time_is_closed_with_4408() {
    let bounds = Bounds { unsigned: Duration::from_millis(200), ..Bounds::default() };
    let live = Live::within(Service::sqlite().await, bounds);
    live.service.key(Role::Read, "alice").await;
    let mut socket = open_with(&live, "").await;
    assert_eq!(socket.next().await, Came::Closed(4408));
}

async fn what_is_done_and_what_is_denied_over_a_socket_stands_in_the_activity(live: Live) {
    let admin = live.service.key(Role::Admin, "root").await;
    let (made, alice) = live.service.keys.create(new_key(Role::Submit, "alice")).await.unwrap();
    let (start, last) = alice.split_at(alice.len() - 1);
    let wrong = format!("{start}{}", if last == "A" { "B" } else { "A" });
    for headers in
        [format!("authorization: Bearer {wrong}\r\n"), format!("sec-websocket-protocol: errand, {wrong}\r\n")]
    {
        turned_away(open_with(&live, &headers).await).await;
    }
    let mut socket = open_with(&live, "").await;
    socket.ask(json!({ "type": "auth", "key": wrong })).await;
    turned_away(socket).await;
    let body = json!({ "type": "noop", "run_at": "2999-01-01T00:00:00Z" });
    let id = live.service.call_as(&alice, "POST", "/api/tasks/submit", body).await.id();
    let mut socket = open_with(&live, &format!("authorization: Bearer {alice}\r\n")).await;
    socket.said_of("connection").await;
    for kind in ["cancel", "retry", "retry"] {
        socket.ask(json!({ "type": kind, "id": 1, "task_id": id })).await;
        socket.answered().await;
    }
    let reader = live.service.key(Role::Read, "alice").await;
    let mut socket = open_with(&live, &format!("authorization: Bearer {reader}\r\n")).await;
    socket.said_of("connection").await;
    socket.ask(json!({ "type": "cancel", "id": 1, "task_id": id })).await;
    socket.answered().await;

    assert!(live.service.queue.journal().settle().await);
    let page = live.service.call_as(&admin, "GET", "/api/activity?q=ws", Value::Null).await.ok();
    let entries = page["activity"].as_array().unwrap();
    let mut told: Vec<_> = entries
        .iter()
        .map(|entry| {
            assert_eq!((&entry["owner"], &entry["route"]), (&json!("alice"), &json!("GET /ws")), "{entry}");
            assert_eq!(entry["address"], "127.0.0.1");
            let mine = entry["key_id"] == made.id.as_str();
            format!("{} {} {} {mine}", entry["action"].as_str().unwrap(), entry["status"], entry["count"])
        })
        .collect();
    told.sort();
    assert_eq!(
        told,
        [
            "access.denied 401 3 true",
            "access.denied 403 1 false",
            "task.cancelled 200 1 true",
            "task.retried 200 1 true",
            "task.retried 409 1 true",
        ]
    );
    assert!(entries.iter().all(|entry| entry["status"] == 401 || entry["status"] == 403 || entry["target"] == id));
}

async fn a_page_of_a_listed_origin_connects_with_a_key_and_never_by_a_cookie(live: Live) {
    const LISTED: &str = "origin: https://app.example.org\r\n";
    let refused = WebSocket::try_open(live.address, "/ws", LISTED).await.err().unwrap();
    assert!(refused.starts_with("HTTP/1.1 403 "), "nothing is listed: {refused}");
    let allowed_origins = vec!["https://app.example.org".to_owned()];
    let live = live.with_node(NodeInfo { allowed_origins, ..node() });
    let key = live.service.key(Role::Read, "alice").await;
    let cookie = page(&live, &key).await;
    let mut socket = open_with(&live, &format!("{cookie}{LISTED}")).await;
    // The cookie is none here: it has to say who it is, like anybody.
    socket.ask(json!({ "type": "auth", "key": key })).await;
    assert_eq!(socket.said().await["owner"], "alice");
    let mut socket = open_with(&live, &format!("sec-websocket-protocol: errand, {key}\r\n{LISTED}")).await;
    assert_eq!(socket.said().await["owner"], "alice");
    for other in ["http://app.example.org", "null", "https://app.example.org.evil.example"] {
        let refused = WebSocket::try_open(live.address, "/ws", &format!("origin: {other}\r\n")).await.err().unwrap();
        assert!(refused.starts_with("HTTP/1.1 403 "), "{other}: {refused}");
    }
}
