//! Where claims begin to look.
//!
//! Whoever holds a snapshot open keeps Postgres from forgetting what was claimed since: the claim's
//! index then begins with dead entries, and each claim from its very beginning would walk all of
//! them. So a claim begins, in each priority, where the last one ended; four times a second, and whenever
//! the last one found less than it asked for, a little before that. What became ready further back through
//! this store is looked for at once, what did so through another node with the next whole claim, which
//! comes every second or two (less often where it is slow).

use crate::store::Claim;
use crate::task::Task;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What is a little before the last claimed task: nodes' clocks differ a little, and what is submitted
/// first is not always written first.
const SLACK_MS: i64 = 250;
/// How often a claim begins that far back, while each finds all it asks for.
const NEAR: Duration = Duration::from_millis(250);
/// How often a claim begins at the very beginning.
const WHOLE: Duration = Duration::from_secs(1);
/// Claims that begin further back may take this part of the time each; where they are slow they come less often.
const SHARE: u32 = 30;
/// With more priorities than these in use every claim is whole: each costs a look of its own.
const PRIORITIES: usize = 16;

/// The heads of one store's claims.
#[derive(Default)]
pub struct Heads {
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    /// The types and queues they are about; other claims begin anew.
    filter: (Vec<String>, Vec<String>),
    /// By priority the `run_at` of the last task claimed there.
    heads: BTreeMap<i64, i64>,
    /// By priority the earliest `run_at` that became ready since the last claim began.
    since: BTreeMap<i64, i64>,
    /// When the next claim is whole, and when one begins a little back.
    whole_at: Option<Instant>,
    near_at: Option<Instant>,
}

/// How far back a claim begins.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Reach {
    #[default]
    Whole,
    Near,
    Exact,
}

/// Ranges of priorities to look into, from high to low, with the `run_at` to begin at.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Ranges {
    reach: Reach,
    pub highest: Vec<i64>,
    pub lowest: Vec<i64>,
    pub from: Vec<i64>,
}

impl Heads {
    /// Where a claim that begins now looks.
    pub fn ranges(&self, claim: &Claim) -> Ranges {
        let mut known = self.known();
        if (&known.filter.0, &known.filter.1) != (&claim.types, &claim.queues) {
            *known = Known { filter: (claim.types.clone(), claim.queues.clone()), ..Known::default() };
        }
        known.since.clear();
        let now = Instant::now();
        let is_due = |at: Option<Instant>| at.is_none_or(|at| at <= now);
        if is_due(known.whole_at) || known.heads.len() > PRIORITIES {
            return Ranges::whole();
        }
        Ranges::behind(&known.heads, if is_due(known.near_at) { Reach::Near } else { Reach::Exact })
    }

    /// What that claim got, in its order.
    pub fn claimed(&self, claim: &Claim, ranges: &Ranges, tasks: &[Task], took: Duration) {
        let mut known = self.known();
        let now = Instant::now();
        if ranges.reach == Reach::Whole {
            known.whole_at = Some(now + WHOLE.max(took * SHARE));
        }
        if ranges.reach != Reach::Exact {
            known.near_at = Some(now + NEAR.max(took * SHARE));
        }
        if (tasks.len() as i64) < claim.max {
            known.near_at = None;
        }
        for task in tasks {
            known.heads.insert(task.priority, task.run_at.0);
        }
        let since = std::mem::take(&mut known.since);
        since.into_iter().for_each(|(priority, run_at)| known.lower(priority, run_at));
    }

    /// A task became ready through this store.
    pub fn ready(&self, priority: i64, run_at: i64) {
        let mut known = self.known();
        known.lower(priority, run_at);
        let earliest = known.since.entry(priority).or_insert(run_at);
        *earliest = run_at.min(*earliest);
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn lower(&mut self, priority: i64, run_at: i64) {
        if let Some(head) = self.heads.get_mut(&priority) {
            *head = run_at.min(*head);
        }
    }
}

impl Ranges {
    fn whole() -> Ranges {
        Ranges::default().then(i64::MAX, i64::MIN, i64::MIN)
    }

