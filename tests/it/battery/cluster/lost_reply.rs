//! The database has done it, and the answer never came: nobody does it again.

use super::caller::{Answer, Callers};
use super::{LEASE, TAKEN_BACK, alone};
use crate::support::node::{Home, Node};
use crate::support::postgres::Server;
use crate::support::proxy::Proxy;
use serde_json::{Value, json};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(20);

/// A node behind a proxy that can lose a reply, and its neighbour that has no trouble.
struct Bed {
    proxy: Proxy,
    node: Node,
    callers: Callers,
    _home: Home,
    _server: Server,
}

impl Bed {
    async fn with(flags: &[&str]) -> Bed {
        let server = Server::start(&[]).await;
        let proxy = Proxy::before(server.port).await;
        let home = Home::at(server.url(proxy.port));
        let node = home.start(flags);
        Bed { proxy, node, callers: Callers::new(vec![]), _home: home, _server: server }
    }

    async fn send(&self, method: &str, path: &str, key: Option<&str>, body: Option<&Value>) -> Answer {
        self.callers.send(&self.node.url, method, path, key, body).await
    }

    /// The events of a task.
    async fn events(&self, id: &str) -> Vec<String> {
        let timeline = self.node.get(&format!("/api/tasks/{id}/timeline")).await;
        let lines = timeline["timeline"].as_array().unwrap().iter();
        lines.map(|line| line["event"].as_str().unwrap().to_owned()).collect()
    }

    /// The ids of all tasks.
    async fn all(&self) -> Vec<String> {
        let list = self.node.get("/api/tasks").await;
        list["tasks"].as_array().unwrap().iter().map(|task| task["id"].as_str().unwrap().to_owned()).collect()
    }
}

fn noop() -> Value {
    json!({"type": "noop", "params": {"n": 1}})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_submit_whose_answer_was_lost_is_found_again_by_its_key() {
    let _alone = alone().await;
    let bed = Bed::with(&["--workers", "0"]).await;
    for (key, tasks) in [(Some("a"), 1), (None, 2)] {
        bed.proxy.lose_reply("submits", false, 0);
        // A connection that is new first hears what its statement means.
        let mut answer = bed.send("POST", "/api/tasks/submit", key, Some(&noop())).await;
        assert!(matches!(answer, Answer::Unknown(_)), "{answer}");
        assert_eq!(bed.proxy.lost(), tasks, "the database had done it");
        assert_eq!(bed.all().await.len() as u64, tasks);
        if key.is_some() {
            answer = bed.send("POST", "/api/tasks/submit", key, Some(&noop())).await;
            assert!(matches!(&answer, Answer::Ok(200, _)), "{answer}");
            assert_eq!(bed.all().await.len() as u64, tasks);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claim_whose_answer_was_lost_is_taken_back_when_its_lease_ends() {
    let _alone = alone().await;
    let bed = Bed::with(&["--workers", "1", "--lease-seconds", "5"]).await;
    bed.proxy.lose_reply("work", true, 0);
    let id = bed.node.submit(noop()).await;
    bed.proxy.until_lost(1).await;
    let task = bed.node.until(&id, LEASE + TAKEN_BACK, |task| task["status"] != "RUNNING").await;
    assert!(task["started_at"].is_string(), "the database had given it out: {task}");
    bed.node.until(&id, PATIENCE, |task| task["status"] == "SUCCESS").await;
    assert_eq!(bed.events(&id).await, ["queued", "started", "rescued", "started", "succeeded"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_report_whose_answer_was_lost_is_said_again_and_written_once() {
    let _alone = alone().await;
    let bed = Bed::with(&["--workers", "1"]).await;
    bed.node.submit(noop()).await;
    bed.proxy.lose_reply("changes", true, 0);
    let id = bed.node.submit(noop()).await;
    bed.node.until(&id, PATIENCE, |task| task["status"] == "SUCCESS").await;
    bed.proxy.until_lost(1).await;
    // The place is free again, and nothing was refused.
    let next = bed.node.submit(noop()).await;
    bed.node.until(&next, PATIENCE, |task| task["status"] == "SUCCESS").await;
    assert_eq!(bed.events(&id).await, ["queued", "started", "succeeded"]);
    assert_eq!(bed.node.metric("errand_fenced_writes_total").await, 0.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancel_whose_answer_was_lost_has_happened_and_may_be_said_again() {
    let _alone = alone().await;
    let bed = Bed::with(&["--workers", "0"]).await;
    let id = bed.node.submit(noop()).await;
    bed.proxy.lose_reply("changes", true, 0);
    let answer = bed.send("DELETE", &format!("/api/tasks/{id}"), None, None).await;
    assert!(matches!(answer, Answer::Unknown(_)), "{answer}");
    let answer = bed.send("DELETE", &format!("/api/tasks/{id}"), None, None).await;
    assert!(matches!(&answer, Answer::Ok(200, task) if task["status"] == "CANCELLED"), "{answer}");
    assert_eq!(bed.events(&id).await, ["queued", "cancelled"]);
    assert_eq!(bed.proxy.lost(), 1);
}
