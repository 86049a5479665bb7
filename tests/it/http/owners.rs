//! What one owner learns of another, by any way in: nothing.

use crate::support::http::{Answer, Service};
use crate::support::on_both_databases;
use errand::task::Role;
use serde_json::{Value, json};

on_both_databases![Service:
    lists_counts_and_changes_show_ones_own,
    an_admin_has_the_numbers_of_one_owner_and_others_only_their_own,
    a_cursor_of_another_owner_is_none,
    a_link_is_there_for_who_may_use_it,
    what_is_unchanged_for_one_is_not_what_another_has,
    an_idempotency_key_of_another_owner_is_another_key,
    a_file_of_another_owner_is_no_input,
    a_bulk_action_matches_ones_own,
    no_body_says_whose_a_task_is,
    how_many_of_anothers_tasks_go_first_is_not_told,
];

/// Two owners; what they may do is the same.
struct Two<'a> {
    service: &'a Service,
    alice: String,
    bob: String,
}

impl Two<'_> {
    async fn of(service: &Service) -> Two<'_> {
        Two { service, alice: service.key(Role::Submit, "alice").await, bob: service.key(Role::Submit, "bob").await }
    }

    async fn get(&self, key: &str, path: &str) -> Answer {
        self.service.call_as(key, "GET", path, Value::Null).await
    }

    async fn post(&self, key: &str, path: &str, body: Value) -> Answer {
        self.service.call_as(key, "POST", path, body).await
    }

    async fn submit(&self, key: &str) -> String {
        self.post(key, "/api/tasks/submit", json!({ "type": "noop", "client_id": "c", "name": "n", "tags": ["t"] }))
            .await
            .id()
    }
}

async fn lists_counts_and_changes_show_ones_own(service: Service) {
    let two = Two::of(&service).await;
    let (alices, bobs) = (two.submit(&two.alice).await, two.submit(&two.bob).await);
    two.submit(&two.bob).await;
    let shows = async |key: &str, path: &str| {
        let text = String::from_utf8_lossy(&two.get(key, path).await.body).into_owned();
        (text.contains(&alices), text.contains(&bobs))
    };
    for query in
        ["", "?client_id=c", "?tag=t", "?q=n", "?sort=created_at", "?status=PENDING", "?view=full", "?type=noop"]
    {
        for path in ["/api/tasks", "/api/tasks/export"]
            .into_iter()
            .filter(|path| !path.ends_with("export") || !query.contains("view"))
        {
            assert_eq!(shows(&two.alice, &format!("{path}{query}")).await, (true, false), "{path}{query}");
        }
    }
    assert_eq!(shows(&two.alice, "/api/tasks?owner=bob").await, (false, false));
    assert_eq!(shows(&two.alice, "/api/tasks/changes").await, (true, false));
    let admin = service.key(Role::Admin, "alice").await;
    assert_eq!(shows(&admin, "/api/tasks").await, (true, true));
    assert_eq!(shows(&admin, "/api/tasks?owner=bob").await, (false, true));
    for (path, pointer) in [("/api/stats", "/by_status/PENDING"), ("/api/task/status", "/tasks/PENDING")] {
        let count = async |key: &str| two.get(key, path).await.ok().pointer(pointer).unwrap().as_i64();
        assert_eq!((count(&two.alice).await, count(&two.bob).await, count(&admin).await), (Some(1), Some(2), Some(3)));
    }
}

