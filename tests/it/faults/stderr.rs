//! Our own log goes to standard error. Whoever should read it may be stuck or gone: the service goes on.

use super::{PATIENCE, until};
use crate::support::node::{Home, Node};
use crate::support::postgres::free_port;
use rustix::fs::{OFlags, fcntl_setfl};
use serde_json::json;
use std::io::{BufRead, BufReader, PipeReader, PipeWriter, Write, pipe};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// What a node has beyond its drain.
const ENDED: Duration = Duration::from_secs(2);

/// A pipe that takes not one byte more.
fn full_pipe() -> (PipeReader, PipeWriter) {
    let (reader, mut writer) = pipe().unwrap();
    fcntl_setfl(&writer, OFlags::NONBLOCK).unwrap();
    while writer.write(b".\n").is_ok() {}
    fcntl_setfl(&writer, OFlags::empty()).unwrap();
    (reader, writer)
}

/// A node that says a lot.
fn start(home: &Home, sink: PipeWriter) -> Node {
    let port = free_port();
    let flags = ["--log", "debug", "--workers", "2", "--drain-seconds", "1"];
    Node::start_with_log_at(port, home.command_on(port, &flags), sink)
}

/// Tasks go all the way, and long requests are told, until so many lines were dropped.
async fn serves_until_dropped(node: &Node, lines: f64) {
    let (begun, long) = (Instant::now(), format!("/api/tasks/{}", "a".repeat(7000)));
    while node.metric("errand_log_lines_dropped_total").await < lines {
        let id = node.submit(json!({"type": "noop", "params": {}})).await;
        node.until(&id, PATIENCE, |task| task["status"] == "SUCCESS").await;
        for _ in 0..100 {
            assert_eq!(node.status(&long).await, 404);
        }
        assert!(begun.elapsed() < PATIENCE, "it says too little");
    }
}

/// Told to stop, it does, in time and as if nothing were wrong.
async fn ends_well(mut node: Node) {
    node.signal("TERM");
    let told = Instant::now();
    assert_eq!(node.ended(PATIENCE).await.code(), Some(0));
    assert!(told.elapsed() < Duration::from_secs(1) + ENDED, "it took {:?}", told.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_whose_log_nobody_reads_serves_and_stops_as_ever() {
    let (home, (reader, writer)) = (Home::sqlite(), full_pipe());
    let node = start(&home, writer);
    node.until_status("/api/ready", 200, PATIENCE).await;
    serves_until_dropped(&node, 1.0).await;
    ends_well(node).await;
    drop(reader);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_is_read_again_says_how_many_lines_were_dropped() {
    let (home, (reader, writer)) = (Home::sqlite(), full_pipe());
    let node = start(&home, writer);
    node.until_status("/api/ready", 200, PATIENCE).await;
    serves_until_dropped(&node, 10.0).await;
    let read = Arc::new(Mutex::new(Vec::new()));
    let reading = std::thread::spawn({
        let (read, lines) = (read.clone(), BufReader::new(reader).lines());
        move || lines.map_while(Result::ok).for_each(|line| read.lock().unwrap().push(line))
    });
    let told = |line: &String| line.contains("lines of this log were dropped");
    until(|| read.lock().unwrap().iter().any(told), "it is told").await;
    ends_well(node).await;
    reading.join().unwrap();
    let lines = read.lock().unwrap();
    let said = lines.iter().find(|line| told(line)).unwrap();
    let dropped: Option<u64> = said.rsplit_once("dropped=").and_then(|(_, n)| n.parse().ok());
    assert!(dropped.is_some_and(|dropped| dropped >= 10), "{said}");
    assert!(lines.iter().any(|line| line.contains("stopped whole=true")), "{:?}", lines.last());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_whose_log_has_lost_its_reader_serves_and_stops_as_ever() {
    let (home, (reader, writer)) = (Home::sqlite(), pipe().unwrap());
    let node = start(&home, writer);
    drop(reader);
    node.until_status("/api/ready", 200, PATIENCE).await;
    serves_until_dropped(&node, 1.0).await;
    ends_well(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_that_is_refused_ends_although_nobody_reads_why() {
    let (home, (reader, writer)) = (Home::sqlite(), full_pipe());
    let _first = home.start(&[]);
    let mut second = start(&home, writer);
    assert_eq!(second.ended(PATIENCE).await.code(), Some(4));
    drop(reader);
}
