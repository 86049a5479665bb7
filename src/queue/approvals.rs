//! Approvals: what waits for a person, and what that person decides.

use super::{Error, Queue};
use crate::store::{Awaiting, Turn};
use crate::task::decide::NoneAwaited;
use crate::task::{Change, Scope, Task, Time};
use uuid::Uuid;

/// Tasks looked at in a step where only some owner's are wanted, and steps of one call.
const STEP: i64 = 500;
const STEPS: usize = 4;

impl Queue {
    /// Lets a held task run: it is ready on return, or waits for `run_at`, which stands in the place of the time it
    /// was submitted for. [`Error::NoneAwaited`] where it does not wait for an approval, so of two who approve at once
    /// one hears that.
    pub async fn approve(&self, scope: &Scope, id: Uuid, by: &str, run_at: Option<Time>) -> Result<Task, Error> {
        self.judge(scope, id, |task| task.approve(self.inner.clock.now(), by, run_at)).await
    }

    /// Ends a held task: it is `CANCELLED` on return, with the reason as its error. A retry of it waits for an
    /// approval again. [`Error::NoneAwaited`] as with [`Queue::approve`].
    pub async fn reject(&self, scope: &Scope, id: Uuid, by: &str, reason: &str) -> Result<Task, Error> {
        self.judge(scope, id, |task| task.reject(self.inner.clock.now(), by, reason)).await
    }

    /// At most `limit` tasks of the scope that wait for an approval, with their params, by the time they are for and
    /// id. Fewer, and still with a place to go on from, where looking further would take too long.
    pub async fn awaiting(&self, scope: &Scope, after: Option<Turn>, limit: i64) -> Result<Awaiting, Error> {
        let mut found = Awaiting { tasks: Vec::new(), next: after };
        for _ in 0..STEPS {
            let missing = limit - found.tasks.len() as i64;
            let Awaiting { tasks, next } = self.inner.store.awaiting(scope, found.next, missing, STEP).await?;
            found.tasks.extend(tasks);
            found.next = next;
            if next.is_none() || found.tasks.len() as i64 >= limit {
                break;
            }
        }
        Ok(found)
    }

    async fn judge(
        &self,
        scope: &Scope,
        id: Uuid,
        judge: impl Fn(&Task) -> Result<Change, NoneAwaited>,
    ) -> Result<Task, Error> {
        loop {
            let task = self.get(scope, id).await?;
            let change = judge(&task).map_err(|NoneAwaited| Error::NoneAwaited)?;
            if let Some(after) = self.write(change).await? {
                return Ok(Task { params: task.params, ..after });
            }
        }
    }
}
