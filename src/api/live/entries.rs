//! The topic `activity`: which entries of who did what somebody wants to be told.

use super::super::activity::{self, one_of, words_of};
use super::super::caller::Caller;
use super::super::fields::Fields;
use super::super::id_of;
use super::super::query::Query;
use crate::queue::activity::feed::{Follower, Heard, Interest};
use crate::task::{Action, Ending};
use std::future::pending;
use uuid::Uuid;

/// A word is no longer than this.
const MAX_WORD: usize = 100;

/// Entries with one of each of these words; of an empty list any will do.
#[derive(Debug, Default)]
pub struct Wanted {
    pub categories: Vec<String>,
    pub actions: Vec<String>,
    pub outcomes: Vec<String>,
    /// What was written behind this entry is wanted too.
    pub after: Option<Uuid>,
}

impl Wanted {
    /// As an address says it.
    pub fn of_query(query: &mut Query) -> Wanted {
        Wanted {
            categories: one_of(query, "category", &Action::categories()),
            actions: one_of(query, "action", &words_of(Action::ALL)),
            outcomes: one_of(query, "outcome", &words_of(Ending::ALL)),
            after: query.read("after", "must be the id of an entry", id_of),
        }
    }

    /// As a message says it.
    pub fn of_fields(fields: &mut Fields<'_>) -> Wanted {
        let mut words = |name: &str, known: &[&str]| {
            let words = fields.labels(name, known.len(), MAX_WORD, true).unwrap_or_default();
            for (n, _) in words.iter().enumerate().filter(|(_, word)| !known.contains(&word.as_str())) {
                fields.fail(&format!("{name}/{n}"), format!("must be one of {}", known.join(", ")));
            }
            words
        };
        let categories = words("category", &Action::categories());
        let actions = words("action", &words_of(Action::ALL));
        let outcomes = words("outcome", &words_of(Ending::ALL));
        let wrong = |id: &str| id_of(id).is_none().then(|| "must be the id of an entry".to_owned());
        let after = fields.text("after", wrong).and_then(|id| id_of(&id));
        Wanted { categories, actions, outcomes, after }
    }

    /// The same of this caller, who sees what `GET /api/activity` shows it.
    pub fn of(self, caller: &Caller) -> (Interest, Option<Uuid>) {
        let Wanted { categories, actions, outcomes, after } = self;
        (Interest { scope: activity::scope(caller), categories, actions, outcomes }, after)
    }
}

/// The next of what a follower, if there is one, hears; a call that is dropped takes nothing.
pub async fn next(follower: &mut Option<Follower>) -> Heard {
    match follower {
        Some(follower) => follower.next().await,
        None => pending().await,
    }
}
