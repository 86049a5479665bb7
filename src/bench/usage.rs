//! What a scenario cost: processor time, memory, bytes written, commits. Processor time and memory are
//! read from `/proc`; zero where there is none.

use crate::store::Written;
use serde::Serialize;
use std::fs;

/// The kernel counts processor time in hundredths of a second.
const TICKS_A_SECOND: f64 = 100.0;
const MIB: f64 = 1024.0 * 1024.0;

/// A reading; two of them make a [`Cost`].
pub struct Usage {
    own_ticks: u64,
    machine_ticks: u64,
    written: u64,
    database: Written,
}

/// What one scenario cost.
#[derive(Debug, Serialize)]
pub struct Cost {
    /// Processor seconds of this process (clients and service) for 1,000 tasks.
    pub cpu_seconds_per_1000: f64,
    /// Processor seconds of the whole machine (a Postgres on it included, and whatever else ran).
    pub machine_cpu_seconds_per_1000: f64,
    /// Memory of this process at the end.
    pub rss_mib: f64,
    /// Bytes written for each task: of Postgres' log, or what this process wrote to SQLite's log and file.
    pub written_bytes_per_task: f64,
    /// Transactions the database committed for each task.
    pub commits_per_task: f64,
}

impl Usage {
    /// What has been used up to now.
    pub fn now(database: Written) -> Usage {
        let written = database.log_bytes.unwrap_or_else(|| own_number("io", "write_bytes:"));
        Usage { own_ticks: own_ticks(), machine_ticks: machine_ticks(), written, database }
    }

    /// What `tasks` tasks cost from here to `now`.
    pub fn cost(&self, now: &Usage, tasks: u64) -> Cost {
        let per_task = |n: u64| n as f64 / tasks.max(1) as f64;
        let per_1000 = |ticks: u64| per_task(ticks) / TICKS_A_SECOND * 1000.0;
        Cost {
            cpu_seconds_per_1000: per_1000(now.own_ticks - self.own_ticks),
            machine_cpu_seconds_per_1000: per_1000(now.machine_ticks - self.machine_ticks),
            rss_mib: own_number("status", "VmRSS:") as f64 * 1024.0 / MIB,
            written_bytes_per_task: per_task(now.written - self.written),
            commits_per_task: per_task(now.database.commits - self.database.commits),
        }
    }
}

/// User and system time of this process: fields 14 and 15, counted behind the name in brackets.
fn own_ticks() -> u64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace();
    fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum()
}

/// Time in which a core was not idle: all but idle and waiting for a disk.
fn machine_ticks() -> u64 {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    let ticks: Vec<u64> =
        stat.lines().next().unwrap_or_default().split_whitespace().skip(1).filter_map(|n| n.parse().ok()).collect();
    ticks.iter().enumerate().filter(|(field, _)| *field < 8 && !matches!(field, 3 | 4)).map(|(_, ticks)| ticks).sum()
}

/// The name of the machine's processors.
pub fn processor() -> Option<String> {
    let text = fs::read_to_string("/proc/cpuinfo").ok()?;
    let (_, name) = text.lines().find(|line| line.starts_with("model name"))?.split_once(':')?;
    Some(name.trim().to_owned())
}

/// The machine's memory.
pub fn memory_gib() -> f64 {
    number("/proc/meminfo", "MemTotal:") as f64 * 1024.0 / (1024.0 * MIB)
}

/// Bytes of memory of this process.
pub fn resident() -> u64 {
    own_number("status", "VmRSS:") * 1024
}

/// Nanoseconds of a clock that all processes of a machine share and that is never set.
pub fn nanoseconds() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

fn own_number(file: &str, name: &str) -> u64 {
    number(&format!("/proc/self/{file}"), name)
}

fn number(file: &str, name: &str) -> u64 {
    let text = fs::read_to_string(file).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
    line.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or_default()
}
