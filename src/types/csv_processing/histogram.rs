//! Numbers as bars: how many of them lie where.

use serde_json::{Value, json};

/// At most so many bars.
const BARS: usize = 20;
/// Beyond, not every whole number is one.
const MOST_EXACT: f64 = 9_007_199_254_740_992.0;

/// How many values each bar holds: from its edge up to the next, without that one but for the last
/// bar, which holds the greatest value too.
#[derive(Debug, PartialEq)]
pub struct Histogram {
    /// One more than there are bars.
    pub edges: Vec<f64>,
    /// A count for each bar.
    pub counts: Vec<u64>,
}

impl Histogram {
    /// Of `sorted` values, which stand for `seen`, within their `least` and `greatest`. Bars of
    /// multiples of `unit` are as wide as a multiple of it; 0 is any width. `None` without values.
    pub fn of(sorted: &[f64], seen: u64, (least, greatest): (f64, f64), unit: f64) -> Option<Histogram> {
        if sorted.is_empty() {
            return None;
        }
        let edges = edges(least, greatest, unit);
        let below = |edge: &f64| sorted.partition_point(|value| value < edge);
        let mut places: Vec<usize> = edges.iter().map(below).collect();
        (places[0], *places.last_mut()?) = (0, sorted.len());
        let scale = seen as f64 / sorted.len() as f64;
        let counts = places.windows(2).map(|pair| ((pair[1] - pair[0]) as f64 * scale).round() as u64).collect();
        Some(Histogram { edges, counts })
    }

    /// As it stands in the result, each edge by `show`.
    pub fn to_json(&self, show: impl Fn(f64) -> Value) -> Value {
        json!({ "edges": self.edges.iter().map(|edge| show(*edge)).collect::<Vec<_>>(), "counts": self.counts })
    }
}

fn edges(least: f64, greatest: f64, unit: f64) -> Vec<f64> {
    if least >= greatest {
        return vec![least, greatest];
    }
    let steps = ((greatest - least) / unit).floor();
    if unit > 0.0 && steps < MOST_EXACT && least.abs().max(greatest.abs()) / unit < MOST_EXACT {
        let width = ((steps + 1.0) / BARS as f64).ceil();
        let bars = ((steps + 1.0) / width).ceil() as usize;
        return (0..=bars).map(|i| least + i as f64 * width * unit).collect();
    }
    let part = |i: usize| i as f64 / BARS as f64;
    let mut edges: Vec<f64> = (0..=BARS).map(|i| least + (greatest - least) * part(i)).collect();
    if !(greatest - least).is_finite() {
        edges = (0..=BARS).map(|i| least * (1.0 - part(i)) + greatest * part(i)).collect();
    }
    edges[BARS] = greatest;
    edges
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[f64], unit: f64) -> Histogram {
        let range = (values[0], values[values.len() - 1]);
        Histogram::of(values, values.len() as u64, range, unit).unwrap()
    }

    #[test]
    fn few_whole_numbers_have_a_bar_each() {
        let histogram = of(&[1.0, 1.0, 2.0, 4.0], 1.0);
        assert_eq!(histogram.edges, [1.0, 2.0, 3.0, 4.0, 5.0]);
        assert_eq!(histogram.counts, [2, 1, 0, 1]);
    }

    #[test]
    fn bars_of_whole_numbers_hold_equally_many_of_them() {
        let values: Vec<f64> = (1..=100).map(f64::from).collect();
        assert_eq!(of(&values, 1.0).counts, [5; 20]);
        let values: Vec<f64> = (1..=21).map(f64::from).collect();
        assert_eq!(of(&values, 1.0).counts, [2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 1]);
    }

    #[test]
    fn bars_are_equally_wide_and_hold_every_value() {
        let values: Vec<f64> = (0..=1000).map(|i| f64::from(i) / 1000.0).collect();
        let histogram = of(&values, 0.0);
        assert_eq!((histogram.edges.len(), histogram.edges[0], histogram.edges[20]), (21, 0.0, 1.0));
        assert_eq!(histogram.counts.iter().sum::<u64>(), 1001);
    }

    #[test]
    fn one_value_is_one_bar_and_the_widest_range_has_edges_that_are_numbers() {
        assert_eq!(of(&[2.5, 2.5], 0.0), Histogram { edges: vec![2.5, 2.5], counts: vec![2] });
        let widest = of(&[f64::MIN, 0.0, f64::MAX], 1.0);
        assert!(widest.edges.iter().all(|edge| edge.is_finite()));
        assert_eq!(widest.counts.iter().sum::<u64>(), 3);
    }

    #[test]
    fn a_sample_stands_for_all() {
        let histogram = Histogram::of(&[1.0, 2.0], 1000, (1.0, 2.0), 1.0).unwrap();
        assert_eq!(histogram.counts, [500, 500]);
    }
}
