//! Every type, from submit to result.

use crate::support::http::Service;
use crate::support::on_both_databases;
use serde_json::{Value, json};

on_both_databases!(
    Service: a_submitted_task_has_the_members_of_the_contract,
    csv_processing_makes_a_table_and_its_statistics,
    csv_processing_reads_a_table_of_ours,
    email_sending_keeps_each_mail,
    image_processing_draws_and_resizes,
    demo_goes_through_its_steps,
    noop_gives_its_params_back_unchanged,
    examples_of_every_type_are_accepted_and_those_without_a_wait_succeed,
    out_of_range_is_refused_at_submit,
    a_word_that_is_not_among_those_allowed_is_refused_with_them,
    a_dry_run_fills_in_the_defaults_and_adds_nothing,
    the_client_id_comes_from_the_body_then_the_headers_then_the_server,
    a_time_in_the_past_is_now_and_one_in_the_future_is_waited_for,
    everything_that_was_submitted_is_told_again,
);

async fn a_submitted_task_has_the_members_of_the_contract(service: Service) {
    let answer = service.post("/api/tasks/submit", json!({ "type": "noop" })).await;
    assert_eq!((answer.status, answer.header("content-type")), (201, "application/json"));
    let (id, task) = (answer.id(), answer.json.clone());
    let members = [
        "id",
        "type",
        "name",
        "status",
        "phase",
        "queue",
        "priority",
        "tags",
        "params",
        "result",
        "error",
        "progress",
        "attempt",
        "max_attempts",
        "timeout_seconds",
        "owner",
        "client_id",
        "worker",
        "run_at",
        "created_at",
        "started_at",
        "finished_at",
        "updated_at",
        "cancel_requested_at",
        "version",
        "links",
    ];
    let has: Vec<&str> = task.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(members.iter().filter(|member| !has.contains(member)).collect::<Vec<_>>(), [&""; 0]);
    assert_eq!(answer.header("location"), format!("/api/tasks/{id}"));
    let fresh = json!({ "status": "PENDING", "phase": "ready", "queue": "default", "priority": 0, "tags": [],
        "params": {}, "result": null, "error": null, "attempt": 0, "max_attempts": 1, "owner": "default",
        "progress": { "percent": 0.0, "step": null, "processed": null, "total": null, "eta_seconds": null },
        "metrics": {}, "version": 1, "links": { "self": format!("/api/tasks/{id}"), "cancel": format!("/api/tasks/{id}") } });
    for (member, value) in fresh.as_object().unwrap() {
        assert_eq!(&task[member], value, "{member}");
    }
    assert_eq!(service.task(&id).await, task);
}

async fn csv_processing_makes_a_table_and_its_statistics(service: Service) {
    service.work();
    let task = succeeds(&service, "csv_processing", json!({ "num_rows": 100, "seed": 7 })).await;
    assert_eq!(task["result"]["rows"], 100);
    let statistics = task["result"]["statistics"].as_object().unwrap();
    assert!(!statistics.is_empty());
    for (column, of) in statistics {
        for member in ["sum", "avg", "min", "max"] {
            assert!(of[member].is_number(), "{member} of {column}");
        }
    }
    assert_eq!(artifacts(&service, &task).await, ["table.csv"]);
    let again = succeeds(&service, "csv_processing", json!({ "num_rows": 100, "seed": 7 })).await;
    assert_eq!(again["result"], task["result"], "the same seed makes the same table");
}

async fn csv_processing_reads_a_table_of_ours(service: Service) {
    service.work();
    let task = succeeds(&service, "csv_processing", json!({ "data": "name,n\na,1\nb,\nc,3\nd,4\n" })).await;
    assert_eq!((&task["result"]["rows"], &task["result"]["bad_rows"]), (&json!(4), &json!(0)), "{}", task["result"]);
    let n = &task["result"]["columns"][1];
    assert_eq!((&n["name"], &n["count"], &n["nulls"], &n["distinct"]), (&json!("n"), &json!(3), &json!(1), &json!(3)));
    assert_eq!((n["sum"].as_f64(), n["min"].as_f64(), n["max"].as_f64()), (Some(8.0), Some(1.0), Some(4.0)));
    assert!((n["std"].as_f64().unwrap() - 1.527_525_231_651_946_7).abs() < 1e-12, "the sample's: {n}");
    assert!((n["mean"].as_f64().unwrap() - 8.0 / 3.0).abs() < 1e-12);
    assert_eq!(n["quantiles"]["0.5"].as_f64(), Some(3.0));
}

