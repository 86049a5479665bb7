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
    decimals: Sum,
    any_decimal: bool,
    extremes: Option<(f64, f64)>,
    /// The mean and the sum of squared distances from it, of the numbers less the first one: they
    /// keep their digits where all are far from zero and close to each other.
    first: Option<f64>,
    mean: Sum,
    squares: Sum,
    /// The numbers that are not in these two yet: how many, the sum of their distances from the mean
    /// and that of the squares. A few are taken in together, which saves divisions.
    waiting: u32,
    waiting_sum: f64,
    waiting_squares: f64,
}

/// So many numbers are taken in together, but never more than there were before.
const TOGETHER: u64 = 64;

impl Numbers {
    /// One more whole number.
    pub fn add_integer(&mut self, value: i64) {
        self.integers += i128::from(value);
        self.whole = Some(self.whole.map_or((value, value), |(min, max)| (min.min(value), max.max(value))));
        self.add(value as f64);
    }

    /// One more number; must be finite.
    pub fn add_decimal(&mut self, value: f64) {
        self.decimals.add(value);
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
        let total = self.decimals.total() + self.integers as f64;
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
        let std = (self.with_waiting().1.total() / (self.count as f64 - 1.0)).sqrt();
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
        self.extremes = Some(self.extremes.map_or((value, value), |(min, max)| (min.min(value), max.max(value))));
        let first = *self.first.get_or_insert(value);
        let distance = value - first - self.mean.total();
        let sum = self.waiting_sum + distance;
        if !sum.is_finite() {
            return self.add_far(value, first);
        }
        self.count += 1;
        self.waiting += 1;
        self.waiting_sum = sum;
        self.waiting_squares += distance * distance;
        let before = self.count - u64::from(self.waiting);
        if u64::from(self.waiting) >= before.min(TOGETHER) {
            self.take_in();
        }
    }

    /// Two numbers can be further apart than a number can say, and so can sums of distances.
    fn add_far(&mut self, value: f64, first: f64) {
        self.take_in();
        self.count += 1;
        let (count, mean) = (self.count as f64, self.mean.total());
        let distance = value - first - mean;
        let parts = || value / count - first / count - mean / count;
        let step = if distance.is_finite() { distance / count } else { parts() };
        self.squares.add(distance * (distance - step));
        self.mean.add(step);
    }

    fn take_in(&mut self) {
        (self.mean, self.squares) = self.with_waiting();
        (self.waiting, self.waiting_sum, self.waiting_squares) = (0, 0.0, 0.0);
    }

    /// The mean and the squares with the numbers that wait (Chan, Golub and LeVeque 1983).
    fn with_waiting(&self) -> (Sum, Sum) {
        let (mut mean, mut squares) = (self.mean, self.squares);
        let step = self.waiting_sum / self.count.max(1) as f64;
        mean.add(step);
        squares.add(self.waiting_squares - self.waiting_sum * step);
        (mean, squares)
    }

    fn running_mean(&self) -> f64 {
        self.first.unwrap_or(0.0) + self.with_waiting().0.total()
    }
}

/// A sum, and what rounding took from it (Knuth's exact addition).
#[derive(Default, Clone, Copy, Serialize, Deserialize)]
struct Sum {
    sum: f64,
    lost: f64,
}

impl Sum {
    fn add(&mut self, value: f64) {
        let sum = self.sum + value;
        let added = sum - self.sum;
        self.lost += (self.sum - (sum - added)) + (value - added);
        self.sum = sum;
    }

    fn total(self) -> f64 {
        self.sum + self.lost
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

    #[test]
    fn a_deviation_keeps_its_digits_over_millions_of_numbers() {
        let mut numbers = Numbers::default();
        (1..=2_000_000).for_each(|value| numbers.add_integer(value));
        let exact = ((2e6f64 * 2e6 - 1.0) / 12.0 * 2e6 / (2e6 - 1.0)).sqrt();
        assert!((numbers.std().unwrap() / exact - 1.0).abs() < 1e-15);
    }
}
