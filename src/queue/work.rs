//! The worker's side of the door: claim, beat, report, rescue.

use super::{Error, Queue};
use crate::fault;
use crate::store::{self, Beat, Claim, Due, Held};
use crate::task::{Action, Event, Outcome, Scope, Task, Time};
use crate::types::Input;
use futures_util::future::{BoxFuture, ready};
use std::collections::{HashMap, HashSet};
use std::sync::OnceLock;
use std::time::{Duration, Instant};
use uuid::Uuid;

/// Lapsed leases taken back in one go.
const RESCUED_AT_ONCE: i64 = 1_000;
/// Tasks made ready in one go.
const PROMOTED_AT_ONCE: i64 = 10_000;

/// An answer about the time that came within this is good enough; else it is asked again, so often in all.
const QUICK: Duration = Duration::from_millis(100);
const CLOCK_TRIES: usize = 3;

/// What became of a report.
#[derive(Debug)]
pub enum Reported {
    /// It is written; this is the task right after.
    Written(Box<Task>),
    /// The lease is no longer current: nothing was written.
    Lost,
}

impl Queue {
    /// At most `max` ready tasks of the types this node knows, in order of priority, `run_at` and
    /// id; each `RUNNING` under a new lease of `lease_ms`, with its params. `ahead`: of some of them,
    /// see [`Task::ahead`].
    pub async fn claim(
        &self,
        worker: &str,
        max: i64,
        queues: &[String],
        lease_ms: i64,
        ahead: bool,
    ) -> Result<Vec<Task>, Error> {
        let claim = || self.asked(worker, max, queues, lease_ms, ahead);
        self.give_out(&claim, Box::pin(ready(true))).await
    }

    /// [`Queue::claim`] once `wait` has ended, or sooner, with the first tasks that come; none if `wait` ends with
    /// `false`. Answers when it was made as well: the leases last from then.
    pub async fn claim_next(
        &self,
        worker: &str,
        max: i64,
        queues: &[String],
        lease_ms: i64,
        wait: BoxFuture<'_, bool>,
    ) -> Result<(Instant, Vec<Task>), Error> {
        let made = OnceLock::new();
        let claim = || {
            made.get_or_init(Instant::now);
            self.asked(worker, max, queues, lease_ms, false)
        };
        let tasks = self.give_out(&claim, wait).await?;
        Ok((made.into_inner().unwrap_or_else(Instant::now), tasks))
    }

    fn asked(&self, worker: &str, max: i64, queues: &[String], lease_ms: i64, ahead: bool) -> Claim {
        let (types, now) = (self.inner.types.names(), self.inner.clock.now());
        Claim { worker: worker.to_owned(), max, types, queues: queues.to_vec(), now, lease_ms, ahead }
    }

    async fn give_out(
        &self,
        claim: &(dyn Fn() -> Claim + Sync),
        wait: BoxFuture<'_, bool>,
    ) -> Result<Vec<Task>, Error> {
        fault::fails("claim_begun").await.map_err(store::Error::from)?;
        let tasks = self.inner.store.claim_next(claim, wait).await?;
        if !tasks.is_empty() {
            fault::point("claim_committed").await;
            let started = tasks.iter().map(|task| (Event::Started, task));
            super::announce(&*self.inner.store, &self.inner.events, &self.inner.pace, started);
            fault::point("claim_announced").await;
        }
        Ok(tasks)
    }

    /// A worker is about to run a claimed task: if its loss has to count, that is written down first.
    /// `false`: the lease is no longer current.
    pub async fn begin(&self, task: &Task, lease_ms: i64) -> Result<bool, Error> {
        let Some(lease) = task.lease.filter(|_| task.is_suspect()) else { return Ok(true) };
        let beat = Beat { id: task.id, lease, attempt: task.attempt, progress: None, lines: Vec::new() };
        let held = self.beat(&[beat], lease_ms).await?;
        if held.is_empty() {
            self.count_fenced(1);
        }
        Ok(!held.is_empty())
    }

