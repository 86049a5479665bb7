//! Every route, by every role and by nobody: the table of the code, walked.

use crate::promises::new_key;
use crate::support::http::{Answer, Service};
use crate::support::on_both_databases;
use axum::body::Body;
use axum::http::Request;
use errand::api::{Access, TABLE};
use errand::queue::keys::NewKey;
use errand::task::Role;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};
use tower::ServiceExt;

on_both_databases![Service:
    every_route_lets_in_whom_the_table_names_and_nobody_else,
    what_is_of_another_owner_is_answered_like_what_is_not_there,
    the_table_has_a_line_for_every_route_and_no_other,
    a_key_that_was_revoked_gets_no_answer_that_it_waited_for,
    a_key_that_was_revoked_gets_no_further_page_of_an_export,
    a_key_is_taken_from_headers_alone,
    a_key_limited_to_types_and_queues_submits_no_other,
    keys_are_made_listed_rotated_and_revoked,
    without_any_key_everybody_is_the_default_owner,
];

const MISSING: &str = "0193c5a0-7b1e-7000-8000-0123456789ab";
const OUTPUT: &str = "table.csv";

/// One owner's things: a task that waits, two that wait for an approval, one that is finished, an upload.
struct Things {
    pending: String,
    held: [String; 2],
    success: String,
    file: String,
}

impl Things {
    async fn of(service: &Service, key: &str) -> Things {
        let later = json!({ "type": "noop", "run_at": "2999-01-01T00:00:00Z" });
        let table = json!({ "type": "csv_processing", "params": { "num_rows": 100 } });
        let pending = service.call_as(key, "POST", "/api/tasks/submit", later).await.id();
        let held = async || {
            let held = json!({ "type": "noop", "needs_approval": true });
            service.call_as(key, "POST", "/api/tasks/submit", held).await.id()
        };
        let held = [held().await, held().await];
        let success = service.call_as(key, "POST", "/api/tasks/submit?wait=60", table).await;
        assert_eq!(success.json["status"], "SUCCESS", "{}", success.json);
        let headers = [("authorization", &*format!("Bearer {key}")), ("content-type", "text/csv")];
        let file = service.call("POST", "/api/files?name=a.csv", &headers, "a,b\n1,2\n").await;
        let file = file.json["file_id"].as_str().unwrap().to_owned();
        Things { pending, held, success: success.id(), file }
    }

    fn none() -> Things {
        Things {
            pending: MISSING.to_owned(),
            held: [MISSING, MISSING].map(str::to_owned),
            success: MISSING.to_owned(),
            file: MISSING.to_owned(),
        }
    }

    /// The address of a route where it is about one of these.
    fn address(&self, path: &str) -> String {
        let id = match path {
            path if path.contains("/files/") => &self.file,
            path if path.contains("/artifacts") => &self.success,
            path if path.ends_with("/approve") => &self.held[0],
            path if path.ends_with("/reject") => &self.held[1],
            _ => &self.pending,
        };
        path.replace("{id}", id).replace("{name}", OUTPUT).replace("{type}", "noop")
    }
}

/// The routes that not everybody may call.
fn guarded() -> impl Iterator<Item = (&'static str, &'static str, &'static [Role])> {
    TABLE.iter().filter_map(|(method, path, access)| match access {
        Access::Only(roles) => Some((*method, *path, *roles)),
        Access::Open => None,
    })
}

/// What makes the call a good one.
fn body(method: &str, path: &str) -> Value {
    match (method, path) {
        ("POST", "/api/tasks/submit") => json!({ "type": "noop" }),
        ("POST", "/api/tasks/batch") => json!({ "tasks": [{ "type": "noop" }] }),
        ("POST", "/api/tasks/cancel" | "/api/tasks/retry") => json!({ "ids": [] }),
        ("POST", "/api/keys") => json!({ "role": "read", "owner": "x" }),
        ("POST", "/api/files") => json!("text"),
        ("POST", "/api/task/start") | ("PATCH", "/api/notifications/muted") => json!({}),
        ("POST", "/api/notifications/read") => json!({ "all": true }),
        ("POST", "/api/notifications/unread") => json!({ "ids": [] }),
        _ => Value::Null,
    }
}

