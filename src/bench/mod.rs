//! `errand bench`: what this machine and this database can do, through the real door and the real
//! server, on a database of its own that is gone afterwards.

mod door;
mod fanout;
mod history;
mod http;
pub mod listeners;
mod lists;
mod pool;
mod scratch;
mod snapshot;
mod usage;

use crate::config::{BenchArgs, Config, Scenario};
use crate::queue::Queue;
use scratch::Scratch;
use serde::Serialize;
use std::io::Write;
use std::time::Duration;
use usage::{Cost, Usage};

/// What one scenario measured.
#[derive(Debug, Serialize)]
pub struct Measured {
    /// Which scenario.
    pub scenario: &'static str,
    /// What it did, in a sentence.
    pub what: String,
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
    /// What it cost.
    pub cost: Option<Cost>,
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
    /// Of which commit it was built; `None` outside a clone.
    commit: Option<&'static str>,
    cores: usize,
    processor: Option<String>,
    memory_gib: f64,
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
        history::make(&queue, args.history).await?;
        scratch.settle().await?;
    }
    let mut results = Vec::new();
    let asked = |scenario| args.scenario.contains(&scenario);
    if asked(Scenario::Snapshot) {
        results.extend(snapshot::snapshot(scratch, &queue, args).await?);
    }
    for scenario in Scenario::MEASURED {
        if asked(Scenario::All) || asked(scenario) {
            if scenario == Scenario::Lists {
                results.extend(lists::lists(&queue, args).await?);
                continue;
            }
            if scenario == Scenario::Drain {
                pool::backlog(&queue, args.tasks).await?;
            }
            let before = usage(&queue).await?;
            let measured = one(scenario, &queue, args).await?;
            let cost = before.cost(&usage(&queue).await?, measured.tasks);
            results.push(Measured { cost: Some(cost), ..measured });
        }
    }
    let report = Report {
        version: env!("CARGO_PKG_VERSION"),
        build: if cfg!(debug_assertions) { "debug" } else { "release" },
        commit: option_env!("ERRAND_COMMIT"),
        cores: std::thread::available_parallelism().map_or(1, usize::from),
        processor: usage::processor(),
        memory_gib: usage::memory_gib(),
        database: queue.store().database().word(),
        durability,
        history: args.history,
        results,
    };
    close(queue).await;
    Ok(report)
}

async fn one(scenario: Scenario, queue: &Queue, args: &BenchArgs) -> Result<Measured, String> {
    let BenchArgs { tasks, batch, connections, places, seconds, .. } = *args;
    match scenario {
        Scenario::Life => door::life(queue, tasks, batch).await,
        Scenario::Pickup => pool::pickup(queue, tasks.min(1_000), places).await,
        Scenario::Drain => pool::drain(queue, tasks, places).await,
        Scenario::Sustained => http::sustained(queue, tasks, connections, places).await,
        Scenario::Submit => http::submit(queue, tasks, connections).await,
        Scenario::Batch => http::batch(queue, tasks, batch, connections.min(8)).await,
        Scenario::Poll => http::poll(queue, tasks, connections).await,
        Scenario::PollUnchanged => http::poll_unchanged(queue, tasks, connections).await,
        Scenario::Stats => http::stats(queue, tasks, connections).await,
        Scenario::Fanout => fanout::fanout(queue, tasks, args.sockets).await,
        Scenario::Prune => history::prune(queue).await,
        Scenario::Idle => pool::idle(queue, seconds, places).await,
        Scenario::Lists | Scenario::Snapshot | Scenario::All => Err("they are many".to_owned()),
    }
}

async fn usage(queue: &Queue) -> Result<Usage, String> {
    Ok(Usage::now(queue.store().written().await.map_err(|error| error.to_string())?))
}

async fn close(queue: Queue) {
    queue.store().close().await;
}

/// Sums up what was timed.
fn measured(
    scenario: &'static str,
    what: impl Into<String>,
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
    Measured {
        scenario,
        what: what.into(),
        tasks,
        seconds,
        per_second: tasks as f64 / seconds,
        latency_of,
        latency_ms,
        cost: None,
    }
}

fn json(report: &Report) -> String {
    serde_json::to_string_pretty(report).expect("plain data is JSON")
}

fn table(report: &Report) -> String {
    let mut text = format!(
        "Errand {} ({} build of {}), {} cores ({}), {:.0} GiB, {}: {}, {} finished tasks before\n\n{:<10} {:>9} {:>8} {:>10} {:>8} {:>8} {:>8} {:>9} {:>9} {:>7} {:>9} {:>8}\n",
        report.version,
        report.build,
        report.commit.unwrap_or("an unknown commit"),
        report.cores,
        report.processor.as_deref().unwrap_or("of an unknown kind"),
        report.memory_gib,
        report.database,
        report.durability,
        report.history,
        "scenario",
        "tasks",
        "seconds",
        "tasks/s",
        "p50 ms",
        "p99 ms",
        "max ms",
        "CPU s/1k",
        "all s/1k",
        "RSS MiB",
        "written B",
        "commits",
    );
    for result in &report.results {
        let Latencies { p50, p99, max } = result.latency_ms;
        text += &format!(
            "{:<10} {:>9} {:>8.2} {:>10.0} {p50:>8.2} {p99:>8.2} {max:>8.2}",
            result.scenario, result.tasks, result.seconds, result.per_second
        );
        if let Some(cost) = &result.cost {
            text += &format!(
                " {:>9.4} {:>9.4} {:>7.0} {:>9.0} {:>8.4}",
                cost.cpu_seconds_per_1000,
                cost.machine_cpu_seconds_per_1000,
                cost.rss_mib,
                cost.written_bytes_per_task,
                cost.commits_per_task
            );
        }
        text += &format!("   {}; latency of {}\n", result.what, result.latency_of);
    }
    text + "CPU s/1k: of this process for 1,000 tasks; all: of the whole machine; written and commits: for each task"
}
