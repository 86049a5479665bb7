//! The second form: the user's own file, in one pass.

use super::chunk::Chunk;
use super::plan::Plan;
use super::records::Records;
use super::resume::Saver;
use super::rows::{Rows, Written};
use super::source::{Content, Meter, Source};
use super::state::{State, WRITING_IN_ORDER, bad_row};
use super::{OnBadRow, Own};
use crate::files::Growing;
use crate::task::text::clip;
use crate::types::{Context, Failure, Level, Output};
use serde_json::{Value, json};
use std::collections::{HashMap, HashSet};
use std::time::Instant;

/// As many warnings are listed.
const MAX_WARNINGS: usize = 100;
/// After so many rows at most, what was read is written and how fast it goes is said anew.
const ROWS_A_TURN: u64 = 16_384;
/// What is being done while the rest is looked through.
const LOOKING: &str = "looking for rows that come again, in bytes";
/// A longer column name is cut.
const NAME_BYTES: usize = 200;
/// The part of the result that lists columns; the file `statistics.json` lists all of them.
const COLUMNS_BYTES: usize = 700 * 1024;

/// Reads `content`, writes the rows to `output` and gives the statistics, which describe exactly the
/// rows written. Every row that is left out is counted. With the `state` of an earlier attempt it is read
/// from where that says, and `output` holds the rows up to there.
pub fn process(
    own: &Own,
    content: &Content<'_>,
    state: Option<State>,
    output: &mut Output<Growing>,
    saver: &mut Saver<'_>,
    ctx: &Context,
) -> Result<Value, Failure> {
    let (total, encoding) = (content.bytes(), own.encoding());
    let (mut records, mut rows, mut written, more) = match state {
        Some(mut state) => {
            let plan = Plan::new(own, &state.header)?;
            let mut written = Written::new(own, &plan, &mut state, output);
            let mut rows = Rows::new(own, plan, state);
            let at = rows.state.at.clone();
            let meter = rows.meter(at.source.read, total);
            let input = content.open(at.source.offset, ctx)?;
            let source = Source::again(input, meter, encoding, &at.source, ctx)?;
            let mut records = Records::again(source, &at);
            if look_ahead(own, content, &mut records, &mut rows, ctx)? {
                save(&records, &mut rows, &mut written, saver)?;
            }
            let more = records.next()?;
            (records, rows, written, more)
        }
        None => {
            // Nothing is known yet of what becomes of the rows.
            let work = if own.sort.is_empty() { total } else { total + (total as f64 * WRITING_IN_ORDER) as u64 };
            let input = content.open(0, ctx)?;
            begin(own, Source::open(input, Meter::reading(work), encoding, ctx)?, output)?
        }
    };
    let (began, before) = (Instant::now(), rows.state.rows_read());
    let mut turn = Turn::behind(more, &rows);
    let mut chunk = Chunk::default();
    while turn != Turn::End {
        chunk = rows.take(chunk);
        records.measure(rows.meter(records.source().read(), total));
        turn = written.add_beside(&chunk, || read_on(own, &mut records, &mut rows, saver, ctx))?;
        measure(ctx, rows.state.rows_read(), before, began);
        if turn == Turn::Save {
            chunk = rows.take(chunk);
            written.add(&chunk)?;
            save(&records, &mut rows, &mut written, saver)?;
            if look_ahead(own, content, &mut records, &mut rows, ctx)? {
                save(&records, &mut rows, &mut written, saver)?;
            }
            turn = Turn::behind(records.next()?, &rows);
        }
    }
    let read = records.source().read();
    if !rows.full() && read < total {
        let message = format!("the file ended after {read} of {total} bytes: it is not what was uploaded");
        return Err(Failure::fatal("file_changed", message));
    }
    let all = rows.meter(read, total);
    ctx.progress(all.done as i64, all.work as i64, Some(all.step.to_owned()));
    rows.state.at = records.at();
    if rows.close(ctx)? {
        save(&records, &mut rows, &mut written, saver)?;
    }
    let (state, columns, mut warnings) = rows.finish(written, total, saver, ctx)?;
    measure(ctx, state.rows_read(), before, began);
    let encoding = tell_encoding(&records, &mut warnings);
    if state.bad.count > state.counts.read {
        let sentence = "more rows are bad than good: are the delimiter and the first line what they seem to be?";
        warnings.insert(0, sentence.to_owned());
    }
    warnings.truncate(MAX_WARNINGS);
    warnings.iter().for_each(|warning| ctx.log(Level::Warn, warning));
    if state.bad.count > 0 {
        ctx.log(Level::Warn, format!("bad rows left out: {}", state.bad.count));
    }
    let (counts, delimiter) = (&state.counts, (records.delimiter() as char).to_string());
    let mut result = json!({
        "rows": counts.written, "rows_read": state.rows_read(), "rows_filtered_out": counts.filtered_out, "columns": columns,
        "bad_rows": state.bad.count, "bad_row_examples": state.bad.examples, "encoding": encoding,
        "delimiter": delimiter, "has_header": state.has_header, "warnings": warnings,
    });
    if own.deduplicate.is_some() {
        result["duplicates"] = json!(counts.duplicates);
    }
    Ok(result)
}

