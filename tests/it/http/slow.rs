//! What comes slowly, never, or in great numbers. These tests take the time that it takes.

use super::socket::{Open, never};
use std::process::Command;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{interval, timeout};

/// What is given up because nothing comes, or too little: 30 s, and some for a busy machine.
const BODY: Duration = Duration::from_secs(36);
/// The same for the headers: 10 s.
const HEADERS: Duration = Duration::from_secs(14);

/// Sends the rest in drops until the connection ends; what was said, and how long it took.
async fn drip(mut stream: TcpStream, head: &str, drop: &str, every: Duration) -> (String, Duration) {
    let begun = Instant::now();
    stream.write_all(head.as_bytes()).await.unwrap();
    let (mut read, mut write) = stream.into_split();
    let dripping = async {
        let mut pace = interval(every);
        loop {
            pace.tick().await;
            if write.write_all(drop.as_bytes()).await.is_err() {
                // Gone already: the reader says when.
                std::future::pending::<()>().await;
            }
        }
    };
    let reading = async {
        let mut said = Vec::new();
        let _ = read.read_to_end(&mut said).await;
        String::from_utf8_lossy(&said).into_owned()
    };
    tokio::select! {
        said = reading => (said, begun.elapsed()),
        () = dripping => unreachable!("it drips without end"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_drips_or_never_comes_is_given_up() {
    let open = Open::new().await;
    let post = |path: &str, media: &str, more: &str| {
        format!(
            "POST {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-type: {media}\r\ncontent-length: 1000\r\n{more}\r\n"
        )
    };
    let second = Duration::from_secs(1);
    let (json, file) = (post("/api/tasks/submit", "application/json", ""), post("/api/files", "text/plain", ""));
    let continued = post("/api/tasks/submit", "application/json", "expect: 100-continue\r\n");
    let all = async {
        tokio::join!(
            drip(open.connect().await, &json, " ", 2 * second),
            drip(open.connect().await, &file, "x", 2 * second),
            drip(open.connect().await, &json, "", 3600 * second),
            drip(open.connect().await, &continued, "", 3600 * second),
        )
    };
    let (json, file, silent, continued) = timeout(BODY, all).await.expect("all are given up");
    for (what, (said, took)) in [("json", json), ("a file", file), ("silence", silent), ("continue", continued)] {
        let said = said.strip_prefix("HTTP/1.1 100 Continue\r\n\r\n").unwrap_or(&said);
        assert!(said.starts_with("HTTP/1.1 408 ") && said.contains("request_timeout"), "{what}: {said:?}");
        assert!(took >= Duration::from_secs(29), "{what} had its time: {took:?}");
    }
    open.service.until_files(0, "given up").await;
    assert_eq!(open.service.count().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn headers_that_drip_are_given_up() {
    let open = Open::new().await;
    let dripped = drip(open.connect().await, "GET /health HTTP/1.1\r\n", "x-a: b\r\n", Duration::from_secs(2));
    let (said, _) = timeout(HEADERS, dripped).await.expect("it is given up");
    assert!(!said.starts_with("HTTP/1.1 2"), "{said:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_thousand_silent_connections_are_closed_and_others_are_served_meanwhile() {
    const SILENT: usize = 2_000;
    // Both ends of each are in this process.
    let me = std::process::id().to_string();
    let raised = Command::new("prlimit").args(["--nofile=8192:", "--pid", &me]).status().unwrap();
    assert!(raised.success(), "a process may open 8192 files here");
    let open = Open::new().await;
    let mut silent = Vec::with_capacity(SILENT);
    for _ in 0..SILENT {
        silent.push(open.connect().await);
    }
    let begun = Instant::now();
    let served = open.says("GET /api/ready HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n", never).await;
    assert!(served.starts_with("HTTP/1.1 200 "), "{served}");
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    let all_closed = async {
        for stream in &mut silent {
            while !matches!(stream.read(&mut [0; 512]).await, Ok(0) | Err(_)) {}
        }
    };
    timeout(HEADERS, all_closed).await.expect("all are closed");
}
