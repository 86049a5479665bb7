//! Good rows on their way through the plan into the output and the statistics.
//!
//! One thread reads rows and leaves out what the plan does not keep ([`Rows`]). Beside it, what it read
//! before is written, and counted, each column by itself, on whatever core is free ([`Written`]). A column sees
//! its cells in the order of the file, so the result does not depend on who was quicker.

use super::Own;
use super::cell::Reading;
use super::chunk::{Cells, Chunk};
use super::column::Column;
use super::filter::Filter;
use super::out::Out;
use super::plan::Plan;
use super::resume::Saver;
use super::seen::{MAX_HELD, Marks, Seen};
use super::source::Meter;
use super::state::{A_BYTE_THAT_REPEATS, State, WRITING_IN_ORDER};
use crate::files::Growing;
use crate::types::{Context, Failure, Marked, Output};
use rayon::prelude::*;
use serde_json::Value;

/// So many sorted rows are passed over at most before the task is stopped, if it is to stop.
const ROWS_A_CHECK: u64 = 16_384;

/// To hold a row that others are compared with takes as long as to read and write so many bytes where it is the first,
const HOLDING_THE_FIRST: f64 = 20.0;
/// and so many where it is the last that there is room for: it is put between the others in order.
const HOLDING_THE_LAST: f64 = 220.0;
/// To look through a byte takes as long as to read and write so many,
const LOOKING_A_BYTE: f64 = 0.18;
/// so many more where all columns are compared,
const COMPARING_A_BYTE: f64 = 0.23;
/// for each row in it that comes to `deduplicate` as many as that,
const LOOKING_A_ROW: f64 = 23.0;
/// and so many once all were looked through, to find those that are equal.
const MARKING_A_ROW: f64 = 13.0;

/// The rows that are read, and what is known of them.
pub struct Rows {
    /// What is known so far; its columns are with [`Written`].
    pub state: State,
    limit: u64,
    filter: Option<Filter>,
    nulls: Reading,
    selected: Vec<usize>,
    chunk: Chunk,
}

impl Rows {
    /// Goes on after the rows of `state`.
    pub fn new(own: &Own, plan: Plan, state: State) -> Rows {
        let (limit, nulls) = (own.limit.unwrap_or(u64::MAX), own.reading());
        let selected = plan.selected.iter().map(|(index, _)| *index).collect();
        Rows { state, limit, filter: plan.filter, nulls, selected, chunk: Chunk::default() }
    }

    /// Whether no further row could be written.
    pub fn full(&self) -> bool {
        self.state.counts.written >= self.limit
    }

    /// Whether what was read should be written.
    pub fn is_ready(&self) -> bool {
        self.chunk.is_full()
    }

