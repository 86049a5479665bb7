//! How fast things went: sums and histograms, by the minute and by the quarter of an hour.

use super::Result;
use crate::task::Scope;
use async_trait::async_trait;

/// What one node did with one owner's tasks of one type in one minute, or in one quarter of an hour.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize)]
pub struct Minute {
    /// Minutes since 1970; of a quarter its first one.
    pub minute: i64,
    /// Which node.
    pub node: String,
    /// Whose tasks.
    pub owner: String,
    /// Which type.
    pub r#type: String,
    /// Tasks submitted.
    pub submitted: i64,
    /// Attempts begun.
    pub started: i64,
    /// Tasks ended in `SUCCESS`.
    pub succeeded: i64,
    /// Tasks ended in `FAILED`.
    pub failed: i64,
    /// Tasks ended in `CANCELLED`.
    pub cancelled: i64,
    /// Histogram of waits, as JSON: an array of counts.
    pub waits: String,
    /// Histogram of runs, as JSON: an array of counts.
    pub runs: String,
}

/// What the database does with them.
#[async_trait]
pub trait PaceStore: Send + Sync {
    /// Keeps what is known of these minutes (same minute, node, owner and type: replaced).
    async fn put_minutes(&self, minutes: &[Minute]) -> Result<()>;

    /// What is known of the minutes from `since` on, histograms included.
    async fn minutes(&self, scope: &Scope, since: i64) -> Result<Vec<Minute>>;

    /// Keeps what is known of these quarters (same quarter, node, owner and type: replaced, unless less is known now), and
    /// forgets those that began before the minute `first`.
    async fn put_quarters(&self, quarters: &[Minute], first: i64) -> Result<()>;

    /// What is known of the quarters that began in the minute `since` or later, histograms included.
    async fn quarters(&self, scope: &Scope, since: i64) -> Result<Vec<Minute>>;
}
