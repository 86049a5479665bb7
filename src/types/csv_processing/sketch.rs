//! Two questions of a column answered in bounded memory: how many distinct values, which quantiles.
//! Both are exact while the values fit, and say so when they no longer are.

use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};
use std::hint::select_unpredictable;

/// 2^14 registers of a byte: a standard error of 1.04 / sqrt(2^14) = 0.8 %.
const REGISTER_BITS: u32 = 14;

/// Counts distinct values by their 64-bit hashes: exactly up to a limit, then by HyperLogLog
/// (Flajolet et al. 2007) with a standard error of 0.8 %.
#[derive(Serialize, Deserialize)]
pub struct Distinct {
    limit: usize,
    closed: bool,
    exact: HashSet<u64, BuildHasherDefault<AsIs>>,
    registers: Vec<u8>,
}

impl Distinct {
    /// Exact up to `limit` values, at about 16 bytes each.
    pub fn new(limit: usize) -> Distinct {
        Distinct { limit, closed: false, exact: HashSet::default(), registers: Vec::new() }
    }

    /// One more value. `false` if it is known to have been there before.
    pub fn add(&mut self, hash: u64) -> bool {
        if self.closed {
            return true;
        }
        if !self.registers.is_empty() {
            self.register(hash);
            return true;
        }
        let new = self.exact.insert(hash);
        if self.exact.len() > self.limit {
            self.registers = vec![0; 1 << REGISTER_BITS];
            std::mem::take(&mut self.exact).into_iter().for_each(|hash| self.register(hash));
        }
        new
    }

    /// By how much an estimate may be off, as a share of it and as a standard error; `None` while it is exact.
    pub fn error(&self) -> Option<f64> {
        (!self.registers.is_empty()).then(|| 1.04 / (self.registers.len() as f64).sqrt())
    }

    /// Nobody will ask any more: frees the memory, and counts no further.
    pub fn close(&mut self) {
        *self = Distinct { closed: true, ..Distinct::new(0) };
    }

    /// How many there were, and whether that is an estimate.
    pub fn count(&self) -> (u64, bool) {
        if self.registers.is_empty() {
            return (self.exact.len() as u64, false);
        }
        let size = self.registers.len() as f64;
        let sum: f64 = self.registers.iter().map(|&rank| 2f64.powi(-i32::from(rank))).sum();
        let raw = 0.7213 / (1.0 + 1.079 / size) * size * size / sum;
        let empty = self.registers.iter().filter(|&&rank| rank == 0).count();
        // Few values: linear counting is the better estimate.
        let count = if raw <= 2.5 * size && empty > 0 { size * (size / empty as f64).ln() } else { raw };
        (count.round() as u64, true)
    }

    fn register(&mut self, hash: u64) {
        let register = &mut self.registers[(hash >> (64 - REGISTER_BITS)) as usize];
        let rank = ((hash << REGISTER_BITS) | (1 << (REGISTER_BITS - 1))).leading_zeros() as u8 + 1;
        *register = (*register).max(rank);
    }
}