    /// One more row, which began on that line.
    pub fn add<'r>(&mut self, line: u64, cell: impl Fn(usize) -> &'r [u8], ctx: &Context) -> Result<(), Failure> {
        let state = &mut self.state;
        state.counts.read += 1;
        if self.filter.as_ref().is_some_and(|filter| !filter.keeps(&cell, &self.nulls)) {
            state.counts.filtered_out += 1;
            return Ok(());
        }
        if let Some(seen) = &mut state.seen
            && seen.before(&cell)?
        {
            state.counts.duplicates += 1;
            return Ok(());
        }
        match &mut state.sorter {
            Some(sorter) => return sorter.hold(line, cell, &self.nulls, ctx),
            None => {
                state.counts.written += 1;
                self.chunk.push(line, self.selected.iter().map(|index| cell(*index)));
            }
        }
        Ok(())
    }

    /// Whether the filter keeps a row.
    pub fn keeps<'r>(&self, cell: impl Fn(usize) -> &'r [u8]) -> bool {
        self.filter.as_ref().is_none_or(|filter| filter.keeps(cell, &self.nulls))
    }

    /// Whether the rest is to be looked through before another row can be added.
    pub fn must_look_ahead(&self) -> bool {
        !self.full() && self.state.seen.as_ref().is_some_and(Seen::is_full)
    }

    /// The rest was looked through, which was so much work.
    pub fn looked(&mut self, marks: Marks, work: u64) {
        self.state.telling += work;
        if let Some(seen) = &mut self.state.seen {
            seen.looked(marks);
        }
    }

    /// What is to be written; `before`, which was, takes its place.
    pub fn take(&mut self, mut before: Chunk) -> Chunk {
        before.clear();
        std::mem::replace(&mut self.chunk, before)
    }

    /// Every row is here. Whether those to be sorted lie in files, which a checkpoint should name.
    pub fn close(&mut self, ctx: &Context) -> Result<bool, Failure> {
        self.state.seen = None;
        let Some(sorter) = &mut self.state.sorter else { return Ok(false) };
        sorter.close(&self.nulls, ctx)?;
        Ok(!sorter.runs.is_empty())
    }

    /// How far it is with so many bytes read of a file of `total`.
    pub fn meter(&mut self, read: u64, total: u64) -> Meter {
        if let Some(seen) = &mut self.state.seen {
            seen.note(read);
            self.state.telling = self.state.telling.max(holding(seen.held()));
        }
        // Whether the rows to come repeat others is not known yet: it is never less than what is said.
        let a_byte = if self.state.seen.is_some() { A_BYTE_THAT_REPEATS } else { 1.0 };
        Meter { done: self.state.done(read), from: read, a_byte, work: self.work(read, total), ..Meter::reading(total) }
    }

    /// How much there is to do, in bytes of a file of `total`, of which so many are read, as far as that can be
    /// said by what became of the rows so far.
    pub fn work(&self, read: u64, total: u64) -> u64 {
        let State { counts, sorter, seen, .. } = &self.state;
        let a_row = self.state.bytes_a_row(read);
        let Some(sorter) = sorter else {
            let all = self.limit as f64 / counts.written.max(1) as f64 * read as f64;
            let end = if counts.written > 0 && all < total as f64 { all as u64 } else { total };
            return (end + self.work_of_telling(read, end, total)).saturating_sub(self.spared(read, end));
        };
        let kept = match seen {
            Some(seen) => (sorter.rows() + seen.to_come(total)) as f64,
            None => sorter.rows() as f64 / read.max(1) as f64 * total as f64,
        };
        let writing = (kept.min(self.limit as f64) * a_row * WRITING_IN_ORDER) as u64;
        (total + writing + self.work_of_telling(read, total, total)).saturating_sub(self.spared(read, total))
    }

    /// How much less it is than to read and write all up to `end`, since rows that repeat others are only read.
    fn spared(&self, read: u64, end: u64) -> u64 {
        let to_come = self.state.seen.as_ref().map_or(0.0, |seen| {
            let all = self.rows_a_byte(read) * end.saturating_sub(read) as f64;
            (all - seen.to_come(end) as f64).max(0.0)
        });
        self.state.spared(read, to_come)
    }

    /// How much of that it is to tell duplicates. The rest is looked through if it comes to that before `end`.
    fn work_of_telling(&self, read: u64, end: u64, total: u64) -> u64 {
        let Some(seen) = &self.state.seen else { return self.state.telling };
        let fills_at = seen.fills_at(read).filter(|at| *at < end);
        let looking = fills_at.map_or(0.0, |at| (total - at) as f64 * self.ahead_a_byte(read).iter().sum::<f64>());
        let held = seen.held();
        self.state.telling + holding(held + seen.to_hold(end)) - holding(held) + looking as u64
    }

    /// What it is to look through a byte, and then to find the rows that are equal, when so many are read.
    pub fn ahead_a_byte(&self, read: u64) -> [f64; 2] {
        let rows = self.rows_a_byte(read);
        let compared = self.state.seen.as_ref().map_or(0, Seen::columns) as f64 / self.state.header.len().max(1) as f64;
        [LOOKING_A_BYTE + COMPARING_A_BYTE * compared + LOOKING_A_ROW * rows, MARKING_A_ROW * rows]
    }

    /// How many rows a byte of the file has that the filter keeps.
    fn rows_a_byte(&self, read: u64) -> f64 {
        let counts = &self.state.counts;
        (counts.read - counts.filtered_out) as f64 / read.max(1) as f64
    }

    /// Writes what was held to be sorted, as the last part of the progress on a file of `total`
    /// bytes. Gives what is known in the end, the columns' statistics and the warnings.
    pub fn finish(
        mut self,
        mut written: Written<'_>,
        total: u64,
        saver: &mut Saver<'_>,
        ctx: &Context,
    ) -> Result<(State, Vec<Value>, Vec<String>), Failure> {
        self.write_sorted(&mut written, total, saver, ctx)?;
        written.add(&self.chunk)?;
        written.out.flush()?;
        let mut warnings = std::mem::take(&mut self.state.warnings);
        warnings.extend(written.columns.iter().filter_map(Column::doubt));
        let columns = written.columns.into_par_iter().map(|column| column.finish(&self.nulls));
        Ok((self.state, columns.collect(), warnings))
    }

    /// Writes the rows that were held to be sorted, behind those that an earlier attempt wrote.
    fn write_sorted(
        &mut self,
        written: &mut Written<'_>,
        total: u64,
        saver: &mut Saver<'_>,
        ctx: &Context,
    ) -> Result<(), Failure> {
        let work = self.work(total, total);
        let Rows { state, limit, nulls, selected, chunk, .. } = self;
        let Some(sorter) = &mut state.sorter else { return Ok(()) };
        let is_in_runs = !sorter.runs.is_empty();
        let mut sorted = sorter.in_order(nulls, ctx)?;
        for row in 0..state.counts.written {
            if row.is_multiple_of(ROWS_A_CHECK) {
                ctx.check()?;
            }
            sorted.next()?;
        }
        let (mut more, mut before) = (true, Chunk::default());
        while more {
            before.clear();
            std::mem::swap(&mut before, chunk);
            let mut is_due = false;
            more = written.add_beside(&before, || {
                ctx.check()?;
                let step = "writing the sorted rows, in bytes".to_owned();
                ctx.progress(state.place() as i64, work as i64, Some(step));
                while state.counts.written < *limit && !chunk.is_full() && !is_due {
                    let Some(row) = sorted.next()? else { return Ok(false) };
                    state.counts.written += 1;
                    chunk.push(row.line, selected.iter().map(|index| row.cell(*index)));
                    is_due = is_in_runs && saver.is_due(state.rows_read() + state.counts.written, state.place())?;
                }
                Ok(state.counts.written < *limit)
            })?;
            if is_due && more {
                written.add(chunk)?;
                chunk.clear();
                let mark = written.mark()?;
                written.lend(state, |state| saver.save(state, mark))?;
            }
        }
        ctx.progress(work as i64, work as i64, None);
        Ok(())
    }
}

