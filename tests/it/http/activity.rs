//! Who did what: what each request leaves, who sees it, and that nothing secret is in it.

use crate::support::http::{Answer, Service};
use crate::support::on_both_databases;
use crate::support::raw::Raw;
use errand::task::Role;
use serde_json::{Value, json};
use std::collections::HashSet;

on_both_databases![Service:
    each_change_leaves_who_did_what_to_which_and_how_it_ended,
    what_changes_nothing_leaves_nothing,
    denied_access_and_wrong_keys_stand_there_and_no_secret_does,
    whoever_hangs_up_leaves_that_it_asked,
    an_owner_sees_its_own_entries_and_no_other,
    pages_miss_nothing_and_double_nothing_while_entries_are_added,
    every_filter_finds_what_it_names,
    what_could_command_a_terminal_or_a_spreadsheet_comes_out_escaped,
];

/// A service with an admin, who made its own key.
struct Kept<'a> {
    service: &'a Service,
    admin: String,
}

impl Kept<'_> {
    async fn of(service: &Service) -> Kept<'_> {
        Kept { service, admin: service.key(Role::Admin, "root").await }
    }

    async fn call(&self, key: &str, method: &str, path: &str, body: Value) -> Answer {
        self.service.call_as(key, method, path, body).await
    }

    /// Everything this key sees with this query, once all is written, newest first.
    async fn seen(&self, key: &str, query: &str) -> Vec<Value> {
        assert!(self.service.queue.journal().settle().await);
        let answer = self.call(key, "GET", &format!("/api/activity?limit=500&{query}"), Value::Null).await.ok();
        assert_eq!(answer["next_cursor"], Value::Null);
        answer["activity"].as_array().unwrap().clone()
    }

    /// The same of the admin, oldest first, as `action outcome status count`.
    async fn told(&self) -> Vec<String> {
        let mut seen = self.seen(&self.admin, "").await;
        seen.reverse();
        seen.iter()
            .map(|entry| {
                let [action, outcome] = ["action", "outcome"].map(|name| entry[name].as_str().unwrap());
                format!("{action} {outcome} {} {}", entry["status"], entry["count"])
            })
            .collect()
    }
}

