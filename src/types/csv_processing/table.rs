//! The rows of a table with a header, for other types: found out and read as `csv_processing` does.

use super::process::{bad_reason, header};
use super::records::Records;
use super::source::{Meter, Source};
use crate::files::is_text_type;
use crate::types::{Context, Failure, Input};
use std::io::Read;

/// A table, row after row.
pub struct Table<'a> {
    records: Records<'a>,
    header: Vec<String>,
}

/// A row, or why it is none.
pub enum Row<'t> {
    /// Its cells, as many as the header has.
    Good(Vec<&'t [u8]>),
    /// The line it begins on, and why it is none.
    Bad(u64, String),
}

/// Fatal `not_text` for a file whose first bytes say that it is a picture, an archive or the like.
pub fn is_text(file: &Input) -> Result<(), Failure> {
    let kind = file.content_type.as_str();
    // What is nothing that is known may be text in some encoding.
    match is_text_type(kind) || kind == "application/octet-stream" {
        true => Ok(()),
        false => Err(Failure::fatal("not_text", format!("the file is no text with a row a line: it is {kind}"))),
    }
}

impl<'a> Table<'a> {
    /// Reads the header of `input`, a file of `total` bytes. Fatal `empty_file` where there is none.
    pub fn open(input: Box<dyn Read + 'a>, total: u64, ctx: &'a Context) -> Result<Table<'a>, Failure> {
        let source = Source::open(input, Meter::reading(total), None, ctx)?;
        let mut records = Records::open(source, None, false, 0)?;
        if !records.next()? {
            return Err(Failure::fatal("empty_file", "the file holds no rows"));
        }
        let header = header(&records, true, &mut Vec::new());
        Ok(Table { records, header })
    }

    /// The columns' names, each another.
    pub fn header(&self) -> &[String] {
        &self.header
    }

    /// The next row; `None` at the end.
    pub fn next(&mut self) -> Result<Option<Row<'_>>, Failure> {
        loop {
            if !self.records.next()? {
                return Ok(None);
            }
            if self.header.len() == 1 || !self.records.is_blank() {
                break;
            }
        }
        Ok(Some(match bad_reason(&self.records, self.header.len()) {
            Some(reason) => Row::Bad(self.records.began(), reason),
            None => Row::Good(self.records.cells().collect()),
        }))
    }
}
