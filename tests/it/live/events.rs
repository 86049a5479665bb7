//! Server-Sent Events: the same stream, for who has no socket.

use super::{Live, transition};
use crate::promises::new_key;
use crate::support::http::Service;
use crate::support::on_both_databases;
use errand::api::Bounds;
use errand::task::Role;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::TcpStream;
use tokio::time::timeout;

on_both_databases![
    Live: a_stream_of_events_goes_on_behind_the_last_one_that_a_browser_got,
    a_stream_of_events_is_of_the_owner_or_of_what_is_asked_for,
    a_stream_of_events_ends_with_the_key_it_was_begun_with,
];

/// An open stream of events.
struct Events(Lines<BufReader<TcpStream>>);

/// One event, or a comment.
#[derive(Debug, Default)]
struct Event {
    id: Option<i64>,
    name: String,
    data: Value,
    comment: bool,
}

impl Events {
    async fn open(live: &Live, query: &str, headers: &str) -> Events {
        let mut stream = TcpStream::connect(live.address).await.unwrap();
        let request = format!("GET /api/events{query} HTTP/1.1\r\nhost: a\r\n{headers}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut events = Events(BufReader::new(stream).lines());
        let status = events.line().await.unwrap();
        assert_eq!(status, "HTTP/1.1 200 OK");
        while events.line().await.is_some_and(|line| !line.is_empty()) {}
        events
    }

    /// A line; `None` at the end.
    async fn line(&mut self) -> Option<String> {
        timeout(Duration::from_secs(30), self.0.next_line()).await.expect("a line within 30 s").unwrap()
    }

    async fn next(&mut self) -> Option<Event> {
        let mut event = Event::default();
        loop {
            let line = self.line().await?;
            match line.split_once(": ") {
                Some(("id", id)) => event.id = Some(id.parse().unwrap()),
                Some(("event", name)) => event.name = name.to_owned(),
                Some(("data", data)) => event.data = serde_json::from_str(data).unwrap(),
                Some(("", _)) => event.comment = true,
                // The sizes of the chunks of the body, and the hint when to come again.
                _ if !line.is_empty() => {}
                _ if event.comment || !event.name.is_empty() => return Some(event),
                _ => {}
            }
        }
    }

    async fn named(&mut self, name: &str) -> Event {
        loop {
            let event = self.next().await.expect("it goes on");
            if event.name == name {
                return event;
            }
        }
    }
}

async fn a_stream_of_events_goes_on_behind_the_last_one_that_a_browser_got(live: Live) {
    live.service.work();
    let (mut last, mut heard) = (0, Vec::new());
    for _ in 0..5 {
        let mut events = Events::open(&live, "", &format!("last-event-id: {last}\r\n")).await;
        assert_eq!(events.next().await.unwrap().name, "connection");
        let id = live.submit("x").await;
        live.service.finished(&id).await;
        let id = live.submit("x").await;
        // It goes in the middle of a life.
        loop {
            let event = events.next().await.unwrap();
            assert_eq!((&event.data["type"], &event.data["seq"]), (&json!(event.name), &json!(event.id)));
            let Some(line) = transition(&event.data) else { continue };
            heard.push(line);
            last = event.id.unwrap();
            if event.name == "taskQueued" && event.data["task"]["id"] == id.as_str() {
                break;
            }
        }
        live.service.finished(&id).await;
    }
    let mut events = Events::open(&live, &format!("?after_seq={last}"), "").await;
    let logged = live.logged(0).await;
    while heard.len() < logged.len() {
        heard.extend(transition(&events.next().await.unwrap().data));
    }
    assert_eq!(heard, logged);
}

async fn a_stream_of_events_is_of_the_owner_or_of_what_is_asked_for(live: Live) {
    let mut streams = Vec::new();
    for (query, headers) in [
        ("", ""),
        ("?client_id=a", ""),
        ("?scope=owner", "x-client-id: a\r\n"),
        ("", "x-client-id: a\r\n"),
        ("?type=demo", ""),
        ("?tag=red", ""),
    ] {
        let mut events = Events::open(&live, query, headers).await;
        events.named("connection").await;
        streams.push(events);
    }
    let params = json!({ "name": "x", "duration": 1000 });
    for (r#type, client, params) in [("noop", "b", json!({})), ("noop", "a", json!({})), ("demo", "c", params)] {
        live.service.submit(json!({ "type": r#type, "client_id": client, "params": params })).await;
    }
    live.service.submit(json!({ "type": "noop", "client_id": "a", "tags": ["red"] })).await;
    let mut firsts = Vec::new();
    for events in &mut streams {
        firsts.push(events.named("taskQueued").await.data["seq"].clone());
    }
    assert_eq!(firsts, [1, 2, 1, 2, 3, 4].map(Value::from));
}

async fn a_stream_of_events_ends_with_the_key_it_was_begun_with(live: Live) {
    let (made, key) = live.service.keys.create(new_key(Role::Read, "alice")).await.unwrap();
    let mut events = Events::open(&live, "", &format!("authorization: Bearer {key}\r\nconnection: close\r\n")).await;
    assert_eq!(events.named("connection").await.data["owner"], "alice");
    live.service.keys.revoke(&made.id).await.unwrap();
    let ended = timeout(Duration::from_secs(5), events.next()).await.expect("within 5 s");
    assert!(ended.is_none(), "{ended:?}");
}

#[tokio::test]
async fn what_is_wrong_with_a_stream_of_events_is_said_before_it_begins() {
    let live = Live::sqlite().await;
    for id in ["x", "-1", "1.5", "99999999999999999999", "1 2", "1\u{a0}"] {
        let refused = live.service.call("GET", "/api/events", &[("last-event-id", id)], "").await;
        refused.is_problem(400, "bad_header", id);
    }
    for query in ["after_seq=x", "scope=all", "status=DONE", "topics=tasks,activity", "nope=1", "key=x"] {
        live.service.get(&format!("/api/events?{query}")).await.is_problem(422, "invalid_filter", query);
    }
}

#[tokio::test]
async fn a_stream_of_events_tells_the_topics_that_are_asked_for() {
    let live = Live::sqlite().await;
    let mut metrics = Events::open(&live, "?topics=metrics", "").await;
    let mut both = Events::open(&live, "?topics=tasks,metrics", "").await;
    live.submit("x").await;
    assert_eq!(metrics.next().await.unwrap().name, "connection");
    for _ in 0..2 {
        let event = metrics.next().await.unwrap();
        assert_eq!((event.name.as_str(), &event.data["type"], event.id), ("metrics", &json!("metrics"), None));
    }
    assert_eq!(both.named("taskQueued").await.id, Some(1));
    assert!(both.named("metrics").await.data["node"].is_object());
}

#[tokio::test]
async fn a_number_that_was_never_given_out_is_a_resync() {
    let live = Live::sqlite().await;
    let mut events = Events::open(&live, "", "last-event-id: 1000\r\n").await;
    let resync = events.named("resync").await;
    assert_eq!((&resync.data["reason"], resync.id), (&json!("sequence_ahead"), Some(0)));
}

#[tokio::test]
async fn a_stream_in_which_nothing_happens_says_so_and_ends_with_the_node() {
    let bounds = Bounds { keep_alive: Duration::from_millis(50), ..Bounds::default() };
    let live = Live::within(Service::sqlite().await, bounds);
    let mut events = Events::open(&live, "", "").await;
    assert_eq!(events.next().await.unwrap().name, "connection");
    for _ in 0..3 {
        assert!(events.next().await.unwrap().comment);
    }
    live.service.stop.cancel();
    let goodbye = events.named("goodbye").await;
    assert!(goodbye.data["reconnect_in_ms"].is_u64());
    assert!(events.next().await.is_none());
}
