//! What a person has to approve before it runs.

use crate::support::http::{Answer, Service};
use crate::support::on_both_databases;
use errand::task::Role;
use serde_json::{Value, json};

on_both_databases![Service:
    a_held_task_says_so_and_what_can_be_done_with_it,
    an_approved_task_runs_and_a_second_approval_is_refused,
    a_rejected_task_tells_the_reason_and_waits_again_when_it_is_retried,
    what_is_no_sound_approval_is_refused_and_changes_nothing,
    the_list_of_approvals_shows_each_scope_its_own_page_by_page,
    an_approver_sees_the_params_and_no_secret_among_them,
    only_an_admin_approves_and_nobody_else_learns_what_there_is,
    a_submitter_gets_around_no_approval,
    who_approved_and_who_rejected_is_written_down,
];

fn held() -> Value {
    json!({ "type": "noop", "needs_approval": true })
}

async fn approve(service: &Service, id: &str, body: Value) -> Answer {
    service.post(&format!("/api/tasks/{id}/approve"), body).await
}

async fn reject(service: &Service, id: &str, body: Value) -> Answer {
    service.post(&format!("/api/tasks/{id}/reject"), body).await
}

/// The ids of everything that waits, as this key sees it.
async fn awaiting(service: &Service, key: &str, limit: i64) -> Vec<String> {
    let (mut all, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = service.call_as(key, "GET", &format!("/api/approvals?limit={limit}{cursor}"), Value::Null).await;
        let page = page.ok();
        all.extend(page["tasks"].as_array().unwrap().iter().map(|task| task["id"].as_str().unwrap().to_owned()));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return all,
        }
    }
}

async fn a_held_task_says_so_and_what_can_be_done_with_it(service: Service) {
    service.work();
    let one = service.submit(held()).await;
    let batch = json!({ "tasks": [held(), { "type": "noop" }] });
    let batch = service.post("/api/tasks/batch", batch).await.json["tasks"].clone();
    assert_eq!([&batch[0]["phase"], &batch[1]["phase"]], ["awaiting_approval", "ready"]);
    let ended = service.finished(batch[1]["id"].as_str().unwrap()).await["id"].as_str().unwrap().to_owned();
    let cloned = service.post(&format!("/api/tasks/{ended}/clone"), json!({ "needs_approval": true })).await.json;
    let again = service.post(&format!("/api/tasks/{one}/clone"), json!({})).await.json;
    for task in [&service.task(&one).await, &batch[0], &cloned, &again] {
        let address = format!("/api/tasks/{}", task["id"].as_str().unwrap());
        assert_eq!([&task["status"], &task["phase"]], ["PENDING", "awaiting_approval"]);
        let links = ["approve", "reject"].map(|word| format!("{address}/{word}"));
        assert_eq!([&task["links"]["approve"], &task["links"]["reject"]], [&links[0], &links[1]]);
        assert!(task["run_at"].as_str() < Some("3000"), "{task}");
        let reasons = service.get(&format!("{address}/explain")).await.ok()["reasons"].clone();
        assert_eq!(reasons[0]["code"], "awaiting_approval");
        assert!(reasons[0]["help"].is_string() && reasons[1].is_null(), "{reasons}");
    }
    service.delete(&format!("/api/tasks/{one}")).await.ok();
    let cancelled = service.task(&one).await;
    assert!(cancelled["links"]["approve"].is_null() && cancelled["links"]["reject"].is_null());
}

async fn an_approved_task_runs_and_a_second_approval_is_refused(service: Service) {
    service.work();
    let id = service.submit(held()).await;
    assert_eq!(approve(&service, &id, json!({})).await.ok()["status"], "PENDING");
    assert_eq!(service.finished(&id).await["status"], "SUCCESS");
    approve(&service, &id, json!({})).await.is_problem(409, "task_not_awaiting_approval", "approved");
    reject(&service, &id, json!({})).await.is_problem(409, "task_not_awaiting_approval", "approved");
    assert_eq!(service.transitions(&id).await, ["- PENDING", "PENDING PENDING", "PENDING RUNNING", "RUNNING SUCCESS"]);
    let later = service.submit(held()).await;
    let until = "2998-01-01T00:00:00.000Z";
    let task = approve(&service, &later, json!({ "run_at": until })).await.ok();
    assert_eq!([&task["phase"], &task["run_at"]], ["scheduled", until]);
    let (one, other) = (service.submit(held()).await, json!({}));
    let both = tokio::join!(approve(&service, &one, other.clone()), approve(&service, &one, other));
    let mut both = [both.0.status, both.1.status];
    both.sort_unstable();
    assert_eq!(both, [200, 409]);
}

