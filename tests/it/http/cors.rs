//! Pages of other origins: what a browser is told of what they may do.

use crate::support::http::{Answer, Service, node};
use crate::support::on_both_databases;
use axum::body::Body;
use axum::http::Request;
use errand::api::{NodeInfo, RateSettings, TABLE};
use errand::task::Role;
use serde_json::json;
use std::collections::BTreeSet;
use tower::ServiceExt;

on_both_databases![Service:
    without_a_list_no_answer_is_for_a_page_of_another_origin,
    a_page_of_a_listed_origin_may_send_what_anything_here_reads,
    a_page_of_a_listed_origin_reads_every_answer_errors_too,
    an_origin_that_is_not_listed_gets_what_it_got_before,
    a_page_of_a_listed_origin_calls_with_a_key_and_never_by_a_cookie,
];

const LISTED: &str = "https://app.example.org";
const OTHERS: [&str; 8] = [
    "https://evil.example",
    "null",
    "",
    "http://app.example.org",
    "https://app.example.org:444",
    "https://app.example.org.evil.example",
    "https://APP.example.org",
    "https://app.example.org/",
];

fn listing(service: Service) -> Service {
    let allowed_origins = vec!["http://localhost:3000".to_owned(), LISTED.to_owned()];
    service.with_node(NodeInfo { allowed_origins, ..node() })
}

/// What a browser asks before its page may send something.
async fn preflight(service: &Service, origin: &str, path: &str) -> Answer {
    let headers = [
        ("origin", origin),
        ("access-control-request-method", "DELETE"),
        ("access-control-request-headers", "authorization,content-type"),
    ];
    service.call("OPTIONS", path, &headers, "").await
}

/// The names of the headers that are about origins.
fn about_origins(answer: &Answer) -> Vec<&str> {
    answer.headers.keys().map(|name| name.as_str()).filter(|name| name.starts_with("access-control-")).collect()
}

fn words(text: &str) -> BTreeSet<&str> {
    text.split(',').map(str::trim).collect()
}

