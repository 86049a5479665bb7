//! Notifications over HTTP: what they show, and that they are one's own.

use crate::support::http::{Answer, Service};
use crate::support::on_both_databases;
use errand::task::Role;
use serde_json::{Value, json};

on_both_databases![Service:
    an_end_is_shown_with_what_a_line_needs,
    one_reads_unreads_clears_and_mutes_and_each_answer_says_how_many_are_left,
    an_owner_sees_and_marks_its_own_and_so_does_an_admin,
    pages_follow_each_other_and_an_unchanged_one_is_304,
    a_secret_is_in_no_notification,
];

async fn listed(service: &Service, query: &str) -> Value {
    service.get(&format!("/api/notifications{query}")).await.ok()
}

async fn cancelled(service: &Service, body: Value) -> String {
    let id = service.submit(body).await;
    service.delete(&format!("/api/tasks/{id}")).await.ok();
    id
}

/// The ids of what is listed.
fn ids(list: &Value) -> Vec<String> {
    let items = list["items"].as_array().unwrap();
    items.iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect()
}

async fn an_end_is_shown_with_what_a_line_needs(service: Service) {
    service.work();
    assert_eq!(
        listed(&service, "").await,
        json!({ "items": [], "next_cursor": null, "unread": 0, "unread_more": false })
    );
    let done = service.run(json!({ "type": "noop", "name": "import" })).await;
    let failed = service
        .run(json!({ "type": "demo", "params": { "name": "x", "duration": 1000, "steps": 1, "fail_at": 1 } }))
        .await;
    let list = listed(&service, "").await;
    let of = |task: &Value, level: &str, title: &str, error: Value| {
        let at = &task["finished_at"];
        let shown = ["id", "name", "type", "queue", "status", "finished_at"].map(|name| (name, task[name].clone()));
        let mut shown: Value = shown.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        shown["error"] = error;
        json!({ "kind": "taskFinished", "level": level, "title": title, "at": at, "read": false, "task": shown })
    };
    let error = json!({ "code": failed["error"]["code"], "message": failed["error"]["message"] });
    let mut items = list["items"].as_array().unwrap().clone();
    let (ids, items): (Vec<_>, Vec<_>) = items.iter_mut().map(|item| (item["id"].take(), item.clone())).unzip();
    let mut expected =
        [of(&failed, "error", "demo has failed", error), of(&done, "success", "import has succeeded", Value::Null)];
    expected.iter_mut().for_each(|one| one["id"] = Value::Null);
    assert_eq!(items, expected);
    assert!(
        ids.iter()
            .zip([&failed, &done])
            .all(|(id, task)| { id.as_str().unwrap().ends_with(&format!("-{}", task["id"].as_str().unwrap())) })
    );
    let stopped = cancelled(&service, json!({ "type": "noop", "run_at": "2999-01-01T00:00:00Z" })).await;
    let list = listed(&service, "?limit=1").await;
    assert_eq!(list["items"][0]["task"]["id"], stopped);
    assert_eq!(
        (&list["items"][0]["level"], &list["items"][0]["title"]),
        (&json!("warning"), &json!("noop was cancelled"))
    );
    assert_eq!(list["unread"], 3);
}

async fn one_reads_unreads_clears_and_mutes_and_each_answer_says_how_many_are_left(service: Service) {
    for queue in ["a", "b", "b", "c"] {
        cancelled(&service, json!({ "type": "noop", "queue": queue })).await;
    }
    let all = ids(&listed(&service, "").await);
    let left = |answer: Answer| answer.ok()["unread"].as_i64().unwrap();
    let post = async |path: &str, body: Value| left(service.post(&format!("/api/notifications/{path}"), body).await);
    for _ in 0..2 {
        assert_eq!(post("read", json!({ "ids": [all[1]] })).await, 3);
    }
    assert_eq!(post("read", json!({ "until": all[3] })).await, 2);
    assert_eq!(ids(&listed(&service, "?unread=true").await), [&all[0], &all[2]].map(String::clone));
    assert_eq!(
        listed(&service, "").await["items"].as_array().unwrap().iter().filter(|one| one["read"] == true).count(),
        2
    );
    assert_eq!(post("read", json!({ "all": true })).await, 0);
    assert_eq!(post("unread", json!({ "ids": [all[0], all[3]] })).await, 2);
    let patch = async |body: Value| {
        let json = [("content-type", "application/json")];
        service.call("PATCH", "/api/notifications/muted", &json, body.to_string()).await.ok()["muted"].take()
    };
    let b = json!([{ "queue": "b" }]);
    assert_eq!(patch(json!({ "mute": b })).await, b);
    assert_eq!(service.get("/api/notifications/muted").await.ok()["muted"], b);
    assert_eq!(ids(&listed(&service, "").await), [&all[0], &all[3]].map(String::clone));
    assert_eq!(patch(json!({ "unmute": b, "mute": [{ "status": "FAILED" }] })).await, json!([{ "status": "FAILED" }]));
    let until = format!("/api/notifications?until={}", all[2]);
    assert_eq!(left(service.delete(&until).await), 1);
    assert_eq!(ids(&listed(&service, "").await), all[..2]);
    assert_eq!(left(service.delete("/api/notifications").await), 0);
    assert_eq!(ids(&listed(&service, "").await), [""; 0]);
    cancelled(&service, json!({ "type": "noop" })).await;
    assert_eq!(listed(&service, "").await["unread"], 1);
    assert_eq!(service.count().await, 5, "the tasks stay");
}

