//! Secret params: the handler gets them, and no answer has them.

use crate::support::http::{Answer, Service};
use crate::support::on_both_databases;
use serde_json::{Value, json};

on_both_databases![Service:
    a_secret_param_shows_nowhere_and_its_handler_gets_it,
    a_clone_has_the_secret_again_and_a_clone_of_another_type_has_not,
    what_is_shown_of_a_secret_is_no_secret,
    a_type_says_which_of_its_params_are_secret,
];

const TOKEN: &str = "canary \"7f3a\"";
const SHOWN: &str = "[redacted]";

fn tells(end: &str) -> Value {
    json!({ "type": "tells", "params": { "token": TOKEN, "end": end } })
}

/// Every address that says something about these tasks.
fn addresses(ids: &[String]) -> Vec<String> {
    let of_one = ["", "/timeline", "/attempts", "/logs", "/explain", "/artifacts"];
    let all = ["?view=full&limit=500", "/export?format=csv", "/export?format=ndjson", "/changes?after=0"];
    let one = ids.iter().flat_map(|id| of_one.map(|what| format!("/api/tasks/{id}{what}")));
    one.chain(all.map(|what| format!("/api/tasks{what}"))).collect()
}

#[track_caller]
fn keeps(answer: &Answer, what: &str) {
    let text = String::from_utf8_lossy(&answer.body);
    assert!(!text.contains("canary") && !text.contains("7f3a"), "{what}: {text}");
}

async fn a_secret_param_shows_nowhere_and_its_handler_gets_it(service: Service) {
    let key = [("content-type", "application/json"), ("idempotency-key", "k")];
    let dry = service.post("/api/tasks/submit?dry_run=true", tells("success")).await;
    keeps(&dry, "a dry run");
    assert_eq!(dry.json["params"], json!({ "token": SHOWN, "end": "success" }));
    let mut ids = Vec::new();
    for end in ["success", "failure", "panic"] {
        let answer = service.post("/api/tasks/submit", tells(end)).await;
        keeps(&answer, end);
        assert_eq!(answer.json["params"], json!({ "token": SHOWN, "end": end }));
        ids.push(answer.id());
    }
    let batch = json!({ "tasks": [tells("success")] }).to_string();
    let keyed: Vec<Answer> = vec![
        service.call("POST", "/api/tasks/batch", &key, batch.clone()).await,
        service.call("POST", "/api/tasks/batch", &key, batch).await,
    ];
    assert_eq!(keyed[0].body, keyed[1].body);
    keyed.iter().for_each(|answer| keeps(answer, "a batch"));
    let bad = service.post("/api/tasks/submit", json!({ "type": "tells", "params": { "token": [TOKEN] } })).await;
    bad.is_problem(422, "invalid_request", "a list");
    keeps(&bad, "an error");
    service.work();
    for id in &ids {
        service.finished(id).await;
    }
    for address in addresses(&ids) {
        let answer = service.get(&address).await;
        assert_eq!(answer.status, 200, "{address}");
        keeps(&answer, &address);
    }
    let done = service.task(&ids[0]).await;
    assert_eq!(done["result"], json!({ "length": TOKEN.len(), "token": SHOWN, SHOWN: [SHOWN] }));
    let said = service.get(&format!("/api/tasks/{}/logs", ids[0])).await.ok();
    assert_eq!(said["logs"][0]["message"], "the token is [redacted]", "{said}");
    let errors = [service.task(&ids[1]).await, service.task(&ids[2]).await];
    assert_eq!(errors[0]["error"]["message"], "[redacted] was refused");
    assert_eq!(errors[1]["error"]["message"], "the handler panicked: [redacted] is no number");
    let retried = service.post(&format!("/api/tasks/{}/retry", ids[1]), Value::Null).await;
    keeps(&retried, "a retry");
    let cancelled = service
        .submit(json!({ "type": "tells", "params": { "token": TOKEN }, "run_at": "2999-01-01T00:00:00Z" }))
        .await;
    keeps(&service.delete(&format!("/api/tasks/{cancelled}")).await, "a cancel");
}

async fn a_clone_has_the_secret_again_and_a_clone_of_another_type_has_not(service: Service) {
    service.work();
    let id = service.run(tells("success")).await["id"].as_str().unwrap().to_owned();
    let length = |task: &Value| task["result"]["length"].clone();
    let edited = json!({ "params": { "token": SHOWN, "end": "success" } });
    for body in [json!({}), edited, json!({ "type": "tells" })] {
        let clone = service.post(&format!("/api/tasks/{id}/clone"), body.clone()).await;
        assert_eq!(clone.status, 201, "{body}: {}", clone.json);
        keeps(&clone, "a clone");
        assert_eq!(length(&service.finished(&clone.id()).await), TOKEN.len(), "{body}");
    }
    let anew = json!({ "params": { "token": "another one" } });
    let clone = service.post(&format!("/api/tasks/{id}/clone"), anew).await.id();
    assert_eq!(length(&service.finished(&clone).await), 11);
    // Its result is its params.
    let clone = service.post(&format!("/api/tasks/{id}/clone"), json!({ "type": "noop" })).await.id();
    let told = service.finished(&clone).await;
    assert_eq!((&told["params"]["token"], &told["result"]["token"]), (&json!(SHOWN), &json!(SHOWN)));
}

async fn what_is_shown_of_a_secret_is_no_secret(service: Service) {
    let shown = json!({ "type": "tells", "params": { "token": SHOWN } });
    for (path, body, pointer) in [
        ("/api/tasks/submit", shown.clone(), "/params/token"),
        ("/api/tasks/batch", json!({ "tasks": [shown] }), "/tasks/0/params/token"),
    ] {
        let answer = service.post(path, body).await;
        answer.is_problem(422, "invalid_request", path);
        assert_eq!(answer.pointers(), [pointer]);
    }
    assert_eq!(service.count().await, 0);
}

async fn a_type_says_which_of_its_params_are_secret(service: Service) {
    let types = service.get("/api/task-types").await.ok();
    let of =
        |name: &str| types["types"].as_array().unwrap().iter().find(|entry| entry["type"] == name).unwrap().clone();
    assert_eq!(of("tells")["redact"], json!(["token"]));
    assert_eq!(of("noop")["redact"], json!([]));
}
