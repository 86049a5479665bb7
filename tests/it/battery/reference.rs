//! What Errand should do, in the fewest words and without a database: the other side of the comparison.

use std::collections::BTreeMap;

pub const LEASE: i64 = 30_000;
const MAX_LOSSES: i64 = 3;
/// What stands at a task that lost so many workers.
const LOST: &str = "the worker was lost 3 times while running this task";

/// Why a task is rejected.
pub const REJECTED: &str = "too dear";
/// What is said of an approval or a rejection that the task does not wait for.
pub const NOT_AWAITING: &str = "not awaiting approval";

/// One thing that happens. Numbers name a task, a lease or a report by its place, wrapped round.
#[derive(Debug, Clone)]
pub enum Op {
    Submit {
        key: Option<u8>,
        body: u8,
        delay: i64,
        attempts: i64,
        priority: i64,
        held: bool,
    },
    /// So many; whether some of them are claimed ahead.
    Claim(i64, bool),
    Beat(usize, bool),
    Report(usize, End),
    ReportAgain(usize),
    Cancel(usize),
    Retry(usize),
    Approve(usize),
    Reject(usize),
    CancelAll,
    RetryAll,
    Rescue,
    Promote,
    Tidy,
    Clock(i64),
    /// The node forgets which leases it holds.
    Crash,
}

/// How an attempt ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Success,
    Fatal,
    Retryable,
    RetryAfter(i64),
    Cancelled,
    Released,
}