async fn without_a_list_no_answer_is_for_a_page_of_another_origin(service: Service) {
    for origin in [LISTED, "null", "http://localhost:3000"] {
        for path in ["/", "/api/tasks", "/api/health", "/nope"] {
            let answer = service.call("GET", path, &[("origin", origin), ("accept", "application/json")], "").await;
            assert!(about_origins(&answer).is_empty() && !answer.header("vary").contains("origin"), "{path}");
        }
        let asked = preflight(&service, origin, "/api/tasks/submit").await;
        asked.is_problem(405, "method_not_allowed", origin);
        assert!(about_origins(&asked).is_empty() && asked.header("vary").is_empty());
        let sent = [("origin", origin), ("sec-fetch-site", "cross-site"), ("content-type", "application/json")];
        let refused = service.call("POST", "/api/tasks/submit", &sent, r#"{"type":"noop"}"#).await;
        refused.is_problem(403, "forbidden", origin);
    }
}

async fn a_page_of_a_listed_origin_may_send_what_anything_here_reads(service: Service) {
    let service = listing(service);
    service.key(Role::Read, "alice").await;
    for (method, path, _) in TABLE {
        let asked = preflight(&service, LISTED, &path.replace("{id}", "x")).await;
        assert_eq!((asked.status, asked.body.len()), (200, 0), "{path}: a browser shows no key when it asks");
        assert_eq!(asked.header("access-control-allow-origin"), LISTED);
        assert!(words(asked.header("access-control-allow-methods")).contains(method), "{method}");
        let sent = words(asked.header("access-control-allow-headers"));
        assert_eq!(
            sent.into_iter().collect::<Vec<_>>(),
            [
                "accept",
                "authorization",
                "content-type",
                "idempotency-key",
                "if-none-match",
                "if-range",
                "last-event-id",
                "range",
                "x-api-key",
                "x-client-id",
                "x-request-id",
                "x-session-id",
                "x-socket-id",
            ]
        );
        assert_eq!((asked.header("access-control-max-age"), asked.header("vary")), ("600", "origin"));
        assert!(!asked.headers.contains_key("access-control-allow-credentials"));
        assert_eq!(
            (asked.header("x-content-type-options"), asked.header("x-request-id").is_empty()),
            ("nosniff", false)
        );
    }
}

async fn a_page_of_a_listed_origin_reads_every_answer_errors_too(service: Service) {
    let service = listing(service);
    let submitted = json!({ "type": "noop", "run_at": "2999-01-01T00:00:00Z" }).to_string();
    let id = service.submit(serde_json::from_str(&submitted).unwrap()).await;
    let page = [("origin", LISTED), ("sec-fetch-site", "cross-site"), ("content-type", "application/json")];
    let reads = |answer: &Answer, what: &str| {
        assert_eq!(answer.header("access-control-allow-origin"), LISTED, "{what}");
        let shown = words(answer.header("access-control-expose-headers"));
        let told = answer.headers.keys().map(|name| name.as_str());
        // Those that a browser shows to every page, and those that are for it or a proxy.
        let safe = ["cache-control", "content-type", "content-length", "vary", "x-accel-buffering", "referrer-policy"];
        let browsers = ["content-security-policy", "cross-origin-opener-policy", "x-content-type-options"];
        let safe = [safe.as_slice(), browsers.as_slice()].concat();
        let hidden: Vec<_> = told
            .filter(|name| !name.starts_with("access-control-") && !safe.contains(name) && !shown.contains(name))
            .collect();
        assert_eq!(hidden, [""; 0], "{what}");
        assert!(!answer.headers.contains_key("access-control-allow-credentials"), "{what}");
        let varies: Vec<_> = answer.headers.get_all("vary").iter().filter(|vary| *vary == "origin").collect();
        assert_eq!(varies.len(), 1, "{what}");
    };
    let submit = service.call("POST", "/api/tasks/submit", &page, submitted).await;
    assert_eq!(submit.status, 201, "{}", submit.json);
    reads(&submit, "submit");
    let task = service.call("GET", &format!("/api/tasks/{id}"), &page, "").await;
    reads(&task, "task");
    let tag = [&page[..], &[("if-none-match", task.header("etag"))]].concat();
    for (method, path, headers, status) in [
        ("HEAD", "/api/tasks", &page[..], 200),
        ("GET", &format!("/api/tasks/{id}"), &tag, 304),
        ("GET", "/api/tasks?limit=1", &page, 200),
        ("GET", "/", &page, 200),
        ("GET", "/api/tasks/nope", &page, 404),
        ("GET", "/api/nope", &page, 404),
        ("GET", "//", &page, 404),
        ("PUT", "/api/tasks/submit", &page, 405),
        ("GET", "/api/tasks", &[&page[..], &[("accept", "text/html")]].concat(), 406),
        ("GET", "/api/tasks?limit=0", &page, 422),
        ("POST", "/api/tasks/submit", &page, 400),
        ("GET", "/api/events", &page, 200),
        ("GET", "/api/tasks/export", &page, 200),
    ] {
        let answer = service.call(method, path, headers, "").await;
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.json);
        reads(&answer, &format!("{method} {path}"));
    }
    service.key(Role::Read, "alice").await;
    let denied = service.call("GET", "/api/tasks", &page, "").await;
    denied.is_problem(401, "unauthenticated", "no key");
    reads(&denied, "no key");
}

#[tokio::test]
async fn a_page_of_a_listed_origin_reads_that_it_sends_too_much_and_that_a_node_starts() {
    let rates = RateSettings { read: Some(1), ..Default::default() };
    let service =
        Service::sqlite().await.with_node(NodeInfo { rates, allowed_origins: vec![LISTED.to_owned()], ..node() });
    let page = [("origin", LISTED)];
    let refused = loop {
        let answer = service.call("GET", "/api/tasks", &page, "").await;
        if answer.status != 200 {
            break answer;
        }
    };
    refused.is_problem(429, "rate_limited", "too much");
    assert_eq!(refused.header("access-control-allow-origin"), LISTED);
    let starting = errand::api::starting(&[LISTED.to_owned()]);
    let request = Request::get("/api/tasks").header("origin", LISTED).body(Body::empty()).unwrap();
    let answer = starting.oneshot(request).await.unwrap();
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["access-control-allow-origin"]),
        (503, &LISTED.parse().unwrap())
    );
}

