//! The list: filters, orders, pages.

use crate::support::http::Service;
use crate::support::on_both_databases;
use serde_json::{Value, json};
use std::collections::HashSet;
use std::time::{Duration, Instant};

on_both_databases!(
    Service: an_empty_list_is_a_list,
    the_list_is_newest_first_without_params_and_result,
    each_filter_finds_what_it_names,
    each_order_is_what_it_says,
    a_cursor_shows_each_row_once_while_others_come_and_go,
    a_cursor_is_good_for_its_own_query_only,
    a_list_the_caller_has_is_not_sent_again,
    wildcards_in_a_search_are_only_letters,
    a_search_through_twenty_thousand_tasks_takes_a_fifth_of_a_second_at_most,
    a_search_looks_at_what_is_said_not_at_how_it_is_kept,
);

async fn an_empty_list_is_a_list(service: Service) {
    for path in ["/api/tasks/", "/api/tasks", "/api/tasks/?status=FAILED&view=full"] {
        assert_eq!(service.get(path).await.ok(), json!({ "tasks": [], "next_cursor": null }), "{path}");
    }
}

async fn the_list_is_newest_first_without_params_and_result(service: Service) {
    let mut ids = many(&service, 3).await;
    ids.reverse();
    let answer = service.get("/api/tasks/").await.ok();
    assert_eq!(ids_of(&answer), ids);
    let row = answer["tasks"][0].as_object().unwrap();
    assert!(!row.contains_key("params") && !row.contains_key("result"), "{row:?}");
    let full = service.get("/api/tasks/?view=full").await.ok();
    assert_eq!((&full["tasks"][0]["params"], &full["tasks"][0]["result"]), (&json!({ "n": 2 }), &Value::Null));
}

async fn each_filter_finds_what_it_names(service: Service) {
    let special = json!({ "type": "demo", "queue": "slow", "tags": ["blue", "a,b"], "client_id": "c-1", "name": "Rechnung 100%",
        "params": { "fail_at": 1 }, "run_at": "2999-01-01T00:00:00Z" });
    let id = service.submit(special).await;
    let other = service.submit(json!({ "type": "noop" })).await;
    service.delete(&format!("/api/tasks/{other}")).await.ok();
    let created = service.task(&id).await["created_at"].as_str().unwrap().to_owned();
    for query in [
        "status=PENDING",
        "status=PENDING&status=RUNNING",
        "type=demo",
        "queue=slow",
        "tag=blue",
        "tag=a%2Cb",
        "client_id=c-1",
        "q=rechnung",
        "q=100%25",
        "q=blue+rechn",
        "status=PENDING&type=demo&owner=default",
        &format!("q={id}"),
        &format!("created_after={created}&status=PENDING"),
        &format!("created_after={created}&type=demo&limit=500"),
    ] {
        assert_eq!(ids_of(&service.get(&format!("/api/tasks/?{query}")).await.ok()), [id.as_str()], "{query}");
    }
    for query in [
        "status=RUNNING",
        "type=nope",
        "queue=s",
        "tag=blu",
        "owner=other",
        "q=rechnung+red",
        "created_before=2001-01-01T00:00:00Z",
        "created_after=2998-01-01T00:00:00Z",
        &format!("created_before={created}"),
    ] {
        assert_eq!(ids_of(&service.get(&format!("/api/tasks/?{query}")).await.ok()), [""; 0], "{query}");
    }
    assert_eq!(ids_of(&service.get("/api/tasks/?type=demo&type=noop").await.ok()), [other, id]);
}

async fn each_order_is_what_it_says(service: Service) {
    service.work();
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(service.run(json!({ "type": "noop" })).await["id"].as_str().unwrap().to_owned());
    }
    let never = service.submit(json!({ "type": "noop", "run_at": "2999-01-01T00:00:00Z" })).await;
    let [a, b, c] = [0, 1, 2].map(|n| ids[n].as_str());
    let never = never.as_str();
    for (sort, expected) in [
        ("-created_at", [never, c, b, a]),
        ("created_at", [a, b, c, never]),
        ("-finished_at", [c, b, a, never]),
        ("finished_at", [a, b, c, never]),
    ] {
        assert_eq!(ids_of(&service.get(&format!("/api/tasks/?sort={sort}")).await.ok()), expected, "{sort}");
        assert_eq!(all_pages(&service, &format!("sort={sort}&limit=1")).await, expected, "{sort} page by page");
    }
}

async fn a_cursor_shows_each_row_once_while_others_come_and_go(service: Service) {
    let mut there = many(&service, 10).await;
    there.reverse();
    let (mut shown, mut path) = (Vec::new(), "/api/tasks/?limit=3&type=noop".to_owned());
    loop {
        let answer = service.get(&path).await;
        shown.extend(ids_of(&answer.json).into_iter().map(str::to_owned));
        let link = answer.header("link").to_owned();
        let Some(cursor) = answer.json["next_cursor"].as_str() else { break assert_eq!(link, "") };
        path = format!("/api/tasks/?limit=3&type=noop&cursor={cursor}");
        assert_eq!(link, format!("<{path}>; rel=\"next\""));
        many(&service, 2).await;
    }
    assert_eq!(shown, there);
}

