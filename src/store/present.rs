//! What is so just now, for whoever watches: nothing here is kept.

use super::Result;
use crate::task::{Scope, Time};
use async_trait::async_trait;
use std::collections::BTreeMap;

/// How much one client of an owner submitted lately.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submitter {
    /// Whose.
    pub owner: String,
    /// Which client.
    pub client_id: String,
    /// How many tasks.
    pub n: i64,
}

/// What the database says of this moment. Each is of bounded work, however many tasks there are.
#[async_trait]
pub trait PresentStore: Send + Sync {
    /// How many tasks each worker runs, by name; at most `limit` tasks are looked at.
    async fn at_work(&self, scope: &Scope, limit: i64) -> Result<Vec<(String, i64)>>;

    /// Since when the oldest ready task of each queue could have run, by the queue's name. Of each priority only the `limit`
    /// tasks that have waited longest are looked at, whosever they are.
    async fn oldest_ready(&self, scope: &Scope, limit: i64) -> Result<BTreeMap<String, Time>>;

    /// Who submitted the last `last` tasks, of whomever: the `limit` clients with the most of them within the
    /// scope, most first.
    async fn submitters(&self, scope: &Scope, last: i64, limit: i64) -> Result<Vec<Submitter>>;
}

/// Keeps the older one of each queue.
pub(super) fn older(oldest: &mut BTreeMap<String, Time>, rows: impl IntoIterator<Item = (String, i64)>) {
    for (queue, run_at) in rows {
        let known = oldest.entry(queue).or_insert(Time(run_at));
        known.0 = known.0.min(run_at);
    }
}
