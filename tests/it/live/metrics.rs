//! How node and tasks are doing, once a second while somebody listens and not otherwise.

use super::{Live, listening};
use crate::support::http::{Service, node};
use crate::support::on_both_databases;
use crate::support::web_socket::WebSocket;
use errand::api::Api;
use errand::task::Role;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

on_both_databases![
    Live: who_listens_is_told_how_node_and_tasks_are_doing,
    throughput_and_who_works_and_submits_are_told,
    while_nobody_listens_nothing_is_measured,
    an_owner_is_told_the_numbers_of_its_own_tasks_and_of_the_node,
    who_submits_is_told_to_admins_and_nothing_of_it_to_others,
    a_socket_takes_metrics_in_and_leaves_them,
    for_who_wants_no_tasks_the_change_log_is_not_read,
];

/// The next frame of the topic.
async fn measured(socket: &mut WebSocket) -> Value {
    loop {
        let frame = socket.said().await;
        if frame["type"] == "metrics" {
            return frame;
        }
    }
}

/// The first frame of which this holds.
async fn until(socket: &mut WebSocket, holds: impl Fn(&Value) -> bool) -> Value {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let frame = measured(socket).await;
        if holds(&frame) {
            return frame;
        }
        assert!(Instant::now() < deadline, "{frame}");
    }
}

async fn who_listens_is_told_how_node_and_tasks_are_doing(live: Live) {
    live.submit("me").await;
    let (mut socket, _) = live.connected("/ws/metrics").await;
    let first = socket.said().await;
    assert_eq!((&first["type"], &first["tasks"]["per_second"]), (&json!("metrics"), &json!(null)), "{first}");
    let stats = live.service.get("/api/stats").await.ok();
    for member in ["by_status", "by_type", "by_queue"] {
        assert_eq!(first["tasks"][member], stats[member], "{member}");
    }
    for member in ["wait_ms", "run_ms"] {
        assert!(first["tasks"][member].get("p95").is_some(), "{member}");
    }
    let second = socket.said().await;
    let of_node = &second["node"];
    assert_eq!((&of_node["workers"], &of_node["busy"], &of_node["sockets"]), (&json!(4), &json!(0), &json!(1)));
    assert_eq!((&of_node["id"], &of_node["version"]), (&json!(live.service.queue.node()), &json!("0.0.0-test")));
    for member in ["uptime_seconds", "cores", "cpu_percent", "disk_free_bytes", "disk_total_bytes"] {
        assert!(of_node[member].is_number(), "{member}: {of_node}");
    }
    #[cfg(target_os = "linux")]
    for member in ["machine_cpu_percent", "rss_bytes", "memory_total_bytes", "received_bytes_per_second"] {
        assert!(of_node[member].is_number(), "{member}: {of_node}");
    }
    let costs = live.service.get("/api/costs").await.ok();
    assert_eq!(second["tasks"]["costs"]["types"], costs["types"]);
    assert!(first["at"].as_str() < second["at"].as_str());
}

async fn throughput_and_who_works_and_submits_are_told(live: Live) {
    let (mut socket, _) = live.connected("/ws/metrics").await;
    measured(&mut socket).await;
    live.service.work();
    for _ in 0..3 {
        live.service.finished(&live.submit("me").await).await;
    }
    let busy = live.service.submit(json!({ "type": "demo", "params": { "name": "x", "duration": 30_000 } })).await;
    let frame = until(&mut socket, |frame| {
        frame["tasks"]["per_second"]["succeeded"].as_f64() > Some(0.0) && frame["node"]["busy"] == 1
    });
    let frame = frame.await;
    let rates = &frame["tasks"]["types"]["noop"]["per_second"];
    assert!(rates["submitted"].as_f64() > Some(0.0) && rates["failed"] == 0.0, "{frame}");
    let tasks = until(&mut socket, |frame| frame["tasks"]["workers"] != json!([])).await["tasks"].take();
    assert_eq!(tasks["workers"], json!([{ "worker": "worker-1", "running": 1 }]));
    assert_eq!(tasks["owners"], json!([{ "owner": "default", "submitted_last_hour": 4 }]));
    let me = json!({ "owner": "default", "client_id": "me", "submitted_lately": 3 });
    assert_eq!((&tasks["clients"][0], tasks["clients"].as_array().unwrap().len()), (&me, 2));
    live.service.delete(&format!("/api/tasks/{busy}")).await;
}

