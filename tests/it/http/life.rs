//! Failures, attempts, retries, panics, time-outs, progress.

use crate::support::http::Service;
use crate::support::on_both_databases;
use serde_json::{Value, json};

on_both_databases!(
    Service: a_failure_ends_the_only_attempt,
    a_failure_is_tried_again_while_attempts_last,
    a_panic_fails_the_task_and_harms_nobody_else,
    what_takes_too_long_is_timed_out,
    a_failed_task_is_retried_and_keeps_its_attempts,
    a_cancelled_task_is_retried_and_a_success_is_not,
    progress_is_told_while_it_runs,
    what_a_task_measures_of_its_work_is_shown_with_it,
    a_wait_for_change_ends_with_the_change_or_with_the_time,
    a_submit_that_waits_answers_the_finished_task,
);

fn failing(max_attempts: i64) -> Value {
    json!({ "type": "demo", "params": { "duration": 1000, "steps": 50, "fail_at": 2 }, "max_attempts": max_attempts,
        "backoff": { "base_seconds": 0 } })
}

async fn a_failure_ends_the_only_attempt(service: Service) {
    service.work();
    let task = service.run(failing(1)).await;
    assert_eq!((&task["status"], &task["phase"], &task["attempt"]), (&json!("FAILED"), &json!("failed"), &json!(1)));
    assert_eq!((&task["error"]["code"], &task["error"]["attempt"]), (&json!("demo_failed"), &json!(1)));
    assert!(task["result"].is_null() && task["links"]["retry"].is_string() && task["links"]["cancel"].is_null());
    let id = task["id"].as_str().unwrap();
    assert_eq!(service.transitions(id).await, ["- PENDING", "PENDING RUNNING", "RUNNING FAILED"]);
}

async fn a_failure_is_tried_again_while_attempts_last(service: Service) {
    service.work();
    let task = service.run(failing(3)).await;
    assert_eq!((&task["status"], &task["attempt"]), (&json!("FAILED"), &json!(3)));
    let id = task["id"].as_str().unwrap();
    let again = ["PENDING RUNNING", "RUNNING PENDING"];
    let expected = [&["- PENDING"][..], &again, &again, &["PENDING RUNNING", "RUNNING FAILED"]].concat();
    assert_eq!(service.transitions(id).await, expected);
    let attempts = service.get(&format!("/api/tasks/{id}/attempts")).await.ok();
    let outcomes: Vec<&str> =
        attempts["attempts"].as_array().unwrap().iter().map(|one| one["outcome"].as_str().unwrap()).collect();
    assert_eq!(outcomes, ["failed"; 3]);
}

async fn a_panic_fails_the_task_and_harms_nobody_else(service: Service) {
    service.work();
    for _ in 0..5 {
        let task = service.run(json!({ "type": "panics" })).await;
        assert_eq!((&task["status"], &task["error"]["code"]), (&json!("FAILED"), &json!("panic")), "{task}");
    }
    assert_eq!(service.run(json!({ "type": "noop" })).await["status"], "SUCCESS", "its place is free again");
    assert_eq!(service.get("/api/ready").await.status, 200);
}

async fn what_takes_too_long_is_timed_out(service: Service) {
    service.work();
    let body = json!({ "type": "demo", "params": { "duration": 30000 }, "timeout_seconds": 1 });
    let task = service.run(body).await;
    assert_eq!((&task["status"], &task["error"]["code"]), (&json!("FAILED"), &json!("timeout")));
}

async fn a_failed_task_is_retried_and_keeps_its_attempts(service: Service) {
    service.work();
    let id = service.run(failing(1)).await["id"].as_str().unwrap().to_owned();
    let retried = service.post(&format!("/api/tasks/{id}/retry"), Value::Null).await;
    assert_eq!(
        (retried.status, &retried.json["status"], &retried.json["error"]),
        (200, &json!("PENDING"), &Value::Null)
    );
    let task = service.finished(&id).await;
    assert_eq!((&task["status"], &task["attempt"]), (&json!("FAILED"), &json!(2)));
    let attempts = service.get(&format!("/api/tasks/{id}/attempts")).await.ok();
    assert_eq!(attempts["attempts"].as_array().unwrap().len(), 2);
}

