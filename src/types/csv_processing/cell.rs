//! What a cell is, by its text alone.

use chrono::NaiveDate;

/// The words that mean "no value", unless the params name others. An empty cell always does.
const NULL_WORDS: [&str; 5] = ["NA", "N/A", "NaN", "null", "NULL"];
const POWERS_OF_TEN: [f64; 16] = [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];

/// A cell's value. Spaces around it do not matter.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Cell {
    /// No value.
    Null,
    /// A whole number.
    Integer(i64),
    /// A number with a fraction or an exponent, or beyond 64 bits. Always finite.
    Decimal(f64),
    /// `true` or `false`, in any case.
    Boolean(bool),
    /// `2026-01-31`, as days since year 0.
    Date(i64),
    /// `2026-01-31T12:00:00`, with a space for the `T`, fractions and a zone (`Z`, `+02`, `+0200`, `+02:00`) or
    /// without seconds if they like; as microseconds since 1970, in UTC where no zone is given.
    DateTime(i64),
    /// Anything else: `1,234.5`, `31/12/2026` (which could be two days) and `1e999` too.
    Text,
}

impl Cell {
    /// A number's value, to the nearest f64; nothing for what is no number.
    pub fn as_f64(self) -> Option<f64> {
        match self {
            Cell::Integer(value) => Some(value as f64),
            Cell::Decimal(value) => Some(value),
            _ => None,
        }
    }

    /// A day's beginning, or a time, in microseconds since 1970; nothing for what is neither.
    pub fn as_micros(self) -> Option<i64> {
        match self {
            // From days since year 0.
            Cell::Date(days) => Some((days - 719_163) * 86_400_000_000),
            Cell::DateTime(micros) => Some(micros),
            _ => None,
        }
    }
}

/// How cells are read: which words mean "no value", and how numbers are written.
pub struct Reading {
    words: Vec<Vec<u8>>,
    /// Whether a word begins with that byte: most cells need no comparing then.
    begins_word: [bool; 256],
    decimal_comma: bool,
}

impl Reading {
    /// These words, or the usual ones.
    pub fn new(words: Option<&[String]>) -> Reading {
        let words: Vec<&str> = match words {
            Some(words) => words.iter().map(|word| word.trim()).collect(),
            None => NULL_WORDS.to_vec(),
        };
        let words: Vec<Vec<u8>> = words.into_iter().map(|word| word.as_bytes().to_vec()).collect();
        let mut begins_word = [false; 256];
        words.iter().filter_map(|word| word.first()).for_each(|first| begins_word[usize::from(*first)] = true);
        Reading { words, begins_word, decimal_comma: false }
    }

    /// Where `decimal_comma`, numbers are written as `1.234,5`.
    pub fn with(self, decimal_comma: bool) -> Reading {
        Reading { decimal_comma, ..self }
    }

    /// Whether a number is another one here than in JSON.
    pub fn decimal_comma(&self) -> bool {
        self.decimal_comma
    }

    /// A number, or nothing. No spaces around it.
    pub fn number(&self, cell: &[u8]) -> Option<Cell> {
        if self.decimal_comma { number_with_comma(cell) } else { number(cell) }
    }

    /// Whether a text, which begins and ends with no space, is a number with a decimal comma and nothing else: `1,234` may have
    /// thousands.
    pub fn may_mean_comma(&self, text: &[u8]) -> bool {
        let after = || text.iter().rev().position(|byte| *byte == b',');
        matches!(text.first(), Some(b'0'..=b'9' | b'-'))
            && !self.decimal_comma
            && after().is_some_and(|digits| digits != 3)
            && number_with_comma(text).is_some()
    }

    /// Whether the cell has no value.
    pub fn is_null(&self, cell: &[u8]) -> bool {
        let cell = cell.trim_ascii();
        let Some(first) = cell.first() else { return true };
        self.begins_word[usize::from(*first)] && self.words.iter().any(|word| word == cell)
    }

