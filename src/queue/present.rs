//! What is so just now, for whoever watches: counts, throughput of the last seconds, who works, who submits.
//!
//! A [`Present`] is one scope's. It reads nothing by itself: whoever looks at it pays for the look.

use super::costs::Month;
use super::pace::{Flow, Histogram, minute_of};
use super::stats::{LOOK_BACK_MINUTES, Quantiles, quantiles};
use super::{Error, Queue};
use crate::store::{Count, Minute, Submitter};
use crate::task::Scope;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Throughput is that of so long; what other nodes did is known every 5 s, so it is longer than that.
const WINDOW: Duration = Duration::from_secs(10);
/// Kept minutes, workers and submitters are read so far apart: nodes write their minutes as often.
const APART: Duration = Duration::from_secs(5);
/// More running tasks are not looked at; all nodes of a database run fewer.
const MAX_RUNNING: i64 = 50_000;
/// Who submits is told of so many tasks, the last ones.
const LAST_TASKS: i64 = 1_000;
/// At most so many clients, and as many owners, are named.
const MAX_SUBMITTERS: usize = 20;

/// What happened each second.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct PerSecond {
    /// Tasks submitted.
    pub submitted: f64,
    /// Attempts begun.
    pub started: f64,
    /// Tasks that ended in `SUCCESS`.
    pub succeeded: f64,
    /// Tasks that ended in `FAILED`.
    pub failed: f64,
    /// Tasks that ended in `CANCELLED`.
    pub cancelled: f64,
}

/// The pace of everything or of one type.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Going {
    /// Over the last ten seconds, or as long as there was a look; `None` at the first look.
    pub per_second: Option<PerSecond>,
    /// From due to started, of the last hour.
    pub wait_ms: Quantiles,
    /// From started to ended, of the last hour.
    pub run_ms: Quantiles,
}

/// What a look finds.
#[derive(Debug, Clone, Default)]
pub struct Moment {
    /// Exact, from the counters.
    pub counts: Vec<Count>,
    /// Of everything.
    pub going: Going,
    /// Of each type of which anything was done in the last hour.
    pub types: BTreeMap<String, Going>,
    /// How many tasks each worker runs; up to 5 s old, like all below.
    pub workers: Vec<(String, i64)>,
    /// How much each owner submitted in the last hour, the 20 with the most.
    pub owners: Vec<(String, i64)>,
    /// Who submitted the last 1,000 tasks, of whomever, where that is asked for.
    pub submitters: Option<Vec<Submitter>>,
    /// How long tasks ran this month, where that is asked for.
    pub month: Option<Month>,
}

/// What is looked for beside all else.
#[derive(Debug, Clone, Copy)]
pub struct Extras {
    /// How long tasks ran this month.
    pub month: bool,
    /// Who submitted lately. It is counted among the tasks of all owners, so it tells how busy others are.
    pub submitters: bool,
}

/// What one scope is told, look by look.
pub struct Present {
    queue: Queue,
    scope: Scope,
    extras: Extras,
    flows: Flows,
    samples: VecDeque<(Instant, HashMap<String, Flow>)>,
    slow: Option<(Instant, Slow)>,
}

/// What is read every few seconds only.
#[derive(Debug, Clone, Default)]
struct Slow {
    all: Pair,
    types: HashMap<String, Pair>,
    workers: Vec<(String, i64)>,
    owners: Vec<(String, i64)>,
    submitters: Option<Vec<Submitter>>,
    month: Option<Month>,
}

/// Waits and runs.
type Pair = (Quantiles, Quantiles);

impl Queue {
    /// What is so within a scope, from the next look on.
    pub fn present(&self, scope: Scope, extras: Extras) -> Present {
        let (flows, samples) = (Flows::default(), VecDeque::new());
        Present { queue: self.clone(), scope, extras, flows, samples, slow: None }
    }

    /// Which node this is: another one with each start.
    pub fn node(&self) -> &str {
        self.inner.pace.node()
    }

    /// How many places of this node's pool are taken.
    pub fn busy(&self) -> usize {
        self.inner.busy.load(Ordering::Relaxed)
    }

    /// Takes one more of them, until dropped.
    pub fn take_place(&self) -> Taken {
        self.inner.busy.fetch_add(1, Ordering::Relaxed);
        Taken(self.inner.busy.clone())
    }
}

/// A taken place of this node's pool.
#[derive(Debug)]
pub struct Taken(Arc<AtomicUsize>);