async fn a_rejected_task_tells_the_reason_and_waits_again_when_it_is_retried(service: Service) {
    service.work();
    for (body, told) in [(json!({ "reason": "too dear" }), "too dear"), (json!({}), "nobody said why")] {
        let id = service.submit(held()).await;
        let task = reject(&service, &id, body).await.ok();
        assert_eq!(task["status"], "CANCELLED");
        assert_eq!(task["error"], json!({ "code": "rejected", "message": told, "attempt": 0 }));
        let retried = service.post(&format!("/api/tasks/{id}/retry"), json!({})).await.ok();
        assert_eq!((&retried["phase"], &retried["error"]), (&json!("awaiting_approval"), &Value::Null));
        approve(&service, &id, json!({})).await.ok();
        assert_eq!(service.finished(&id).await["status"], "SUCCESS");
    }
}

async fn what_is_no_sound_approval_is_refused_and_changes_nothing(service: Service) {
    let id = service.submit(held()).await;
    for (word, body, pointer) in [
        ("approve", json!({ "run_at": "tomorrow" }), "/run_at"),
        ("approve", json!({ "run_at": "10000-01-01T00:00:00Z" }), "/run_at"),
        ("approve", json!({ "reason": "x" }), "/reason"),
        ("reject", json!({ "reason": "a\u{0}b" }), "/reason"),
        ("reject", json!({ "reason": "x".repeat(1_001) }), "/reason"),
        ("reject", json!({ "reason": 7 }), "/reason"),
        ("reject", json!({ "run_at": "2026-01-01T00:00:00Z" }), "/run_at"),
    ] {
        let answer = service.post(&format!("/api/tasks/{id}/{word}"), body.clone()).await;
        answer.is_problem(422, "invalid_request", &format!("{word} {body}"));
        assert_eq!(answer.pointers(), [pointer], "{word} {body}");
    }
    let submit = service.post("/api/tasks/submit", json!({ "type": "noop", "needs_approval": "yes" })).await;
    assert_eq!((submit.status, submit.pointers()), (422, vec!["/needs_approval"]));
    approve(&service, "x", json!({})).await.is_problem(404, "task_not_found", "no id");
    for query in ["limit=0", "limit=501", "sort=id", "cursor=x"] {
        let answer = service.get(&format!("/api/approvals?{query}")).await;
        assert_eq!(answer.status, 422, "{query}");
    }
    assert_eq!(service.task(&id).await["version"], 1);
    let reason = "x".repeat(1_000);
    assert_eq!(reject(&service, &id, json!({ "reason": reason })).await.ok()["error"]["message"], reason.as_str());
}

async fn the_list_of_approvals_shows_each_scope_its_own_page_by_page(service: Service) {
    let admin = service.key(Role::Admin, "root").await;
    let [alice, bob] = [service.key(Role::Submit, "alice").await, service.key(Role::Read, "bob").await];
    let bobs = service.key(Role::Submit, "bob").await;
    let (mut all, mut own) = (Vec::new(), Vec::new());
    for n in 0..7 {
        let key = if n % 3 == 0 { &bobs } else { &alice };
        // Later ones first: the order is by the time they are for.
        let body = json!({ "type": "noop", "needs_approval": true, "run_at": format!("29{}0-01-01T00:00:00Z", 9 - n) });
        let id = service.call_as(key, "POST", "/api/tasks/submit", body).await.id();
        if n % 3 == 0 {
            own.insert(0, id.clone());
        }
        all.insert(0, id);
    }
    service.call_as(&alice, "POST", "/api/tasks/submit", json!({ "type": "noop" })).await.id();
    for limit in [1, 2, 500] {
        assert_eq!(awaiting(&service, &admin, limit).await, all);
        assert_eq!(awaiting(&service, &bob, limit).await, own);
    }
    let page = service.call_as(&alice, "GET", "/api/approvals?limit=1", Value::Null).await.ok();
    let cursor = format!("/api/approvals?limit=1&cursor={}", page["next_cursor"].as_str().unwrap());
    service.call_as(&bob, "GET", &cursor, Value::Null).await.is_problem(422, "invalid_cursor", "another owner's");
}

