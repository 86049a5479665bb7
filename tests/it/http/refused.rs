//! Whatever is wrong with a request: its answer, and that nothing came of it.

use super::table::{Ids, table};
use crate::support::http::{Service, node};
use crate::support::on_both_databases;
use errand::api::NodeInfo;
use errand::task::Role;
use serde_json::json;

on_both_databases!(
    Service: each_bad_request_is_refused_by_name_and_adds_nothing,
    numbers_are_kept_exactly_and_odd_words_inert,
    params_may_have_exactly_a_mebibyte,
    an_unknown_type_is_told_which_there_are,
    an_address_that_only_looks_like_ours_is_none,
    a_link_that_somebody_planted_is_no_artifact,
    a_method_that_is_not_allowed_is_told_which_are,
    no_other_method_is_smuggled_in_a_header,
    a_page_of_another_origin_changes_nothing,
    a_name_that_was_made_to_mean_this_machine_reaches_nothing,
);

async fn each_bad_request_is_refused_by_name_and_adds_nothing(service: Service) {
    let ids = Ids::of(&service).await;
    let (files, seq) = (service.files_on_disk(), newest(&service).await);
    for row in table() {
        row.send(&service, &ids).await.is_problem(row.status, row.code, &row.what);
        assert_eq!(newest(&service).await, seq, "{} changed something", row.what);
    }
    assert_eq!((service.count().await, service.files_on_disk()), (2, files));
    assert_eq!(service.get("/api/ready").await.status, 200);
}

/// The end of the change log.
async fn newest(service: &Service) -> i64 {
    service.get("/api/tasks/changes?limit=1000").await.ok()["next"].as_i64().unwrap()
}

async fn numbers_are_kept_exactly_and_odd_words_inert(service: Service) {
    let odd = r#"{"type":"noop","params":{"big":123456789012345678901234567890,"zero":-0,"long":0.1000000000000000055511151231257827},
        "tags":["../x","a'; drop table--","<script>","💥"],"queue":"a'; drop table--"}"#;
    let answer = service.call("POST", "/api/tasks/submit", &[("content-type", "application/json")], odd).await;
    assert_eq!(answer.status, 201, "{}", answer.json);
    let text = String::from_utf8(service.get(&format!("/api/tasks/{}", answer.id())).await.body.to_vec()).unwrap();
    for number in ["123456789012345678901234567890", "\"zero\":-0", "0.1000000000000000055511151231257827"] {
        assert!(text.contains(number), "{number} in {text}");
    }
    let found = service.get("/api/tasks/?queue=a%27;%20drop%20table--&tag=%3Cscript%3E").await.ok();
    assert_eq!(found["tasks"].as_array().unwrap().len(), 1);
}

