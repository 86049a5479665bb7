//! How often somebody may do something.

use std::time::Duration;
use tokio::time::Instant;

const WINDOW: Duration = Duration::from_secs(1);

/// Counts what comes within a second.
#[derive(Debug)]
pub struct Rate {
    most: u32,
    n: u32,
    since: Instant,
}

impl Rate {
    /// At most so many a second.
    pub fn of(most: u32) -> Rate {
        Rate { most, n: 0, since: Instant::now() }
    }

    /// One more; whether that is still within the rate.
    pub fn admits(&mut self, now: Instant) -> bool {
        if now.duration_since(self.since) >= WINDOW {
            (self.n, self.since) = (0, now);
        }
        self.n = self.n.saturating_add(1);
        self.n <= self.most
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_later_one_may_again() {
        let (mut rate, now) = (Rate::of(2), Instant::now());
        assert_eq!([rate.admits(now), rate.admits(now), rate.admits(now)], [true, true, false]);
        assert!(rate.admits(now + 2 * WINDOW));
    }
}
