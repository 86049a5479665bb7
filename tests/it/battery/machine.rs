//! Random lives of tasks, on a database and on the reference; after every step both must say the same.

use super::campaign::{Bounds, block_on, campaign};
use super::lives::{MUST_BE_MET, kind};
use super::reference::{End, LEASE, NOT_AWAITING, Op, REJECTED, Said, Task as Expected, World, message, wrap};
use crate::promises::{failure, page, success};
use crate::support::bed::{BEGIN, Bed, noop};
use crate::support::on_both_databases;
use crate::support::raw::Raw;
use errand::queue::{Error, Reported};
use errand::store::{Beat, Database, LineQuery, Once};
use errand::task::{Backoff, Draft, Filter, Outcome, Progress, Scope, Sort, Status, Task, Time};
use errand::types::{Level, LogLine};
use proptest_state_machine::ReferenceStateMachine;
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use uuid::Uuid;

on_both_databases![random_lives_are_what_the_reference_says];

/// On average 50 steps each.
const STEPS: std::ops::Range<usize> = 1..100;

async fn random_lives_are_what_the_reference_says(bed: Bed) {
    // On Postgres as many as the time allows: a step there is several round trips.
    let bounds = match bed.queue.store().database() {
        Database::Sqlite => Bounds::new(2_000, 160, 100_000),
        Database::Postgres => Bounds::new(2_000, 90, 20_000),
    };
    let mut walk = Walk::new(bed).await;
    let mut met = BTreeMap::new();
    campaign("random lives", &bounds, &World::sequential_strategy(STEPS), |(begin, ops, seen)| {
        block_on(walk.clear());
        let mut world = begin;
        for op in ops {
            if let Some(seen) = &seen {
                seen.fetch_add(1, Ordering::SeqCst);
            }
            world.step(&op);
            *met.entry(kind(&op, &world.said)).or_insert(0) += 1;
            block_on(walk.step(&op, &world)).map_err(|difference| format!("after {op:?}: {difference}"))?;
        }
        Ok(())
    });
    let steps: u32 = met.values().sum();
    println!("random lives: {steps} steps on {}: {met:?}", walk.bed.queue.store().database().word());
    for kind in MUST_BE_MET {
        assert!(met.contains_key(*kind), "nothing of the kind {kind:?} was met: {met:?}");
    }
}

