//! A bit for each row to come.

use crate::types::Failure;
use serde::{Deserialize, Serialize};

/// Which of the rows to come repeat an earlier one, and how many of them have come.
#[derive(Default, Serialize, Deserialize)]
pub struct Marks {
    bits: Vec<u64>,
    rows: u64,
    /// How many are marked.
    marked: u64,
    came: u64,
    /// How many of those that came are marked.
    marked_came: u64,
}

impl Marks {
    /// One more row, which is not marked yet. Answers its place, from 0.
    pub fn row(&mut self) -> u64 {
        if self.rows.is_multiple_of(64) {
            self.bits.push(0);
        }
        self.rows += 1;
        self.rows - 1
    }

    /// The row at that place repeats an earlier one. Said once of each.
    pub fn mark(&mut self, row: u64) {
        self.bits[(row / 64) as usize] |= 1 << (row % 64);
        self.marked += 1;
    }

    /// Whether the next row that comes is marked. Fatal `file_changed` for one that was not there.
    pub fn next(&mut self) -> Result<bool, Failure> {
        if self.came == self.rows {
            let message = "the file has other rows than when it was looked through: it is not what was uploaded";
            return Err(Failure::fatal("file_changed", message));
        }
        let marked = self.bits[(self.came / 64) as usize] >> (self.came % 64) & 1 == 1;
        self.came += 1;
        self.marked_came += u64::from(marked);
        Ok(marked)
    }

    /// How many rows have yet to come that are not marked.
    pub fn to_come(&self) -> u64 {
        (self.rows - self.came) - (self.marked - self.marked_came)
    }
}
