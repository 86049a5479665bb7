//! Sorted runs on the disk: written once, read once, together.

use super::{Key, Row};
use crate::files;
use crate::task::Artifact;
use crate::types::csv_processing::cell::Reading;
use crate::types::csv_processing::spill;
use crate::types::{Context, Failure};
use std::cmp::Ordering;
use std::io::Read;

/// The `number`-th run, being written.
pub struct Writer<'a>(spill::Writer<'a>);

impl<'a> Writer<'a> {
    /// Nothing written yet.
    pub fn begin(number: u32, ctx: &'a Context) -> Result<Writer<'a>, Failure> {
        Ok(Writer(spill::Writer::begin(&format!("run-{number}"), ctx)?))
    }

    /// One more row: its line, the length of each cell, the cells.
    pub fn row(&mut self, row: &Row<'_>) -> Result<(), Failure> {
        self.0.record(|into| {
            into.extend_from_slice(&row.line.to_le_bytes());
            row.cells().for_each(|cell| into.extend_from_slice(&(cell.len() as u32).to_le_bytes()));
            row.cells().for_each(|cell| into.extend_from_slice(cell));
        })
    }

    /// The run, whole and on disk.
    pub fn finish(self) -> Result<Artifact, Failure> {
        self.0.finish()
    }
}

/// Runs read side by side.
pub struct Merge<'a> {
    runs: Vec<Run>,
    /// The runs that have a row, from the last of these rows to the first.
    order: Vec<usize>,
    by: Vec<(usize, bool)>,
    nulls: &'a Reading,
    /// The run whose row was given last; it is not in order until it stands at its next one.
    given: Option<usize>,
}

/// A run and the row it stands at.
struct Run {
    content: Box<dyn Read + Send>,
    left: i64,
    line: u64,
    bytes: Vec<u8>,
    ends: Vec<u32>,
    /// What the row is sorted by; `None` for a text, which stands in the row.
    keys: Vec<Option<Key<'static>>>,
}

impl<'a> Merge<'a> {
    /// Opens the runs, of rows of `width` cells; equal rows come in the order of their runs.
    pub fn open(
        runs: &[Artifact],
        by: Vec<(usize, bool)>,
        width: usize,
        nulls: &'a Reading,
        ctx: &Context,
    ) -> Result<Merge<'a>, Failure> {
        let open = |run: &Artifact| {
            let content = Box::new(spill::read(run, ctx)?);
            let (line, bytes, ends, keys) = (0, Vec::new(), vec![0; width], Vec::new());
            let mut run = Run { content, left: run.bytes, line, bytes, ends, keys };
            Ok(run.advance(&by, nulls)?.then_some(run))
        };
        let runs = runs.iter().map(open).collect::<Result<Vec<Option<Run>>, Failure>>()?;
        let runs: Vec<Run> = runs.into_iter().flatten().collect();
        let order = Vec::with_capacity(runs.len());
        let mut merge = Merge { runs, order, by, nulls, given: None };
        (0..merge.runs.len()).for_each(|run| merge.line_up(run));
        Ok(merge)
    }

    /// The next row; `None` at the end.
    pub fn next(&mut self) -> Result<Option<Row<'_>>, Failure> {
        if let Some(given) = self.given.take()
            && self.runs[given].advance(&self.by, self.nulls)?
        {
            self.line_up(given);
        }
        self.given = self.order.pop();
        Ok(self.given.map(|run| self.runs[run].row()))
    }

    /// Puts a run to its place among the others, by halves.
    fn line_up(&mut self, run: usize) {
        let comes_later = |other: &usize| {
            let order = self.runs[*other].compare(&self.runs[run], &self.by);
            order.then(other.cmp(&run)).is_gt()
        };
        let place = self.order.partition_point(comes_later);
        self.order.insert(place, run);
    }
}

impl Run {
    /// Reads the next row; `false` at the end.
    fn advance(&mut self, by: &[(usize, bool)], nulls: &Reading) -> Result<bool, Failure> {
        if self.left <= 0 {
            return Ok(false);
        }
        self.read().map_err(files::Error::from)?;
        let key = |&(column, _): &(usize, bool)| Key::of(self.row().cell(column), nulls).held();
        self.keys = by.iter().map(key).collect();
        Ok(true)
    }

    fn read(&mut self) -> std::io::Result<()> {
        let mut line = [0; 8];
        self.content.read_exact(&mut line)?;
        self.line = u64::from_le_bytes(line);
        let mut end = 0;
        for place in &mut self.ends {
            let mut length = [0; 4];
            self.content.read_exact(&mut length)?;
            end += u32::from_le_bytes(length);
            *place = end;
        }
        self.bytes.resize(end as usize, 0);
        self.content.read_exact(&mut self.bytes)?;
        self.left -= 8 + 4 * self.ends.len() as i64 + i64::from(end);
        Ok(())
    }

    fn row(&self) -> Row<'_> {
        Row { line: self.line, bytes: &self.bytes, from: 0, ends: &self.ends }
    }

    fn key(&self, at: usize, column: usize) -> Key<'_> {
        self.keys[at].unwrap_or_else(|| Key::Text(self.row().cell(column)))
    }

    fn compare(&self, other: &Run, by: &[(usize, bool)]) -> Ordering {
        let orders = by.iter().enumerate().map(|(at, (column, descending))| match (&self.keys[at], &other.keys[at]) {
            (Some(one), Some(two)) => one.compare(two, *descending),
            _ => self.key(at, *column).compare(&other.key(at, *column), *descending),
        });
        orders.into_iter().find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
    }
}