async fn an_admin_has_the_numbers_of_one_owner_and_others_only_their_own(service: Service) {
    let two = Two::of(&service).await;
    two.submit(&two.alice).await;
    for _ in 0..2 {
        two.submit(&two.bob).await;
    }
    let held = json!({ "type": "noop", "params": {}, "queue": "bobs", "needs_approval": true });
    two.post(&two.bob, "/api/tasks/submit", held).await.id();
    let admin = service.key(Role::Admin, "ops").await;
    for (key, query, pending, chart, queues, approvals) in [
        (&admin, "", 4, 4, json!(["bobs", "default"]), 1),
        (&admin, "?owner=bob", 3, 3, json!(["bobs", "default"]), 1),
        (&admin, "?owner=alice", 1, 1, json!(["default"]), 0),
        (&admin, "?owner=nobody", 0, 0, json!([]), 0),
        (&two.alice, "?owner=alice", 1, 1, json!(["default"]), 0),
        (&two.alice, "?owner=bob", 0, 0, json!([]), 0),
    ] {
        let get = async |path: &str| two.get(key, &format!("{path}{query}")).await.ok();
        assert_eq!(get("/api/stats").await["by_status"]["PENDING"], pending, "{query}");
        let points = get("/api/stats/timeseries").await["points"].take();
        let submitted: i64 = points.as_array().unwrap().iter().filter_map(|point| point["submitted"].as_i64()).sum();
        assert_eq!(submitted, chart, "{query}");
        let told = get("/api/queues").await["queues"].take();
        let names: Vec<_> = told.as_array().unwrap().iter().map(|one| one["queue"].clone()).collect();
        assert_eq!(json!(names), queues, "{query}");
        assert!(
            told.as_array().unwrap().iter().all(|one| one["oldest_ready_at"].is_null() == (one["queue"] == "bobs"))
        );
        assert_eq!(get("/api/approvals").await["tasks"].as_array().unwrap().len(), approvals, "{query}");
        get("/api/costs").await;
    }
    for path in ["/api/stats", "/api/stats/timeseries", "/api/queues", "/api/costs", "/api/approvals"] {
        assert_eq!(two.get(&admin, &format!("{path}?owner=")).await.status, 422, "{path}");
    }
}

async fn a_cursor_of_another_owner_is_none(service: Service) {
    let two = Two::of(&service).await;
    for _ in 0..2 {
        two.submit(&two.alice).await;
        two.submit(&two.bob).await;
    }
    let page = two.get(&two.alice, "/api/tasks?limit=1").await.ok();
    let cursor = page["next_cursor"].as_str().unwrap();
    let next = format!("/api/tasks?limit=1&cursor={cursor}");
    assert_eq!(two.get(&two.alice, &next).await.status, 200);
    two.get(&two.bob, &next).await.is_problem(422, "invalid_cursor", "another owner's");
    two.get(&service.key(Role::Admin, "alice").await, &next).await.is_problem(
        422,
        "invalid_cursor",
        "an admin's list is another",
    );
}

/// The memory of what callers have is each owner's own.
async fn a_link_is_there_for_who_may_use_it(service: Service) {
    let held = json!({ "type": "noop", "needs_approval": true });
    let submit = service.key(Role::Submit, "anna").await;
    let [admin, read] = [service.key(Role::Admin, "anna").await, service.key(Role::Read, "anna").await];
    let ended = service.call_as(&submit, "POST", "/api/tasks/submit", held.clone()).await.id();
    service.call_as(&submit, "DELETE", &format!("/api/tasks/{ended}"), Value::Null).await.ok();
    let waits = service.call_as(&submit, "POST", "/api/tasks/submit", held).await.id();
    let may = |task: &Value| ["cancel", "retry", "approve", "reject"].map(|word| task["links"][word].is_string());
    for (key, of_waiting, of_ended) in [
        (&read, [false; 4], [false; 4]),
        (&submit, [true, false, false, false], [false, true, false, false]),
        (&admin, [true, false, true, true], [false, true, false, false]),
    ] {
        let list = service.call_as(key, "GET", "/api/tasks?sort=-created_at", Value::Null).await.ok().clone();
        assert_eq!([&list["tasks"][0], &list["tasks"][1]].map(may), [of_waiting, of_ended], "{list}");
        for (id, links) in [(&waits, of_waiting), (&ended, of_ended)] {
            let task = service.call_as(key, "GET", &format!("/api/tasks/{id}"), Value::Null).await.ok().clone();
            assert_eq!(may(&task), links, "{task}");
        }
    }
}

async fn what_is_unchanged_for_one_is_not_what_another_has(service: Service) {
    let two = Two::of(&service).await;
    two.submit(&two.alice).await;
    let ask = async |key: &str, path: &str, tag: &str| {
        let bearer = format!("Bearer {key}");
        service.call("GET", path, &[("authorization", &bearer), ("if-none-match", tag)], "").await
    };
    let id = two.submit(&two.alice).await;
    for path in ["/api/tasks", &format!("/api/tasks/{id}")] {
        let tag = two.get(&two.alice, path).await.header("etag").to_owned();
        // Compared with what was read, then with what is remembered.
        assert_eq!(
            [ask(&two.alice, path, &tag).await.status, ask(&two.alice, path, &tag).await.status],
            [304; 2],
            "{path}"
        );
        let other = ask(&two.bob, path, &tag).await;
        assert!(matches!(other.status, 200 | 404), "{path}: {}", other.status);
        assert!(!String::from_utf8_lossy(&other.body).contains(&id));
    }
}

