//! Good rows on their way through the plan into the output and the statistics.

use super::Own;
use super::cell::{Cell, Nulls};
use super::column::Column;
use super::filter::Filter;
use super::plan::Plan;
use super::state::State;
use crate::files::{self, Growing, Mark};
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
    out: Out<'a>,
}

impl<'a> Rows<'a> {
    /// Goes on after the rows of `state`, which stand in `output`.
    pub fn new(own: &Own, plan: Plan, state: State, output: &'a mut Output<Growing>) -> Rows<'a> {
        let nulls = Nulls::new(own.null_values.as_deref());
        let selected = plan.selected.iter().map(|(index, _)| *index).collect();
        let writer = csv::WriterBuilder::new().buffer_capacity(Growing::CHUNK_BYTES).from_writer(output);
        let limit = own.limit.unwrap_or(u64::MAX);
        Rows { state, limit, filter: plan.filter, out: Out { nulls, selected, writer } }
    }

    /// Writes the header of the output.
    pub fn write_header(&mut self, plan: &[(usize, String)]) -> Result<(), Failure> {
        for (_, name) in plan {
            self.out.write(name.as_bytes(), Cell::Text)?;
        }
        self.out.end_row()
    }

    /// Whether no further row could be written.
    pub fn full(&self) -> bool {
        self.state.counts.written >= self.limit
    }

    /// One more row, which began on that line.
    pub fn add<'r>(&mut self, line: u64, cell: impl Fn(usize) -> &'r [u8]) -> Result<(), Failure> {
        let state = &mut self.state;
        state.counts.read += 1;
        if self.filter.as_ref().is_some_and(|filter| !filter.keeps(&cell, &self.out.nulls)) {
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
            Some(sorter) => sorter.hold(line, cell),
            None => {
                state.counts.written += 1;
                self.out.row(&mut state.columns, line, cell)
            }
        }
    }

    /// The output as it stands, with every row so far; `None` where the store knows no marks.
    pub fn mark(&mut self) -> Result<Option<(Artifact, Mark)>, Failure> {
        self.out.writer.flush().map_err(files::Error::from)?;
        Ok(self.out.writer.get_ref().mark())
    }

    /// Writes what was held to be sorted. Gives what is known in the end, the columns' statistics
    /// and the warnings.
    pub fn finish(mut self, ctx: &Context) -> Result<(State, Vec<Value>, Vec<String>), Failure> {
        if let Some(sorter) = self.state.sorter.take() {
            for row in sorter.order(&self.out.nulls, ctx)? {
                if self.full() {
                    break;
                }
                if self.state.counts.written.is_multiple_of(ROWS_BETWEEN_CHECKS) {
                    ctx.check()?;
                }
                self.state.counts.written += 1;
                self.out.row(&mut self.state.columns, sorter.line(row), |i| sorter.cell(row, i))?;
            }
        }
        self.out.writer.flush().map_err(files::Error::from)?;
        let (columns, mut warnings) =
            (std::mem::take(&mut self.state.columns), std::mem::take(&mut self.state.warnings));
        warnings.extend(columns.iter().filter_map(Column::doubt));
        Ok((self.state, columns.into_iter().map(Column::finish).collect(), warnings))
    }
}

/// Where rows end up.
struct Out<'a> {
    nulls: Nulls,
    selected: Vec<usize>,
    writer: csv::Writer<&'a mut Output<Growing>>,
}

impl Out<'_> {
    fn row<'r>(&mut self, columns: &mut [Column], line: u64, cell: impl Fn(usize) -> &'r [u8]) -> Result<(), Failure> {
        for (at, column) in columns.iter_mut().enumerate() {
            let text = cell(self.selected[at]);
            let read = self.nulls.read(text);
            column.add(text, read, line);
            self.write(text, read)?;
        }
        self.end_row()
    }

    /// A cell that a spreadsheet would take for a formula gets a quote before it; numbers are none.
    fn write(&mut self, text: &[u8], read: Cell) -> Result<(), Failure> {
        let formula = matches!(text.first(), Some(b'=' | b'+' | b'-' | b'@' | b'\t' | b'\r'));
        if formula && !matches!(read, Cell::Integer(_) | Cell::Decimal(_)) {
            return self.writer.write_field([b"'", text].concat()).map_err(failure);
        }
        self.writer.write_field(text).map_err(failure)
    }

    fn end_row(&mut self) -> Result<(), Failure> {
        self.writer.write_record(None::<&[u8]>).map_err(failure)
    }
}

fn failure(error: csv::Error) -> Failure {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => files::Error::from(error).into(),
        _ => Failure::fatal("internal", "the output could not be written"),
    }
}
