//! What a file does not say of itself: its delimiter, and whether its first line names the columns.

use super::cell::{Cell, Reading};
use csv_core::ReadRecordResult;

/// The delimiters there may be; the first wins a draw.
const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b'|'];
/// How much of the file is looked at.
const SAMPLE_BYTES: usize = 64 * 1024;
/// How many records are looked at.
const SAMPLE_RECORDS: usize = 200;

/// The delimiter that cuts the beginning of the file into the most regular records of two cells or
/// more; a comma where none does.
pub fn delimiter(text: &[u8]) -> u8 {
    let sample = &text[..text.len().min(SAMPLE_BYTES)];
    let whole = sample.len() == text.len();
    let mut best = (0.0, 0, b',');
    for delimiter in DELIMITERS {
        let widths = widths(sample, delimiter, whole);
        let Some(&first) = widths.first() else { continue };
        // The header is the likeliest to be whole, so the others are measured by it.
        let regular = widths.iter().filter(|width| **width == first).count() as f64 / widths.len() as f64;
        if first > 1 && (regular, first) > (best.0, best.1) {
            best = (regular, first, delimiter);
        }
    }
    best.2
}

/// The delimiter that the first line names, as spreadsheets do: `sep=;`.
pub fn named(text: &[u8]) -> Option<u8> {
    let (word, rest) = text.split_at_checked(4)?;
    match rest {
        [delimiter, b'\r' | b'\n', ..] if word.eq_ignore_ascii_case(b"sep=") => {
            Some(*delimiter).filter(|delimiter| delimiter.is_ascii() && !b"\"\r\n\0".contains(delimiter))
        }
        _ => None,
    }
}

/// Whether the first record names the columns: none of its cells is a number, a date or a truth.
pub fn is_header<'a>(mut first: impl Iterator<Item = &'a [u8]>, nulls: &Reading) -> bool {
    first.all(|cell| matches!(nulls.read(cell), Cell::Text | Cell::Null))
}

/// How many cells each record of the sample has. The last one is left out where it may be cut.
fn widths(sample: &[u8], delimiter: u8, whole: bool) -> Vec<usize> {
    let mut core = csv_core::ReaderBuilder::new().delimiter(delimiter).build();
    let (mut cells, mut ends) = (vec![0; SAMPLE_BYTES], vec![0; SAMPLE_BYTES]);
    let (mut at, mut count, mut widths) = (0, 0, Vec::new());
    while widths.len() < SAMPLE_RECORDS {
        let (result, read, _, ended) = core.read_record(&sample[at..], &mut cells, &mut ends[count..]);
        (at, count) = (at + read, count + ended);
        match result {
            ReadRecordResult::Record => widths.push(std::mem::take(&mut count)),
            ReadRecordResult::InputEmpty if whole || widths.is_empty() => {}
            _ => break,
        }
    }
    widths
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_delimiter_is_the_one_that_makes_regular_records() {
        for (text, found) in [
            ("a,b\n1,2\n", b','),
            ("a;b\n1,5;2\n2,5;3\n", b';'),
            ("a\tb\n1\t2", b'\t'),
            ("a|b|c\n1|2|3\n", b'|'),
            ("name;city, country\n\"x;y\";Rome\n", b';'),
            ("alone\n1\n2\n", b','),
            ("", b','),
        ] {
            assert_eq!(delimiter(text.as_bytes()), found, "{text}");
        }
    }

    #[test]
    fn a_first_line_may_name_the_delimiter() {
        for (text, named_one) in
            [("sep=;\r\na;b", Some(b';')), ("SEP=,\n", Some(b',')), ("sep=;;\n", None), ("sep=\n", None), ("se", None)]
        {
            assert_eq!(named(text.as_bytes()), named_one, "{text:?}");
        }
    }

    #[test]
    fn a_header_has_no_numbers() {
        let is_header = |cells: &[&str]| is_header(cells.iter().map(|cell| cell.as_bytes()), &Reading::new(None));
        assert!(is_header(&["id", "name", ""]));
        assert!(!is_header(&["1", "name"]));
        assert!(!is_header(&["x", "2026-01-31"]));
    }
}
