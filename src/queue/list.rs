//! Lists: how to find the rows of a page with bounded work, however long the history.
//!
//! First a short walk along the list's order: what is common is found at once. Then the counters
//! say which groups of tasks (owner, queue, type, status) can hold a match at all: rare ones are
//! looked up where an index has them, and what nothing is counted of is not looked for. What remains
//! (a search, a rare tag) is walked for a moment; the answer then says where to go on.

use super::{Error, Queue};
use crate::store::{Group, Piece, Way};
use crate::task::{Filter, Page, Scope, Time};
use std::time::Duration;
use tokio::time::Instant;

/// No list walks on for longer before it answers what it has found …
const PATIENCE: Duration = Duration::from_millis(5);
/// … but for these first steps: behind a short history each list is whole, however slow the machine.
const STEPS: usize = 4;
/// Tasks looked at in the first walk, and at least twice the page.
const SHORT: i64 = 500;
/// Tasks looked at in each further step of a walk: about a millisecond.
const STEP: i64 = 500;
/// More groups than these are not looked up one by one …
const MANY_GROUPS: i64 = 100;
/// … nor these, or so many tasks, where each task has to be looked at.
const MANY_GROUPS_TO_LOOK_AT: usize = 12;
const MANY_TASKS_TO_LOOK_AT: i64 = 50_000;
/// More unfinished tasks than these are not gone through for one page, nor are more finished ones
/// put in order.
const MANY_TO_SORT: i64 = 10_000;

impl Queue {
    /// Rows of a list. Fewer than the page takes, and still with a place to go on from, where
    /// looking further would take too long.
    pub async fn list(&self, scope: &Scope, filter: &Filter, page: &Page) -> Result<Piece, Error> {
        self.find(scope, filter, page, false).await
    }

    /// The same of a list by `finished_at` as far as its first part goes: what had finished by its instant.
    pub async fn ended(&self, scope: &Scope, filter: &Filter, page: &Page) -> Result<Piece, Error> {
        self.find(scope, filter, page, true).await
    }

    async fn find(&self, scope: &Scope, filter: &Filter, page: &Page, only_ended: bool) -> Result<Piece, Error> {
        let until = Instant::now() + PATIENCE;
        let (mut page, mut found) = (page.clone(), Piece::default());
        let mut way = match &filter.ids {
            Some(ids) => Way::Among(ids.clone()),
            None if page.is_unfinished() => self.way_to_unfinished(&page).await?,
            None => Way::Walk(SHORT.max(2 * page.limit)),
        };
        let (mut steps, mut is_decided) = (0, false);
        loop {
            let walks = matches!(way, Way::Walk(_));
            steps += usize::from(walks);
            let Piece { tasks, mut next } = self.inner.store.list(scope, filter, &page, &way).await?;
            if only_ended {
                next = next.filter(|after| after.finished_at.is_some());
            }
            page.limit -= tasks.len() as i64;
            found.tasks.extend(tasks);
            found.next = next;
            let is_late = walks && steps >= STEPS && Instant::now() >= until;
            if next.is_none() || page.limit <= 0 || is_late {
                return Ok(found);
            }
            let was_unfinished = page.is_unfinished();
            page.after = next;
            way = match way {
                Way::Among(_) => way,
                _ if page.is_unfinished() && !was_unfinished => self.way_to_unfinished(&page).await?,
                Way::Walk(_) if !is_decided && !page.is_unfinished() => {
                    is_decided = true;
                    match self.way_by_counters(scope, filter, &page).await? {
                        Some(way) => way,
                        None => return Ok(Piece { next: None, ..found }),
                    }
                }
                way => way,
            };
        }
    }

    /// The way to matches that a short walk did not find; `None` where there are none.
    async fn way_by_counters(&self, scope: &Scope, filter: &Filter, page: &Page) -> Result<Option<Way>, Error> {
        let groups = self.inner.store.groups(scope, filter, MANY_GROUPS + 1).await?;
        if groups.is_empty() {
            return Ok(None);
        }
        let tasks: i64 = groups.iter().filter(|group| group.status >= 2).map(|group| group.n).sum();
        let (most_groups, most_tasks) = match (page.sort.by_finish(), filter.is_more_than_counted()) {
            (true, false) => (MANY_GROUPS as usize, MANY_TO_SORT),
            (true, true) => (MANY_GROUPS_TO_LOOK_AT, MANY_TO_SORT),
            (false, true) => (MANY_GROUPS_TO_LOOK_AT, MANY_TASKS_TO_LOOK_AT),
            (false, false) => (MANY_GROUPS as usize, i64::MAX),
        };
        let unfinished = !page.sort.by_finish() && groups.iter().any(|group: &Group| group.status < 2);
        let few = groups.len() <= most_groups && tasks <= most_tasks;
        let few = few && !(unfinished && self.are_many_unfinished(Time::MAX).await?);
        Ok(Some(if few { Way::Groups(groups) } else { Way::Walk(STEP) }))
    }

    /// The way among what had not finished, in a list by `finished_at`.
    async fn way_to_unfinished(&self, page: &Page) -> Result<Way, Error> {
        let many = self.are_many_unfinished(page.as_of).await?;
        Ok(if many { Way::Walk(STEP) } else { Way::Groups(Vec::new()) })
    }

    async fn are_many_unfinished(&self, as_of: Time) -> Result<bool, Error> {
        Ok(self.inner.store.unfinished(as_of, MANY_TO_SORT + 1).await? > MANY_TO_SORT)
    }
}