    /// What the cell is.
    pub fn read(&self, cell: &[u8]) -> Cell {
        let cell = cell.trim_ascii();
        if self.is_null(cell) {
            return Cell::Null;
        }
        match cell[0] {
            b'0'..=b'9' | b'+' | b'-' | b'.' | b',' => {
                self.number(cell).or_else(|| instant(cell)).unwrap_or(Cell::Text)
            }
            b't' | b'T' if cell.eq_ignore_ascii_case(b"true") => Cell::Boolean(true),
            b'f' | b'F' if cell.eq_ignore_ascii_case(b"false") => Cell::Boolean(false),
            _ => Cell::Text,
        }
    }
}

/// A number as programs write it, or nothing.
pub fn number(cell: &[u8]) -> Option<Cell> {
    let digits = cell.strip_prefix(b"-").or(cell.strip_prefix(b"+")).unwrap_or(cell);
    if let Some(short) = short_number(digits, cell.first() == Some(&b'-')) {
        return Some(short);
    }
    // The rest of the grammar is Rust's own, without its words for infinity.
    if cell.len() > 400 || !digits.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-')) {
        return None;
    }
    let text = std::str::from_utf8(cell).ok()?;
    if let Ok(value) = text.parse::<i64>() {
        return Some(Cell::Integer(value));
    }
    text.parse::<f64>().ok().filter(|value| value.is_finite()).map(Cell::Decimal)
}

/// A number of few digits, with or without a point among them: most are.
fn short_number(digits: &[u8], negative: bool) -> Option<Cell> {
    // At most 18 digits: no overflow.
    if digits.is_empty() || digits.len() > 18 {
        return None;
    }
    let (mut value, mut point) = (0i64, None);
    for (at, byte) in digits.iter().enumerate() {
        match byte {
            b'0'..=b'9' => value = value * 10 + i64::from(byte - b'0'),
            b'.' if point.is_none() => point = Some(at),
            _ => return None,
        }
    }
    let Some(point) = point else { return Some(Cell::Integer(if negative { -value } else { value })) };
    // Of at most 15 digits, f64 holds both numbers exactly: the division rounds once, as reading the text does.
    let after = digits.len() - point - 1;
    let value = (2..=16).contains(&digits.len()).then(|| value as f64 / POWERS_OF_TEN[after])?;
    Some(Cell::Decimal(if negative { -value } else { value }))
}

/// A number as most of Europe writes it, or nothing: `1.234,5`, where the points are between groups
/// of three digits or left out.
fn number_with_comma(cell: &[u8]) -> Option<Cell> {
    let mut plain = [0; 64];
    let comma = cell.iter().position(|byte| *byte == b',').unwrap_or(cell.len());
    let (whole, fraction) = cell.split_at(comma);
    if cell.len() > plain.len() || fraction.contains(&b'.') {
        return None;
    }
    let digits = whole.strip_prefix(b"-").or(whole.strip_prefix(b"+")).unwrap_or(whole);
    let mut groups = digits.split(|byte| *byte == b'.');
    let first = groups.next()?;
    let digits = |group: &[u8]| group.iter().all(u8::is_ascii_digit);
    let grouped =
        digits(first) && matches!(first.len(), 1..=3) && groups.clone().all(|group| group.len() == 3 && digits(group));
    if groups.next().is_some() && !grouped {
        return None;
    }
    let signs = whole.iter().filter(|byte| **byte != b'.').chain(fraction);
    let mut used = 0;
    for (place, byte) in plain.iter_mut().zip(signs) {
        *place = if *byte == b',' { b'.' } else { *byte };
        used += 1;
    }
    number(&plain[..used])
}