async fn while_nobody_listens_nothing_is_measured(live: Live) {
    let Service { queue, keys, stop, .. } = &live.service;
    let api = Api::new(queue.clone(), keys.clone(), node(), stop.clone());
    let address = listening(errand::api::router(api.clone()), stop.clone());
    let mut tasks = WebSocket::open(address, "/ws?scope=owner").await;
    live.submit("x").await;
    while tasks.said().await["type"] != "taskQueued" {}
    assert!(!api.is_measured(), "who listens to tasks listens to no metrics");
    let sockets = [WebSocket::open(address, "/ws/metrics").await, WebSocket::open(address, "/ws/metrics").await];
    for mut socket in sockets {
        measured(&mut socket).await;
        assert!(api.is_measured());
    }
    let until = Instant::now() + Duration::from_secs(10);
    while api.is_measured() {
        assert!(Instant::now() < until, "both have left");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    measured(&mut WebSocket::open(address, "/ws/metrics").await).await;
}

async fn an_owner_is_told_the_numbers_of_its_own_tasks_and_of_the_node(live: Live) {
    let mut submitters = Vec::new();
    for (owner, n) in [("alice", 1), ("bob", 2)] {
        let key = live.service.key(Role::Submit, owner).await;
        for _ in 0..n {
            let body = json!({ "type": "noop", "queue": owner, "client_id": owner });
            assert_eq!(live.service.call_as(&key, "POST", "/api/tasks/submit", body).await.status, 201);
        }
        submitters.push(key);
    }
    let reader = live.service.key(Role::Read, "alice").await;
    let admin = live.service.key(Role::Admin, "root").await;
    for (key, queues) in [(&submitters[0], vec!["alice"]), (&reader, vec!["alice"]), (&admin, vec!["alice", "bob"])] {
        let header = format!("authorization: Bearer {key}\r\n");
        let mut socket = WebSocket::try_open(live.address, "/ws/metrics", &header).await.unwrap();
        let Value::Object(mut frame) = measured(&mut socket).await else { panic!("no object") };
        assert!(frame["node"]["disk_free_bytes"].is_number());
        let tasks = frame.remove("tasks").unwrap();
        assert_eq!(tasks["by_queue"].as_object().unwrap().keys().collect::<Vec<_>>(), queues);
        assert_eq!(tasks["by_status"]["PENDING"], if queues.len() == 1 { 1 } else { 3 });
        assert_eq!(owners(&tasks["owners"]), queues);
        assert!(queues.len() > 1 || !tasks.to_string().contains("bob"));
    }
}

/// Whose these are, sorted.
fn owners(named: &Value) -> Vec<&str> {
    let mut owners: Vec<_> = named.as_array().unwrap().iter().map(|one| one["owner"].as_str().unwrap()).collect();
    owners.sort_unstable();
    owners
}

/// However busy another owner is, an owner's frame is the same but for its time and the node.
async fn who_submits_is_told_to_admins_and_nothing_of_it_to_others(live: Live) {
    let [alice, bob] = [live.service.key(Role::Submit, "alice").await, live.service.key(Role::Submit, "bob").await];
    let reader = live.service.key(Role::Read, "alice").await;
    let admin = live.service.key(Role::Admin, "root").await;
    let submit = async |key: &str, n: usize| {
        let tasks = vec![json!({ "type": "noop", "client_id": "me" }); n];
        assert_eq!(live.service.call_as(key, "POST", "/api/tasks/batch", json!({ "tasks": tasks })).await.status, 201);
    };
    // The first frame of a producer: rates are null there, and nothing is a look old.
    let first = async |key: &str| {
        let header = format!("authorization: Bearer {key}\r\n");
        let mut socket = WebSocket::try_open(live.address, "/ws/metrics", &header).await.unwrap();
        let frame = measured(&mut socket).await["tasks"].take();
        drop(socket);
        frame
    };
    submit(&alice, 3).await;
    let before = [first(&alice).await, first(&reader).await];
    assert!(before.iter().all(|tasks| tasks.get("clients").is_none()), "{before:?}");
    // More than who submits is told of.
    submit(&bob, 1_000).await;
    let clients = first(&admin).await["clients"].take();
    assert_eq!(clients, json!([{ "owner": "bob", "client_id": "me", "submitted_lately": 1_000 }]));
    for (key, before) in [&alice, &reader].into_iter().zip(before) {
        let mut after = first(key).await;
        for tasks in [&before, &after] {
            assert_eq!(owners(&tasks["owners"]), ["alice"]);
        }
        for member in ["per_second", "types"] {
            after[member] = before[member].clone();
        }
        assert_eq!(after, before);
    }
}

async fn a_socket_takes_metrics_in_and_leaves_them(live: Live) {
    let (mut socket, _) = live.connected("/ws?scope=owner").await;
    socket.ask(json!({ "type": "subscribe", "id": 1, "topics": ["metrics"] })).await;
    let ack = socket.said().await;
    assert_eq!((&ack["type"], &ack["topics"]), (&json!("ack"), &json!(["tasks", "metrics"])), "{ack}");
    measured(&mut socket).await;
    live.submit("x").await;
    while socket.said().await["type"] != "taskQueued" {}
    socket.ask(json!({ "type": "unsubscribe", "id": 2, "topics": ["metrics"] })).await;
    let ack = loop {
        let frame = socket.said().await;
        if frame["type"] != "metrics" {
            break frame;
        }
    };
    assert_eq!((&ack["id"], &ack["topics"]), (&json!(2), &json!(["tasks"])));
    live.submit("x").await;
    assert_eq!(socket.said().await["type"], "taskQueued", "no metrics came behind the ack");
}

async fn for_who_wants_no_tasks_the_change_log_is_not_read(live: Live) {
    let queue = &live.service.queue;
    let followed = async |wanted: bool| {
        let until = Instant::now() + Duration::from_secs(10);
        while queue.is_followed() != wanted {
            assert!(Instant::now() < until, "it is not {wanted}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    live.submit("x").await;
    let mut socket = live.open("/ws/metrics").await;
    assert_eq!(socket.said().await["seq"], 1, "where the log stands is known all the same");
    let answer = live.service.get("/api/events?topics=metrics").await;
    assert!(String::from_utf8_lossy(&answer.body).contains("id: 1\n"), "{answer:?}");
    measured(&mut socket).await;
    assert!(!queue.is_followed());
    for after in [1, 2] {
        socket.ask(json!({ "type": "subscribe", "client_id": "x" })).await;
        let ack = socket.answered().await;
        assert_eq!((&ack["topics"], &ack["seq"]), (&json!(["metrics", "tasks"]), &json!(after)));
        followed(true).await;
        let id = live.submit("x").await;
        assert_eq!(socket.said_of("taskQueued").await["task"]["id"], id.as_str());
        socket.ask(json!({ "type": "unsubscribe", "topics": ["tasks"] })).await;
        assert_eq!(socket.answered().await["topics"], json!(["metrics"]));
        followed(false).await;
        measured(&mut socket).await;
    }
}
