//! Postgres is away: refused, silent or frozen. Callers are told so in time, nothing floods, and all
//! goes on when it is back.

use super::{BACK, NODE, alone, works};
use crate::support::node::Home;
use crate::support::postgres::Server;
use crate::support::proxy::{Proxy, Way};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tokio::time::sleep;

/// How long each outage lasts.
const OUTAGE: Duration = Duration::from_secs(6);
/// A call is answered within this; a busy machine adds a little.
const TOLD: Duration = Duration::from_millis(2300);
/// No call hangs longer, also when the outage begins under it.
const LONGEST_CALL: Duration = Duration::from_secs(5);
/// Connections of one node.
const MOST_SESSIONS: i64 = 14;

/// Between two rounds of calls.
const PAUSE: Duration = Duration::from_millis(50);

#[derive(Debug, Clone, Copy)]
enum How {
    Refused,
    Silent,
    Frozen,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_postgres_is_away_callers_are_told_within_two_seconds_and_all_goes_on_when_it_is_back() {
    let _alone = alone().await;
    let server = Server::start(&[]).await;
    let proxy = Proxy::before(server.port).await;
    let home = Home::at(server.url(proxy.port));
    let mut node = home.start(NODE);
    let known = node.submit(json!({"type": "noop", "params": {}})).await;
    for how in [How::Refused, How::Silent, How::Frozen] {
        let before = node.lines().len();
        // Some are under way when it begins.
        let under_way = tokio::spawn(every_call(node.http.clone(), node.url.clone(), known.clone()));
        begin(how, &server, &proxy).await;
        let begun = Instant::now();
        for (call, status, took) in under_way.await.unwrap() {
            assert!(took < LONGEST_CALL, "{how:?}: {call} answered {status} after {took:?}");
        }
        while begun.elapsed() < OUTAGE {
            let calls = every_call(node.http.clone(), node.url.clone(), known.clone()).await;
            for (call, status, took) in calls {
                let wanted = if call.ends_with("/api/live") { 200 } else { 503 };
                assert_eq!(status, wanted, "{how:?}: {call} after {:?}", begun.elapsed());
                assert!(took < TOLD, "{how:?}: {call} answered {status} after {took:?}");
            }
            sleep(PAUSE).await;
        }
        let (lines, seconds) = (node.lines().len() - before, begun.elapsed().as_secs_f32());
        end(how, &server, &proxy).await;
        let back = node.until_status("/api/ready", 200, BACK).await;
        works(&node, BACK.saturating_sub(back)).await;
        let most = most_sessions(&server).await;
        eprintln!("{how:?}: {seconds:.1} s, {lines} lines of log, ready after {back:?}, {most} sessions at most");
        assert!(lines as f32 <= seconds + 3.0, "{how:?}: {lines} lines in {seconds} s: {}", node.log());
        assert!(most <= MOST_SESSIONS, "{how:?}: {most} sessions");
        assert!(node.runs());
    }
}

async fn begin(how: How, server: &Server, proxy: &Proxy) {
    match how {
        How::Refused => server.stop().await,
        How::Silent => proxy.ways(Way::Hold),
        How::Frozen => server.freeze(),
    }
}

async fn end(how: How, server: &Server, proxy: &Proxy) {
    match how {
        How::Refused => server.start_again().await,
        How::Silent => proxy.ways(Way::Pass),
        How::Frozen => server.thaw(),
    }
}

/// Calls of every kind, all at once: which, what it answered, and how long that took.
async fn every_call(http: reqwest::Client, url: String, id: String) -> Vec<(String, u16, Duration)> {
    let noop = json!({"type": "noop", "params": {}});
    let calls: Vec<(&str, String, Option<Value>)> = vec![
        ("GET", "/api/live".into(), None),
        ("GET", "/api/ready".into(), None),
        ("GET", "/api/health".into(), None),
        ("GET", format!("/api/tasks/{id}"), None),
        ("GET", format!("/api/tasks/{id}?wait=30&wait_for=change"), None),
        ("GET", format!("/api/tasks/{id}/timeline"), None),
        ("GET", "/api/tasks?limit=10".into(), None),
        ("GET", "/api/tasks/changes?wait=30&after=0".into(), None),
        ("GET", "/api/stats".into(), None),
        ("DELETE", format!("/api/tasks/{id}"), None),
        ("POST", format!("/api/tasks/{id}/retry"), None),
        ("POST", "/api/tasks/submit".into(), Some(noop.clone())),
        ("POST", "/api/tasks/submit?wait=30".into(), Some(noop.clone())),
        ("POST", "/api/tasks/batch".into(), Some(json!({ "tasks": [noop.clone(), noop] }))),
        ("POST", "/api/tasks/cancel".into(), Some(json!({ "ids": [id] }))),
    ];
    let call = |(method, path, body): (&'static str, String, Option<Value>)| {
        let request = http.request(method.parse().unwrap(), format!("{url}{path}"));
        async move {
            let request = if let Some(body) = &body { request.json(body) } else { request };
            let begun = Instant::now();
            let answer = request.send().await.unwrap();
            let (status, took) = (answer.status().as_u16(), begun.elapsed());
            let waits = answer.headers().contains_key("retry-after");
            assert!(status != 503 || waits, "{method} {path}: 503 without retry-after");
            (format!("{method} {path}"), status, took)
        }
    };
    futures_util::future::join_all(calls.into_iter().map(call)).await
}

/// The most sessions within the next second.
async fn most_sessions(server: &Server) -> i64 {
    let (begun, mut most) = (Instant::now(), 0);
    while begun.elapsed() < Duration::from_secs(1) {
        most = most.max(server.sessions().await);
    }
    most
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_starts_while_postgres_is_away_waits_for_it() {
    let _alone = alone().await;
    let server = Server::start(&[]).await;
    let proxy = Proxy::before(server.port).await;
    let home = Home::at(server.url(proxy.port));
    for how in [How::Refused, How::Silent] {
        begin(how, &server, &proxy).await;
        let (mut node, mut other) = (home.start(NODE), home.start(NODE));
        for (path, status, code) in
            [("/api/live", 200, None), ("/api/ready", 503, Some("starting")), ("/api/tasks", 503, Some("starting"))]
        {
            let (answered, body) = node.try_get(path).await.unwrap();
            assert_eq!((answered, body["code"].as_str()), (status, code), "{how:?}: {path}: {body}");
        }
        let told = Instant::now();
        other.signal("TERM");
        assert_eq!(other.ended(Duration::from_secs(1)).await.code(), Some(0), "{how:?}: {:?}", told.elapsed());
        sleep(Duration::from_secs(3)).await;
        assert!(node.runs(), "{}", node.log());
        end(how, &server, &proxy).await;
        let back = node.until_status("/api/ready", 200, BACK).await;
        works(&node, BACK.saturating_sub(back)).await;
        eprintln!("{how:?}: ready after {back:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_task_goes_on_through_a_short_outage_and_stops_before_its_lease_ends_in_a_long_one() {
    let _alone = alone().await;
    let server = Server::start(&[]).await;
    let proxy = Proxy::before(server.port).await;
    let home = Home::at(server.url(proxy.port));
    let node = home.start(&["--lease-seconds", "6", "--log", "info,errand::worker=debug"]);
    let demo = |duration| json!({"type": "demo", "params": {"duration": duration, "steps": 4}});
    let stops = || node.lines().iter().filter(|line| line.contains("its lease could not be extended")).count();

    let short = node.submit(demo(4000)).await;
    node.until(&short, BACK, |task| task["status"] == "RUNNING").await;
    proxy.ways(Way::Hold);
    sleep(Duration::from_secs(2)).await;
    proxy.ways(Way::Pass);
    let task = node.until(&short, Duration::from_secs(15), |task| task["finished_at"].is_string()).await;
    assert_eq!((&task["status"], &task["attempt"], stops()), (&json!("SUCCESS"), &json!(1), 0), "{task}");

    let long = node.submit(demo(10_000)).await;
    node.until(&long, BACK, |task| task["status"] == "RUNNING").await;
    proxy.ways(Way::Hold);
    let begun = Instant::now();
    while stops() == 0 {
        assert!(begun.elapsed() < Duration::from_secs(6), "it still runs after its lease: {}", node.log());
        sleep(Duration::from_millis(20)).await;
    }
    // At 6 s less 1.2 s after the last beat, which was at most 2 s and a tick before the outage.
    assert!(begun.elapsed() > Duration::from_millis(2000), "it gave up after {:?}", begun.elapsed());
    sleep(Duration::from_secs(6)).await;
    proxy.ways(Way::Pass);
    let task = node.until(&long, Duration::from_secs(30), |task| task["finished_at"].is_string()).await;
    assert_eq!((&task["status"], &task["attempt"]), (&json!("SUCCESS"), &json!(2)), "{task}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn work_goes_on_while_sessions_are_ended_every_second_and_backends_die() {
    let _alone = alone().await;
    let server = Server::start(&[]).await;
    let home = Home::at(server.url(server.port));
    let mut node = home.start(NODE);
    let (mut acknowledged, mut ended) = (Vec::new(), 0);
    let begun = Instant::now();
    for second in 1.. {
        while begun.elapsed() < Duration::from_secs(second) {
            if let Ok((201, task)) = node.post("/api/tasks/submit", json!({"type": "noop", "params": {}})).await {
                acknowledged.push(task["id"].as_str().unwrap().to_owned());
            }
            sleep(Duration::from_millis(10)).await;
        }
        if second == 11 {
            break;
        }
        ended += server.terminate_sessions().await;
    }
    // One that is killed takes the whole server through its recovery.
    server.kill_a_backend().await;
    node.until_status("/api/ready", 503, BACK).await;
    node.until_status("/api/ready", 200, 3 * BACK).await;
    works(&node, BACK).await;
    eprintln!("{ended} sessions ended, {} acknowledged", acknowledged.len());
    assert!(ended > 20 && acknowledged.len() > 100, "this run proves nothing");
    for id in &acknowledged {
        node.until(id, 4 * BACK, |task| task["status"] == "SUCCESS").await;
    }
    assert!(!server.log().contains("current transaction is aborted"), "{}", server.log());
    assert!(node.runs());
}