/// A date, or a date and time, of ISO 8601; or nothing.
fn instant(cell: &[u8]) -> Option<Cell> {
    if !(10..=40).contains(&cell.len()) || cell[4] != b'-' || cell[7] != b'-' {
        return None;
    }
    if cell.len() == 10 {
        return date(cell).map(Cell::Date);
    }
    if let Some(time) = short_time(cell) {
        return Some(time);
    }
    let text = std::str::from_utf8(cell).ok()?;
    let (day, time) = (text.get(..10)?, text.get(11..)?);
    if !matches!(cell[10], b'T' | b't' | b' ') {
        return None;
    }
    let (clock, zone) = time.split_at(time.find(['Z', 'z', '+', '-']).unwrap_or(time.len()));
    // Programs leave out the seconds, and write zones as +00, +0000 and +00:00, with or without a space before them.
    let clock = clock.trim_end();
    let seconds = if clock.len() == 5 { ":00" } else { "" };
    let (hours, minutes) = zone.split_at_checked(3).unwrap_or((zone, ""));
    let zone = match (hours, minutes) {
        ("" | "Z" | "z", "") => "Z".to_owned(),
        (_, "") => format!("{hours}:00"),
        _ if minutes.starts_with(':') => zone.to_owned(),
        _ => format!("{hours}:{minutes}"),
    };
    let time = chrono::DateTime::parse_from_rfc3339(&format!("{day}T{clock}{seconds}{zone}"));
    time.ok().map(|time| Cell::DateTime(time.timestamp_micros()))
}

/// The days of `2026-01-31` since year 0.
fn date(cell: &[u8]) -> Option<i64> {
    let date = NaiveDate::from_ymd_opt(digits(&cell[..4])? as i32, digits(&cell[5..7])?, digits(&cell[8..10])?)?;
    Some(i64::from(chrono::Datelike::num_days_from_ce(&date)))
}

/// A time to the second or to parts of it, in UTC or without a zone: most are.
fn short_time(cell: &[u8]) -> Option<Cell> {
    let (clock, rest) = cell.get(10..)?.split_at_checked(9)?;
    if !matches!(clock[0], b'T' | b' ') || clock[3] != b':' || clock[6] != b':' {
        return None;
    }
    let (hours, minutes, seconds) = (digits(&clock[1..3])?, digits(&clock[4..6])?, digits(&clock[7..9])?);
    let micros = match rest.strip_suffix(b"Z").unwrap_or(rest) {
        [] => 0,
        [b'.', parts @ ..] if matches!(parts.len(), 1..=6) => digits(parts)? * 10u32.pow(6 - parts.len() as u32),
        _ => return None,
    };
    if hours > 23 || minutes > 59 || seconds > 59 {
        return None;
    }
    let day = Cell::Date(date(cell)?).as_micros()?;
    Some(Cell::DateTime(day + i64::from(hours * 3600 + minutes * 60 + seconds) * 1_000_000 + i64::from(micros)))
}

