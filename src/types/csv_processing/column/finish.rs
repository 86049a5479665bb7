//! A column's statistics as they stand in the result.

use super::super::cell::{Cell, Reading};
use super::super::histogram::Histogram;
use super::{Column, Extremes, MICROS_A_DAY};
use chrono::{DateTime, SecondsFormat};
use serde_json::{Map, Value, json};
use std::collections::HashMap;

/// As many of the most frequent values are listed.
const LISTED: usize = 10;
/// The shares of the quantiles.
const SHARES: [(&str, f64); 6] =
    [("0.05", 0.05), ("0.25", 0.25), ("0.5", 0.5), ("0.75", 0.75), ("0.95", 0.95), ("0.99", 0.99)];

/// What all of a column's cells are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Integer,
    Decimal,
    Boolean,
    Date,
    DateTime,
    Text,
}

impl Column {
    /// The statistics, as they stand in the result.
    pub fn finish(mut self, nulls: &Reading) -> Value {
        let kind = self.kind();
        let distinct = if kind == Kind::Text { &self.texts } else { &self.values };
        let (many, approx) = distinct.count();
        let (min, max) = self.extremes(kind);
        let mut column = json!({
            "name": self.name, "type": kind.word(), "count": self.count, "nulls": self.nulls, "distinct": many.min(self.count),
            "sum": null, "mean": null, "std": null, "min": min, "max": max, "quantiles": null,
        });
        if approx {
            column["distinct_approx"] = json!(true);
            column["distinct_error"] = json!(distinct.error());
        }
        if matches!(kind, Kind::Integer | Kind::Decimal) {
            column["sum"] = self.numbers.sum();
            column["mean"] = json!(self.numbers.mean());
            column["std"] = json!(self.numbers.std());
        }
        if let Some(range) = self.range(kind) {
            self.spread(kind, range, &mut column);
        }
        let mean = |sum: u64| sum as f64 / self.count as f64;
        column["length"] = self
            .lengths
            .range
            .map_or(Value::Null, |(min, max)| json!({ "min": min, "max": max, "mean": mean(self.lengths.sum) }));
        let error = self.frequent.error();
        column["frequent"] = most(self.frequent.values(), kind, nulls);
        if error > 0 {
            column["frequent_error"] = json!(error);
        }
        column
    }

    /// Quantiles and histogram of a column whose cells lie in that range.
    fn spread(&mut self, kind: Kind, range: (f64, f64), column: &mut Value) {
        let quantiles = self.quantiles.at(&SHARES.map(|(_, share)| share));
        let named = SHARES.iter().zip(quantiles).map(|((name, _), value)| ((*name).to_owned(), kind.show(value)));
        column["quantiles"] = Value::Object(named.collect::<Map<_, _>>());
        let error = self.quantiles.rank_error();
        if let Some(error) = error {
            column["quantiles_approx"] = json!(true);
            column["quantiles_rank_error"] = json!(error);
        }
        let (sorted, seen) = self.quantiles.sorted();
        let Some(histogram) = Histogram::of(sorted, seen, range, kind.unit()) else { return };
        column["histogram"] = histogram.to_json(|edge| match kind {
            Kind::Integer if edge.abs() < 1e15 => json!(edge as i64),
            _ => kind.show(edge),
        });
        if error.is_some() {
            column["histogram"]["approx"] = json!(true);
        }
    }

    fn kind(&self) -> Kind {
        match self.count {
            0 => Kind::Text,
            count if self.integers == count => Kind::Integer,
            count if self.integers + self.decimals == count => Kind::Decimal,
            count if self.booleans == count => Kind::Boolean,
            count if self.dates == count => Kind::Date,
            count if self.dates + self.datetimes == count => Kind::DateTime,
            _ => Kind::Text,
        }
    }

    fn extremes(&self, kind: Kind) -> (Value, Value) {
        match kind {
            Kind::Integer | Kind::Decimal => self.numbers.extremes(),
            Kind::Boolean => (json!(self.trues == self.booleans), json!(self.trues > 0)),
            Kind::Date | Kind::DateTime => self.instant.words(),
            Kind::Text => self.text.words(),
        }
    }

    /// The least and the greatest as the quantiles have them; `None` where there are no quantiles.
    fn range(&self, kind: Kind) -> Option<(f64, f64)> {
        match kind {
            Kind::Integer | Kind::Decimal => self.numbers.range(),
            Kind::Date | Kind::DateTime => {
                self.instant.pair.as_ref().map(|[min, max]| (min.0 as f64 / 1e6, max.0 as f64 / 1e6))
            }
            Kind::Boolean | Kind::Text => None,
        }
    }
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Kind::Integer => "integer",
            Kind::Decimal => "decimal",
            Kind::Boolean => "boolean",
            Kind::Date => "date",
            Kind::DateTime => "datetime",
            Kind::Text => "text",
        }
    }

    /// What its values are multiples of, as the quantiles have them.
    fn unit(self) -> f64 {
        match self {
            Kind::Integer => 1.0,
            Kind::Date => MICROS_A_DAY as f64 / 1e6,
            _ => 0.0,
        }
    }

    /// A value between others, as the result has it: a number, or a day or time in UTC.
    fn show(self, value: f64) -> Value {
        if !matches!(self, Kind::Date | Kind::DateTime) {
            return json!(value);
        }
        let Some(time) = DateTime::from_timestamp_micros((value * 1e6).round() as i64) else { return Value::Null };
        match self {
            Kind::Date => json!(time.format("%Y-%m-%d").to_string()),
            _ => json!(time.to_rfc3339_opts(SecondsFormat::AutoSi, true)),
        }
    }
}

/// The most frequent of the values, each as it is written most often. Those that mean the same in a
/// column of that kind are one.
fn most(values: impl Iterator<Item = (Vec<u8>, u64)>, kind: Kind, nulls: &Reading) -> Value {
    let mut sorted: Vec<(Vec<u8>, u64)> = values.collect();
    sorted.sort_unstable_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    if kind != Kind::Text {
        let mut places = HashMap::new();
        let mut merged: Vec<(Vec<u8>, u64)> = Vec::new();
        for (text, count) in sorted {
            let place = *places.entry(meaning(nulls.read(&text))).or_insert(merged.len());
            match merged.get_mut(place) {
                Some(same) => same.1 += count,
                None => merged.push((text, count)),
            }
        }
        sorted = merged;
        sorted.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    }
    let shown = |(text, count): &(Vec<u8>, u64)| json!({ "value": String::from_utf8_lossy(text), "count": count });
    sorted.iter().take(LISTED).map(shown).collect()
}

/// What two cells have in common that mean the same.
fn meaning(cell: Cell) -> (u8, i64) {
    match cell {
        // As f64, which both kinds of numbers have in common, but for those that are not exact in it.
        Cell::Integer(value) if value.unsigned_abs() <= 1 << 53 => (0, (value as f64).to_bits() as i64),
        Cell::Integer(value) => (1, value),
        Cell::Decimal(value) => (0, (value + 0.0).to_bits() as i64),
        Cell::Boolean(value) => (2, i64::from(value)),
        Cell::Date(_) | Cell::DateTime(_) => (3, cell.as_micros().unwrap_or_default()),
        Cell::Text | Cell::Null => (4, 0),
    }
}

impl Extremes {
    fn words(&self) -> (Value, Value) {
        let word = |text: &[u8]| Value::from(String::from_utf8_lossy(text));
        self.pair.as_ref().map_or((Value::Null, Value::Null), |[min, max]| (word(&min.1), word(&max.1)))
    }
}
