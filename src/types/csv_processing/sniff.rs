//! What a file does not say of itself: its delimiter, and whether its first line names the columns.

use super::cell::{Cell, Reading};
use csv_core::ReadRecordResult;
use std::ops::RangeInclusive;

/// The delimiters there may be, but for the comma; the last wins a draw.
const DELIMITERS: [u8; 3] = [b'|', b'\t', b';'];
/// How much of the file is looked at.
const SAMPLE_BYTES: usize = 64 * 1024;
/// How many records are looked at.
const SAMPLE_RECORDS: usize = 200;
/// Whole numbers that may be years, and name columns.
const YEARS: RangeInclusive<i64> = 1800..=2100;

/// A record of the sample.
struct Sampled {
    cells: Vec<Vec<u8>>,
    /// How many lines ended before its own end.
    lines: u64,
}

/// How well a delimiter cuts the sample.
struct Cut {
    /// The share of the records that have as many cells as the first: it is the likeliest to be whole.
    regular: f64,
    /// Cells of the first.
    width: usize,
    records: usize,
    delimiter: u8,
}

/// The delimiter that cuts the beginning of the file into the most regular records of two cells or more. A comma stands
/// in sentences and numbers as well, so another one that cuts all records alike comes before it. Where none does it is a
/// comma, or a semicolon where commas stand in numbers.
pub fn delimiter(text: &[u8], decimal_comma: bool) -> u8 {
    let cut = |delimiter: u8| {
        let records = sample(text, delimiter);
        let first = &records.first()?.cells;
        let width = first.len();
        let regular = records.iter().filter(|record| record.cells.len() == width).count() as f64 / records.len() as f64;
        // Where commas stand in numbers, those between cells leave others in quotes, or words between them.
        let may_be = !(decimal_comma && delimiter == b',')
            || is_header_by_itself(first, &Reading::new(None))
            || first.iter().any(|cell| cell.contains(&b','));
        (width > 1 && may_be).then_some(Cut { regular, width, records: records.len(), delimiter })
    };
    let better = |a: &Cut, b: &Cut| a.regular.total_cmp(&b.regular).then(a.width.cmp(&b.width));
    match (DELIMITERS.into_iter().filter_map(cut).max_by(better), cut(b',')) {
        (Some(Cut { regular: 1.0, records: 2.., delimiter, .. }), _) => delimiter,
        (Some(other), Some(comma)) if better(&other, &comma).is_gt() => other.delimiter,
        (_, Some(_)) => b',',
        (Some(other), None) => other.delimiter,
        (None, None) if decimal_comma => b';',
        (None, None) => b',',
    }
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

/// Whether the first record names the columns, of a file that goes on with `behind`. It does where its cells are texts, unless
/// one of them looks like those below it (`01.02.2026`, `12%`) and none stands over numbers, days or truths. Whole numbers
/// among texts may be names as well: years one after the other over what is none (`country,1990,2000`), or one of them
/// beside a text over numbers.
pub fn is_header(first: &[&[u8]], behind: &[u8], delimiter: u8, reading: &Reading) -> bool {
    let mut rows = sample(behind, delimiter);
    rows.retain(|row| row.cells.len() == first.len());
    let below = |at: usize| {
        let cells = rows.iter().map(move |row| &row.cells[at][..]);
        cells.filter(|cell| !reading.is_null(cell)).collect::<Vec<_>>()
    };
    let is_text = |cell: &[u8]| reading.read(cell) == Cell::Text;
    let (mut over_values, mut like_below, mut labels) = (false, false, Vec::new());
    for (at, cell) in first.iter().enumerate() {
        let (kind, below) = (reading.read(cell), below(at));
        let most = |like: &dyn Fn(&[u8]) -> bool| {
            !below.is_empty() && below.iter().filter(|cell| like(cell)).count() * 10 >= below.len() * 9
        };
        match kind {
            Cell::Null => {}
            Cell::Text if most(&|cell| !is_text(cell)) => over_values = true,
            Cell::Text => like_below |= shape(cell).is_some_and(|own| most(&|cell| shape(cell).as_ref() == Some(&own))),
            // Most of what is below a name is no year.
            Cell::Integer(year) if YEARS.contains(&year) => {
                let years = below.iter().filter(|cell| is_year(cell, reading)).count();
                if years * 2 > below.len() {
                    return false;
                }
                labels.push((year, !below.is_empty()));
            }
            _ => return false,
        }
    }
    let [(year, _), others @ ..] = &labels[..] else { return over_values || !like_below };
    let texts = first.iter().filter(|cell| is_text(cell)).count();
    let in_turn = labels.is_sorted_by(|a, b| a.0 < b.0) || labels.is_sorted_by(|a, b| a.0 > b.0);
    let near = others.len() > 1 || others.iter().any(|(other, _)| other.abs_diff(*year) <= 10);
    let is_over_any = labels.iter().any(|(_, over_any)| *over_any);
    texts > 0 && in_turn && is_over_any && !like_below && (near || over_values)
}

/// How many lines of a title stand above the table, where the first record is narrower than most behind it: up to the
/// first that is as wide as those.
pub fn title_lines(width: usize, behind: &[u8], delimiter: u8) -> Option<(u64, usize)> {
    let rows = sample(behind, delimiter);
    let as_wide_as = |width: usize| rows.iter().filter(|row| row.cells.len() == width).count();
    let wide = rows.iter().map(|row| row.cells.len()).max_by_key(|width| as_wide_as(*width))?;
    let as_wide = as_wide_as(wide);
    let first = rows.iter().find(|row| row.cells.len() == wide)?;
    (wide > width && rows.len() > 2 && as_wide * 10 >= rows.len() * 6).then_some((first.lines, wide))
}

fn is_header_by_itself(first: &[Vec<u8>], reading: &Reading) -> bool {
    first.iter().all(|cell| matches!(reading.read(cell), Cell::Text | Cell::Null))
}

fn is_year(cell: &[u8], reading: &Reading) -> bool {
    matches!(reading.read(cell), Cell::Integer(year) if YEARS.contains(&year))
}

/// What a text with digits looks like: `0.0.0` for `01.12.2026`. Nothing for what begins with a letter, as names of columns do, or
/// with any sign but one that stands before numbers, and for what has no digits.
fn shape(cell: &[u8]) -> Option<Vec<u8>> {
    let cell = cell.trim_ascii();
    let begins = matches!(cell.first()?, b'0'..=b'9' | b'+' | b'-' | b'.' | b'(' | b'<' | b'>' | b'$' | 0x80..);
    if !begins || !cell.iter().any(u8::is_ascii_digit) {
        return None;
    }
    let mut shape: Vec<u8> = cell
        .iter()
        .map(|byte| match byte {
            b'0'..=b'9' => b'0',
            b'a'..=b'z' | b'A'..=b'Z' => b'a',
            other => *other,
        })
        .collect();
    shape.dedup_by(|a, b| a == b && matches!(a, b'0' | b'a'));
    Some(shape)
}

/// The records at the beginning of `text`. The last one is left out where it may be cut, unless it is the only one.
fn sample(text: &[u8], delimiter: u8) -> Vec<Sampled> {
    let sample = &text[..text.len().min(SAMPLE_BYTES)];
    let whole = sample.len() == text.len();
    let mut core = csv_core::ReaderBuilder::new().delimiter(delimiter).build();
    let (mut bytes, mut ends) = (vec![0; SAMPLE_BYTES], vec![0; SAMPLE_BYTES]);
    let (mut at, mut used, mut count, mut records) = (0, 0, 0, Vec::new());
    while records.len() < SAMPLE_RECORDS {
        let (result, read, written, ended) = core.read_record(&sample[at..], &mut bytes[used..], &mut ends[count..]);
        (at, used, count) = (at + read, used + written, count + ended);
        match result {
            ReadRecordResult::Record => {
                let starts = [0].into_iter().chain(ends[..count].iter().copied());
                let cells = starts.zip(&ends[..count]).map(|(from, to)| bytes[from..*to].to_vec()).collect();
                let inside = bytes[..used].iter().filter(|byte| **byte == b'\n').count() as u64;
                records.push(Sampled { cells, lines: core.line().saturating_sub(2 + inside) });
                (used, count) = (0, 0);
            }
            ReadRecordResult::InputEmpty if whole || records.is_empty() => {}
            _ => break,
        }
    }
    records
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
            ("Betrag, EUR;Datum\n5,00;01.01.2026\n6,00;02.01.2026\n", b';'),
            ("a,b;c\n1,2\n", b','),
            ("a;b|c\n1;2|3\n", b';'),
            ("a,b\n1,x;y\n2,z\n", b','),
            ("alone\n1\n2\n", b','),
            ("", b','),
        ] {
            assert_eq!(delimiter(text.as_bytes(), false), found, "{text}");
        }
    }

    #[test]
    fn commas_in_numbers_cut_nothing() {
        for (text, found) in [
            ("1;1,5\n2;2,5\n", b';'),
            ("01.01.2026;1,50\n02.01.2026;2,75\n", b';'),
            ("1,5\t2,5\n4,5\t5,5\n", b'\t'),
            ("1,5;2,5;3,5\n4,5;5,5;6,5\n", b';'),
            ("preis\n1,50\n2,75\n", b';'),
            ("1,50\n2,75\n", b';'),
            ("name,preis\nx,\"1,50\"\n", b','),
            ("\"1,5\",\"2,5\"\n\"1,5\",3\n", b','),
        ] {
            assert_eq!(delimiter(text.as_bytes(), true), found, "{text}");
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
    fn a_header_names_what_is_below_it() {
        for (first, behind, named) in [
            ("id,name,", "", true),
            ("1,name", "", false),
            ("x,2026-01-31", "y,2026-02-01\n", false),
            ("Land,1990,1995,2000", "DE,79.4,81.7,82.2\nFR,58.2,59.4,60.9\n", true),
            ("country,2020,2021", "DE,10,20\n", true),
            ("country,2020,2021", "DE,10,20\nFR,1999,2000\nIT,30,40\n", true),
            ("name,code,1960,1961,", "Aruba,ABW,,,\nItaly,ITA,5.1,1.5,\n", true),
            ("name,q1,q2,2026", "x,1,2,3\ny,4,5,6\n", true),
            ("Alice,2024,100", "Bob,2023,90\n", false),
            ("Alice,2024", "Bob,2023\n", false),
            ("1990,2000", "1,2\n", false),
            ("x,1500", "y,70\n", false),
            ("x,1850,2000", "y,70,80\n", false),
            ("01.01.2026,Miete", "02.01.2026,Strom\n03.01.2026,Gas\n", false),
            ("12%,A", "9%,B\n", false),
            ("$5.00,Coffee", "$12.50,Tea\n", false),
            ("1st,2nd", "4,5\n6,7\n", true),
            ("q1,q2", "a1,a2\n", true),
        ] {
            let cells: Vec<&[u8]> = first.split(',').map(str::as_bytes).collect();
            assert_eq!(is_header(&cells, behind.as_bytes(), b',', &Reading::new(None)), named, "{first}");
        }
    }

    #[test]
    fn a_title_is_narrower_than_the_table() {
        let lines = |width, behind: &str| title_lines(width, behind.as_bytes(), b';');
        assert_eq!(lines(2, "Zeitraum;2026\n\nDatum;Betrag;Text\n1;2;3\n4;5;6\n7;8;9\n"), Some((2, 3)));
        assert_eq!(lines(1, "a;b\n\"1\n\";2\n3;4\n"), Some((0, 2)));
        assert_eq!(lines(3, "1;2\n3;4;5\n6;7;8\n"), None);
        assert_eq!(lines(2, "1;2\n3;4\n6;7;8\n"), None);
    }
}
