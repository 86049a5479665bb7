//! The rows that are left, into `output.csv` or `output.ndjson`.

use super::Own;
use super::cell::{Cell, Reading};
use super::chunk::Chunk;
use crate::files::{self, Growing};
use crate::types::{Failure, Marked, Output};
use memchr::{memchr, memchr3};
use serde::{Deserialize, Serialize};
use std::io::Write;

/// What the file of rows is written as.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    /// `output.csv`, with a header.
    #[default]
    Csv,
    /// `output.ndjson`: an object a line.
    Ndjson,
}

impl Form {
    /// The file's name and media type.
    pub fn file(self) -> (&'static str, &'static str) {
        match self {
            Form::Csv => ("output.csv", "text/csv"),
            Form::Ndjson => ("output.ndjson", "application/x-ndjson"),
        }
    }
}

/// Signs that begin a formula, as wide as an ideograph: spreadsheets may take them for the others.
const WIDE_SIGNS: [&str; 4] = ["＝", "＋", "－", "＠"];

/// Where rows end up.
pub struct Out<'a> {
    form: Form,
    /// The columns' names as JSON.
    keys: Vec<String>,
    /// Lines on their way.
    lines: Vec<u8>,
    output: &'a mut Output<Growing>,
}

impl<'a> Out<'a> {
    /// Rows of these columns, each by its index in the file and its name, go to `output`.
    pub fn new(own: &Own, columns: &[(usize, String)], output: &'a mut Output<Growing>) -> Out<'a> {
        let key = |(_, name): &(usize, String)| serde_json::Value::from(name.as_str()).to_string();
        Out { form: own.output_format, keys: columns.iter().map(key).collect(), lines: Vec::new(), output }
    }

    /// Writes the header, where there is one.
    pub fn header(&mut self, columns: &[(usize, String)]) {
        if self.form == Form::Csv {
            columns.iter().for_each(|(_, name)| text(&mut self.lines, name.as_bytes()));
            end_row(&mut self.lines, columns.len());
        }
    }

    /// Writes these rows, each of a cell for each column.
    pub fn rows(&mut self, nulls: &Reading, rows: &Chunk) -> Result<(), Failure> {
        // In most columns no cell needs quotes, and all are looked at together.
        let need_quotes: Vec<bool> = rows.columns().iter().map(|cells| needs_quotes(cells.bytes())).collect();
        (0..rows.lines().len()).try_for_each(|row| {
            match self.form {
                Form::Csv => self.csv(nulls, rows.columns().iter().map(|cells| cells.of(row)).zip(&need_quotes)),
                Form::Ndjson => self.ndjson(nulls, rows.columns().iter().map(|cells| cells.of(row))),
            }
            if self.lines.len() >= Growing::CHUNK_BYTES { self.pour() } else { Ok(()) }
        })
    }

    /// Passes on what was held back.
    pub fn flush(&mut self) -> Result<(), Failure> {
        self.pour()?;
        Ok(self.output.flush().map_err(files::Error::from)?)
    }

    /// The output as it stands, with every row so far.
    pub fn mark(&mut self) -> Result<Marked, Failure> {
        self.flush()?;
        Ok(self.output.mark())
    }

    fn pour(&mut self) -> Result<(), Failure> {
        self.output.write_all(&self.lines).map_err(files::Error::from)?;
        self.lines.clear();
        Ok(())
    }

    /// A row of these cells, each with whether it might need quotes.
    fn csv<'r>(&mut self, nulls: &Reading, cells: impl Iterator<Item = (&'r [u8], &'r bool)>) {
        let lines = &mut self.lines;
        for (cell, may_need_quotes) in cells {
            if begins_formula(cell) && cell != b"-" && nulls.number(cell.trim_ascii()).is_none() {
                text(lines, cell);
            } else if *may_need_quotes {
                quoted(lines, &[cell]);
            } else {
                lines.extend_from_slice(cell);
                lines.push(b',');
            }
        }
        end_row(lines, self.keys.len());
    }

    fn ndjson<'r>(&mut self, nulls: &Reading, cells: impl Iterator<Item = &'r [u8]>) {
        let lines = &mut self.lines;
        for (at, text) in cells.enumerate() {
            lines.extend_from_slice(if at == 0 { b"{" } else { b"," });
            lines.extend_from_slice(self.keys[at].as_bytes());
            lines.push(b':');
            json(lines, text, nulls.read(text), nulls.decimal_comma());
        }
        lines.extend_from_slice(b"}\n");
    }
}

/// A cell that is no number and more than a dash: what a spreadsheet would take for a formula gets a quote before it.
fn text(lines: &mut Vec<u8>, text: &[u8]) {
    let sign: &[u8] = if begins_formula(text) { b"'" } else { b"" };
    quoted(lines, &[sign, text]);
}