/// A key with a wrong letter at its end.
pub fn slip(key: &str) -> String {
    let (start, last) = key.split_at(key.len() - 1);
    format!("{start}{}", if last == "A" { "B" } else { "A" })
}

async fn every_route_lets_in_whom_the_table_names_and_nobody_else(service: Service) {
    service.work();
    let mut keys = Vec::new();
    for (_, role) in Role::ALL {
        keys.push((role, service.key(role, "alice").await));
    }
    let soon = service.queue.clock().now().plus(200);
    let expired =
        service.keys.create(NewKey { expires_at: Some(soon), ..new_key(Role::Admin, "alice") }).await.unwrap().1;
    let (revoked_key, revoked) = service.keys.create(new_key(Role::Admin, "alice")).await.unwrap();
    service.keys.revoke(&revoked_key.id).await.unwrap();
    let begun = Instant::now();
    while service.keys.caller_of(&expired).await.is_ok() {
        assert!(begun.elapsed() < Duration::from_secs(5), "it does not expire");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let own = Things::of(&service, &keys[Role::Submit as usize].1).await;
    let wrong = slip(&revoked);
    for (method, path, roles) in guarded() {
        let what = format!("{method} {path}");
        let address = own.address(path);
        let nobody = service.call(method, &address, &[], "").await;
        nobody.is_problem(401, "unauthenticated", &what);
        assert_eq!(nobody.header("www-authenticate"), "Bearer", "{what}");
        for (key, code) in [(&wrong, "unauthenticated"), (&expired, "key_expired"), (&revoked, "key_revoked")] {
            let answer = service.call_as(key, method, &address, body(method, path)).await;
            answer.is_problem(401, code, &what);
            assert_eq!(answer.header("www-authenticate"), "Bearer", "{what}");
        }
        // Refused for the role before anything is looked for.
        for (role, key) in keys.iter().filter(|(role, _)| !roles.contains(role)) {
            for address in [&address, &Things::none().address(path)] {
                let answer = service.call_as(key, method, address, Value::Null).await;
                answer.is_problem(403, "forbidden", &format!("{what} by {}", role.word()));
            }
        }
    }
    // And whoever is named gets what the route is for: each with things of its own to change.
    for (role, key) in &keys {
        let maker = if matches!(role, Role::Admin) { key } else { &keys[Role::Submit as usize].1 };
        let own = Things::of(&service, maker).await;
        let made = service.keys.create(new_key(Role::Read, "x")).await.unwrap().0.id;
        // Rotated before it is revoked, retried once it is cancelled.
        let order = |method: &str| (method == "DELETE") as u8;
        let mut routes: Vec<_> = guarded().filter(|(_, _, roles)| roles.contains(role)).collect();
        routes.sort_by_key(
            |(method, path, _)| if path.starts_with("/api/keys") || path.contains("files") { order(method) } else { 0 },
        );
        for (method, path, _) in routes {
            let address = if path.starts_with("/api/keys/") { path.replace("{id}", &made) } else { own.address(path) };
            let answer = service.call_as(key, method, &address, body(method, path)).await;
            assert!(answer.status < 300, "{method} {path} by {}: {} {}", role.word(), answer.status, answer.json);
        }
    }
    for (method, path, access) in TABLE {
        if *access == Access::Open && *method == "GET" {
            let answer = service
                .get(&path.replace("{*path}", "app.js").replace("{*chapter}", "x").replace("{id}", MISSING))
                .await;
            // A socket is no plain GET.
            let expected = if path.starts_with("/ws") { 400 } else { 200 };
            assert_eq!(answer.status, expected, "{path}");
        }
    }
}

async fn what_is_of_another_owner_is_answered_like_what_is_not_there(service: Service) {
    service.work();
    let bob = Things::of(&service, &service.key(Role::Submit, "bob").await).await;
    let admin = service.key(Role::Admin, "root").await;
    for role in [Role::Submit, Role::Read] {
        let alice = service.key(role, "alice").await;
        for (method, path, _) in guarded().filter(|(_, path, roles)| path.contains("{id}") && roles.contains(&role)) {
            for (name, value) in [("x-a", "1"), ("if-none-match", "*"), ("range", "bytes=0-1"), ("accept", "text/csv")]
            {
                let ask = async |things: &Things, query: &str| {
                    let key = format!("Bearer {alice}");
                    let headers = [("authorization", key.as_str()), ("x-request-id", "r"), (name, value)];
                    let answer = service.call(method, &format!("{}{query}", things.address(path)), &headers, "").await;
                    (answer.status, answer.headers, answer.body)
                };
                for query in ["", "?wait=1", "?wait=1&wait_for=change"] {
                    let (foreign, missing) = (ask(&bob, query).await, ask(&Things::none(), query).await);
                    assert_eq!(foreign, missing, "{method} {path}{query} with {name}");
                    assert!(
                        (400..500).contains(&foreign.0) && (!query.is_empty() || name == "accept" || foreign.0 == 404)
                    );
                }
            }
        }
    }
    // Nothing came of it, and an admin sees all of it.
    let task = service.call_as(&admin, "GET", &format!("/api/tasks/{}", bob.pending), Value::Null).await.ok();
    assert_eq!((task["status"].as_str(), task["version"].as_i64()), (Some("PENDING"), Some(1)));
    assert_eq!(service.call_as(&admin, "GET", &format!("/api/files/{}", bob.file), Value::Null).await.status, 200);
}

/// What the document says there is, and the page's own addresses.
async fn the_table_has_a_line_for_every_route_and_no_other(service: Service) {
    let document = service.get("/api/openapi.json").await.ok();
    let mut told = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        let path = if path == "/api/tasks/" { "/api/tasks" } else { path };
        told.extend(item.as_object().unwrap().keys().map(|method| format!("{} {path}", method.to_uppercase())));
    }
    let lines = TABLE.iter().map(|(method, path, _)| format!("{method} {path}"));
    let lines: BTreeSet<String> = lines
        .filter(|line| line.contains("/api/") || line.contains("/health") || line.ends_with(" /metrics"))
        .collect();
    told.insert("GET /api/openapi.json".to_owned());
    assert_eq!(lines, told);
    let once: BTreeSet<_> = TABLE.iter().map(|(method, path, _)| (method, path)).collect();
    assert_eq!(once.len(), TABLE.len(), "no route has two lines");
    // What no line names is let to nobody.
    let put = service.call("PUT", "/api/tasks/submit", &[], "").await;
    put.is_problem(405, "method_not_allowed", "PUT");
    assert_eq!(put.header("allow"), "POST");
    assert_eq!(service.call("POST", "/api/tasks", &[], "").await.header("allow"), "GET,HEAD");
}

