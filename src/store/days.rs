//! How long tasks ran, by the day: for what that costs.

use super::Result;
use crate::task::Scope;
use async_trait::async_trait;

/// How long one node ran one owner's tasks of one type on one day.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Day {
    /// Days since 1970, in UTC.
    pub day: i64,
    /// Which node.
    pub node: String,
    /// Whose tasks.
    pub owner: String,
    /// Which type.
    pub r#type: String,
    /// From started to ended, of attempts that ended on that day.
    pub run_ms: i64,
}

/// What the database does with days.
#[async_trait]
pub trait DayStore: Send + Sync {
    /// Keeps what is known of these days (same day, node, owner and type: the larger one stays), and forgets those
    /// before `first`.
    async fn put_days(&self, days: &[Day], first: i64) -> Result<()>;

    /// How long the tasks of each type ran from this day on, in milliseconds. A few rows for each day, however many
    /// tasks there were.
    async fn run_time(&self, scope: &Scope, since: i64) -> Result<Vec<(String, i64)>>;
}