/// A cell of these parts and the comma behind it, in quotes where it needs them.
fn quoted(lines: &mut Vec<u8>, parts: &[&[u8]]) {
    if !parts.iter().any(|part| needs_quotes(part)) {
        parts.iter().for_each(|part| lines.extend_from_slice(part));
        return lines.push(b',');
    }
    lines.push(b'"');
    for byte in parts.iter().flat_map(|part| part.iter()) {
        lines.extend_from_slice(if *byte == b'"' { b"\"\"" } else { std::slice::from_ref(byte) });
    }
    lines.extend_from_slice(b"\",");
}

fn needs_quotes(text: &[u8]) -> bool {
    memchr3(b',', b'"', b'\n', text).or_else(|| memchr(b'\r', text)).is_some()
}

/// The last comma becomes a line end. An empty row of one column would be no row: it is an empty cell in quotes.
fn end_row(lines: &mut Vec<u8>, columns: usize) {
    lines.pop();
    if columns == 1 && lines.last().is_none_or(|byte| *byte == b'\n') {
        lines.extend_from_slice(b"\"\"");
    }
    lines.push(b'\n');
}

fn begins_formula(text: &[u8]) -> bool {
    match text.first() {
        Some(b'=' | b'+' | b'-' | b'@' | b'\t' | b'\r' | b'\n') => true,
        Some(0xef) => WIDE_SIGNS.iter().any(|sign| text.starts_with(sign.as_bytes())),
        _ => false,
    }
}

/// A cell as JSON: a number where it is written as JSON writes one, to the last digit, so that 007
/// and 1.50 stay what they are (1,50 is 1.5); a truth; null without a value; else a text as it stands in the file.
fn json(into: &mut Vec<u8>, text: &[u8], read: Cell, decimal_comma: bool) {
    match read {
        Cell::Null => into.extend_from_slice(b"null"),
        Cell::Boolean(value) => into.extend_from_slice(if value { b"true" } else { b"false" }),
        Cell::Integer(value) if decimal_comma && text.contains(&b'.') => {
            into.extend_from_slice(value.to_string().as_bytes())
        }
        Cell::Decimal(value) if decimal_comma => {
            into.extend_from_slice(serde_json::Value::from(value).to_string().as_bytes());
        }
        Cell::Integer(_) | Cell::Decimal(_) if is_json_number(text.trim_ascii()) => {
            into.extend_from_slice(text.trim_ascii());
        }
        _ => {
            let text = serde_json::Value::from(String::from_utf8_lossy(text)).to_string();
            into.extend_from_slice(text.as_bytes());
        }
    }
}

/// Whether a number is written as JSON has it: no plus, no needless 0 before it, digits on both
/// sides of its point.
fn is_json_number(number: &[u8]) -> bool {
    let digits = number.strip_prefix(b"-").unwrap_or(number);
    let whole = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let after_point = match digits.get(whole) {
        Some(b'.') => digits.get(whole + 1).is_some_and(u8::is_ascii_digit),
        _ => true,
    };
    whole > 0 && (whole == 1 || digits[0] != b'0') && after_point
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_one_where_json_can_say_it_as_it_stands() {
        for (text, written) in [
            ("7", "7"),
            (" -1.50 ", "-1.50"),
            ("1e5", "1e5"),
            ("9007199254740993", "9007199254740993"),
            ("007", "\"007\""),
            ("+5", "\"+5\""),
            (".5", "\".5\""),
            ("5.", "\"5.\""),
            ("-.5", "\"-.5\""),
            ("0.5", "0.5"),
            ("-0", "-0"),
            ("TRUE", "true"),
            ("NA", "null"),
            ("", "null"),
            ("=1+1", "\"=1+1\""),
            ("a\"\n\u{1}ß", "\"a\\\"\\n\\u0001ß\""),
            ("2026-01-31", "\"2026-01-31\""),
        ] {
            let mut into = Vec::new();
            json(&mut into, text.as_bytes(), Reading::new(None).read(text.as_bytes()), false);
            assert_eq!(String::from_utf8(into).unwrap(), written, "{text:?}");
            serde_json::from_str::<serde_json::Value>(written).unwrap();
        }
    }

    proptest::proptest! {
        #[test]
        fn rows_are_quoted_where_they_have_to_be(
            rows in proptest::collection::vec(("[a, \"\n\r]{0,3}", "[b,]{0,2}"), 0..9), one in proptest::bool::ANY,
        ) {
            let mut lines = Vec::new();
            let mut writer = csv::Writer::from_writer(Vec::new());
            for (first, second) in &rows {
                let cells: Vec<&str> = if one { vec![second] } else { vec![first, second] };
                cells.iter().for_each(|cell| quoted(&mut lines, &[b"", cell.as_bytes()]));
                end_row(&mut lines, cells.len());
                writer.write_record(&cells).unwrap();
            }
            proptest::prop_assert_eq!(lines, writer.into_inner().unwrap());
        }
    }
}
