//! Many at once: batch, bulk cancel and retry, clone, export.

use crate::support::http::Service;
use crate::support::on_both_databases;
use serde_json::{Value, json};

on_both_databases!(
    Service: a_batch_is_stored_in_its_order,
    a_batch_with_one_bad_task_stores_none_and_names_it,
    a_batch_has_one_to_ten_thousand_tasks,
    a_clone_takes_params_and_settings_and_what_it_is_told,
    a_clone_of_a_task_that_waits_for_its_time_waits_too,
    a_bulk_cancel_counts_what_matched_and_what_changed,
    a_bulk_retry_sets_the_failed_going_again,
    ten_thousand_are_cancelled_and_set_going_again_at_once,
    everything_must_be_meant,
    an_export_has_every_row_as_ndjson_and_as_csv,
    a_cell_of_an_export_is_no_formula,
);

async fn a_batch_is_stored_in_its_order(service: Service) {
    let tasks: Vec<Value> =
        (0..250).map(|n| json!({ "type": "noop", "params": { "n": n }, "priority": n % 3 })).collect();
    let answer = service.post("/api/tasks/batch", json!({ "tasks": tasks })).await;
    assert_eq!(answer.status, 201, "{}", answer.json);
    let made = answer.json["tasks"].as_array().unwrap();
    assert!(made.iter().enumerate().all(|(n, task)| task["params"]["n"] == n), "in order");
    assert!(made.is_sorted_by_key(|task| task["id"].as_str().unwrap()), "ids sort by creation");
    assert_eq!(service.count().await, 250);
}

async fn a_batch_with_one_bad_task_stores_none_and_names_it(service: Service) {
    let mut tasks: Vec<Value> = (0..1000).map(|_| json!({ "type": "noop" })).collect();
    tasks[17] = json!({ "type": "demo", "params": { "duration": 1 } });
    tasks[400] = json!({ "type": "noop", "priority": 101 });
    tasks[999] = json!({ "type": "nope" });
    let answer = service.post("/api/tasks/batch", json!({ "tasks": tasks })).await;
    answer.is_problem(422, "invalid_request", "a batch");
    assert_eq!(answer.pointers(), ["/tasks/17/params/duration", "/tasks/400/priority", "/tasks/999/type"]);
    assert_eq!(service.count().await, 0);
}

async fn a_batch_has_one_to_ten_thousand_tasks(service: Service) {
    let of = |n: usize| json!({ "tasks": vec![json!({ "type": "noop" }); n] });
    for n in [0, 10_001] {
        let answer = service.post("/api/tasks/batch", of(n)).await;
        answer.is_problem(422, "invalid_request", &n.to_string());
        assert_eq!(answer.pointers(), ["/tasks"]);
    }
    assert_eq!(service.count().await, 0);
    assert_eq!(service.post("/api/tasks/batch", of(10_000)).await.status, 201);
    assert_eq!(service.count().await, 10_000);
}

async fn a_clone_takes_params_and_settings_and_what_it_is_told(service: Service) {
    let body = json!({ "type": "demo", "params": { "duration": 2000 }, "priority": 5, "tags": ["a"], "queue": "slow", "name": "n" });
    let id = service.submit(body.clone()).await;
    let clone = format!("/api/tasks/{id}/clone");
    let same = service.call("POST", &clone, &[], "").await;
    assert_eq!(same.status, 201, "{}", same.json);
    assert_ne!(same.id(), id);
    for (member, value) in body.as_object().unwrap().iter().filter(|(member, _)| *member != "params") {
        assert_eq!(&same.json[member], value, "{member}");
    }
    assert_eq!(same.json["params"]["duration"], 2000);
    let other = service.post(&clone, json!({ "params": { "duration": 3000 }, "priority": -5, "tags": [] })).await;
    assert_eq!(
        (other.status, &other.json["priority"], &other.json["params"]["duration"]),
        (201, &json!(-5), &json!(3000))
    );
    assert_eq!((&other.json["tags"], &other.json["queue"]), (&json!([]), &json!("slow")));
    service.post(&clone, json!({ "params": { "duration": 1 } })).await.is_problem(422, "invalid_request", "override");
    service.post("/api/tasks/nope/clone", json!({})).await.is_problem(404, "task_not_found", "missing");
    assert_eq!(service.count().await, 3);
}

async fn a_clone_of_a_task_that_waits_for_its_time_waits_too(service: Service) {
    let id = service.submit(json!({ "type": "noop", "run_at": "2099-01-01T00:00:00.000Z" })).await;
    let clone = format!("/api/tasks/{id}/clone");
    assert_eq!(service.post(&clone, json!({})).await.json["run_at"], "2099-01-01T00:00:00.000Z");
    assert_eq!(service.post(&clone, json!({ "run_at": "2020-01-01T00:00:00Z" })).await.json["phase"], "ready");
}

