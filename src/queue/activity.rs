//! Who did what: looking at it, following it, and deleting what was kept long enough.

pub mod feed;

use super::read::own;
use super::{Error, Queue};
use crate::store::{ActivityPage, ActivityPiece};
use crate::task::{Action, ActivityFilter, Scope};
use feed::{Follower, Interest};
use std::time::Duration;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

/// No look goes on for longer before it answers what it has found …
const PATIENCE: Duration = Duration::from_millis(5);
/// … but for these first steps.
const STEPS: usize = 4;
/// Entries looked at in a step: about a millisecond.
const STEP: i64 = 2_000;
/// Entries deleted in one write.
const PIECE: i64 = 1_000;
/// After each write others have the database for at least a quarter of the time it took.
const REST: u32 = 4;

impl Queue {
    /// Entries that the filter names, newest first. Fewer than `limit`, and still with a place to go on from, where
    /// looking further would take too long.
    pub async fn activity(
        &self,
        scope: &Scope,
        filter: &ActivityFilter,
        after: Option<Uuid>,
        limit: i64,
    ) -> Result<ActivityPiece, Error> {
        let until = Instant::now() + PATIENCE;
        let mut found = ActivityPiece { entries: Vec::new(), next: after };
        for step in 1.. {
            let limit = limit - found.entries.len() as i64;
            let page = ActivityPage { after: found.next, limit, span: STEP.max(limit) };
            let ActivityPiece { entries, next } = self.inner.store.activity(scope, filter, &page).await?;
            let full = entries.len() as i64 >= limit;
            found.entries.extend(entries);
            found.next = next;
            if next.is_none() || full || (step >= STEPS && Instant::now() >= until) {
                break;
            }
        }
        Ok(found)
    }

    /// Somebody who follows what is written down: from now on, or behind the entry `after`. Entries are told once, in the order in
    /// which they were written, which is the same at every node.
    pub async fn follow_activity(&self, interest: Interest, after: Option<Uuid>) -> Result<Follower, Error> {
        self.inner.activity_feed.follow(interest, after).await
    }

    /// Whether the database is asked for new entries: only while somebody follows.
    pub fn is_activity_followed(&self) -> bool {
        self.inner.activity_feed.is_read()
    }

    /// Deletes the entries that were kept for longer than that, a few at a time. Answers how many went.
    pub async fn prune_activity(&self, kept: Duration) -> Result<i64, Error> {
        let before = self.inner.clock.now().plus(-(kept.as_millis() as i64));
        let old = ActivityFilter { until: Some(before), ..ActivityFilter::default() };
        // Most often there is nothing to write.
        if self.activity(&Scope::Everyone, &old, None, 1).await?.entries.is_empty() {
            return Ok(0);
        }
        let mut gone = 0;
        loop {
            let (began, store) = (Instant::now(), self.inner.store.clone());
            let piece = own(async move { store.prune_activity(before, PIECE).await }).await?;
            gone += piece;
            if piece < PIECE {
                break;
            }
            sleep(began.elapsed() / REST).await;
        }
        self.inner.journal.happened(Action::ActivityPruned, gone, None);
        Ok(gone)
    }
}