/// A 64-bit hash, quick and well mixed (the finisher is MurmurHash3's). Not against an adversary:
/// it only feeds [`Distinct`].
pub fn hash(bytes: &[u8]) -> u64 {
    let mut state = bytes.len() as u64 ^ 0x9e37_79b9_7f4a_7c15;
    let mut mix = |word: u64| state = (state ^ word).wrapping_mul(0xff51_afd7_ed55_8ccd).rotate_left(29);
    let (words, rest) = bytes.as_chunks();
    words.iter().for_each(|bytes| mix(u64::from_le_bytes(*bytes)));
    if !rest.is_empty() {
        mix(word(rest));
    }
    state = (state ^ (state >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    state = (state ^ (state >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    state ^ (state >> 33)
}

/// The first eight bytes, the first of them the lowest; 0 for those that are not there.
pub fn word(bytes: &[u8]) -> u64 {
    let four =
        |at: usize| bytes.get(at..).and_then(<[u8]>::first_chunk).map(|bytes| u64::from(u32::from_le_bytes(*bytes)));
    if let Some(eight) = bytes.first_chunk() {
        return u64::from_le_bytes(*eight);
    }
    match (bytes.len(), four(0)) {
        // The last four overlap the first.
        (length, Some(first)) => first | four(length - 4).unwrap_or(0) << (8 * (length - 4)),
        _ => bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)),
    }
}

/// The hasher of keys that are hashes already.
#[derive(Default)]
pub struct AsIs(u64);

impl Hasher for AsIs {
    fn write(&mut self, _: &[u8]) {}

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// Quantiles of numbers: exactly up to a limit of values, then of a sample of at least half as many, the same one every
/// time: one value, by chance, of each so many that follow one another (stratified sampling, Cochran 1977). What a
/// value takes does not depend on how many there were. With a reservoir it would: each is kept or not as chance has
/// it, which no processor foresees, and the fewer there were, the more often.
#[derive(Serialize, Deserialize)]
pub struct Quantiles {
    limit: usize,
    seen: u64,
    kept: Vec<f64>,
    /// One of so many values is kept, a power of two;
    one_of: u64,
    /// of those that come now, the one at this place among them.
    chosen: u64,
    random: u64,
}

impl Quantiles {
    /// Exact up to `limit` values, two at least, 8 bytes each.
    pub fn new(limit: usize) -> Quantiles {
        let limit = limit.max(1).next_multiple_of(2);
        Quantiles { limit, seen: 0, kept: Vec::new(), one_of: 1, chosen: 0, random: 0x9e37_79b9_7f4a_7c15 }
    }

    /// One more value; must be finite.
    pub fn add(&mut self, value: f64) {
        let place = self.seen & (self.one_of - 1);
        self.seen += 1;
        match self.kept.last_mut() {
            Some(last) if place > 0 => *last = select_unpredictable(place == self.chosen, value, *last),
            _ => self.begin(value),
        }
    }

    /// Keeps the first of so many until the chosen one comes.
    fn begin(&mut self, value: f64) {
        if self.kept.len() == self.limit {
            self.halve();
        }
        if self.kept.len() == self.kept.capacity() {
            self.kept.reserve_exact(self.kept.len().max(4).min(self.limit - self.kept.len()));
        }
        self.kept.push(value);
        self.chosen = self.random() & (self.one_of - 1);
    }

    /// Keeps one of each two that follow one another.
    fn halve(&mut self) {
        let half = self.limit / 2;
        for pair in 0..half {
            let second = (self.random() >> 63) as usize;
            self.kept[pair] = self.kept[2 * pair + second];
        }
        self.kept.truncate(half);
        self.one_of *= 2;
    }

    /// xorshift64.
    fn random(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }

    /// The values kept, in order, and how many they stand for.
    pub fn sorted(&mut self) -> (&[f64], u64) {
        self.kept.sort_unstable_by(f64::total_cmp);
        (&self.kept, self.seen)
    }

    /// The values at these shares (0 to 1), between neighbours by linear interpolation. Empty
    /// without values.
    pub fn at(&mut self, shares: &[f64]) -> Vec<f64> {
        self.sorted();
        let Some(last) = self.kept.len().checked_sub(1) else { return Vec::new() };
        let value = |share: &f64| {
            let position = share * last as f64;
            let (low, high) = (self.kept[position.floor() as usize], self.kept[position.ceil() as usize]);
            let value = low + (high - low) * position.fract();
            // Two numbers can be further apart than a number can say.
            if value.is_finite() { value } else { low }
        };
        shares.iter().map(value).collect()
    }

    /// By how much the share of a quantile may be off, in 99 of 100 cases; `None` while it is
    /// exact. The bound is Hoeffding's (1963).
    pub fn rank_error(&self) -> Option<f64> {
        let sampled = self.seen > self.kept.len() as u64;
        sampled.then(|| ((2.0 / 0.01f64).ln() / (2.0 * self.kept.len() as f64)).sqrt())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distinct_values_are_counted_exactly_while_they_fit() {
        let mut distinct = Distinct::new(1000);
        (0..3000u32).for_each(|i| assert_eq!(distinct.add(hash(&(i % 1000).to_le_bytes())), i < 1000));
        assert_eq!(distinct.count(), (1000, false));
    }

    #[test]
    fn many_distinct_values_are_estimated_within_three_standard_errors() {
        for many in [2_000u32, 50_000, 1_000_000] {
            let mut distinct = Distinct::new(1000);
            (0..many).for_each(|i| _ = distinct.add(hash(i.to_string().as_bytes())));
            let (count, estimated) = distinct.count();
            let off = (count as f64 - f64::from(many)).abs() / f64::from(many);
            assert!(estimated && off < 0.025, "{count} of {many}");
        }
    }

    #[test]
    fn quantiles_are_exact_while_the_values_fit() {
        let mut quantiles = Quantiles::new(10);
        [4.0, 1.0, 3.0, 2.0].into_iter().for_each(|value| quantiles.add(value));
        assert_eq!(quantiles.at(&[0.0, 0.25, 0.5, 1.0]), [1.0, 1.75, 2.5, 4.0]);
        assert_eq!(quantiles.rank_error(), None);
    }

    #[test]
    fn quantiles_of_a_sample_stay_within_their_error() {
        let mut quantiles = Quantiles::new(10_000);
        (0..1_000_000).for_each(|value| quantiles.add(f64::from(value)));
        let error = quantiles.rank_error().unwrap();
        for (share, value) in [0.05, 0.5, 0.95].into_iter().zip(quantiles.at(&[0.05, 0.5, 0.95])) {
            assert!((value / 1e6 - share).abs() < error, "{share}: {value}");
        }
    }

    #[test]
    fn of_each_so_many_values_one_is_kept_and_each_as_often() {
        let mut times = [0u32; 4];
        for random in 1..=4000 {
            let mut quantiles = Quantiles { random: hash(&u64::to_le_bytes(random)), ..Quantiles::new(7) };
            (0..32).for_each(|value| quantiles.add(f64::from(value)));
            let (kept, of) = quantiles.sorted();
            assert_eq!((kept.len(), of), (8, 32));
            for (at, value) in kept.iter().enumerate() {
                assert_eq!(at, *value as usize / 4);
                times[*value as usize % 4] += 1;
            }
        }
        assert!(times.iter().all(|times| times.abs_diff(8000) < 400), "five standard deviations: {times:?}");
    }

    #[test]
    fn a_sketch_that_is_written_down_goes_on_as_if_it_had_not_been() {
        let again = |sketches: &(Distinct, Quantiles)| {
            postcard::from_bytes::<(Distinct, Quantiles)>(&postcard::to_stdvec(sketches).unwrap()).unwrap()
        };
        let mut whole = (Distinct::new(1000), Quantiles::new(1000));
        let mut parts = again(&whole);
        for i in 0..50_000u32 {
            for (distinct, quantiles) in [&mut whole, &mut parts] {
                distinct.add(hash(&(i % 20_000).to_le_bytes()));
                quantiles.add(f64::from(i) / 3.0);
            }
            if i % 700 == 0 {
                parts = again(&parts);
            }
        }
        assert_eq!(parts.0.count(), whole.0.count());
        assert_eq!(parts.1.at(&[0.0, 0.1, 0.5, 0.99]), whole.1.at(&[0.0, 0.1, 0.5, 0.99]));
    }

    #[test]
    fn quantiles_of_the_largest_numbers_are_numbers() {
        let mut quantiles = Quantiles::new(10);
        [f64::MIN, f64::MAX].into_iter().for_each(|value| quantiles.add(value));
        assert!(quantiles.at(&[0.5])[0].is_finite());
    }
}
