//! How long tasks ran this month, and how long they will have by its end: what that costs is for whoever knows a rate.

use super::{Error, Queue};
use crate::store::Day;
use crate::task::{Event, Scope, Task, Time};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};

const DAY_MS: i64 = 24 * 3_600_000;
/// Days are kept for so long: this month's and the last one's.
const KEPT_DAYS: i64 = 62;
/// A projection goes by this much of a month at least: the first task of a month says nothing of it.
const AT_LEAST_MS: i64 = DAY_MS;

/// How long tasks ran in a month.
#[derive(Debug, Clone, PartialEq)]
pub struct Month {
    /// When it began, in UTC.
    pub since: Time,
    /// When it ends.
    pub until: Time,
    /// When this was read.
    pub now: Time,
    /// By type, in milliseconds: of attempts that ended in it.
    pub run_ms: BTreeMap<String, i64>,
}

impl Month {
    /// What `so_far` will be at the month's end if it goes on as it did: by the month up to now, but by a day at least.
    pub fn projected(&self, so_far: f64) -> f64 {
        let (elapsed, left) = (self.now.since(self.since).max(AT_LEAST_MS), self.until.since(self.now));
        so_far * (1.0 + left as f64 / elapsed as f64)
    }
}

/// How long this node's tasks ran on the last days, and how much of that is written down.
#[derive(Debug, Default)]
pub(super) struct RunTime {
    days: Mutex<HashMap<(i64, String, String), Run>>,
}

#[derive(Debug, Default)]
struct Run {
    ms: i64,
    written_ms: i64,
}

impl RunTime {
    /// Transitions happened; each task is as it is right after. An attempt counts that ended by itself or was cancelled; how
    /// long one ran whose worker was lost or gave it back, nobody knows.
    pub(super) fn happened<'a>(&self, transitions: impl Iterator<Item = (Event, &'a Task)>) {
        let mut days = self.days.lock().unwrap_or_else(PoisonError::into_inner);
        for (event, task) in transitions {
            let ended = match event {
                Event::Succeeded | Event::Failed | Event::Retrying => true,
                // What waits is cancelled without a request: its last attempt was counted when that ended.
                Event::Cancelled => task.cancel_requested_at.is_some(),
                _ => false,
            };
            let Some(started) = task.started_at.filter(|_| ended) else { continue };
            let key = (day_of(task.updated_at), task.owner.clone(), task.r#type.clone());
            days.entry(key).or_default().ms += task.updated_at.since(started);
        }
    }

    /// What is to be written down.
    fn unwritten(&self, node: &str) -> Vec<Day> {
        let days = self.days.lock().unwrap_or_else(PoisonError::into_inner);
        let new = days.iter().filter(|(_, run)| run.ms > run.written_ms);
        let day = |((day, owner, r#type), run): (&(i64, String, String), &Run)| Day {
            day: *day,
            node: node.to_owned(),
            owner: owner.clone(),
            r#type: r#type.clone(),
            run_ms: run.ms,
        };
        new.map(day).collect()
    }

    /// These are written down. Of days that are over nothing is kept then.
    fn wrote(&self, written: Vec<Day>, today: i64) {
        let mut days = self.days.lock().unwrap_or_else(PoisonError::into_inner);
        for day in written {
            if let Some(run) = days.get_mut(&(day.day, day.owner, day.r#type)) {
                run.written_ms = day.run_ms;
            }
        }
        days.retain(|(day, ..), run| *day + 1 >= today || run.ms > run.written_ms);
    }
}

impl Queue {
    /// How long tasks of a scope ran this month, on all nodes: up to 5 s old, and without what runs.
    pub async fn month(&self, scope: &Scope) -> Result<Month, Error> {
        let now = self.inner.clock.now();
        let (since, until) = now.month();
        let run_ms = self.inner.store.run_time(scope, day_of(since)).await?;
        Ok(Month { since, until, now, run_ms: run_ms.into_iter().collect() })
    }

    /// Writes down how long this node's tasks ran, if any did.
    pub(super) async fn write_run_time(&self) {
        let (today, days) = (day_of(self.inner.clock.now()), self.inner.run_time.unwritten(self.node()));
        if days.is_empty() {
            return;
        }
        match self.inner.store.put_days(&days, today - KEPT_DAYS).await {
            Ok(()) => self.inner.run_time.wrote(days, today),
            Err(error) => error.tell("how long tasks ran could not be written; it is tried again in a moment"),
        }
    }
}

fn day_of(time: Time) -> i64 {
    time.0.div_euclid(DAY_MS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::{Draft, Status};
    use serde_json::value::RawValue;
    use uuid::Uuid;

    const NOON: Time = Time(20_000 * DAY_MS + DAY_MS / 2);

    fn ran(seconds: i64, at: Time) -> Task {
        let params = RawValue::from_string("{}".to_owned()).unwrap();
        let task = Draft::new("noop", params, "default", "a").into_task(Uuid::nil(), at);
        Task { started_at: Some(at.plus(-seconds * 1000)), updated_at: at, status: Status::Success, ..task }
    }

    fn unwritten(run_time: &RunTime) -> Vec<(i64, i64)> {
        let mut days: Vec<_> = run_time.unwritten("n").into_iter().map(|day| (day.day, day.run_ms)).collect();
        days.sort_unstable();
        days
    }

    #[test]
    fn each_end_of_an_attempt_counts_once_and_a_cancel_of_what_waits_not_again() {
        let run_time = RunTime::default();
        let task = ran(2, NOON);
        let asked = Task { cancel_requested_at: Some(NOON), ..task.clone() };
        let events =
            [Event::Started, Event::Retrying, Event::Released, Event::Rescued, Event::Cancelled, Event::Succeeded];
        run_time.happened(events.into_iter().map(|event| (event, &task)));
        run_time.happened([(Event::CancelRequested, &asked), (Event::Cancelled, &asked)].into_iter());
        assert_eq!(unwritten(&run_time), [(20_000, 6_000)]);
    }

    #[test]
    fn what_is_written_is_written_again_only_when_it_has_grown() {
        let run_time = RunTime::default();
        let tomorrow = NOON.plus(2 * DAY_MS);
        run_time.happened([(Event::Succeeded, &ran(1, NOON))].into_iter());
        let written = run_time.unwritten("n");
        run_time.happened([(Event::Succeeded, &ran(1, NOON))].into_iter());
        run_time.wrote(written, 20_000);
        assert_eq!(unwritten(&run_time), [(20_000, 2_000)]);
        run_time.wrote(run_time.unwritten("n"), 20_000);
        assert!(unwritten(&run_time).is_empty());
        run_time.happened([(Event::Succeeded, &ran(3, tomorrow))].into_iter());
        run_time.wrote(run_time.unwritten("n"), 20_002);
        assert_eq!(run_time.days.lock().unwrap().len(), 1, "what is over is not kept in memory");
    }

    #[test]
    fn a_projection_goes_on_at_the_pace_of_the_month_but_not_of_its_first_minutes() {
        let (since, until) = Time::parse("2026-06-15T00:00:00Z").unwrap().month();
        let month = |days: f64| {
            let now = since.plus((days * DAY_MS as f64) as i64);
            Month { since, until, now, run_ms: BTreeMap::new() }
        };
        assert_eq!(month(15.0).projected(2.0), 4.0);
        assert_eq!(month(30.0).projected(2.0), 2.0);
        assert!(month(0.001).projected(1.0) <= 31.0);
    }
}
