//! Sum, mean, standard deviation and extremes of numbers, in one pass and stable.

use serde::{Deserialize, Serialize};
use serde_json::{Number, Value, json};

/// What the numbers so far come to.
#[derive(Default, Serialize, Deserialize)]
pub struct Numbers {
    count: u64,
    /// The whole numbers' sum, exact: 2^64 of them do not overflow it.
    integers: i128,
    whole: Option<(i64, i64)>,
    /// The others' sum and what rounding took from it (Neumaier).
    decimals: f64,
    lost: f64,
    any_decimal: bool,
    extremes: Option<(f64, f64)>,
    /// Welford's running mean and sum of squared distances from it, of the numbers less the first
    /// one: they keep their digits where all are far from zero and close to each other.
    first: Option<f64>,
    mean: f64,
    squares: f64,
}

impl Numbers {
    /// One more whole number.
    pub fn add_integer(&mut self, value: i64) {
        self.integers += i128::from(value);
        self.whole = Some(self.whole.map_or((value, value), |(min, max)| (min.min(value), max.max(value))));
        self.add(value as f64);
    }

    /// One more number; must be finite.
    pub fn add_decimal(&mut self, value: f64) {
        let sum = self.decimals + value;
        let (large, small) =
            if self.decimals.abs() >= value.abs() { (self.decimals, value) } else { (value, self.decimals) };
        self.lost += (large - sum) + small;
        self.decimals = sum;
        self.any_decimal = true;
        self.add(value);
    }

    /// The sum: exact for whole numbers (as JSON has them up to 64 bits; rounded beyond).
    /// Null where it is beyond what a number can say.
    pub fn sum(&self) -> Value {
        if self.any_decimal {
            return json!(self.total());
        }
        Number::from_i128(self.integers).map_or_else(|| json!(self.integers as f64), Value::Number)
    }

    /// The sum as a decimal number. Where it went beyond what a number can say on the way, by the mean.
    pub fn total(&self) -> f64 {
        let total = self.decimals + self.lost + self.integers as f64;
        if total.is_finite() { total } else { self.running_mean() * self.count as f64 }
    }

    /// The mean; `None` without numbers, or beyond what a number can say.
    pub fn mean(&self) -> Option<f64> {
        let total = self.total();
        let mean = if total.is_finite() { total / self.count as f64 } else { self.running_mean() };
        mean.is_finite().then_some(mean)
    }

    /// The sample's standard deviation (n - 1); `None` with fewer than two numbers.
    pub fn std(&self) -> Option<f64> {
        let std = (self.squares / (self.count as f64 - 1.0)).sqrt();
        (self.count > 1 && std.is_finite()).then_some(std)
    }

    /// The least and the greatest; whole numbers where all are.
    pub fn extremes(&self) -> (Value, Value) {
        let pair = |(min, max)| (json!(min), json!(max));
        match self.whole.filter(|_| !self.any_decimal) {
            Some((min, max)) => (json!(min), json!(max)),
            None => self.extremes.map_or((Value::Null, Value::Null), pair),
        }
    }

    /// The least and the greatest as decimal numbers; `None` without numbers.
    pub fn range(&self) -> Option<(f64, f64)> {
        self.extremes
    }

    fn add(&mut self, value: f64) {
        self.count += 1;
        self.extremes = Some(self.extremes.map_or((value, value), |(min, max)| (min.min(value), max.max(value))));
        let (count, first) = (self.count as f64, *self.first.get_or_insert(value));
        let shifted = value - first;
        let distance = shifted - self.mean;
        // Two numbers can be further apart than a number can say.
        let parts = || value / count - first / count - self.mean / count;
        self.mean += if distance.is_finite() { distance / count } else { parts() };
        self.squares += distance * (shifted - self.mean);
    }

    fn running_mean(&self) -> f64 {
        self.first.unwrap_or(0.0) + self.mean
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[f64]) -> Numbers {
        let mut numbers = Numbers::default();
        values.iter().for_each(|value| numbers.add_decimal(*value));
        numbers
    }

    #[test]
    fn a_sum_keeps_what_rounding_would_take() {
        assert_eq!(of(&[1.0, 1e100, 1.0, -1e100]).total(), 2.0);
        assert_eq!(of(&[0.1; 10]).total(), 1.0);
    }

    #[test]
    fn a_sum_of_whole_numbers_is_exact() {
        let mut numbers = Numbers::default();
        [i64::MAX, 1, -1, 5 - i64::MAX].into_iter().for_each(|value| numbers.add_integer(value));
        assert_eq!(numbers.sum(), json!(5));
    }

    #[test]
    fn a_deviation_is_stable_far_from_zero() {
        assert_eq!(of(&[1e9 + 4.0, 1e9 + 7.0, 1e9 + 13.0, 1e9 + 16.0]).std(), Some(30f64.sqrt()));
        assert_eq!(of(&[5.0]).std(), None);
        // 10,000 of them, 1/8 apart: sqrt((n² - 1) / 12 · n / (n - 1)) / 8.
        let values: Vec<f64> = (0..10_000).map(|i| 1e9 + f64::from(i) / 8.0).collect();
        let expected = ((1e8 - 1.0) / 12.0 * 1e4 / 9999.0f64).sqrt() / 8.0;
        assert!((of(&values).std().unwrap() / expected - 1.0).abs() < 1e-14);
    }

    #[test]
    fn what_no_number_can_say_is_null() {
        let numbers = of(&[f64::MAX, f64::MAX]);
        assert_eq!((numbers.sum(), numbers.mean()), (Value::Null, Some(f64::MAX)));
        assert_eq!(of(&[f64::MAX, f64::MIN]).std(), None);
    }

    #[test]
    fn a_sum_that_goes_beyond_what_a_number_can_say_may_come_back() {
        let numbers = of(&[1e308, 1e308, -1e308, 5.0]);
        let (sum, mean) = (numbers.total() / 1e308, numbers.mean().unwrap() / 2.5e307);
        assert!((sum - 1.0).abs() < 1e-12 && (mean - 1.0).abs() < 1e-12, "{sum} {mean}");
    }
}
