//! Numbers for people: exact counts from the counters, pace from the kept minutes. No rows are counted.

use super::pace::{Histogram, Pace, QUARTER_MINUTES, minute_of};
use super::series::CHART_MINUTES;
use super::{Error, Queue};
use crate::store::{self, Count, Minute, Store};
use crate::task::{Scope, Time};
use futures_util::future::try_join_all;
use std::collections::{HashMap, HashSet};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Percentiles look back this many minutes.
pub(super) const LOOK_BACK_MINUTES: i64 = 60;
/// Minutes are kept for so many minutes: a day.
const KEPT_MINUTES: i64 = 24 * 60;
/// How often what this node did is written, counters are folded and old keys forgotten, if something happened
/// here since: whoever asks for the numbers sums up what was not folded.
const WRITE_EVERY: Duration = Duration::from_secs(5);
/// Once an hour also if nothing did.
const TIDY_ANYWAY: u64 = 720;
/// Idempotency keys are kept this long: 24 h and some.
const KEEP_KEYS_MS: i64 = 25 * 3_600_000;

/// Percentiles of a duration in milliseconds, of the last hour; `None` while there is none.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Quantiles {
    /// Half are not above this.
    pub p50: Option<f64>,
    /// 95 of 100 are not above this.
    pub p95: Option<f64>,
    /// 99 of 100 are not above this.
    pub p99: Option<f64>,
}

/// Something going in, something coming out.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Pair {
    /// Tasks submitted.
    pub submitted: f64,
    /// Tasks ended, however.
    pub finished: f64,
}

/// The numbers of one scope.
#[derive(Debug, Clone, Default)]
pub struct Stats {
    /// Exact, from the counters.
    pub counts: Vec<Count>,
    /// Per second, over the last whole minute.
    pub per_second: Pair,
    /// In the last hour.
    pub last_hour: Pair,
    /// From due to started.
    pub wait_ms: Quantiles,
    /// From started to ended.
    pub run_ms: Quantiles,
}

impl Queue {
    /// The numbers of a scope. Counts are exact; the pace of other nodes is up to 5 s old. Whoever asks
    /// while they are being read shares the next reading.
    pub async fn stats(&self, scope: &Scope) -> Result<Stats, Error> {
        Ok(self.inner.numbers.write(scope.clone()).await?)
    }

    /// House-keeping until stopped: writes down who did what and this node's pace and run times, folds counters, forgets old keys.
    pub async fn keep_house(&self, stop: CancellationToken) {
        tokio::join!(self.keep_pace(stop.clone()), self.inner.journal.keep(stop));
    }

    async fn keep_pace(&self, stop: CancellationToken) {
        // What a process before this one left.
        let mut happened = true;
        for turn in 1_u64.. {
            let stopped = stop.run_until_cancelled(tokio::time::sleep(WRITE_EVERY)).await.is_none();
            happened |= self.write_pace().await;
            self.write_run_time().await;
            if stopped {
                return;
            }
            if happened || turn % TIDY_ANYWAY == 0 {
                happened = !self.tidy().await;
            }
        }
    }

    /// Whether something happened here since the last one.
    async fn write_pace(&self) -> bool {
        let now = self.inner.clock.now();
        let (minutes, mut quarters) = self.inner.pace.take(now);
        if minutes.is_empty() {
            return false;
        }
        let store = &self.inner.store;
        let first = minute_of(now) - CHART_MINUTES - QUARTER_MINUTES;
        quarters.retain(|quarter| quarter.minute >= first); // who slept for so long
        let put = async { store.put_minutes(&minutes).await.and(store.put_quarters(&quarters, first).await) };
        if let Err(error) = put.await {
            error.tell("the pace could not be written; it is tried again in a moment");
        }
        true
    }

    /// Whether it went well.
    async fn tidy(&self) -> bool {
        let now = self.inner.clock.now();
        let tidied = self.inner.store.tidy(now.plus(-KEEP_KEYS_MS), minute_of(now) - KEPT_MINUTES).await;
        if let Err(error) = &tidied {
            error.tell("house-keeping failed; it is tried again in a moment");
        }
        tidied.is_ok()
    }

    /// The kept minutes, with this node's own as they stand in memory.
    pub(super) async fn minutes(&self, scope: &Scope, since: i64) -> Result<Vec<Minute>, Error> {
        Ok(minutes(&*self.inner.store, &self.inner.pace, scope, since).await?)
    }
}

/// The numbers of each of these scopes, in this order; each scope is read once.
pub(super) async fn of_each(store: &dyn Store, pace: &Pace, now: Time, scopes: &[Scope]) -> store::Result<Vec<Stats>> {
    let distinct: HashSet<&Scope> = scopes.iter().collect();
    let read = distinct.into_iter().map(async |scope| of(store, pace, now, scope).await.map(|read| (scope, read)));
    let numbers: HashMap<&Scope, Stats> = try_join_all(read).await?.into_iter().collect();
    Ok(scopes.iter().map(|scope| numbers[scope].clone()).collect())
}

async fn of(store: &dyn Store, pace: &Pace, now: Time, scope: &Scope) -> store::Result<Stats> {
    let now = minute_of(now);
    let (mut waits, mut runs) = (Histogram::default(), Histogram::default());
    let (mut last_minute, mut last_hour) = (Pair::default(), Pair::default());
    for minute in &minutes(store, pace, scope, now - LOOK_BACK_MINUTES).await? {
        waits.merge(&minute.waits);
        runs.merge(&minute.runs);
        add(&mut last_hour, minute);
        if minute.minute == now - 1 {
            add(&mut last_minute, minute);
        }
    }
    let per_second = Pair { submitted: last_minute.submitted / 60.0, finished: last_minute.finished / 60.0 };
    let counts = store.counts(scope).await?;
    Ok(Stats { counts, per_second, last_hour, wait_ms: quantiles(&waits), run_ms: quantiles(&runs) })
}

async fn minutes(store: &dyn Store, pace: &Pace, scope: &Scope, since: i64) -> store::Result<Vec<Minute>> {
    Ok(with_own(store.minutes(scope, since).await?, pace.peek(), scope, since))
}

/// This node's own take the place of those that it has written.
pub(super) fn with_own(mut kept: Vec<Minute>, own: Vec<Minute>, scope: &Scope, since: i64) -> Vec<Minute> {
    let known: HashSet<(i64, &str)> = own.iter().map(|own| (own.minute, own.node.as_str())).collect();
    kept.retain(|kept| !known.contains(&(kept.minute, kept.node.as_str())));
    let visible = |minute: &Minute| scope.owner().is_none_or(|owner| owner == minute.owner);
    kept.extend(own.into_iter().filter(|minute| minute.minute >= since).filter(visible));
    kept
}

fn add(pair: &mut Pair, minute: &Minute) {
    pair.submitted += minute.submitted as f64;
    pair.finished += (minute.succeeded + minute.failed + minute.cancelled) as f64;
}

pub(super) fn quantiles(histogram: &Histogram) -> Quantiles {
    let at = |q| histogram.quantile(q);
    Quantiles { p50: at(0.5), p95: at(0.95), p99: at(0.99) }
}
