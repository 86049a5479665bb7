//! The service itself: health, documents, headers, the page.

use crate::support::http::Service;
use crate::support::on_both_databases;
use flate2::read::GzDecoder;
use serde_json::{Value, json};
use std::io::Read;

on_both_databases!(
    Service: it_says_that_it_is_well,
    a_draining_node_is_not_ready_and_takes_nothing_in,
    version_publishes_the_limits,
    the_root_is_the_page_for_people_and_the_names_for_programs,
    an_unknown_address_is_the_page_for_people_and_a_problem_for_programs,
    the_page_comes_compressed_to_whoever_takes_it_so,
    task_types_tell_all_that_a_form_needs,
    the_short_form_starts_a_demo,
    stats_count_exactly,
    charts_are_bounded,
    costs_are_those_of_the_month_at_the_rates_that_are_set,
    metrics_name_no_owner_and_no_id,
    paths_answer_with_and_without_a_trailing_slash,
    every_answer_has_its_headers,
    head_is_get_without_a_body,
);

async fn it_says_that_it_is_well(service: Service) {
    for path in ["/health", "/api/health"] {
        let health = service.get(path).await.ok();
        assert_eq!((&health["status"], &health["version"]), (&json!("ok"), &json!("0.0.0-test")));
        assert_eq!(health["database"], service.queue.store().database().word());
    }
    assert_eq!(service.get("/api/ready").await.status, 200);
    assert_eq!(service.get("/api/live").await.status, 200);
}

async fn a_draining_node_is_not_ready_and_takes_nothing_in(service: Service) {
    let id = service.submit(json!({ "type": "noop" })).await;
    let waited = format!("/api/tasks/{id}?wait=60");
    let (answer, ()) = tokio::join!(service.get(&waited), async { service.stop.cancel() });
    assert_eq!(answer.ok()["status"], "PENDING", "whoever waits is answered");
    for (method, path, body) in [
        ("GET", "/api/ready", ""),
        ("POST", "/api/tasks/submit", "{}"),
        ("POST", "/api/tasks/batch", "{}"),
        ("POST", "/api/files", "x"),
    ] {
        let answer = service.call(method, path, &[("content-type", "application/json")], body).await;
        answer.is_problem(503, "draining", path);
        assert!(!answer.header("retry-after").is_empty());
    }
    assert_eq!((service.get("/api/live").await.status, service.get("/api/health").await.status), (200, 200));
}

async fn version_publishes_the_limits(service: Service) {
    let version = service.get("/api/version").await.ok();
    let limits = &version["limits"];
    let expected = json!({ "params_bytes": 1 << 20, "result_bytes": 1 << 20, "batch_rows": 10_000, "batch_bytes": 32 << 20,
        "log_line_bytes": 8 << 10, "websocket_frame_bytes": 64 << 10 });
    for (name, limit) in expected.as_object().unwrap() {
        assert_eq!(&limits[name], limit, "{name}");
    }
    assert!(version["features"].is_array());
}

async fn the_root_is_the_page_for_people_and_the_names_for_programs(service: Service) {
    let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
    for headers in [&[("accept", browser)][..], &[]] {
        let page = service.call("GET", "/", headers, "").await;
        assert_eq!((page.status, page.header("content-type")), (200, "text/html; charset=utf-8"));
        assert!(page.header("content-security-policy").contains("script-src 'self'"));
    }
    let about = service.call("GET", "/", &[("accept", "application/json")], "").await;
    assert_eq!((about.status, about.header("content-type")), (200, "application/json"));
    assert!(about.json["name"].is_string() && about.json["version"].is_string());
    for path in about.json["endpoints"].as_object().unwrap().values() {
        let status = service.get(path.as_str().unwrap()).await.status;
        assert!(
            [200, 404, 405].contains(&status) && (status != 404 || path == "/api/tasks/submit"),
            "{path}: {status}"
        );
    }
    for page in [
        "/tasks",
        "/tasks/0193c5a0-7b1e-7000-8000-0123456789ab",
        "/submit",
        "/insights",
        "/activity",
        "/notifications",
        "/settings",
        "/docs",
    ] {
        assert_eq!(service.get(page).await.header("content-type"), "text/html; charset=utf-8", "{page}");
    }
}

async fn an_unknown_address_is_the_page_for_people_and_a_problem_for_programs(service: Service) {
    let browser = &[("accept", "text/html,application/xhtml+xml,*/*;q=0.8")][..];
    let page = service.call("GET", "/no/such/screen", browser, "").await;
    assert_eq!((page.status, page.header("content-type")), (404, "text/html; charset=utf-8"));
    assert!(page.header("content-security-policy").contains("default-src 'none'"));
    for (method, path, headers) in [
        ("GET", "/no/such/screen", &[][..]),
        ("GET", "/api/nope", browser),
        ("GET", "/static/nope.js", browser),
        ("POST", "/no/such/screen", browser),
    ] {
        service.call(method, path, headers, "").await.is_problem(404, "not_found", path);
    }
}

