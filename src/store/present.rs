//! What is so just now, for whoever watches: nothing here is kept.

use super::Result;
use crate::task::Scope;
use async_trait::async_trait;

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

    /// Who submitted the last `last` tasks, of whomever: the `limit` clients with the most of them within the
    /// scope, most first.
    async fn submitters(&self, scope: &Scope, last: i64, limit: i64) -> Result<Vec<Submitter>>;
}
