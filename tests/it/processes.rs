//! The real binary: killed, drained, doubled, on both databases.

use crate::support::node::{Home, Node};
use crate::support::raw::Raw;
use crate::support::web_socket::WebSocket;
use serde_json::{Value, json};
use sqlx::{Connection, Executor, PgConnection};
use std::collections::HashSet;
use std::fs;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// The shortest lease there is, so that what a killed node held comes back soon.
const SHORT_LEASE: &[&str] = &["--lease-seconds", "5", "--workers", "8"];
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_killed_again_and_again_loses_nothing_and_finishes_each_task_once_on_sqlite() {
    survives_kills(Home::sqlite()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_killed_again_and_again_loses_nothing_and_finishes_each_task_once_on_postgres() {
    survives_kills(Home::postgres().await).await;
}

async fn survives_kills(home: Home) {
    let acknowledged = Arc::new(Mutex::new(Vec::new()));
    for kill in 0..5 {
        let node = Arc::new(home.start(SHORT_LEASE));
        let submitters: Vec<_> =
            (0..8).map(|n| tokio::spawn(submit_until_it_dies(node.clone(), acknowledged.clone(), n))).collect();
        tokio::time::sleep(Duration::from_millis(400 + 150 * kill)).await;
        node.signal("KILL");
        for submitter in submitters {
            submitter.await.unwrap();
        }
    }
    let node = home.start(SHORT_LEASE);
    let acknowledged = std::mem::take(&mut *acknowledged.lock().unwrap());
    assert!(acknowledged.len() > 100, "only {} tasks were acknowledged", acknowledged.len());
    for id in &acknowledged {
        let task = node.until(id, PATIENCE, |task| task["finished_at"].is_string()).await;
        assert_eq!(task["status"], "SUCCESS", "{task}");
        let timeline = node.get(&format!("/api/tasks/{id}/timeline")).await;
        let successes = lines(&timeline).filter(|line| line["event"] == "succeeded").count();
        assert_eq!(successes, 1, "{timeline}");
    }
    let stats = node.get("/api/stats").await;
    let known = stats["by_status"]["SUCCESS"].as_u64().unwrap();
    assert!(known >= acknowledged.len() as u64);
    assert_eq!(stats["by_status"]["RUNNING"], 0, "{stats}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_node_had_claimed_ahead_is_not_held_against_the_tasks_on_sqlite() {
    holds_nothing_against_them(Home::sqlite()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_node_had_claimed_ahead_is_not_held_against_the_tasks_on_postgres() {
    holds_nothing_against_them(Home::postgres().await).await;
}

/// Most of what a killed node held had not begun: hundreds of tasks, and two places.
async fn holds_nothing_against_them(home: Home) {
    const KILLS: u64 = 3;
    let flags = ["--lease-seconds", "5", "--workers", "2"];
    for _ in 0..KILLS {
        let mut node = home.start(&flags);
        for _ in 0..6 {
            node.submit_many(vec![json!({"type": "noop", "params": {}}); 1_000]).await;
        }
        node.signal("KILL");
        node.ended(PATIENCE).await;
    }
    let node = home.start(&flags);
    node.until_count("SUCCESS", KILLS * 6_000, PATIENCE).await;
    let mut raw = Raw::open(&home.database).await;
    let mut number = async |sql: &str| raw.texts(sql).await[0].parse::<u64>().unwrap();
    let rescued = number("SELECT CAST(count(*) AS text) FROM changes WHERE event = 6").await;
    let losses = number("SELECT CAST(sum(losses) AS text) FROM tasks").await;
    println!("{rescued} tasks taken back, {losses} of them had begun");
    assert!(rescued > 100, "only {rescued} were taken back");
    assert!(losses <= 10 * KILLS, "{losses} of {rescued} count as lost");
}

async fn submit_until_it_dies(node: Arc<Node>, acknowledged: Arc<Mutex<Vec<String>>>, n: usize) {
    let body = match n {
        0 => json!({"type": "csv_processing", "params": {"num_rows": 2000}}),
        _ => json!({"type": "noop", "params": {"n": n}}),
    };
    while let Ok((201, task)) = node.post("/api/tasks/submit", body.clone()).await {
        acknowledged.lock().unwrap().push(task["id"].as_str().unwrap().to_owned());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_attempt_whose_lease_is_lost_is_stopped_and_its_place_is_free() {
    for (home, lease) in [(Home::sqlite(), "randomblob(16)"), (Home::postgres().await, "gen_random_uuid()")] {
        let node = home.start(&["--workers", "1"]);
        let long = node.submit(json!({"type": "demo", "params": {"duration": 30000, "steps": 1}})).await;
        node.until(&long, PATIENCE, |task| task["status"] == "RUNNING").await;
        let mut raw = Raw::open(&home.database).await;
        raw.execute(&format!("UPDATE tasks SET lease = {lease}, lease_until = lease_until + 3600000")).await;
        let next = node.submit(json!({"type": "noop", "params": {}})).await;
        node.until(&next, Duration::from_secs(5), |task| task["status"] == "SUCCESS").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_node_can_start_again_after_a_newer_one_has_migrated_postgres() {
    let home = Home::postgres().await;
    drop(home.start(&[]));
    let newer = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
                 VALUES (9999, 'of a newer one', true, '', 0)";
    PgConnection::connect(home.postgres_url()).await.unwrap().execute(newer).await.unwrap();
    let node = home.start(&[]);
    let (_, task) = node.post("/api/tasks/submit?wait=30", json!({"type": "noop", "params": {}})).await.unwrap();
    assert_eq!(task["status"], "SUCCESS", "{task}");
    assert!(node.log().contains("a newer Errand has migrated the database"), "{}", node.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_share_one_postgres_and_each_task_runs_once() {
    let home = Home::postgres().await;
    let (one, other) = (home.start(&["--workers", "2"]), home.start(&["--workers", "2"]));
    let tasks: Vec<Value> =
        (0..40).map(|_| json!({"type": "demo", "params": {"duration": 1000, "steps": 2}})).collect();
    let (status, batch) = one.post("/api/tasks/batch", json!({"tasks": tasks})).await.unwrap();
    assert_eq!(status, 201, "{batch}");
    let mut workers = HashSet::new();
    for task in batch["tasks"].as_array().unwrap() {
        let id = task["id"].as_str().unwrap();
        let task = other.until(id, PATIENCE, |task| task["status"] == "SUCCESS").await;
        assert_eq!(task["attempt"], 1, "{task}");
        workers.insert(task["worker"].as_str().unwrap().to_owned());
    }
    assert_eq!(workers.len(), 2, "both nodes worked");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancel_at_one_node_stops_a_task_at_another_within_two_seconds() {
    let home = Home::postgres().await;
    let (api, worker) = (home.start(&["--workers", "0"]), home.start(&["--workers", "2"]));
    let id = api.submit(json!({"type": "demo", "params": {"duration": 30000, "steps": 1}})).await;
    api.until(&id, PATIENCE, |task| task["status"] == "RUNNING").await;
    let asked = Instant::now();
    let (status, _) = api.delete(&format!("/api/tasks/{id}")).await;
    assert_eq!(status, 202);
    worker.until(&id, PATIENCE, |task| task["status"] == "CANCELLED").await;
    assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_finishes_what_it_can_and_burns_no_attempt_of_the_rest() {
    let home = Home::sqlite();
    let mut node = home.start(&["--drain-seconds", "2", "--workers", "2"]);
    let short = node.submit(json!({"type": "demo", "params": {"duration": 1000, "steps": 1}})).await;
    let long = node.submit(json!({"type": "demo", "params": {"duration": 30000, "steps": 1}})).await;
    node.until(&long, PATIENCE, |task| task["status"] == "RUNNING").await;
    let told = Instant::now();
    node.signal("TERM");
    assert_eq!(node.ended(PATIENCE).await.code(), Some(0));
    assert!(told.elapsed() < Duration::from_secs(4), "{:?}", told.elapsed());

    let node = home.start(&["--workers", "0"]);
    assert_eq!(node.get(&format!("/api/tasks/{short}")).await["status"], "SUCCESS");
    let attempts = node.get(&format!("/api/tasks/{long}/attempts")).await;
    assert_eq!(attempts["attempts"][0]["outcome"], "released", "{attempts}");
    assert_eq!(node.get(&format!("/api/tasks/{long}")).await["status"], "PENDING");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_uploads_at_once_do_not_fill_the_memory() {
    const AT_ONCE: usize = 100;
    const EACH_MIB: usize = 5;
    let home = Home::sqlite();
    let node = home.start(&["--workers", "0"]);
    let http = reqwest::Client::new();
    let piece = bytes::Bytes::from(vec![b'x'; 64 * 1024]);
    let upload = || {
        let pieces =
            futures_util::stream::iter(vec![piece.clone(); EACH_MIB * 16].into_iter().map(Ok::<_, std::io::Error>));
        http.post(format!("{}/api/files", node.url)).body(reqwest::Body::wrap_stream(pieces)).send()
    };
    assert_eq!(upload().await.unwrap().status(), 201);
    let before = node.memory_mib("VmHWM");
    let answers = futures_util::future::join_all((0..AT_ONCE).map(|_| upload())).await;
    assert!(answers.iter().all(|answer| answer.as_ref().is_ok_and(|answer| answer.status() == 201)));
    let grown = node.memory_mib("VmHWM") - before;
    println!("{AT_ONCE} uploads of {EACH_MIB} MiB at once: {before} MiB before, {grown} MiB more at the most");
    assert!(grown < 256, "{grown} MiB more");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_socket_costs_twenty_kilobytes_at_most() {
    const SOCKETS: u64 = 1000;
    let home = Home::sqlite();
    let node = home.start(&["--workers", "0"]);
    let address = node.url.strip_prefix("http://").unwrap().parse().unwrap();
    let open = async |n: u64| {
        let mut sockets = Vec::new();
        for _ in 0..n {
            let mut socket = WebSocket::open(address, "/ws").await;
            assert_eq!(socket.said().await["type"], "connection");
            sockets.push(socket);
        }
        sockets
    };
    // What the first ones bring with them belongs to all.
    let _first = open(SOCKETS / 10).await;
    let before = node.memory_mib("VmRSS");
    let _sockets = open(SOCKETS).await;
    let each = (node.memory_mib("VmRSS") - before) * 1024 * 1024 / SOCKETS;
    println!("an idle socket costs {each} bytes");
    assert!(each <= 20_000, "{each} bytes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_caller_sends_begins_no_line_in_the_log() {
    let home = Home::sqlite();
    let node = home.start(&["--log", "debug"]);
    let forged = "x\r\n2026-01-01T00:00:00Z  INFO admin login\u{1b}[31m";
    let encoded = percent_encoding::utf8_percent_encode(forged, percent_encoding::NON_ALPHANUMERIC).to_string();
    let id = node.submit(json!({ "type": "noop", "name": forged, "params": { "a": forged } })).await;
    let task = node.until(&id, PATIENCE, |task| task["finished_at"].is_string()).await;
    assert_eq!(task["name"], forged, "kept as it was sent");
    let mail = json!({ "num_emails": 1, "subject": forged });
    for body in [
        json!({ "type": forged }),
        json!({ "type": "noop", "queue": forged }),
        json!({ "type": "email_sending", "params": mail }),
    ] {
        node.post("/api/tasks/submit", body).await.unwrap();
    }
    let http = reqwest::Client::new();
    for path in [
        format!("/{encoded}"),
        format!("/api/tasks/{encoded}"),
        format!("/api/tasks/?q={encoded}"),
        format!("/api/files?name={encoded}"),
    ] {
        let request = http.post(format!("{}{path}", node.url)).header("x-request-id", "a b; c").body("x");
        assert!(request.send().await.unwrap().status().as_u16() < 500, "{path}");
    }
    let log = node.log();
    assert!(log.lines().count() > 10, "{log}");
    for line in log.lines() {
        assert!(!line.starts_with("2026-01-01T00:00:00Z") && !line.contains('\u{1b}'), "{line:?}");
    }
}

#[tokio::test]
async fn a_second_process_on_the_file_ends_with_code_4() {
    let home = Home::sqlite();
    let _first = home.start(&[]);
    let second = home.command(&[]).output().unwrap();
    assert_eq!(second.status.code(), Some(4), "{second:?}");
}

#[tokio::test]
async fn a_file_that_is_no_database_ends_with_code_3_and_is_left_alone() {
    let home = Home::sqlite();
    let content = "this was never a database ".repeat(1000);
    fs::write(home.database_file(), &content).unwrap();
    let refused = home.command(&[]).output().unwrap();
    assert_eq!(refused.status.code(), Some(3), "{refused:?}");
    assert_eq!(fs::read_to_string(home.database_file()).unwrap(), content);
}

#[tokio::test]
async fn to_listen_beyond_loopback_without_keys_ends_with_code_2() {
    let home = Home::sqlite();
    let mut command = Command::new(env!("CARGO_BIN_EXE_errand"));
    command.env_clear().current_dir(home.folder.path()).args(["--bind", "0.0.0.0:0"]);
    let Err((status, said)) = Node::try_start(command) else { panic!("it listens") };
    assert_eq!(status.code(), Some(2), "{said}");
    assert!(said.contains("0.0.0.0:0 can be reached") && said.contains("errand keys create"), "{said}");
}

#[tokio::test]
async fn an_origin_that_is_none_ends_with_code_2_and_how_to_write_it() {
    let home = Home::sqlite();
    for (origin, word) in [("*", "name each one"), ("https://app.example.org/", "write https://app.example.org in")] {
        let Err((status, said)) = Node::try_start(home.command(&["--allowed-origins", origin])) else {
            panic!("it listens")
        };
        assert_eq!(status.code(), Some(2), "{said}");
        assert!(said.contains("ERRAND_ALLOWED_ORIGINS") && said.contains(word), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_told_to_stop_has_written_down_who_did_what_on_sqlite() {
    writes_down_who_did_what(Home::sqlite()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_told_to_stop_has_written_down_who_did_what_on_postgres() {
    writes_down_who_did_what(Home::postgres().await).await;
}

async fn writes_down_who_did_what(home: Home) {
    let mut node = home.start(&["--workers", "0"]);
    for _ in 0..3 {
        node.submit(json!({ "type": "noop" })).await;
    }
    let id = node.submit(json!({ "type": "noop" })).await;
    node.delete(&format!("/api/tasks/{id}")).await;
    node.signal("TERM");
    assert!(node.ended(PATIENCE).await.success());
    let key = keys(&home, &["create", "--role", "admin", "--owner", "ops"]);
    let of_key = key.split('_').nth(1).unwrap();
    let mut raw = Raw::open(&home.database).await;
    let told = "SELECT action || ' ' || coalesce(target, '-') || ' ' || CAST(count AS text) FROM activity";
    let told = raw.texts(told).await;
    let (cancelled, created) = (format!("task.cancelled {id} 1"), format!("key.created {of_key} 1"));
    for expected in ["node.started - 1", "node.stopped - 1", &cancelled, &created] {
        assert!(told.iter().any(|line| line == expected), "no {expected}: {told:?}");
    }
    let submitted = "SELECT CAST(sum(count) AS text) FROM activity WHERE action = 'task.submitted'";
    assert_eq!(raw.texts(submitted).await, ["4"]);
    let nodes = raw.texts("SELECT DISTINCT node FROM activity ORDER BY 1").await;
    assert!(nodes.len() == 2 && nodes.contains(&"command line".to_owned()), "{nodes:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ticket_in_an_address_stands_in_no_line_of_the_log_on_sqlite() {
    logs_no_ticket(Home::sqlite()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ticket_in_an_address_stands_in_no_line_of_the_log_on_postgres() {
    logs_no_ticket(Home::postgres().await).await;
}

async fn logs_no_ticket(home: Home) {
    let mut node = home.start(&["--log", "trace"]);
    let (_, key) = node.post("/api/keys", json!({ "role": "admin", "owner": "ops" })).await.unwrap();
    let key = key["key"].as_str().unwrap();
    let mut tickets = Vec::new();
    for opened in ["/api/events", "/ws", "/api/me"] {
        let asked = node.http.post(format!("{}/api/tickets", node.url)).bearer_auth(key).send().await.unwrap();
        let ticket = asked.json::<Value>().await.unwrap()["ticket"].as_str().unwrap().to_owned();
        let path = format!("{opened}?ticket={ticket}");
        match opened {
            "/ws" => {
                let address = node.url.strip_prefix("http://").unwrap().parse().unwrap();
                WebSocket::open(address, &path).await.said_of("connection").await;
            }
            _ => assert_eq!(node.status(&path).await, if opened == "/api/events" { 200 } else { 401 }),
        }
        assert_eq!(node.status(&path).await, if opened == "/ws" { 400 } else { 401 });
        tickets.push(ticket);
    }
    node.signal("TERM");
    node.ended(PATIENCE).await;
    let log = node.log();
    assert!(log.contains("/api/events") && log.contains("TRACE"), "{log}");
    assert!(tickets.iter().all(|ticket| !log.contains(ticket)), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_made_and_revoked_beside_a_running_node_is_so_within_five_seconds_on_sqlite() {
    keeps_keys_from_beside(Home::sqlite()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_made_and_revoked_beside_a_running_node_is_so_within_five_seconds_on_postgres() {
    keeps_keys_from_beside(Home::postgres().await).await;
}

async fn keeps_keys_from_beside(home: Home) {
    const SOON: Duration = Duration::from_secs(5);
    let mut node = home.start(&[]);
    node.submit(json!({ "type": "noop" })).await;
    let key = keys(&home, &["create", "--role", "admin", "--owner", "default", "--name", "beside"]);
    node.until_status("/api/me", 401, SOON).await;
    let status = async |key: &str| {
        node.http.get(format!("{}/api/tasks", node.url)).bearer_auth(key).send().await.unwrap().status()
    };
    assert_eq!((status(&key).await.as_u16(), status("x").await.as_u16()), (200, 401));
    // The client's subcommands send theirs.
    let list =
        |key: &str| home.command(&["--url", &node.url, "list", "--json"]).env("ERRAND_KEY", key).output().unwrap();
    let (with, without) = (list(&key), list(""));
    assert!(with.status.success() && String::from_utf8_lossy(&with.stdout).contains("noop"), "{with:?}");
    assert!(!without.status.success() && String::from_utf8_lossy(&without.stderr).contains("key"), "{without:?}");
    let id = key.split('_').nth(1).unwrap();
    let listed = keys(&home, &["list"]);
    assert!(
        listed.starts_with(id) && listed.contains("admin   default  beside  valid") && !listed.contains(&key),
        "{listed}"
    );
    let new = keys(&home, &["rotate", id]);
    let begun = Instant::now();
    while status(&new).await != 200 || status(&key).await != 401 {
        assert!(begun.elapsed() < SOON, "the new secret is not taken");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    keys(&home, &["revoke", id]);
    let told = "SELECT action FROM activity WHERE node = 'command line' ORDER BY id";
    assert_eq!(Raw::open(&home.database).await.texts(told).await, ["key.created", "key.rotated", "key.revoked"]);
    let begun = Instant::now();
    while status(&new).await != 401 {
        assert!(begun.elapsed() < SOON, "it is not revoked");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let log = node.log();
    assert!(!log.contains(&key) && !log.contains(&new), "{log}");
    node.signal("KILL");
    node.ended(SOON).await;
    drop(node);
    // What was written beside it is whole, and a start finds nothing missing.
    assert!(keys(&home, &["list"]).contains("revoked"));
    assert_eq!(home.start(&[]).status("/api/me").await, 401, "to revoke the last key opens nothing");
}

/// What `errand keys` says to this.
fn keys(home: &Home, arguments: &[&str]) -> String {
    let output = home.command(&[&["keys"], arguments].concat()).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn lines(timeline: &Value) -> impl Iterator<Item = &Value> {
    timeline["timeline"].as_array().unwrap().iter()
}