async fn an_idempotency_key_of_another_owner_is_another_key(service: Service) {
    let two = Two::of(&service).await;
    let submit = async |key: &str, body: &str| {
        let bearer = format!("Bearer {key}");
        let headers =
            [("authorization", bearer.as_str()), ("idempotency-key", "k"), ("content-type", "application/json")];
        service.call("POST", "/api/tasks/submit", &headers, body.to_owned()).await
    };
    let alices = submit(&two.alice, r#"{"type":"noop"}"#).await;
    let bobs = submit(&two.bob, r#"{"type":"demo"}"#).await;
    assert_eq!((alices.status, bobs.status), (201, 201));
    let again = submit(&two.bob, r#"{"type":"demo"}"#).await;
    assert_eq!((again.status, again.id()), (200, bobs.id()));
}

async fn a_file_of_another_owner_is_no_input(service: Service) {
    let two = Two::of(&service).await;
    let file = two.post(&two.bob, "/api/files?name=a.csv", json!("a,b")).await.json["file_id"].clone();
    let refusal = async |file: &Value| {
        let body = json!({ "type": "csv_processing", "params": { "file_id": file } });
        let mut answers = Vec::new();
        for path in ["/api/tasks/submit", "/api/tasks/submit?dry_run=true"] {
            let answer = two.post(&two.alice, path, body.clone()).await;
            assert_eq!((answer.status, answer.pointers()), (422, vec!["/params/file_id"]));
            answers.push(answer.json["errors"].clone());
        }
        answers
    };
    assert_eq!(refusal(&file).await, refusal(&json!("0193c5a0-7b1e-7000-8000-0123456789ab")).await);
    // An admin's task has an admin's files: it runs as its owner, who may not read this one.
    let admin = service.key(Role::Admin, "root").await;
    let body = json!({ "type": "csv_processing", "params": { "file_id": file } });
    assert_eq!(two.post(&admin, "/api/tasks/submit", body).await.status, 422);
}

async fn a_bulk_action_matches_ones_own(service: Service) {
    let two = Two::of(&service).await;
    let (alices, bobs) = (two.submit(&two.alice).await, two.submit(&two.bob).await);
    let cancel = async |body: Value| two.post(&two.alice, "/api/tasks/cancel", body).await.ok();
    let none = json!({ "matched": 0, "changed": 0 });
    assert_eq!(cancel(json!({ "ids": [bobs] })).await, none);
    assert_eq!(cancel(json!({ "owner": "bob" })).await, none);
    assert_eq!(cancel(json!({ "client_id": "c", "ids": [bobs, alices] })).await, json!({ "matched": 1, "changed": 1 }));
    assert_eq!(cancel(json!({ "all": true })).await, json!({ "matched": 1, "changed": 0 }));
    assert_eq!(two.get(&two.bob, &format!("/api/tasks/{bobs}")).await.ok()["status"], "PENDING");
}

async fn how_many_of_anothers_tasks_go_first_is_not_told(service: Service) {
    let two = Two::of(&service).await;
    for key in [&two.bob, &two.bob, &two.alice] {
        two.submit(key).await;
    }
    let last = two.submit(&two.alice).await;
    let explain = async |key: &str| {
        let reasons = two.get(key, &format!("/api/tasks/{last}/explain")).await.ok();
        reasons["reasons"][0]["detail"].as_str().unwrap().to_owned()
    };
    assert!(explain(&two.alice).await.starts_with("1 tasks go first"));
    assert!(explain(&service.key(Role::Admin, "root").await).await.starts_with("3 tasks go first"));
}

async fn no_body_says_whose_a_task_is(service: Service) {
    let two = Two::of(&service).await;
    let answer = two.post(&two.alice, "/api/tasks/submit", json!({ "type": "noop", "owner": "bob" })).await;
    assert_eq!((answer.status, answer.pointers()), (422, vec!["/owner"]));
    let id = two.submit(&two.alice).await;
    assert_eq!(two.get(&two.alice, &format!("/api/tasks/{id}")).await.ok()["owner"], "alice");
}
