//! List cursors: where the page before ended, bound to the query it was made for.

use crate::files::hex;
use crate::task::filter::After;
use crate::task::{Filter, Scope, Sort, Time};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt::Debug;
use uuid::Uuid;

/// A longer cursor is none of ours.
const MAX_CURSOR_BYTES: usize = 300;

/// Where the next page begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// Behind this row.
    pub after: After,
    /// The first page's instant, in orders by `finished_at`; zero elsewhere.
    pub as_of: Time,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    /// Of which query.
    q: String,
    /// The id.
    i: Uuid,
    /// `finished_at`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    f: Option<i64>,
    /// `as_of`.
    #[serde(default)]
    t: i64,
}

impl Cursor {
    /// As text, for the query it belongs to.
    pub fn write(&self, query: &str) -> String {
        let Cursor { after: After { finished_at, id }, as_of } = *self;
        let written = Written { q: query.to_owned(), i: id, f: finished_at.map(|at| at.0), t: as_of.0 };
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(&written).unwrap_or_default())
    }

    /// From text; `None` for anything but a cursor of this very query.
    pub fn read(text: &str, query: &str) -> Option<Cursor> {
        if text.len() > MAX_CURSOR_BYTES {
            return None;
        }
        let written: Written = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
        let times = written.f.into_iter().chain([written.t]);
        let sane = written.q == query && times.into_iter().all(|at| (0..=Time::MAX.0).contains(&at));
        let after = After { finished_at: written.f.map(Time), id: written.i };
        sane.then_some(Cursor { after, as_of: Time(written.t) })
    }
}

/// What tells one query from another: whose rows, which of them, in which order.
pub fn query_hash(scope: &Scope, filter: &Filter, sort: Sort) -> String {
    hash_of(&(scope, filter, sort))
}

/// The same of another kind of list, from everything that makes up its query.
pub fn hash_of(query: &impl Debug) -> String {
    hex(&Sha256::digest(format!("{query:?}"))[..8])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_cursor_is_read_back_by_its_own_query_only() {
        let after = After { finished_at: Some(Time(7)), id: Uuid::nil() };
        let cursor = Cursor { after, as_of: Time(9) };
        let scope = Scope::Owner("a".to_owned());
        let query = query_hash(&scope, &Filter::default(), Sort::default());
        let text = cursor.write(&query);
        assert_eq!(Cursor::read(&text, &query), Some(cursor));
        let others = [
            query_hash(&Scope::Owner("b".to_owned()), &Filter::default(), Sort::default()),
            query_hash(&scope, &Filter { queue: Some("x".to_owned()), ..Filter::default() }, Sort::default()),
            query_hash(&scope, &Filter::default(), Sort::CreatedAsc),
        ];
        assert!(others.iter().all(|other| Cursor::read(&text, other).is_none()));
        for garbage in ["", "x", "e30", &text[1..], &text[..text.len() - 4], &"A".repeat(1000)] {
            assert_eq!(Cursor::read(garbage, &query), None, "{garbage}");
        }
    }

    proptest! {
        #[test]
        fn any_cursor_comes_back_as_it_was_and_any_other_text_is_none(
            finished in proptest::option::of(0..=Time::MAX.0), as_of in 0..=Time::MAX.0, id in any::<u128>(),
            edit in any::<prop::sample::Index>(), by in any::<u8>(), text in any::<String>(),
        ) {
            let after = After { finished_at: finished.map(Time), id: Uuid::from_u128(id) };
            let cursor = Cursor { after, as_of: Time(as_of) };
            let query = query_hash(&Scope::Everyone, &Filter::default(), Sort::default());
            let written = cursor.write(&query);
            prop_assert_eq!(Cursor::read(&written, &query), Some(cursor));
            prop_assert_eq!(Cursor::read(&text, &query), None);
            // One letter of it changed: another cursor of this query, or none.
            let mut bytes = written.into_bytes();
            let at = edit.index(bytes.len());
            bytes[at] = by;
            if let Some(other) = String::from_utf8(bytes).ok().and_then(|text| Cursor::read(&text, &query)) {
                prop_assert_eq!(Cursor::read(&other.write(&query), &query), Some(other));
                let times = other.after.finished_at.into_iter().chain([other.as_of]);
                prop_assert!(times.into_iter().all(|at| (Time::MIN..=Time::MAX).contains(&at)));
            }
        }
    }
}
