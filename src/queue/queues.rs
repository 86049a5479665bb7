//! The queues: how much waits in each, and for how long.

use super::{Error, Queue};
use crate::store::Count;
use crate::task::{Scope, Time};
use std::collections::BTreeMap;

/// Of each priority so many ready tasks are looked at, whichever queues they are in.
const LOOKED_AT: i64 = 500;

/// The queues of one scope.
#[derive(Debug, Clone, Default)]
pub struct Queues {
    /// Exact, from the counters.
    pub counts: Vec<Count>,
    /// Since when the oldest ready task of each could have run. A queue whose ready tasks all lie behind the 500 that have
    /// waited longest in their priority is missing.
    pub oldest_ready: BTreeMap<String, Time>,
}

impl Queue {
    /// The queues that a scope has tasks in. Bounded work, however many tasks wait.
    pub async fn queues(&self, scope: &Scope) -> Result<Queues, Error> {
        let counts = self.stats(scope).await?.counts;
        let oldest_ready = self.inner.store.oldest_ready(scope, LOOKED_AT).await?;
        Ok(Queues { counts, oldest_ready })
    }
}