async fn a_cancelled_task_is_retried_and_a_success_is_not(service: Service) {
    let id = service.submit(json!({ "type": "noop" })).await;
    let retry = format!("/api/tasks/{id}/retry");
    service.post(&retry, json!({})).await.is_problem(409, "task_not_retryable", "pending");
    service.post(&retry, json!({ "reson": "x" })).await.is_problem(422, "invalid_request", "it takes no members");
    service.delete(&format!("/api/tasks/{id}")).await.ok();
    assert_eq!(service.post(&retry, json!({})).await.ok()["status"], "PENDING");
    service.work();
    assert_eq!(service.finished(&id).await["status"], "SUCCESS");
    service.post(&retry, json!({})).await.is_problem(409, "task_not_retryable", "success");
}

async fn progress_is_told_while_it_runs(service: Service) {
    service.work();
    let id = service.submit(json!({ "type": "demo", "params": { "duration": 3000, "steps": 3 } })).await;
    let half = service.until(&id, |task| task["progress"]["processed"] == 1).await;
    assert_eq!(
        (&half["status"], &half["phase"], &half["worker"]),
        (&json!("RUNNING"), &json!("running"), &json!("worker-1"))
    );
    let progress = &half["progress"];
    assert!((progress["percent"].as_f64().unwrap() - 33.3).abs() < 0.1, "{progress}");
    assert_eq!((&progress["total"], &progress["step"]), (&json!(3), &json!("step 1 of 3")));
    assert!(progress["eta_seconds"].as_f64() > Some(0.0), "{progress}");
    let done = service.finished(&id).await;
    assert_eq!((&done["status"], done["progress"]["percent"].as_f64()), (&json!("SUCCESS"), Some(100.0)));
}

async fn what_a_task_measures_of_its_work_is_shown_with_it(service: Service) {
    service.work();
    let table = json!({ "type": "csv_processing", "params": { "data": "n\n1\n2\n3\n" } });
    let task = service.run(table).await;
    assert_eq!((&task["status"], &task["metrics"]["rows_read"]), (&json!("SUCCESS"), &json!(3.0)));
    assert!(task["metrics"]["rows_per_second"].as_f64() > Some(0.0), "{task}");
    assert_eq!(service.get("/api/tasks/").await.ok()["tasks"][0]["metrics"], task["metrics"]);
    let changes = service.get("/api/tasks/changes").await.ok();
    let told: Vec<_> = changes["changes"].as_array().unwrap().iter().map(|change| &change["task"]["metrics"]).collect();
    assert_eq!(told, [&json!({}), &json!({}), &task["metrics"]]);
}

async fn a_wait_for_change_ends_with_the_change_or_with_the_time(service: Service) {
    let id = service.submit(json!({ "type": "noop" })).await;
    let tag = service.get(&format!("/api/tasks/{id}")).await.header("etag").to_owned();
    let wait = |seconds: u32| format!("/api/tasks/{id}?wait={seconds}&wait_for=change");
    let known = [("if-none-match", tag.as_str())];
    let same = service.call("GET", &wait(1), &known, "").await;
    assert_eq!((same.status, same.body.len()), (304, 0));
    let path = wait(30);
    let (changed, _) = tokio::join!(service.call("GET", &path, &known, ""), async {
        service.delete(&format!("/api/tasks/{id}")).await.ok()
    });
    assert_eq!((changed.status, &changed.json["status"]), (200, &json!("CANCELLED")));
}

async fn a_submit_that_waits_answers_the_finished_task(service: Service) {
    let waited = service.post("/api/tasks/submit?wait=0", json!({ "type": "noop" })).await;
    assert_eq!((waited.status, &waited.json["status"]), (201, &json!("PENDING")));
    let up = service.post("/api/tasks/submit?wait=1", json!({ "type": "noop" })).await;
    assert_eq!((up.status, &up.json["status"]), (201, &json!("PENDING")), "nobody works: the time is up");
    service.work();
    let done = service.post("/api/tasks/submit?wait=60", json!({ "type": "noop" })).await;
    assert_eq!((done.status, &done.json["status"]), (201, &json!("SUCCESS")));
    assert!(done.header("location").ends_with(&done.id()));
}
