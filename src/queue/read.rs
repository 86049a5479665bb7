//! Every look at tasks, their history, their log lines and their files.

use super::{Error, Inner, Queue};
use crate::fault;
use crate::store::{self, Entry, File, LineQuery, StoredLine, Transition};
use crate::task::{Artifact, Event, Scope, Task, TaskError, Time};
use std::future::Future;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

/// How often a wait looks at the database, in case the signal came from another node.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// A piece of the change log.
#[derive(Debug, Clone)]
pub struct ChangePage {
    /// The entries, in commit order without gaps.
    pub entries: Vec<Entry>,
    /// What to ask for next, as `after`.
    pub next: i64,
    /// Whether there is more already.
    pub has_more: bool,
}

/// One attempt of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// Which one, from 1.
    pub attempt: i64,
    /// Who ran it.
    pub worker: Option<String>,
    /// When it began.
    pub started_at: Time,
    /// When it ended; `None` while it runs.
    pub finished_at: Option<Time>,
    /// `success`, `failed`, `cancelled`, `lost` or `released`; `None` while it runs.
    pub outcome: Option<&'static str>,
    /// The error it left.
    pub error: Option<TaskError>,
}

impl Queue {
    /// One task, whole.
    pub async fn get(&self, scope: &Scope, id: Uuid) -> Result<Task, Error> {
        self.inner.store.get(scope, id).await?.ok_or(Error::NotFound)
    }

    /// The task once `done` says so, or as it is when the time is up, whichever comes first.
    pub async fn wait(
        &self,
        scope: &Scope,
        id: Uuid,
        wait: Duration,
        done: impl Fn(&Task) -> bool + Send,
    ) -> Result<Task, Error> {
        let until = Instant::now() + wait;
        let watch = self.inner.events.watch(id);
        loop {
            let changed = watch.changed();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let task = self.get(scope, id).await?;
            if done(&task) || Instant::now() >= until {
                return Ok(task);
            }
            let _ = timeout_at(until.min(Instant::now() + LOOK_AGAIN), changed).await;
        }
    }

    /// The change log behind `after`: at once if there is anything, else as soon as there is, or
    /// empty when the time is up.
    pub async fn changes(&self, scope: &Scope, after: i64, limit: i64, wait: Duration) -> Result<ChangePage, Error> {
        let until = Instant::now() + wait;
        let mut log = self.inner.events.log();
        loop {
            log.mark_unchanged();
            let (_, end) = self.reach(after).await?;
            let mut entries = self.inner.store.changes(scope, after, limit + 1).await?;
            let has_more = entries.len() as i64 > limit;
            entries.truncate(limit as usize);
            if !entries.is_empty() || Instant::now() >= until {
                if entries.is_empty() {
                    // Nothing is given out either where some were deleted in between.
                    self.reach(after).await?;
                }
                let read_to = entries.last().map_or(after, |entry| entry.seq);
                // Up to the end as it was before the read, nothing of this scope is left.
                let next = if has_more { read_to } else { read_to.max(end) };
                return Ok(ChangePage { entries, next, has_more });
            }
            let _ = timeout_at(until.min(Instant::now() + LOOK_AGAIN), log.changed()).await;
        }
    }

    /// The change log behind `after`, as far as it has come, read in turn with others who missed something; an error where
    /// it never gave out that number.
    pub async fn missed(&self, scope: &Scope, after: i64, limit: i64) -> Result<ChangePage, Error> {
        let _turn = self.inner.feed.turn().await;
        fault::fails("missed_begun").await.map_err(store::Error::from)?;
        if self.reach(after).await?.1.max(self.inner.feed.position()) < after {
            return Err(Error::SequenceAhead);
        }
        self.changes(scope, after, limit, Duration::ZERO).await
    }

    /// The number of the change log's newest entry.
    pub async fn log_end(&self) -> Result<i64, Error> {
        let (start, end) = self.inner.store.log_bounds().await?;
        Ok(end.max(start))
    }

    /// Where the change log begins and ends; an error if it does not reach back to `after`.
    async fn reach(&self, after: i64) -> Result<(i64, i64), Error> {
        let (start, end) = self.inner.store.log_bounds().await?;
        if after < start { Err(Error::SequenceExpired(start)) } else { Ok((start, end)) }
    }

