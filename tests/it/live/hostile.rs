//! The list of bad inputs, section J: each is refused by its code, and the next socket is served.

use super::Live;
use crate::support::web_socket::{Came, WebSocket};
use serde_json::json;

/// Whether a socket that was opened just now is served.
async fn is_served(live: &Live) {
    let (mut socket, _) = live.connected("/ws").await;
    socket.text("ping").await;
    assert_eq!(socket.said().await["type"], "pong");
}

#[tokio::test]
async fn a_page_of_another_origin_is_refused() {
    let live = Live::sqlite().await;
    for origin in ["http://evil.example", "null", "http://127.0.0.1:1", "https://127.0.0.1", ""] {
        let headers = format!("origin: {origin}\r\n");
        let refused = WebSocket::try_open(live.address, "/ws", &headers).await.err().unwrap();
        assert!(refused.starts_with("HTTP/1.1 403 ") && refused.contains("\"forbidden\""), "{origin}: {refused}");
    }
    let same = format!("origin: http://{}\r\n", live.address);
    assert!(WebSocket::try_open(live.address, "/ws", &same).await.is_ok());
}

#[tokio::test]
async fn a_close_is_answered() {
    let live = Live::sqlite().await;
    for code in [1000u16, 1001, 3000, 4999] {
        let (mut socket, _) = live.connected("/ws").await;
        socket.frame(0x88, &code.to_be_bytes()).await;
        assert_eq!(socket.closed().await, code);
    }
}

#[tokio::test]
async fn what_is_no_upgrade_is_refused() {
    let live = Live::sqlite().await;
    for path in ["/ws", "/ws/"] {
        live.service.get(path).await.is_problem(400, "bad_request", path);
        live.service.post(path, json!({})).await.is_problem(405, "method_not_allowed", path);
    }
    for (query, status) in [("scope=all", 422), ("key=x", 422), ("client_id=", 422), ("scope=owner&scope=owner", 422)] {
        let refused = WebSocket::try_open(live.address, &format!("/ws?{query}"), "").await.err().unwrap();
        assert!(refused.starts_with(&format!("HTTP/1.1 {status} ")), "{query}: {refused}");
    }
    let refused = WebSocket::try_open(live.address, "/ws/nope", "").await.err().unwrap();
    assert!(refused.starts_with("HTTP/1.1 404 "), "{refused}");
    let big = format!("x-big: {}\r\n", "x".repeat(1 << 20));
    let refused = WebSocket::try_open(live.address, "/ws", &big).await.err().unwrap();
    assert!(refused.starts_with("HTTP/1.1 431 "), "{refused}");
}

#[tokio::test]
async fn a_key_that_is_offered_as_a_protocol_is_not_given_back() {
    let live = Live::sqlite().await;
    let offer = "sec-websocket-protocol: errand, errand_1_secret\r\nsec-websocket-extensions: permessage-deflate\r\n";
    let mut socket = WebSocket::try_open(live.address, "/ws", offer).await.unwrap();
    assert_eq!(socket.said().await["type"], "connection");
}

#[tokio::test]
async fn a_message_that_is_too_large_ends_the_socket_however_it_comes() {
    let live = Live::sqlite().await;
    let (mut socket, _) = live.connected("/ws").await;
    let fits = format!("{{\"type\":\"ping\",\"x\":\"{}\"}}", "x".repeat(65_000));
    socket.text(&fits).await;
    assert_eq!(socket.said().await["code"], "invalid_request");
    socket.text(&"x".repeat(65_537)).await;
    assert_eq!(socket.closed().await, 1009);

    let (mut socket, _) = live.connected("/ws").await;
    // 16 MiB are announced; of a frame that long nothing is kept.
    socket.bytes(&[&[0x81, 0xff][..], &(16u64 << 20).to_be_bytes(), &[0; 4]].concat()).await;
    assert_eq!(socket.closed().await, 1009);

    let (mut socket, _) = live.connected("/ws").await;
    socket.frame(0x01, &[b'x'; 30_000]).await;
    socket.frame(0x00, &[b'x'; 30_000]).await;
    socket.frame(0x00, &[b'x'; 30_000]).await;
    assert_eq!(socket.closed().await, 1009);
    is_served(&live).await;
}

#[tokio::test]
async fn frames_that_break_the_protocol_end_the_socket() {
    let live = Live::sqlite().await;
    let masked = |first: u8, payload: &[u8]| [&[first, 0x80 | payload.len() as u8, 0, 0, 0, 0], payload].concat();
    for (what, bytes, code) in [
        ("unmasked", vec![0x81, 1, b'x'], 1002),
        ("a bad opcode", masked(0x83, b"x"), 1002),
        ("RSV bits", masked(0xc1, b"x"), 1002),
        ("bad UTF-8", masked(0x81, &[0xff]), 1007),
        ("a long ping", [&[0x89, 0x80 | 126, 0, 126, 0, 0, 0, 0][..], &[0; 126]].concat(), 1002),
        ("a ping in pieces", masked(0x09, b"x"), 1002),
        ("a piece of nothing", masked(0x80, b"x"), 1002),
    ] {
        let (mut socket, _) = live.connected("/ws").await;
        socket.bytes(&bytes).await;
        assert_eq!(socket.closed().await, code, "{what}");
    }
    is_served(&live).await;
}

#[tokio::test]
async fn garbage_is_answered_three_times_and_the_fourth_ends_the_socket() {
    let live = Live::sqlite().await;
    let garbage =
        ["{", "[]", "7", r#"{"type":"nope"}"#, r#"{"id":1}"#, r#"{"type":"ping","type":"ping"}"#, "\"\u{0}\""];
    for text in garbage {
        let (mut socket, _) = live.connected("/ws").await;
        for n in 1..=4 {
            socket.text(text).await;
            let refused = socket.said().await;
            assert_eq!(refused["type"], "error", "{text}: {refused}");
            if n < 4 {
                socket.text("ping").await;
                assert_eq!(socket.said().await["type"], "pong", "{text}");
            }
        }
        assert_eq!(socket.closed().await, 1008, "{text}");
    }
    let (mut socket, _) = live.connected("/ws").await;
    socket.frame(0x82, b"\x01\x02").await;
    assert_eq!(socket.said().await["code"], "malformed_json");
}

#[tokio::test]
async fn a_flood_of_subscriptions_topics_or_messages_ends_the_socket() {
    let live = Live::sqlite().await;
    for (frame, n, refusal) in [
        (json!({ "type": "subscribe", "client_id": "x" }), 1000, "rate_limited"),
        (json!({ "type": "subscribe", "topics": vec!["t"; 10_000] }), 1, "invalid_request"),
        (json!({ "type": "ping" }), 1000, "rate_limited"),
    ] {
        let (mut socket, _) = live.connected("/ws").await;
        for _ in 0..n {
            socket.ask(frame.clone()).await;
        }
        let mut refusals = Vec::new();
        let code = loop {
            match socket.next().await {
                Came::Closed(code) => break code,
                Came::Said(frame) if frame["type"] == "error" => refusals.push(frame["code"].clone()),
                _ => {}
            }
        };
        assert_eq!((refusals, code), (vec![json!(refusal)], 1008));
    }
    is_served(&live).await;
}