async fn an_approver_sees_the_params_and_no_secret_among_them(service: Service) {
    let params = json!({ "token": "canary", "end": "success" });
    service.submit(json!({ "type": "tells", "needs_approval": true, "params": params })).await;
    let answer = service.get("/api/approvals").await;
    assert!(!String::from_utf8_lossy(&answer.body).contains("canary"));
    assert_eq!(answer.json["tasks"][0]["params"], json!({ "token": "[redacted]", "end": "success" }));
    let tag = answer.header("etag").to_owned();
    assert_eq!(service.call("GET", "/api/approvals", &[("if-none-match", &tag)], "").await.status, 304);
}

async fn only_an_admin_approves_and_nobody_else_learns_what_there_is(service: Service) {
    let admin = service.key(Role::Admin, "root").await;
    let bobs = service.key(Role::Submit, "bob").await;
    let id = service.call_as(&bobs, "POST", "/api/tasks/submit", held()).await.id();
    let missing = "0193c5a0-7b1e-7000-8000-0123456789ab";
    for role in [Role::Submit, Role::Read, Role::Worker] {
        let alice = service.key(role, "alice").await;
        for word in ["approve", "reject"] {
            let ask = async |id: &str| {
                let headers = [("authorization", &*format!("Bearer {alice}")), ("x-request-id", "r")];
                let answer = service.call("POST", &format!("/api/tasks/{id}/{word}"), &headers, "").await;
                (answer.status, answer.headers, answer.body)
            };
            let (foreign, none) = (ask(&id).await, ask(missing).await);
            assert_eq!((foreign.0, &foreign), (403, &none));
        }
    }
    let answer = service.call_as(&admin, "POST", &format!("/api/tasks/{missing}/approve"), Value::Null).await;
    answer.is_problem(404, "task_not_found", "missing");
    let approved = service.call_as(&admin, "POST", &format!("/api/tasks/{id}/approve"), Value::Null).await.ok();
    assert_eq!([&approved["phase"], &approved["owner"]], ["ready", "bob"]);
}

async fn a_submitter_gets_around_no_approval(service: Service) {
    service.work();
    let alice = service.key(Role::Submit, "alice").await;
    let post = async |path: &str, body: Value| service.call_as(&alice, "POST", path, body).await;
    let id = post("/api/tasks/submit", held()).await.id();
    service.call_as(&alice, "DELETE", &format!("/api/tasks/{id}"), Value::Null).await.ok();
    post(&format!("/api/tasks/{id}/retry"), json!({})).await.ok();
    post("/api/tasks/cancel", json!({ "all": true })).await.ok();
    assert_eq!(post("/api/tasks/retry", json!({ "all": true })).await.ok()["changed"], 1);
    // Another one, which needs none, runs meanwhile.
    post("/api/tasks/submit?wait=60", json!({ "type": "noop" })).await;
    let task = service.call_as(&alice, "GET", &format!("/api/tasks/{id}"), Value::Null).await.ok();
    assert_eq!((&task["phase"], &task["attempt"]), (&json!("awaiting_approval"), &json!(0)));
}

async fn who_approved_and_who_rejected_is_written_down(service: Service) {
    let admin = service.key(Role::Admin, "root").await;
    let mut expected = Vec::new();
    for (word, action) in [("approve", "task.approved"), ("reject", "task.rejected")] {
        let id = service.call_as(&admin, "POST", "/api/tasks/submit", held()).await.id();
        for outcome in ["done", "refused"] {
            service.call_as(&admin, "POST", &format!("/api/tasks/{id}/{word}"), Value::Null).await;
            expected.insert(0, json!([action, outcome, id, "root"]));
        }
    }
    assert!(service.queue.journal().settle().await);
    let path = "/api/activity?action=task.approved&action=task.rejected";
    let told = service.call_as(&admin, "GET", path, Value::Null).await.ok()["activity"].clone();
    let told = told
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| json!([entry["action"], entry["outcome"], entry["target"], entry["owner"]]));
    assert_eq!(told.collect::<Vec<_>>(), expected);
}
