//! What only a real connection shows.

use crate::support::http::Service;
use errand::api::server::{listen, serve};
use serde_json::json;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// A service behind a socket of its own.
struct Open {
    service: Service,
    address: std::net::SocketAddr,
}

impl Open {
    async fn new() -> Open {
        let service = Service::sqlite().await;
        let listener = listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        let (_, router) = tokio::sync::watch::channel(service.router.clone());
        tokio::spawn(serve(listener, router, service.stop.clone()));
        Open { service, address }
    }

    /// What the server says to these bytes until it closes, or until `enough`; the whole text.
    async fn says(&self, sent: impl AsRef<[u8]>, enough: impl Fn(&str) -> bool) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        // A server that has refused already may not take the rest.
        let _ = stream.write_all(sent.as_ref()).await;
        let (mut said, mut chunk) = (Vec::new(), [0; 4096]);
        let read = async {
            while let Ok(n @ 1..) = stream.read(&mut chunk).await {
                said.extend_from_slice(&chunk[..n]);
                if enough(&String::from_utf8_lossy(&said)) {
                    break;
                }
            }
        };
        timeout(Duration::from_secs(13), read).await.expect("it answers or closes within 13 s");
        String::from_utf8(said).unwrap()
    }
}

fn never(_: &str) -> bool {
    false
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_before_it_is_sent() {
    let open = Open::new().await;
    let head = "POST /api/tasks/submit HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 10000000000\r\n\r\n";
    let said = open.says(head, |said| said.contains("body_too_large")).await;
    assert!(said.starts_with("HTTP/1.1 413 ") && said.contains("application/problem+json"), "{said}");
}

#[tokio::test]
async fn a_request_with_two_lengths_is_refused_and_the_connection_closed() {
    let open = Open::new().await;
    for headers in [
        "content-length: 15\r\ntransfer-encoding: chunked",
        "content-length: 15\r\ncontent-length: 16",
        "content-length : 15",
        "transfer-encoding: gzip",
    ] {
        let head = "POST /api/tasks/submit HTTP/1.1\r\nhost: a\r\ncontent-type: application/json";
        let said = open.says(format!("{head}\r\n{headers}\r\n\r\n{{\"type\":\"noop\"}}"), never).await;
        assert!(said.starts_with("HTTP/1.1 400 "), "{headers}: {said:?}");
    }
    assert_eq!(open.service.count().await, 0);
}

#[tokio::test]
async fn headers_that_are_too_large_are_refused() {
    let open = Open::new().await;
    let get = |headers: String| format!("GET /health HTTP/1.1\r\nhost: a\r\nconnection: close\r\n{headers}\r\n");
    let said = open.says(get(format!("x-big: {}\r\n", "x".repeat(20_000))), never).await;
    assert!(said.starts_with("HTTP/1.1 431 ") && said.contains("headers_too_large"), "{said}");
    let said = open.says(get((0..200).map(|n| format!("x-{n}: 1\r\n")).collect()), never).await;
    assert!(said.starts_with("HTTP/1.1 431 ") && said.contains("headers_too_large"), "{said}");
    let said = open.says(get((0..2000).map(|n| format!("x-{n}: 1\r\n")).collect()), never).await;
    assert!(said.starts_with("HTTP/1.1 431 ") && said.contains("headers_too_large"), "{said}");
    let said =
        open.says(format!("GET /{} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n", "x".repeat(20_000)), never).await;
    assert!(said.starts_with("HTTP/1.1 414 ") && said.contains("uri_too_long"), "{said}");
}

#[tokio::test]
async fn a_request_that_is_no_http_is_refused() {
    let open = Open::new().await;
    for sent in [
        "GET /health HTTP/1.1\r\nhost: a\r\nx: a\0b\r\n\r\n",
        "nonsense\r\n\r\n",
        "GET /health HTTP/1.1\r\nhost : a\r\n\r\n",
        "GET /health HTTP/1.1\nhost: a\n\n",
        "GET /health HTTP/1.1\r\nhost: a\nx: b\r\n\r\n",
        "GET /health HTTP/9.9\r\nhost: a\r\n\r\n",
    ] {
        let said = open.says(sent, never).await;
        assert!(said.starts_with("HTTP/1.1 400 "), "{sent:?}: {said:?}");
        assert!(said.contains("x-request-id: ") && said.contains("\"status\":400"), "{sent:?}: {said:?}");
    }
    let body = "POST /api/files HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 4\r\n\r\na\nb\n";
    let said = open.says(body, never).await;
    assert!(said.starts_with("HTTP/1.1 201 "), "a body may have lines of any kind: {said}");
    for hosts in ["", "host: a\r\nhost: b\r\n"] {
        let said = open.says(format!("GET /health HTTP/1.1\r\nconnection: close\r\n{hosts}\r\n"), never).await;
        assert!(said.starts_with("HTTP/1.1 400 ") && said.contains("bad_header"), "{hosts:?}: {said:?}");
    }
}

#[tokio::test]
async fn a_method_that_is_not_allowed_is_told_which_are() {
    let open = Open::new().await;
    for (line, allow) in
        [("DELETE /health", "allow: GET,HEAD"), ("FOO /api/tasks/submit", "allow: POST"), ("CONNECT a:1", "allow: ")]
    {
        let said = open.says(format!("{line} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"), never).await;
        assert!(said.starts_with("HTTP/1.1 405 ") && said.contains(allow), "{line}: {said}");
    }
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let open = Open::new().await;
    let requests: String =
        (0..200).map(|n| format!("GET /api/live HTTP/1.1\r\nhost: a\r\nx-request-id: r-{n}\r\n\r\n")).collect();
    let last = "GET /api/live HTTP/1.1\r\nhost: a\r\nx-request-id: r-last\r\nconnection: close\r\n\r\n";
    let said = open.says(requests + last, never).await;
    let ids: Vec<&str> = said.lines().filter_map(|line| line.strip_prefix("x-request-id: ")).collect();
    let expected: Vec<String> = (0..200).map(|n| format!("r-{n}")).chain(["r-last".to_owned()]).collect();
    assert_eq!(ids, expected);
}

#[tokio::test]
async fn headers_that_never_end_are_given_up_and_others_are_served_meanwhile() {
    let open = Open::new().await;
    let silent = open.says("", never);
    let begun = open.says("GET /health HTTP/1.1\r\nhost: a\r\nx-drip: 1\r\n", never);
    let served = open.says("GET /api/live HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n", never);
    let (silent, begun, served) = tokio::join!(silent, begun, served);
    assert!(served.starts_with("HTTP/1.1 200 "), "{served}");
    assert!(!silent.contains(" 200 ") && !begun.contains(" 200 "), "{silent:?} {begun:?}");
}

#[tokio::test]
async fn who_hangs_up_in_the_middle_of_a_submit_has_submitted_or_not() {
    let open = Open::new().await;
    let body = json!({ "type": "noop" }).to_string();
    let head = format!(
        "POST /api/tasks/submit HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    for cut in (0..head.len() + body.len()).step_by(10) {
        let mut stream = TcpStream::connect(open.address).await.unwrap();
        stream.write_all(&format!("{head}{body}").as_bytes()[..cut]).await.unwrap();
    }
    assert_eq!(open.service.count().await, 0, "half a request is none");
    let said = open.says(format!("{head}{body}"), |said| said.contains("\r\n\r\n{")).await;
    assert!(said.starts_with("HTTP/1.1 201 "), "{said}");
    assert_eq!(open.service.count().await, 1);
}