    /// Each transition of a task, oldest first.
    pub async fn timeline(&self, scope: &Scope, id: Uuid) -> Result<Vec<Transition>, Error> {
        let transitions = self.inner.store.transitions(scope, id).await?;
        self.or_not_found(scope, id, transitions, Vec::is_empty).await
    }

    /// Each attempt of a task, oldest first.
    pub async fn attempts(&self, scope: &Scope, id: Uuid) -> Result<Vec<Attempt>, Error> {
        Ok(attempts_of(&self.timeline(scope, id).await?))
    }

    /// Log lines of a task.
    pub async fn lines(&self, scope: &Scope, id: Uuid, query: &LineQuery) -> Result<Vec<StoredLine>, Error> {
        let lines = self.inner.store.lines(scope, id, query).await?;
        self.or_not_found(scope, id, lines, Vec::is_empty).await
    }

    /// The output files of a task; only a task in `SUCCESS` has any.
    pub async fn artifacts(&self, scope: &Scope, id: Uuid) -> Result<Vec<Artifact>, Error> {
        let artifacts = self.inner.store.artifacts(scope, id).await?;
        self.or_not_found(scope, id, artifacts, Vec::is_empty).await
    }

    /// Records an upload that is whole and on disk, or deletes its file. Where the database does not
    /// say whether it did it, the file stays: a record must never name a missing one, and one that
    /// nobody names is swept. Runs to its end whatever becomes of the caller.
    pub async fn add_file(&self, file: File) -> Result<(), Error> {
        let (store, files) = (self.inner.store.clone(), self.inner.files.clone());
        own(async move {
            let added = store.add_file(&file).await;
            if matches!(added, Err(store::Error::Full(_) | store::Error::Internal(_)))
                && let Err(error) = files.delete(&file.location).await
            {
                tracing::warn!(%error, location = file.location, "a refused upload could not be deleted");
            }
            Ok(added?)
        })
        .await
    }

    /// An upload.
    pub async fn file(&self, scope: &Scope, id: Uuid) -> Result<File, Error> {
        self.inner.store.files(scope, &[id]).await?.pop().ok_or(Error::FileNotFound)
    }

    /// Deletes an upload, record first: a record never names a missing file.
    pub async fn remove_file(&self, scope: &Scope, id: Uuid) -> Result<(), Error> {
        let (queue, scope) = (self.clone(), scope.clone());
        own(async move {
            let Inner { store, files, .. } = &*queue.inner;
            let file = store.remove_file(&scope, id).await?.ok_or(Error::FileNotFound)?;
            queue.count_bytes_again(&file.owner);
            fault::point("upload_forgotten").await;
            Ok(files.delete(&file.location).await?)
        })
        .await
    }

    /// An empty answer is either empty or of a task that is not there: only then is that looked up.
    async fn or_not_found<T>(&self, scope: &Scope, id: Uuid, found: T, empty: impl Fn(&T) -> bool) -> Result<T, Error> {
        if empty(&found) {
            self.get(scope, id).await?;
        }
        Ok(found)
    }
}

/// Runs a write on a task of its own: a caller that hangs up cannot cut it in two.
pub(super) async fn own<T: Send + 'static>(write: impl Future<Output = T> + Send + 'static) -> T {
    match tokio::spawn(write).await {
        Ok(done) => done,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

fn attempts_of(transitions: &[Transition]) -> Vec<Attempt> {
    let mut attempts: Vec<Attempt> = Vec::new();
    for transition in transitions {
        if transition.event == Event::Started {
            attempts.push(Attempt {
                attempt: transition.attempt,
                worker: transition.worker.clone(),
                started_at: transition.at,
                finished_at: None,
                outcome: None,
                error: None,
            });
        } else if let (Some(outcome), Some(open)) = (transition.event.outcome(), attempts.last_mut())
            && open.finished_at.is_none()
        {
            let lost = transition.error.as_ref().is_some_and(|error| error.code == "worker_lost");
            open.finished_at = Some(transition.at);
            open.outcome = Some(if lost { "lost" } else { outcome });
            open.error = transition.error.clone().filter(|_| matches!(outcome, "failed"));
        }
    }
    attempts
}