/// To hold so many rows takes as long as to read and write so many bytes.
fn holding(rows: u64) -> u64 {
    let (rows, share) = (rows as f64, rows as f64 / MAX_HELD as f64);
    (rows * (HOLDING_THE_FIRST + (HOLDING_THE_LAST - HOLDING_THE_FIRST) * share / 2.0)) as u64
}

/// The rows that are written, and what their columns come to.
pub struct Written<'a> {
    columns: Vec<Column>,
    nulls: Reading,
    out: Out<'a>,
}

impl<'a> Written<'a> {
    /// Goes on after the rows of `state`, which stand in `output`. Takes the columns out of it.
    pub fn new(own: &Own, plan: &Plan, state: &mut State, output: &'a mut Output<Growing>) -> Written<'a> {
        let columns = std::mem::take(&mut state.columns);
        Written { columns, nulls: own.reading(), out: Out::new(own, &plan.selected, output) }
    }

    /// Writes the header of the output.
    pub fn write_header(&mut self, plan: &[(usize, String)]) {
        self.out.header(plan);
    }

    /// Writes and counts these rows.
    pub fn add(&mut self, rows: &Chunk) -> Result<(), Failure> {
        let Written { columns, nulls, out } = self;
        let count = |(column, cells): (&mut Column, &Cells)| column.add(cells, rows.lines(), nulls);
        rayon::join(|| out.rows(nulls, rows), || columns.par_iter_mut().zip(rows.columns()).for_each(count)).0
    }

    /// Writes and counts these rows while `read` goes on on this thread; answers what that answers.
    pub fn add_beside<T>(&mut self, rows: &Chunk, read: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
        let mut added = Ok(());
        let read = rayon::in_place_scope(|scope| {
            scope.spawn(|_| added = self.add(rows));
            read()
        });
        added.and(read)
    }

    /// The output as it stands, with every row so far.
    pub fn mark(&mut self) -> Result<Marked, Failure> {
        self.out.mark()
    }

    /// Has the columns in `state` while `save` writes that down.
    pub fn lend<T>(&mut self, state: &mut State, save: impl FnOnce(&mut State) -> T) -> T {
        std::mem::swap(&mut self.columns, &mut state.columns);
        let saved = save(state);
        std::mem::swap(&mut self.columns, &mut state.columns);
        saved
    }
}
