//! Good rows on their way through the plan into the output and the statistics.
//!
//! One thread reads rows and leaves out what the plan does not keep ([`Rows`]). Beside it, what it read
//! before is written, and counted, each column by itself, on whatever core is free ([`Written`]). A column sees
//! its cells in the order of the file, so the result does not depend on who was quicker.

use super::Own;
use super::cell::Reading;
use super::chunk::Chunk;
use super::column::Column;
use super::filter::Filter;
use super::out::Out;
use super::plan::Plan;
use super::state::State;
use crate::files::{Growing, Mark};
use crate::task::Artifact;
use crate::types::{Context, Failure, Output};
use rayon::prelude::*;
use serde_json::Value;

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

    /// What is to be written; `before`, which was, takes its place.
    pub fn take(&mut self, mut before: Chunk) -> Chunk {
        before.clear();
        std::mem::replace(&mut self.chunk, before)
    }

    /// Every row is here. Whether those to be sorted lie in files, which a checkpoint should name.
    pub fn close(&mut self, ctx: &Context) -> Result<bool, Failure> {
        let Some(sorter) = &mut self.state.sorter else { return Ok(false) };
        sorter.close(&self.nulls, ctx)?;
        Ok(!sorter.runs.is_empty())
    }

    /// Writes what was held to be sorted, as the second half of the progress on a file of `total`
    /// bytes. Gives what is known in the end, the columns' statistics and the warnings.
    pub fn finish(
        mut self,
        mut written: Written<'_>,
        total: u64,
        ctx: &Context,
    ) -> Result<(State, Vec<Value>, Vec<String>), Failure> {
        if let Some(sorter) = self.state.sorter.take() {
            let (State { counts, .. }, rows) = (&mut self.state, sorter.rows().clamp(1, self.limit));
            sorter.in_order(&self.nulls, ctx, |row| {
                if counts.written >= self.limit {
                    return Ok(false);
                }
                if self.chunk.is_full() {
                    written.add(&self.chunk)?;
                    self.chunk.clear();
                    ctx.check()?;
                    let done = total as f64 * (1.0 + counts.written as f64 / rows as f64);
                    let step = "writing the sorted rows, in bytes".to_owned();
                    ctx.progress(done as i64, 2 * total as i64, Some(step));
                }
                counts.written += 1;
                self.chunk.push(row.line, self.selected.iter().map(|index| row.cell(*index)));
                Ok(true)
            })?;
            ctx.progress(2 * total as i64, 2 * total as i64, None);
        }
        written.add(&self.chunk)?;
        written.out.flush()?;
        let mut warnings = std::mem::take(&mut self.state.warnings);
        warnings.extend(written.columns.iter().filter_map(Column::doubt));
        let columns = written.columns.into_par_iter().map(|column| column.finish(&self.nulls));
        Ok((self.state, columns.collect(), warnings))
    }
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
    pub fn write_header(&mut self, plan: &[(usize, String)]) -> Result<(), Failure> {
        self.out.header(plan)
    }

    /// Writes and counts these rows.
    pub fn add(&mut self, rows: &Chunk) -> Result<(), Failure> {
        let Written { columns, nulls, out } = self;
        let count = |(at, column): (usize, &mut Column)| {
            rows.column(at).for_each(|(text, line)| column.add(text, nulls.read(text), line));
        };
        let write = || (0..rows.len()).try_for_each(|row| out.row(nulls, rows.row(row)));
        rayon::join(write, || columns.par_iter_mut().enumerate().for_each(count)).0
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

    /// The output as it stands, with every row so far; `None` where the store knows no marks.
    pub fn mark(&mut self) -> Result<Option<(Artifact, Mark)>, Failure> {
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
