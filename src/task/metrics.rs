//! What a task measures of its own work, under names of its own.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// An attempt has at most so many names.
pub const MAX_METRICS: usize = 20;
/// A longer name is refused.
const MAX_NAME: usize = 64;

/// The last value of each name, as the attempt said it: 20 names at most, of 1 to 64 of `a-z 0-9 _ .`, each with a number.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Metrics(BTreeMap<String, f64>);

impl Metrics {
    /// Keeps the last value of a name; answers whether it is another one, or why it is not kept.
    pub fn set(&mut self, name: &str, value: f64) -> Result<bool, &'static str> {
        if !value.is_finite() {
            return Err("is no finite number");
        }
        if let Some(kept) = self.0.get_mut(name) {
            return Ok(std::mem::replace(kept, value) != value);
        }
        let sound = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, b'_' | b'.');
        if name.is_empty() || name.len() > MAX_NAME || !name.bytes().all(sound) {
            return Err("has no name of 1 to 64 of a-z, 0-9, _ and .");
        }
        if self.0.len() == MAX_METRICS {
            return Err("is one more than the 20 an attempt may have");
        }
        self.0.insert(name.to_owned(), value);
        Ok(true)
    }

    /// The last value of this name.
    pub fn get(&self, name: &str) -> Option<f64> {
        self.0.get(name).copied()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_value_of_a_name_is_kept() {
        let mut metrics = Metrics::default();
        assert_eq!([metrics.set("rows.read_2", 1.0), metrics.set("rows.read_2", 1.0)], [Ok(true), Ok(false)]);
        assert_eq!((metrics.set("rows.read_2", -2.5), metrics.get("rows.read_2")), (Ok(true), Some(-2.5)));
        assert_eq!(serde_json::to_string(&metrics).unwrap(), r#"{"rows.read_2":-2.5}"#);
    }

    #[test]
    fn what_is_no_number_or_no_name_or_one_too_many_is_not_kept() {
        let mut metrics = Metrics::default();
        for name in ["", "Rows", "a b", "ä", "a-b", &"x".repeat(65)] {
            assert!(metrics.set(name, 1.0).is_err(), "{name:?}");
        }
        assert!(metrics.set(&"x".repeat(64), 1.0).is_ok());
        for n in 1..MAX_METRICS {
            assert_eq!(metrics.set(&format!("n{n}"), 0.0), Ok(true));
        }
        assert!(metrics.set("n20", 0.0).is_err() && metrics.set("n1", f64::NAN).is_err());
        assert_eq!((metrics.set("n1", 7.0), metrics.get("n1"), metrics.get("n20")), (Ok(true), Some(7.0), None));
    }
}