/// What comes after some rows were read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// They are written, and further ones read: one is at hand.
    Write,
    /// They are written, and a checkpoint is made.
    Save,
    /// No further row is needed, or there is none.
    End,
}

impl Turn {
    /// With or without a further row at hand.
    fn behind(more: bool, rows: &Rows) -> Turn {
        if more && !rows.full() { Turn::Write } else { Turn::End }
    }
}

/// Takes in the row at hand and those behind it, until there are enough.
fn read_on(
    own: &Own,
    records: &mut Records<'_>,
    rows: &mut Rows,
    saver: &mut Saver<'_>,
    ctx: &Context,
) -> Result<Turn, Failure> {
    let width = rows.state.header.len();
    loop {
        match bad_reason(records, width) {
            Some(_) if records.is_blank() => {}
            Some(reason) => rows.state.add_bad(records, reason, own)?,
            None => rows.add(records.began(), |i| records.cell(i), ctx)?,
        }
        let place = records.source().read() + rows.state.telling;
        if saver.is_due(rows.state.rows_read(), place)? || rows.must_look_ahead() {
            return Ok(Turn::Save);
        }
        let turn = Turn::behind(records.next()?, rows);
        if turn == Turn::End || rows.is_ready() || rows.state.rows_read().is_multiple_of(ROWS_A_TURN) {
            return Ok(turn);
        }
    }
}

/// Looks through what lies behind the last row that was read for rows that repeat an earlier one, where no more of those
/// that differ can be held; answers whether. It comes to the same rows as the reading will, and neither counts nor
/// writes any.
fn look_ahead(
    own: &Own,
    content: &Content<'_>,
    records: &mut Records<'_>,
    rows: &mut Rows,
    ctx: &Context,
) -> Result<bool, Failure> {
    if !rows.must_look_ahead() {
        return Ok(false);
    }
    let (at, total) = (records.at(), content.bytes());
    let read = at.source.read;
    let [a_byte, then] = rows.ahead_a_byte(read);
    let Meter { done: before, work, .. } = rows.meter(read, total);
    let rest = total.saturating_sub(read) as f64;
    let (looking, marking) = (rest * a_byte, rest * then);
    let Some(seen) = &mut rows.state.seen else { return Ok(false) };
    let mut ahead = seen.ahead(ctx)?;
    let meter = Meter { step: LOOKING, done: before, from: read, a_byte, work };
    let source = Source::again(content.open(at.source.offset, ctx)?, meter, own.encoding(), &at.source, ctx)?;
    let mut ahead_of = Records::again(source, &at);
    loop {
        match next_to_deduplicate(own, &mut ahead_of, rows) {
            Ok(true) => ahead.row(|i| ahead_of.cell(i))?,
            Ok(false) => break,
            // The reading may have enough before it comes there; else it fails for the same reason.
            Err(Failure::Fatal { .. }) if own.limit.is_some() && own.sort.is_empty() => break,
            Err(failure) => return Err(failure),
        }
    }
    let tell = |share: f64| {
        let done = before + (looking + marking * share) as u64;
        ctx.progress(done as i64, work as i64, Some(LOOKING.to_owned()));
    };
    rows.looked(ahead.finish(tell)?, (looking + marking) as u64);
    records.measure(rows.meter(read, total));
    Ok(true)
}