/// A number of at most nine digits and nothing else.
fn digits(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |value, digit| digit.is_ascii_digit().then(|| value * 10 + u32::from(digit - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(cell: &str) -> Cell {
        Reading::new(None).read(cell.as_bytes())
    }

    #[test]
    fn numbers_are_what_programs_write() {
        for (text, value) in [("0", 0), ("-17", -17), ("+5", 5), (" 42 ", 42), ("9223372036854775807", i64::MAX)] {
            assert_eq!(read(text), Cell::Integer(value), "{text}");
        }
        for (text, value) in
            [("1.5", 1.5), ("-.5", -0.5), ("1e3", 1000.0), ("9223372036854775808", 9_223_372_036_854_775_808.0)]
        {
            assert_eq!(read(text), Cell::Decimal(value), "{text}");
        }
    }

    #[test]
    fn what_only_looks_like_a_number_is_text() {
        for text in ["1e999", "١٢٣", "1,234.5", "inf", "-inf", "nan", "1.2.3", "-", "+", ".", "e", "0x10", "1 2", "--1"]
        {
            assert_eq!(read(text), Cell::Text, "{text}");
        }
    }

    #[test]
    fn numbers_may_be_written_with_a_comma() {
        let read = |cell: &str| Reading::new(None).with(true).read(cell.as_bytes());
        for (text, value) in
            [("1,5", 1.5), ("-1.234,50", -1234.5), ("1.234.567,0", 1_234_567.0), (",5", 0.5), ("1,5e3", 1500.0)]
        {
            assert_eq!(read(text), Cell::Decimal(value), "{text}");
        }
        for (text, value) in [("1.234", 1234), ("1234", 1234), ("+12.345.678", 12_345_678), (" 7 ", 7)] {
            assert_eq!(read(text), Cell::Integer(value), "{text}");
        }
        for text in
            ["1.5", "1.2345", "1234.567", ".123", "1,2,3", "1,234.5", "1..234", "1.234.", ",", "31.12.2026", "1e.123"]
        {
            assert_eq!(read(text), Cell::Text, "{text}");
        }
        assert_eq!(read("2026-01-31"), Cell::Date(739_647));
    }

    #[test]
    fn dates_are_iso_and_real() {
        assert_eq!(read("0001-01-02"), Cell::Date(2));
        assert_eq!(read("1970-01-01T00:00:01Z"), Cell::DateTime(1_000_000));
        assert_eq!(read("1970-01-01 01:00:01.5+01:00"), Cell::DateTime(1_500_000));
        for text in [
            "1970-01-01 00:01",
            "1970-01-01T00:01Z",
            "1970-01-01 00:01:00+00",
            "1970-01-01 02:01:00.000+02",
            "1970-01-01 00:01:00-0000",
            "1969-12-31 22:31:00-0130",
            "1970-01-01 00:01:00.0000000 +00:00",
            "1970-01-01t00:01:00z",
        ] {
            assert_eq!(read(text), Cell::DateTime(60_000_000), "{text}");
        }
        for text in [
            "2026-02-30",
            "31/12/2026",
            "12/31/2026",
            "2026-13-01",
            "2026-01-01T25:00:00",
            "2026-1-1",
            "2026-01-01T",
            "2026-01-01T12",
            "2026-01-01T12:00+",
            "2026-01-01T12:00+2",
            "2026-01-01T12:00+02:",
            "2026-01-01 12:00 x",
            "2026-01-01x12:00",
        ] {
            assert_eq!(read(text), Cell::Text, "{text}");
        }
    }

    #[test]
    fn the_words_for_no_value_can_be_changed() {
        for text in ["", "  ", "NA", "N/A", "NaN", "null", "NULL"] {
            assert_eq!(read(text), Cell::Null, "{text:?}");
        }
        let own = Reading::new(Some(&["-".to_owned()]));
        assert_eq!((own.read(b"-"), own.read(b""), own.read(b"NA")), (Cell::Null, Cell::Null, Cell::Text));
    }

    proptest::proptest! {
        #[test]
        fn short_numbers_and_times_are_read_as_long_ones_are(
            number in "[+-]?[0-9]{0,10}[.]?[0-9]{0,8}", second in 0..60u32, parts in "|[.][0-9]{1,7}", zone in "Z|",
        ) {
            let parsed = number.parse::<i64>().map(Cell::Integer);
            let parsed = parsed.or_else(|_| number.parse::<f64>().map(Cell::Decimal)).unwrap_or(Cell::Text);
            let read = super::number(number.as_bytes()).unwrap_or(Cell::Text);
            proptest::prop_assert_eq!(format!("{read:?}"), format!("{parsed:?}"), "{}", number);
            let time = format!("2024-02-29T23:59:{second:02}{parts}");
            let parsed = chrono::NaiveDateTime::parse_from_str(&time, "%Y-%m-%dT%H:%M:%S%.f").unwrap();
            proptest::prop_assert_eq!(read_time(&(time + &zone)), Cell::DateTime(parsed.and_utc().timestamp_micros()));
        }
    }

    fn read_time(text: &str) -> Cell {
        Reading::new(None).read(text.as_bytes())
    }
}