/// What the caller or worker is told.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Said {
    #[default]
    Nothing,
    /// The task of this place; an earlier one where the key was used before.
    Submitted {
        task: usize,
        replayed: bool,
    },
    KeyReused,
    Claimed(Vec<usize>),
    /// Whether the lease is held, and whether a cancel is wanted.
    Held(Option<bool>),
    /// The status, where something was written.
    Written(Option<&'static str>),
    /// The status after a cancel or retry, or the one that does not allow it.
    Now(Result<&'static str, &'static str>),
    Bulk {
        matched: usize,
        changed: usize,
    },
    Took(usize),
    Promoted {
        promoted: usize,
        next: Option<i64>,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    pub status: &'static str,
    pub attempt: i64,
    pub failures: i64,
    pub losses: i64,
    pub percent: i64,
    /// Message and attempt.
    pub error: Option<(&'static str, i64)>,
    pub run_at: i64,
    pub started_at: Option<i64>,
    pub finished_at: Option<i64>,
    pub cancel_requested_at: Option<i64>,
    pub lease_until: Option<i64>,
    /// Event, status before, status after, attempt, when.
    pub timeline: Vec<(&'static str, Option<&'static str>, &'static str, i64, i64)>,
    pub lines: i64,
    max_attempts: i64,
    priority: i64,
    ready: bool,
    held: bool,
    lease: Option<usize>,
    has_begun: bool,
}

#[derive(Debug, Clone, Default)]
pub struct World {
    pub now: i64,
    pub tasks: Vec<Task>,
    /// Task and attempt of each lease ever given.
    pub leases: Vec<(usize, i64)>,
    /// Leases the node knows it holds.
    pub remembered: Vec<usize>,
    pub reports: Vec<(usize, End)>,
    pub said: Said,
    keys: BTreeMap<u8, (u8, usize)>,
}

impl World {
    pub fn begin(now: i64) -> World {
        World { now, ..World::default() }
    }

    pub fn step(&mut self, op: &Op) {
        self.said = self.happen(op);
    }

    fn happen(&mut self, op: &Op) -> Said {
        match *op {
            Op::Submit { key, body, delay, attempts, priority, held } => {
                self.submit(key, body, delay, attempts, priority, held)
            }
            Op::Claim(n, ahead) => self.claim(n, ahead),
            Op::Beat(lease, says) => match wrap(lease, self.leases.len()) {
                Some(lease) => Said::Held(self.beat(lease, says)),
                None => Said::Nothing,
            },
            Op::Report(place, end) => match wrap(place, self.remembered.len()) {
                Some(place) => self.report(self.remembered[place], end),
                None => Said::Nothing,
            },
            Op::ReportAgain(place) => match wrap(place, self.reports.len()) {
                Some(place) => self.report(self.reports[place].0, self.reports[place].1),
                None => Said::Nothing,
            },
            Op::Cancel(task) => wrap(task, self.tasks.len()).map_or(Said::Nothing, |task| Said::Now(self.cancel(task))),
            Op::Retry(task) => wrap(task, self.tasks.len()).map_or(Said::Nothing, |task| Said::Now(self.retry(task))),
            Op::Approve(task) => self.judged(task, |task, now| {
                task.held = false;
                task.wait("approved", (task.run_at - now).max(0), now);
            }),
            Op::Reject(task) => self.judged(task, |task, now| {
                task.error = Some((REJECTED, task.attempt));
                task.end("rejected", "CANCELLED", now);
            }),
            Op::CancelAll => self.all(|world, task| {
                let before = world.tasks[task].timeline.len();
                let _ = world.cancel(task);
                world.tasks[task].timeline.len() > before
            }),
            Op::RetryAll => self.all(|world, task| world.retry(task).is_ok()),
            Op::Rescue => self.rescue(),
            Op::Promote => self.promote(),
            Op::Clock(millis) => {
                self.now += millis;
                Said::Nothing
            }
            Op::Crash => {
                self.remembered.clear();
                Said::Nothing
            }
            Op::Tidy => Said::Nothing,
        }
    }

    fn submit(&mut self, key: Option<u8>, body: u8, delay: i64, max_attempts: i64, priority: i64, held: bool) -> Said {
        if let Some((first, task)) = key.and_then(|key| self.keys.get(&key)) {
            return if *first == body { Said::Submitted { task: *task, replayed: true } } else { Said::KeyReused };
        }
        let task = self.tasks.len();
        key.and_then(|key| self.keys.insert(key, (body, task)));
        let run_at = self.now + delay;
        self.tasks.push(Task {
            status: "PENDING",
            attempt: 0,
            failures: 0,
            losses: 0,
            percent: 0,
            error: None,
            run_at,
            started_at: None,
            finished_at: None,
            cancel_requested_at: None,
            lease_until: None,
            timeline: vec![("queued", None, "PENDING", 0, self.now)],
            lines: 0,
            max_attempts,
            priority,
            ready: delay <= 0 && !held,
            held,
            lease: None,
            has_begun: false,
        });
        Said::Submitted { task, replayed: false }
    }

    fn claim(&mut self, n: i64, ahead: bool) -> Said {
        let mut ready: Vec<usize> = (0..self.tasks.len()).filter(|task| self.tasks[*task].ready).collect();
        // An id tells when its task was created, as the clock then said; then comes who was first.
        let created_at = |task: usize| self.tasks[task].timeline[0].4;
        ready.sort_by_key(|id| (-self.tasks[*id].priority, self.tasks[*id].run_at, created_at(*id), *id));
        ready.truncate(n as usize);
        for &id in &ready {
            let lease = self.leases.len();
            self.leases.push((id, self.tasks[id].attempt + 1));
            self.remembered.push(lease);
            let task = &mut self.tasks[id];
            (task.ready, task.lease, task.lease_until) = (false, Some(lease), Some(self.now + LEASE));
            task.has_begun = !ahead;
            (task.attempt, task.percent, task.started_at) = (task.attempt + 1, 0, Some(self.now));
            task.go("started", "RUNNING", self.now);
        }
        Said::Claimed(ready)
    }

    fn beat(&mut self, lease: usize, says: bool) -> Option<bool> {
        let now = self.now;
        let task = self.holder(lease)?;
        task.has_begun = true;
        if task.cancel_requested_at.is_none() {
            task.lease_until = task.lease_until.max(Some(now + LEASE));
        }
        if says {
            (task.percent, task.lines) = (50, task.lines + 1);
        }
        Some(task.cancel_requested_at.is_some())
    }

    fn report(&mut self, lease: usize, end: End) -> Said {
        self.reports.push((lease, end));
        let now = self.now;
        if self.holder(lease).is_none() {
            return Said::Written(self.said_before(lease, end));
        }
        let task = &mut self.tasks[self.leases[lease].0];
        let wait = match end {
            End::Success => {
                (task.error, task.percent) = (None, 100);
                return task.end("succeeded", "SUCCESS", now);
            }
            End::Cancelled => return task.end("cancelled", "CANCELLED", now),
            _ if task.cancel_requested_at.is_some() => return task.end("cancelled", "CANCELLED", now),
            End::Released => return task.wait("released", 0, now),
            End::RetryAfter(wait) => wait,
            End::Retryable | End::Fatal => (10_000 << task.failures).min(40_000),
        };
        task.failures += 1;
        task.error = Some((message(end), task.attempt));
        match end != End::Fatal && task.failures < task.max_attempts {
            true => task.wait("retrying", wait, now),
            false => task.end("failed", "FAILED", now),
        }
    }

    fn cancel(&mut self, task: usize) -> Result<&'static str, &'static str> {
        let now = self.now;
        let task = &mut self.tasks[task];
        match task.status {
            "PENDING" => drop(task.end("cancelled", "CANCELLED", now)),
            "RUNNING" if task.cancel_requested_at.is_none() => {
                task.cancel_requested_at = Some(now);
                task.go("cancel_requested", "RUNNING", now);
            }
            "RUNNING" | "CANCELLED" => {}
            status => return Err(status),
        }
        Ok(task.status)
    }

    fn retry(&mut self, task: usize) -> Result<&'static str, &'static str> {
        let now = self.now;
        let task = &mut self.tasks[task];
        if !["FAILED", "CANCELLED"].contains(&task.status) {
            return Err(task.status);
        }
        (task.failures, task.losses, task.percent, task.error) = (0, 0, 0, None);
        (task.finished_at, task.cancel_requested_at) = (None, None);
        let wait = if task.attempt == 0 { (task.run_at - now).max(0) } else { 0 };
        task.wait("retried", wait, now);
        Ok(task.status)
    }

    fn judged(&mut self, task: usize, judge: impl Fn(&mut Task, i64)) -> Said {
        let Some(task) = wrap(task, self.tasks.len()) else { return Said::Nothing };
        let (task, now) = (&mut self.tasks[task], self.now);
        if task.status != "PENDING" || !task.held {
            return Said::Now(Err(NOT_AWAITING));
        }
        judge(task, now);
        Said::Now(Ok(task.status))
    }

    fn all(&mut self, mut change: impl FnMut(&mut World, usize) -> bool) -> Said {
        let matched = self.tasks.len();
        Said::Bulk { matched, changed: (0..matched).filter(|task| change(self, *task)).count() }
    }

    fn rescue(&mut self) -> Said {
        let now = self.now;
        let lapsed = self.tasks.iter_mut().filter(|task| task.lease_until.is_some_and(|until| until <= now));
        let rescue = |task: &mut Task| {
            task.losses += i64::from(task.has_begun);
            if task.cancel_requested_at.is_some() {
                return drop(task.end("cancelled", "CANCELLED", now));
            }
            if task.losses >= MAX_LOSSES {
                task.error = Some((LOST, task.attempt));
                return drop(task.end("failed", "FAILED", now));
            }
            task.wait("rescued", 0, now);
        };
        Said::Took(lapsed.map(rescue).count())
    }

    fn promote(&mut self) -> Said {
        let now = self.now;
        let waiting = |task: &&mut Task| task.status == "PENDING" && !task.ready && !task.held;
        let due = self.tasks.iter_mut().filter(waiting).filter(|task| task.run_at <= now);
        let promoted = due.map(|task| task.ready = true).count();
        let next = self.tasks.iter_mut().filter(waiting).map(|task| task.run_at).min();
        Said::Promoted { promoted, next }
    }

    /// The status, if this very attempt has ended the task just so.
    fn said_before(&self, lease: usize, end: End) -> Option<&'static str> {
        let (task, attempt) = self.leases[lease];
        let task = &self.tasks[task];
        let so = match end {
            End::Success => task.status == "SUCCESS",
            End::Cancelled => task.status == "CANCELLED",
            End::Released => false,
            End::Fatal | End::Retryable | End::RetryAfter(_) => {
                task.status == "FAILED" && task.error == Some((message(end), attempt))
            }
        };
        (so && task.attempt == attempt).then_some(task.status)
    }

    fn holder(&mut self, lease: usize) -> Option<&mut Task> {
        Some(&mut self.tasks[self.leases[lease].0]).filter(|task| task.lease == Some(lease))
    }
}

impl Task {
    pub fn phase(&self, now: i64) -> &'static str {
        match self.status {
            "PENDING" if self.held => "awaiting_approval",
            "PENDING" if self.run_at > now && self.attempt == 0 => "scheduled",
            "PENDING" if self.run_at > now => "backing_off",
            "PENDING" => "ready",
            "RUNNING" if self.cancel_requested_at.is_some() => "cancelling",
            "RUNNING" => "running",
            "SUCCESS" => "success",
            "FAILED" => "failed",
            _ => "cancelled",
        }
    }

    fn go(&mut self, event: &'static str, to: &'static str, now: i64) {
        self.timeline.push((event, Some(self.status), to, self.attempt, now));
        self.status = to;
    }

    fn end(&mut self, event: &'static str, to: &'static str, now: i64) -> Said {
        (self.lease, self.lease_until, self.finished_at, self.ready) = (None, None, Some(now), false);
        self.go(event, to, now);
        Said::Written(Some(to))
    }

    fn wait(&mut self, event: &'static str, wait: i64, now: i64) -> Said {
        (self.lease, self.lease_until, self.run_at, self.ready) = (None, None, now + wait, wait <= 0 && !self.held);
        self.go(event, "PENDING", now);
        Said::Written(Some("PENDING"))
    }
}

/// What a failed attempt says.
pub fn message(end: End) -> &'static str {
    if matches!(end, End::RetryAfter(_)) { "later" } else { "it broke" }
}

/// The place a number names among `len`.
pub fn wrap(number: usize, len: usize) -> Option<usize> {
    (len > 0).then(|| number % len)
}
