//! The list's filters, from a query string or from the members of a body.

use super::caller::MAX_CLIENT_ID;
use super::fields::Fields;
use super::query::Query;
use crate::task::{Filter, Status, text};
use uuid::Uuid;

/// The longest search text, in characters.
pub const MAX_SEARCH: usize = 200;
/// The longest word of a filter, in characters.
pub const MAX_LABEL: usize = 100;
/// More ids in one body are refused.
pub const MAX_IDS: usize = 10_000;
/// More statuses or types in one filter are refused.
pub const MAX_WORDS: usize = 50;

/// The filters of a query string.
pub fn of_query(query: &mut Query) -> Filter {
    let mut filter = Filter::default();
    for word in query.all("status") {
        match Status::from_word(&word) {
            Some(status) if !filter.statuses.contains(&status) => filter.statuses.push(status),
            Some(_) => {}
            None => query.fail("status", unknown_status()),
        }
    }
    for word in query.all("type") {
        match text::label(&word, MAX_LABEL) {
            None => filter.types.push(word),
            Some(wrong) => query.fail("type", wrong),
        }
    }
    filter.types.sort();
    filter.types.dedup();
    filter.queue = label(query, "queue", MAX_LABEL);
    filter.tag = label(query, "tag", MAX_LABEL);
    filter.client_id = label(query, "client_id", MAX_CLIENT_ID);
    filter.owner = label(query, "owner", MAX_LABEL);
    if let Some(text) = query.one("q") {
        match words(&text) {
            Ok(words) => filter.words = words,
            Err(wrong) => query.fail("q", wrong),
        }
    }
    filter.created_after = query.time("created_after");
    filter.created_before = query.time("created_before");
    if backwards(&filter) {
        query.fail("created_before", "must be after created_after");
    }
    filter
}

/// The filters of a body, `ids` included.
pub fn of_fields(fields: &mut Fields<'_>) -> Filter {
    let mut filter = Filter {
        types: fields.labels("type", MAX_WORDS, MAX_LABEL, true).unwrap_or_default(),
        queue: fields.label("queue", MAX_LABEL),
        tag: fields.label("tag", MAX_LABEL),
        client_id: fields.label("client_id", MAX_CLIENT_ID),
        owner: fields.label("owner", MAX_LABEL),
        words: fields.text("q", |text| words(text).err()).and_then(|text| words(&text).ok()).unwrap_or_default(),
        created_after: fields.time("created_after"),
        created_before: fields.time("created_before"),
        ..Filter::default()
    };
    for word in fields.labels("status", MAX_WORDS, MAX_LABEL, true).unwrap_or_default() {
        match Status::from_word(&word) {
            Some(status) => filter.statuses.push(status),
            None => fields.fail("status", unknown_status()),
        }
    }
    // An id that is no id is one that nobody has: it does not match.
    let ids = fields.labels("ids", MAX_IDS, MAX_LABEL, false);
    filter.ids = ids.map(|ids| ids.iter().filter_map(|id| super::id_of(id)).collect::<Vec<Uuid>>());
    if backwards(&filter) {
        fields.fail("created_before", "must be after created_after");
    }
    filter
}

/// A word of a query.
pub fn label(query: &mut Query, name: &str, max_chars: usize) -> Option<String> {
    let text = query.one(name)?;
    match text::label(&text, max_chars) {
        None => Some(text),
        Some(wrong) => {
            query.fail(name, wrong);
            None
        }
    }
}

/// What a search looks for, or what is wrong with it.
pub fn words(text: &str) -> Result<Vec<String>, String> {
    match text.chars().count() > MAX_SEARCH {
        true => Err(format!("must be at most {MAX_SEARCH} characters")),
        false => Ok(text.split_whitespace().map(str::to_owned).collect()),
    }
}

fn backwards(filter: &Filter) -> bool {
    matches!((filter.created_after, filter.created_before), (Some(after), Some(before)) if after > before)
}

fn unknown_status() -> String {
    format!("must be one of {}", Status::ALL.map(Status::word).join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::problem::Code;

    fn query(text: &str) -> super::super::problem::Result<Filter> {
        let mut query = Query::of(&format!("/?{text}").parse().unwrap(), Code::InvalidFilter)?;
        let filter = of_query(&mut query);
        query.done().map(|()| filter)
    }

    #[test]
    fn a_query_and_a_body_mean_the_same() {
        let of_query =
            query("status=FAILED&status=PENDING&type=noop&q=a%20b&created_after=2026-01-01T00:00:00Z").unwrap();
        let body = r#"{"status":["FAILED","PENDING"],"type":"noop","q":"a b","created_after":"2026-01-01T00:00:00Z"}"#;
        let mut fields = Fields::of(body, "");
        assert_eq!(of_fields(&mut fields), of_query);
        assert!(fields.finish().is_empty());
    }

    #[test]
    fn bad_values_are_refused() {
        let long = format!("q={}", "x".repeat(201));
        for text in [
            "status=DONE",
            "status=",
            "status[]=PENDING",
            "status=PENDING,FAILED",
            "created_after=0000-01-01T00:00:00Z",
            "created_after=2026-02-01T00:00:00Z&created_before=2026-01-01T00:00:00Z",
            "queue=",
            &long,
        ] {
            assert_eq!(query(text).unwrap_err().code(), Code::InvalidFilter, "{text}");
        }
    }
}
