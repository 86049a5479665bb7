//! Rows in order: in memory while they fit, else in sorted runs on the disk that are merged.

mod run;

use super::cell::{Cell, Reading};
use crate::task::Artifact;
use crate::types::{Context, Failure};
use run::Merge;
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;

/// Rows are held in memory up to this; then they are written down, in order, as a run.
const RUN_BYTES: usize = if cfg!(test) { 512 } else { 16 * 1024 * 1024 };
/// So many runs are merged into one, so that no more files are open at once.
const MAX_RUNS: usize = if cfg!(test) { 4 } else { 128 };

/// Rows to sort.
#[derive(Serialize, Deserialize)]
pub struct Sorter {
    by: Vec<(usize, bool)>,
    width: usize,
    /// No more rows than this are asked for.
    limit: u64,
    bytes: Vec<u8>,
    ends: Vec<u32>,
    lines: Vec<u64>,
    /// The runs, in the order of their rows in the table. A checkpoint names them, so that they stay.
    #[serde(skip)]
    pub runs: Vec<Artifact>,
    /// Runs that were merged into others: nobody needs them once a checkpoint is made.
    #[serde(skip)]
    pub merged: Vec<Artifact>,
    /// Rows in runs.
    in_runs: u64,
    /// Runs begun so far by all attempts, for each to have a name.
    begun: u32,
}

impl Sorter {
    /// Nothing to sort yet; rows will have `width` cells, and at most `limit` are asked for.
    pub fn new(by: Vec<(usize, bool)>, width: usize, limit: u64) -> Sorter {
        let (bytes, ends, lines, runs, merged) = (Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Sorter { by, width, limit, bytes, ends, lines, runs, merged, in_runs: 0, begun: 0 }
    }

    /// Holds one more row. For blocking code: it may be the one that makes a run full.
    pub fn hold<'r>(
        &mut self,
        line: u64,
        cell: impl Fn(usize) -> &'r [u8],
        nulls: &Reading,
        ctx: &Context,
    ) -> Result<(), Failure> {
        if self.bytes.capacity() == 0 {
            // Growing by doubling would take half as much again.
            self.bytes.reserve_exact(RUN_BYTES);
        }
        push(&mut self.bytes, &mut self.ends, (0..self.width).map(cell));
        self.lines.push(line);
        if self.held_bytes() > RUN_BYTES { self.make_room(nulls, ctx) } else { Ok(()) }
    }

    /// There are no more rows. Writes what is held as a last run, where there are others: they can be named by a
    /// checkpoint.
    pub fn close(&mut self, nulls: &Reading, ctx: &Context) -> Result<(), Failure> {
        if self.runs.is_empty() {
            return Ok(());
        }
        if !self.lines.is_empty() {
            self.write_run(nulls, ctx)?;
        }
        (self.bytes, self.ends, self.lines) = (Vec::new(), Vec::new(), Vec::new());
        Ok(())
    }

    /// How many rows there are.
    pub fn rows(&self) -> u64 {
        self.in_runs + self.lines.len() as u64
    }

    /// The rows in order, once it is closed: numbers before times, truths and texts, cells without a value last whichever way
    /// it goes; equal rows as they came. What is in memory goes with them, runs stay.
    pub fn in_order<'n>(&mut self, nulls: &'n Reading, ctx: &Context) -> Result<InOrder<'n>, Failure> {
        if self.runs.is_empty() {
            let order = self.order(nulls, ctx)?.into_iter();
            let empty = Sorter::new(self.by.clone(), self.width, self.limit);
            return Ok(InOrder::Held(Box::new(std::mem::replace(self, empty)), order));
        }
        Ok(InOrder::Runs(self.merge(nulls, ctx)?))
    }

    fn held_bytes(&self) -> usize {
        self.bytes.len() + self.ends.len() * 4 + self.lines.len() * 40
    }

    /// Where few rows are asked for, the others can be dropped; else what is held becomes a run.
    fn make_room(&mut self, nulls: &Reading, ctx: &Context) -> Result<(), Failure> {
        if self.limit < self.lines.len() as u64 / 2 {
            let (mut bytes, mut ends, mut lines) = (Vec::new(), Vec::new(), Vec::new());
            for row in self.order(nulls, ctx)?.into_iter().take(self.limit as usize) {
                let row = self.row(row as usize);
                push(&mut bytes, &mut ends, row.cells());
                lines.push(row.line);
            }
            (self.bytes, self.ends, self.lines) = (bytes, ends, lines);
            if self.held_bytes() <= RUN_BYTES / 2 {
                return Ok(());
            }
        }
        self.write_run(nulls, ctx)?;
        if self.runs.len() < MAX_RUNS {
            return Ok(());
        }
        self.begun += 1;
        let mut file = run::Writer::begin(self.begun, ctx)?;
        let mut merge = self.merge(nulls, ctx)?;
        while let Some(row) = merge.next()? {
            file.row(&row)?;
        }
        self.merged.append(&mut self.runs);
        self.runs.push(file.finish()?);
        Ok(())
    }

    fn merge<'n>(&self, nulls: &'n Reading, ctx: &Context) -> Result<Merge<'n>, Failure> {
        Merge::open(&self.runs, self.by.clone(), self.width, nulls, ctx)
    }

    fn write_run(&mut self, nulls: &Reading, ctx: &Context) -> Result<(), Failure> {
        let order = self.order(nulls, ctx)?;
        self.begun += 1;
        let mut file = run::Writer::begin(self.begun, ctx)?;
        for row in order.into_iter().take(usize::try_from(self.limit).unwrap_or(usize::MAX)) {
            file.row(&self.row(row as usize))?;
            self.in_runs += 1;
        }
        self.runs.push(file.finish()?);
        self.bytes.clear();
        self.ends.clear();
        self.lines.clear();
        Ok(())
    }

    fn order(&self, nulls: &Reading, ctx: &Context) -> Result<Vec<u32>, Failure> {
        let mut order: Vec<u32> = (0..self.lines.len() as u32).collect();
        // Sorting by the last column first, stably, sorts by all of them.
        for &(column, descending) in self.by.iter().rev() {
            ctx.check()?;
            let key = |row: usize| Key::of(self.row(row).cell(column), nulls);
            let keys: Vec<Key> = (0..self.lines.len()).map(key).collect();
            order.sort_by(|a, b| keys[*a as usize].compare(&keys[*b as usize], descending));
        }
        Ok(order)
    }

    fn row(&self, row: usize) -> Row<'_> {
        let (from, to) = (row * self.width, (row + 1) * self.width);
        let begins = if from == 0 { 0 } else { self.ends[from - 1] };
        Row { line: self.lines[row], bytes: &self.bytes, from: begins, ends: &self.ends[from..to] }
    }
}

