//! How many tasks a pool claims ahead of its places.
//!
//! A claim is a commit. Where tasks take seconds, claiming one whenever a place is free costs
//! nothing; where they take less than the commit, the commits are all the pool does. So it claims
//! ahead what it works off in [`WORTH`], by its own pace a moment ago: nothing while tasks are long,
//! hundreds while they are short.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

/// The work that lies ready is worth so much time: a few commits. What is claimed ahead is no other
/// node's, so it is not more.
const WORTH: Duration = Duration::from_millis(100);
/// The pace is looked at anew after so long.
const LOOK: Duration = Duration::from_millis(50);
/// Never more than this.
const MOST: usize = 1_000;
/// Handlers that take longer on average are worth a claim each.
const SHORT: Duration = Duration::from_millis(20);

/// A pool's pace.
pub struct Ahead {
    state: Mutex<State>,
}

struct State {
    since: Instant,
    ended: u32,
    took: Duration,
    ahead: usize,
}

impl State {
    fn new(since: Instant, ahead: usize) -> State {
        State { since, ended: 0, took: Duration::ZERO, ahead }
    }
}

impl Ahead {
    /// Of a pool that has not worked yet: nothing is claimed ahead.
    pub fn new(now: Instant) -> Ahead {
        Ahead { state: Mutex::new(State::new(now, 0)) }
    }

    /// A handler has ended that took so long.
    pub fn ended(&self, took: Duration) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.ended += 1;
        state.took += took;
    }

    /// How many tasks should lie ready at `now`, beyond those that run.
    pub fn wanted(&self, now: Instant) -> usize {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let elapsed = now - state.since;
        if elapsed >= LOOK {
            let are_short = state.took <= SHORT * state.ended;
            let ahead = f64::from(state.ended) * WORTH.as_secs_f64() / elapsed.as_secs_f64();
            *state = State::new(now, if are_short { (ahead as usize).min(MOST) } else { 0 });
        }
        state.ahead
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a pool wants after `n` handlers of `took` ended within `within`.
    fn after(n: usize, took: Duration, within: Duration) -> usize {
        let begun = Instant::now();
        let ahead = Ahead::new(begun);
        (0..n).for_each(|_| ahead.ended(took));
        ahead.wanted(begun + within)
    }

    #[test]
    fn short_tasks_are_claimed_ahead_by_the_pace() {
        assert_eq!(after(0, Duration::ZERO, LOOK), 0);
        assert_eq!(after(250, Duration::from_micros(50), LOOK), 500);
        assert_eq!(after(100_000, Duration::ZERO, LOOK), MOST);
    }

    #[test]
    fn long_tasks_are_not_however_many_end_together() {
        assert_eq!(after(100, Duration::from_secs(1), LOOK), 0);
    }

    #[test]
    fn a_pool_that_comes_to_rest_claims_nothing_ahead() {
        let begun = Instant::now();
        let ahead = Ahead::new(begun);
        (0..1000).for_each(|_| ahead.ended(Duration::ZERO));
        assert_eq!(ahead.wanted(begun + LOOK), MOST);
        assert_eq!(ahead.wanted(begun + LOOK * 2), 0);
    }
}