    /// Each known priority from its head on, or a little before it, and what lies between them from its beginning.
    fn behind(heads: &BTreeMap<i64, i64>, reach: Reach) -> Ranges {
        let slack = if reach == Reach::Near { SLACK_MS } else { 0 };
        let mut ranges = Ranges { reach, ..Ranges::default() };
        let mut above = i64::MAX;
        for (&priority, &run_at) in heads.iter().rev() {
            ranges = ranges.then(above, priority + 1, i64::MIN).then(priority, priority, run_at - slack);
            above = priority - 1;
        }
        ranges.then(above, i64::MIN, i64::MIN)
    }

    fn then(mut self, highest: i64, lowest: i64, from: i64) -> Ranges {
        self.highest.push(highest);
        self.lowest.push(lowest);
        self.from.push(from);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::{Draft, Time};
    use serde_json::value::RawValue;
    use uuid::Uuid;

    fn task(priority: i64, run_at: i64) -> Task {
        let params = RawValue::from_string("{}".to_owned()).unwrap();
        let draft = Draft { priority, run_at: Some(Time(run_at)), ..Draft::new("noop", params, "default", "me") };
        draft.into_task(Uuid::nil(), Time(0))
    }

    fn claim(types: &[&str]) -> Claim {
        let types = types.iter().map(|name| (*name).to_owned()).collect();
        Claim { worker: "w".to_owned(), max: 3, types, queues: Vec::new(), now: Time(0), lease_ms: 1, ahead: false }
    }

    fn after(tasks: &[Task]) -> Heads {
        let heads = Heads::default();
        claimed(&heads, tasks);
        heads
    }

    fn claimed(heads: &Heads, tasks: &[Task]) {
        let claim = claim(&["a"]);
        heads.claimed(&claim, &heads.ranges(&claim), tasks, Duration::ZERO);
    }

    #[test]
    fn a_claim_begins_a_little_before_the_last_task_of_each_priority() {
        let ranges = after(&[task(5, 7_000), task(0, 2_000)]).ranges(&claim(&["a"]));
        let (max, min) = (i64::MAX, i64::MIN);
        let expected = Ranges {
            reach: Reach::Near,
            highest: vec![max, 5, 4, 0, -1],
            lowest: vec![6, 5, 1, 0, min],
            from: vec![min, 7_000 - SLACK_MS, min, 2_000 - SLACK_MS, min],
        };
        assert_eq!(ranges, expected);
    }

    #[test]
    fn behind_a_claim_that_found_all_it_asked_for_the_next_begins_where_it_ended() {
        let heads = after(&[task(0, 1_000), task(0, 1_500), task(0, 2_000)]);
        assert_eq!(heads.ranges(&claim(&["a"])).from[1], 2_000);
        claimed(&heads, &[task(0, 3_000)]);
        assert_eq!(heads.ranges(&claim(&["a"])).from[1], 3_000 - SLACK_MS);
    }

    #[test]
    fn what_became_ready_further_back_is_not_passed_over() {
        let heads = after(&[task(0, 2_000)]);
        heads.ready(0, 500);
        assert_eq!(heads.ranges(&claim(&["a"])).from[1], 500 - SLACK_MS);
    }

    #[test]
    fn what_became_ready_while_a_claim_was_under_way_is_not_passed_over() {
        let heads = after(&[task(0, 2_000)]);
        let ranges = heads.ranges(&claim(&["a"]));
        heads.ready(0, 500);
        heads.claimed(&claim(&["a"]), &ranges, &[task(0, 3_000)], Duration::ZERO);
        assert_eq!(heads.ranges(&claim(&["a"])).from[1], 500 - SLACK_MS);
    }

    #[test]
    fn a_first_claim_and_one_of_other_types_are_whole() {
        assert_eq!(Heads::default().ranges(&claim(&["a"])), Ranges::whole());
        let heads = after(&[task(0, 2_000)]);
        assert_ne!(heads.ranges(&claim(&["a"])), Ranges::whole());
        assert_eq!(heads.ranges(&claim(&["b"])), Ranges::whole());
    }
}
