//! Disks that are full: what is new is refused, what was acknowledged stays, and room is all it takes.
//!
//! A small disk is a tmpfs, which only root can mount. Anybody else's run holds the same sentences
//! with what a process may do to itself: its files may not grow (`ulimit -f`), or the server says
//! by its error code that it is full.

use super::small::SmallDisk;
use super::{PATIENCE, knows, noop, submit, until};
use crate::support::http::count_files;
use crate::support::node::{Home, Node};
use crate::support::postgres::Server;
use serde_json::{Value, json};
use sqlx::{Connection, Executor, PgConnection};
use std::process::Command;
use std::time::{Duration, Instant};

/// A task whose params are so large that a few of them fill what is left.
fn heavy() -> Value {
    let noise: String = (0..8192).map(|_| uuid::Uuid::new_v4().simple().to_string()).collect();
    json!({"type": "noop", "params": {"noise": noise}})
}

/// Submits until one is refused; answers those that were acknowledged, and the refusal.
async fn submit_until_refused(node: &Node) -> (Vec<String>, u16, Value) {
    let mut ids = Vec::new();
    for _ in 0..1000 {
        match node.post("/api/tasks/submit", heavy()).await.unwrap() {
            (201, task) => ids.push(task["id"].as_str().unwrap().to_owned()),
            (status, problem) => return (ids, status, problem),
        }
    }
    panic!("1000 tasks were taken on a full disk");
}