async fn an_owner_sees_and_marks_its_own_and_so_does_an_admin(service: Service) {
    let admin = service.key(Role::Admin, "root").await;
    let [alice, bob] = [service.key(Role::Submit, "alice").await, service.key(Role::Submit, "bob").await];
    let reader = service.key(Role::Read, "alice").await;
    let call = async |key: &str, method: &str, path: &str, body: Value| {
        service.call_as(key, method, &format!("/api/notifications{path}"), body).await
    };
    for (key, n) in [(&alice, 2), (&bob, 1)] {
        for _ in 0..n {
            let id = service.call_as(key, "POST", "/api/tasks/submit", json!({ "type": "noop" })).await.id();
            service.call_as(key, "DELETE", &format!("/api/tasks/{id}"), Value::Null).await.ok();
        }
    }
    let unread = async |key: &str| call(key, "GET", "", Value::Null).await.ok()["unread"].as_i64().unwrap();
    let counts = async || [unread(&alice).await, unread(&reader).await, unread(&bob).await, unread(&admin).await];
    assert_eq!(counts().await, [2, 2, 1, 0]);
    let page = call(&alice, "GET", "?limit=1", Value::Null).await.ok();
    let next = format!("?limit=1&cursor={}", page["next_cursor"].as_str().unwrap());
    call(&bob, "GET", &next, Value::Null).await.is_problem(422, "invalid_cursor", "another owner's");
    // Another owner's ids, and an admin's all, are nothing of hers.
    call(&bob, "POST", "/read", json!({ "ids": ids(&page) })).await.ok();
    call(&bob, "POST", "/read", json!({ "until": ids(&page)[0] })).await.ok();
    call(&admin, "DELETE", "", Value::Null).await.ok();
    call(&admin, "PATCH", "/muted", json!({ "mute": [{ "type": "noop" }] })).await.ok();
    assert_eq!(unread(&alice).await, 2);
    call(&alice, "POST", "/read", json!({ "ids": ids(&page) })).await.ok();
    assert_eq!(counts().await[..2], [1, 1], "the marks are the owner's, not the key's");
    call(&reader, "POST", "/read", json!({ "all": true })).await.is_problem(403, "forbidden", "it only reads");
}

async fn pages_follow_each_other_and_an_unchanged_one_is_304(service: Service) {
    for _ in 0..5 {
        cancelled(&service, json!({ "type": "noop" })).await;
    }
    let all = ids(&listed(&service, "").await);
    let (mut path, mut found) = ("/api/notifications?limit=2".to_owned(), Vec::new());
    loop {
        let answer = service.get(&path).await;
        let again = service.call("GET", &path, &[("if-none-match", answer.header("etag"))], "").await;
        assert_eq!((again.status, again.body.len()), (304, 0));
        let link = answer.headers.get("link").map(|link| link.to_str().unwrap().to_owned());
        let page = answer.ok();
        found.extend(ids(&page));
        cancelled(&service, json!({ "type": "noop" })).await;
        let Some(next) = page["next_cursor"].as_str() else { break };
        path = format!("/api/notifications?limit=2&cursor={next}");
        assert_eq!(link, Some(format!("<{path}>; rel=\"next\"")));
    }
    assert_eq!(found, all);
}

async fn a_secret_is_in_no_notification(service: Service) {
    service.work();
    for end in ["success", "failure", "panic"] {
        service.run(json!({ "type": "tells", "params": { "token": "canary", "end": end } })).await;
    }
    let list = listed(&service, "").await;
    assert_eq!(list["unread"], 3);
    assert!(!list.to_string().contains("canary"), "{list}");
}
