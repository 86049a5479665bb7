//! How long to wait before another attempt.

use serde::{Deserialize, Serialize};

/// Exponential backoff, with full jitter unless that is switched off (the "full jitter" of
/// Marc Brooker's "Exponential Backoff and Jitter": a uniform draw between zero and the cap).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Backoff {
    /// The wait before the second attempt, in seconds, 0 to 86,400.
    pub base_seconds: f64,
    /// By how much each further wait grows, 1 to 100.
    pub factor: f64,
    /// No wait is longer than this, in seconds, 0 to 604,800.
    pub max_seconds: f64,
    /// Whether the wait is drawn between zero and the computed one.
    pub jitter: bool,
}

impl Default for Backoff {
    fn default() -> Backoff {
        Backoff { base_seconds: 1.0, factor: 2.0, max_seconds: 3600.0, jitter: true }
    }
}

impl Backoff {
    /// The wait in milliseconds after the `failures`-th failure (1 is the first). `draw` is a
    /// uniform number in 0..1; it is an argument so that the function stays pure.
    pub fn delay_ms(&self, failures: i64, draw: f64) -> i64 {
        let exponent = (failures - 1).clamp(0, 1_000) as i32;
        let wait = (self.base_seconds * self.factor.powi(exponent)).min(self.max_seconds).max(0.0);
        let wait = if self.jitter { wait * draw.clamp(0.0, 1.0) } else { wait };
        (wait * 1000.0).round() as i64
    }

    /// What is wrong with these numbers, as (member, sentence); empty when nothing is.
    pub fn problems(&self) -> Vec<(&'static str, &'static str)> {
        let ranges = [
            ("base_seconds", self.base_seconds, 0.0, 86_400.0, "must be 0 to 86400"),
            ("factor", self.factor, 1.0, 100.0, "must be 1 to 100"),
            ("max_seconds", self.max_seconds, 0.0, 604_800.0, "must be 0 to 604800"),
        ];
        let outside = |&(_, value, low, high, _): &(_, f64, f64, f64, _)| !(low..=high).contains(&value);
        ranges.into_iter().filter(outside).map(|(member, .., sentence)| (member, sentence)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn waits_double_up_to_the_cap() {
        let backoff = Backoff { jitter: false, max_seconds: 5.0, ..Backoff::default() };
        let waits: Vec<i64> = (1..=5).map(|failures| backoff.delay_ms(failures, 0.0)).collect();
        assert_eq!(waits, [1000, 2000, 4000, 5000, 5000]);
    }

    #[test]
    fn jitter_draws_between_nothing_and_the_whole_wait() {
        let backoff = Backoff::default();
        assert_eq!(backoff.delay_ms(3, 0.0), 0);
        assert_eq!(backoff.delay_ms(3, 0.5), 2000);
        assert_eq!(backoff.delay_ms(1_000_000, 1.0), 3_600_000);
    }

    proptest! {
        #[test]
        fn a_wait_lies_within_its_bounds_and_grows(
            base in number(), factor in number(), max in number(), jitter in any::<bool>(),
            failures in prop_oneof![0..50i64, any::<i64>()], draw in 0.0..1.0f64,
        ) {
            let backoff = Backoff { base_seconds: base, factor, max_seconds: max, jitter };
            if !backoff.problems().is_empty() {
                return Ok(());
            }
            let wait = backoff.delay_ms(failures, draw);
            prop_assert!((0..=(max * 1000.0).round() as i64).contains(&wait), "{wait}");
            let steady = Backoff { jitter: false, ..backoff };
            prop_assert!(wait <= steady.delay_ms(failures, 0.0));
            prop_assert!(steady.delay_ms(failures, draw) <= steady.delay_ms(failures.saturating_add(1), draw));
        }
    }

    fn number() -> impl Strategy<Value = f64> {
        prop_oneof![4 => 0.0..200.0f64, 1 => Just(0.0), 1 => 1e3..1e6f64, 1 => any::<f64>(), 1 => Just(f64::NAN)]
    }
}
