//! The rows that are left, into `output.csv` or `output.ndjson`.

use super::Own;
use super::cell::{Cell, Reading};
use crate::files::{self, Growing, Mark};
use crate::task::Artifact;
use crate::types::{Failure, Output};
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
    sink: Sink<'a>,
}

enum Sink<'a> {
    Csv(Box<csv::Writer<&'a mut Output<Growing>>>),
    /// The columns' names as JSON, and lines on their way.
    Ndjson(Vec<String>, Vec<u8>, &'a mut Output<Growing>),
}

impl<'a> Out<'a> {
    /// Rows of these columns, each by its index in the file and its name, go to `output`.
    pub fn new(own: &Own, columns: &[(usize, String)], output: &'a mut Output<Growing>) -> Out<'a> {
        let key = |(_, name): &(usize, String)| serde_json::Value::from(name.as_str()).to_string();
        let sink = match own.output_format {
            Form::Csv => {
                let mut writer = csv::WriterBuilder::new();
                Sink::Csv(Box::new(writer.buffer_capacity(Growing::CHUNK_BYTES).from_writer(output)))
            }
            Form::Ndjson => Sink::Ndjson(columns.iter().map(key).collect(), Vec::new(), output),
        };
        Out { sink }
    }

    /// Writes the header, where there is one.
    pub fn header(&mut self, columns: &[(usize, String)]) -> Result<(), Failure> {
        let Sink::Csv(writer) = &mut self.sink else { return Ok(()) };
        columns.iter().try_for_each(|(_, name)| write_text(writer, name.as_bytes()))?;
        end_row(writer)
    }

    /// One more row, a cell for each column.
    pub fn row<'r>(&mut self, nulls: &Reading, cells: impl Iterator<Item = &'r [u8]>) -> Result<(), Failure> {
        if let Sink::Ndjson(_, lines, output) = &mut self.sink
            && lines.len() >= Growing::CHUNK_BYTES
        {
            output.write_all(lines).map_err(files::Error::from)?;
            lines.clear();
        }
        for (at, text) in cells.enumerate() {
            match &mut self.sink {
                Sink::Csv(writer) => field(writer, text, nulls)?,
                Sink::Ndjson(keys, lines, _) => {
                    lines.extend_from_slice(if at == 0 { b"{" } else { b"," });
                    lines.extend_from_slice(keys[at].as_bytes());
                    lines.push(b':');
                    json(lines, text, nulls.read(text), nulls.decimal_comma());
                }
            }
        }
        match &mut self.sink {
            Sink::Csv(writer) => end_row(writer),
            Sink::Ndjson(_, lines, _) => {
                lines.extend_from_slice(b"}\n");
                Ok(())
            }
        }
    }

    /// Passes on what was held back.
    pub fn flush(&mut self) -> Result<(), Failure> {
        match &mut self.sink {
            Sink::Csv(writer) => writer.flush(),
            Sink::Ndjson(_, lines, output) => output.write_all(&std::mem::take(lines)).and_then(|()| output.flush()),
        }
        .map_err(|error| files::Error::from(error).into())
    }

    /// The output as it stands, with every row so far; `None` where the store knows no marks.
    pub fn mark(&mut self) -> Result<Option<(Artifact, Mark)>, Failure> {
        self.flush()?;
        Ok(match &self.sink {
            Sink::Csv(writer) => writer.get_ref().mark(),
            Sink::Ndjson(_, _, output) => output.mark(),
        })
    }
}

/// A cell, as a text unless it is a number.
fn field(writer: &mut csv::Writer<&mut Output<Growing>>, text: &[u8], nulls: &Reading) -> Result<(), Failure> {
    if begins_formula(text) && matches!(nulls.read(text), Cell::Integer(_) | Cell::Decimal(_)) {
        return writer.write_field(text).map_err(failure);
    }
    write_text(writer, text)
}

/// What a spreadsheet would take for a formula gets a quote before it.
fn write_text(writer: &mut csv::Writer<&mut Output<Growing>>, text: &[u8]) -> Result<(), Failure> {
    if begins_formula(text) {
        return writer.write_field([b"'", text].concat()).map_err(failure);
    }
    writer.write_field(text).map_err(failure)
}

fn begins_formula(text: &[u8]) -> bool {
    match text.first() {
        Some(b'=' | b'+' | b'-' | b'@' | b'\t' | b'\r' | b'\n') => true,
        Some(0xef) => WIDE_SIGNS.iter().any(|sign| text.starts_with(sign.as_bytes())),
        _ => false,
    }
}

fn end_row(writer: &mut csv::Writer<&mut Output<Growing>>) -> Result<(), Failure> {
    writer.write_record(None::<&[u8]>).map_err(failure)
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

fn failure(error: csv::Error) -> Failure {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => files::Error::from(error).into(),
        _ => Failure::fatal("internal", "the output could not be written"),
    }
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
}