/// The first task that is taken again.
async fn submit_until_taken(node: &Node, patience: Duration) -> String {
    let began = Instant::now();
    loop {
        match node.post("/api/tasks/submit", noop(0)).await {
            Ok((201, task)) => return task["id"].as_str().unwrap().to_owned(),
            other => assert!(began.elapsed() < patience, "still {other:?} after {patience:?}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_refuses_what_is_new_and_lets_the_rest_be_read_and_finished_until_there_is_room() {
    let Some(disk) = SmallDisk::mount(64) else { return a_file_that_may_not_grow().await };
    let home = Home::sqlite_in(disk.path());
    let node = home.start(&[]);
    let mut ids = submit(&node, 20).await;
    let running = node.submit(json!({"type": "demo", "params": {"duration": 4000, "steps": 20}})).await;
    node.until(&running, PATIENCE, |task| task["status"] == "RUNNING").await;
    disk.fill();

    let (more, status, problem) = submit_until_refused(&node).await;
    ids.extend(more);
    assert_eq!((status, &problem["code"]), (507, &json!("storage_full")), "{problem}");
    assert!(!disk.path().join("errand.db.ballast").exists(), "the ballast is given up");
    knows(&node, &ids).await;
    let (status, problem) = node.upload("a.csv", vec![b'a'; 1000]).await;
    assert_eq!((status, &problem["code"]), (507, &json!("storage_full")), "{problem}");
    let ended = node.until(&running, PATIENCE, |task| task["finished_at"].is_string()).await;
    assert_eq!(ended["status"], "SUCCESS", "{ended}");
    assert_eq!(node.status("/api/ready").await, 200, "what can be read is worth asking for");

    disk.make_room();
    ids.push(submit_until_taken(&node, PATIENCE).await);
    assert!(disk.path().join("errand.db.ballast").exists(), "the ballast is back");
    knows(&node, &ids).await;
    let log = node.log();
    assert_eq!(log.matches("is given up").count(), 1, "told once: {log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_starts_on_a_full_disk_and_shows_what_it_has() {
    let Some(disk) = SmallDisk::mount(64) else { return a_file_that_may_not_grow().await };
    let home = Home::sqlite_in(disk.path());
    let mut node = home.start(&["--workers", "0"]);
    let ids = submit(&node, 20).await;
    node.signal("KILL");
    node.ended(PATIENCE).await;
    disk.fill();
    let node = home.start(&["--workers", "0"]);
    knows(&node, &ids).await;
    let (_, status, problem) = submit_until_refused(&node).await;
    assert_eq!((status, &problem["code"]), (507, &json!("storage_full")), "{problem}");
    disk.make_room();
    submit_until_taken(&node, PATIENCE).await;
}

/// Whoever may not mount a disk: a log that may not grow beyond 2 MiB is a full disk without room to be made.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_whose_files_may_not_grow_refuses_and_loses_nothing() {
    a_file_that_may_not_grow().await;
}

async fn a_file_that_may_not_grow() {
    let home = Home::sqlite();
    let plain = home.command(&["--workers", "0"]);
    let mut limited = Command::new("sh");
    // Blocks of 512 bytes; the signal would end the process before it can see the error.
    limited.args(["-c", "trap '' XFSZ; ulimit -f 4096; exec \"$@\"", "sh"]).arg(plain.get_program());
    limited.args(plain.get_args()).current_dir(home.folder.path()).env_clear();
    let mut node = Node::start(limited);
    let (ids, status, problem) = submit_until_refused(&node).await;
    assert!(matches!(status, 503 | 507), "{problem}");
    assert!(!ids.is_empty());
    knows(&node, &ids).await;
    node.signal("KILL");
    node.ended(PATIENCE).await;
    let node = home.start(&["--workers", "0"]);
    knows(&node, &ids).await;
    submit_until_taken(&node, PATIENCE).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_that_would_fill_the_disk_is_refused_and_leaves_nothing() {
    let Some(disk) = SmallDisk::mount(32) else { return a_file_that_may_not_grow().await };
    let home = Home::sqlite_in(disk.path());
    let node = home.start(&["--workers", "0"]);
    let files = home.folder.path().join("files");
    let (status, kept) = node.upload("small.csv", vec![b'a'; 1 << 20]).await;
    assert_eq!(status, 201, "{kept}");
    // Said beforehand, and found on the way.
    for whole in [node.upload("big.csv", vec![b'a'; 40 << 20]).await, node.upload_unsized("big.csv", 40 << 20).await] {
        assert_eq!((whole.0, &whole.1["code"]), (507, &json!("storage_full")), "{}", whole.1);
    }
    until(|| count_files(&files) == 1, "the refused ones are gone").await;
    let held_back = (32 << 20) / 20;
    until(|| disk.free() > held_back, "what is held back is there").await;
    // A small one would fit, and is not what the rest of the room is for.
    disk.fill_but(held_back - 64 * 1024);
    let (status, problem) = node.upload("small.csv", vec![b'a'; 1000]).await;
    assert_eq!((status, &problem["code"]), (507, &json!("storage_full")), "{problem}");
    node.submit(noop(0)).await;
    disk.make_room();
    assert_eq!(node.upload("small.csv", vec![b'a'; 1000]).await.0, 201);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_of_the_files_fails_the_attempts_that_write_there_and_nothing_else() {
    let Some(disk) = SmallDisk::mount(16) else { return a_file_that_may_not_grow().await };
    let elsewhere = tempfile::tempdir().unwrap();
    let home = Home::with_files_in(disk.path(), elsewhere.path().join("errand.db"));
    let node = home.start(&[]);
    disk.fill();
    let id = node.submit(json!({"type": "csv_processing", "params": {"num_rows": 5000}})).await;
    let task = node.until(&id, PATIENCE, |task| task["finished_at"].is_string()).await;
    assert_eq!((&task["status"], &task["error"]["code"]), (&json!("FAILED"), &json!("storage_full")), "{task}");
    submit(&node, 5).await;
    until(|| count_files(&home.folder.path().join("files")) == 0, "nothing half-written is left").await;
    disk.make_room();
    let (status, problem) = node.post(&format!("/api/tasks/{id}/retry"), json!({})).await.unwrap();
    assert_eq!(status, 200, "{problem}");
    let task = node.until(&id, PATIENCE, |task| task["finished_at"].is_string()).await;
    assert_eq!(task["status"], "SUCCESS", "{task}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_postgres_that_says_it_is_full_is_507_until_it_says_so_no_more() {
    says_it_is_full().await;
}

async fn says_it_is_full() {
    let home = Home::postgres().await;
    let node = home.start(&["--workers", "0"]);
    let ids = submit(&node, 5).await;
    let mut server = PgConnection::connect(home.postgres_url()).await.unwrap();
    let refuse = "CREATE FUNCTION no_room() RETURNS trigger LANGUAGE plpgsql AS
                  $$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = '53100'; END $$;
                  CREATE TRIGGER no_room BEFORE INSERT ON tasks EXECUTE FUNCTION no_room()";
    server.execute(sqlx::raw_sql(refuse)).await.unwrap();
    let (status, problem) = node.post("/api/tasks/submit", noop(0)).await.unwrap();
    assert_eq!((status, &problem["code"]), (507, &json!("storage_full")), "{problem}");
    knows(&node, &ids).await;
    server.execute("DROP TRIGGER no_room ON tasks").await.unwrap();
    submit_until_taken(&node, PATIENCE).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_postgres_whose_data_disk_is_full_refuses_what_is_new_and_goes_on_when_there_is_room() {
    let Some(disk) = SmallDisk::mount(48) else { return says_it_is_full().await };
    let server = Server::start(&[]).await;
    let mut admin = server.connect().await;
    let place = disk.folder_for_postgres().await;
    let space = format!("CREATE TABLESPACE small LOCATION '{}'", place.display());
    admin.execute(sqlx::AssertSqlSafe(space)).await.unwrap();
    admin.execute("CREATE DATABASE errand TABLESPACE small").await.unwrap();
    let home = Home::at(server.url(server.port).replace("/postgres", "/errand"));
    let node = home.start(&["--workers", "0"]);
    let mut ids = submit(&node, 20).await;
    disk.fill();
    let (more, status, problem) = submit_until_refused(&node).await;
    ids.extend(more);
    assert_eq!((status, &problem["code"]), (507, &json!("storage_full")), "{problem}");
    knows(&node, &ids).await;
    disk.make_room();
    ids.push(submit_until_taken(&node, PATIENCE).await);
    knows(&node, &ids).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_postgres_whose_log_disk_is_full_stops_and_the_node_goes_on_soon_after_it_is_back() {
    let Some(disk) = SmallDisk::mount(32) else { return says_it_is_full().await };
    let log_folder = format!("--waldir={}", disk.folder_for_postgres().await.display());
    let small_pieces = ["min_wal_size=2MB", "max_wal_size=8MB", "restart_after_crash=on"];
    let server = Server::start_with(&small_pieces, &["--wal-segsize=1", &log_folder]).await;
    let home = Home::at(server.url(server.port));
    let node = home.start(&["--workers", "0"]);
    let mut ids = submit(&node, 20).await;
    disk.fill();
    let (more, status, problem) = submit_until_refused(&node).await;
    ids.extend(more);
    assert!(matches!(status, 503 | 507), "{problem}");
    until(|| !server.is_running(), "the server has ended itself, and cannot come back").await;
    assert_eq!((node.status("/api/ready").await, node.status("/api/live").await), (503, 200));
    disk.make_room();
    server.start_again().await;
    ids.push(submit_until_taken(&node, Duration::from_secs(10)).await);
    knows(&node, &ids).await;
}