/// A line of a timeline: event, from, to, attempt, time.
type Line = (&'static str, Option<&'static str>, &'static str, i64, i64);

/// The same life on a real queue.
struct Walk {
    bed: Bed,
    raw: Raw,
    ids: Vec<Uuid>,
    /// What each lease ever given looked like to its worker.
    claimed: Vec<Task>,
    remembered: Vec<usize>,
    reports: Vec<(usize, End)>,
    /// The change log has been read to here.
    read_to: i64,
    timelines: Vec<Vec<Line>>,
}

impl Walk {
    async fn new(bed: Bed) -> Walk {
        let raw = Raw::open(&bed.url).await;
        let (ids, claimed, remembered, reports, timelines) = Default::default();
        Walk { bed, raw, ids, claimed, remembered, reports, read_to: 0, timelines }
    }

    async fn clear(&mut self) {
        self.raw.empty().await;
        self.bed.clock.advance(BEGIN.0 - self.bed.clock.now().0);
        (self.ids, self.claimed, self.remembered, self.reports, self.timelines) = Default::default();
    }

    async fn step(&mut self, op: &Op, expected: &World) -> Result<(), String> {
        let said = self.happen(op).await;
        equal("the answer", &said, &expected.said)?;
        self.compare(expected).await
    }

    async fn happen(&mut self, op: &Op) -> Said {
        let everyone = &Scope::Everyone;
        let queue = self.bed.queue.clone();
        match *op {
            Op::Submit { key, body, delay, attempts, priority, held } => {
                let draft = Draft {
                    max_attempts: attempts,
                    priority,
                    needs_approval: held,
                    backoff: Backoff { base_seconds: 10.0, factor: 2.0, max_seconds: 40.0, jitter: false },
                    run_at: (delay != 0).then(|| self.bed.clock.now().plus(delay)),
                    ..noop()
                };
                let prepared = queue.prepare(vec![draft]).await.unwrap();
                let id = prepared.tasks[0].id;
                let once = key.map(|key| Once {
                    owner: "default".into(),
                    route: "submit".into(),
                    key: key.to_string(),
                    fingerprint: body.to_string(),
                    answer: id.to_string(),
                });
                match queue.submit(prepared, once).await {
                    Ok(None) => {
                        self.ids.push(id);
                        self.timelines.push(Vec::new());
                        Said::Submitted { task: self.ids.len() - 1, replayed: false }
                    }
                    Ok(Some(answer)) => Said::Submitted { task: self.place(answer.parse().unwrap()), replayed: true },
                    Err(Error::KeyReused) => Said::KeyReused,
                    Err(error) => panic!("{error}"),
                }
            }
            Op::Claim(n, ahead) => {
                let tasks = queue.claim("tester", n, &[], LEASE, ahead).await.unwrap();
                let places = tasks.iter().map(|task| self.place(task.id)).collect();
                for task in tasks {
                    self.remembered.push(self.claimed.len());
                    self.claimed.push(task);
                }
                Said::Claimed(places)
            }
            Op::Beat(lease, says) => match wrap(lease, self.claimed.len()) {
                Some(lease) => Said::Held(self.beat(lease, says).await),
                None => Said::Nothing,
            },
            Op::Report(place, end) => match wrap(place, self.remembered.len()) {
                Some(place) => self.report(self.remembered[place], end).await,
                None => Said::Nothing,
            },
            Op::ReportAgain(place) => match wrap(place, self.reports.len()) {
                Some(place) => self.report(self.reports[place].0, self.reports[place].1).await,
                None => Said::Nothing,
            },
            Op::Cancel(task) => match self.id(task) {
                Some(id) => Said::Now(now(queue.cancel(everyone, id, "me").await)),
                None => Said::Nothing,
            },
            Op::Retry(task) => match self.id(task) {
                Some(id) => Said::Now(now(queue.retry(everyone, id, "me").await)),
                None => Said::Nothing,
            },
            Op::Approve(task) => match self.id(task) {
                Some(id) => Said::Now(now(queue.approve(everyone, id, "me", None).await)),
                None => Said::Nothing,
            },
            Op::Reject(task) => match self.id(task) {
                Some(id) => Said::Now(now(queue.reject(everyone, id, "me", REJECTED).await)),
                None => Said::Nothing,
            },
            Op::CancelAll => bulk(queue.cancel_many(everyone, &Filter::default(), "me").await.unwrap()),
            Op::RetryAll => bulk(queue.retry_many(everyone, &Filter::default(), "me").await.unwrap()),
            Op::Rescue => Said::Took(queue.rescue().await.unwrap()),
            Op::Promote => {
                let due = queue.promote().await.unwrap();
                Said::Promoted { promoted: due.promoted as usize, next: due.next.map(|time| time.0) }
            }
            Op::Tidy => {
                // Keys are kept for a day by the clock, which jumps here: none is old enough.
                queue.store().tidy(Time(0), 0).await.unwrap();
                Said::Nothing
            }
            Op::Clock(millis) => {
                self.bed.clock.advance(millis);
                Said::Nothing
            }
            Op::Crash => {
                self.remembered.clear();
                Said::Nothing
            }
        }
    }

    async fn beat(&self, lease: usize, says: bool) -> Option<bool> {
        let task = &self.claimed[lease];
        let now = self.bed.clock.now();
        let beat = Beat {
            id: task.id,
            lease: task.lease.unwrap(),
            attempt: task.attempt,
            progress: says.then(|| Progress::of(1, 2, None, 1.0)),
            lines: if says { vec![LogLine { at: now, level: Level::Info, message: "x".into() }] } else { Vec::new() },
        };
        let held = self.bed.queue.beat(&[beat], LEASE).await.unwrap();
        held.first().map(|held| held.cancel_requested)
    }

    async fn report(&mut self, lease: usize, end: End) -> Said {
        self.reports.push((lease, end));
        let outcome = match end {
            End::Success => success(),
            End::Fatal => failure(false),
            End::Retryable => failure(true),
            End::RetryAfter(wait) => Outcome::Failure {
                code: "broken".into(),
                message: message(end).into(),
                retryable: true,
                retry_after_ms: Some(wait),
            },
            End::Cancelled => Outcome::Cancelled,
            End::Released => Outcome::Released,
        };
        let task = &self.claimed[lease];
        match self.bed.queue.report(task, task.lease.unwrap(), &outcome).await.unwrap() {
            Reported::Written(task) => Said::Written(Some(task.status.word())),
            Reported::Lost => Said::Written(None),
        }
    }

    /// Everything that can be seen, against the reference.
    async fn compare(&mut self, expected: &World) -> Result<(), String> {
        let (queue, now) = (&self.bed.queue, self.bed.clock.now());
        let changes = queue.store().changes(&Scope::Everyone, self.read_to, 10_000).await.unwrap();
        for entry in changes {
            if entry.seq <= self.read_to {
                return Err(format!("the log went back from {} to {}", self.read_to, entry.seq));
            }
            self.read_to = entry.seq;
            let from = entry.from.map(Status::word);
            let line = (entry.event.word(), from, entry.task.status.word(), entry.task.attempt, entry.at.0);
            let place = self.place(entry.task.id);
            self.timelines[place].push(line);
        }
        let list = queue.list(&Scope::Everyone, &Filter::default(), &page(Sort::CreatedAsc, 500)).await.unwrap().tasks;
        equal("how many tasks there are", &list.len(), &expected.tasks.len())?;
        for task in &list {
            let place = self.place(task.id);
            let expected = &expected.tasks[place];
            equal(&format!("task {place}"), &seen(task), &wanted(expected))?;
            equal(&format!("task {place}'s phase"), &task.phase(now), &expected.phase(now.0))?;
            equal(&format!("task {place}'s timeline"), &self.timelines[place], &expected.timeline)?;
            equal(&format!("task {place}'s version"), &task.version, &(expected.timeline.len() as i64))?;
        }
        let counts = queue.store().counts(&Scope::Everyone).await.unwrap();
        for status in Status::ALL {
            let counted: i64 = counts.iter().filter(|count| count.status == status).map(|count| count.n).sum();
            let there = expected.tasks.iter().filter(|task| task.status == status.word()).count() as i64;
            equal(&format!("the count of {}", status.word()), &counted, &there)?;
        }
        let query = LineQuery { limit: 1_000, ..LineQuery::default() };
        for (id, expected) in self.ids.iter().zip(&expected.tasks).filter(|(_, task)| task.lines > 0) {
            let lines = queue.lines(&Scope::Everyone, *id, &query).await.unwrap();
            equal("the number of log lines", &(lines.len() as i64), &expected.lines)?;
        }
        Ok(())
    }

    fn id(&self, number: usize) -> Option<Uuid> {
        wrap(number, self.ids.len()).map(|place| self.ids[place])
    }

    fn place(&self, id: Uuid) -> usize {
        self.ids.iter().position(|known| *known == id).expect("a task of this life")
    }
}

/// A task's state, as both sides can show it.
type Seen = (&'static str, [i64; 6], Option<(String, i64)>, [Option<i64>; 4]);

fn seen(task: &Task) -> Seen {
    let numbers = [
        task.attempt,
        task.failures,
        task.losses,
        task.progress.percent as i64,
        task.run_at.0,
        i64::from(task.lease.is_some()),
    ];
    let error = task.error.as_ref().map(|error| (error.message.clone(), error.attempt));
    let times = [task.started_at, task.finished_at, task.cancel_requested_at, task.lease_until];
    (task.status.word(), numbers, error, times.map(|time| time.map(|time| time.0)))
}

fn wanted(task: &Expected) -> Seen {
    let holds = i64::from(task.lease_until.is_some());
    let numbers = [task.attempt, task.failures, task.losses, task.percent, task.run_at, holds];
    let error = task.error.map(|(message, attempt)| (message.to_owned(), attempt));
    (task.status, numbers, error, [task.started_at, task.finished_at, task.cancel_requested_at, task.lease_until])
}

fn now(done: Result<Task, Error>) -> Result<&'static str, &'static str> {
    match done {
        Ok(task) => Ok(task.status.word()),
        Err(Error::NotCancellable(status) | Error::NotRetryable(status)) => Err(status.word()),
        Err(Error::NoneAwaited) => Err(NOT_AWAITING),
        Err(error) => panic!("{error}"),
    }
}

fn bulk(done: errand::queue::Bulk) -> Said {
    Said::Bulk { matched: done.matched as usize, changed: done.changed as usize }
}

fn equal<T: PartialEq + std::fmt::Debug>(what: &str, seen: &T, expected: &T) -> Result<(), String> {
    if seen == expected { Ok(()) } else { Err(format!("{what} is\n    {seen:?}, expected\n    {expected:?}")) }
}
