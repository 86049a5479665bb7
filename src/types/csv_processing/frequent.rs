//! A column's most frequent values, in bounded memory.

use super::sketch::AsIs;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::hash::BuildHasherDefault;

/// As much of a value is kept.
const SHOWN_BYTES: usize = 200;

/// Counts values by the 64-bit hashes of their texts: exactly up to a limit of values, then only
/// the frequent ones, each too low by no more than is told (Misra and Gries 1982, with the median
/// taken from all counters at once).
#[derive(Serialize, Deserialize)]
pub struct Frequent {
    limit: usize,
    counters: HashMap<u64, Counter, BuildHasherDefault<AsIs>>,
    /// What was taken from every counter.
    taken: u64,
}

#[derive(Serialize, Deserialize)]
struct Counter {
    count: u64,
    /// Not yet known where the value was seen once, after values had been dropped.
    text: Vec<u8>,
}

impl Frequent {
    /// Exact up to `limit` values.
    pub fn new(limit: usize) -> Frequent {
        Frequent { limit, counters: HashMap::default(), taken: 0 }
    }

    /// One more value, which is not empty. `true` if it is known to have been there before.
    pub fn add(&mut self, hash: u64, text: &[u8]) -> bool {
        let shown = || text[..text.len().min(SHOWN_BYTES)].to_vec();
        if let Some(counter) = self.counters.get_mut(&hash) {
            counter.count += 1;
            if counter.text.is_empty() {
                counter.text = shown();
            }
            return true;
        }
        if self.counters.len() >= self.limit {
            self.drop_rare();
        }
        // Most values that come late come once: a copy of them would be in vain.
        let text = if self.taken == 0 { shown() } else { Vec::new() };
        self.counters.insert(hash, Counter { count: 1, text });
        false
    }

    /// By how much a count may be too low; a value that is not listed is there no more than twice as
    /// often. 0 while it is exact.
    pub fn error(&self) -> u64 {
        self.taken
    }

    /// The values that are surely more frequent than the error, each with its count, in no order.
    pub fn values(self) -> impl Iterator<Item = (Vec<u8>, u64)> {
        let Frequent { counters, taken, .. } = self;
        let sure = move |counter: &Counter| counter.count > taken && !counter.text.is_empty();
        counters.into_values().filter(sure).map(|counter| (counter.text, counter.count))
    }

    /// Takes the median from all counters; half of them are gone then, at least.
    fn drop_rare(&mut self) {
        let mut counts: Vec<u64> = self.counters.values().map(|counter| counter.count).collect();
        let middle = counts.len() / 2;
        let median = *counts.select_nth_unstable(middle).1;
        self.counters.retain(|_, counter| {
            counter.count = counter.count.saturating_sub(median);
            counter.count > 0
        });
        self.taken += median;
    }
}

#[cfg(test)]
mod tests {
    use super::super::sketch::hash;
    use super::*;
    use std::collections::BTreeMap;

    fn of(limit: usize, values: impl Iterator<Item = u64>) -> (u64, BTreeMap<String, u64>) {
        let mut frequent = Frequent::new(limit);
        for value in values {
            let text = value.to_string();
            frequent.add(hash(text.as_bytes()), text.as_bytes());
        }
        let error = frequent.error();
        (error, frequent.values().map(|(text, count)| (String::from_utf8(text).unwrap(), count)).collect())
    }

    #[test]
    fn values_are_counted_exactly_while_they_fit() {
        let (error, counts) = of(10, (0..1000).map(|i| i % 10 * i % 7));
        assert_eq!((error, counts.values().sum::<u64>()), (0, 1000));
    }

    #[test]
    fn a_value_more_frequent_than_the_error_is_found_among_a_million_others() {
        // 7 is every tenth value, 8 every fiftieth; the others come once.
        let value = |i: u64| {
            if i.is_multiple_of(10) {
                7
            } else if i % 50 == 1 {
                8
            } else {
                1000 + i
            }
        };
        let (error, counts) = of(200, (0..1_000_000).map(value));
        assert!(error > 0 && error <= 1_000_000 / 100, "{error}");
        for (name, true_count) in [("7", 100_000), ("8", 20_000)] {
            let count = counts[name];
            assert!(count <= true_count && count + error >= true_count, "{name}: {count} of {true_count}");
        }
        assert_eq!(counts.len(), 2, "and nothing rare is called frequent");
    }

    #[test]
    fn where_every_value_is_another_none_is_frequent() {
        assert_eq!(of(100, 0..100_000).1.len(), 0);
    }
}
