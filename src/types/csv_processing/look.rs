//! The first rows of a table, from its beginning alone.

use super::cell::Reading;
use super::process::{header, tell_encoding};
use super::records::Records;
use super::source::{Meter, Source};
use crate::task::text::clip;
use crate::types::{Context, Failure, Input};
use serde::Serialize;
use std::io::Read;

/// So much of the file is read.
const SAMPLE_BYTES: u64 = 256 * 1024;
/// So many rows are shown.
const MAX_ROWS: usize = 50;
/// So many cells of each.
const MAX_COLUMNS: usize = 100;
/// A longer cell is cut.
const MAX_CELL_BYTES: usize = 500;

/// The first rows of a table.
#[derive(Debug, Serialize, PartialEq)]
pub struct Rows {
    /// The columns' names, each another; at most 100 of them.
    pub columns: Vec<String>,
    /// At most 50 rows of at most 100 cells of at most 500 bytes, as they stand in the file.
    pub rows: Vec<Vec<String>>,
    /// How many columns the table has.
    pub width: usize,
    /// Whether the first line names the columns.
    pub has_header: bool,
    /// What stands between cells.
    pub delimiter: String,
    /// What it was read as, as `utf-8`.
    pub encoding: String,
    /// Whether the table goes on behind these rows.
    pub more: bool,
}

/// Looks at the beginning of `file`. Fatal with the codes of `csv_processing` for what is no table.
pub async fn look(file: &Input, ctx: &Context) -> Result<Rows, Failure> {
    let beginning = file.beginning(SAMPLE_BYTES);
    let (bytes, cut) = (beginning.bytes, beginning.bytes < file.bytes);
    let reader = ctx.read(&beginning, 0).await?.into_blocking();
    ctx.blocking(move |ctx| rows(Box::new(reader), bytes, cut, ctx)).await
}

fn rows(input: Box<dyn Read>, bytes: u64, cut: bool, ctx: &Context) -> Result<Rows, Failure> {
    let mut records = Records::open(Source::open(input, Meter::reading(bytes), None, ctx)?, None, false, 0)?;
    if !records.next()? {
        return Err(Failure::fatal("empty_file", "the file holds no rows"));
    }
    let has_header = records.is_header(&Reading::new(None));
    let (mut columns, mut rows) = (header(&records, has_header, &mut Vec::new()), Vec::new());
    let width = columns.len();
    columns.truncate(MAX_COLUMNS);
    let mut end = if has_header { next(&mut records, cut)? } else { End::Ahead };
    while matches!(end, End::Ahead) && rows.len() < MAX_ROWS {
        let cell = |cell: &[u8]| clip(&String::from_utf8_lossy(cell), MAX_CELL_BYTES);
        rows.push(records.cells().take(MAX_COLUMNS).map(cell).collect::<Vec<String>>());
        end = next(&mut records, cut)?;
    }
    if cut && matches!(end, End::Reached) {
        // The last one may be cut.
        rows.pop();
    }
    let more = cut || matches!(end, End::Ahead);
    let delimiter = char::from(records.delimiter()).to_string();
    let encoding = tell_encoding(&records, &mut Vec::new());
    Ok(Rows { columns, rows, width, has_header, delimiter, encoding, more })
}

/// Where what was read ends.
enum End {
    /// Behind another record.
    Ahead,
    /// Here.
    Reached,
    /// Within a record, which is none without the rest.
    Within,
}

fn next(records: &mut Records<'_>, cut: bool) -> Result<End, Failure> {
    match records.next() {
        Ok(true) => Ok(End::Ahead),
        Ok(false) => Ok(End::Reached),
        Err(Failure::Fatal { .. }) if cut => Ok(End::Within),
        Err(failure) => Err(failure),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::context::trial::Trial;

    async fn of(text: &[u8]) -> Result<Rows, String> {
        let ctx = Trial::new().attempt();
        let (text, all) = (text.to_vec(), text.len() as u64);
        let bytes = all.min(SAMPLE_BYTES);
        let read = move |ctx: &Context| rows(Box::new(std::io::Cursor::new(text).take(bytes)), bytes, all > bytes, ctx);
        ctx.blocking(read).await.map_err(|failure| match failure {
            Failure::Fatal { code, .. } => code,
            other => panic!("{other:?}"),
        })
    }

    #[tokio::test]
    async fn delimiter_encoding_and_header_are_found_out() {
        let rows = of("name;price\nB\u{fc}cher;1,5\n".replace('\u{fc}', "?").as_bytes()).await.unwrap();
        assert_eq!((rows.delimiter.as_str(), rows.has_header, rows.more), (";", true, false));
        let rows = of(b"name;price\nB\xfccher;1,5\n").await.unwrap();
        assert_eq!((rows.encoding.as_str(), &rows.rows[0][0]), ("windows-1252", &"Bücher".to_owned()));
        let rows = of(b"1,2\n3,4\n").await.unwrap();
        assert_eq!((rows.columns, rows.rows.len()), (vec!["column_1".to_owned(), "column_2".to_owned()], 2));
    }

    #[tokio::test]
    async fn a_large_table_is_shown_by_its_beginning_and_a_cut_row_is_not() {
        let long = format!("id,text\n{}", format!("1,\"{}\"\n", "x".repeat(20_000)).repeat(40));
        let rows = of(long.as_bytes()).await.unwrap();
        assert!(rows.more && rows.rows.len() == 13, "{}", rows.rows.len());
        assert!(rows.rows.iter().all(|row| row.len() == 2 && row[1].len() <= MAX_CELL_BYTES));
        let many = of("a,b\n".repeat(1000).as_bytes()).await.unwrap();
        assert!(many.more && many.rows.len() == MAX_ROWS);
        let wide = of("a,".repeat(1000).as_bytes()).await.unwrap();
        assert_eq!((wide.width, wide.columns.len()), (1001, MAX_COLUMNS));
    }

    #[tokio::test]
    async fn what_is_no_table_has_a_code() {
        assert_eq!(of(b"a,b\n\"1,2\n").await.unwrap_err(), "unclosed_quote");
        assert_eq!(of(b"\n\n").await.unwrap_err(), "empty_file");
        assert_eq!(of(&b",".repeat(10_000)).await.unwrap_err(), "too_many_columns");
        for byte in 0..=255u8 {
            let _ = of(&[byte; 700]).await;
        }
    }
}