async fn email_sending_keeps_each_mail(service: Service) {
    service.work();
    let task = succeeds(&service, "email_sending", json!({ "num_emails": 3, "subject": "Grüße" })).await;
    assert_eq!(task["result"]["emails_sent"], 3);
    let emails = task["result"]["emails"].as_array().unwrap();
    assert!(emails.iter().all(|mail| mail["status"] == "sent" && mail["to"].is_string()), "{emails:?}");
    let kept = artifacts(&service, &task).await;
    assert!(kept.len() == 3 && kept.iter().all(|name| name.ends_with(".eml")), "{kept:?}");
}

async fn image_processing_draws_and_resizes(service: Service) {
    service.work();
    // Whole numbers, as some programs write them.
    let params = json!({ "num_images": 2.0, "target_width": 1.2e2, "target_height": 100 });
    let task = succeeds(&service, "image_processing", params).await;
    assert_eq!(task["result"]["images_processed"], 2);
    for image in task["result"]["images"].as_array().unwrap() {
        let path =
            format!("/api/tasks/{}/artifacts/{}", task["id"].as_str().unwrap(), image["artifact"].as_str().unwrap());
        let picture = image::load_from_memory(&service.get(&path).await.body).unwrap();
        assert_eq!((picture.width(), picture.height()), (120, 100));
    }
}

async fn demo_goes_through_its_steps(service: Service) {
    service.work();
    let task = succeeds(&service, "demo", json!({ "name": "d", "duration": 1000, "steps": 4 })).await;
    assert_eq!(task["result"], json!({ "name": "d", "steps": 4, "duration": 1000 }));
    let progress = &task["progress"];
    assert_eq!((progress["percent"].as_f64(), &progress["processed"]), (Some(100.0), &json!(4)), "{progress}");
}