/// All rows in order, one after the other.
pub enum InOrder<'n> {
    /// They are all in memory.
    Held(Box<Sorter>, std::vec::IntoIter<u32>),
    /// They are in runs.
    Runs(Merge<'n>),
}

impl InOrder<'_> {
    /// The next row; `None` at the end.
    pub fn next(&mut self) -> Result<Option<Row<'_>>, Failure> {
        match self {
            InOrder::Held(sorter, order) => Ok(order.next().map(|row| sorter.row(row as usize))),
            InOrder::Runs(merge) => merge.next(),
        }
    }
}

/// A row, wherever it is held.
#[derive(Clone, Copy)]
pub struct Row<'r> {
    /// The line it began on.
    pub line: u64,
    bytes: &'r [u8],
    from: u32,
    ends: &'r [u32],
}

impl<'r> Row<'r> {
    /// Its `i`-th cell.
    pub fn cell(&self, i: usize) -> &'r [u8] {
        let from = if i == 0 { self.from } else { self.ends[i - 1] };
        &self.bytes[from as usize..self.ends[i] as usize]
    }

    fn cells(&self) -> impl Iterator<Item = &'r [u8]> {
        (0..self.ends.len()).map(|i| self.cell(i))
    }
}

fn push<'r>(bytes: &mut Vec<u8>, ends: &mut Vec<u32>, cells: impl Iterator<Item = &'r [u8]>) {
    for cell in cells {
        bytes.extend_from_slice(cell);
        ends.push(bytes.len() as u32);
    }
}

/// What a cell is sorted by: kinds in this order, and within one by value.
#[derive(Clone, Copy)]
enum Key<'r> {
    /// With what tells whole numbers apart that are one and the same as f64.
    Number(f64, i64),
    /// Days and times, in microseconds since 1970.
    Instant(i64),
    Truth(bool),
    Text(&'r [u8]),
    Null,
}

impl<'r> Key<'r> {
    fn of(cell: &'r [u8], nulls: &Reading) -> Key<'r> {
        let read = nulls.read(cell);
        match read {
            Cell::Null => Key::Null,
            Cell::Integer(value) => Key::Number(value as f64, value),
            // -0.0 is 0.
            Cell::Decimal(value) => Key::Number(value + 0.0, value as i64),
            Cell::Boolean(value) => Key::Truth(value),
            Cell::Date(_) | Cell::DateTime(_) => read.as_micros().map_or(Key::Text(cell), Key::Instant),
            Cell::Text => Key::Text(cell),
        }
    }

    /// Without a text, which is not held.
    fn held(self) -> Option<Key<'static>> {
        Some(match self {
            Key::Number(value, whole) => Key::Number(value, whole),
            Key::Instant(micros) => Key::Instant(micros),
            Key::Truth(value) => Key::Truth(value),
            Key::Null => Key::Null,
            Key::Text(_) => return None,
        })
    }

    #[inline]
    fn compare(&self, other: &Key<'_>, descending: bool) -> Ordering {
        let upwards = match (self, other) {
            (Key::Number(a, exact_a), Key::Number(b, exact_b)) => a.total_cmp(b).then(exact_a.cmp(exact_b)),
            (Key::Text(a), Key::Text(b)) => a.cmp(b),
            _ => return self.compare_others(other, descending),
        };
        if descending { upwards.reverse() } else { upwards }
    }

    /// Apart, for the sorting of numbers and texts to stay short: with all in one place it took a quarter longer.
    #[inline(never)]
    fn compare_others(&self, other: &Key<'_>, descending: bool) -> Ordering {
        let upwards = match (self, other) {
            (Key::Null, _) | (_, Key::Null) => return self.kind().cmp(&other.kind()),
            (Key::Instant(a), Key::Instant(b)) => a.cmp(b),
            (Key::Truth(a), Key::Truth(b)) => a.cmp(b),
            _ => self.kind().cmp(&other.kind()),
        };
        if descending { upwards.reverse() } else { upwards }
    }

    fn kind(&self) -> u8 {
        match self {
            Key::Number(..) => 0,
            Key::Instant(_) => 1,
            Key::Truth(_) => 2,
            Key::Text(_) => 3,
            Key::Null => 4,
        }
    }
}
