//! What happened, and why: changes, timeline, attempts, logs, explain.

use crate::support::http::Service;
use crate::support::on_both_databases;
use serde_json::{Value, json};

on_both_databases!(
    Service: changes_tell_every_transition_in_order,
    changes_are_paged_without_gaps_and_waited_for,
    a_timeline_has_every_transition_of_the_task,
    attempts_have_a_worker_and_an_end,
    log_lines_are_paged_and_filtered,
    explain_says_why_a_task_does_not_run,
    what_is_not_there_has_no_history,
);

async fn changes_tell_every_transition_in_order(service: Service) {
    service.work();
    let id = service.run(json!({ "type": "noop", "params": { "a": 1 } })).await["id"].as_str().unwrap().to_owned();
    let page = service.get("/api/tasks/changes?after=0").await.ok();
    let changes = page["changes"].as_array().unwrap();
    let told: Vec<_> = changes.iter().map(|change| (&change["event"], &change["task"]["status"])).collect();
    let words = [("queued", "PENDING"), ("started", "RUNNING"), ("succeeded", "SUCCESS")];
    assert_eq!(
        told,
        words.map(|(event, status)| (event.into(), status.into())).each_ref().map(|(e, s): &(Value, Value)| (e, s))
    );
    assert!(changes.is_sorted_by_key(|change| change["seq"].as_i64().unwrap()));
    assert!(changes.iter().all(|change| change["task"]["id"] == id.as_str() && change["at"].is_string()));
    assert!(
        changes.iter().all(|change| change["task"].get("params").is_none() && change["task"].get("result").is_none())
    );
    assert_eq!((&page["next"], &page["has_more"]), (&changes[2]["seq"], &json!(false)));
}

async fn changes_are_paged_without_gaps_and_waited_for(service: Service) {
    let tasks = vec![json!({ "type": "noop" }); 5];
    service.post("/api/tasks/batch", json!({ "tasks": tasks })).await;
    let (mut after, mut seen) = (0, 0);
    loop {
        let page = service.get(&format!("/api/tasks/changes?limit=2&after={after}")).await.ok();
        (after, seen) = (page["next"].as_i64().unwrap(), seen + page["changes"].as_array().unwrap().len());
        if page["has_more"] == false {
            break;
        }
    }
    assert_eq!(seen, 5);
    let path = format!("/api/tasks/changes?wait=30&after={after}");
    let (page, id) = tokio::join!(service.get(&path), service.submit(json!({ "type": "noop" })));
    assert_eq!(page.ok()["changes"][0]["task"]["id"], id.as_str());
    let nothing = service.get(&format!("/api/tasks/changes?wait=1&after={}", after + 1_000_000)).await;
    assert_eq!(nothing.ok()["changes"], json!([]));
}

async fn a_timeline_has_every_transition_of_the_task(service: Service) {
    let id = service.submit(json!({ "type": "noop" })).await;
    service.call("DELETE", &format!("/api/tasks/{id}"), &[("x-client-id", "anna")], "").await.ok();
    let answer = service.get(&format!("/api/tasks/{id}/timeline")).await.ok();
    let lines = answer["timeline"].as_array().unwrap();
    for member in ["seq", "at", "from", "to", "attempt", "worker", "error", "by"] {
        assert!(lines.iter().all(|line| line.get(member).is_some()), "{member}");
    }
    assert_eq!((&lines[0]["from"], &lines[0]["to"]), (&Value::Null, &json!("PENDING")));
    assert_eq!(
        (&lines[1]["from"], &lines[1]["to"], &lines[1]["by"]),
        (&json!("PENDING"), &json!("CANCELLED"), &json!("anna"))
    );
    assert_eq!(lines.len(), 2);
}

async fn attempts_have_a_worker_and_an_end(service: Service) {
    let id = service.submit(json!({ "type": "noop" })).await;
    let path = format!("/api/tasks/{id}/attempts");
    assert_eq!(service.get(&path).await.ok(), json!({ "attempts": [] }));
    service.work();
    service.finished(&id).await;
    let attempts = service.get(&path).await.ok();
    let one = &attempts["attempts"][0];
    assert_eq!((&one["attempt"], &one["worker"], &one["outcome"]), (&json!(1), &json!("worker-1"), &json!("success")));
    assert!(one["started_at"].is_string() && one["finished_at"].is_string() && one["error"].is_null());
}

async fn log_lines_are_paged_and_filtered(service: Service) {
    service.work();
    let task = service.run(json!({ "type": "demo", "params": { "name": "d", "duration": 1000, "steps": 5 } })).await;
    let path = format!("/api/tasks/{}/logs", task["id"].as_str().unwrap());
    let all = service.get(&path).await.ok();
    let messages: Vec<_> =
        all["logs"].as_array().unwrap().iter().map(|line| line["message"].as_str().unwrap()).collect();
    assert_eq!(messages, (1..=5).map(|step| format!("d: step {step} of 5")).collect::<Vec<_>>());
    for member in ["seq", "at", "level", "message", "attempt"] {
        assert!(all["logs"][0].get(member).is_some(), "{member}");
    }
    let first = service.get(&format!("{path}?limit=2")).await.ok();
    let rest = service.get(&format!("{path}?after={}", first["next"])).await.ok();
    assert_eq!((first["logs"].as_array().unwrap().len(), rest["logs"].as_array().unwrap().len()), (2, 3));
    assert_eq!(
        (&rest["next"], service.get(&format!("{path}?after={}", rest["next"])).await.ok()["logs"].clone()),
        (&all["next"], json!([]))
    );
    for none in ["level=warn", "attempt=2"] {
        assert_eq!(service.get(&format!("{path}?{none}")).await.ok()["logs"], json!([]), "{none}");
    }
    for bad in ["level=loud", "attempt=0", "after=-1", "limit=0", "nope=1"] {
        service.get(&format!("{path}?{bad}")).await.is_problem(422, "invalid_request", bad);
    }
}

async fn explain_says_why_a_task_does_not_run(service: Service) {
    let explain = async |id: &str| service.get(&format!("/api/tasks/{id}/explain")).await.ok();
    let scheduled = explain(&service.submit(json!({ "type": "noop", "run_at": "2999-01-01T00:00:00Z" })).await).await;
    assert_eq!((&scheduled["phase"], &scheduled["reasons"][0]["code"]), (&json!("scheduled"), &json!("scheduled")));
    service.submit(json!({ "type": "noop" })).await;
    let behind = explain(&service.submit(json!({ "type": "noop" })).await).await;
    let reason = &behind["reasons"][0];
    assert_eq!(reason["code"], "tasks_ahead", "{behind}");
    assert!(reason["since"].is_string() && reason["detail"].as_str().is_some_and(|text| !text.is_empty()));
    let cancelled = service.submit(json!({ "type": "noop" })).await;
    service.delete(&format!("/api/tasks/{cancelled}")).await.ok();
    assert_eq!(explain(&cancelled).await["reasons"].as_array().unwrap().len(), 1);
}

async fn what_is_not_there_has_no_history(service: Service) {
    for id in ["0193c5a0-7b1e-7000-8000-0123456789ab", "nope"] {
        for part in ["", "/timeline", "/attempts", "/logs", "/artifacts", "/artifacts/x", "/explain"] {
            let answer = service.get(&format!("/api/tasks/{id}{part}")).await;
            answer.is_problem(404, "task_not_found", part);
        }
    }
}
