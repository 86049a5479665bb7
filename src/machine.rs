//! What this process and its machine use, as the system says it. Linux says it in files; where there are none, only
//! processor time and the disk are known.

use crate::disk::{self, Room};
use std::fs;
use std::path::PathBuf;
use std::time::Instant;

/// What is used; `None` where the system does not say. What is "a second" needs two readings: the first has none.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Usage {
    /// Of this process, 100 for each core that is busy with it.
    pub cpu_percent: Option<f64>,
    /// Of the whole machine, 100 where all cores are busy.
    pub machine_cpu_percent: Option<f64>,
    /// Memory of this process.
    pub rss_bytes: Option<u64>,
    /// Memory that programs could still have.
    pub memory_available_bytes: Option<u64>,
    /// Memory in all.
    pub memory_total_bytes: Option<u64>,
    /// Where the folder lies.
    pub disk: Option<Room>,
    /// Bytes that came in a second, over all interfaces but the loopback.
    pub received_per_second: Option<f64>,
    /// Bytes that went out a second, likewise.
    pub sent_per_second: Option<f64>,
}

/// Reads what is used, and compares with what it read before.
#[derive(Debug)]
pub struct Meter {
    folder: PathBuf,
    before: Option<Counters>,
}

/// What only grows.
#[derive(Debug, Clone, Copy)]
struct Counters {
    at: Instant,
    process_seconds: f64,
    /// Ticks of all cores: busy, and all.
    machine: Option<(u64, u64)>,
    /// Bytes in and out.
    network: Option<(u64, u64)>,
}

impl Meter {
    /// One that looks at the disk where this folder lies.
    pub fn new(folder: PathBuf) -> Meter {
        Meter { folder, before: None }
    }

    /// What is used now. It reads files and asks for the disk: not for a thread that must not wait.
    pub fn read(&mut self) -> Usage {
        let now = Counters::now();
        let memory = text("/proc/meminfo");
        let of_memory = |name| memory.as_deref().and_then(|text| kilobytes(text, name));
        let mut usage = Usage {
            rss_bytes: text("/proc/self/status").and_then(|text| kilobytes(&text, "VmRSS:")),
            memory_available_bytes: of_memory("MemAvailable:"),
            memory_total_bytes: of_memory("MemTotal:"),
            disk: disk::room(&self.folder).ok(),
            ..Usage::default()
        };
        if let Some(before) = self.before.replace(now) {
            before.compare(&now, &mut usage);
        }
        usage
    }
}

impl Counters {
    fn now() -> Counters {
        let spent = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        Counters {
            at: Instant::now(),
            process_seconds: spent.tv_sec as f64 + spent.tv_nsec as f64 / 1e9,
            machine: text("/proc/stat").and_then(|text| ticks(&text)),
            network: text("/proc/net/dev").and_then(|text| traffic(&text)),
        }
    }

    fn compare(&self, now: &Counters, usage: &mut Usage) {
        let seconds = now.at.duration_since(self.at).as_secs_f64();
        if seconds <= 0.0 {
            return;
        }
        let grown = |before: u64, now: u64| now.saturating_sub(before) as f64;
        usage.cpu_percent = Some((now.process_seconds - self.process_seconds).max(0.0) / seconds * 100.0);
        if let (Some((busy, all)), Some((busy_now, all_now))) = (self.machine, now.machine) {
            usage.machine_cpu_percent = Some((grown(busy, busy_now) / grown(all, all_now).max(1.0) * 100.0).min(100.0));
        }
        if let (Some((received, sent)), Some((received_now, sent_now))) = (self.network, now.network) {
            usage.received_per_second = Some(grown(received, received_now) / seconds);
            usage.sent_per_second = Some(grown(sent, sent_now) / seconds);
        }
    }
}

fn text(path: &str) -> Option<String> {
    fs::read_to_string(path).ok()
}

/// The number behind a name, in kB.
fn kilobytes(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kb| kb * 1024)
}

/// Busy and all ticks: user, nice, system, idle, waiting for a disk, interrupts (two), stolen. Guests' are in the first.
fn ticks(stat: &str) -> Option<(u64, u64)> {
    let line = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
    let ticks: Vec<u64> = line.split_whitespace().take(8).map(|n| n.parse().unwrap_or(0)).collect();
    let (all, idle) = (ticks.iter().sum::<u64>(), ticks.get(3)? + ticks.get(4)?);
    Some((all - idle, all))
}

/// Bytes in and out of all interfaces but the loopback.
fn traffic(dev: &str) -> Option<(u64, u64)> {
    let interfaces = dev.lines().filter_map(|line| line.split_once(':')).filter(|(name, _)| name.trim() != "lo");
    let sums = interfaces.map(|(_, numbers)| {
        let mut numbers = numbers.split_whitespace().map(|n| n.parse().unwrap_or(0));
        (numbers.next().unwrap_or(0), numbers.nth(7).unwrap_or(0))
    });
    sums.reduce(|(received, sent), (more_received, more_sent)| (received + more_received, sent + more_sent))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn what_the_system_says_is_read() {
        let stat = "cpu  10 5 15 60 10 0 0 0 7 0\ncpu0 1 1 1 1 1 1 1 1 0 0\n";
        assert_eq!(ticks(stat), Some((30, 100)));
        let dev = "Inter-| Receive | Transmit\n face |bytes\n    lo: 9 1 0 0 0 0 0 0 9 1 0\n  eth0: 100 1 0 0 0 0 0 0 40 1 0\n \
                   eth1:7 1 0 0 0 0 0 0 2 1 0\n";
        assert_eq!(traffic(dev), Some((107, 42)));
        assert_eq!(kilobytes("Name:\terrand\nVmRSS:\t  12 kB\n", "VmRSS:"), Some(12 * 1024));
    }

    #[test]
    fn what_makes_no_sense_is_not_known() {
        assert_eq!(
            (ticks(""), ticks("cpu 1 2"), traffic(""), kilobytes("VmRSS: x kB", "VmRSS:")),
            (None, None, None, None)
        );
    }

    #[test]
    fn what_is_a_second_is_what_grew_in_between() {
        let before =
            Counters { at: Instant::now(), process_seconds: 1.0, machine: Some((10, 100)), network: Some((5, 50)) };
        let now = Counters {
            at: before.at + Duration::from_secs(2),
            process_seconds: 2.0,
            machine: Some((60, 200)),
            network: Some((25, 50)),
        };
        let mut usage = Usage::default();
        before.compare(&now, &mut usage);
        assert_eq!((usage.cpu_percent, usage.machine_cpu_percent), (Some(50.0), Some(50.0)));
        assert_eq!((usage.received_per_second, usage.sent_per_second), (Some(10.0), Some(0.0)));
    }

    #[test]
    fn the_first_reading_knows_nothing_of_a_second() {
        let mut meter = Meter::new(".".into());
        let first = meter.read();
        assert_eq!((first.cpu_percent, first.received_per_second), (None, None));
        assert!(first.disk.is_some() && meter.read().cpu_percent.is_some());
    }
}
