//! Notifications: which of an owner's tasks have ended, what it has seen of that, and the news of both.
//!
//! Nothing is written where a task ends. A page of notifications is a list of tasks by their ends, as bounded as any
//! list; what the owner has seen is one row, written by compare.

mod marked;

use super::read::own;
use super::{Error, Queue};
use crate::store;
use crate::task::filter::After;
use crate::task::{Filter, Marks, Mute, Page, Place, Scope, Sort, Status, Task, Time};
use std::time::Duration;
use tokio::time::Instant;

pub(super) use marked::Marked;
pub use marked::Watcher;

/// No look goes on for longer before it answers what it has found …
const PATIENCE: Duration = Duration::from_millis(5);
/// … but for these first steps.
const STEPS: usize = 4;
/// Tasks read in a step, and at least what is missing: some are muted, or read already.
const STEP: i64 = 50;
/// Unread ones are counted so far.
pub const MOST_UNREAD: i64 = 100;
/// Others who mark at the same time, of the same owner, are given way to so often.
const TRIES: usize = 20;

/// A task that has ended.
#[derive(Debug, Clone)]
pub struct Notification {
    /// Where it stands among all ends; its id.
    pub place: Place,
    /// The task, without params and result.
    pub task: Task,
    /// Whether its owner has read it.
    pub read: bool,
}

impl Notification {
    /// What this owner is told of a task; `None` where it has not ended, and where that is muted or cleared.
    pub fn of(task: Task, marks: &Marks) -> Option<Notification> {
        let place = Place::of(&task)?;
        let shown = !marks.is_cleared(place) && !marks.is_muted(&task);
        shown.then(|| Notification { place, read: marks.is_read(place), task })
    }
}

/// Which notifications are wanted.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    /// Only those that are not read.
    pub unread: bool,
    /// At most so many.
    pub limit: i64,
    /// Behind this one, on a further page.
    pub after: Option<After>,
    /// The first page's instant: what ends later is on none of its pages.
    pub as_of: Time,
}

/// Notifications, newest first.
#[derive(Debug, Clone, Default)]
pub struct Notifications {
    /// Fewer than asked for, where looking further would take too long.
    pub found: Vec<Notification>,
    /// Where to go on; `None` at the end.
    pub next: Option<After>,
}

/// How many are not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unread {
    /// So many at least …
    pub n: i64,
    /// … and maybe more: beyond [`MOST_UNREAD`] nobody counts, nor where it would take long.
    pub more: bool,
}

/// What an owner marks.
#[derive(Debug, Clone)]
pub enum Mark {
    /// These are read, or unread again.
    These(Vec<Place>, bool),
    /// Everything up to there is read; `None` is everything by now.
    ReadUpTo(Option<Place>),
    /// Everything up to there is shown no more; `None` is everything by now.
    ClearUpTo(Option<Place>),
    /// These are told of no more, and those again.
    Mute(Vec<Mute>, Vec<Mute>),
}

impl Queue {
    /// What an owner has marked so far.
    pub async fn marks(&self, owner: &str) -> Result<Marks, Error> {
        let found = self.inner.store.marks(&[owner.to_owned()]).await?;
        Ok(found.into_iter().next().map(|(_, marks)| marks).unwrap_or_default())
    }

    /// A page of an owner's notifications.
    pub async fn notifications(&self, owner: &str, marks: &Marks, wanted: &Wanted) -> Result<Notifications, Error> {
        let ends =
            Status::ALL.into_iter().filter(|end| end.is_finished() && !marks.muted.contains(&Mute::Status(*end)));
        let (scope, filter) =
            (Scope::Owner(owner.to_owned()), Filter { statuses: ends.collect(), ..Filter::default() });
        let Wanted { unread, limit, after, as_of } = *wanted;
        let mut page = Page { sort: Sort::FinishedDesc, limit, after, as_of, full: false };
        let (until, mut found) = (Instant::now() + PATIENCE, Vec::new());
        if filter.statuses.is_empty() {
            return Ok(Notifications::default());
        }
        for step in 1.. {
            // One more tells whether there is another page.
            page.limit = STEP.max(limit + 1 - found.len() as i64);
            let piece = self.ended(&scope, &filter, &page).await?;
            for task in piece.tasks {
                let place = Place::of(&task);
                if place.is_some_and(|place| marks.is_cleared(place) || (unread && marks.is_done_from(place))) {
                    return Ok(Notifications { found, next: None });
                }
                let notification = Notification::of(task, marks).filter(|one| !(unread && one.read));
                if let Some(notification) = notification {
                    if found.len() as i64 >= limit {
                        let next = found.last().map(|last: &Notification| page.behind(&last.task));
                        return Ok(Notifications { found, next });
                    }
                    found.push(notification);
                }
            }
            page.after = piece.next;
            if page.after.is_none() || (step >= STEPS && Instant::now() >= until) {
                break;
            }
        }
        Ok(Notifications { found, next: page.after })
    }

    /// How many of an owner's notifications are not read.
    pub async fn unread(&self, owner: &str, marks: &Marks) -> Result<Unread, Error> {
        let as_of = self.inner.clock.now();
        let wanted = Wanted { unread: true, limit: MOST_UNREAD, after: None, as_of };
        let Notifications { found, next } = self.notifications(owner, marks, &wanted).await?;
        Ok(Unread { n: found.len() as i64, more: next.is_some() })
    }

    /// Marks what an owner has seen, or does not want to see; answers its marks as they are then. Marked so already: nothing
    /// is written. [`Error::TooManyMuted`] where it would mute more than it may.
    pub async fn mark(&self, owner: &str, mark: &Mark) -> Result<Marks, Error> {
        for _ in 0..TRIES {
            let (before, now) = (self.marks(owner).await?, self.inner.clock.now());
            // What has not ended yet is not seen.
            let seen = |place: &Option<Place>| place.unwrap_or(Place::end_of(now)).min(Place::end_of(now));
            let mut after = before.clone();
            let fits = match mark {
                Mark::These(places, read) => {
                    after.set(places.iter().copied(), *read);
                    true
                }
                Mark::ReadUpTo(place) => {
                    after.read_up_to(seen(place));
                    true
                }
                Mark::ClearUpTo(place) => {
                    after.clear_up_to(seen(place));
                    true
                }
                Mark::Mute(mute, unmute) => after.mute(mute, unmute),
            };
            if !fits {
                return Err(Error::TooManyMuted);
            }
            if after == before {
                return Ok(before);
            }
            after.version += 1;
            let (store, marks, whose) = (self.inner.store.clone(), after.clone(), owner.to_owned());
            if own(async move { store.put_marks(&whose, &marks, now).await }).await? {
                self.inner.marked.tell(owner, after.clone());
                self.inner.store.wake(store::Wake::Marks);
                return Ok(after);
            }
        }
        Err(store::Error::Unavailable("others mark at the same time, again and again".to_owned()).into())
    }

    /// Somebody who watches what an owner marks, at whichever node, until dropped.
    pub async fn watch_marks(&self, owner: &str) -> Result<Watcher, Error> {
        Ok(self.inner.marked.watch(owner).await?)
    }

    /// Whether anybody watches what anybody marks.
    pub fn are_marks_watched(&self) -> bool {
        self.inner.marked.is_watched()
    }
}
