//! What only a real connection shows.

use crate::battery::campaign::{Bounds, block_on, campaign};
use crate::support::http::Service;
use errand::api::server::{listen, serve};
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::json;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// A service behind a socket of its own.
pub struct Open {
    pub service: Service,
    address: std::net::SocketAddr,
}

impl Open {
    pub async fn new() -> Open {
        let service = Service::sqlite().await;
        let listener = listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        let (_, router) = tokio::sync::watch::channel(service.router.clone());
        tokio::spawn(serve(listener, router, service.stop.clone()));
        Open { service, address }
    }

    pub async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// What the server says to these bytes and an end behind them, until it closes.
    async fn says_to_the_end(&self, sent: &[u8]) -> String {
        let (mut read, mut write) = self.connect().await.into_split();
        let _ = write.write_all(sent).await;
        let _ = write.shutdown().await;
        let mut said = Vec::new();
        // A server that closes before it has read everything resets the connection.
        let _ = timeout(Duration::from_secs(13), read.read_to_end(&mut said)).await.expect("it closes within 13 s");
        String::from_utf8_lossy(&said).into_owned()
    }

    /// What the server says to these bytes until it closes, or until `enough`; the whole text.
    pub async fn says(&self, sent: impl AsRef<[u8]>, enough: impl Fn(&str) -> bool) -> String {
        let mut stream = self.connect().await;
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

pub fn never(_: &str) -> bool {
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
        "transfer-encoding: gzip, chunked",
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_pipelined_requests_are_answered_in_order() {
    const REQUESTS: usize = 10_000;
    let open = Open::new().await;
    let (mut read, mut write) = open.connect().await.into_split();
    let line = |n: usize| format!("GET /api/live HTTP/1.1\r\nhost: a\r\nx-request-id: r-{n}\r\n\r\n");
    let last = "GET /api/live HTTP/1.1\r\nhost: a\r\nx-request-id: r-last\r\nconnection: close\r\n\r\n";
    let requests: String = (0..REQUESTS).map(line).chain([last.to_owned()]).collect();
    // Who shuts its side before the last answer has gone.
    let sent = tokio::spawn(async move { write.write_all(requests.as_bytes()).await.map(|()| write) });
    let mut said = String::new();
    timeout(Duration::from_secs(60), read.read_to_string(&mut said)).await.unwrap().unwrap();
    let _write = sent.await.unwrap().unwrap();
    let ids: Vec<&str> = said.lines().filter_map(|line| line.strip_prefix("x-request-id: ")).collect();
    let expected: Vec<String> = (0..REQUESTS).map(|n| format!("r-{n}")).chain(["r-last".to_owned()]).collect();
    let missing: Vec<&String> = expected.iter().filter(|id| !ids.contains(&id.as_str())).take(5).collect();
    assert!(ids == expected, "{} answers, without {missing:?}", ids.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_of_a_client_that_reads_no_answers_are_not_taken_without_end() {
    const ENOUGH: usize = 64 << 20;
    let open = Open::new().await;
    let mut stream = open.connect().await;
    let requests = "GET /api/live HTTP/1.1\r\nhost: a\r\n\r\n".repeat(1000);
    let mut taken = 0;
    // It stands still once the buffers of both sides are full.
    while let Ok(Ok(n)) = timeout(Duration::from_secs(2), stream.write(requests.as_bytes())).await {
        taken += n;
        assert!(taken < ENOUGH, "{taken} bytes were taken");
    }
    let served = open.says("GET /api/live HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n", never).await;
    assert!(served.starts_with("HTTP/1.1 200 "), "{served}");
}

#[tokio::test]
async fn a_chunked_body_without_an_end_is_refused_at_the_limit() {
    let open = Open::new().await;
    let head = "POST /api/tasks/submit HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
    let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
    let said = open.says(head.to_owned() + &chunk.repeat(40), |said| said.contains("body_too_large")).await;
    assert!(said.starts_with("HTTP/1.1 413 "), "{said}");
    let files = head.replace("tasks/submit", "files").replace("application/json", "text/plain");
    let said = open.says(files + &chunk.repeat(200), |said| said.contains("body_too_large")).await;
    assert!(said.starts_with("HTTP/1.1 413 "), "{said}");
    open.service.until_files(0, "refused").await;
}

#[tokio::test]
async fn an_upload_that_breaks_off_near_its_end_leaves_nothing() {
    let open = Open::new().await;
    let head = "POST /api/files HTTP/1.1\r\nhost: a\r\ncontent-type: text/plain\r\ncontent-length: 6000000\r\n\r\n";
    let mut stream = open.connect().await;
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&vec![b'x'; 5_940_000]).await.unwrap();
    drop(stream);
    open.service.until_files(0, "broken off").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_bytes_on_a_connection_get_a_refusal_or_an_end() {
    let open = Open::new().await;
    let bytes = prop_oneof![
        vec(any::<u8>(), 0..300),
        r"(GET|POST|PRI|\*| |/|/api/live|/api/tasks/submit|HTTP/1\.1|HTTP/2\.0|\r\n|\n|:|host: a|content-length: [0-9]{1,20}|transfer-encoding: chunked|expect: 100-continue|connection: (close|upgrade)|upgrade: h2c|[0-9a-f]{1,3}|x){0,30}"
            .prop_map(String::into_bytes),
        Just(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec()),
    ];
    campaign("any bytes", &Bounds::new(2_000, 20, 200_000), &bytes, |bytes| {
        let said = block_on(open.says_to_the_end(&bytes));
        match said.is_empty()
            || ["HTTP/1.1 2", "HTTP/1.1 3", "HTTP/1.1 4", "HTTP/1.1 100"].iter().any(|ok| said.starts_with(ok))
        {
            true => Ok(()),
            false => Err(said),
        }
    });
    let served = open.says("GET /api/ready HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n", never).await;
    assert!(served.starts_with("HTTP/1.1 200 "), "{served}");
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
        let mut stream = open.connect().await;
        stream.write_all(&format!("{head}{body}").as_bytes()[..cut]).await.unwrap();
    }
    assert_eq!(open.service.count().await, 0, "half a request is none");
    let said = open.says(format!("{head}{body}"), |said| said.contains("\r\n\r\n{")).await;
    assert!(said.starts_with("HTTP/1.1 201 "), "{said}");
    assert_eq!(open.service.count().await, 1);
}
