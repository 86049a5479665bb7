//! The members of a JSON object, taken one by one: every mistake is collected, none is the last.

use super::json::segment;
use super::problem::{Code, Problem, Result};
use crate::task::Time;
use crate::task::text::{self, FieldError};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::collections::HashSet;
use std::ops::RangeInclusive;

/// An object of a body that passed [`super::json::check`], and what is wrong with it so far.
pub struct Fields<'a> {
    at: String,
    members: Vec<(String, &'a RawValue)>,
    errors: Vec<FieldError>,
    is_object: bool,
}

impl<'a> Fields<'a> {
    /// The members of the object in `text`, which stands at the pointer `at` of the body.
    pub fn of(text: &'a str, at: impl Into<String>) -> Fields<'a> {
        let at = at.into();
        match serde_json::from_str::<Members<'a>>(text) {
            Ok(Members(members)) => Fields { at, members, errors: Vec::new(), is_object: true },
            Err(_) => {
                let errors = vec![FieldError::new(at.as_str(), "must be an object")];
                Fields { at, members: Vec::new(), errors, is_object: false }
            }
        }
    }

    /// A member, as sent; `None` where it is absent or null.
    pub fn take(&mut self, name: &str) -> Option<&'a RawValue> {
        self.take_or_null(name).filter(|value| value.get() != "null")
    }

    /// A member, as sent, null too; `None` where it is absent.
    pub fn take_or_null(&mut self, name: &str) -> Option<&'a RawValue> {
        let index = self.members.iter().position(|(member, _)| member == name)?;
        Some(self.members.swap_remove(index).1)
    }

    /// Says what is wrong with a member.
    pub fn fail(&mut self, name: &str, detail: impl Into<String>) {
        self.errors.push(FieldError::new(format!("{}/{name}", self.at), detail));
    }

    /// Adds what is wrong further down.
    pub fn add(&mut self, errors: Vec<FieldError>) {
        self.errors.extend(errors);
    }

    /// Says that a member is missing, unless the whole is no object anyway.
    pub fn missing(&mut self, name: &str) {
        if self.is_object {
            self.fail(name, "is required");
        }
    }

    /// A string that `judge` finds nothing wrong with.
    pub fn text(&mut self, name: &str, judge: impl Fn(&str) -> Option<String>) -> Option<String> {
        let value = self.take(name)?;
        let Ok(text) = serde_json::from_str::<String>(value.get()) else {
            self.fail(name, "must be a string");
            return None;
        };
        match judge(&text) {
            None => Some(text),
            Some(wrong) => {
                self.fail(name, wrong);
                None
            }
        }
    }

    /// A word one filters by, of at most `max_chars`.
    pub fn label(&mut self, name: &str, max_chars: usize) -> Option<String> {
        self.text(name, |text| text::label(text, max_chars))
    }

    /// A whole number within a range.
    pub fn integer(&mut self, name: &str, range: RangeInclusive<i64>) -> Option<i64> {
        let value = self.take(name)?;
        let number = value.get().parse().ok().filter(|number| range.contains(number));
        if number.is_none() {
            self.fail(name, format!("must be a whole number from {} to {}", range.start(), range.end()));
        }
        number
    }

    /// A number.
    pub fn number(&mut self, name: &str) -> Option<f64> {
        let value = self.take(name)?;
        let number = value.get().parse().ok().filter(|number: &f64| number.is_finite());
        if number.is_none() {
            self.fail(name, "must be a number");
        }
        number
    }

    /// True or false.
    pub fn flag(&mut self, name: &str) -> Option<bool> {
        let value = self.take(name)?;
        let flag = value.get().parse().ok();
        if flag.is_none() {
            self.fail(name, "must be true or false");
        }
        flag
    }

    /// An instant.
    pub fn time(&mut self, name: &str) -> Option<Time> {
        let text = self.text(name, |text| match Time::parse(text) {
            Some(_) => None,
            None => Some("must be RFC 3339 with a zone, from 1970 to 2999, as 2026-01-31T12:00:00Z".to_owned()),
        })?;
        Time::parse(&text)
    }

    /// A list of labels without doubles, in their first order; with `or_one`, one word is a list too.
    pub fn labels(&mut self, name: &str, max: usize, max_chars: usize, or_one: bool) -> Option<Vec<String>> {
        let value = self.take(name)?.get();
        let words: Vec<String> = match serde_json::from_str(value) {
            Ok(words) => words,
            Err(_) => match serde_json::from_str(value) {
                Ok(word) if or_one => vec![word],
                _ => {
                    self.fail(
                        name,
                        if or_one { "must be a string or a list of strings" } else { "must be a list of strings" },
                    );
                    return None;
                }
            },
        };
        if words.len() > max {
            self.fail(name, format!("must have at most {max} items"));
            return None;
        }
        let (mut labels, mut seen) = (Vec::with_capacity(words.len()), HashSet::with_capacity(words.len()));
        for (n, word) in words.into_iter().enumerate() {
            match text::label(&word, max_chars) {
                Some(wrong) => self.fail(&format!("{name}/{n}"), wrong),
                None if seen.contains(&word) => {}
                None => {
                    seen.insert(word.clone());
                    labels.push(word);
                }
            }
        }
        Some(labels)
    }

    /// Everything that is wrong, members that nobody took included.
    pub fn finish(mut self) -> Vec<FieldError> {
        for (name, _) in std::mem::take(&mut self.members) {
            self.fail(&segment(&name), "is not a member of this request");
        }
        self.errors
    }

    /// A 422 if anything is wrong.
    pub fn done(self, code: Code) -> Result<()> {
        let errors = self.finish();
        if errors.is_empty() { Ok(()) } else { Err(Problem::invalid(code, errors)) }
    }
}

struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Members<'de>, A::Error> {
                let mut members = Vec::with_capacity(8);
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mistake_is_named_and_unknown_members_too() {
        let mut fields = Fields::of(r#"{"priority":1.0,"tags":["a",""],"late":"x","a/b":1}"#, "/tasks/3");
        assert_eq!(fields.integer("priority", -100..=100), None);
        assert_eq!(fields.labels("tags", 20, 100, false), Some(vec!["a".to_owned()]));
        assert_eq!(fields.time("late"), None);
        fields.missing("type");
        let pointers: Vec<String> = fields.finish().into_iter().map(|error| error.pointer).collect();
        let expected = ["priority", "tags/1", "late", "type", "a~1b"].map(|name| format!("/tasks/3/{name}"));
        assert_eq!(pointers, expected);
    }

    #[test]
    fn only_whole_numbers_in_range_are_integers() {
        for (text, number) in [("5", Some(5)), ("-0", Some(0)), ("5.0", None), ("true", None), ("\"5\"", None)] {
            let body = format!("{{\"n\":{text}}}");
            assert_eq!(Fields::of(&body, "").integer("n", 0..=9), number, "{text}");
        }
        assert_eq!(Fields::of(r#"{"n":99999999999999999999}"#, "").integer("n", 0..=9), None);
    }

    #[test]
    fn what_is_no_object_is_one_mistake() {
        for text in ["null", "[]", "\"x\"", "1"] {
            let mut fields = Fields::of(text, "");
            fields.missing("type");
            let errors = fields.finish();
            assert_eq!((errors.len(), errors[0].pointer.as_str()), (1, ""), "{text}");
        }
    }
}
