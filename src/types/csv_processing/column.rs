//! One column's statistics, cell by cell, in bounded memory.

mod finish;

use super::cell::{Cell, Reading};
use super::chunk::Cells;
use super::frequent::Frequent;
use super::numbers::Numbers;
use super::sketch::{Distinct, Quantiles, hash, word};
use serde::{Deserialize, Serialize};

/// Distinct values counted exactly, over all columns together and twice: about 64 MiB.
const DISTINCT_IN_ALL: usize = 2_000_000;
/// ... and in one column.
const DISTINCT_A_COLUMN: usize = 100_000;
/// Numbers kept for quantiles, over all columns together: 32 MiB.
const KEPT_IN_ALL: usize = 4_000_000;
/// ... and in one column.
const KEPT_A_COLUMN: usize = 500_000;
/// Values counted one by one, over all columns together: 16 MiB.
const COUNTED_IN_ALL: usize = 64_000;
/// ... and in one column.
const COUNTED_A_COLUMN: usize = 4000;
/// As much of a text is compared and shown as its column's least or greatest.
const SHOWN_BYTES: usize = 200;
/// So many cells are looked up one right after the other, so that they wait for the memory together.
const TOGETHER: usize = 128;
const MICROS_A_DAY: i64 = 86_400_000_000;

/// A column's statistics so far.
#[derive(Serialize, Deserialize)]
pub struct Column {
    name: String,
    count: u64,
    nulls: u64,
    integers: u64,
    decimals: u64,
    booleans: u64,
    trues: u64,
    dates: u64,
    datetimes: u64,
    /// Texts that are numbers where a comma stands for the point, and cannot be meant as thousands.
    with_comma: u64,
    /// The first line whose cell was no number.
    first_other: Option<u64>,
    /// By their values, until a cell comes that is a text and the column with it: 1, 1.0 and 01 are one.
    values: Distinct,
    /// As they are written: 1, 1.0 and 01 are three.
    texts: Distinct,
    frequent: Frequent,
    lengths: Lengths,
    numbers: Numbers,
    /// Of numbers, and of dates and times in seconds since 1970.
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
            trues: 0,
            dates: 0,
            datetimes: 0,
            with_comma: 0,
            first_other: None,
            values: Distinct::new(share(DISTINCT_IN_ALL, DISTINCT_A_COLUMN)),
            texts: Distinct::new(share(DISTINCT_IN_ALL, DISTINCT_A_COLUMN)),
            frequent: Frequent::new(share(COUNTED_IN_ALL, COUNTED_A_COLUMN)),
            lengths: Lengths::default(),
            numbers: Numbers::default(),
            quantiles: Quantiles::new(share(KEPT_IN_ALL, KEPT_A_COLUMN)),
            text: Extremes::default(),
            instant: Extremes::default(),
        }
    }

    /// More cells, each on one of these lines of the file.
    pub fn add(&mut self, cells: &Cells, lines: &[u64], reading: &Reading) {
        let is_ascii = cells.bytes().is_ascii();
        let mut hashes = [0; TOGETHER];
        for (at, lines) in lines.chunks(TOGETHER).enumerate() {
            let cell = |row: usize| cells.of(at * TOGETHER + row);
            (0..lines.len()).for_each(|row| hashes[row] = hash(cell(row).trim_ascii()));
            self.frequent.warm(&hashes[..lines.len()]);
            for (row, line) in lines.iter().enumerate() {
                self.add_cell(cell(row), is_ascii, *line, hashes[row], reading);
            }
        }
    }

    fn add_cell(&mut self, text: &[u8], is_ascii: bool, line: u64, hashed: u64, reading: &Reading) {
        let cell = reading.read(text);
        if cell == Cell::Null {
            self.nulls += 1;
            return;
        }
        self.count += 1;
        self.lengths.add(text, is_ascii);
        let text = text.trim_ascii();
        if !self.frequent.add(hashed, text) && self.texts.add(hashed) {
            self.add_value(cell);
        }
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
            Cell::Boolean(value) => {
                self.booleans += 1;
                self.trues += u64::from(value);
            }
            Cell::Date(_) => self.dates += 1,
            Cell::DateTime(_) => self.datetimes += 1,
            Cell::Text => self.with_comma += u64::from(reading.may_mean_comma(text)),
            Cell::Null => {}
        }
        if let Some(micros) = cell.as_micros() {
            self.instant.add(micros, shown);
            self.quantiles.add(micros as f64 / 1e6);
        }
        self.first_other.get_or_insert(line);
    }

    /// A sentence where a column of numbers is text because of a few cells, or of how they are written.
    pub fn doubt(&self) -> Option<String> {
        let numbers = self.integers + self.decimals;
        if self.with_comma > 0 && self.with_comma * 2 >= self.count {
            let (name, commas, count) = (&self.name, self.with_comma, self.count);
            return Some(format!(
                "column {name}: {commas} of {count} cells are numbers with a decimal comma, and texts here: say decimal_comma true if that is meant"
            ));
        }
        let line = self.first_other.filter(|_| numbers < self.count && numbers * 10 >= self.count * 9)?;
        let (name, count) = (&self.name, self.count);
        Some(format!("column {name}: {numbers} of {count} cells are numbers; the first that is not is on line {line}"))
    }

    /// The value by what it means, while the column may yet be one of something else than texts.
    fn add_value(&mut self, cell: Cell) {
        let hashed = match cell {
            Cell::Integer(value) => hash(&(value as f64).to_bits().to_le_bytes()) ^ beyond_f64(value),
            Cell::Decimal(value) => hash(&(value + 0.0).to_bits().to_le_bytes()),
            Cell::Boolean(value) => hash(&[u8::from(value)]),
            Cell::Date(_) | Cell::DateTime(_) => hash(&cell.as_micros().unwrap_or_default().to_le_bytes()),
            Cell::Text | Cell::Null => return self.values.close(),
        };
        self.values.add(hashed);
    }
}