async fn a_key_that_was_revoked_gets_no_answer_that_it_waited_for(service: Service) {
    let (made, key) = service.keys.create(new_key(Role::Submit, "alice")).await.unwrap();
    let body = json!({ "type": "noop", "run_at": "2999-01-01T00:00:00Z" });
    let path = format!("/api/tasks/{}?wait=2", service.call_as(&key, "POST", "/api/tasks/submit", body).await.id());
    assert_eq!(service.call_as(&key, "GET", &path, Value::Null).await.status, 200);
    let waits = service.call_as(&key, "GET", &path, Value::Null);
    let (answer, revoked) = tokio::join!(biased; waits, service.keys.revoke(&made.id));
    revoked.unwrap();
    answer.is_problem(401, "key_revoked", "it waited");
}

async fn a_key_that_was_revoked_gets_no_further_page_of_an_export(service: Service) {
    let (made, key) = service.keys.create(new_key(Role::Submit, "alice")).await.unwrap();
    let tasks: Vec<Value> = (0..2_000).map(|_| json!({ "type": "noop", "run_at": "2999-01-01T00:00:00Z" })).collect();
    let batch = service.call_as(&key, "POST", "/api/tasks/batch", json!({ "tasks": tasks })).await;
    assert_eq!(batch.status, 201, "{}", batch.json);
    let export = async || {
        let request = Request::get("/api/tasks/export").header("authorization", format!("Bearer {key}"));
        service.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap().into_body()
    };
    let whole = export().await.collect().await.unwrap().to_bytes();
    assert_eq!(whole.iter().filter(|byte| **byte == b'\n').count(), 2_000);
    let mut body = export().await;
    let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
    assert!(first.len() < whole.len(), "it comes in pages");
    service.keys.revoke(&made.id).await.unwrap();
    assert!(body.collect().await.is_err(), "it breaks off");
}