async fn an_origin_that_is_not_listed_gets_what_it_got_before(service: Service) {
    let plain = |answer: Answer, list: bool| {
        let mut headers = answer.headers;
        let varies = headers.get_all("vary").iter().any(|vary| vary == "origin");
        assert_eq!(varies, list, "caches tell it apart from what a listed one gets");
        headers.remove("vary");
        (answer.status, headers, answer.body)
    };
    let calls = |origin| {
        let page = |method, path, more: &[(&'static str, &'static str)]| {
            let headers = [&[("origin", origin), ("x-request-id", "r"), ("x-client-id", "c")], more].concat();
            (method, path, headers)
        };
        let asks = [("access-control-request-method", "POST"), ("access-control-request-headers", "authorization")];
        [
            page("OPTIONS", "/api/tasks/submit", &asks),
            page("OPTIONS", "/nope", &asks),
            page("GET", "/api/tasks", &[]),
            page("GET", "/api/version", &[]),
            page("GET", "/api/tasks/nope", &[]),
            page(
                "POST",
                "/api/tasks/submit",
                &[("sec-fetch-site", "cross-site"), ("content-type", "application/json")],
            ),
            page("DELETE", "/api/tasks/nope", &[("sec-fetch-site", "same-site")]),
        ]
    };
    let mut before = Vec::new();
    for (method, path, headers) in OTHERS.iter().flat_map(|origin| calls(*origin)) {
        before.push(plain(service.call(method, path, &headers, "").await, false));
    }
    let service = listing(service);
    for ((method, path, headers), before) in OTHERS.iter().flat_map(|origin| calls(*origin)).zip(before) {
        assert_eq!(plain(service.call(method, path, &headers, "").await, true), before, "{method} {path} {headers:?}");
    }
    // Nor does one that hides behind a listed one.
    let both = [("origin", LISTED), ("origin", OTHERS[0])];
    assert!(about_origins(&service.call("GET", "/api/health", &both, "").await).is_empty());
    // And who says nothing of an origin is answered as ever, but for caches.
    assert_eq!(service.get("/api/health").await.header("vary"), "origin");
}

async fn a_page_of_a_listed_origin_calls_with_a_key_and_never_by_a_cookie(service: Service) {
    let service = listing(service);
    let key = service.key(Role::Submit, "alice").await;
    let sign_in = [("content-type", "application/json"), ("sec-fetch-site", "same-origin")];
    let cookie = service.call("POST", "/api/session", &sign_in, json!({ "key": key }).to_string()).await;
    let cookie = cookie.header("set-cookie").split(';').next().unwrap().to_owned();
    let bearer = format!("Bearer {key}");
    for site in ["cross-site", "same-site"] {
        let page = [("origin", LISTED), ("sec-fetch-site", site), ("content-type", "application/json")];
        let by = |name, value| [&page[..], &[(name, value)]].concat();
        let submit = async |headers: &[(&'static str, &str)]| {
            service.call("POST", "/api/tasks/submit", headers, r#"{"type":"noop"}"#).await
        };
        assert_eq!(submit(&by("authorization", &bearer)).await.status, 201);
        assert_eq!(submit(&by("x-api-key", &key)).await.status, 201);
        submit(&by("cookie", &cookie)).await.is_problem(401, "unauthenticated", site);
        for path in ["/api/tasks", "/api/me", "/api/events"] {
            let read = service.call("GET", path, &by("cookie", &cookie), "").await;
            read.is_problem(401, "unauthenticated", "a cookie reads nothing from there");
            assert_eq!(service.call("GET", path, &by("authorization", &bearer), "").await.status, 200);
        }
        // Nor is one given out to it, or ended by it.
        let sign_in = service.call("POST", "/api/session", &page, json!({ "key": key }).to_string()).await;
        sign_in.is_problem(403, "forbidden", site);
        assert!(!sign_in.headers.contains_key("set-cookie"));
        service.call("DELETE", "/api/session", &by("cookie", &cookie), "").await.is_problem(
            401,
            "unauthenticated",
            site,
        );
    }
    let own = [("cookie", cookie.as_str()), ("sec-fetch-site", "same-origin"), ("content-type", "application/json")];
    assert_eq!(service.call("POST", "/api/tasks/submit", &own, r#"{"type":"noop"}"#).await.status, 201);
    // Errand's own page may be listed: it is no other origin for that.
    let own =
        [("origin", LISTED), ("host", "app.example.org"), ("cookie", &cookie), ("content-type", "application/json")];
    assert_eq!(service.call("POST", "/api/tasks/submit", &own, r#"{"type":"noop"}"#).await.status, 201);
}
