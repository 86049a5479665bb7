//! How much a key may send a second.

use crate::support::http::{Answer, Service};
use crate::support::on_both_databases;
use errand::api::RateSettings;
use errand::task::Role;
use futures_util::future::join_all;
use serde_json::{Value, json};

on_both_databases![Service:
    a_batch_counts_its_tasks_and_its_key_waits_until_they_are_paid_for,
    what_one_key_sends_too_much_costs_no_other,
    reads_changes_and_submits_are_counted_apart,
    a_worker_is_not_held_back,
    without_keys_all_are_one,
    without_limits_nothing_is_said_of_them,
];

/// So that a slow machine pays nothing back within a test.
const SLOW: Option<u32> = Some(1);

fn batch(n: usize) -> Value {
    json!({ "tasks": vec![json!({ "type": "noop", "run_at": "2999-01-01T00:00:00Z" }); n] })
}

/// That it is told to wait, for about so many seconds.
#[track_caller]
fn waits(answer: &Answer, seconds: u32) {
    answer.is_problem(429, "rate_limited", "too much");
    let told: u32 = answer.header("retry-after").parse().unwrap();
    assert!((seconds - 60..=seconds).contains(&told), "{told}");
}

async fn a_batch_counts_its_tasks_and_its_key_waits_until_they_are_paid_for(service: Service) {
    let service = service.limited(RateSettings { submit: SLOW, ..Default::default() });
    let key = service.key(Role::Submit, "alice").await;
    let post = async |path: &str, body: Value| service.call_as(&key, "POST", path, body).await;
    let first = post("/api/tasks/batch", batch(1_000)).await;
    assert_eq!((first.status, first.header("ratelimit-policy")), (201, r#""submit";q=1;w=1"#));
    let told = first.header("ratelimit").strip_prefix(r#""submit";r=0;t="#).expect("nothing is left");
    assert!((900..=1_000).contains(&told.parse::<u32>().unwrap()), "{told}");
    for (path, body) in [
        ("/api/tasks/batch", batch(1)),
        ("/api/tasks/submit", json!({ "type": "noop" })),
        ("/api/tasks/submit?dry_run=true", json!({ "type": "noop" })),
        ("/api/task/start", json!({})),
        ("/api/tasks/0193c5a0-7b1e-7000-8000-0123456789ab/clone", Value::Null),
    ] {
        let answer = post(path, body).await;
        waits(&answer, 1_000);
        assert!(answer.header("ratelimit").starts_with(r#""submit";r=0;t="#), "{path}");
    }
    assert_eq!(service.call_as(&key, "GET", "/api/stats", Value::Null).await.json["by_status"]["PENDING"], 1_000);
}

async fn what_one_key_sends_too_much_costs_no_other(service: Service) {
    let service = service.limited(RateSettings { submit: Some(5), write: Some(5), read: Some(5) });
    let (loud, same, other) = (
        service.key(Role::Submit, "alice").await,
        service.key(Role::Submit, "alice").await,
        service.key(Role::Submit, "bob").await,
    );
    let floods = [("POST", "/api/tasks/submit"), ("POST", "/api/tasks/cancel"), ("GET", "/api/tasks")];
    for (method, path) in floods {
        let body = || match path {
            "/api/tasks/submit" => json!({ "type": "noop" }),
            "/api/tasks/cancel" => json!({ "queue": "none" }),
            _ => Value::Null,
        };
        let answers = join_all((0..100).map(|_| service.call_as(&loud, method, path, body()))).await;
        let passed = answers.iter().filter(|answer| answer.status < 300).count();
        assert!((5..100).contains(&passed), "{method} {path}: {passed}");
        for answer in answers.iter().filter(|answer| answer.status >= 300) {
            answer.is_problem(429, "rate_limited", path);
            assert_eq!(answer.header("retry-after"), "1");
        }
        for key in [&same, &other] {
            let answer = service.call_as(key, method, path, body()).await;
            assert!(answer.status < 300, "{method} {path}: {}", answer.json);
        }
    }
}

async fn reads_changes_and_submits_are_counted_apart(service: Service) {
    let service = service.limited(RateSettings { submit: SLOW, write: SLOW, read: Some(1_000_000) });
    let key = service.key(Role::Submit, "alice").await;
    assert_eq!(service.call_as(&key, "POST", "/api/tasks/batch", batch(1_000)).await.status, 201);
    let cancel = service.call_as(&key, "POST", "/api/tasks/cancel", json!({ "queue": "none" })).await;
    assert_eq!((cancel.status, cancel.header("ratelimit-policy")), (200, r#""write";q=1;w=1"#), "{}", cancel.json);
    for path in ["/api/tasks", "/api/me", "/api/stats"] {
        let answer = service.call_as(&key, "GET", path, Value::Null).await;
        assert_eq!((answer.status, answer.header("ratelimit-policy")), (200, r#""read";q=1000000;w=1"#), "{path}");
    }
    let limits = &service.get("/api/version").await.ok()["limits"];
    assert_eq!((&limits["submits_per_second"], &limits["reads_per_second"]), (&json!(1), &json!(1_000_000)));
}

async fn a_worker_is_not_held_back(service: Service) {
    let service = service.limited(RateSettings { submit: SLOW, write: SLOW, read: SLOW });
    let key = service.key(Role::Worker, "alice").await;
    let answers = join_all((0..50).map(|_| service.call_as(&key, "GET", "/api/task-types", Value::Null))).await;
    assert!(answers.iter().all(|answer| answer.status == 200 && !answer.headers.contains_key("ratelimit")));
}

async fn without_keys_all_are_one(service: Service) {
    let service = service.limited(RateSettings { submit: SLOW, ..Default::default() });
    assert_eq!(service.post("/api/tasks/batch", batch(1_000)).await.status, 201);
    for client in ["a", "b"] {
        let headers = [("x-client-id", client), ("content-type", "application/json")];
        waits(&service.call("POST", "/api/tasks/submit", &headers, r#"{"type":"noop"}"#).await, 1_000);
    }
    // What needs no key is not limited.
    assert_eq!(service.get("/health").await.status, 200);
}

async fn without_limits_nothing_is_said_of_them(service: Service) {
    for answer in [service.post("/api/tasks/batch", batch(1_000)).await, service.get("/api/tasks").await] {
        assert!(answer.status < 300 && !answer.headers.contains_key("ratelimit"), "{:?}", answer.headers);
        assert!(!answer.headers.contains_key("ratelimit-policy"));
    }
}