async fn a_key_is_taken_from_headers_alone(service: Service) {
    let key = service.key(Role::Read, "alice").await;
    let me = async |headers: &[(&'static str, &str)]| service.call("GET", "/api/me", headers, "").await.status;
    let bearer = format!("Bearer {key}");
    assert_eq!(me(&[("authorization", &bearer)]).await, 200);
    assert_eq!(me(&[("authorization", &format!("bearer {key}"))]).await, 200);
    assert_eq!(me(&[("x-api-key", &key)]).await, 200);
    assert_eq!(me(&[("x-api-key", &key), ("authorization", "Basic YTpi")]).await, 200);
    for wrong in
        ["Bearer", "Bearer ", "Bearer ä", "Bearer x y", &format!("Bearer {bearer}"), &format!("Basic {key}"), &key]
    {
        assert_eq!(me(&[("authorization", wrong)]).await, 401, "{wrong}");
    }
    assert_eq!(me(&[("authorization", &format!("Bearer {}", "x".repeat(1 << 20)))]).await, 431);
    assert_eq!(me(&[("authorization", "Bearer x"), ("x-api-key", &key)]).await, 401, "a wrong one is not passed over");
    for path in ["/api/me", "/api/tasks"] {
        let answer = service.get(&format!("{path}?api_key={key}&key={key}")).await;
        answer.is_problem(401, "unauthenticated", path);
        assert!(!String::from_utf8_lossy(&answer.body).contains(&key));
    }
}

async fn a_key_limited_to_types_and_queues_submits_no_other(service: Service) {
    let list = |words: &[&str]| Some(words.iter().map(|word| (*word).to_owned()).collect());
    let limited = NewKey { types: list(&["noop"]), queues: list(&["q", "r"]), ..new_key(Role::Submit, "alice") };
    let key = service.keys.create(limited).await.unwrap().1;
    let submit = async |path: &str, body: Value| service.call_as(&key, "POST", path, body).await;
    let good = submit("/api/tasks/submit", json!({ "type": "noop", "queue": "r" })).await;
    assert_eq!(good.status, 201, "{}", good.json);
    let id = good.id();
    let refused = [
        ("/api/tasks/submit", json!({ "type": "demo", "queue": "q" }), "type_not_allowed"),
        ("/api/tasks/submit?dry_run=true", json!({ "type": "nope", "queue": "q" }), "type_not_allowed"),
        ("/api/tasks/submit", json!({ "type": "noop" }), "queue_not_allowed"),
        (
            "/api/tasks/batch",
            json!({ "tasks": [{ "type": "noop", "queue": "q" }, { "type": "demo", "queue": "q" }] }),
            "type_not_allowed",
        ),
        ("/api/task/start", json!({}), "type_not_allowed"),
        (&format!("/api/tasks/{id}/clone"), json!({ "queue": "s" }), "queue_not_allowed"),
        (&format!("/api/tasks/{id}/clone"), json!({ "type": "demo" }), "type_not_allowed"),
    ];
    for (path, body, code) in refused {
        submit(path, body).await.is_problem(403, code, path);
    }
    assert_eq!(submit(&format!("/api/tasks/{id}/clone"), json!({})).await.status, 201);
    let listed = service.call_as(&key, "GET", "/api/tasks", Value::Null).await.ok();
    assert_eq!(listed["tasks"].as_array().unwrap().len(), 2, "nothing came of what was refused");
}

async fn keys_are_made_listed_rotated_and_revoked(service: Service) {
    // The first one needs none.
    let first = service.post("/api/keys", json!({ "role": "admin", "owner": "root", "name": "first" })).await;
    assert_eq!(first.status, 201, "{}", first.json);
    let admin = text(&first);
    service.post("/api/keys", json!({ "role": "admin", "owner": "root" })).await.is_problem(
        401,
        "unauthenticated",
        "the second",
    );
    let call = async |method: &str, path: &str, body: Value| service.call_as(&admin, method, path, body).await;
    let wrong = call("POST", "/api/keys", json!({ "role": "root", "expires_at": "2001-01-01T00:00:00Z" })).await;
    wrong.is_problem(422, "invalid_request", "a bad key");
    assert_eq!(wrong.pointers(), ["/role", "/owner", "/expires_at"]);
    let made = call(
        "POST",
        "/api/keys",
        json!({ "role": "read", "owner": "a", "types": ["noop"], "expires_at": "2999-01-01T00:00:00Z" }),
    )
    .await;
    let (old, id) = (text(&made), made.json["id"].as_str().unwrap().to_owned());
    let me = async |key: &str| service.call_as(key, "GET", "/api/me", Value::Null).await;
    let about = me(&old).await.ok();
    assert_eq!(
        (&about["owner"], &about["role"], &about["key_id"], &about["types"]),
        (&json!("a"), &json!("read"), &json!(id), &json!(["noop"]))
    );
    let rotated = call("POST", &format!("/api/keys/{id}/rotate"), Value::Null).await;
    let new = text(&rotated);
    assert_eq!((rotated.status, me(&old).await.status, me(&new).await.status), (200, 401, 200));
    let listed = call("GET", "/api/keys", Value::Null).await;
    assert!([&old, &new, &admin].iter().all(|key| !String::from_utf8_lossy(&listed.body).contains(key.as_str())));
    assert_eq!(listed.json["keys"].as_array().unwrap().len(), 2);
    let revoked = call("DELETE", &format!("/api/keys/{id}"), Value::Null).await.ok();
    assert!(revoked["revoked_at"].is_string() && revoked.get("key").is_none());
    me(&new).await.is_problem(401, "key_revoked", "revoked");
    for (method, path) in [("POST", format!("/api/keys/{id}/rotate")), ("DELETE", "/api/keys/nope".to_owned())] {
        call(method, &path, Value::Null).await.is_problem(404, "key_not_found", &path);
    }
}

fn text(answer: &Answer) -> String {
    answer.json["key"].as_str().unwrap_or_else(|| panic!("{}", answer.json)).to_owned()
}

async fn without_any_key_everybody_is_the_default_owner(service: Service) {
    let me = service.get("/api/me").await.ok();
    assert_eq!((&me["owner"], &me["role"], &me["key_id"]), (&json!("default"), &json!("admin"), &Value::Null));
    // Whatever comes with a request.
    for headers in [[("authorization", "Bearer x")], [("x-api-key", "x")], [("cookie", "errand=x")]] {
        assert_eq!(service.call("GET", "/api/tasks", &headers, "").await.status, 200, "{headers:?}");
    }
}
