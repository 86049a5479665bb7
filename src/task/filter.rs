//! Which tasks a caller asks for, and which page of them.

use super::{Status, Time};
use uuid::Uuid;

/// Whose tasks a query may see. It is part of every query, never a check afterwards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// One owner's.
    Owner(String),
    /// Everybody's: admins, the janitor and the workers.
    Everyone,
}

impl Scope {
    /// The owner it is limited to, if it is.
    pub fn owner(&self) -> Option<&str> {
        match self {
            Scope::Owner(owner) => Some(owner),
            Scope::Everyone => None,
        }
    }
}

/// Conditions that must all hold; an empty one matches everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// One of these; empty is any.
    pub statuses: Vec<Status>,
    /// One of these; empty is any.
    pub types: Vec<String>,
    /// Exactly this queue.
    pub queue: Option<String>,
    /// Carries this tag.
    pub tag: Option<String>,
    /// Sent by this client.
    pub client_id: Option<String>,
    /// Owned by this owner (within the scope).
    pub owner: Option<String>,
    /// Each of these words stands in the name, the id, a tag, or the error; ASCII case is ignored.
    pub words: Vec<String>,
    /// Created at or after.
    pub created_after: Option<Time>,
    /// Created before.
    pub created_before: Option<Time>,
    /// One of these ids.
    pub ids: Option<Vec<Uuid>>,
}

/// The order of a list. Rows without `finished_at` come last in both directions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sort {
    /// Newest first.
    #[default]
    CreatedDesc,
    /// Oldest first.
    CreatedAsc,
    /// Last finished first.
    FinishedDesc,
    /// First finished first.
    FinishedAsc,
}

impl Sort {
    /// Every order, with its word on the wire.
    pub const ALL: [(&'static str, Sort); 4] = [
        ("-created_at", Sort::CreatedDesc),
        ("created_at", Sort::CreatedAsc),
        ("-finished_at", Sort::FinishedDesc),
        ("finished_at", Sort::FinishedAsc),
    ];

    /// Whether it goes by `finished_at`.
    pub fn by_finish(self) -> bool {
        matches!(self, Sort::FinishedDesc | Sort::FinishedAsc)
    }

    /// Whether it goes downwards.
    pub fn descending(self) -> bool {
        matches!(self, Sort::CreatedDesc | Sort::FinishedDesc)
    }
}

/// One page of a list, by key and never by offset: rows that come or go elsewhere move nothing.
#[derive(Debug, Clone)]
pub struct Page {
    /// The order.
    pub sort: Sort,
    /// At most this many rows.
    pub limit: i64,
    /// Begin behind this row; `None` is the first page.
    pub after: Option<After>,
    /// For orders by `finished_at`: a row that finished later than this counts as unfinished, so
    /// that it is neither missed nor shown twice. The first page's instant.
    pub as_of: Time,
    /// Whether `params` and `result` are wanted.
    pub full: bool,
}

/// The last row of the page before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct After {
    /// Its `finished_at`, in orders that go by it and where it counted as finished.
    pub finished_at: Option<Time>,
    /// Its id.
    pub id: Uuid,
}