async fn noop_gives_its_params_back_unchanged(service: Service) {
    service.work();
    let params = r#"{"big":123456789012345678901234567890,"one":1.0,"nested":{"z":[],"a":"ü\u0001"}}"#;
    let body = format!(r#"{{"type":"noop","params":{params}}}"#);
    let json = [("content-type", "application/json")];
    let answer = service.call("POST", "/api/tasks/submit?wait=60", &json, body).await;
    let text = String::from_utf8(answer.body.to_vec()).unwrap();
    assert_eq!(answer.json["status"], "SUCCESS");
    assert!(text.contains("123456789012345678901234567890") && text.contains(r#""one":1.0"#), "{text}");
    assert_eq!(answer.json["result"], answer.json["params"]);
    assert!(
        service.get("/api/tasks/?view=full").await.body.windows(30).any(|it| it == b"123456789012345678901234567890")
    );
}

async fn examples_of_every_type_are_accepted_and_those_without_a_wait_succeed(service: Service) {
    service.work();
    let types = service.get("/api/task-types").await.ok();
    for entry in types["types"].as_array().unwrap() {
        for params in entry["examples"].as_array().unwrap() {
            let body = json!({ "type": entry["type"], "params": params });
            // An example may name a file: nobody has that one.
            if params.to_string().contains("file_id") || entry["type"] == "panics" {
                continue;
            }
            let checked = service.post("/api/tasks/submit?dry_run=true", body.clone()).await;
            assert_eq!(checked.status, 200, "{body}: {}", checked.json);
            if ["noop", "image_processing"].contains(&entry["type"].as_str().unwrap()) {
                assert_eq!(service.run(body).await["status"], "SUCCESS");
            }
        }
    }
}

async fn out_of_range_is_refused_at_submit(service: Service) {
    for (name, params, pointer) in [
        ("csv_processing", json!({ "num_rows": 99 }), "/params/num_rows"),
        ("csv_processing", json!({ "num_rows": 10001 }), "/params/num_rows"),
        ("csv_processing", json!({ "processing_time": 60.1 }), "/params/processing_time"),
        ("email_sending", json!({ "num_emails": 0 }), "/params/num_emails"),
        ("email_sending", json!({ "num_emails": 101 }), "/params/num_emails"),
        ("email_sending", json!({ "delay_per_email": 5.1 }), "/params/delay_per_email"),
        ("email_sending", json!({ "subject": "a\nBcc: x@y" }), "/params/subject"),
        ("image_processing", json!({ "num_images": 21 }), "/params/num_images"),
        ("image_processing", json!({ "target_width": 99 }), "/params/target_width"),
        ("image_processing", json!({ "target_height": 2001 }), "/params/target_height"),
        ("demo", json!({ "duration": 999 }), "/params/duration"),
        ("demo", json!({ "duration": 30001 }), "/params/duration"),
        ("demo", json!({ "steps": 3, "fail_at": 4 }), "/params/fail_at"),
        ("demo", json!({ "fail_at": 0 }), "/params/fail_at"),
        ("demo", json!({ "nope": 1 }), "/params/nope"),
    ] {
        let answer = service.post("/api/tasks/submit", json!({ "type": name, "params": params })).await;
        answer.is_problem(422, "invalid_request", &format!("{name} {params}"));
        assert_eq!(answer.pointers(), [pointer], "{}", answer.json);
    }
    assert_eq!(service.count().await, 0);
}

async fn a_word_that_is_not_among_those_allowed_is_refused_with_them(service: Service) {
    let file = uuid::Uuid::nil();
    for (member, allowed) in [("format", "png, jpeg, webp, avif"), ("fit", "fit, fill, exact, crop")] {
        let params = json!({ "file_ids": [file], member: "gif" });
        let answer = service.post("/api/tasks/submit", json!({ "type": "image_processing", "params": params })).await;
        answer.is_problem(422, "invalid_request", member);
        let expected =
            json!([{ "pointer": format!("/params/{member}"), "detail": format!("must be one of {allowed}") }]);
        assert_eq!(answer.json["errors"], expected);
    }
}

async fn a_dry_run_fills_in_the_defaults_and_adds_nothing(service: Service) {
    let body = json!({ "type": "demo", "params": { "duration": 2000 } });
    let checked = service.post("/api/tasks/submit?dry_run=true", body).await.ok();
    assert_eq!(checked["valid"], true);
    assert_eq!((&checked["params"]["duration"], &checked["params"]["steps"]), (&json!(2000), &json!(10)));
    let wrong = json!({ "type": "demo", "params": { "duration": 1 } });
    service.post("/api/tasks/submit?dry_run=true", wrong).await.is_problem(422, "invalid_request", "dry run");
    assert_eq!(service.count().await, 0);
}

async fn the_client_id_comes_from_the_body_then_the_headers_then_the_server(service: Service) {
    let headers =
        [("x-client-id", "c"), ("x-session-id", "s"), ("x-socket-id", "k"), ("content-type", "application/json")];
    let body = json!({ "type": "noop", "client_id": "b" }).to_string();
    let of_body = service.call("POST", "/api/tasks/submit", &headers, body).await;
    assert_eq!(of_body.json["client_id"], "b");
    for (sent, expected) in
        [(&headers[..], "k"), (&[headers[0], headers[1], headers[3]], "s"), (&[headers[0], headers[3]], "c")]
    {
        let answer = service.call("POST", "/api/tasks/submit", sent, r#"{"type":"noop"}"#).await;
        assert_eq!(answer.json["client_id"], expected);
    }
    let made = service.post("/api/tasks/submit", json!({ "type": "noop" })).await;
    assert!(made.json["client_id"].as_str().is_some_and(|id| !id.is_empty()));
}

async fn a_time_in_the_past_is_now_and_one_in_the_future_is_waited_for(service: Service) {
    service.work();
    let later =
        service.post("/api/tasks/submit", json!({ "type": "noop", "run_at": "2999-01-01T00:00:00Z" })).await.json;
    assert_eq!((&later["status"], &later["phase"]), (&json!("PENDING"), &json!("scheduled")));
    assert_eq!(later["run_at"], "2999-01-01T00:00:00.000Z");
    let past = service.run(json!({ "type": "noop", "run_at": "1999-12-31T23:00:00+01:00" })).await;
    assert_eq!(past["status"], "SUCCESS");
    assert_eq!(service.task(later["id"].as_str().unwrap()).await["status"], "PENDING");
}

async fn everything_that_was_submitted_is_told_again(service: Service) {
    let name = "\r\n2026-01-01 INFO admin login \u{1b}[31m 💥";
    let body = json!({ "type": "noop", "params": { "a": [null, true] }, "name": name, "queue": "<script>", "priority": -100,
        "max_attempts": 100, "timeout_seconds": 60, "tags": ["../x", "a'; drop table--", "💥"], "client_id": "me" });
    let id = service.submit(body.clone()).await;
    let task = service.task(&id).await;
    for (member, value) in body.as_object().unwrap() {
        assert_eq!(&task[member], value, "{member}");
    }
}

async fn succeeds(service: &Service, name: &str, params: Value) -> Value {
    let task = service.run(json!({ "type": name, "params": params })).await;
    assert_eq!(task["status"], "SUCCESS", "{task}");
    assert_eq!((&task["phase"], &task["attempt"], &task["error"]), (&json!("success"), &json!(1), &Value::Null));
    assert_eq!(task["links"].as_object().unwrap().len(), 1, "neither cancel nor retry");
    task
}

async fn artifacts(service: &Service, task: &Value) -> Vec<String> {
    let path = format!("/api/tasks/{}/artifacts", task["id"].as_str().unwrap());
    let listed = service.get(&path).await.ok();
    listed["artifacts"].as_array().unwrap().iter().map(|file| file["name"].as_str().unwrap().to_owned()).collect()
}
