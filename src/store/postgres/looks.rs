//! Where looks for due tasks and for lapsed leases begin.
//!
//! As with claims (see [`super::heads`]): whoever holds a snapshot open keeps Postgres from forgetting
//! dead rows, and both indexes begin with all that was due or leased since. What a look found nothing
//! live in stays empty, because whatever is written later waits for a time that was ahead when it was
//! written, unless a clock was set back in between: of what this store writes it hears that. So a look
//! begins a little before the last one that found nothing.

use crate::store::Due;
use crate::task::Time;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How far before: nodes' clocks differ a little, and a write may be on its way for as long as a call may take.
const SLACK_MS: i64 = super::PATIENCE.as_millis() as i64 + 1_000;
/// How often a look begins at the very beginning: whatever the reasons above missed is found then.
const WHOLE: Duration = Duration::from_secs(60);
/// A whole look may take this part of the time; where it is slow it comes less often.
const SHARE: u32 = 20;

/// The beginnings of one store's looks.
#[derive(Default)]
pub struct Looks {
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    /// Nothing live was due or had lapsed at this instant.
    nothing_at: Option<Time>,
    /// When the next look is whole.
    whole_at: Option<Instant>,
}

impl Looks {
    /// Where a look at `now` begins. A clock that was set back begins anew.
    pub fn from(&self, now: Time) -> Time {
        let known = self.known();
        let whole = known.whole_at.is_none_or(|at| at <= Instant::now());
        match known.nothing_at {
            Some(at) if at <= now && !whole => at.plus(-SLACK_MS),
            _ => Time(i64::MIN),
        }
    }

    /// What the look from there found.
    pub fn found(&self, from: Time, now: Time, due: &Due, took: Duration) {
        let mut known = self.known();
        let is_whole = from == Time(i64::MIN);
        if is_whole {
            known.whole_at = Some(Instant::now() + WHOLE.max(took * SHARE));
        }
        match due.lapsed || due.next.is_some_and(|next| next <= now) {
            false => known.nothing_at = Some(now),
            true if is_whole => known.nothing_at = None,
            true => {}
        }
    }

    /// Something that this store has written waits for this time.
    pub fn waits(&self, time: Time) {
        let mut known = self.known();
        known.nothing_at = known.nothing_at.map(|at| at.min(time));
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: Due = Due { promoted: 0, next: None, lapsed: false };
    const WHOLE_LOOK: Time = Time(i64::MIN);

    /// After a whole look at 100,000 that found nothing.
    fn after_one() -> Looks {
        let looks = Looks::default();
        looks.found(looks.from(Time(100_000)), Time(100_000), &NOTHING, Duration::ZERO);
        looks
    }

    #[test]
    fn a_look_begins_a_little_before_the_last_that_found_nothing() {
        assert_eq!(Looks::default().from(Time(100_000)), WHOLE_LOOK);
        let looks = after_one();
        assert_eq!(looks.from(Time(105_000)), Time(100_000 - SLACK_MS));
        let later = Due { next: Some(Time(200_000)), ..NOTHING };
        looks.found(looks.from(Time(105_000)), Time(105_000), &later, Duration::ZERO);
        assert_eq!(looks.from(Time(110_000)), Time(105_000 - SLACK_MS));
    }

    #[test]
    fn what_was_found_is_found_again_until_it_is_gone() {
        let looks = after_one();
        let lapsed = Due { lapsed: true, ..NOTHING };
        looks.found(looks.from(Time(130_000)), Time(130_000), &lapsed, Duration::ZERO);
        assert_eq!(looks.from(Time(130_000)), Time(100_000 - SLACK_MS));
        looks.found(WHOLE_LOOK, Time(130_000), &lapsed, Duration::ZERO);
        assert_eq!(looks.from(Time(130_000)), WHOLE_LOOK);
    }

    #[test]
    fn what_was_written_while_the_clock_was_set_back_is_not_passed_over() {
        let looks = after_one();
        looks.waits(Time(20_000));
        looks.waits(Time(300_000));
        assert_eq!(looks.from(Time(101_000)), Time(20_000 - SLACK_MS));
    }

    #[test]
    fn a_clock_that_was_set_back_begins_anew() {
        assert_eq!(after_one().from(Time(99_999)), WHOLE_LOOK);
    }
}
