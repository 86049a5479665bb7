//! Cancel one task, in every state and for every type.

use crate::support::http::Service;
use crate::support::on_both_databases;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

on_both_databases!(
    Service: a_pending_task_is_cancelled_at_once_and_never_runs,
    a_long_demo_stops_within_two_seconds,
    a_long_csv_processing_stops_within_two_seconds,
    a_long_email_sending_stops_within_two_seconds,
    a_finished_task_cannot_be_cancelled,
    what_is_not_there_cannot_be_cancelled,
    asked_twice_is_asked_once,
);

async fn a_pending_task_is_cancelled_at_once_and_never_runs(service: Service) {
    let id = service.submit(json!({ "type": "noop" })).await;
    let answer = service.delete(&format!("/api/tasks/{id}")).await;
    assert_eq!((answer.status, &answer.json["status"]), (200, &json!("CANCELLED")));
    assert!(answer.json["links"]["retry"].is_string() && answer.json["links"]["cancel"].is_null());
    let again = service.delete(&format!("/api/tasks/{id}")).await;
    assert_eq!((again.status, &again.json["version"]), (200, &answer.json["version"]));
    service.work();
    service.run(json!({ "type": "noop" })).await;
    assert_eq!(service.transitions(&id).await, ["- PENDING", "PENDING CANCELLED"]);
}

async fn a_long_demo_stops_within_two_seconds(service: Service) {
    stops_in_time(service, "demo", json!({ "duration": 30000, "steps": 300 })).await;
}

async fn a_long_csv_processing_stops_within_two_seconds(service: Service) {
    stops_in_time(service, "csv_processing", json!({ "num_rows": 10000, "processing_time": 60 })).await;
}

async fn a_long_email_sending_stops_within_two_seconds(service: Service) {
    stops_in_time(service, "email_sending", json!({ "num_emails": 100, "delay_per_email": 0.2 })).await;
}

/// Cancels a task that has begun to work: 202, soon `CANCELLED`, no artifact, and no file is left but
/// what a retry goes on from.
async fn stops_in_time(service: Service, name: &str, params: Value) {
    service.work();
    let id = service.submit(json!({ "type": name, "params": params })).await;
    service.until(&id, |task| task["progress"]["percent"].as_f64() > Some(0.0)).await;
    let asked = Instant::now();
    let answer = service.delete(&format!("/api/tasks/{id}")).await;
    assert_eq!((answer.status, &answer.json["phase"]), (202, &json!("cancelling")));
    assert!(answer.json["cancel_requested_at"].is_string());
    let task = service.finished(&id).await;
    assert!(asked.elapsed() < Duration::from_secs(2), "it took {:?}", asked.elapsed());
    assert_eq!((&task["status"], &task["result"]), (&json!("CANCELLED"), &Value::Null));
    let listed = service.get(&format!("/api/tasks/{id}/artifacts")).await.ok();
    assert_eq!(listed, json!({ "artifacts": [] }));
    service.rest().await;
    // Mails that are down as sent stay for a retry, which sends the others; nobody is shown them before.
    if name != "email_sending" {
        service.until_files(0, "it leaves no file").await;
    }
}

async fn a_finished_task_cannot_be_cancelled(service: Service) {
    service.work();
    let success = service.run(json!({ "type": "noop" })).await;
    let failed =
        service.run(json!({ "type": "demo", "params": { "duration": 1000, "steps": 10, "fail_at": 1 } })).await;
    for task in [success, failed] {
        let answer = service.delete(&format!("/api/tasks/{}", task["id"].as_str().unwrap())).await;
        answer.is_problem(409, "task_not_cancellable", task["status"].as_str().unwrap());
    }
}

async fn what_is_not_there_cannot_be_cancelled(service: Service) {
    for id in ["0193c5a0-7b1e-7000-8000-0123456789ab", "1", "abc"] {
        service.delete(&format!("/api/tasks/{id}")).await.is_problem(404, "task_not_found", id);
        service.post(&format!("/api/tasks/{id}/retry"), json!({})).await.is_problem(404, "task_not_found", id);
    }
}

async fn asked_twice_is_asked_once(service: Service) {
    let id = service.submit(json!({ "type": "noop" })).await;
    let claimed = service.queue.claim("elsewhere", 1, &[], 30_000, false).await.unwrap();
    assert_eq!(claimed.len(), 1);
    let first = service.delete(&format!("/api/tasks/{id}")).await;
    let second = service.delete(&format!("/api/tasks/{id}")).await;
    assert_eq!((first.status, second.status), (202, 202));
    assert_eq!(first.json["cancel_requested_at"], second.json["cancel_requested_at"]);
    assert_eq!(service.task(&id).await["version"], first.json["version"]);
}
