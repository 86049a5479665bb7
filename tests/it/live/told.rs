//! Who is told what.

use super::Live;
use crate::support::bed::noop_of;
use crate::support::on_both_databases;
use crate::support::web_socket::WebSocket;
use errand::task::Draft;
use serde_json::{Value, json};

on_both_databases![
    Live: a_socket_is_told_the_life_of_its_own_tasks_and_nothing_of_others,
    with_scope_owner_a_socket_is_told_all_of_its_owner_and_nothing_of_another,
    a_subscription_takes_the_place_of_the_one_before,
    progress_is_told_with_the_task,
    a_task_is_looked_at_cancelled_and_retried_over_a_socket,
];

/// What is told up to the end of this task, as `type event client`.
async fn told_until(socket: &mut WebSocket, last: &str) -> Vec<String> {
    let mut told = Vec::new();
    loop {
        let frame = socket.said().await;
        let word = |value: &Value| value.as_str().unwrap().to_owned();
        told.push(format!("{} {} {}", word(&frame["type"]), word(&frame["event"]), word(&frame["task"]["client_id"])));
        if frame["type"] == "taskFinished" && frame["task"]["id"] == last {
            return told;
        }
    }
}

const LIFE: [&str; 3] = ["taskQueued queued", "taskProgress started", "taskFinished succeeded"];

fn life_of(client: &str) -> Vec<String> {
    LIFE.iter().map(|word| format!("{word} {client}")).collect()
}

/// A task of another owner, past the API, which has one only.
async fn foreign(live: &Live, client: &str) {
    let draft = Draft { client_id: client.to_owned(), ..noop_of("another") };
    let prepared = live.service.queue.prepare(vec![draft]).await.unwrap();
    live.service.queue.submit(prepared, None).await.unwrap();
}

async fn a_socket_is_told_the_life_of_its_own_tasks_and_nothing_of_others(live: Live) {
    live.service.work();
    let (mut socket, id) = live.connected("/ws").await;
    for _ in 0..3 {
        live.submit("somebody").await;
        foreign(&live, &id).await;
    }
    let by_header = live
        .service
        .call(
            "POST",
            "/api/tasks/submit",
            &[("content-type", "application/json"), ("x-socket-id", &id)],
            r#"{"type":"noop"}"#,
        )
        .await;
    assert_eq!(told_until(&mut socket, &by_header.id()).await, life_of(&id));
}

async fn with_scope_owner_a_socket_is_told_all_of_its_owner_and_nothing_of_another(live: Live) {
    live.service.work();
    let (mut socket, _) = live.connected("/ws?scope=owner").await;
    for client in ["a", "b"] {
        foreign(&live, client).await;
        let id = live.submit(client).await;
        assert_eq!(told_until(&mut socket, &id).await, life_of(client));
    }
}

async fn a_subscription_takes_the_place_of_the_one_before(live: Live) {
    live.service.work();
    let (mut socket, _) = live.connected("/ws?client_id=first").await;
    let id = live.submit("first").await;
    assert_eq!(told_until(&mut socket, &id).await, life_of("first"));
    socket.ask(json!({ "type": "subscribe", "id": 1, "client_id": "second" })).await;
    let ack = socket.said().await;
    assert_eq!((&ack["type"], &ack["id"], &ack["topics"]), (&json!("ack"), &json!(1), &json!(["tasks"])));
    live.submit("first").await;
    let id = live.submit("second").await;
    assert_eq!(told_until(&mut socket, &id).await, life_of("second"));
    let failed = json!({ "type": "subscribe", "id": "f", "client_id": "second", "filter": { "status": "FAILED", "tag": "red" } });
    socket.ask(failed).await;
    assert_eq!(socket.said().await["id"], "f");
    live.submit("second").await;
    let fails = json!({ "name": "x", "duration": 1000, "steps": 1, "fail_at": 1 });
    let red = |tags: &[&str]| json!({ "type": "demo", "client_id": "second", "tags": tags, "params": fails });
    live.service.submit(red(&[])).await;
    let id = live.service.submit(red(&["red"])).await;
    assert_eq!(told_until(&mut socket, &id).await, ["taskFinished failed second"]);
    socket.ask(json!({ "type": "unsubscribe", "topics": ["tasks"] })).await;
    assert_eq!(socket.said().await["topics"], json!([]));
    live.service.finished(&live.submit("second").await).await;
    socket.text("ping").await;
    assert_eq!(socket.said().await, json!({ "type": "pong" }), "nothing was told in between");
}

