//! Cancel and retry of many at once.

use super::{Error, Queue};
use crate::store::Piece;
use crate::task::{Filter, Page, Scope, Sort, Task};
use futures_util::future::join_all;
use std::sync::{Mutex, PoisonError};

/// Tasks looked at in one go.
const CHUNK: i64 = 1_000;

/// What a bulk action did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Bulk {
    /// How many tasks the caller may see and the filter names.
    pub matched: i64,
    /// How many of them changed.
    pub changed: i64,
}

impl Queue {
    /// Cancels every task that the filter names and that can be cancelled. A task that moves on
    /// meanwhile is decided anew as it then is.
    pub async fn cancel_many(&self, scope: &Scope, filter: &Filter, by: &str) -> Result<Bulk, Error> {
        self.each(scope, filter, |task| async move {
            let before = (task.status, task.cancel_requested_at);
            match self.cancel_seen(scope, task, by).await {
                Ok(after) => Ok(before != (after.status, after.cancel_requested_at)),
                Err(Error::NotCancellable(_) | Error::NotFound) => Ok(false),
                Err(error) => Err(error),
            }
        })
        .await
    }

    /// Retries every task that the filter names and that can be retried. Where an owner has too much for
    /// all of its tasks, as many are retried as it may have, those of others too, and then that is told.
    pub async fn retry_many(&self, scope: &Scope, filter: &Filter, by: &str) -> Result<Bulk, Error> {
        let exceeded = &Mutex::new(None);
        let bulk = self.each(scope, filter, |task| async move {
            let Ok(change) = task.retry(self.inner.clock.now(), by) else { return Ok(false) };
            match self.reopen(&task.owner, change).await {
                Err(error @ Error::QuotaExceeded { .. }) => {
                    *exceeded.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                    Ok(false)
                }
                reopened => Ok(reopened?.is_some()),
            }
        });
        let bulk = bulk.await?;
        match exceeded.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(exceeded) => Err(exceeded),
            None => Ok(bulk),
        }
    }

    /// The decision from the row as listed; read again only if it has moved on.
    async fn cancel_seen(&self, scope: &Scope, task: Task, by: &str) -> Result<Task, Error> {
        let change = task.cancel(self.inner.clock.now(), by).map_err(Error::NotCancellable)?;
        let Some(change) = change else { return Ok(task) };
        match self.write(change).await? {
            Some(after) => Ok(after),
            None => self.cancel(scope, task.id, by).await,
        }
    }

    async fn each<A, F>(&self, scope: &Scope, filter: &Filter, act: A) -> Result<Bulk, Error>
    where
        A: Fn(Task) -> F,
        F: Future<Output = Result<bool, Error>>,
    {
        let mut bulk = Bulk::default();
        let as_of = self.inner.clock.now();
        let page = |sort, limit| Page { sort, limit, after: None, as_of, full: false };
        // Whatever is submitted meanwhile is not meant: ids are walked upwards to the newest of now. Not to
        // the tasks created by now: a clock that was set back would leave out what is newer than it says.
        let newest = self.list(&Scope::Everyone, &Filter::default(), &page(Sort::CreatedDesc, 1)).await?;
        let Some(newest) = newest.tasks.first().map(|task| task.id) else { return Ok(bulk) };
        let mut page = page(Sort::CreatedAsc, CHUNK);
        loop {
            let Piece { mut tasks, next } = self.list(scope, filter, &page).await?;
            tasks.retain(|task| task.id <= newest);
            bulk.matched += tasks.len() as i64;
            for changed in join_all(tasks.into_iter().map(&act)).await {
                bulk.changed += i64::from(changed?);
            }
            page.after = next.filter(|next| next.id < newest);
            if page.after.is_none() {
                return Ok(bulk);
            }
        }
    }
}