async fn a_cursor_is_good_for_its_own_query_only(service: Service) {
    many(&service, 3).await;
    let first = service.get("/api/tasks/?limit=1").await.ok();
    let cursor = first["next_cursor"].as_str().unwrap();
    for query in ["status=PENDING", "sort=created_at", "q=x", "type=noop"] {
        let path = format!("/api/tasks/?{query}&cursor={cursor}");
        service.get(&path).await.is_problem(422, "invalid_cursor", query);
    }
    let (half, turned) = (&cursor[..cursor.len() / 2], cursor.chars().rev().collect::<String>());
    for bad in ["x", "e30", half, turned.as_str()] {
        service.get(&format!("/api/tasks/?cursor={bad}")).await.is_problem(422, "invalid_cursor", bad);
    }
    assert_eq!(
        service.get(&format!("/api/tasks/?limit=2&cursor={cursor}")).await.ok()["tasks"].as_array().unwrap().len(),
        2
    );
}

async fn a_list_the_caller_has_is_not_sent_again(service: Service) {
    many(&service, 2).await;
    for path in ["/api/tasks/", "/api/tasks/?sort=-finished_at&limit=1", "/api/task-types", "/api/openapi.json"] {
        let tag = service.get(path).await.header("etag").to_owned();
        let again = service.call("GET", path, &[("if-none-match", &tag)], "").await;
        assert_eq!((again.status, again.body.len(), again.header("etag")), (304, 0, tag.as_str()), "{path}");
        assert!(!again.header("x-request-id").is_empty() && !again.header("cache-control").is_empty(), "{path}");
    }
    let tag = service.get("/api/tasks/").await.header("etag").to_owned();
    many(&service, 1).await;
    assert_eq!(service.call("GET", "/api/tasks/", &[("if-none-match", &tag)], "").await.status, 200);
}

async fn wildcards_in_a_search_are_only_letters(service: Service) {
    let of = async |name: &str| {
        service.submit(json!({ "type": "noop", "name": name, "run_at": "2999-01-01T00:00:00Z" })).await
    };
    let (percent, underline, backslash) = (of("50% off").await, of("snake_case").await, of("C:\\temp").await);
    for (q, id) in [("%25", percent), ("_", underline), ("%5C", backslash)] {
        assert_eq!(ids_of(&service.get(&format!("/api/tasks/?q={q}")).await.ok()), [id], "{q}");
    }
    for q in [".*", "50%25%25off", "%5B"] {
        assert_eq!(ids_of(&service.get(&format!("/api/tasks/?q={q}")).await.ok()), [""; 0], "{q}");
    }
}

async fn a_search_through_twenty_thousand_tasks_takes_a_fifth_of_a_second_at_most(service: Service) {
    let name = |n: usize| format!("report {n}: 50% of C:\\temp\\{}", "x".repeat(60));
    for batch in 0..2 {
        let task = |n: usize| json!({ "type": "noop", "name": name(batch * 10_000 + n), "tags": ["a_b", "c"] });
        let tasks: Vec<Value> = (0..10_000).map(task).collect();
        assert_eq!(service.post("/api/tasks/batch", json!({ "tasks": tasks })).await.status, 201);
    }
    let words = "a%20".repeat(60);
    for q in ["%25", "_", "%5C", "nowhere", ".*", "%28a%2B%29%2B%24", "report%2019999", words.as_str()] {
        let path = format!("/api/tasks/?q={q}");
        let mut best = Duration::MAX;
        for _ in 0..5 {
            let begun = Instant::now();
            service.get(&path).await.ok();
            best = best.min(begun.elapsed());
        }
        assert!(best < Duration::from_millis(200), "{q}: {best:?}");
    }
    // Longer than that is refused.
    service.get(&format!("/api/tasks/?q={}", "x".repeat(7_000))).await.is_problem(422, "invalid_filter", "7 KB");
}

async fn a_search_looks_at_what_is_said_not_at_how_it_is_kept(service: Service) {
    service.work();
    let failed = service.run(json!({ "type": "panics", "tags": ["say \"hi\"", "b"] })).await;
    for q in ["panicked", "a+bug", "say", "%22hi%22", "B"] {
        let found = service.get(&format!("/api/tasks/?q={q}")).await.ok();
        assert_eq!(ids_of(&found), [failed["id"].as_str().unwrap()], "{q}");
    }
    for q in ["message", "attempt", "%7B", "%5B%22", "%2C", "null", "%5C"] {
        assert_eq!(ids_of(&service.get(&format!("/api/tasks/?q={q}")).await.ok()), [""; 0], "{q}");
    }
}

/// Submits so many in one batch.
async fn many(service: &Service, n: usize) -> Vec<String> {
    let tasks: Vec<Value> = (0..n).map(|n| json!({ "type": "noop", "params": { "n": n } })).collect();
    let answer = service.post("/api/tasks/batch", json!({ "tasks": tasks })).await;
    assert_eq!(answer.status, 201);
    ids_of(&answer.json).into_iter().map(str::to_owned).collect()
}

fn ids_of(list: &Value) -> Vec<&str> {
    list["tasks"].as_array().unwrap().iter().map(|task| task["id"].as_str().unwrap()).collect()
}

async fn all_pages(service: &Service, query: &str) -> Vec<String> {
    let (mut shown, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = service.get(&format!("/api/tasks/?{query}{cursor}")).await.ok();
        shown.extend(ids_of(&page).into_iter().map(str::to_owned));
        let Some(next) = page["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(shown.iter().collect::<HashSet<_>>().len(), shown.len());
    shown
}