async fn progress_is_told_with_the_task(live: Live) {
    live.service.work();
    let (mut socket, _) = live.connected("/ws?client_id=me").await;
    let params = json!({ "name": "x", "duration": 2000, "steps": 20 });
    live.service.submit(json!({ "type": "demo", "client_id": "me", "params": params })).await;
    let (mut percents, mut frames) = (Vec::new(), Vec::new());
    loop {
        let frame = socket.said().await;
        if frame["event"] == "progress" {
            assert_eq!((&frame["type"], &frame["task"]["status"]), (&json!("taskProgress"), &json!("RUNNING")));
            percents.push(frame["task"]["progress"]["percent"].as_f64().unwrap());
        }
        frames.push(frame);
        if frames.last().unwrap()["type"] == "taskFinished" {
            break;
        }
    }
    assert!((2..=10).contains(&percents.len()) && percents.is_sorted(), "{percents:?}");
    assert!(frames.is_sorted_by_key(|frame| frame["seq"].as_i64().unwrap()));
    assert_eq!(frames.last().unwrap()["task"]["progress"]["percent"], 100.0);
}

async fn a_task_is_looked_at_cancelled_and_retried_over_a_socket(live: Live) {
    let (mut socket, _) = live.connected("/ws").await;
    let id = live.submit("somebody").await;
    let seen = live.service.task(&id).await;
    for (kind, status) in [("status", "PENDING"), ("cancel", "CANCELLED"), ("retry", "PENDING"), ("status", "PENDING")]
    {
        socket.ask(json!({ "type": kind, "id": kind, "task_id": id })).await;
        let ack = socket.said().await;
        assert_eq!((&ack["type"], &ack["id"]), (&json!("ack"), &json!(kind)), "{ack}");
        assert_eq!((&ack["task"]["id"], &ack["task"]["status"]), (&seen["id"], &json!(status)), "{ack}");
    }
    socket.ask(json!({ "type": "retry", "id": 7, "task_id": id })).await;
    let refused = socket.said().await;
    assert_eq!((&refused["type"], &refused["id"]), (&json!("error"), &json!(7)));
    assert_eq!((&refused["code"], &refused["status"]), (&json!("task_not_retryable"), &json!(409)));
    foreign(&live, "somebody").await;
    let theirs = live.service.queue.store().changes(&errand::task::Scope::Everyone, 0, 1000).await.unwrap();
    let theirs = theirs.last().unwrap().task.id.to_string();
    let mut answers = Vec::new();
    for task in [theirs.as_str(), "0193c5a0-7b1e-7000-8000-0123456789ab", "7"] {
        for kind in ["status", "cancel", "retry"] {
            socket.ask(json!({ "type": kind, "id": 1, "task_id": task })).await;
            answers.push(socket.said().await);
        }
    }
    assert_eq!(answers[0]["code"], "task_not_found");
    assert!(answers.iter().all(|answer| *answer == answers[0]), "what is another's is as if it were not there");
}

#[tokio::test]
async fn a_topic_of_which_nothing_is_told_is_refused() {
    let live = Live::sqlite().await;
    let (mut socket, _) = live.connected("/ws").await;
    socket.ask(json!({ "type": "subscribe", "id": 1, "topics": ["tasks", "nothing"] })).await;
    let refused = socket.said().await;
    assert_eq!(
        (&refused["type"], &refused["errors"][0]["pointer"]),
        (&json!("error"), &json!("/topics/1")),
        "{refused}"
    );
}

#[tokio::test]
async fn a_ping_is_answered_however_it_comes() {
    let live = Live::sqlite().await;
    let (mut socket, _) = live.connected("/ws/").await;
    socket.text("ping").await;
    assert_eq!(socket.said().await, json!({ "type": "pong" }));
    socket.ask(json!({ "type": "ping", "id": "a" })).await;
    assert_eq!(socket.said().await, json!({ "type": "pong", "id": "a" }));
    socket.frame(0x89, b"beat").await;
    assert_eq!(socket.next().await, crate::support::web_socket::Came::Pong(b"beat".to_vec()));
}

#[tokio::test]
async fn the_first_frame_says_who_and_where_one_is() {
    let live = Live::sqlite().await;
    live.submit("x").await;
    let mut socket = live.open("/ws").await;
    let first = socket.said().await;
    assert_eq!((&first["type"], &first["owner"], &first["seq"]), (&json!("connection"), &json!("default"), &json!(1)));
    assert!(first["server_time"].as_str().unwrap().ends_with('Z'), "{first}");
    let _other = live.connected("/ws").await;
    assert_eq!(live.sockets().await, 2);
}
