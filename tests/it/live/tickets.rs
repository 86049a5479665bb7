//! What stands for a key in the address of a socket or a stream of events, once.

use super::{Live, elsewhere, served};
use crate::promises::new_key;
use crate::support::http::{Answer, node};
use crate::support::on_both_databases;
use crate::support::web_socket::{Came, WebSocket};
use errand::api::{Bounds, NodeInfo, RateSettings};
use errand::queue::keys::Keys;
use errand::task::{Role, Time};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

on_both_databases![
    Live: a_ticket_opens_one_socket_with_all_that_its_key_may_and_no_more,
    a_ticket_opens_one_stream_of_events,
    a_ticket_that_is_none_is_answered_like_a_wrong_key_to_the_byte,
    a_ticket_of_one_node_opens_a_socket_at_another,
    what_a_ticket_opened_ends_with_its_key,
    what_a_ticket_of_a_session_opened_ends_with_that,
    tickets_are_asked_for_like_other_changes,
    a_page_of_a_listed_origin_follows_with_a_ticket,
];

async fn ask(live: &Live, key: &str) -> Answer {
    live.service.call_as(key, "POST", "/api/tickets", Value::Null).await
}

async fn ticket(live: &Live, key: &str) -> String {
    let answer = ask(live, key).await;
    assert_eq!((answer.status, answer.header("cache-control")), (201, "no-store"), "{}", answer.json);
    answer.json["ticket"].as_str().unwrap().to_owned()
}

async fn open(live: &Live, ticket: &str, headers: &str) -> WebSocket {
    WebSocket::try_open(live.address, &format!("/ws?scope=owner&ticket={ticket}"), headers).await.unwrap()
}

async fn a_ticket_opens_one_socket_with_all_that_its_key_may_and_no_more(live: Live) {
    let (alice, bob) = (live.service.key(Role::Submit, "alice").await, live.service.key(Role::Read, "bob").await);
    let answer = ask(&live, &bob).await;
    let expires_at = Time::parse(answer.json["expires_at"].as_str().unwrap()).unwrap();
    let left = expires_at.since(live.service.queue.clock().now());
    assert!((1..=30_000).contains(&left), "{left} ms");
    assert_eq!(answer.json["ticket"].as_str().unwrap().len(), 43, "256 bits");
    let later = json!({ "type": "noop", "run_at": "2999-01-01T00:00:00Z" });
    let id = live.service.call_as(&alice, "POST", "/api/tasks/submit", later).await.id();
    for (key, owner, cancel) in [(&bob, "bob", "forbidden"), (&alice, "alice", "CANCELLED")] {
        // Whatever else comes with it, another's key too.
        let ticket = ticket(&live, key).await;
        let mut socket = open(&live, &ticket, &format!("authorization: Bearer {alice}\r\n")).await;
        assert_eq!(socket.said().await["owner"], owner);
        socket.ask(json!({ "type": "cancel", "id": 1, "task_id": id })).await;
        let said = socket.answered().await;
        assert_eq!(if said["type"] == "ack" { &said["task"]["status"] } else { &said["code"] }, cancel);
        let mut again = open(&live, &ticket, &format!("authorization: Bearer {alice}\r\n")).await;
        assert_eq!((&again.said().await["code"], again.closed().await), (&json!("unauthenticated"), 4401), "once");
    }
    let metrics = format!("/ws/metrics?ticket={}", ticket(&live, &bob).await);
    assert_eq!(WebSocket::open(live.address, &metrics).await.said().await["owner"], "bob");
}

async fn a_ticket_opens_one_stream_of_events(live: Live) {
    let key = live.service.key(Role::Read, "alice").await;
    let ticket = ticket(&live, &key).await;
    let path = format!("/api/events?ticket={ticket}");
    let answer = live.service.get(&path).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, "text/event-stream"));
    let first = String::from_utf8(answer.body.to_vec()).unwrap();
    assert!(first.contains("event: connection\n") && first.contains("\"owner\":\"alice\""), "{first}");
    live.service.get(&path).await.is_problem(401, "unauthenticated", "once");
    // It opens nothing else.
    for path in ["/api/tasks", "/api/me", "/api/tasks/changes", "/api/activity"] {
        live.service.get(&format!("{path}?ticket={ticket}")).await.is_problem(401, "unauthenticated", path);
    }
}

async fn a_ticket_that_is_none_is_answered_like_a_wrong_key_to_the_byte(live: Live) {
    let (made, key) = live.service.keys.create(new_key(Role::Read, "alice")).await.unwrap();
    let used = ticket(&live, &key).await;
    open(&live, &used, "").await.said_of("connection").await;
    let old_secret = ticket(&live, &key).await;
    live.service.keys.rotate(&made.id).await.unwrap();
    let wrong = "errand_0123456789abcdef_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    let plain = |answer: Answer| (answer.status, answer.headers, answer.body);
    let named = [("x-request-id", "r"), ("x-api-key", wrong)];
    let by_key = plain(live.service.call("GET", "/api/events", &named, "").await);
    assert_eq!(by_key.0, 401);
    let frame = async |mut socket: WebSocket| (socket.next().await, socket.next().await);
    let headers = format!("x-api-key: {wrong}\r\n");
    let told = frame(WebSocket::try_open(live.address, "/ws", &headers).await.unwrap()).await;
    assert_eq!(told.1, Came::Closed(4401));
    for none in [&*used, &old_secret, &"A".repeat(43), "", "x", &"A".repeat(4_000), "%C3%A4", &key] {
        let path = format!("/api/events?ticket={none}");
        let answer = live.service.call("GET", &path, &named[..1], "").await;
        assert_eq!(plain(answer), by_key, "{none}");
        let socket = WebSocket::try_open(live.address, &format!("/ws?ticket={none}"), "").await.unwrap();
        assert_eq!(frame(socket).await, told, "{none}");
    }
    let two =
        format!("/api/events?ticket={}&ticket={used}", ticket(&live, &live.service.key(Role::Read, "bob").await).await);
    assert_eq!(plain(live.service.call("GET", &two, &named[..1], "").await), by_key);
}