async fn each_change_leaves_who_did_what_to_which_and_how_it_ended(service: Service) {
    let kept = Kept::of(&service).await;
    let alice = service.key(Role::Submit, "alice").await;
    let as_alice = async |method: &str, path: &str, body: Value| {
        let answer = kept.call(&alice, method, path, body).await;
        assert!(service.queue.journal().settle().await);
        answer
    };
    let later = json!({ "type": "noop", "run_at": "2999-01-01T00:00:00Z" });
    let id = as_alice("POST", "/api/tasks/submit", later.clone()).await.id();
    as_alice("POST", "/api/tasks/submit", json!({ "type": "nope" })).await;
    as_alice("POST", "/api/tasks/batch", json!({ "tasks": [later, later, later] })).await;
    as_alice("DELETE", &format!("/api/tasks/{id}"), Value::Null).await;
    as_alice("POST", &format!("/api/tasks/{id}/retry"), Value::Null).await;
    as_alice("POST", &format!("/api/tasks/{id}/retry"), Value::Null).await;
    as_alice("POST", &format!("/api/tasks/{id}/clone"), Value::Null).await;
    as_alice("POST", "/api/tasks/cancel", json!({ "all": true })).await;
    let file = as_alice("POST", "/api/files?name=a.txt", json!("text")).await.json["file_id"].clone();
    as_alice("DELETE", &format!("/api/files/{}", file.as_str().unwrap()), Value::Null).await;
    as_alice("POST", "/api/keys", json!({ "role": "admin", "owner": "alice" })).await;
    let made = kept.call(&kept.admin, "POST", "/api/keys", json!({ "role": "read", "owner": "bob" })).await;
    let key = made.json["id"].as_str().unwrap().to_owned();
    kept.call(&kept.admin, "POST", &format!("/api/keys/{key}/rotate"), Value::Null).await;
    kept.call(&kept.admin, "DELETE", &format!("/api/keys/{key}"), Value::Null).await;
    let cookie = service.post("/api/session", json!({ "key": alice })).await.header("set-cookie").to_owned();
    let cookie = cookie.split(';').next().unwrap();
    service.call("DELETE", "/api/session", &[("cookie", cookie), ("sec-fetch-site", "same-origin")], "").await;
    assert!(service.queue.journal().settle().await);
    for _ in 0..3 {
        kept.call(&alice, "POST", "/api/tickets", Value::Null).await;
    }
    let expected = [
        "task.submitted done 201 1",
        "task.submitted refused 422 1",
        "task.submitted done 201 3",
        "task.cancelled done 200 1",
        "task.retried done 200 1",
        "task.retried refused 409 1",
        "task.submitted done 201 1",
        "task.cancelled done 200 5",
        "file.uploaded done 201 1",
        "file.deleted done 204 1",
        "access.denied denied 403 1",
        "key.created done 201 1",
        "key.rotated done 200 1",
        "key.revoked done 200 1",
        "session.opened done 204 1",
        "session.closed done 204 1",
        "ticket.created done 201 3",
    ];
    assert_eq!(kept.told().await, expected);
    let mut seen = kept.seen(&kept.admin, "").await;
    seen.reverse();
    let about = |entry: &Value| [&entry["owner"], &entry["target"], &entry["code"], &entry["route"]].map(Value::clone);
    let (alice, null) = (json!("alice"), Value::Null);
    assert_eq!(about(&seen[0]), [alice.clone(), json!(id), null.clone(), json!("POST /api/tasks/submit")]);
    assert_eq!(
        about(&seen[1]),
        [alice.clone(), null.clone(), json!("unknown_task_type"), json!("POST /api/tasks/submit")]
    );
    assert_eq!(about(&seen[3]), [alice.clone(), json!(id), null.clone(), json!("DELETE /api/tasks/{id}")]);
    assert_eq!(about(&seen[8])[1], file);
    assert_eq!(about(&seen[10]), [alice.clone(), null.clone(), json!("forbidden"), json!("POST /api/keys")]);
    assert_eq!(about(&seen[11]), [json!("root"), json!(key), null.clone(), json!("POST /api/keys")]);
    assert_eq!(about(&seen[14]), [alice.clone(), null, Value::Null, json!("POST /api/session")]);
    assert!(seen.iter().all(|entry| entry["key_id"].is_string() && entry["request_id"].is_string()));
}

