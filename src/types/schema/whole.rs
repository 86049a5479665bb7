//! Whole numbers, however they are written.

use serde_json::{Number, Value};
use std::borrow::Cow;

/// The value with whole numbers as such, however they are written: `1.0` and `1e2` are the integers 1 and 100, which JSON Schema takes for
/// some too. What is not exact as f64 is left. Nearly always there is nothing to change, and nothing is copied.
pub fn with_whole_numbers(value: &Value) -> Cow<'_, Value> {
    if !holds_whole_float(value) {
        return Cow::Borrowed(value);
    }
    Cow::Owned(match value {
        Value::Number(number) => whole_float(number).map_or_else(|| value.clone(), Value::from),
        Value::Array(items) => items.iter().map(|item| with_whole_numbers(item).into_owned()).collect(),
        Value::Object(members) => {
            let member = |(name, value): (&String, &Value)| (name.clone(), with_whole_numbers(value).into_owned());
            Value::Object(members.iter().map(member).collect())
        }
        other => other.clone(),
    })
}

fn holds_whole_float(value: &Value) -> bool {
    match value {
        Value::Number(number) => whole_float(number).is_some(),
        Value::Array(items) => items.iter().any(holds_whole_float),
        Value::Object(members) => members.values().any(holds_whole_float),
        _ => false,
    }
}

/// The whole number that a float is.
fn whole_float(number: &Number) -> Option<i64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let float = number.as_f64().filter(|_| number.is_f64())?;
    (float.fract() == 0.0 && float.abs() <= EXACT).then_some(float as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_are_such_however_they_are_written() {
        let written = r#"{"a":[1.0,1e2,-0.0,-0,1.5,1e300,18446744073709551615],"b":{"c":7}}"#;
        let read = with_whole_numbers(&serde_json::from_str(written).unwrap()).to_string();
        assert_eq!(read, r#"{"a":[1,100,0,0,1.5,1e+300,18446744073709551615],"b":{"c":7}}"#);
    }
}
