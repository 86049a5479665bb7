//! Everything that is known of a table half-read: with it another attempt goes on, and comes to the
//! same result to the last digit.

use super::column::Column;
use super::plan::Plan;
use super::records::{At, Records};
use super::seen::Seen;
use super::sorter::Sorter;
use super::{OnBadRow, Own};
use crate::types::Failure;
use serde::{Deserialize, Serialize};

/// What is in a [`State`]. To be raised with every change of it, or of what it holds: a state of
/// another form is left aside, and the table read from its beginning.
pub const FORM: u32 = 5;
/// To write a row in order takes so many times as long as to read and sort it.
pub const WRITING_IN_ORDER: f64 = 1.25;
/// A row that repeats an earlier one is read and not written, which takes so many times as long for each byte.
pub const A_BYTE_THAT_REPEATS: f64 = 0.4;
/// As many bad rows are listed.
const BAD_ROW_EXAMPLES: usize = 100;

/// What is known so far.
#[derive(Serialize, Deserialize)]
pub struct State {
    /// Where the reading stands.
    pub at: At,
    /// Whether the first line names the columns.
    pub has_header: bool,
    /// The columns' names.
    pub header: Vec<String>,
    /// Warnings about them.
    pub warnings: Vec<String>,
    /// Rows left out because they are bad.
    pub bad: Bad,
    /// What became of the others.
    pub counts: Counts,
    /// The rows to tell duplicates by.
    pub seen: Option<Seen>,
    /// How much work it was up to now to tell duplicates, beside reading and writing, in bytes of the file.
    pub telling: u64,
    /// The rows to sort.
    pub sorter: Option<Sorter>,
    /// The statistics, a column of the output each.
    pub columns: Vec<Column>,
}

/// Good rows, and what became of them.
#[derive(Default, Serialize, Deserialize)]
pub struct Counts {
    /// All of them.
    pub read: u64,
    /// Those the filter did not keep.
    pub filtered_out: u64,
    /// Those that were there before.
    pub duplicates: u64,
    /// Those in the output.
    pub written: u64,
}

/// Rows left out, counted, the first of them listed.
#[derive(Default, Serialize, Deserialize)]
pub struct Bad {
    /// How many.
    pub count: u64,
    /// The first of them.
    pub examples: Vec<BadRow>,
}

/// One of them, as the result lists it.
#[derive(Serialize, Deserialize)]
pub struct BadRow {
    line: u64,
    reason: String,
}

impl State {
    /// Nothing read but the header.
    pub fn new(at: At, has_header: bool, header: Vec<String>, warnings: Vec<String>, plan: &Plan, own: &Own) -> State {
        let columns = plan.selected.iter().map(|(_, name)| Column::new(name.clone(), plan.selected.len())).collect();
        let sorter = (!plan.sort.is_empty())
            .then(|| Sorter::new(plan.sort.clone(), header.len(), own.limit.unwrap_or(u64::MAX)));
        let (bad, counts, telling) = (Bad::default(), Counts::default(), 0);
        let seen = plan.deduplicate.clone().map(Seen::new);
        State { at, has_header, header, warnings, bad, counts, seen, telling, sorter, columns }
    }

    /// How many rows were read, the bad ones too.
    pub fn rows_read(&self) -> u64 {
        self.bad.count + self.counts.read
    }

    /// How far it is, in bytes of the file.
    pub fn place(&self) -> u64 {
        let read = self.at.source.read;
        let sorted = self.counts.written as f64 * self.bytes_a_row(read) * WRITING_IN_ORDER;
        self.done(read) + if self.sorter.is_some() { sorted as u64 } else { 0 }
    }

    /// How far it is with so many bytes read and nothing sorted.
    pub fn done(&self, read: u64) -> u64 {
        (read + self.telling).saturating_sub(self.spared(read, 0.0))
    }

    /// How much less it is because rows repeat others: those found so far and `to_come` further ones.
    pub fn spared(&self, read: u64, to_come: f64) -> u64 {
        let rows = self.counts.duplicates as f64 + to_come;
        (rows * self.bytes_a_row(read) * (1.0 - A_BYTE_THAT_REPEATS)) as u64
    }

    /// How long the rows were so far, in bytes of the file.
    pub fn bytes_a_row(&self, read: u64) -> f64 {
        read as f64 / self.rows_read().max(1) as f64
    }

    /// Counts the record as a bad row, or fails because of it.
    pub fn add_bad(&mut self, records: &Records<'_>, reason: String, own: &Own) -> Result<(), Failure> {
        let line = records.began();
        if own.on_bad_row == OnBadRow::Fail {
            return Err(bad_row(line, &reason));
        }
        self.bad.count += 1;
        if self.bad.examples.len() < BAD_ROW_EXAMPLES {
            self.bad.examples.push(BadRow { line, reason });
        }
        Ok(())
    }
}

/// The failure where no row may be bad.
pub fn bad_row(line: u64, reason: &str) -> Failure {
    Failure::fatal("bad_row", format!("line {line}: {reason}"))
}
