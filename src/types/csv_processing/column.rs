//! One column's statistics, cell by cell, in bounded memory.

use super::cell::Cell;
use super::numbers::Numbers;
use super::sketch::{Distinct, Quantiles, hash};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// Distinct values counted exactly, over all columns together: about 64 MiB.
const DISTINCT_IN_ALL: usize = 4_000_000;
/// ... and in one column.
const DISTINCT_A_COLUMN: usize = 100_000;
/// Numbers kept for quantiles, over all columns together: 32 MiB.
const KEPT_IN_ALL: usize = 4_000_000;
/// ... and in one column.
const KEPT_A_COLUMN: usize = 1_000_000;
/// As much of a text is compared and shown as its column's least or greatest.
const SHOWN_BYTES: usize = 200;
/// The shares of the quantiles.
const SHARES: [(&str, f64); 6] =
    [("0.05", 0.05), ("0.25", 0.25), ("0.5", 0.5), ("0.75", 0.75), ("0.95", 0.95), ("0.99", 0.99)];

/// A column's statistics so far.
#[derive(Serialize, Deserialize)]
pub struct Column {
    name: String,
    count: u64,
    nulls: u64,
    integers: u64,
    decimals: u64,
    booleans: u64,
    dates: u64,
    datetimes: u64,
    /// The first line whose cell was no number, and how many numbers there were before it.
    first_other: Option<u64>,
    distinct: Distinct,
    numbers: Numbers,
    quantiles: Quantiles,
    text: Extremes,
    instant: Extremes,
}

impl Column {
    /// An empty column, one of `columns`.
    pub fn new(name: String, columns: usize) -> Column {
        let share = |in_all: usize, most: usize| (in_all / columns.max(1)).min(most);
        Column {
            name,
            count: 0,
            nulls: 0,
            integers: 0,
            decimals: 0,
            booleans: 0,
            dates: 0,
            datetimes: 0,
            first_other: None,
            distinct: Distinct::new(share(DISTINCT_IN_ALL, DISTINCT_A_COLUMN)),
            numbers: Numbers::default(),
            quantiles: Quantiles::new(share(KEPT_IN_ALL, KEPT_A_COLUMN)),
            text: Extremes::default(),
            instant: Extremes::default(),
        }
    }

    /// One more cell, on `line` of the file, and what it was read as.
    pub fn add(&mut self, text: &[u8], cell: Cell, line: u64) {
        if cell == Cell::Null {
            self.nulls += 1;
            return;
        }
        self.count += 1;
        let text = text.trim_ascii();
        // Numbers are equal when their values are: 1, 1.0 and 01.
        self.distinct.add(match cell {
            Cell::Integer(value) => hash(&(value as f64).to_bits().to_le_bytes()) ^ beyond_f64(value),
            Cell::Decimal(value) => hash(&(value + 0.0).to_bits().to_le_bytes()),
            _ => hash(text),
        });
        let shown = &text[..text.len().min(SHOWN_BYTES)];
        self.text.add(0, shown);
        match cell {
            Cell::Integer(value) => {
                self.integers += 1;
                self.numbers.add_integer(value);
                self.quantiles.add(value as f64);
                return;
            }
            Cell::Decimal(value) => {
                self.decimals += 1;
                self.numbers.add_decimal(value);
                self.quantiles.add(value);
                return;
            }
            Cell::Boolean(_) => self.booleans += 1,
            Cell::Date(days) => {
                self.dates += 1;
                // Days since year 0 as microseconds since 1970, to stand beside times.
                let micros = (days - 719_163) * 86_400_000_000;
                self.instant.add(micros, shown);
            }
            Cell::DateTime(micros) => {
                self.datetimes += 1;
                self.instant.add(micros, shown);
            }
            Cell::Null | Cell::Text => {}
        }
        self.first_other.get_or_insert(line);
    }

    /// A sentence where a column of numbers is text because of a few cells.
    pub fn doubt(&self) -> Option<String> {
        let numbers = self.integers + self.decimals;
        let line = self.first_other.filter(|_| numbers < self.count && numbers * 10 >= self.count * 9)?;
        let (name, count) = (&self.name, self.count);
        Some(format!("column {name}: {numbers} of {count} cells are numbers; the first that is not is on line {line}"))
    }

    /// The statistics, as they stand in the result.
    pub fn finish(mut self) -> Value {
        let kind = self.kind();
        let (distinct, distinct_approx) = self.distinct.count();
        let numeric = matches!(kind, "integer" | "decimal");
        let (min, max) = self.extremes(kind);
        let mut column = json!({
            "name": self.name, "type": kind, "count": self.count, "nulls": self.nulls, "distinct": distinct.min(self.count),
            "sum": null, "mean": null, "std": null, "min": min, "max": max, "quantiles": null,
        });
        if distinct_approx {
            column["distinct_approx"] = json!(true);
        }
        if numeric {
            column["sum"] = self.numbers.sum();
            column["mean"] = json!(self.numbers.mean());
            column["std"] = json!(self.numbers.std());
            let values = self.quantiles.at(&SHARES.map(|(_, share)| share));
            let quantiles = SHARES.iter().zip(values).map(|((name, _), value)| ((*name).to_owned(), json!(value)));
            column["quantiles"] = Value::Object(quantiles.collect::<Map<_, _>>());
            if let Some(error) = self.quantiles.rank_error() {
                column["quantiles_approx"] = json!(true);
                column["quantiles_rank_error"] = json!(error);
            }
        }
        column
    }

    fn kind(&self) -> &'static str {
        match self.count {
            0 => "text",
            count if self.integers == count => "integer",
            count if self.integers + self.decimals == count => "decimal",
            count if self.booleans == count => "boolean",
            count if self.dates == count => "date",
            count if self.dates + self.datetimes == count => "datetime",
            _ => "text",
        }
    }

    fn extremes(&self, kind: &str) -> (Value, Value) {
        match kind {
            "integer" | "decimal" => self.numbers.extremes(),
            "boolean" => {
                let (min, max) = self.text.words();
                (json!(is_true(&min)), json!(is_true(&max)))
            }
            "date" | "datetime" => self.instant.words(),
            _ => self.text.words(),
        }
    }
}

/// What tells integers apart that are one and the same as f64; 0 where f64 is exact.
fn beyond_f64(value: i64) -> u64 {
    if value.unsigned_abs() <= 1 << 53 { 0 } else { hash(&value.to_le_bytes()) }
}

fn is_true(word: &Value) -> bool {
    word.as_str().is_some_and(|word| word.eq_ignore_ascii_case("true"))
}

/// The least and the greatest of what was added: by key first, then by text.
#[derive(Default, Serialize, Deserialize)]
struct Extremes {
    pair: Option<[(i64, Vec<u8>); 2]>,
}

impl Extremes {
    /// Copies the text only where it is an extreme: the hot path allocates nothing.
    fn add(&mut self, key: i64, text: &[u8]) {
        let own = || (key, text.to_vec());
        match &mut self.pair {
            None => self.pair = Some([own(), own()]),
            Some([min, _]) if (key, text) < (min.0, &min.1[..]) => *min = own(),
            Some([_, max]) if (key, text) > (max.0, &max.1[..]) => *max = own(),
            Some(_) => {}
        }
    }

    fn words(&self) -> (Value, Value) {
        let word = |text: &[u8]| Value::from(String::from_utf8_lossy(text));
        self.pair.as_ref().map_or((Value::Null, Value::Null), |[min, max]| (word(&min.1), word(&max.1)))
    }
}
