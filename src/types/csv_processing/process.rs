//! The second form: the user's own file, in one pass.

use super::cell::{Cell, Nulls};
use super::column::Column;
use super::filter::Filter;
use super::plan::{Plan, Seen, Sorter};
use super::records::Records;
use super::source::Source;
use super::{OnBadRow, Own, sniff};
use crate::files;
use crate::task::text::clip;
use crate::types::{Context, Failure, Level};
use serde_json::{Value, json};
use std::collections::{HashMap, HashSet};
use std::io::{Read, Write};

/// As many bad rows are listed.
const BAD_ROW_EXAMPLES: usize = 100;
/// As many warnings are listed.
const MAX_WARNINGS: usize = 100;
/// A longer column name is cut.
const NAME_BYTES: usize = 200;
/// The part of the result that lists columns; the file `statistics.json` lists all of them.
const COLUMNS_BYTES: usize = 700 * 1024;
/// While sorted rows are written, the task may be stopped between so many.
const ROWS_BETWEEN_CHECKS: u64 = 4096;

/// Reads `input` of `total` bytes, writes the rows to `output` and gives the statistics, which
/// describe exactly the rows written. Every row that is left out is counted.
pub fn process(
    own: &Own,
    input: Box<dyn Read + '_>,
    total: u64,
    output: impl Write,
    ctx: &Context,
) -> Result<Value, Failure> {
    let encoding = own.encoding.as_deref().and_then(|label| super::encoding(label));
    let source = Source::open(input, total, encoding, ctx)?;
    let delimiter = own.delimiter.as_ref().map_or_else(|| sniff::delimiter(source.text()), |given| given.as_bytes()[0]);
    let mut records = Records::new(source, delimiter);
    if !records.next()? {
        return Err(Failure::fatal("empty_file", "the file holds no rows"));
    }
    let has_header = own.has_header.unwrap_or_else(|| sniff::is_header(records.cells()));
    let mut warnings = Vec::new();
    let header = header(&records, has_header, &mut warnings);
    let plan = Plan::new(own, &header)?;
    let mut rows = Rows::new(own, plan, header.len(), output)?;
    let mut bad = Bad::default();
    let mut more = if has_header { records.next()? } else { true };
    while more && !rows.full() {
        match bad_reason(&records, header.len()) {
            Some(reason) => bad.add(&records, reason, own.on_bad_row)?,
            None => rows.add(records.lines().0, |i| records.cell(i))?,
        }
        more = records.next()?;
    }
    let (rows, duplicates, columns) = rows.finish(ctx, &mut warnings)?;
    let encoding = tell_encoding(&records, &mut warnings);
    warnings.truncate(MAX_WARNINGS);
    warnings.iter().for_each(|warning| ctx.log(Level::Warn, warning));
    if bad.count > 0 {
        ctx.log(Level::Warn, format!("{} bad rows were left out", bad.count));
    }
    let read = bad.count + rows.read;
    let mut result = json!({
        "rows": rows.written, "rows_read": read, "rows_filtered_out": rows.filtered_out, "columns": columns, "bad_rows": bad.count, "bad_row_examples": bad.examples,
        "encoding": encoding, "delimiter": (delimiter as char).to_string(), "has_header": has_header, "warnings": warnings,
    });
    if own.deduplicate.is_some() {
        result["duplicates"] = json!(duplicates);
    }
    Ok(result)
}

/// Cuts the list of columns to what a result may hold, saying so.
pub fn shorten(mut result: Value) -> Value {
    let Some(columns) = result["columns"].as_array_mut() else { return result };
    let (all, mut bytes) = (columns.len(), 0);
    let fits = columns.iter().take_while(|column| {
        bytes += column.to_string().len();
        bytes <= COLUMNS_BYTES
    });
    let fits = fits.count();
    if fits < all {
        columns.truncate(fits);
        let warning =
            json!(format!("the first {fits} of {all} columns are listed here, all of them in statistics.json"));
        result["warnings"].as_array_mut().expect("made above").push(warning);
    }
    result
}

/// The columns' names: the header's, made whole and unique, or `column_1` and so on.
fn header(records: &Records<'_>, has_header: bool, warnings: &mut Vec<String>) -> Vec<String> {
    let mut taken: HashSet<String> = HashSet::new();
    let mut numbers: HashMap<String, u32> = HashMap::new();
    let mut names = Vec::with_capacity(records.len());
    for (i, cell) in records.cells().enumerate() {
        let given = if has_header { clip(String::from_utf8_lossy(cell).trim(), NAME_BYTES) } else { String::new() };
        let base = if given.is_empty() { format!("column_{}", i + 1) } else { given.clone() };
        let mut name = base.clone();
        let number = numbers.entry(base.clone()).or_insert(1);
        while !taken.insert(name.clone()) {
            *number += 1;
            name = format!("{base}_{number}");
        }
        if has_header && given.is_empty() {
            warnings.push(format!("column {} has no name: it is called {name}", i + 1));
        } else if has_header && name != given {
            warnings.push(format!("a second column {given} is called {name}"));
        }
        names.push(name);
    }
    names
}

