//! `errand bench`: what this machine and this database can do, through the real door and the real
//! server, on a database of its own that is gone afterwards.

mod door;
mod http;
mod scratch;

use crate::config::{BenchArgs, Config, Scenario};
use crate::queue::Queue;
use scratch::Scratch;
use serde::Serialize;
use std::io::Write;
use std::time::Duration;

/// What one scenario measured.
#[derive(Debug, Serialize)]
pub struct Measured {
    /// Which scenario.
    pub scenario: &'static str,
    /// What it did, in a sentence.
    pub what: &'static str,
    /// Tasks that went through.
    pub tasks: u64,
    /// How long it took.
    pub seconds: f64,
    /// Tasks a second.
    pub per_second: f64,
    /// Of what the latencies are.
    pub latency_of: &'static str,
    /// Latencies in milliseconds.
    pub latency_ms: Latencies,
}

/// Latencies in milliseconds.
#[derive(Debug, Serialize)]
pub struct Latencies {
    /// Half are not above this.
    pub p50: f64,
    /// 99 of 100 are not above this.
    pub p99: f64,
    /// None is above this.
    pub max: f64,
}

/// Where and with what it was measured.
#[derive(Debug, Serialize)]
struct Report {
    version: &'static str,
    build: &'static str,
    cores: usize,
    database: &'static str,
    durability: String,
    history: u64,
    results: Vec<Measured>,
}

/// Runs the scenarios asked for and prints what they measured, as text or as JSON.
pub async fn run(config: &Config, args: &BenchArgs) -> Result<(), String> {
    let scratch = Scratch::make(config).await?;
    let measured = measure(&scratch, args).await;
    scratch.remove().await;
    let report = measured?;
    let text = if args.json { json(&report) } else { table(&report) };
    writeln!(std::io::stdout(), "{text}").map_err(|error| error.to_string())
}

async fn measure(scratch: &Scratch, args: &BenchArgs) -> Result<Report, String> {
    let queue = scratch.queue().await?;
    let durability = queue.store().durability().await.map_err(|error| error.to_string())?;
    if args.history > 0 {
        door::life(&queue, args.history, args.batch).await?;
    }
    let mut results = Vec::new();
    let wants = |scenario| args.scenario == Scenario::All || args.scenario == scenario;
    if wants(Scenario::Life) {
        results.push(door::life(&queue, args.tasks, args.batch).await?);
    }
    if wants(Scenario::Pickup) {
        results.push(door::pickup(&queue, args.tasks.min(1_000)).await?);
    }
    if wants(Scenario::Submit) {
        results.push(http::submit(&queue, args.tasks, args.connections).await?);
    }
    if wants(Scenario::Batch) {
        results.push(http::batch(&queue, args.tasks, args.batch, args.connections.min(8)).await?);
    }
    let report = Report {
        version: env!("CARGO_PKG_VERSION"),
        build: if cfg!(debug_assertions) { "debug" } else { "release" },
        cores: std::thread::available_parallelism().map_or(1, usize::from),
        database: queue.store().database().word(),
        durability,
        history: args.history,
        results,
    };
    close(queue).await;
    Ok(report)
}

async fn close(queue: Queue) {
    queue.store().close().await;
}

/// Sums up what was timed.
fn measured(
    scenario: &'static str,
    what: &'static str,
    tasks: u64,
    took: Duration,
    latency_of: &'static str,
    mut latencies: Vec<Duration>,
) -> Measured {
    latencies.sort_unstable();
    let at = |quantile: f64| {
        let rank = (latencies.len() as f64 * quantile).ceil() as usize;
        latencies.get(rank.max(1) - 1).map_or(0.0, |latency| latency.as_secs_f64() * 1000.0)
    };
    let seconds = took.as_secs_f64();
    let latency_ms = Latencies { p50: at(0.5), p99: at(0.99), max: at(1.0) };
    Measured { scenario, what, tasks, seconds, per_second: tasks as f64 / seconds, latency_of, latency_ms }
}

fn json(report: &Report) -> String {
    serde_json::to_string_pretty(report).expect("plain data is JSON")
}

fn table(report: &Report) -> String {
    let mut text = format!(
        "Errand {} ({} build), {} cores, {}: {}, {} finished tasks before\n\n{:<8} {:>10} {:>9} {:>12} {:>9} {:>9} {:>9}\n",
        report.version,
        report.build,
        report.cores,
        report.database,
        report.durability,
        report.history,
        "scenario",
        "tasks",
        "seconds",
        "tasks/s",
        "p50 ms",
        "p99 ms",
        "max ms"
    );
    for result in &report.results {
        let Latencies { p50, p99, max } = result.latency_ms;
        text += &format!(
            "{:<8} {:>10} {:>9.2} {:>12.0} {:>9.2} {:>9.2} {:>9.2}   {}; latency of {}\n",
            result.scenario,
            result.tasks,
            result.seconds,
            result.per_second,
            p50,
            p99,
            max,
            result.what,
            result.latency_of
        );
    }
    text.trim_end().to_owned()
}
