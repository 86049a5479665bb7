//! SQLite's log while somebody reads the database as it was a while ago: it cannot shrink, which is
//! told and shown, and it is cut as soon as that ends.

use super::{PATIENCE, knows, until};
use crate::support::node::{Home, Node};
use serde_json::{Value, json};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, Executor};
use std::time::{Duration, Instant};

/// A longer log is cut (`src/store/sqlite/watch.rs`).
const LONG: u64 = 64 << 20;

/// The gauge of the log's size.
async fn log_bytes(node: &Node) -> u64 {
    let text = node.text("/metrics").await;
    let line = text.lines().find_map(|line| line.strip_prefix("errand_sqlite_wal_bytes "));
    line.expect("the gauge is there").parse::<f64>().unwrap() as u64
}

/// Some MiB of tasks in one commit.
fn heavy() -> Value {
    let noise: String = (0..8192).map(|_| uuid::Uuid::new_v4().simple().to_string()).collect();
    let task = json!({"type": "noop", "params": {"noise": noise}});
    json!({"tasks": vec![task; 20]})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_a_reader_holds_up_is_shown_and_told_and_cut_once_the_reader_has_gone() {
    let home = Home::sqlite();
    let node = home.start(&["--workers", "0"]);
    let options = SqliteConnectOptions::new().filename(home.database_file()).read_only(true);
    let mut reader = options.connect().await.unwrap();
    reader.execute("BEGIN; SELECT count(*) FROM tasks").await.unwrap();

    let (batch, mut ids, mut slowest) = (heavy(), Vec::new(), Duration::ZERO);
    while log_bytes(&node).await <= LONG {
        let began = Instant::now();
        let (status, made) = node.post("/api/tasks/batch", batch.clone()).await.unwrap();
        assert_eq!(status, 201, "{made}");
        slowest = slowest.max(began.elapsed());
        ids.extend(made["tasks"].as_array().unwrap().iter().map(|task| task["id"].as_str().unwrap().to_owned()));
        assert!(ids.len() < 2000, "the log does not grow");
    }
    until(|| node.log().contains("log cannot be cut"), "it is told").await;
    assert!(slowest < Duration::from_secs(5), "{slowest:?}");
    reader.close().await.unwrap();
    let began = Instant::now();
    while log_bytes(&node).await > LONG {
        assert!(began.elapsed() < PATIENCE, "the log is still long");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    knows(&node, &ids[..20]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_readers_from_outside_the_log_stays_short() {
    let home = Home::sqlite();
    let node = home.start(&["--workers", "4"]);
    let batch = heavy();
    for _ in 0..30 {
        let (status, made) = node.post("/api/tasks/batch", batch.clone()).await.unwrap();
        assert_eq!(status, 201, "{made}");
        // Readers of our own, all the while.
        assert_eq!(node.status("/api/tasks/?limit=500").await, 200);
        let bytes = log_bytes(&node).await;
        assert!(bytes <= 2 * LONG, "{bytes} bytes");
    }
}