/// Reads the next row that the filter keeps; `false` at the end.
fn next_to_deduplicate(own: &Own, records: &mut Records<'_>, rows: &Rows) -> Result<bool, Failure> {
    while records.next()? {
        match bad_reason(records, rows.state.header.len()) {
            Some(_) if records.is_blank() => {}
            Some(reason) if own.on_bad_row == OnBadRow::Fail => return Err(bad_row(records.began(), &reason)),
            Some(_) => {}
            None if rows.keeps(|i| records.cell(i)) => return Ok(true),
            None => {}
        }
    }
    Ok(false)
}

/// Makes a checkpoint behind the last row that was read. All are written.
fn save(
    records: &Records<'_>,
    rows: &mut Rows,
    written: &mut Written<'_>,
    saver: &mut Saver<'_>,
) -> Result<(), Failure> {
    let mark = written.mark()?;
    rows.state.at = records.at();
    written.lend(&mut rows.state, |state| saver.save(state, mark))
}

/// Says how many rows were read, and how many of them each second by this attempt.
fn measure(ctx: &Context, rows: u64, before: u64, began: Instant) {
    ctx.metric("rows_read", rows as f64);
    ctx.metric("rows_per_second", ((rows - before) as f64 / began.elapsed().as_secs_f64().max(1e-3)).round());
}

/// The records, the rows with the header written, and whether the first row is read.
fn begin<'s, 'o>(
    own: &Own,
    source: Source<'s>,
    output: &'o mut Output<Growing>,
) -> Result<(Records<'s>, Rows, Written<'o>, bool), Failure> {
    let delimiter = own.delimiter.as_ref().map(|given| given.as_bytes()[0]);
    let mut records = Records::open(source, delimiter, own.decimal_comma, own.skip_lines.into())?;
    if !records.next()? {
        return Err(Failure::fatal("empty_file", "the file holds no rows"));
    }
    let has_header = own.has_header.unwrap_or_else(|| records.is_header(&own.reading()));
    let mut warnings = Vec::new();
    if let Some((lines, wide)) = records.title_lines() {
        let (line, width) = (records.began(), records.len());
        warnings.push(format!(
            "line {line}, by which the columns are told, has {width} cells and most lines behind it {wide}: where a title stands above the table, say skip_lines {lines}"
        ));
    }
    let header = header(&records, has_header, &mut warnings);
    let plan = Plan::new(own, &header)?;
    let mut state = State::new(records.at(), has_header, header, warnings, &plan, own);
    let mut written = Written::new(own, &plan, &mut state, output);
    written.write_header(&plan.selected);
    let more = if has_header { records.next()? } else { true };
    Ok((records, Rows::new(own, plan, state), written, more))
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
pub fn header(records: &Records<'_>, has_header: bool, warnings: &mut Vec<String>) -> Vec<String> {
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
pub fn bad_reason(records: &Records<'_>, width: usize) -> Option<String> {
    let source = records.source();
    if records.has_stray_quote() {
        return Some(format!(
            "a quote closes in the middle of a cell, after line {}: was one not closed before?",
            records.began()
        ));
    }
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

/// The encoding it was read in, and warnings on what was mended.
pub fn tell_encoding(records: &Records<'_>, warnings: &mut Vec<String>) -> String {
    let (source, told) = (records.source(), records.told());
    if source.malformed() {
        let name = source.encoding().name();
        warnings.insert(0, format!("some bytes are wrong in {name}: each was replaced by U+FFFD"));
    }
    if let Some((count, line)) = told.nuls {
        let sentence = format!(
            "{} with NUL characters, the first on line {line}: each was replaced by U+FFFD",
            rows_in_words(count)
        );
        warnings.insert(0, sentence);
    }
    let Some((count, line)) = told.legacy else { return source.encoding().name().to_lowercase() };
    let rows = rows_in_words(count);
    warnings.insert(0, format!("{rows} with bytes that are not UTF-8, the first on line {line}: read as Windows-1252"));
    "windows-1252".to_owned()
}

fn rows_in_words(count: u64) -> String {
    if count == 1 { "1 row".to_owned() } else { format!("{count} rows") }
}
