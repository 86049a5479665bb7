//! Records of cells out of text, with bounds on everything, and the line each began on.

mod mend;
#[cfg(test)]
mod tests;

use super::cell::Reading;
use super::sniff;
use super::source::{self, Meter, Source};
use crate::types::Failure;
use csv_core::ReadRecordResult;
use memchr::{memchr, memchr_iter, memchr2};
use serde::{Deserialize, Serialize};

/// A longer cell fails the task.
pub const MAX_CELL_BYTES: usize = 1024 * 1024;
/// A longer record fails the task.
const MAX_RECORD_BYTES: usize = 16 * 1024 * 1024;
/// More columns fail the task.
pub const MAX_COLUMNS: usize = 4096;
/// A cell too long with so many line breaks in it is a quote that was never closed.
const LINES_OF_AN_OPEN_QUOTE: usize = 1000;

/// Reads record after record into the same buffers. Empty lines are no records.
pub struct Records<'a> {
    source: Source<'a>,
    core: csv_core::Reader,
    cells: Vec<u8>,
    ends: Vec<usize>,
    used: usize,
    count: usize,
    /// How many bytes stand between two cells: none, or the delimiter.
    between: usize,
    delimiter: u8,
    /// The byte that ends a line: CR in files that know no LF.
    line_end: u8,
    line: u64,
    began: u64,
    /// Quotes in the record as it is written; not counted where it stands on one line.
    quotes: usize,
    told: Told,
}

/// What was mended on the way, for the result to tell.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Told {
    /// Records that were no UTF-8 and were read as Windows-1252, and the first one's line.
    pub legacy: Option<(u64, u64)>,
    /// Records with NUL characters, which were replaced, and the first one's line.
    pub nuls: Option<(u64, u64)>,
}

/// Where the reading stood, between two records, for another one to go on from there.
#[derive(Clone, Serialize, Deserialize)]
pub struct At {
    /// The source's own.
    pub source: source::At,
    delimiter: u8,
    line_end: u8,
    line: u64,
    told: Told,
}

