//! Requests nobody would make: whatever comes, the answer is one of ours.

use super::table::Ids;
use crate::battery::campaign::{Bounds, block_on, campaign};
use crate::support::http::{Answer, Service};
use crate::support::on_both_databases;
use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, Method, Request, Uri};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use std::collections::HashMap;
use std::time::Duration;
use tokio::time::timeout;

on_both_databases!(Service: any_request_gets_an_answer_of_ours);

/// A request as it will be sent, where it can be sent at all.
#[derive(Debug, Clone)]
struct Sent {
    method: String,
    address: String,
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
}

async fn any_request_gets_an_answer_of_ours(service: Service) {
    let ids = Ids::of(&service).await;
    let codes = codes();
    assert!(codes.len() > 20, "the table of codes is read from the source");
    let (mut reached, mut refused) = (0, 0);
    let check = |sent: Sent| {
        let Some(request) = request(&sent) else { return Ok(()) };
        reached += 1;
        let head = request.method() == Method::HEAD;
        let answered = block_on(timeout(Duration::from_secs(20), service.send(request)));
        let answer = answered.map_err(|_| "no answer within 20 s".to_owned())?;
        refused += u32::from(answer.status >= 400);
        judge(&answer, head, &codes).map_err(|why| format!("{why}: {} {}", answer.status, answer.json))
    };
    let made = campaign("any request", &Bounds::new(10_000, 25, 1_000_000), &requests(&ids), check);
    println!("{reached} of {made} requests could be sent, {refused} were refused");
    assert!(reached > made / 2 && refused > reached / 10 && refused < reached, "{refused} of {reached} of {made}");
    assert_eq!(service.get("/api/ready").await.status, 200);
}

fn judge(answer: &Answer, head: bool, codes: &HashMap<String, u16>) -> Result<(), String> {
    let wrong = |what: &str| Err(what.to_owned());
    if answer.status >= 500 {
        return wrong("the server failed");
    }
    if answer.header("x-request-id").is_empty() || answer.header("x-content-type-options") != "nosniff" {
        return wrong("a header of every answer is missing");
    }
    if answer.status < 400 {
        return Ok(());
    }
    if answer.header("content-type") != "application/problem+json" {
        return wrong("an error that is no problem");
    }
    if head {
        return if answer.body.is_empty() { Ok(()) } else { wrong("a body for HEAD") };
    }
    let code = answer.json["code"].as_str().unwrap_or_default();
    match codes.get(code) {
        Some(status) if *status == answer.status => Ok(()),
        _ => wrong("a code that is not in the table, or of another status"),
    }
}

/// Every code and its status, from the table in the source.
fn codes() -> HashMap<String, u16> {
    let source = include_str!("../../../src/api/problem.rs");
    let rows = source.lines().skip_while(|line| !line.starts_with("codes! {")).skip(1).take_while(|line| *line != "}");
    let row = |line: &str| {
        let mut words = line.split_whitespace().skip(1);
        let (status, word) = (words.next()?.parse().ok()?, words.next()?.trim_matches('"'));
        Some((word.to_owned(), status))
    };
    rows.filter_map(row).collect()
}

/// Without the headers that nobody can send; `None` for an address or a method that nobody can.
fn request(sent: &Sent) -> Option<Request<Body>> {
    let mut request = Request::new(Body::from(sent.body.clone()));
    *request.method_mut() = Method::from_bytes(sent.method.as_bytes()).ok()?;
    *request.uri_mut() = sent.address.parse::<Uri>().ok()?;
    for (name, value) in &sent.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_bytes(value)) {
            request.headers_mut().append(name, value);
        }
    }
    Some(request)
}

fn requests(ids: &Ids) -> impl Strategy<Value = Sent> + use<> {
    let json = ("content-type".to_owned(), b"application/json".to_vec());
    let headers = prop_oneof![2 => Just(vec![json]), 1 => Just(Vec::new()), 2 => vec(header(), 0..6)];
    (method(), address(ids), headers, body()).prop_map(|(method, address, headers, body)| Sent {
        method,
        address,
        headers,
        body,
    })
}