    /// The uploads that a claimed task's params name, those that still exist.
    pub async fn inputs(&self, task: &Task) -> Result<Vec<Input>, Error> {
        let params = task.params.as_deref();
        let entry = self.inner.types.get(&task.r#type).filter(|entry| entry.schema.names_files());
        let Some(checked) = entry.zip(params).and_then(|(entry, params)| entry.check(params).ok()) else {
            return Ok(Vec::new());
        };
        if checked.files.is_empty() {
            return Ok(Vec::new());
        }
        let ids: Vec<Uuid> = checked.files.iter().map(|(_, id)| *id).collect();
        let files = self.inner.store.files(&Scope::Owner(task.owner.clone()), &ids).await?;
        let input = |file: crate::store::File| {
            Input::new(file.id, file.name, file.bytes as u64, file.content_type, file.sha256, file.location)
        };
        Ok(files.into_iter().map(input).collect())
    }

    /// Extends leases by `lease_ms` from now and writes down what was said under them. Leases that
    /// are not in the answer are lost.
    pub async fn beat(&self, beats: &[Beat], lease_ms: i64) -> Result<Vec<Held>, Error> {
        let now = self.inner.clock.now();
        fault::fails("beat_begun").await.map_err(store::Error::from)?;
        let held = fault::during("beat_in_flight", self.inner.store.beat(beats, now.plus(lease_ms), now)).await?;
        fault::point("beat_committed").await;
        for beat in beats.iter().filter(|beat| beat.progress.is_some()) {
            self.inner.events.touched(beat.id);
        }
        if beats.iter().any(|beat| beat.progress.is_some()) {
            self.inner.events.said();
        }
        Ok(held)
    }

    /// Which of these leases are current, each with its task's id before it, and which of their tasks were
    /// asked to stop.
    pub async fn held(&self, leases: &[(Uuid, Uuid)]) -> Result<Vec<Held>, Error> {
        Ok(self.inner.store.held(leases).await?)
    }

    /// Writes how an attempt ended, under its lease. Said twice (the first answer was lost, say), the
    /// second changes nothing: it is `Written` too if that is how this very attempt ended the task,
    /// else `Lost`.
    pub async fn report(&self, claimed: &Task, lease: Uuid, outcome: &Outcome) -> Result<Reported, Error> {
        fault::fails("report_begun").await.map_err(store::Error::from)?;
        let change = claimed.report(lease, outcome.clone(), self.inner.clock.now(), rand::random());
        if let Some(after) = self.write(change).await? {
            return Ok(Reported::Written(Box::new(after)));
        }
        // A cancel may have come between: decide once more, from the row as it is now.
        let task = match self.get(&Scope::Everyone, claimed.id).await {
            Ok(task) if task.lease == Some(lease) => task,
            Ok(task) if task.ended_as(claimed.attempt, outcome) => return Ok(Reported::Written(Box::new(task))),
            Ok(_) | Err(Error::NotFound) => return Ok(self.lost()),
            Err(error) => return Err(error),
        };
        let change = task.report(lease, outcome.clone(), self.inner.clock.now(), rand::random());
        Ok(self.write(change).await?.map_or_else(|| self.lost(), |after| Reported::Written(Box::new(after))))
    }

    fn lost(&self) -> Reported {
        self.count_fenced(1);
        Reported::Lost
    }

    /// Takes lapsed leases back; answers how many.
    pub async fn rescue(&self) -> Result<usize, Error> {
        let now = self.inner.clock.now();
        let lapsed = self.inner.store.lapsed(now, RESCUED_AT_ONCE).await?;
        if !lapsed.is_empty() {
            fault::point("rescue_found").await;
        }
        let went_on = self.went_on(&lapsed).await?;
        let rescues = lapsed.into_iter().map(|task| {
            let went_on = went_on.contains(&task.id);
            self.take_back(task, went_on, now)
        });
        let rescued = futures_util::future::try_join_all(rescues).await?;
        let taken: Vec<Uuid> = rescued.into_iter().flatten().collect();
        if let Some(task) = taken.first() {
            tracing::warn!(tasks = taken.len(), first = %task, "took back tasks whose workers were lost");
            self.inner.journal.happened(Action::TaskRescued, taken.len() as i64, None);
        }
        Ok(taken.len())
    }

    /// Those whose lost attempt has saved work that is done.
    async fn went_on(&self, lapsed: &[Task]) -> Result<HashSet<Uuid>, Error> {
        let saves_work = |task: &Task, name: &str| {
            self.inner.types.get(&task.r#type).is_some_and(|entry| entry.r#type.saves_work(name))
        };
        let tasks: HashMap<Uuid, &Task> =
            lapsed.iter().filter(|task| task.losses > 0).map(|task| (task.id, task)).collect();
        if tasks.is_empty() {
            return Ok(HashSet::new());
        }
        let saved = self.inner.store.checkpoints(&tasks.keys().copied().collect::<Vec<_>>()).await?;
        let of_work = saved.into_iter().filter(|saved| {
            tasks.get(&saved.task).is_some_and(|task| saved.attempt == task.attempt && saves_work(task, &saved.name))
        });
        Ok(of_work.map(|saved| saved.task).collect())
    }

    /// `None`: its worker was quicker.
    async fn take_back(&self, task: Task, went_on: bool, now: Time) -> Result<Option<Uuid>, Error> {
        let id = task.id;
        if self.write(task.rescue(now, went_on)).await?.is_none() {
            return Ok(None);
        }
        fault::point("rescue_written").await;
        if let Some(lease) = task.lease
            && let Err(error) = self.clear_attempt(id, lease).await
        {
            tracing::warn!(task = %id, %error, "the files of a lost attempt could not be deleted");
        }
        Ok(Some(id))
    }

    /// Makes due tasks ready; answers how many, when the next one is due, and whether leases have lapsed.
    pub async fn promote(&self) -> Result<Due, Error> {
        fault::fails("promote_begun").await.map_err(store::Error::from)?;
        let promoting = self.inner.store.promote(self.inner.clock.now(), PROMOTED_AT_ONCE);
        let due = fault::during("promote_in_flight", promoting).await?;
        if due.promoted > 0 {
            fault::point("promoted").await;
            self.inner.events.ready();
            self.inner.store.wake(crate::store::Wake::Ready);
        }
        Ok(due)
    }

    /// Sets the clock by the database's. An answer that was long on its way says little about the
    /// time: then it is asked again, and of its answers the quickest is taken.
    pub async fn follow_clock(&self) -> Result<(), Error> {
        let (mut quickest, mut read) = (Duration::MAX, None);
        for _ in 0..CLOCK_TRIES {
            let asked = Instant::now();
            let theirs = self.inner.store.now().await?;
            let (took, answered) = (asked.elapsed(), Instant::now());
            if took < quickest {
                // It was read about half-way.
                (quickest, read) = (took, Some((theirs.plus(took.as_millis() as i64 / 2), answered)));
            }
            if took <= QUICK {
                break;
            }
        }
        if let Some((theirs, answered)) = read {
            self.inner.clock.follow(theirs.plus(answered.elapsed().as_millis() as i64));
        }
        Ok(())
    }
}
