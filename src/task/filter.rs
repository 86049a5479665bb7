//! Which tasks a caller asks for, and which page of them.

use super::{Status, Task, Time};
use uuid::Uuid;

/// Whose tasks a query may see. It is part of every query, never a check afterwards.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
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

    /// What of it is this owner's: nothing where it does not see that. Everything where none is named.
    pub fn of_owner(&self, owner: Option<String>) -> Scope {
        match owner {
            None => self.clone(),
            Some(owner) if self.sees(&owner) => Scope::Owner(owner),
            Some(_) => Scope::Owner(String::new()), // nobody has that name
        }
    }

    /// Whether it sees this owner's.
    pub fn sees(&self, owner: &str) -> bool {
        self.owner().is_none_or(|own| own == owner)
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

impl Filter {
    /// Whether this task is one of those it names: what the databases find by it, without a database.
    pub fn admits(&self, task: &Task) -> bool {
        let Filter { statuses, types, queue, tag, client_id, owner, words, created_after, created_before, ids } = self;
        let is = |asked: &Option<String>, value: &str| asked.as_ref().is_none_or(|asked| asked == value);
        (statuses.is_empty() || statuses.contains(&task.status))
            && (types.is_empty() || types.contains(&task.r#type))
            && is(queue, &task.queue)
            && is(client_id, &task.client_id)
            && is(owner, &task.owner)
            && tag.as_ref().is_none_or(|tag| task.tags.contains(tag))
            && created_after.is_none_or(|after| task.created_at >= after)
            && created_before.is_none_or(|before| task.created_at < before)
            && ids.as_ref().is_none_or(|ids| ids.contains(&task.id))
            && words.iter().all(|word| says(task, &word.to_ascii_lowercase()))
    }

    /// Whether it asks for more than the counters know: owner, queue, type and status.
    pub fn is_more_than_counted(&self) -> bool {
        let Filter { tag, client_id, words, created_after, created_before, ids, .. } = self;
        let times = created_after.is_some() || created_before.is_some();
        tag.is_some() || client_id.is_some() || !words.is_empty() || times || ids.is_some()
    }
}

/// Whether a word, in small letters, stands where a search looks.
fn says(task: &Task, word: &str) -> bool {
    let holds = |text: &str| text.to_ascii_lowercase().contains(word);
    let error = task.error.as_ref().map(|error| format!("{}\n{}", error.code, error.message));
    task.name.as_deref().is_some_and(holds)
        || holds(&task.id.to_string())
        || (!task.tags.is_empty() && holds(&task.tags.join("\n")))
        || error.as_deref().is_some_and(holds)
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

impl Page {
    /// Where a page behind this row begins, which stands in the same part of the list or in the next.
    pub fn behind(&self, task: &Task) -> After {
        self.behind_this(task.finished_at, task.id)
    }

    /// The same for a row of which only this is known.
    pub fn behind_this(&self, finished_at: Option<Time>, id: Uuid) -> After {
        let is_finished = |at: &Time| self.sort.by_finish() && !self.is_unfinished() && *at <= self.as_of;
        After { finished_at: finished_at.filter(is_finished), id }
    }

    /// Whether it stands in the second part of an order by `finished_at`: what had not finished.
    pub fn is_unfinished(&self) -> bool {
        self.sort.by_finish() && self.after.is_some_and(|after| after.finished_at.is_none())
    }

    /// Where to go on at the end of the part it stands in; `None` at the end of the list.
    pub fn turn(&self) -> Option<After> {
        let first = if self.sort.descending() { Uuid::max() } else { Uuid::nil() };
        (self.sort.by_finish() && !self.is_unfinished()).then_some(After { finished_at: None, id: first })
    }
}

/// A row that a page may begin behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct After {
    /// Its `finished_at`, in orders that go by it and where it counted as finished.
    pub finished_at: Option<Time>,
    /// Its id.
    pub id: Uuid,
}