/// Why the record is no good row; `None` for a good one.
fn bad_reason(records: &Records<'_>, width: usize) -> Option<String> {
    let source = records.source();
    if records.len() != width {
        let lines = records.lines();
        let to = if lines.1 > lines.0 { format!(", up to line {}", lines.1) } else { String::new() };
        return Some(format!("{} cells instead of {width}{to}", records.len()));
    }
    if source.encoding() == encoding_rs::UTF_8 && !source.guessed() {
        return records.invalid_at().map(|at| format!("byte {} of the row is not UTF-8", at + 1));
    }
    None
}

/// Rows left out, counted, the first of them listed.
#[derive(Default)]
struct Bad {
    count: u64,
    examples: Vec<Value>,
}

impl Bad {
    fn add(&mut self, records: &Records<'_>, reason: String, policy: OnBadRow) -> Result<(), Failure> {
        let (line, _) = records.lines();
        if policy == OnBadRow::Fail {
            return Err(Failure::fatal("bad_row", format!("line {line}: {reason}")));
        }
        self.count += 1;
        if self.examples.len() < BAD_ROW_EXAMPLES {
            self.examples.push(json!({ "line": line, "reason": reason }));
        }
        Ok(())
    }
}

/// What was written of what was read.
struct Counts {
    read: u64,
    filtered_out: u64,
    written: u64,
}

/// Good rows on their way through the plan into the output and the statistics.
struct Rows<W: Write> {
    counts: Counts,
    duplicates: u64,
    limit: u64,
    filter: Option<Filter>,
    seen: Option<Seen>,
    sorter: Option<Sorter>,
    out: Out<W>,
}

impl<W: Write> Rows<W> {
    fn new(own: &Own, plan: Plan, width: usize, output: W) -> Result<Rows<W>, Failure> {
        let nulls = Nulls::new(own.null_values.as_deref());
        let columns = plan.selected.iter().map(|(_, name)| Column::new(name.clone(), plan.selected.len())).collect();
        let selected = plan.selected.iter().map(|(index, _)| *index).collect();
        let mut out = Out { nulls, selected, columns, writer: csv::Writer::from_writer(output) };
        for (_, name) in &plan.selected {
            out.write(name.as_bytes(), Cell::Text)?;
        }
        out.end_row()?;
        let sorter = (!plan.sort.is_empty()).then(|| Sorter::new(plan.sort, width));
        Ok(Rows {
            counts: Counts { read: 0, filtered_out: 0, written: 0 },
            duplicates: 0,
            limit: own.limit.unwrap_or(u64::MAX),
            filter: plan.filter,
            seen: plan.deduplicate.map(Seen::new),
            sorter,
            out,
        })
    }

    /// Whether no further row could be written.
    fn full(&self) -> bool {
        self.counts.written >= self.limit
    }

    fn add<'r>(&mut self, line: u64, cell: impl Fn(usize) -> &'r [u8]) -> Result<(), Failure> {
        self.counts.read += 1;
        if self.filter.as_ref().is_some_and(|filter| !filter.keeps(&cell, &self.out.nulls)) {
            self.counts.filtered_out += 1;
            return Ok(());
        }
        if let Some(seen) = &mut self.seen
            && seen.before(&cell)?
        {
            self.duplicates += 1;
            return Ok(());
        }
        match &mut self.sorter {
            Some(sorter) => sorter.hold(line, cell),
            None => {
                self.counts.written += 1;
                self.out.row(line, cell)
            }
        }
    }

    fn finish(mut self, ctx: &Context, warnings: &mut Vec<String>) -> Result<(Counts, u64, Vec<Value>), Failure> {
        if let Some(sorter) = self.sorter.take() {
            for row in sorter.order(&self.out.nulls, ctx)? {
                if self.full() {
                    break;
                }
                if self.counts.written.is_multiple_of(ROWS_BETWEEN_CHECKS) {
                    ctx.check()?;
                }
                self.counts.written += 1;
                self.out.row(sorter.line(row), |i| sorter.cell(row, i))?;
            }
        }
        self.out.writer.flush().map_err(files::Error::from)?;
        warnings.extend(self.out.columns.iter().filter_map(Column::doubt));
        let columns = self.out.columns.into_iter().map(Column::finish).collect();
        Ok((self.counts, self.duplicates, columns))
    }
}

/// Where rows end up.
struct Out<W: Write> {
    nulls: Nulls,
    selected: Vec<usize>,
    columns: Vec<Column>,
    writer: csv::Writer<W>,
}

impl<W: Write> Out<W> {
    fn row<'r>(&mut self, line: u64, cell: impl Fn(usize) -> &'r [u8]) -> Result<(), Failure> {
        for at in 0..self.selected.len() {
            let text = cell(self.selected[at]);
            let read = self.nulls.read(text);
            self.columns[at].add(text, read, line);
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

/// The encoding it was read in, and warnings on what was mended.
fn tell_encoding(records: &Records<'_>, warnings: &mut Vec<String>) -> String {
    let (source, told) = (records.source(), records.told());
    if source.malformed() {
        let name = source.encoding().name();
        warnings.insert(0, format!("some bytes are wrong in {name}: each was replaced by U+FFFD"));
    }
    if let Some((count, line)) = told.nuls {
        let sentence =
            format!("{count} rows had NUL characters, the first on line {line}: each was replaced by U+FFFD");
        warnings.insert(0, sentence);
    }
    let Some((count, line)) = told.legacy else { return source.encoding().name().to_lowercase() };
    warnings.insert(0, format!("{count} rows are not UTF-8, the first on line {line}: they were read as Windows-1252"));
    "windows-1252".to_owned()
}
