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
    /// A table of hashes with their counts, no more than half full: most cells of a column whose
    /// values are all different come and go here, so it has to be quick. A count of 0 is a free place.
    places: Vec<(u64, u64)>,
    used: usize,
    /// Of the values that are more frequent than the error.
    texts: HashMap<u64, Vec<u8>, BuildHasherDefault<AsIs>>,
    /// What was taken from every counter.
    taken: u64,
}

impl Frequent {
    /// Exact up to `limit` values, one at least.
    pub fn new(limit: usize) -> Frequent {
        Frequent { limit: limit.max(1), places: Vec::new(), used: 0, texts: HashMap::default(), taken: 0 }
    }

    /// These hashes come next: what is known of them is fetched from the memory, of all at once.
    pub fn warm(&self, hashes: &[u64]) {
        let Some(mask) = self.places.len().checked_sub(1) else { return };
        std::hint::black_box(hashes.iter().fold(0, |all, hash| all ^ self.places[*hash as usize & mask].1));
    }

    /// One more value. `true` if it is known to have been there before.
    pub fn add(&mut self, hash: u64, text: &[u8]) -> bool {
        if self.places.is_empty() {
            self.places = vec![(0, 0); (2 * self.limit).next_power_of_two()];
        }
        let mut at = self.place(hash);
        if self.places[at].1 > 0 {
            self.places[at].1 += 1;
            // From here on it may be told. Most values never come so far: a copy of them would be in vain.
            if self.places[at].1 == self.taken + 1 {
                self.keep(hash, text);
            }
            return true;
        }
        if self.used == self.limit {
            self.drop_rare();
            at = self.place(hash);
        }
        self.places[at] = (hash, 1);
        self.used += 1;
        if self.taken == 0 {
            self.keep(hash, text);
        }
        false
    }

    /// By how much a count may be too low; a value that is not listed is there no more than twice as
    /// often. 0 while it is exact.
    pub fn error(&self) -> u64 {
        self.taken
    }

    /// The values that are surely more frequent than the error, each with its count, in no order.
    pub fn values(mut self) -> impl Iterator<Item = (Vec<u8>, u64)> {
        let sure = move |(hash, count): (u64, u64)| {
            let text = if count > self.taken { self.texts.remove(&hash) } else { None };
            text.map(|text| (text, count))
        };
        self.places.into_iter().filter_map(sure)
    }

    fn keep(&mut self, hash: u64, text: &[u8]) {
        self.texts.entry(hash).or_insert_with(|| text[..text.len().min(SHOWN_BYTES)].to_vec());
    }

    /// Where the hash stands, or the free place where it would.
    fn place(&self, hash: u64) -> usize {
        let mask = self.places.len() - 1;
        let mut at = hash as usize & mask;
        while self.places[at].1 > 0 && self.places[at].0 != hash {
            at = (at + 1) & mask;
        }
        at
    }

    /// Takes the median from all counters; half of them are gone then, at least.
    fn drop_rare(&mut self) {
        let ones = self.places.iter().filter(|(_, count)| *count == 1).count();
        let median = if 2 * ones > self.used { 1 } else { self.median() };
        let rare = |place: &&(u64, u64)| place.1 > median;
        let left: Vec<(u64, u64)> =
            self.places.iter().filter(rare).map(|(hash, count)| (*hash, count - median)).collect();
        self.places.fill((0, 0));
        for (hash, count) in &left {
            let at = self.place(*hash);
            self.places[at] = (*hash, *count);
        }
        self.used = left.len();
        self.taken += median;
        let mut texts = std::mem::take(&mut self.texts);
        texts.retain(|hash, _| self.places[self.place(*hash)].1 > self.taken);
        self.texts = texts;
    }

    fn median(&self) -> u64 {
        let mut counts: Vec<u64> = self.places.iter().map(|place| place.1).filter(|count| *count > 0).collect();
        let middle = counts.len() / 2;
        *counts.select_nth_unstable(middle).1
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
