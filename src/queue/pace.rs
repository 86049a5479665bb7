//! How fast things go: counts and histograms by the minute and by the quarter of an hour, for charts and percentiles.
//!
//! Kept in memory and written every few seconds, outside the hot path: a node that is killed
//! loses the last seconds of its charts, never a count of tasks.

use crate::store::Minute;
use crate::task::{Event, Task, Time};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// Buckets to a doubling: a percentile is at most 19 % too high.
const PER_DOUBLING: f64 = 4.0;
/// A quarter of an hour.
pub const QUARTER_MINUTES: i64 = 15;
/// Enough for 2^40 ms, 34 years.
const BUCKETS: usize = 161;

/// A histogram of durations in milliseconds, in buckets that grow by a quarter doubling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Histogram {
    counts: Vec<i64>,
}

impl Default for Histogram {
    fn default() -> Histogram {
        Histogram { counts: vec![0; BUCKETS] }
    }
}

impl Histogram {
    /// Adds one duration.
    pub fn add(&mut self, millis: i64) {
        let bucket = ((millis.max(0) as f64 + 1.0).log2() * PER_DOUBLING).ceil() as usize;
        self.counts[bucket.min(BUCKETS - 1)] += 1;
    }

    /// Adds another histogram, as [`Histogram::to_json`] wrote it.
    pub fn merge(&mut self, json: &str) {
        let pairs: Vec<(usize, i64)> = serde_json::from_str(json).unwrap_or_default();
        for (bucket, n) in pairs.into_iter().filter(|(bucket, _)| *bucket < BUCKETS) {
            self.counts[bucket] += n;
        }
    }

    fn add_all(&mut self, other: &Histogram) {
        for (sum, n) in self.counts.iter_mut().zip(&other.counts) {
            *sum += n;
        }
    }

    /// As JSON: the buckets that are not empty, `[[bucket, count], …]`.
    pub fn to_json(&self) -> String {
        let filled: Vec<(usize, i64)> = self.counts.iter().copied().enumerate().filter(|(_, n)| *n > 0).collect();
        serde_json::to_string(&filled).expect("numbers are JSON")
    }

    /// The upper border of the bucket in which the `q`-quantile lies, in milliseconds; `None` if empty.
    pub fn quantile(&self, q: f64) -> Option<f64> {
        let total: i64 = self.counts.iter().sum();
        let rank = ((total as f64 * q).ceil() as i64).max(1);
        let mut seen = 0;
        let bucket = self.counts.iter().position(|n| {
            seen += n;
            seen >= rank
        })?;
        Some(((bucket as f64 / PER_DOUBLING).exp2() - 1.0).round())
    }
}

/// Tasks submitted, attempts begun, tasks that ended in `SUCCESS`, `FAILED`, `CANCELLED`.
pub type Flow = [i64; 5];

#[derive(Debug, Clone, Default)]
struct Tally {
    submitted: i64,
    started: i64,
    succeeded: i64,
    failed: i64,
    cancelled: i64,
    waits: Histogram,
    runs: Histogram,
}

impl Tally {
    fn add(&mut self, other: &Tally) {
        self.submitted += other.submitted;
        self.started += other.started;
        self.succeeded += other.succeeded;
        self.failed += other.failed;
        self.cancelled += other.cancelled;
        self.waits.add_all(&other.waits);
        self.runs.add_all(&other.runs);
    }
}

/// By the first minute, owner and type.
type Tallies = HashMap<(i64, String, String), Tally>;

/// What this node did in the last minutes.
pub struct Pace {
    node: String,
    minutes: Mutex<Tallies>,
    /// Of the quarters that are not over for long, the minutes that are no longer among the minutes.
    quarters: Mutex<Tallies>,
}

impl Pace {
    /// Nothing yet. `node` must be new with every start of the process.
    pub fn new(node: String) -> Pace {
        Pace { node, minutes: Mutex::default(), quarters: Mutex::default() }
    }