impl<'a> Records<'a> {
    /// The records of `source` behind `skip_lines` lines, with the `delimiter` that was given, or that a first line `sep=;`
    /// names (spreadsheets write it; it is no record), or found out.
    pub fn open(
        mut source: Source<'a>,
        delimiter: Option<u8>,
        decimal_comma: bool,
        skip_lines: u64,
    ) -> Result<Records<'a>, Failure> {
        let skipped = skip(&mut source, skip_lines)?;
        let named = sniff::named(source.text());
        let found = || named.unwrap_or_else(|| sniff::delimiter(source.text(), decimal_comma));
        let delimiter = delimiter.unwrap_or_else(found);
        let mut records = Records::new(source, delimiter);
        if skipped > 0 {
            records.line += skipped;
            records.no_mark_follows();
        }
        if named == Some(delimiter) {
            records.next()?;
        }
        Ok(records)
    }

    /// The records of `source`, with cells between `delimiter`s.
    pub fn new(source: Source<'a>, delimiter: u8) -> Records<'a> {
        let text = source.text();
        let line_end = line_end(text);
        let core = csv_core::ReaderBuilder::new().delimiter(delimiter).build();
        let (cells, ends, told) = (vec![0; 64 * 1024], vec![0; 256], Told::default());
        Records {
            source,
            core,
            cells,
            ends,
            used: 0,
            count: 0,
            between: 0,
            delimiter,
            line_end,
            line: 1,
            began: 1,
            quotes: 0,
            told,
        }
    }

    /// Goes on in `source`, which stands where it did.
    pub fn again(source: Source<'a>, at: &At) -> Records<'a> {
        let mut records = Records::new(source, at.delimiter);
        records.no_mark_follows();
        let At { line_end, line, .. } = *at;
        Records { line_end, line, told: at.told.clone(), ..records }
    }

    /// Where it stands, behind the record that was read last.
    pub fn at(&self) -> At {
        let Records { delimiter, line_end, line, .. } = *self;
        At { source: self.source.at(), delimiter, line_end, line, told: self.told.clone() }
    }

    /// The character between cells.
    pub fn delimiter(&self) -> u8 {
        self.delimiter
    }

    /// Reads the next record; `false` at the end. A quote that is never closed is fatal
    /// (`unclosed_quote`), as is a cell or record beyond the bounds.
    pub fn next(&mut self) -> Result<bool, Failure> {
        (self.used, self.count, self.between, self.began, self.quotes) = (0, 0, 0, self.line, 0);
        if self.next_plain()? {
            return Ok(true);
        }
        let (mut in_record, mut first) = (false, true);
        loop {
            if self.source.text().is_empty() && !self.source.more()? {
                return self.end();
            }
            let text = self.source.text();
            let (result, read, written, ended) =
                self.core.read_record(text, &mut self.cells[self.used..], &mut self.ends[self.count..]);
            let line_end = self.line_end;
            let lines = |bytes: &[u8]| bytes.iter().filter(|byte| **byte == line_end).count() as u64;
            if !in_record {
                // The rest of the last record's line end, and empty lines, come first.
                let before = text[..read].iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
                in_record = before < read;
                self.began += lines(&text[..before]);
            }
            let ended_line = self.line + lines(&text[..read]);
            // Its own line end is the last byte, if it is not yet to come: CR before LF.
            let own_end = u64::from(read > 0 && text[read - 1] == line_end);
            let on_one_line = first && matches!(result, ReadRecordResult::Record) && ended_line <= self.began + own_end;
            if !on_one_line {
                self.quotes += text[..read].iter().filter(|byte| **byte == b'"').count();
            }
            (self.line, first) = (ended_line, false);
            self.source.used(read);
            (self.used, self.count) = (self.used + written, self.count + ended);
            self.check_bounds()?;
            match result {
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::OutputFull => self.cells.resize(self.cells.len() * 2, 0),
                ReadRecordResult::OutputEndsFull => self.ends.resize(self.ends.len() * 2, 0),
                ReadRecordResult::Record => {
                    self.mend();
                    return Ok(true);
                }
                ReadRecordResult::End => return Ok(false),
            }
        }
    }

    /// Takes the next record without looking at each of its bytes, if it lies here whole, on one line and without
    /// quotes: most do. Else `false`, and nothing is read.
    fn next_plain(&mut self) -> Result<bool, Failure> {
        let text = self.source.text();
        let before = text.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        let rest = &text[before..];
        let Some(end) = memchr2(b'\n', b'\r', rest) else { return Ok(false) };
        let line = &rest[..end];
        // The reader takes a byte order mark away before the first record it sees.
        if self.line == 1 || memchr(b'"', line).is_some() {
            return Ok(false);
        }
        if self.cells.len() < end {
            self.cells.resize(end, 0);
        }
        self.cells[..end].copy_from_slice(line);
        for at in memchr_iter(self.delimiter, line).chain([end]) {
            if self.count == self.ends.len() {
                self.ends.resize(self.count * 2, 0);
            }
            self.ends[self.count] = at;
            self.count += 1;
        }
        (self.used, self.between) = (end, 1);
        let ends_line = |byte: &u8| *byte == self.line_end;
        self.began += text[..before].iter().filter(|byte| ends_line(byte)).count() as u64;
        self.line = self.began + u64::from(ends_line(&rest[end]));
        self.source.used(before + end + 1);
        self.check_bounds()?;
        self.mend();
        Ok(true)
    }

    /// How many cells the record has.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Its `i`-th cell.
    pub fn cell(&self, i: usize) -> &[u8] {
        let from = if i == 0 { 0 } else { self.ends[i - 1] + self.between };
        &self.cells[from..self.ends[i]]
    }

    /// Whether it is a line of spaces, or the end-of-file sign of old systems: no record where there are several columns.
    pub fn is_blank(&self) -> bool {
        self.count == 1 && self.cell(0).iter().all(|byte| matches!(byte, b' ' | b'\t' | 0x1a))
    }

    /// Its cells, in order.
    pub fn cells(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.count).map(|i| self.cell(i))
    }

    /// Whether the record names the columns, if it is the first.
    pub fn is_header(&self, reading: &Reading) -> bool {
        let cells: Vec<&[u8]> = self.cells().collect();
        sniff::is_header(&cells, self.source.text(), self.delimiter, reading)
    }

    /// The lines up to a record with as many cells as most behind it, and how many those are, where this one has fewer.
    pub fn title_lines(&self) -> Option<(u64, usize)> {
        let (behind, wide) = sniff::title_lines(self.count, self.source.text(), self.delimiter)?;
        Some((self.line - 1 + behind, wide))
    }

    /// The line it began on, from 1.
    pub fn began(&self) -> u64 {
        self.began
    }

    /// The lines it began and ended on, from 1.
    pub fn lines(&self) -> (u64, u64) {
        let inside = self.cells[..self.used].iter().filter(|byte| **byte == self.line_end).count() as u64;
        (self.began, self.began + inside)
    }

    /// Whether a quote was opened in the record and closed in the middle of a cell some lines on:
    /// most likely by the opening quote of another record, those between being swallowed.
    pub fn has_stray_quote(&self) -> bool {
        self.quotes % 2 == 1 && self.lines().1 > self.began
    }

    /// Where in the record the first byte is that is no UTF-8. Only where the params promised
    /// UTF-8: otherwise such a record has been mended.
    pub fn invalid_at(&self) -> Option<usize> {
        let wrong = || std::str::from_utf8(&self.cells[..self.used]).map_or_else(|error| error.valid_up_to(), str::len);
        let within = |at: usize| at - self.between * self.ends[..self.count].iter().filter(|end| **end < at).count();
        (!self.is_utf8()).then(wrong).map(within)
    }

    /// What was mended so far.
    pub fn told(&self) -> &Told {
        &self.told
    }

    /// Says from now on with this one how far it is.
    pub fn measure(&mut self, meter: Meter) {
        self.source.measure(meter);
    }

    /// The source, for what it knows of the encoding.
    pub fn source(&self) -> &Source<'a> {
        &self.source
    }

    /// The end of the input: the last record may lack its line end, but not a closing quote.
    fn end(&mut self) -> Result<bool, Failure> {
        let (quiet, ..) = self.feed(b"\n");
        self.check_bounds()?;
        if matches!(quiet, ReadRecordResult::Record) {
            self.mend();
            return Ok(true);
        }
        // Nothing came out: either there was nothing, or the line end stands within quotes. A
        // record of one letter tells.
        let (result, ..) = self.feed(b"x\n");
        if matches!(result, ReadRecordResult::Record) {
            self.core.reset();
            return Ok(false);
        }
        Err(self.unclosed())
    }

    /// The reader takes a byte order mark away before the first record it sees; this is none.
    fn no_mark_follows(&mut self) {
        self.feed(b"x\n");
    }

    fn feed(&mut self, text: &[u8]) -> (ReadRecordResult, usize) {
        self.cells.resize(self.used + 64, 0);
        self.ends.resize(self.count + 4, 0);
        let (result, read, written, ended) =
            self.core.read_record(text, &mut self.cells[self.used..], &mut self.ends[self.count..]);
        (self.used, self.count) = (self.used + written, self.count + ended);
        (result, read)
    }

    fn check_bounds(&self) -> Result<(), Failure> {
        if self.count > MAX_COLUMNS {
            let message = format!("line {} has more than {MAX_COLUMNS} cells", self.began);
            return Err(Failure::fatal("too_many_columns", message));
        }
        if self.used <= MAX_CELL_BYTES {
            return Ok(());
        }
        let starts = std::iter::once(0).chain(self.ends[..self.count].iter().copied());
        let ends = self.ends[..self.count].iter().copied().chain([self.used]);
        let Some(long) = starts.zip(ends).find(|(start, end)| end - start > MAX_CELL_BYTES) else {
            let message = format!("the record that begins on line {} is longer than 16 MiB", self.began);
            return if self.used > MAX_RECORD_BYTES {
                Err(Failure::fatal("record_too_large", message))
            } else {
                Ok(())
            };
        };
        let lines = self.cells[long.0..long.1].iter().filter(|byte| **byte == self.line_end).count();
        if lines >= LINES_OF_AN_OPEN_QUOTE {
            return Err(self.unclosed());
        }
        let message = format!("a cell of the record that begins on line {} is longer than 1 MiB", self.began);
        Err(Failure::fatal("field_too_large", message))
    }

    fn unclosed(&self) -> Failure {
        let open = if self.count == 0 { 0 } else { self.ends[self.count - 1] };
        let before = self.cells[..open].iter().filter(|byte| **byte == self.line_end).count() as u64;
        let line = self.began + before;
        Failure::fatal("unclosed_quote", format!("the quote that opens on line {line} is never closed"))
    }
}

/// The byte that ends a line.
fn line_end(text: &[u8]) -> u8 {
    if text.contains(&b'\r') && !text.contains(&b'\n') { b'\r' } else { b'\n' }
}

/// Passes over so many lines, or all there are; answers how many.
fn skip(source: &mut Source<'_>, lines: u64) -> Result<u64, Failure> {
    let line_end = line_end(source.text());
    let mut skipped = 0;
    while skipped < lines && (!source.text().is_empty() || source.more()?) {
        let found = memchr(line_end, source.text());
        source.used(found.map_or(source.text().len(), |end| end + 1));
        skipped += u64::from(found.is_some());
    }
    if source.text().is_empty() {
        source.more()?;
    }
    Ok(skipped)
}
