//! How much an owner may have, as the wire says it.

use crate::support::http::{Answer, Service};
use crate::support::on_both_databases;
use axum::body::Body;
use axum::http::Request;
use bytes::Bytes;
use errand::queue::Quotas;
use errand::task::Role;
use futures_util::future::join_all;
use futures_util::stream;
use serde_json::{Value, json};
use std::convert::Infallible;

on_both_databases![Service:
    what_would_be_too_many_open_tasks_is_refused_and_another_owner_is_not_held_back,
    what_would_be_too_many_bytes_is_refused_before_or_while_it_comes_and_leaves_nothing,
    a_hundred_uploads_at_once_store_as_many_as_may_be,
];

fn later() -> Value {
    json!({ "type": "noop", "run_at": "2999-01-01T00:00:00Z" })
}

#[track_caller]
fn is_exceeded(answer: &Answer, wait: &str) {
    answer.is_problem(429, "quota_exceeded", "too much");
    assert_eq!(answer.header("retry-after"), wait);
}

async fn what_would_be_too_many_open_tasks_is_refused_and_another_owner_is_not_held_back(service: Service) {
    let service = service.with_quotas(Quotas { open_tasks: Some(3), stored_bytes: None });
    let (alice, bob) = (service.key(Role::Submit, "alice").await, service.key(Role::Submit, "bob").await);
    let post = async |key: &str, path: &str, body: Value| service.call_as(key, "POST", path, body).await;
    let id = post(&alice, "/api/tasks/submit", later()).await.id();
    assert_eq!(post(&alice, "/api/tasks/batch", json!({ "tasks": [later(), later()] })).await.status, 201);
    for (path, body) in [
        ("/api/tasks/submit", later()),
        ("/api/tasks/batch", json!({ "tasks": [later()] })),
        ("/api/task/start", json!({})),
        (&format!("/api/tasks/{id}/clone"), Value::Null),
    ] {
        let answer = post(&alice, path, body).await;
        is_exceeded(&answer, "1");
        assert_eq!(answer.json["detail"], "an owner may have at most 3 tasks that wait or run");
    }
    // What is wrong in itself is told first, and looking costs nothing.
    post(&alice, "/api/tasks/submit", json!({ "type": "x" })).await.is_problem(422, "unknown_task_type", "wrong");
    assert_eq!(post(&alice, "/api/tasks/submit?dry_run=true", later()).await.status, 200);
    assert_eq!(post(&bob, "/api/tasks/submit", later()).await.status, 201);
    let stats = service.call_as(&alice, "GET", "/api/stats", Value::Null).await.ok();
    assert_eq!(stats["by_status"]["PENDING"], 3);
    assert_eq!(service.get("/api/version").await.ok()["limits"]["open_tasks"], 3);
}

async fn what_would_be_too_many_bytes_is_refused_before_or_while_it_comes_and_leaves_nothing(service: Service) {
    const MOST: usize = 1_000_000;
    let service = service.with_quotas(Quotas { open_tasks: None, stored_bytes: Some(MOST as u64) });
    let upload = async |bytes: usize| {
        let length = bytes.to_string();
        let headers = [("content-type", "text/plain"), ("content-length", length.as_str())];
        service.call("POST", "/api/files", &headers, vec![b'a'; bytes]).await
    };
    let first = upload(MOST - 1_000).await;
    assert_eq!(first.status, 201, "{}", first.json);
    is_exceeded(&upload(1_001).await, "60");
    // One that does not say how large it is.
    let stream_in = async |pieces: usize| {
        let pieces = stream::iter((0..pieces).map(|_| Ok::<_, Infallible>(Bytes::from(vec![b'a'; 100]))));
        let request = Request::post("/api/files").header("content-type", "text/plain").body(Body::from_stream(pieces));
        service.send(request.unwrap()).await
    };
    is_exceeded(&stream_in(11).await, "60");
    service.until_files(1, "what was refused leaves nothing").await;
    assert_eq!(stream_in(5).await.status, 201);
    assert_eq!(upload(500).await.status, 201);
    let path = format!("/api/files/{}", first.json["file_id"].as_str().unwrap());
    assert_eq!(service.delete(&path).await.status, 204);
    assert_eq!(upload(MOST - 1_000).await.status, 201, "what was deleted made room");
    is_exceeded(&upload(1).await, "60");
}

async fn a_hundred_uploads_at_once_store_as_many_as_may_be(service: Service) {
    let service = service.with_quotas(Quotas { open_tasks: None, stored_bytes: Some(1_000_000) });
    let headers = [("content-type", "text/plain"), ("content-length", "100000")];
    let uploads = (0..100).map(|_| service.call("POST", "/api/files", &headers, vec![b'a'; 100_000]));
    let answers = join_all(uploads).await;
    let kept = answers.iter().filter(|answer| answer.status == 201).count();
    assert_eq!(kept, 10);
    answers.iter().filter(|answer| answer.status != 201).for_each(|answer| is_exceeded(answer, "60"));
    service.until_files(10, "what was refused leaves nothing").await;
}