fn words(words: &[&'static str]) -> impl Strategy<Value = String> + Clone + use<> {
    select(words.to_vec()).prop_map(str::to_owned)
}

fn method() -> impl Strategy<Value = String> {
    prop_oneof![
        20 => words(&["GET", "POST", "POST", "DELETE", "HEAD"]),
        3 => words(&["PUT", "PATCH", "OPTIONS", "TRACE", "CONNECT"]),
        1 => "[A-Za-z!#$%&'*+.^_`|~0-9-]{1,12}",
    ]
}

fn address(ids: &Ids) -> impl Strategy<Value = String> + use<> {
    let known = vec![ids.pending.clone(), ids.success.clone(), "0193c5a0-7b1e-7000-8000-0123456789ab".to_owned()];
    let segment = prop_oneof![
        6 => select(known),
        1 => words(&["table.csv", "..", ".", "%00", "%2e%2e", "%ff", "*", "-1", "null", "a;b"]),
        1 => any::<String>().prop_map(|text| encoded(&text)),
        1 => "[!-~]{0,20}".prop_map(|text| text.replace(['?', '#'], "_")),
    ];
    let routes = words(&[
        "/",
        "/api",
        "/health",
        "/metrics",
        "/docs",
        "/api/health",
        "/api/ready",
        "/api/live",
        "/api/version",
        "/api/openapi.json",
        "/api/task-types",
        "/api/task-types/{}",
        "/api/stats",
        "/api/stats/timeseries",
        "/api/costs",
        "/api/queues",
        "/api/notifications",
        "/api/notifications/read",
        "/api/notifications/unread",
        "/api/notifications/muted",
        "/api/task/start",
        "/api/task/status",
        "/api/tasks",
        "/api/tasks/submit",
        "/api/tasks/submit",
        "/api/tasks/submit",
        "/api/tasks/batch",
        "/api/tasks/cancel",
        "/api/tasks/retry",
        "/api/tasks/changes",
        "/api/tasks/export",
        "/api/tasks/{}",
        "/api/tasks/{}/retry",
        "/api/tasks/{}/clone",
        "/api/tasks/{}/approve",
        "/api/tasks/{}/reject",
        "/api/approvals",
        "/api/tasks/{}/timeline",
        "/api/tasks/{}/attempts",
        "/api/tasks/{}/logs",
        "/api/tasks/{}/explain",
        "/api/tasks/{}/artifacts",
        "/api/tasks/{}/artifacts/{}",
        "/api/files",
        "/api/files",
        "/api/files/{}",
        "/static/{}",
        "/{}",
        "/api/{}/{}",
    ]);
    let query = prop_oneof![2 => Just(Vec::new()), 1 => vec((parameter(), value()), 1..4)];
    (routes, segment.clone(), segment, any::<bool>(), query).prop_map(|(route, one, two, slash, query)| {
        let path = route.replacen("{}", &one, 1).replacen("{}", &two, 1);
        let query: Vec<String> = query.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mark = if query.is_empty() { "" } else { "?" };
        format!("{path}{}{mark}{}", if slash { "/" } else { "" }, query.join("&"))
    })
}

fn parameter() -> impl Strategy<Value = String> {
    let known = [
        "status",
        "type",
        "queue",
        "tag",
        "client_id",
        "owner",
        "q",
        "created_after",
        "created_before",
        "sort",
        "limit",
        "cursor",
        "view",
        "after",
        "level",
        "attempt",
        "format",
        "name",
        "dry_run",
        "window",
        "wait_for",
    ];
    prop_oneof![9 => words(&known), 1 => "[a-z\\[\\]%]{0,6}"]
}

fn value() -> impl Strategy<Value = String> {
    let known = [
        "PENDING",
        "noop",
        "1",
        "0",
        "-1",
        "500",
        "1000000000000",
        "full",
        "-finished_at",
        "csv",
        "true",
        "x",
        "%00",
        "%ff",
        "2026-01-01T00:00:00Z",
        "e30",
        "warn",
        "change",
    ];
    prop_oneof![4 => words(&known), 1 => any::<String>().prop_map(|text| encoded(&text)), 1 => "[!-~]{0,20}"]
}

fn header() -> impl Strategy<Value = (String, Vec<u8>)> {
    let media = words(&[
        "application/json",
        "application/json; charset=utf-8",
        "multipart/form-data; boundary=X",
        "multipart/form-data",
        "text/csv",
        "image/png",
        "application/x-www-form-urlencoded",
    ]);
    let known = words(&[
        "content-type",
        "accept",
        "range",
        "if-range",
        "if-none-match",
        "idempotency-key",
        "content-length",
        "content-encoding",
        "content-digest",
        "host",
        "x-client-id",
        "x-socket-id",
        "x-request-id",
        "sec-fetch-site",
        "expect",
        "authorization",
    ]);
    let text = prop_oneof![
        words(&["*/*", "text/csv", "bytes=0-1", "bytes=-0", "*", "gzip", "5", "sha-256=:AAEC:", "cross-site", "k"])
            .prop_map(String::into_bytes),
        vec(any::<u8>(), 0..40),
        "[ -~]{0,300}".prop_map(String::into_bytes),
    ];
    prop_oneof![
        5 => media.prop_map(|media| ("content-type".to_owned(), media.into_bytes())),
        3 => (known, text.clone()),
        1 => ("[a-z-]{1,20}", text),
    ]
}

fn body() -> impl Strategy<Value = Vec<u8>> {
    let json = words(&[
        r#"{"type":"noop"}"#,
        r#"{"type":"demo","params":{"duration":1000}}"#,
        r#"{"type":"csv_processing","params":{"data":"a,b\n1,2","filter":"a = 1"}}"#,
        r#"{"type":"email_sending","params":{"num_emails":1,"subject":"s"}}"#,
        r#"{"type":"image_processing","params":{"num_images":1,"target_width":100,"target_height":100}}"#,
        r#"{"tasks":[{"type":"noop"},{"type":"noop","params":{"a":[1,{"b":null}]}}]}"#,
        r#"{"status":["FAILED"]}"#,
        r#"{"type":"noop","needs_approval":true}"#,
        r#"{"reason":"no","run_at":"2026-01-01T00:00:00Z"}"#,
        r#"{"ids":["x"]}"#,
        r#"{"name":"n","duration":1000}"#,
        "{}",
        "[]",
        "null",
    ]);
    let form = "--X\r\ncontent-disposition: form-data; name=\"f\"; filename=\"a\"\r\n\r\na,b\r\n--X--\r\n";
    let mutated = (
        prop_oneof![json.clone(), Just(form.to_owned())],
        vec((any::<prop::sample::Index>(), any::<u8>(), any::<bool>()), 1..5),
    )
        .prop_map(|(text, edits)| {
            let mut bytes = text.into_bytes();
            for (at, byte, put) in edits {
                let at = at.index(bytes.len());
                if put {
                    bytes.insert(at, byte);
                } else {
                    bytes[at] = byte;
                }
            }
            bytes
        });
    prop_oneof![
        3 => Just(Vec::new()),
        5 => json.prop_map(String::into_bytes),
        4 => mutated,
        1 => Just(form.as_bytes().to_vec()),
        1 => vec(any::<u8>(), 0..300),
        1 => r#"([\[\]{}:, "\\0-9eE.+-]|"type"|"params"|"noop"|null){0,40}"#.prop_map(String::into_bytes),
    ]
}

fn encoded(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}
