//! Query strings, read strictly: what is unknown, doubled or malformed is refused and named.

use super::problem::{Code, Problem, Result};
use crate::task::Time;
use crate::task::text::FieldError;
use axum::http::Uri;
use percent_encoding::percent_decode_str;
use std::ops::RangeInclusive;
use std::str::FromStr;

/// More parameters than this are refused.
const MAX_PARAMETERS: usize = 200;

/// The parameters of a request, taken one by one, and what is wrong with them so far.
pub struct Query {
    code: Code,
    pairs: Vec<(String, String)>,
    errors: Vec<FieldError>,
}

impl Query {
    /// The parameters of an address; `code` is the word for whatever is wrong with them.
    pub fn of(uri: &Uri, code: Code) -> Result<Query> {
        let (mut pairs, mut errors) = (Vec::new(), Vec::new());
        let text = uri.query().unwrap_or_default();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            match (decode(name), decode(value)) {
                (Some(name), Some(value)) => pairs.push((name, value)),
                (Some(name), None) => errors.push(FieldError::new(pointer(&name), "is not percent-encoded UTF-8 text")),
                _ => return Err(Problem::new(code, "a query parameter is not percent-encoded UTF-8 text")),
            }
        }
        if pairs.len() > MAX_PARAMETERS {
            return Err(Problem::new(code, format!("there may be at most {MAX_PARAMETERS} query parameters")));
        }
        Ok(Query { code, pairs, errors })
    }

    /// Every value of a parameter that may stand more than once, in order.
    pub fn all(&mut self, name: &str) -> Vec<String> {
        self.pairs.extract_if(.., |(key, _)| key == name).map(|(_, value)| value).collect()
    }

    /// The value of a parameter.
    pub fn one(&mut self, name: &str) -> Option<String> {
        let mut values = self.all(name);
        if values.len() > 1 {
            self.fail(name, "must stand once");
        }
        values.pop()
    }

    /// A parameter that `read` makes something of; where it cannot, `wrong` says why.
    pub fn read<T>(&mut self, name: &str, wrong: impl Into<String>, read: impl Fn(&str) -> Option<T>) -> Option<T> {
        let text = self.one(name)?;
        let value = read(&text);
        if value.is_none() {
            self.fail(name, wrong);
        }
        value
    }

    /// A whole number within a range.
    pub fn integer<N: FromStr + PartialOrd + std::fmt::Display>(
        &mut self,
        name: &str,
        range: RangeInclusive<N>,
    ) -> Option<N> {
        let wrong = format!("must be a whole number from {} to {}", range.start(), range.end());
        // `parse` takes a sign that a number on the wire does not have.
        let number = |text: &str| text.parse().ok().filter(|n| range.contains(n) && !text.starts_with('+'));
        self.read(name, wrong, number)
    }

    /// `true` or `false`; absent is false.
    pub fn flag(&mut self, name: &str) -> bool {
        self.read(name, "must be true or false", |text| text.parse().ok()).unwrap_or(false)
    }

    /// An instant.
    pub fn time(&mut self, name: &str) -> Option<Time> {
        self.read(name, "must be RFC 3339 with a zone, from 1970 to 2999, as 2026-01-31T12:00:00Z", Time::parse)
    }

    /// Says what is wrong with a parameter.
    pub fn fail(&mut self, name: &str, detail: impl Into<String>) {
        self.errors.push(FieldError::new(pointer(name), detail));
    }

    /// A 422 if anything is wrong, parameters that nobody took included.
    pub fn done(mut self) -> Result<()> {
        for (name, _) in std::mem::take(&mut self.pairs) {
            self.fail(&name, "is not a parameter of this request");
        }
        if self.errors.is_empty() { Ok(()) } else { Err(Problem::invalid(self.code, self.errors)) }
    }
}

/// Refuses every parameter: for requests that have none.
pub fn none(uri: &Uri) -> Result<()> {
    Query::of(uri, Code::InvalidRequest)?.done()
}

fn pointer(name: &str) -> String {
    format!("/{}", super::json::segment(name))
}

/// Percent-encoding undone; `None` for a broken escape, for what is no UTF-8, and for a NUL.
fn decode(text: &str) -> Option<String> {
    let broken = text.match_indices('%').any(|(at, _)| {
        let digits = text.as_bytes().get(at + 1..at + 3);
        !digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    });
    let spaced = text.replace('+', " ");
    let decoded = percent_decode_str(&spaced).decode_utf8().ok()?;
    (!broken && !decoded.contains('\0')).then(|| decoded.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(text: &str) -> Result<Query> {
        Query::of(&format!("/x?{text}").parse().unwrap(), Code::InvalidFilter)
    }

    #[test]
    fn values_are_decoded_and_repeated_ones_kept_in_order() {
        let mut query = query("status=A&q=a+b%20c&status=B").unwrap();
        assert_eq!(query.all("status"), ["A", "B"]);
        assert_eq!(query.one("q").as_deref(), Some("a b c"));
        assert!(query.done().is_ok());
    }

    #[test]
    fn unknown_doubled_and_malformed_parameters_are_refused() {
        for text in
            ["nope=1", "limit=1&limit=2", "limit=0", "limit=abc", "limit=%2B5", "limit=%zz", "limit=%ff", "limit=1%00"]
        {
            let refused = query(text).and_then(|mut query| {
                query.integer("limit", 1..=500);
                query.done()
            });
            assert_eq!(refused.unwrap_err().code(), Code::InvalidFilter, "{text}");
        }
    }
}
