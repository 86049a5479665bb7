//! One change told to many sockets: how long it takes to the last of them, and what a socket costs.

use super::http::Server;
use super::usage::{nanoseconds, resident};
use super::{Measured, door, measured};
use crate::queue::Queue;
use crate::task::Draft;
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;
use tokio::time::{sleep, timeout};

/// More changes tell nothing more.
const MAX_CHANGES: u64 = 50;
/// How far apart they are.
const APART: Duration = Duration::from_millis(100);
/// How long sockets are idle before their memory is read.
const SETTLED: Duration = Duration::from_secs(2);
/// How long the other side may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Some submits, each told to so many sockets, which a process of its own holds.
pub async fn fanout(queue: &Queue, tasks: u64, sockets: usize) -> Result<Measured, String> {
    let changes = tasks.min(MAX_CHANGES);
    let server = Server::start(queue)?;
    // What the first socket brings along is no cost of each.
    listeners(&server, 1, 0)?.wait().await.map_err(|error| error.to_string())?;
    let before = resident();
    let mut child = listeners(&server, sockets, changes)?;
    let mut lines = BufReader::new(child.stdout.take().ok_or("no pipe")?).lines();
    let mut said = async || match timeout(PATIENCE, lines.next_line()).await {
        Ok(Ok(Some(line))) => Ok(line),
        other => Err(format!("the other side said nothing: {other:?}")),
    };
    said().await?;
    sleep(SETTLED).await;
    let bytes = resident().saturating_sub(before) / sockets as u64;
    let began = Instant::now();
    for _ in 0..changes {
        submit(queue).await?;
        sleep(APART).await;
    }
    let latencies = said().await?;
    let took = began.elapsed();
    child.wait().await.map_err(|error| error.to_string())?;
    server.end().await;
    let latencies: Result<Vec<u64>, _> = latencies.split_whitespace().map(str::parse).collect();
    let latencies = latencies.map_err(|error| error.to_string())?.into_iter().map(Duration::from_nanos).collect();
    let what = format!(
        "{changes} submits, each told to {sockets} sockets of another process; an idle socket costs {:.1} KiB here",
        bytes as f64 / 1024.0
    );
    Ok(measured("fanout", what, changes * sockets as u64, took, "from before the submit to one socket", latencies))
}

/// A noop task that says when it was submitted.
async fn submit(queue: &Queue) -> Result<(), String> {
    let mut draft = Draft::new("noop", door::params(), "default", "bench");
    draft.name = Some(nanoseconds().to_string());
    let prepared = queue.prepare(vec![draft]).await.map_err(|invalid| format!("{invalid:?}"))?;
    queue.submit(prepared, None).await.map_err(|error| error.to_string())?;
    Ok(())
}

/// This program again, as the other side.
fn listeners(server: &Server, sockets: usize, changes: u64) -> Result<tokio::process::Child, String> {
    let mut command = Command::new("/proc/self/exe");
    command.arg("bench-listeners").args([server.address().to_string(), sockets.to_string(), changes.to_string()]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
    command.spawn().map_err(|error| format!("the other side cannot be started: {error}"))
}