async fn what_changes_nothing_leaves_nothing(service: Service) {
    let kept = Kept::of(&service).await;
    let submit = async |path: &str| {
        let headers = [("authorization", &*format!("Bearer {}", kept.admin)), ("idempotency-key", "k")]
            .map(|(name, value)| (name, value.to_owned()));
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let headers = [&headers[..], &[("content-type", "application/json")]].concat();
        service.call("POST", path, &headers, r#"{"type":"noop"}"#).await.status
    };
    assert_eq!(submit("/api/tasks/submit?dry_run=true").await, 200);
    let tried = kept.call(&kept.admin, "POST", "/api/tasks/submit?dry_run=true", json!({ "type": "nope" })).await;
    assert_eq!(tried.status, 422);
    assert_eq!(submit("/api/tasks/submit").await, 201);
    assert_eq!(submit("/api/tasks/submit").await, 200, "the first answer again");
    for path in ["/api/tasks", "/api/tasks/nope", "/nope", "/api/activity", "/api/health"] {
        kept.call(&kept.admin, "GET", path, Value::Null).await;
    }
    kept.call(&kept.admin, "PUT", "/api/tasks/submit", Value::Null).await;
    assert_eq!(kept.told().await, ["task.submitted done 201 1"]);
}

/// What must stand nowhere: a right key, a wrong one, one in the wrong place, a cookie, params, a file.
async fn denied_access_and_wrong_keys_stand_there_and_no_secret_does(service: Service) {
    let kept = Kept::of(&service).await;
    let (made, right) = service.keys.create(crate::promises::new_key(Role::Read, "alice")).await.unwrap();
    let id = made.id.as_str();
    let (start, last) = right.split_at(right.len() - 1);
    let wrong = format!("{start}{}", if last == "A" { "B" } else { "A" });
    let secret = &right["errand_".len() + id.len() + 1..];
    let canary = "canary-4711-in-a-payload";
    let denied = |code: &str| format!("access.denied denied {code} 1");
    let mut expected = Vec::new();
    let mut note = async |status: &str, answer: Answer| {
        assert_eq!(answer.status.to_string(), status, "{}", answer.json);
        assert!(service.queue.journal().settle().await);
        expected.push(denied(status));
    };
    note("401", service.get("/api/tasks").await).await;
    note("401", kept.call(&wrong, "GET", &format!("/api/tasks?q={canary}"), Value::Null).await).await;
    note("401", kept.call("nobody-knows-this-key", "GET", "/api/me", Value::Null).await).await;
    note("403", kept.call(&right, "DELETE", &format!("/api/tasks/{right}"), Value::Null).await).await;
    note("403", kept.call(&right, "POST", "/api/tasks/submit", json!({ "type": "noop", "name": canary })).await).await;
    let foreign = [("sec-fetch-site", "cross-site"), ("x-api-key", &*right)];
    note("403", service.call("POST", "/api/tasks/submit", &foreign, canary).await).await;
    note("401", service.call("GET", "/api/me", &[("cookie", "errand=cookie-canary-4711")], "").await).await;
    service.keys.revoke(id).await.unwrap();
    note("401", kept.call(&right, "GET", "/api/me", Value::Null).await).await;
    let answer = service.post("/api/session", json!({ "key": wrong })).await;
    assert_eq!(answer.status, 401);
    expected.push("session.refused denied 401 1".to_owned());
    let body = json!({ "type": "noop", "params": { "secret": canary } });
    assert_eq!(kept.call(&kept.admin, "POST", "/api/tasks/submit", body).await.status, 201);
    expected.push("task.submitted done 201 1".to_owned());
    assert_eq!(kept.told().await, expected);

    let mut seen = kept.seen(&kept.admin, "outcome=denied").await;
    seen.reverse();
    let shown: Vec<_> = seen.iter().map(|entry| entry["key_id"].as_str()).collect();
    let known = Some(id);
    assert_eq!(shown, [None, known, None, known, known, None, None, known, known], "whose key it says it is");
    let codes: HashSet<_> = seen.iter().map(|entry| entry["code"].as_str().unwrap()).collect();
    assert_eq!(codes, HashSet::from(["unauthenticated", "forbidden", "key_revoked"]));
    let mut raw = Raw::open(&service.url).await;
    let rows = raw.everything().await.into_iter().filter(|row| row.starts_with("activity: ")).collect::<Vec<_>>();
    assert_eq!(rows.len(), expected.len());
    let other = &wrong[wrong.len() - 20..];
    for planted in [secret, &secret[..20], other, "nobody-knows", canary, "cookie-canary", &kept.admin[24..]] {
        assert!(rows.iter().all(|row| !row.contains(planted)), "{planted} stands in {rows:?}");
    }
}

async fn whoever_hangs_up_leaves_that_it_asked(service: Service) {
    let body = json!({ "type": "noop", "run_at": "2999-01-01T00:00:00Z" });
    let there = async {
        while service.count().await == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        answer = service.post("/api/tasks/submit?wait=60", body) => panic!("{}", answer.json),
        () = there => {}
    }
    let kept = Kept::of(&service).await;
    assert_eq!(kept.told().await, ["task.submitted unanswered null 1"]);
}

async fn an_owner_sees_its_own_entries_and_no_other(service: Service) {
    let kept = Kept::of(&service).await;
    let mut keys = Vec::new();
    for owner in ["alice", "bob"] {
        let key = service.key(Role::Submit, owner).await;
        for _ in 0..2 {
            let answer = kept.call(&key, "POST", "/api/tasks/cancel", json!({ "ids": [] })).await;
            assert_eq!(answer.status, 200);
        }
        keys.push(key);
    }
    service.get("/api/tasks").await;
    service.queue.journal().happened(errand::task::Action::NodeStarted, 1, None);
    let owners = async |key: &str, query: &str| {
        let seen = kept.seen(key, query).await;
        seen.iter().map(|entry| entry["owner"].as_str().unwrap_or("-").to_owned()).collect::<Vec<_>>()
    };
    let [alice, bob] = &keys[..] else { panic!() };
    for query in ["", "category=task", "q=task", "owner=alice", "since=2000-01-01T00:00:00Z"] {
        assert_eq!(owners(alice, query).await, ["alice", "alice"], "{query}");
    }
    for query in ["owner=bob", "q=bob", "category=access", "category=node"] {
        assert_eq!(owners(alice, query).await, [""; 0], "{query}");
    }
    assert_eq!(owners(&kept.admin, "").await, ["-", "-", "bob", "bob", "alice", "alice"]);
    assert_eq!(owners(&kept.admin, "owner=bob").await, ["bob", "bob"]);
    let page = kept.call(alice, "GET", "/api/activity?limit=1", Value::Null).await.ok();
    let next = format!("/api/activity?limit=1&cursor={}", page["next_cursor"].as_str().unwrap());
    assert_eq!(kept.call(alice, "GET", &next, Value::Null).await.status, 200);
    for other in [bob, &kept.admin] {
        kept.call(other, "GET", &next, Value::Null).await.is_problem(422, "invalid_cursor", "another's");
    }
    let export = kept.call(bob, "GET", "/api/activity/export", Value::Null).await;
    let text = String::from_utf8_lossy(&export.body).into_owned();
    assert_eq!((text.lines().count(), text.contains("alice")), (2, false));
    let worker = service.key(Role::Worker, "alice").await;
    kept.call(&worker, "GET", "/api/activity", Value::Null).await.is_problem(403, "forbidden", "a worker");
}

async fn pages_miss_nothing_and_double_nothing_while_entries_are_added(service: Service) {
    let kept = Kept::of(&service).await;
    let cancel = async || {
        kept.call(&kept.admin, "POST", "/api/tasks/cancel", json!({ "ids": [] })).await;
        assert!(service.queue.journal().settle().await);
    };
    for _ in 0..20 {
        cancel().await;
    }
    let id = |entry: &Value| entry["id"].as_str().unwrap().to_owned();
    let there: Vec<String> = kept.seen(&kept.admin, "").await.iter().map(id).collect();
    let (mut paged, mut cursor) = (Vec::new(), String::new());
    loop {
        let path = format!("/api/activity?limit=3&category=task{cursor}");
        let answer = kept.call(&kept.admin, "GET", &path, Value::Null).await;
        assert_eq!(answer.header("link").is_empty(), answer.json["next_cursor"].is_null());
        paged.extend(answer.json["activity"].as_array().unwrap().iter().map(id));
        cancel().await;
        match answer.json["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(paged, there, "each once, newest first");
}

async fn every_filter_finds_what_it_names(service: Service) {
    let kept = Kept::of(&service).await;
    let key = service.key(Role::Submit, "alice").await;
    let bearer = format!("Bearer {key}");
    for (n, client) in ["c", "d"].into_iter().enumerate() {
        let headers = [("authorization", bearer.as_str()), ("x-client-id", client), ("x-request-id", ["r0", "r1"][n])];
        let headers = [&headers[..], &[("content-type", "application/json")]].concat();
        let id = service.call("POST", "/api/tasks/submit", &headers, r#"{"type":"noop"}"#).await.id();
        assert!(service.queue.journal().settle().await);
        service.call("DELETE", &format!("/api/tasks/{id}"), &headers, "").await;
        service.call("DELETE", &format!("/api/tasks/{id}/retry"), &headers, "").await;
        service.call("POST", "/api/keys", &headers, "").await;
        assert!(service.queue.journal().settle().await);
    }
    let all = kept.seen(&kept.admin, "").await;
    assert_eq!(all.len(), 6);
    let text = |entry: &Value, name: &str| entry[name].as_str().unwrap_or_default().to_owned();
    let (one, newest) = (text(&all[1], "target"), text(&all[0], "at"));
    let key_id = text(&all[0], "key_id");
    type Names<'a> = Box<dyn Fn(&Value) -> bool + 'a>;
    let asked: Vec<(String, Names)> = vec![
        ("category=task".into(), Box::new(|entry| text(entry, "category") == "task")),
        ("action=task.cancelled&action=access.denied".into(), Box::new(|e| text(e, "action") != "task.submitted")),
        ("outcome=denied".into(), Box::new(|entry| text(entry, "outcome") == "denied")),
        ("client_id=c".into(), Box::new(|entry| text(entry, "client_id") == "c")),
        ("request_id=r1".into(), Box::new(|entry| text(entry, "request_id") == "r1")),
        (format!("target={one}"), Box::new(|entry| text(entry, "target") == one)),
        (format!("key_id={key_id}"), Box::new(|_| true)),
        ("key_id=nope".into(), Box::new(|_| false)),
        (
            "q=CANCELLED%20c&client_id=c".into(),
            Box::new(|e| text(e, "action") == "task.cancelled" && text(e, "client_id") == "c"),
        ),
        (format!("since={newest}"), Box::new(|entry| text(entry, "at") >= newest)),
        (format!("until={newest}"), Box::new(|entry| text(entry, "at") < newest)),
        ("category=task&outcome=denied".into(), Box::new(|_| false)),
    ];
    for (query, names) in &asked {
        let expected: Vec<&Value> = all.iter().filter(|entry| names(entry)).collect();
        assert_eq!(kept.seen(&kept.admin, query).await.iter().collect::<Vec<_>>(), expected, "{query}");
    }
    for wrong in ["category=x", "limit=0", "limit=501", "since=x", "nope=1", "cursor=x"] {
        let answer = kept.call(&kept.admin, "GET", &format!("/api/activity?{wrong}"), Value::Null).await;
        assert_eq!(answer.status, 422, "{wrong}");
    }
}

async fn what_could_command_a_terminal_or_a_spreadsheet_comes_out_escaped(service: Service) {
    let kept = Kept::of(&service).await;
    let bearer = format!("Bearer {}", kept.admin);
    let clients = ["=1+1\t\u{202e}x", "@SUM(A1)", "-2", "a\\nb", "é"];
    for client in clients {
        let headers = [("authorization", bearer.as_str()), ("x-client-id", client)];
        service.call("DELETE", "/api/tasks/0193c5a0-7b1e-7000-8000-0123456789ab", &headers, "").await;
        assert!(service.queue.journal().settle().await);
    }
    let seen = kept.seen(&kept.admin, "category=task").await;
    let shown: Vec<_> = seen.iter().rev().map(|entry| entry["client_id"].as_str().unwrap()).collect();
    assert_eq!(shown, [r"=1+1\t\u{202e}x", "@SUM(A1)", "-2", r"a\\nb", "é"]);
    let csv = kept.call(&kept.admin, "GET", "/api/activity/export?format=csv&category=task", Value::Null).await;
    assert_eq!(csv.header("content-disposition"), "attachment; filename=\"activity.csv\"");
    let text = String::from_utf8(csv.body.to_vec()).unwrap();
    let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split(',').collect()).collect();
    let cells: Vec<_> = rows.iter().skip(1).rev().map(|row| row[9]).collect();
    assert_eq!((rows[0][9], rows[0].len()), ("client_id", 17));
    assert_eq!(cells, [r"'=1+1\t\u{202e}x", "'@SUM(A1)", "'-2", r"a\\nb", "é"]);
    let lines = kept.call(&kept.admin, "GET", "/api/activity/export?category=task", Value::Null).await;
    let text = String::from_utf8(lines.body.to_vec()).unwrap();
    assert!(text.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()) && !text.contains('\u{202e}'));
    assert_eq!(text.lines().count(), clients.len());
}