/// What tells integers apart that are one and the same as f64; 0 where f64 is exact.
fn beyond_f64(value: i64) -> u64 {
    if value.unsigned_abs() <= 1 << 53 { 0 } else { hash(&value.to_le_bytes()) }
}

/// How long cells are, in characters, with the spaces around them.
#[derive(Default, Serialize, Deserialize)]
struct Lengths {
    range: Option<(u64, u64)>,
    sum: u64,
}

impl Lengths {
    fn add(&mut self, text: &[u8], is_ascii: bool) {
        // Every byte but those that go on with a character.
        let chars = || text.iter().filter(|byte| **byte & 0xc0 != 0x80).count();
        let length = if is_ascii { text.len() } else { chars() } as u64;
        self.range = Some(self.range.map_or((length, length), |(min, max)| (min.min(length), max.max(length))));
        self.sum += length;
    }
}

/// The least and the greatest of what was added: by key first, then by text.
#[derive(Default, Serialize, Deserialize)]
struct Extremes {
    pair: Option<[(i64, Vec<u8>); 2]>,
    /// The beginnings of both texts, to compare most others by.
    begin: [u64; 2],
}

impl Extremes {
    /// Copies the text only where it is an extreme: the hot path allocates nothing.
    fn add(&mut self, key: i64, text: &[u8]) {
        let own = || (key, text.to_vec());
        let begin = word(text).swap_bytes();
        match &mut self.pair {
            None => (self.pair, self.begin) = (Some([own(), own()]), [begin; 2]),
            Some([min, max]) if key == min.0 && key == max.0 && self.begin[0] < begin && begin < self.begin[1] => {}
            Some([min, _]) if (key, text) < (min.0, &min.1[..]) => (*min, self.begin[0]) = (own(), begin),
            Some([_, max]) if (key, text) > (max.0, &max.1[..]) => (*max, self.begin[1]) = (own(), begin),
            Some(_) => {}
        }
    }
}
