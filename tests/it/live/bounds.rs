//! What no socket may do, and what none can do to the others.

use super::{Live, same, transition};
use crate::support::http::Service;
use crate::support::web_socket::{Came, WebSocket, connect_narrow};
use errand::api::Bounds;
use serde_json::json;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_takes_nothing_is_cut_within_ten_seconds_and_others_hear_everything_meanwhile() {
    const BATCHES: usize = 6;
    const ROWS: usize = 5_000;
    let live = Live::sqlite().await;
    let mut lazy = Vec::new();
    for _ in 0..5 {
        lazy.push(WebSocket::open_narrow(live.address, "/ws?scope=owner").await);
    }
    let mut events = connect_narrow(live.address).await;
    events.write_all(b"GET /api/events HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    events.read_u8().await.unwrap();
    let (mut diligent, _) = live.connected("/ws?scope=owner").await;
    let row = json!({ "type": "noop", "tags": ["x".repeat(90), "y".repeat(90), "z".repeat(90)] });
    let submitting = async {
        for _ in 0..BATCHES {
            let batch = json!({ "tasks": vec![&row; ROWS] });
            assert_eq!(live.service.post("/api/tasks/batch", batch).await.status, 201);
        }
    };
    let hearing = async {
        let mut told = Vec::new();
        while told.len() < BATCHES * ROWS {
            told.extend(transition(&diligent.said().await));
        }
        told
    };
    let ((), told) = tokio::join!(submitting, hearing);
    same(&told, &live.logged(0).await);
    let until = Instant::now() + Duration::from_secs(12);
    while live.sockets().await > 1 {
        assert!(Instant::now() < until, "{} are still there", live.sockets().await);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    drop((lazy, events));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_takes_it_late_misses_nothing() {
    const ROWS: usize = 20_000;
    let live = Live::within(Service::sqlite().await, Bounds { stalled: Duration::from_secs(60), ..Bounds::default() });
    let mut late = WebSocket::open_narrow(live.address, "/ws?scope=owner").await;
    let (mut diligent, _) = live.connected("/ws?scope=owner").await;
    let row = json!({ "type": "noop", "tags": ["x".repeat(90), "y".repeat(90), "z".repeat(90)] });
    for _ in 0..2 {
        let batch = json!({ "tasks": vec![&row; ROWS / 2] });
        assert_eq!(live.service.post("/api/tasks/batch", batch).await.status, 201);
    }
    while diligent.said().await["seq"] != ROWS {}
    let mut told = Vec::new();
    while told.len() < ROWS {
        let frame = late.said().await;
        assert_ne!(frame["type"], "resync");
        told.extend(transition(&frame));
    }
    same(&told, &live.logged(0).await);
}

fn soon() -> Bounds {
    Bounds {
        open: 200,
        look: Duration::from_millis(50),
        ping: Duration::from_millis(100),
        silent: Duration::from_millis(600),
        stalled: Duration::from_millis(500),
        ..Bounds::default()
    }
}

#[tokio::test]
async fn who_answers_no_ping_is_cut_and_who_does_stays() {
    let live = Live::within(Service::sqlite().await, soon());
    let (mut rude, _) = live.connected("/ws").await;
    rude.polite = false;
    let (mut polite, _) = live.connected("/ws").await;
    let mut pings = 0;
    while pings < 10 {
        assert!(matches!(polite.next().await, Came::Ping(_)));
        pings += 1;
    }
    assert_eq!(rude.closed().await, 1006);
    polite.text("ping").await;
    assert_eq!(polite.said().await["type"], "pong");
}

#[tokio::test]
async fn a_hundred_sockets_that_stall_and_drop_leave_nothing() {
    let live = Live::within(Service::sqlite().await, soon());
    let mut stalled = Vec::new();
    for n in 0..100 {
        let (mut socket, _) = live.connected("/ws?scope=owner").await;
        match n % 3 {
            // Half a frame, and then nothing.
            0 => socket.bytes(&[0x81, 0xfe, 0x10]).await,
            1 => socket.text("ping").await,
            _ => continue,
        }
        stalled.push(socket);
    }
    let until = Instant::now() + Duration::from_secs(10);
    while live.sockets().await > 0 {
        assert!(Instant::now() < until, "{} are still there", live.sockets().await);
        live.submit("x").await;
    }
}

#[tokio::test]
async fn no_more_than_so_many_are_open_at_once() {
    let live = Live::within(Service::sqlite().await, Bounds { open: 2, ..soon() });
    let (first, _) = live.connected("/ws").await;
    let (_second, _) = live.connected("/ws").await;
    let refused = WebSocket::try_open(live.address, "/ws", "").await.err().unwrap();
    assert!(refused.starts_with("HTTP/1.1 503 ") && refused.contains("retry-after: "), "{refused}");
    drop(first);
    let until = Instant::now() + Duration::from_secs(10);
    while WebSocket::try_open(live.address, "/ws", "").await.is_err() {
        assert!(Instant::now() < until, "a place that was left is free again");
    }
}
