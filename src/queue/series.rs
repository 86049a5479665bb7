//! Charts: what happened in a span of time up to now, in points. No rows of tasks are looked at.

use super::pace::{Histogram, QUARTER_MINUTES, minute_of, quarter_of};
use super::stats::{Quantiles, quantiles};
use super::{Error, Queue};
use crate::store::Minute;
use crate::task::{Scope, Time};

/// Charts reach back this many minutes: 7 days.
pub(super) const CHART_MINUTES: i64 = 7 * 24 * 60;
/// A chart has at most this many points.
const MAX_POINTS: i64 = 500;
/// What reaches further back than this many minutes is summed from the quarters of an hour.
const FINE_MINUTES: i64 = 8 * 60;

/// A chart.
#[derive(Debug, Clone)]
pub struct Series {
    /// How much a point sums.
    pub step_minutes: i64,
    /// In order, without a gap; the last one is not over yet.
    pub points: Vec<Point>,
    /// From due to started, of all points together.
    pub wait_ms: Quantiles,
    /// From started to ended, of all points together.
    pub run_ms: Quantiles,
}

/// What happened in one step.
#[derive(Debug, Clone)]
pub struct Point {
    /// When it begins.
    pub at: Time,
    /// Its sums; the rest of it is empty.
    pub sums: Minute,
    /// From due to started.
    pub wait_ms: Quantiles,
    /// From started to ended.
    pub run_ms: Quantiles,
}

impl Queue {
    /// What happened in the last `window_minutes` (at most 7 days), in at most 500 points: by the minute up to 8 hours,
    /// else by quarters of an hour or a multiple, which begin with the hour's. What other nodes did is up to 5 s old.
    pub async fn timeseries(&self, scope: &Scope, window_minutes: i64) -> Result<Series, Error> {
        let window = window_minutes.clamp(1, CHART_MINUTES);
        let last = minute_of(self.inner.clock.now());
        let (step, first, kept) = if window <= FINE_MINUTES {
            let first = last + 1 - window;
            (1, first, self.minutes(scope, first).await?)
        } else {
            let step = ((window + QUARTER_MINUTES) / (MAX_POINTS * QUARTER_MINUTES) + 1) * QUARTER_MINUTES;
            let first = (last + 1 - window).div_euclid(step) * step;
            (step, first, self.quarters(scope, first).await?)
        };
        let mut sums = vec![Sums::default(); ((last - first) / step + 1) as usize];
        let mut all = Sums::default();
        for minute in &kept {
            // A node whose clock is ahead writes into a minute that is to come.
            if let Some(sum) = sums.get_mut(((minute.minute - first) / step) as usize) {
                sum.add(minute);
                all.add(minute);
            }
        }
        let at = |point: usize| Time((first + point as i64 * step) * 60_000);
        let points = sums.into_iter().enumerate().map(|(point, sum)| Point {
            at: at(point),
            wait_ms: quantiles(&sum.waits),
            run_ms: quantiles(&sum.runs),
            sums: sum.sums,
        });
        let (wait_ms, run_ms) = (quantiles(&all.waits), quantiles(&all.runs));
        Ok(Series { step_minutes: step, points: points.collect(), wait_ms, run_ms })
    }

    /// The kept quarters, with this node's own as they stand in memory.
    async fn quarters(&self, scope: &Scope, since: i64) -> Result<Vec<Minute>, Error> {
        let kept = self.inner.store.quarters(scope, quarter_of(since)).await?;
        Ok(super::stats::with_own(kept, self.inner.pace.peek_quarters(), scope, since))
    }
}

#[derive(Debug, Clone, Default)]
struct Sums {
    sums: Minute,
    waits: Histogram,
    runs: Histogram,
}

impl Sums {
    fn add(&mut self, minute: &Minute) {
        self.sums.submitted += minute.submitted;
        self.sums.started += minute.started;
        self.sums.succeeded += minute.succeeded;
        self.sums.failed += minute.failed;
        self.sums.cancelled += minute.cancelled;
        self.waits.merge(&minute.waits);
        self.runs.merge(&minute.runs);
    }
}