async fn a_bulk_cancel_counts_what_matched_and_what_changed(service: Service) {
    let [a, b, c] =
        [service.submit(tagged("x")).await, service.submit(tagged("x")).await, service.submit(tagged("y")).await];
    service.delete(&format!("/api/tasks/{b}")).await.ok();
    let cancel = async |body: Value| service.post("/api/tasks/cancel", body).await.ok();
    assert_eq!(cancel(json!({ "tag": "x" })).await, json!({ "matched": 2, "changed": 1 }));
    assert_eq!(
        cancel(json!({ "ids": [a, c, "nope", "0193c5a0-7b1e-7000-8000-0123456789ab"] })).await,
        json!({ "matched": 2, "changed": 1 })
    );
    assert_eq!(cancel(json!({ "ids": [] })).await, json!({ "matched": 0, "changed": 0 }));
    service.submit(tagged("z")).await;
    assert_eq!(
        cancel(json!({ "status": ["PENDING", "RUNNING"], "type": "noop" })).await,
        json!({ "matched": 1, "changed": 1 })
    );
    assert_eq!(cancel(json!({ "all": true })).await, json!({ "matched": 4, "changed": 0 }));
}

async fn a_bulk_retry_sets_the_failed_going_again(service: Service) {
    service.work();
    let mut failed = Vec::new();
    for _ in 0..2 {
        failed.push(service.run(json!({ "type": "panics" })).await["id"].as_str().unwrap().to_owned());
    }
    service.run(json!({ "type": "noop" })).await;
    let done = service.post("/api/tasks/retry", json!({ "status": "FAILED" })).await.ok();
    assert_eq!(done, json!({ "matched": 2, "changed": 2 }));
    for id in failed {
        let task = service.until(&id, |task| task["attempt"] == 2 && task["status"] == "FAILED").await;
        assert_eq!(task["error"]["attempt"], 2);
    }
}

async fn ten_thousand_are_cancelled_and_set_going_again_at_once(service: Service) {
    let tasks = vec![json!({ "type": "noop", "run_at": "2999-01-01T00:00:00Z" }); 10_000];
    let batch = service.post("/api/tasks/batch", json!({ "tasks": tasks })).await;
    let ids: Vec<&Value> = batch.json["tasks"].as_array().unwrap().iter().map(|task| &task["id"]).collect();
    for path in ["/api/tasks/cancel", "/api/tasks/retry"] {
        let done = service.post(path, json!({ "ids": ids })).await.ok();
        assert_eq!(done, json!({ "matched": 10_000, "changed": 10_000 }), "{path}");
    }
    assert_eq!(service.get("/api/stats").await.ok()["by_status"]["PENDING"], 10_000);
}

async fn everything_must_be_meant(service: Service) {
    service.submit(tagged("x")).await;
    for path in ["/api/tasks/cancel", "/api/tasks/retry"] {
        for body in [json!({}), json!({ "all": false }), json!({ "status": [] })] {
            service.post(path, body).await.is_problem(400, "empty_filter", path);
        }
        for body in [
            json!({ "state": "FAILED" }),
            json!({ "status": "DONE" }),
            json!({ "all": "yes" }),
            json!([]),
            json!({ "ids": "x" }),
        ] {
            service.post(path, body.clone()).await.is_problem(422, "invalid_request", &body.to_string());
        }
    }
    assert_eq!(service.get("/api/tasks/?status=PENDING").await.ok()["tasks"].as_array().unwrap().len(), 1);
}

async fn an_export_has_every_row_as_ndjson_and_as_csv(service: Service) {
    let tasks: Vec<Value> =
        (0..600).map(|n| json!({ "type": "noop", "params": { "n": n }, "tags": ["a", "b,\"c"] })).collect();
    assert_eq!(service.post("/api/tasks/batch", json!({ "tasks": tasks })).await.status, 201);
    let plain = service.get("/api/tasks/export?sort=created_at").await;
    assert_eq!((plain.status, plain.header("content-type")), (200, "application/x-ndjson"));
    let lines: Vec<Value> = plain
        .body
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect();
    assert!(lines.iter().enumerate().all(|(n, task)| task["params"]["n"] == n) && lines.len() == 600);
    let csv = service.call("GET", "/api/tasks/export?sort=created_at", &[("accept", "text/csv")], "").await;
    assert!(
        csv.header("content-type").starts_with("text/csv")
            && csv.header("content-disposition").starts_with("attachment")
    );
    let mut reader = csv::Reader::from_reader(&csv.body[..]);
    let ids: Vec<String> = reader.records().map(|row| row.unwrap()[0].to_owned()).collect();
    assert_eq!(ids, lines.iter().map(|task| task["id"].as_str().unwrap()).collect::<Vec<_>>());
    let none = service.get("/api/tasks/export?format=ndjson&status=FAILED").await;
    assert_eq!((none.status, none.body.len()), (200, 0));
    service.get("/api/tasks/export?format=xml").await.is_problem(422, "invalid_filter", "xml");
    service.get("/api/tasks/export?nope=1").await.is_problem(422, "invalid_filter", "nope");
}

async fn a_cell_of_an_export_is_no_formula(service: Service) {
    for name in ["=cmd|'/c calc'!A1", "+1", "-1", "@x", "\tx"] {
        service.submit(json!({ "type": "noop", "name": name })).await;
    }
    let csv = service.get("/api/tasks/export?format=csv").await;
    let mut reader = csv::Reader::from_reader(&csv.body[..]);
    let column = reader.headers().unwrap().iter().position(|name| name == "name").unwrap();
    for row in reader.records() {
        let name = row.unwrap()[column].to_owned();
        assert!(!name.starts_with(['=', '+', '-', '@', '\t', '\r']), "{name:?}");
    }
}

fn tagged(tag: &str) -> Value {
    json!({ "type": "noop", "tags": [tag] })
}
