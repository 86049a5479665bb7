//! Numbers for people, as they are kept.

use crate::task::Status;

/// How many tasks of an owner, queue and type stand in a status. Exact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Count {
    /// The queue.
    pub queue: String,
    /// The type.
    pub r#type: String,
    /// The status.
    pub status: Status,
    /// How many.
    pub n: i64,
}

/// What a database has written since some instant in the past: two readings say what was written between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// Transactions committed. Postgres counts readers' too, and knows of the last second only later.
    pub commits: u64,
    /// Bytes of the write-ahead log, the whole server's; `None` where this process writes it itself.
    pub log_bytes: Option<u64>,
}

/// What one node did in one minute with one owner's tasks of one type: for charts and percentiles.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize)]
pub struct Minute {
    /// Minutes since 1970.
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

/// Everything that is counted together: finished tasks of a group stand together in an index, too.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Group {
    /// Whose.
    pub owner: String,
    /// The queue.
    pub queue: String,
    /// The type.
    pub r#type: String,
    /// The status, as its number.
    pub status: i64,
    /// How many there are.
    pub n: i64,
}