async fn the_page_comes_compressed_to_whoever_takes_it_so(service: Service) {
    for path in ["/", "/tasks", "/static/app.js"] {
        let plain = service.get(path).await;
        assert!(plain.header("content-encoding").is_empty(), "{path}");
        for taken in ["gzip", "deflate, gzip, br", "gzip;q=0.5"] {
            let packed = service.call("GET", path, &[("accept-encoding", taken)], "").await;
            assert_eq!((packed.status, packed.header("content-encoding")), (200, "gzip"), "{path}: {taken}");
            let mut text = Vec::new();
            GzDecoder::new(&packed.body[..]).read_to_end(&mut text).unwrap();
            assert!(
                text == plain.body
                    && packed.body.len() * 2 < plain.body.len()
                    && packed.header("etag") != plain.header("etag")
            );
            assert!(packed.headers.get_all("vary").iter().any(|vary| vary == "accept-encoding"), "{path}");
            let known = [("accept-encoding", taken), ("if-none-match", packed.header("etag"))];
            assert_eq!(service.call("GET", path, &known, "").await.status, 304);
        }
        for refused in ["identity", "gzip;q=0", "br, gzip; q=0.0"] {
            let answer = service.call("GET", path, &[("accept-encoding", refused)], "").await;
            assert_eq!(
                (answer.header("etag"), answer.body.len()),
                (plain.header("etag"), plain.body.len()),
                "{refused}"
            );
        }
    }
}

async fn task_types_tell_all_that_a_form_needs(service: Service) {
    let all = service.get("/api/task-types").await.ok();
    let types = all["types"].as_array().unwrap();
    let names: Vec<_> = types.iter().map(|entry| entry["type"].as_str().unwrap()).take(5).collect();
    assert_eq!(names, ["csv_processing", "email_sending", "image_processing", "demo", "noop"]);
    for entry in types {
        for member in ["type", "description", "params_schema", "result_schema", "examples", "defaults", "builtin"] {
            assert!(entry.get(member).is_some_and(|value| !value.is_null()), "{member} of {}", entry["type"]);
        }
        assert_eq!(&service.get(&format!("/api/task-types/{}", entry["type"].as_str().unwrap())).await.ok(), entry);
    }
    service.get("/api/task-types/nope").await.is_problem(404, "task_type_not_found", "nope");
}

async fn the_short_form_starts_a_demo(service: Service) {
    let start = async |body: Value| service.post("/api/task/start", body).await;
    let answer = start(json!({ "name": "x", "duration": 2000, "clientId": "me" })).await;
    assert_eq!((answer.status, &answer.json["type"], &answer.json["client_id"]), (201, &json!("demo"), &json!("me")));
    assert_eq!((&answer.json["params"]["name"], &answer.json["params"]["duration"]), (&json!("x"), &json!(2000)));
    assert_eq!(start(json!({ "client_id": "other" })).await.json["client_id"], "other");
    let refused = start(json!({ "name": "x", "duration": 1 })).await;
    refused.is_problem(422, "invalid_request", "too short");
    assert_eq!(refused.pointers(), ["/duration"]);
    start(json!({ "nope": 1 })).await.is_problem(422, "invalid_request", "unknown member");
    let status = service.get("/api/task/status").await.ok();
    assert_eq!(
        (&status["tasks"]["PENDING"], &status["sockets"], &status["workers"]),
        (&json!(2), &json!(0), &json!(4))
    );
    assert!(status["uptime_seconds"].is_u64());
}

async fn stats_count_exactly(service: Service) {
    service.work();
    let later = json!({ "type": "noop", "run_at": "2999-01-01T00:00:00Z", "queue": "slow" });
    let ids = [service.submit(later.clone()).await, service.submit(later.clone()).await, service.submit(later).await];
    service.delete(&format!("/api/tasks/{}", ids[0])).await.ok();
    service.run(json!({ "type": "noop" })).await;
    service.run(json!({ "type": "panics" })).await;
    let stats = service.get("/api/stats").await.ok();
    let expected = json!({ "PENDING": 2, "RUNNING": 0, "SUCCESS": 1, "FAILED": 1, "CANCELLED": 1 });
    assert_eq!(stats["by_status"], expected);
    assert_eq!(
        stats["by_queue"]["slow"],
        json!({ "PENDING": 2, "RUNNING": 0, "SUCCESS": 0, "FAILED": 0, "CANCELLED": 1 })
    );
    assert_eq!((&stats["by_type"]["noop"]["SUCCESS"], &stats["by_type"]["demo"]["SUCCESS"]), (&json!(1), &json!(0)));
    for member in ["throughput", "wait_ms", "run_ms"] {
        assert!(stats[member].is_object(), "{member}");
    }
    assert!(["p50", "p95", "p99"].iter().all(|q| stats["run_ms"].get(q).is_some()));
}

