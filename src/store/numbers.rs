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

/// Stands for everything that is written: two that are equal say that nothing was, by no node. They may
/// differ although nothing was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp(pub String);

/// What a database has written since some instant in the past: two readings say what was written between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// Transactions committed. Postgres counts readers' too, and knows of the last second only later.
    pub commits: u64,
    /// Bytes of the write-ahead log, the whole server's; `None` where this process writes it itself.
    pub log_bytes: Option<u64>,
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