async fn a_ticket_of_one_node_opens_a_socket_at_another(live: Live) {
    let (other, stop) = (elsewhere(&live.service).await, CancellationToken::new());
    let key = live.service.key(Role::Read, "alice").await;
    let keys = Keys::new(other.store().clone(), other.clock().clone(), &[], true);
    let (_, address) = served(&other, &keys, Bounds::default(), stop.clone());
    for _ in 0..5 {
        let path = format!("/ws?ticket={}", ticket(&live, &key).await);
        let (mut here, mut there) = tokio::join!(WebSocket::open(live.address, &path), WebSocket::open(address, &path));
        let mut said = [here.said().await["type"].clone(), there.said().await["type"].clone()];
        said.sort_by_key(Value::to_string);
        assert_eq!(said, ["connection", "error"], "one of both, when it is shown to both at once");
    }
    let path = format!("/ws?ticket={}", ticket(&live, &key).await);
    assert_eq!(WebSocket::open(address, &path).await.said().await["owner"], "alice");
    stop.cancel();
}

async fn what_a_ticket_opened_ends_with_its_key(live: Live) {
    let (made, key) = live.service.keys.create(new_key(Role::Read, "alice")).await.unwrap();
    let other = live.service.key(Role::Read, "alice").await;
    let mut socket = open(&live, &ticket(&live, &key).await, "").await;
    let mut stays = open(&live, &ticket(&live, &other).await, "").await;
    let unused = ticket(&live, &key).await;
    socket.said_of("connection").await;
    stays.said_of("connection").await;
    let revoked = Instant::now();
    live.service.keys.revoke(&made.id).await.unwrap();
    assert_eq!(socket.said_of("error").await["code"], "key_revoked");
    assert_eq!(socket.closed().await, 4401);
    assert!(revoked.elapsed() < Duration::from_secs(5), "{:?}", revoked.elapsed());
    assert_eq!(open(&live, &unused, "").await.said().await["code"], "key_revoked");
    stays.text("ping").await;
    assert_eq!(stays.said().await["type"], "pong");
}

async fn what_a_ticket_of_a_session_opened_ends_with_that(live: Live) {
    let key = live.service.key(Role::Read, "alice").await;
    let same = ("sec-fetch-site", "same-origin");
    let body = json!({ "key": key }).to_string();
    let signed = live.service.call("POST", "/api/session", &[("content-type", "application/json"), same], body).await;
    let cookie = signed.header("set-cookie").split(';').next().unwrap().to_owned();
    let page = [("cookie", cookie.as_str()), same];
    let made = live.service.call("POST", "/api/tickets", &page, "").await;
    let mut socket = open(&live, made.json["ticket"].as_str().unwrap(), "").await;
    socket.said_of("connection").await;
    let ended = Instant::now();
    assert_eq!(live.service.call("DELETE", "/api/session", &page, "").await.status, 204);
    assert_eq!((&socket.said().await["code"], socket.closed().await), (&json!("unauthenticated"), 4401));
    assert!(ended.elapsed() < Duration::from_secs(5), "{:?}", ended.elapsed());
}

async fn tickets_are_asked_for_like_other_changes(live: Live) {
    let live = live.limited(RateSettings { write: Some(5), ..Default::default() });
    assert_eq!(ask(&live, "").await.status, 201, "while no key is needed");
    let socket = format!("/ws?ticket={}", "A".repeat(43));
    assert_eq!(WebSocket::open(live.address, &socket).await.said().await["owner"], "default", "nor looked at");
    let key = live.service.key(Role::Read, "alice").await;
    ask(&live, "wrong").await.is_problem(401, "unauthenticated", "a wrong key");
    ask(&live, &live.service.key(Role::Worker, "alice").await).await.is_problem(403, "forbidden", "it follows nothing");
    let refused = loop {
        let answer = ask(&live, &key).await;
        if answer.status != 201 {
            break answer;
        }
    };
    refused.is_problem(429, "rate_limited", "too many");
    let wrong = live
        .service
        .call("POST", "/api/tickets?nope=1", &[("x-api-key", &live.service.key(Role::Read, "b").await)], "")
        .await;
    wrong.is_problem(422, "invalid_request", "no parameter");
}

async fn a_page_of_a_listed_origin_follows_with_a_ticket(live: Live) {
    let listed = "https://app.example.org";
    let live = live.with_node(NodeInfo { allowed_origins: vec![listed.to_owned()], ..node() });
    let key = live.service.key(Role::Read, "alice").await;
    let page = [("origin", listed), ("sec-fetch-site", "cross-site")];
    let bearer = format!("Bearer {key}");
    let asked = [&page[..], &[("authorization", bearer.as_str())]].concat();
    let mut tickets = Vec::new();
    for _ in 0..2 {
        let made = live.service.call("POST", "/api/tickets", &asked, "").await;
        assert_eq!((made.status, made.header("access-control-allow-origin")), (201, listed));
        tickets.push(made.json["ticket"].as_str().unwrap().to_owned());
    }
    let events = live.service.call("GET", &format!("/api/events?ticket={}", tickets[0]), &page, "").await;
    assert_eq!((events.status, events.header("access-control-allow-origin")), (200, listed));
    let mut socket = open(&live, &tickets[1], &format!("origin: {listed}\r\n")).await;
    assert_eq!(socket.said().await["owner"], "alice");
}