    /// Tasks were submitted.
    pub fn submitted<'a>(&self, tasks: impl Iterator<Item = &'a Task>) {
        let mut minutes = self.minutes.lock().unwrap_or_else(PoisonError::into_inner);
        for task in tasks {
            tally(&mut minutes, task, task.created_at).submitted += 1;
        }
    }

    /// Transitions happened; each task is as it is right after.
    pub fn happened<'a>(&self, transitions: impl Iterator<Item = (Event, &'a Task)>) {
        let mut minutes = self.minutes.lock().unwrap_or_else(PoisonError::into_inner);
        for (event, task) in transitions {
            let tally = tally(&mut minutes, task, task.updated_at);
            match event {
                Event::Started => {
                    tally.started += 1;
                    // A time before the submit means at once.
                    tally.waits.add(task.updated_at.since(task.run_at.max(task.created_at)));
                }
                Event::Succeeded => tally.succeeded += 1,
                Event::Failed => tally.failed += 1,
                Event::Cancelled | Event::Rejected => tally.cancelled += 1,
                _ => {}
            }
            if let (Event::Succeeded | Event::Failed, Some(started)) = (event, task.started_at) {
                tally.runs.add(task.updated_at.since(started));
            }
        }
    }

    /// Which node this is.
    pub fn node(&self) -> &str {
        &self.node
    }

    /// What is known so far in short: minute, owner and type of each, and what happened.
    pub fn flows(&self) -> Vec<(i64, String, String, Flow)> {
        let minutes = self.minutes.lock().unwrap_or_else(PoisonError::into_inner);
        let flow = |tally: &Tally| [tally.submitted, tally.started, tally.succeeded, tally.failed, tally.cancelled];
        let one = |((minute, owner, r#type), tally): (&(i64, String, String), &Tally)| {
            (*minute, owner.clone(), r#type.clone(), flow(tally))
        };
        minutes.iter().map(one).collect()
    }

    /// What is to be written now: minutes, and quarters. Minutes before the last one are forgotten here: they are whole. So
    /// are quarters that ended before it.
    pub fn take(&self, now: Time) -> (Vec<Minute>, Vec<Minute>) {
        let (now, written) = (minute_of(now), (self.peek(), self.peek_quarters()));
        let mut minutes = self.minutes.lock().unwrap_or_else(PoisonError::into_inner);
        let mut quarters = self.quarters.lock().unwrap_or_else(PoisonError::into_inner);
        for ((minute, owner, r#type), tally) in minutes.extract_if(|(minute, ..), _| *minute + 1 < now) {
            quarters.entry((quarter_of(minute), owner, r#type)).or_default().add(&tally);
        }
        quarters.retain(|(first, ..), _| first + QUARTER_MINUTES >= now);
        written
    }

    /// What is known of the minutes and not yet forgotten.
    pub fn peek(&self) -> Vec<Minute> {
        self.rows(&self.minutes.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What is known of the quarters and not yet forgotten.
    pub fn peek_quarters(&self) -> Vec<Minute> {
        // In the order of `take`: between the two a minute would be in neither.
        let minutes = self.minutes.lock().unwrap_or_else(PoisonError::into_inner);
        let mut quarters = self.quarters.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for ((minute, owner, r#type), tally) in minutes.iter() {
            quarters.entry((quarter_of(*minute), owner.clone(), r#type.clone())).or_default().add(tally);
        }
        self.rows(&quarters)
    }

    fn rows(&self, tallies: &Tallies) -> Vec<Minute> {
        let minute = |((minute, owner, r#type), tally): (&(i64, String, String), &Tally)| Minute {
            minute: *minute,
            node: self.node.clone(),
            owner: owner.clone(),
            r#type: r#type.clone(),
            submitted: tally.submitted,
            started: tally.started,
            succeeded: tally.succeeded,
            failed: tally.failed,
            cancelled: tally.cancelled,
            waits: tally.waits.to_json(),
            runs: tally.runs.to_json(),
        };
        tallies.iter().map(minute).collect()
    }
}

/// The minute of an instant, counted since 1970.
pub fn minute_of(time: Time) -> i64 {
    time.0.div_euclid(60_000)
}

/// The first minute of the quarter of an hour that a minute lies in.
pub fn quarter_of(minute: i64) -> i64 {
    minute - minute.rem_euclid(QUARTER_MINUTES)
}

fn tally<'a>(minutes: &'a mut Tallies, task: &Task, at: Time) -> &'a mut Tally {
    minutes.entry((minute_of(at), task.owner.clone(), task.r#type.clone())).or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_at_most_a_bucket_too_high() {
        let mut histogram = Histogram::default();
        (1..=1000).for_each(|millis| histogram.add(millis));
        for (q, exact) in [(0.5, 500.0), (0.95, 950.0), (0.99, 990.0)] {
            let quantile = histogram.quantile(q).unwrap();
            assert!((exact..exact * 1.2).contains(&quantile), "{q}: {quantile}");
        }
    }

    #[test]
    fn a_histogram_survives_its_json() {
        let mut histogram = Histogram::default();
        [0, 5, 5, 70_000].into_iter().for_each(|millis| histogram.add(millis));
        let mut read = Histogram::default();
        read.merge(&histogram.to_json());
        assert_eq!(read, histogram);
    }

    #[test]
    fn a_quarter_is_the_sum_of_its_minutes_and_is_forgotten_once_it_was_written_whole() {
        let pace = Pace::new("n".to_owned());
        let at = |minute: i64| Time(minute * 60_000);
        for minute in 30..60 {
            let task = ended(at(minute));
            pace.happened([(Event::Started, &task), (Event::Succeeded, &task)].into_iter());
            pace.take(at(minute));
        }
        let quarters = |(_, quarters): (_, Vec<Minute>)| {
            let mut sums: Vec<_> =
                quarters.iter().map(|q| (q.minute, q.started, q.succeeded, q.runs.clone())).collect();
            sums.sort_unstable();
            sums
        };
        let whole = [(45, 15, 15, "[[40,15]]".to_owned())];
        assert_eq!(quarters(pace.take(at(60))), whole);
        assert_eq!(quarters(pace.take(at(61))), whole);
        assert_eq!(quarters(pace.take(at(61))), []);
    }

    #[test]
    fn a_time_before_the_submit_is_no_wait() {
        let pace = Pace::new("n".to_owned());
        let task = Task { run_at: Time(0), ..ended(Time(60_000)) };
        pace.happened([(Event::Started, &task)].into_iter());
        assert_eq!(pace.take(Time(60_000)).0[0].waits, "[[0,1]]");
    }

    fn ended(at: Time) -> Task {
        let params = serde_json::value::RawValue::from_string("{}".to_owned()).unwrap();
        let task = crate::task::Draft::new("noop", params, "default", "a").into_task(uuid::Uuid::nil(), at);
        Task { started_at: Some(at.plus(-1000)), updated_at: at, ..task }
    }

    #[test]
    fn nothing_has_no_quantile() {
        assert_eq!(Histogram::default().quantile(0.5), None);
    }
}
