//! The rest of a table looked through for rows that repeat an earlier one, in bounded memory: sorted by their
//! fingerprints, on the disk, equal ones stand side by side.

use super::marks::Marks;
use super::{Fingerprint, fingerprint};
use crate::files;
use crate::task::Artifact;
use crate::types::csv_processing::spill;
use crate::types::{Context, Failure};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::io::Read;
use tokio::runtime::Handle;

/// So many rows are held before they are sorted and written down as a run: 8 MiB.
const RUN_ROWS: usize = if cfg!(test) { 64 } else { 350_000 };
/// So many runs are merged into one, so that no more files are open at once.
const MAX_RUNS: usize = if cfg!(test) { 3 } else { 128 };
/// A row takes so many bytes in a run.
const ROW_BYTES: usize = 24;
/// After so many rows of a merge it is said how far it is, and the task stops if it is to stop.
const ROWS_A_TURN: u64 = if cfg!(test) { 2 } else { 16_384 };

/// A row by its fingerprint, cut in two words that compare as it does, and when it comes: 0 before the rest, then from 1 on.
type Row = (u64, u64, u64);

/// What is known of the rest so far. For blocking code.
pub struct Ahead<'a> {
    ctx: &'a Context,
    columns: Vec<usize>,
    held: Vec<Row>,
    marks: Marks,
    runs: Vec<Artifact>,
    /// Runs begun so far, for each to have a name.
    begun: u32,
    /// Rows in runs.
    rows: u64,
}

impl<'a> Ahead<'a> {
    /// Nothing looked at yet; rows will be compared by `columns`.
    pub fn new(columns: Vec<usize>, ctx: &'a Context) -> Ahead<'a> {
        Ahead { ctx, columns, held: Vec::new(), marks: Marks::default(), runs: Vec::new(), begun: 0, rows: 0 }
    }

    /// These were there before, each another, in order.
    pub fn known(&mut self, rows: impl Iterator<Item = Fingerprint>) -> Result<(), Failure> {
        let run = self.write(rows.map(|row| of(row, 0)))?;
        self.runs.push(run);
        Ok(())
    }

    /// The next row.
    pub fn row<'r>(&mut self, cell: impl Fn(usize) -> &'r [u8]) -> Result<(), Failure> {
        if self.held.capacity() == 0 {
            self.held.reserve_exact(RUN_ROWS);
        }
        let comes = self.marks.row() + 1;
        self.held.push(of(fingerprint(&self.columns, cell), comes));
        if self.held.len() < RUN_ROWS { Ok(()) } else { self.write_held() }
    }

    /// There are no more rows: answers which of them repeat an earlier one. `tell` is called with the share that is
    /// done of finding that out.
    pub fn finish(mut self, tell: impl Fn(f64)) -> Result<Marks, Failure> {
        if !self.held.is_empty() {
            self.write_held()?;
        }
        self.held = Vec::new();
        let (mut merge, mut different) = (Merge::open(&self.runs, self.ctx)?, Different::default());
        let mut done = 0;
        while let Some(row) = merge.next()? {
            if !different.is_new(row) {
                self.marks.mark(row.2 - 1);
            }
            done += 1;
            if done % ROWS_A_TURN == 0 {
                self.ctx.check()?;
                tell(done as f64 / self.rows as f64);
            }
        }
        self.discard();
        Ok(self.marks)
    }

    /// Writes what is held as a run, without the rows that repeat one in it.
    fn write_held(&mut self) -> Result<(), Failure> {
        self.ctx.check()?;
        let mut held = std::mem::take(&mut self.held);
        held.sort_unstable();
        let mut different = Different::default();
        held.retain(|row| {
            let new = different.is_new(*row);
            if !new {
                self.marks.mark(row.2 - 1);
            }
            new
        });
        let run = self.write(held.iter().copied())?;
        self.runs.push(run);
        held.clear();
        self.held = held;
        if self.runs.len() < MAX_RUNS { Ok(()) } else { self.merge() }
    }

    /// Makes one run of all, without the rows that repeat another one.
    fn merge(&mut self) -> Result<(), Failure> {
        let (mut merge, mut different) = (Merge::open(&self.runs, self.ctx)?, Different::default());
        self.rows = 0;
        self.begun += 1;
        let mut file = spill::Writer::begin(&format!("seen-{}", self.begun), self.ctx)?;
        while let Some(row) = merge.next()? {
            if different.is_new(row) {
                file.record(|into| put(into, row))?;
                self.rows += 1;
            } else {
                self.marks.mark(row.2 - 1);
            }
        }
        drop(merge);
        self.discard();
        self.runs.push(file.finish()?);
        Ok(())
    }

