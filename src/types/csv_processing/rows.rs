//! Good rows on their way through the plan into the output and the statistics.

use super::Own;
use super::cell::Reading;
use super::column::Column;
use super::filter::Filter;
use super::out::Out;
use super::plan::Plan;
use super::state::State;
use crate::files::{Growing, Mark};
use crate::task::Artifact;
use crate::types::{Context, Failure, Output};
use serde_json::Value;

/// While sorted rows are written, the task may be stopped between so many.
const ROWS_BETWEEN_CHECKS: u64 = 4096;

/// The rows, and what is known of them.
pub struct Rows<'a> {
    /// What is known so far.
    pub state: State,
    limit: u64,
    filter: Option<Filter>,
    nulls: Reading,
    out: Out<'a>,
}

impl<'a> Rows<'a> {
    /// Goes on after the rows of `state`, which stand in `output`.
    pub fn new(own: &Own, plan: Plan, state: State, output: &'a mut Output<Growing>) -> Rows<'a> {
        let (limit, nulls) = (own.limit.unwrap_or(u64::MAX), own.reading());
        let out = Out::new(own, &plan.selected, output);
        Rows { state, limit, filter: plan.filter, nulls, out }
    }

    /// Writes the header of the output.
    pub fn write_header(&mut self, plan: &[(usize, String)]) -> Result<(), Failure> {
        self.out.header(plan)
    }

    /// Whether no further row could be written.
    pub fn full(&self) -> bool {
        self.state.counts.written >= self.limit
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
            Some(sorter) => sorter.hold(line, cell, &self.nulls, ctx),
            None => {
                state.counts.written += 1;
                self.out.row(&self.nulls, &mut state.columns, line, cell)
            }
        }
    }

    /// The output as it stands, with every row so far; `None` where the store knows no marks.
    pub fn mark(&mut self) -> Result<Option<(Artifact, Mark)>, Failure> {
        self.out.mark()
    }

    /// Every row is here. Whether those to be sorted lie in files, which a checkpoint should name.
    pub fn close(&mut self, ctx: &Context) -> Result<bool, Failure> {
        let Some(sorter) = &mut self.state.sorter else { return Ok(false) };
        sorter.close(&self.nulls, ctx)?;
        Ok(!sorter.runs.is_empty())
    }

    /// Writes what was held to be sorted, as the second half of the progress on a file of `total`
    /// bytes. Gives what is known in the end, the columns' statistics and the warnings.
    pub fn finish(mut self, total: u64, ctx: &Context) -> Result<(State, Vec<Value>, Vec<String>), Failure> {
        if let Some(sorter) = self.state.sorter.take() {
            let (State { counts, columns, .. }, rows) = (&mut self.state, sorter.rows().clamp(1, self.limit));
            sorter.in_order(&self.nulls, ctx, |row| {
                if counts.written >= self.limit {
                    return Ok(false);
                }
                if counts.written.is_multiple_of(ROWS_BETWEEN_CHECKS) {
                    ctx.check()?;
                    let done = total as f64 * (1.0 + counts.written as f64 / rows as f64);
                    let step = "writing the sorted rows, in bytes".to_owned();
                    ctx.progress(done as i64, 2 * total as i64, Some(step));
                }
                counts.written += 1;
                self.out.row(&self.nulls, columns, row.line, |i| row.cell(i)).map(|()| true)
            })?;
            ctx.progress(2 * total as i64, 2 * total as i64, None);
        }
        self.out.flush()?;
        let (columns, mut warnings) =
            (std::mem::take(&mut self.state.columns), std::mem::take(&mut self.state.warnings));
        warnings.extend(columns.iter().filter_map(Column::doubt));
        Ok((self.state, columns.into_iter().map(|column| column.finish(&self.nulls)).collect(), warnings))
    }
}