impl Drop for Taken {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Present {
    /// A look: the counters each time, all else that must be read at most every 5 s.
    pub async fn look(&mut self) -> Result<Moment, Error> {
        let counts = self.queue.inner.store.counts(&self.scope).await?;
        if self.slow.as_ref().is_none_or(|(at, _)| at.elapsed() >= APART) {
            let slow = self.read().await?;
            self.slow = Some((Instant::now(), slow));
        }
        let (node, last) = (self.queue.node(), minute_of(self.queue.inner.clock.now()) - 1);
        let own = self.queue.inner.pace.flows().into_iter();
        let own = own.filter(|(minute, owner, ..)| *minute >= last && self.scope.sees(owner));
        self.flows.take(own.map(|(minute, owner, r#type, flow)| (Key::of(minute, node, &owner, &r#type), flow)));
        self.flows.forget_before(last);
        self.samples.push_back((Instant::now(), self.flows.totals()));
        while self.samples.get(1).is_some_and(|(at, _)| at.elapsed() >= WINDOW) {
            self.samples.pop_front();
        }
        Ok(self.moment(counts))
    }

    fn moment(&self, counts: Vec<Count>) -> Moment {
        let slow = self.slow.as_ref().map(|(_, slow)| slow.clone()).unwrap_or_default();
        let rates = rates(&self.samples);
        let going = |(wait_ms, run_ms): Pair, per_second| Going { per_second, wait_ms, run_ms };
        let names = slow.types.keys().chain(rates.iter().flat_map(HashMap::keys));
        let of_type = |r#type: &String| {
            let rate = rates.as_ref().map(|rates| rates.get(r#type).copied().unwrap_or_default());
            (r#type.clone(), going(slow.types.get(r#type).copied().unwrap_or_default(), rate))
        };
        Moment {
            counts,
            going: going(slow.all, rates.as_ref().map(|rates| sum(rates.values()))),
            types: names.map(of_type).collect(),
            workers: slow.workers,
            owners: slow.owners,
            submitters: slow.submitters,
            month: slow.month,
        }
    }

    async fn read(&mut self) -> Result<Slow, Error> {
        let (queue, scope) = (&self.queue, &self.scope);
        let now = minute_of(queue.inner.clock.now());
        let minutes = queue.minutes(scope, now - LOOK_BACK_MINUTES).await?;
        let node = queue.node();
        let others = minutes.iter().filter(|minute| minute.node != node && minute.minute >= now - 1);
        self.flows.take(others.map(|minute| {
            let Minute { submitted, started, succeeded, failed, cancelled, .. } = *minute;
            let key = Key::of(minute.minute, &minute.node, &minute.owner, &minute.r#type);
            (key, [submitted, started, succeeded, failed, cancelled])
        }));
        let store = &queue.inner.store;
        let workers = store.at_work(scope, MAX_RUNNING).await?;
        let submitters = match self.extras.submitters {
            true => Some(store.submitters(scope, LAST_TASKS, MAX_SUBMITTERS as i64).await?),
            false => None,
        };
        let month = if self.extras.month { Some(queue.month(scope).await?) } else { None };
        Ok(Slow { workers, submitters, month, ..hour(&minutes) })
    }
}

/// Percentiles and owners of these minutes.
fn hour(minutes: &[Minute]) -> Slow {
    let mut types: HashMap<&str, (Histogram, Histogram)> = HashMap::new();
    let (mut waits, mut runs) = (Histogram::default(), Histogram::default());
    let mut owners: BTreeMap<&str, i64> = BTreeMap::new();
    for minute in minutes {
        let (of_type, to_run) = types.entry(&minute.r#type).or_default();
        for (histogram, kept) in
            [(&mut waits, &minute.waits), (of_type, &minute.waits), (&mut runs, &minute.runs), (to_run, &minute.runs)]
        {
            histogram.merge(kept);
        }
        *owners.entry(&minute.owner).or_default() += minute.submitted;
    }
    let pair = |(waits, runs): &(Histogram, Histogram)| (quantiles(waits), quantiles(runs));
    let mut owners: Vec<(String, i64)> =
        owners.into_iter().filter(|(_, n)| *n > 0).map(|(owner, n)| (owner.to_owned(), n)).collect();
    owners.sort_by_key(|(_, n)| -n);
    owners.truncate(MAX_SUBMITTERS);
    let types = types.iter().map(|(r#type, histograms)| ((*r#type).to_owned(), pair(histograms))).collect();
    Slow { all: pair(&(waits, runs)), types, owners, ..Slow::default() }
}

/// One row of what is counted by the minute.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Key {
    minute: i64,
    node: String,
    owner: String,
    r#type: String,
}

impl Key {
    fn of(minute: i64, node: &str, owner: &str, r#type: &str) -> Key {
        Key { minute, node: node.to_owned(), owner: owner.to_owned(), r#type: r#type.to_owned() }
    }
}

/// What happened since the first look, by type: from counts by the minute that are read again and again.
#[derive(Debug, Default)]
struct Flows {
    known: HashMap<Key, Flow>,
    totals: HashMap<String, Flow>,
}

impl Flows {
    /// Adds what these have grown by since they were last taken; a row that is new began at nothing.
    fn take(&mut self, rows: impl Iterator<Item = (Key, Flow)>) {
        for (key, flow) in rows {
            let total = self.totals.entry(key.r#type.clone()).or_default();
            let before = self.known.insert(key, flow).unwrap_or_default();
            (0..flow.len()).for_each(|at| total[at] += (flow[at] - before[at]).max(0));
        }
    }

    fn forget_before(&mut self, minute: i64) {
        self.known.retain(|key, _| key.minute >= minute);
    }

    fn totals(&self) -> HashMap<String, Flow> {
        self.totals.clone()
    }
}

/// What happened each second from the first of these to the last, by type; `None` while there is only one.
fn rates(samples: &VecDeque<(Instant, HashMap<String, Flow>)>) -> Option<HashMap<String, PerSecond>> {
    let ((from, before), (to, now)) = (samples.front()?, samples.back()?);
    let seconds = to.duration_since(*from).as_secs_f64();
    if seconds <= 0.0 {
        return None;
    }
    let rate = |(r#type, flow): (&String, &Flow)| {
        let before = before.get(r#type).copied().unwrap_or_default();
        let [submitted, started, succeeded, failed, cancelled] =
            std::array::from_fn(|at| (flow[at] - before[at]) as f64 / seconds);
        (r#type.clone(), PerSecond { submitted, started, succeeded, failed, cancelled })
    };
    Some(now.iter().map(rate).collect())
}

fn sum<'a>(rates: impl Iterator<Item = &'a PerSecond>) -> PerSecond {
    rates.fold(PerSecond::default(), |sum, rate| PerSecond {
        submitted: sum.submitted + rate.submitted,
        started: sum.started + rate.started,
        succeeded: sum.succeeded + rate.succeeded,
        failed: sum.failed + rate.failed,
        cancelled: sum.cancelled + rate.cancelled,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(minute: i64, node: &str, submitted: i64) -> (Key, Flow) {
        (Key::of(minute, node, "a", "noop"), [submitted, 0, 0, 0, 0])
    }

    #[test]
    fn what_is_read_again_counts_by_what_it_has_grown() {
        let mut flows = Flows::default();
        flows.take([row(7, "x", 5), row(7, "y", 1)].into_iter());
        flows.take([row(7, "x", 5), row(7, "y", 4)].into_iter());
        flows.forget_before(7);
        flows.take([row(7, "x", 6), row(8, "x", 2)].into_iter());
        assert_eq!(flows.totals()["noop"], [12, 0, 0, 0, 0]);
    }

    #[test]
    fn throughput_is_what_happened_between_the_first_and_the_last_look() {
        let began = Instant::now();
        let sample =
            |seconds, n| (began + Duration::from_secs(seconds), HashMap::from([("noop".to_owned(), [n, 0, 0, 0, 0])]));
        assert!(rates(&VecDeque::from([sample(0, 7)])).is_none());
        let rates = rates(&VecDeque::from([sample(0, 7), sample(4, 9), sample(10, 27)])).unwrap();
        assert_eq!((rates["noop"].submitted, sum(rates.values()).submitted), (2.0, 2.0));
    }

    #[test]
    fn the_busiest_owners_are_named_and_types_are_told_apart() {
        let minute = |owner: usize, r#type: &str, submitted, runs: &str| Minute {
            owner: format!("owner-{owner:02}"),
            r#type: r#type.to_owned(),
            submitted,
            runs: runs.to_owned(),
            ..Minute::default()
        };
        let mut minutes: Vec<Minute> = (0..30).map(|n| minute(n, "noop", n as i64, "[[0,1]]")).collect();
        minutes.push(minute(0, "demo", 100, "[[40,1]]"));
        let Slow { owners, types, all, .. } = hour(&minutes);
        assert_eq!((owners.len(), &owners[0]), (MAX_SUBMITTERS, &("owner-00".to_owned(), 100)));
        let p50 = |r#type: &str| types[r#type].1.p50.unwrap();
        assert!(p50("noop") < 1.0 && p50("demo") > 1000.0 && all.1.p50.unwrap() < 1.0);
    }
}
