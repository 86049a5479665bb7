//! Postgres is there and says no: no place for a session, a lock that others hold, writers that meet crosswise.

use super::{BACK, NODE, alone, works};
use crate::support::node::Home;
use crate::support::postgres::Server;
use serde_json::json;
use sqlx::{Connection, Executor, PgConnection};
use std::time::{Duration, Instant};
use tokio::time::sleep;

const LONGEST_CALL: Duration = Duration::from_secs(5);
const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_without_a_place_is_asked_now_and_then_and_what_has_one_goes_on() {
    let _alone = alone().await;
    let server = Server::start(&["max_connections=24", "superuser_reserved_connections=1", "log_connections=on"]).await;
    // As its superuser, a node would get the reserved place too.
    let mut boss = server.connect().await;
    boss.execute("CREATE ROLE plain LOGIN; GRANT ALL ON SCHEMA public TO plain").await.unwrap();
    let plain = server.url(server.port).replace("errand@", "plain@");
    let home = Home::at(plain.clone());
    let mut node = home.start(NODE);
    let known = node.submit(json!({"type": "noop", "params": {}})).await;
    node.until(&known, PATIENCE, |task| task["status"] == "SUCCESS").await;

    let mut others = Vec::new();
    while let Ok(other) = PgConnection::connect(&plain).await {
        others.push(other);
    }
    let begun = Instant::now();
    let mut done = 0;
    while begun.elapsed() < Duration::from_secs(3) {
        let (status, task) =
            node.post("/api/tasks/submit?wait=5", json!({"type": "noop", "params": {}})).await.unwrap();
        assert_eq!((status, &task["status"]), (201, &json!("SUCCESS")), "{task}");
        done += 1;
    }
    // Its own are gone as well, and others take the places.
    boss.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'errand %'")
        .await
        .unwrap();
    while let Ok(other) = PgConnection::connect(&plain).await {
        others.push(other);
    }
    let asked = server.log().matches("connection received").count();
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(5) {
        let call = Instant::now();
        let (status, _) = node.try_get(&format!("/api/tasks/{known}")).await.unwrap();
        assert_eq!(status, 503);
        assert!(call.elapsed() < LONGEST_CALL, "it took {:?}", call.elapsed());
        sleep(Duration::from_millis(20)).await;
    }
    let asked = server.log().matches("connection received").count() - asked;
    eprintln!("{done} tasks without a place; {asked} sessions asked for in 5 s");
    assert!(done > 5 && asked > 1, "this run proves nothing");
    // Seven kinds of connections, each about twice a second.
    assert!(asked < 100, "{asked} sessions asked for in 5 s");
    assert!(node.runs());
    drop(others);
    works(&node, BACK).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_on_the_tasks_costs_callers_a_503_and_piles_nothing_up() {
    let _alone = alone().await;
    let server = Server::start(&[]).await;
    let home = Home::at(server.url(server.port));
    let node = home.start(NODE);
    let known = node.submit(json!({"type": "noop", "params": {}})).await;
    let mut other = server.connect().await;
    other.execute("BEGIN; LOCK TABLE tasks IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let (begun, mut refused, mut most) = (Instant::now(), 0, 0);
    while begun.elapsed() < Duration::from_secs(10) {
        let call = Instant::now();
        let task = json!({"type": "noop", "params": {}});
        let path = format!("/api/tasks/{known}");
        let submits = (0..8).map(|_| node.post("/api/tasks/submit", task.clone()));
        let (submitted, read, live) =
            tokio::join!(futures_util::future::join_all(submits), node.try_get(&path), node.try_get("/api/live"));
        assert!(call.elapsed() < LONGEST_CALL, "a call took {:?}", call.elapsed());
        assert_eq!(live.unwrap().0, 200);
        refused += submitted.into_iter().filter(|answer| answer.as_ref().unwrap().0 == 503).count();
        refused += usize::from(read.unwrap().0 == 503);
        most = most.max(server.sessions().await);
    }
    other.execute("ROLLBACK").await.unwrap();
    eprintln!("{refused} refused, {most} sessions at most");
    assert!(refused > 10, "this run proves nothing");
    assert!(most <= 14, "{most} sessions");
    works(&node, BACK).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_slow_reads_are_told_in_time_and_hold_up_no_worker() {
    let _alone = alone().await;
    let server = Server::start(&[]).await;
    let home = Home::at(server.url(server.port));
    let node = home.start(NODE);
    let demo = json!({"type": "demo", "params": {"duration": 8000, "steps": 16}});
    let ids = node.submit_many(vec![demo; 4]).await;
    node.until_count("RUNNING", 4, PATIENCE).await;
    let mut other = server.connect().await;
    other.execute("BEGIN; LOCK TABLE artifacts IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let (begun, mut refused) = (Instant::now(), 0);
    let path = format!("/api/tasks/{}/artifacts", ids[0]);
    while begun.elapsed() < Duration::from_secs(6) {
        let call = Instant::now();
        let answers = futures_util::future::join_all((0..100).map(|_| node.try_get(&path))).await;
        assert!(call.elapsed() < LONGEST_CALL, "a call took {:?}", call.elapsed());
        refused += answers.into_iter().filter(|answer| answer.as_ref().unwrap().0 == 503).count();
        assert_eq!(node.post("/api/tasks/submit", json!({"type": "noop", "params": {}})).await.unwrap().0, 201);
    }
    other.execute("ROLLBACK").await.unwrap();
    assert!(refused >= 100, "this run proves nothing: {refused} refused");
    for id in &ids {
        let task = node.until(id, PATIENCE, |task| task["finished_at"].is_string()).await;
        assert_eq!((&task["status"], &task["attempt"]), (&json!("SUCCESS"), &json!(1)), "{task}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writers_that_meet_crosswise_are_untangled_and_no_caller_sees_it() {
    let _alone = alone().await;
    let server = Server::start(&["deadlock_timeout=200ms"]).await;
    let home = Home::at(server.url(server.port));
    let node = home.start(&["--workers", "0"]);
    for round in 0..3 {
        let ids = node.submit_many(vec![json!({"type": "noop", "params": {}}); 2]).await;
        // Another writer has the second row, and will want the first: the node is the one who sees the circle.
        let mut other = server.connect().await;
        other.execute("SET deadlock_timeout = '60s'; BEGIN").await.unwrap();
        let lock = |id: &str| sqlx::AssertSqlSafe(format!("UPDATE tasks SET tags = tags WHERE id = '{id}'"));
        let (first, second) = (&ids[round % 2], &ids[1 - round % 2]);
        other.execute(lock(second)).await.unwrap();
        let cancel = node.post("/api/tasks/cancel", json!({ "ids": ids }));
        let cross = async {
            // Once the node waits for the second row it has the first, if it took it first; else no circle arises.
            while server.ask("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'").await == 0 {}
            other.execute(lock(first)).await.unwrap();
            other.execute("COMMIT").await.unwrap();
        };
        let (cancelled, ()) = tokio::join!(cancel, cross);
        let (status, answer) = cancelled.unwrap();
        assert_eq!((status, &answer["changed"]), (200, &json!(2)), "{answer}");
    }
    let seen = server.log().matches("deadlock detected").count();
    assert!(seen > 0, "this run proves nothing: {}", server.log());
}