async fn params_may_have_exactly_a_mebibyte(service: Service) {
    let body = |bytes: usize| format!(r#"{{"type":"noop","params":{{"a":"{}"}}}}"#, "x".repeat(bytes - 8));
    let json = [("content-type", "application/json")];
    let over = service.call("POST", "/api/tasks/submit", &json, body((1 << 20) + 1)).await;
    over.is_problem(413, "body_too_large", "one byte more");
    assert_eq!(service.count().await, 0);
    let exact = service.call("POST", "/api/tasks/submit", &json, body(1 << 20)).await;
    assert_eq!(exact.status, 201);
    service.work();
    assert_eq!(service.finished(&exact.id()).await["status"], "SUCCESS", "a result of exactly 1 MiB is kept");
}

async fn an_unknown_type_is_told_which_there_are(service: Service) {
    let answer = service.post("/api/tasks/submit", json!({ "type": "nope" })).await;
    answer.is_problem(422, "unknown_task_type", "nope");
    assert_eq!(answer.pointers(), ["/type"]);
    let text = answer.json.to_string();
    assert!(
        ["csv_processing", "email_sending", "image_processing", "demo", "noop"].iter().all(|name| text.contains(name)),
        "{text}"
    );
}

async fn an_address_that_only_looks_like_ours_is_none(service: Service) {
    for path in [
        "/nope",
        "/api",
        "/api/nope",
        "/api/v1/tasks/../admin",
        "/api/%2e%2e/x",
        "//",
        "/api//tasks",
        "/api/tasks/%00",
        "/api/tasks;x",
        "/API/tasks",
        "/static/../Cargo.toml",
        "/static/..%2f..%2fetc/passwd",
        "/static/nope.js",
        "/.env",
        "/api/tasks/a/b/c",
    ] {
        service.get(path).await.is_problem(404, "not_found", path);
    }
}

async fn a_link_that_somebody_planted_is_no_artifact(service: Service) {
    let ids = Ids::of(&service).await;
    let of_task = service.files_folder().join("artifacts").join(&ids.success);
    let of_attempt = std::fs::read_dir(&of_task).unwrap().next().unwrap().unwrap().path();
    for folder in [&of_task, &of_attempt] {
        std::os::unix::fs::symlink("/etc/passwd", folder.join("passwd")).unwrap();
    }
    let path = format!("/api/tasks/{}/artifacts/passwd", ids.success);
    service.get(&path).await.is_problem(404, "artifact_not_found", "a link");
}

async fn a_method_that_is_not_allowed_is_told_which_are(service: Service) {
    for (method, path, allowed) in [
        ("GET", "/api/tasks/cancel", "POST"),
        ("PUT", "/api/tasks/", "GET"),
        ("PATCH", "/api/tasks/x", "DELETE"),
        ("TRACE", "/api/tasks/", "GET"),
        ("FOO", "/api/tasks/submit", "POST"),
        ("DELETE", "/api/files", "POST"),
        ("POST", "/", "GET"),
        ("POST", "/health", "GET"),
        ("DELETE", "/api/openapi.json", "GET"),
        ("POST", "/api/tasks/changes", "GET"),
        ("GET", "/api/tasks/submit", "POST"),
        ("GET", "/api/tasks/batch/", "POST"),
    ] {
        let answer = service.call(method, path, &[], "").await;
        answer.is_problem(405, "method_not_allowed", &format!("{method} {path}"));
        assert!(answer.header("allow").contains(allowed), "{method} {path} allows {:?}", answer.header("allow"));
    }
}

async fn no_other_method_is_smuggled_in_a_header(service: Service) {
    let id = service.submit(json!({ "type": "noop" })).await;
    let path = format!("/api/tasks/{id}");
    let answer = service.call("GET", &path, &[("x-http-method-override", "DELETE")], "").await;
    assert_eq!((answer.status, &answer.json["status"]), (200, &json!("PENDING")));
    assert_eq!(service.task(&id).await["version"], 1);
}

async fn a_page_of_another_origin_changes_nothing(service: Service) {
    let headers =
        [("content-type", "application/json"), ("sec-fetch-site", "cross-site"), ("origin", "https://evil.example")];
    let answer = service.call("POST", "/api/tasks/submit", &headers, r#"{"type":"noop"}"#).await;
    answer.is_problem(403, "forbidden", "cross-site");
    assert_eq!(service.count().await, 0);
}

/// As any page can have it that a browser opens (DNS rebinding), while no key is needed.
async fn a_name_that_was_made_to_mean_this_machine_reaches_nothing(service: Service) {
    let origin = "http://errand.example.com".to_owned();
    let service = service.with_node(NodeInfo { allowed_origins: vec![origin], ..node() });
    let asked = async |method: &str, path: &str, host: &str| {
        let headers = [("content-type", "application/json"), ("sec-fetch-site", "same-origin")];
        service.call_at(host, method, path, &headers, r#"{"type":"noop"}"#).await
    };
    for (method, path) in
        [("GET", "/api/tasks"), ("POST", "/api/tasks/submit"), ("POST", "/api/keys"), ("GET", "/metrics")]
    {
        asked(method, path, "rebind.example:8080").await.is_problem(421, "misdirected_request", path);
    }
    assert_eq!(service.count().await, 0);
    assert_eq!(asked("GET", "/health", "rebind.example").await.status, 200, "for whoever looks after it");
    for host in ["localhost:8080", "127.0.0.1:8080", "[::1]:8080", "errand.example.com"] {
        assert_eq!(asked("POST", "/api/tasks/submit", host).await.status, 201, "{host}");
    }
    let key = service.key(Role::Admin, "ann").await;
    let headers = [("x-api-key", key.as_str())];
    assert_eq!(
        service.call_at("tasks.example.org", "GET", "/api/tasks", &headers, "").await.status,
        200,
        "with keys any"
    );
}