async fn charts_are_bounded(service: Service) {
    for query in ["", "?window=24h", "?window=7d", "?minutes=10080"] {
        let chart = service.get(&format!("/api/stats/timeseries{query}")).await.ok();
        assert!((1..=500).contains(&chart["points"].as_array().unwrap().len()), "{query}");
    }
    for query in ["?minutes=0", "?minutes=10081", "?window=1y", "?window=1h&minutes=5", "?nope=1"] {
        service.get(&format!("/api/stats/timeseries{query}")).await.is_problem(422, "invalid_request", query);
    }
}

async fn costs_are_those_of_the_month_at_the_rates_that_are_set(service: Service) {
    service.work();
    service.run(json!({ "type": "noop" })).await;
    service.run(json!({ "type": "demo", "params": { "name": "x", "duration": 1000, "steps": 1 } })).await;
    let stopped = tokio_util::sync::CancellationToken::new();
    stopped.cancel();
    service.queue.keep_house(stopped).await;
    let costs = service.get("/api/costs").await.ok();
    let (demo, noop) = (&costs["types"]["demo"], &costs["types"]["noop"]);
    assert_eq!((&demo["rate_per_hour"], &demo["cost"]), (&json!(3600.0), &demo["run_seconds"]));
    assert!(demo["cost"].as_f64() >= Some(1.0) && costs["projected"].as_f64() >= costs["cost"].as_f64(), "{costs}");
    assert_eq!((&noop["rate_per_hour"], &noop["cost"], &costs["cost"]), (&json!(null), &json!(null), &demo["cost"]));
    assert!(costs["since"].as_str() < costs["until"].as_str());
    service.get("/api/costs?nope=1").await.is_problem(422, "invalid_request", "unknown parameter");
}

async fn metrics_name_no_owner_and_no_id(service: Service) {
    let id = service.submit(json!({ "type": "noop", "client_id": "anna" })).await;
    let metrics = service.get("/metrics").await;
    assert!(metrics.header("content-type").starts_with("text/plain"));
    let text = String::from_utf8(metrics.body.to_vec()).unwrap();
    assert!(text.contains("errand_tasks{status=\"PENDING\"} 1"), "{text}");
    assert!(!text.contains(&id) && !text.contains("anna") && !text.contains("owner"));
}

async fn paths_answer_with_and_without_a_trailing_slash(service: Service) {
    let id = service.submit(json!({ "type": "noop" })).await;
    for path in [
        "/api/tasks",
        "/api/task-types",
        "/api/stats",
        "/health",
        "/api/health",
        "/api/version",
        "/api/openapi.json",
        "/docs",
        "/metrics",
        &format!("/api/tasks/{id}"),
        &format!("/api/tasks/{id}/timeline"),
    ] {
        for path in [path.to_owned(), format!("{path}/")] {
            assert_eq!(service.get(&path).await.status, 200, "{path}");
        }
    }
    assert_eq!(service.post("/api/tasks/submit/?wait=0", json!({ "type": "noop" })).await.status, 201);
}

async fn every_answer_has_its_headers(service: Service) {
    for path in [
        "/",
        "/health",
        "/api/tasks/",
        "/api/tasks/nope",
        "/nope",
        "/static/nope.js",
        "/metrics",
        "/api/tasks/?limit=0",
    ] {
        let answer = service.get(path).await;
        for name in ["x-request-id", "cache-control", "content-type"] {
            assert!(!answer.header(name).is_empty(), "{name} of {path}");
        }
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
    }
    let long = "x".repeat(129);
    for (sent, kept) in
        [("my-request.1_A", true), ("", false), ("a b", false), ("a\"b", false), (&long, false), ("ü", false)]
    {
        let answer = service.call("GET", "/health", &[("x-request-id", sent)], "").await;
        assert_eq!(answer.headers["x-request-id"].as_bytes() == sent.as_bytes(), kept, "{sent}");
    }
}

async fn head_is_get_without_a_body(service: Service) {
    let id = service.submit(json!({ "type": "noop" })).await;
    for path in [
        "/",
        "/health",
        "/api/tasks/",
        &format!("/api/tasks/{id}"),
        "/api/tasks/nope",
        "/api/tasks/export",
        "/api/tasks/?limit=0",
        "/docs",
    ] {
        let (get, head) = (service.get(path).await, service.call("HEAD", path, &[], "").await);
        assert_eq!((head.status, head.body.len()), (get.status, 0), "{path}");
        assert_eq!(head.header("content-type"), get.header("content-type"), "{path}");
    }
}
