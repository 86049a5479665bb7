//! Idempotency keys: the same key and body submit once.

use crate::support::http::{Answer, Service};
use crate::support::on_both_databases;
use futures_util::future::join_all;
use serde_json::json;

on_both_databases!(
    Service: the_same_key_and_body_get_the_first_answer_again,
    order_and_spaces_do_not_make_another_body,
    the_same_key_with_another_body_is_refused,
    two_hundred_at_once_make_one_task,
    a_key_belongs_to_its_route,
    a_refused_request_does_not_use_its_key_up,
    a_key_must_be_printable_and_of_the_right_length,
);

const SUBMIT: &str = "/api/tasks/submit";

async fn submit(service: &Service, path: &str, key: &str, body: &str) -> Answer {
    service.call("POST", path, &[("content-type", "application/json"), ("idempotency-key", key)], body.to_owned()).await
}

async fn the_same_key_and_body_get_the_first_answer_again(service: Service) {
    let first = submit(&service, SUBMIT, "k", r#"{"type":"noop"}"#).await;
    assert_eq!((first.status, first.header("idempotent-replayed")), (201, ""));
    service.work();
    service.finished(&first.id()).await;
    let again = submit(&service, SUBMIT, "k", r#"{"type":"noop"}"#).await;
    assert_eq!((again.status, again.header("idempotent-replayed")), (200, "true"));
    assert_eq!(again.body, first.body, "byte for byte, whatever became of the task");
    assert_eq!(again.header("location"), first.header("location"));
    assert_eq!(service.count().await, 1);
}

async fn order_and_spaces_do_not_make_another_body(service: Service) {
    let first = submit(&service, SUBMIT, "k", r#"{"type":"noop","params":{"a":1,"b":[2]}}"#).await;
    let again = submit(&service, SUBMIT, "k", r#" {"params": {"b": [2], "a": 1}, "type": "noop"} "#).await;
    assert_eq!((again.status, again.body), (200, first.body));
}

async fn the_same_key_with_another_body_is_refused(service: Service) {
    assert_eq!(submit(&service, SUBMIT, "k", r#"{"type":"noop"}"#).await.status, 201);
    for body in [r#"{"type":"noop","params":{"a":1}}"#, r#"{"type":"demo"}"#, r#"{"type":"noop","priority":1}"#] {
        submit(&service, SUBMIT, "k", body).await.is_problem(422, "idempotency_key_reused", body);
    }
    assert_eq!(service.count().await, 1);
}

async fn two_hundred_at_once_make_one_task(service: Service) {
    let answers = join_all((0..200).map(|_| submit(&service, SUBMIT, "k", r#"{"type":"noop"}"#))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1);
    for answer in answers.iter().filter(|answer| answer.status != 201) {
        match answer.status {
            200 => assert_eq!(answer.body, answers.iter().find(|answer| answer.status == 201).unwrap().body),
            _ => answer.is_problem(409, "idempotency_in_flight", "at once"),
        }
    }
    assert_eq!(service.count().await, 1);
}

async fn a_key_belongs_to_its_route(service: Service) {
    let body = r#"{"type":"noop"}"#;
    let id = submit(&service, SUBMIT, "k", body).await.id();
    let batch = format!(r#"{{"tasks":[{body}]}}"#);
    let clone = format!("/api/tasks/{id}/clone");
    for (path, body) in [("/api/tasks/batch", batch.as_str()), (&clone, "{}"), ("/api/task/start", "{}")] {
        let first = submit(&service, path, "k", body).await;
        let again = submit(&service, path, "k", body).await;
        assert_eq!((first.status, again.status, first.body == again.body), (201, 200, true), "{path}");
    }
    assert_eq!(service.count().await, 4);
}

async fn a_refused_request_does_not_use_its_key_up(service: Service) {
    submit(&service, SUBMIT, "k", r#"{"type":"nope"}"#).await.is_problem(422, "unknown_task_type", "first");
    submit(&service, SUBMIT, "k", r#"{"type":"#).await.is_problem(400, "malformed_json", "second");
    assert_eq!(submit(&service, SUBMIT, "k", r#"{"type":"noop"}"#).await.status, 201);
    let dry = submit(&service, "/api/tasks/submit?dry_run=true", "d", r#"{"type":"noop"}"#).await;
    assert_eq!((dry.status, &dry.json["valid"]), (200, &json!(true)));
    assert_eq!(submit(&service, SUBMIT, "d", r#"{"type":"noop"}"#).await.status, 201);
}

async fn a_key_must_be_printable_and_of_the_right_length(service: Service) {
    let (longest, long) = ("x".repeat(255), "x".repeat(256));
    assert_eq!(submit(&service, SUBMIT, &longest, r#"{"type":"noop"}"#).await.status, 201);
    for path in [SUBMIT, "/api/tasks/batch", "/api/task/start"] {
        for key in ["", long.as_str(), "a\tb", "ü"] {
            submit(&service, path, key, r#"{"type":"noop"}"#).await.is_problem(400, "bad_header", key);
        }
    }
    assert_eq!(service.count().await, 1);
}
