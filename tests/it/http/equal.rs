//! Both databases answer the same, to the word.

use super::table::{Ids, table};
use crate::support::http::{Answer, Service};
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_is_the_same_on_both_databases() {
    let (sqlite, postgres) = (Service::sqlite().await, Service::postgres().await);
    let (ours, theirs) = (Ids::of(&sqlite).await, Ids::of(&postgres).await);
    for row in table() {
        let (a, b) = (row.send(&sqlite, &ours).await, row.send(&postgres, &theirs).await);
        assert_eq!(plain(a), plain(b), "{}", row.what);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_accepted_is_the_same_on_both_databases() {
    let (sqlite, postgres) = (Service::sqlite().await, Service::postgres().await);
    let odd = json!({ "type": "noop", "name": "ÄÖ ı İ ß % _ \\ '", "tags": ["a,b", "\"", "{}", "ﬁ"], "queue": "Q q",
        "params": { "z": 1, "a": { "é": [1.0, -0.0, null] } }, "priority": -1, "client_id": "c", "run_at": "2999-12-31T23:59:59.999Z" });
    for path in ["/api/tasks/submit", "/api/tasks/submit?dry_run=true"] {
        let (a, b) = (sqlite.post(path, odd.clone()).await, postgres.post(path, odd.clone()).await);
        assert_eq!(plain(a), plain(b), "{path}");
    }
    let lists = [
        "",
        "q=äö",
        "q=%C3%84%C3%B6",
        "q=ss",
        "q=İ",
        "q=%25",
        "q=_%20%5C",
        "tag=a%2Cb",
        "tag=%22",
        "queue=q%20Q",
        "queue=Q%20q",
        "sort=finished_at",
        "sort=-finished_at&limit=1",
        "view=full",
        "type=NOOP",
        "client_id=C",
        "created_before=2999-01-01T00:00:00Z",
    ];
    for query in lists {
        let query = query.replace('ä', "%C3%A4").replace('ö', "%C3%B6").replace('İ', "%C4%B0");
        let path = format!("/api/tasks/?{query}");
        assert_eq!(plain(sqlite.get(&path).await), plain(postgres.get(&path).await), "{path}");
    }
    let changes = [sqlite.get("/api/tasks/changes").await, postgres.get("/api/tasks/changes").await];
    let [ours, theirs] = changes.map(|answer| plain(answer).1["changes"].clone());
    assert_eq!(ours, theirs);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_did_what_is_the_same_on_both_databases() {
    let both = [Service::sqlite().await, Service::postgres().await];
    for service in &both {
        for client in ["ÄÖ ı İ ß % _ \\ '", "C", "c"] {
            let headers = [("x-client-id", client), ("content-type", "application/json")];
            for body in [r#"{"ids":[]}"#, "{}", "{"] {
                service.call("POST", "/api/tasks/cancel", &headers, body).await;
                assert!(service.queue.journal().settle().await);
            }
        }
    }
    let queries = [
        "",
        "q=%C3%A4%C3%B6",
        "q=%C3%84%C3%96",
        "q=%C4%B0",
        "q=ss",
        "q=%25",
        "q=_%20%5C",
        "q=CANCEL%20post",
        "client_id=C",
        "outcome=refused&outcome=done",
        "category=key",
        "limit=2",
        "since=2999-01-01T00:00:00Z",
        "until=2999-01-01T00:00:00Z&owner=default",
        "owner=Default",
        "action=nope",
    ];
    for path in queries.map(|query| format!("/api/activity?{query}")) {
        let [ours, theirs] = [both[0].get(&path).await, both[1].get(&path).await].map(plain);
        assert_eq!(ours, theirs, "{path}");
    }
}

/// Status and body without what is each answer's own: ids, times, numbers of the change log.
fn plain(answer: Answer) -> (u16, Value) {
    let mut body = answer.json;
    blank(&mut body);
    (answer.status, body)
}

fn blank(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for (name, member) in members.iter_mut() {
                let own = ["id", "request_id", "self", "cancel", "retry", "at", "seq", "next", "next_cursor"]
                    .contains(&name.as_str());
                match own || (name.ends_with("_at") && name != "run_at") {
                    true => *member = json!(member.is_null()),
                    false => blank(member),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(blank),
        _ => {}
    }
}