    fn write(&mut self, rows: impl Iterator<Item = Row>) -> Result<Artifact, Failure> {
        self.begun += 1;
        let mut file = spill::Writer::begin(&format!("seen-{}", self.begun), self.ctx)?;
        for row in rows {
            file.record(|into| put(into, row))?;
            self.rows += 1;
        }
        file.finish()
    }

    /// No checkpoint names the runs, and nobody reads them again.
    fn discard(&mut self) {
        for run in self.runs.drain(..) {
            Handle::current().block_on(self.ctx.discard(&run.location));
        }
    }
}

/// Tells rows apart that come in order.
#[derive(Default)]
struct Different(Option<(u64, u64)>);

impl Different {
    /// Whether it is another row than the last one.
    fn is_new(&mut self, row: Row) -> bool {
        self.0.replace((row.0, row.1)) != Some((row.0, row.1))
    }
}

/// Runs read side by side, all rows in order.
struct Merge {
    files: Vec<Box<dyn Read + Send>>,
    /// How many rows are left in each.
    left: Vec<u64>,
    /// The next row of each, with its number.
    heads: BinaryHeap<Reverse<(Row, usize)>>,
}

impl Merge {
    fn open(runs: &[Artifact], ctx: &Context) -> Result<Merge, Failure> {
        let open = |run: &Artifact| Ok(Box::new(spill::read(run, ctx)?) as Box<dyn Read + Send>);
        let files = runs.iter().map(open).collect::<Result<Vec<_>, Failure>>()?;
        let left = runs.iter().map(|run| run.bytes as u64 / ROW_BYTES as u64).collect();
        let mut merge = Merge { files, left, heads: BinaryHeap::with_capacity(runs.len()) };
        for run in 0..runs.len() {
            if let Some(row) = merge.read(run)? {
                merge.heads.push(Reverse((row, run)));
            }
        }
        Ok(merge)
    }

    fn next(&mut self) -> Result<Option<Row>, Failure> {
        let Some(&Reverse((row, run))) = self.heads.peek() else { return Ok(None) };
        let following = self.read(run)?;
        let Some(mut head) = self.heads.peek_mut() else { return Ok(None) };
        match following {
            Some(following) => *head = Reverse((following, run)),
            None => drop(PeekMut::pop(head)),
        }
        Ok(Some(row))
    }

    fn read(&mut self, run: usize) -> Result<Option<Row>, Failure> {
        if self.left[run] == 0 {
            return Ok(None);
        }
        let mut bytes = [0; ROW_BYTES];
        self.files[run].read_exact(&mut bytes).map_err(files::Error::from)?;
        self.left[run] -= 1;
        let (words, _) = bytes.as_chunks::<8>();
        let [first, second, comes] = [0, 1, 2].map(|at| u64::from_be_bytes(words[at]));
        Ok(Some((first, second, comes)))
    }
}

fn of(row: Fingerprint, comes: u64) -> Row {
    let row = u128::from_be_bytes(row);
    ((row >> 64) as u64, row as u64, comes)
}

fn put(into: &mut Vec<u8>, row: Row) {
    [row.0, row.1, row.2].iter().for_each(|word| into.extend_from_slice(&word.to_be_bytes()));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::context::trial::Trial;

    #[tokio::test]
    async fn it_stops_when_told_while_it_looks_and_while_it_merges() {
        for (rows, stop_in_merge) in [(RUN_ROWS, false), (RUN_ROWS - 1, true)] {
            let trial = Trial::new();
            let (ctx, stop) = (trial.attempt(), trial.stop.clone());
            let looked = ctx.blocking(move |ctx| {
                let mut ahead = Ahead::new(vec![0], ctx);
                for row in 0..rows {
                    if !stop_in_merge && row == rows - 1 {
                        stop.cancel();
                    }
                    ahead.row(|_| if row % 2 == 0 { b"even" } else { b"odd" })?;
                }
                let run = std::mem::take(&mut ahead.held);
                let run = ahead.write(run.into_iter())?;
                ahead.runs.push(run);
                stop.cancel();
                ahead.finish(|_| ()).map(|_| ())
            });
            assert!(matches!(looked.await, Err(Failure::Stopped)), "{rows}");
        }
    }
}
