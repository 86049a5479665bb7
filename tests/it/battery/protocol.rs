//! The protocol of leases as a model: workers, tasks, messages that come late, in any order and any
//! number of times, crashes, a node whose clock is fast, cancels, and a caller's retry. What the
//! store checks is here what `Row::is_held` and `World::deliver` check; with one check taken away at
//! a time the model must go wrong.
//!
//! A lease id never comes again, so all the model keeps of old ones is that there were some. Whatever a
//! worker or a janitor may have sent or may yet send under an old one can arrive at any time, from the
//! moment the lease is no longer current: so the worker itself can be left out from then on.

use stateright::{Model, Property};

const WORKERS: usize = 3;
const TASKS: usize = 2;
/// Ticks of a lease.
const LEASE: u8 = 2;
/// How far the clock of the first worker and of the janitor is ahead.
const FAST: u8 = 1;
const MAX_FAILURES: u8 = 2;
/// The product's is 3.
const MAX_LOSSES: u8 = 2;

/// How large, and which check is missing.
#[derive(Debug, Clone, Copy)]
pub struct Protocol {
    pub workers: usize,
    pub tasks: usize,
    /// Crashes and drains in all.
    pub crashes: u8,
    pub cancels: u8,
    pub retries: u8,
    pub without: Option<Check>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Check {
    /// A finish looks at neither lease nor status.
    LeaseOfFinish,
    /// A lease is its worker's, and not new at every claim.
    NewLease,
    /// A beat looks at the status only.
    LeaseOfBeat,
    /// A rescue does not look whether the lease has been extended meanwhile.
    Lapsed,
    /// Every write looks at the status only.
    AllButStatus,
    /// A requeue does not look whether a cancel was asked for meanwhile.
    Cancelling,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Status {
    Pending,
    Running,
    Success,
    Failed,
    Cancelled,
}

/// A task as the database has it, and the writes under way to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Row {
    status: Status,
    lease: u8,
    /// Ticks until the lease ends.
    left: u8,
    cancel: bool,
    failures: u8,
    losses: u8,
    mail: Mail,
}

/// Writes that were sent under the current lease, and the ids of old ones as a set of bits. Nothing
/// says when a write arrives, nor how often.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, PartialOrd, Ord)]
struct Mail {
    finish: Option<End>,
    /// The lease's new end, as ticks from now.
    beat: Option<u8>,
    rescue: Option<Rescue>,
    old: u8,
}

/// Decided by a janitor from what it saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Rescue {
    cancel: bool,
    /// Its clock's time then, as ticks from now.
    by: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum End {
    Success,
    Failure,
    Release,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Write {
    Finish,
    Beat,
    Rescue,
}

/// An attempt that runs, under the current lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Run {
    task: usize,
    has_beaten: bool,
}

/// What must never happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Fault {
    StaleWrite,
    SecondEnd,
    LiveLeaseTaken,
    CancelSwallowed,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct World {
    rows: [Row; TASKS],
    workers: [Option<Run>; WORKERS],
    crashes: u8,
    cancels: u8,
    retries: u8,
    fault: Option<Fault>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// A worker, and the task it gets.
    Claim(usize, usize),
    Finish(usize, End),
    Beat(usize),
    Crash(usize),
    /// A janitor looks at a task.
    Look(usize),
    /// A write under the current lease arrives, and stays under way: it may arrive again.
    Arrives(usize, Write),
    /// The same of a write under an old lease, with the lease's id.
    ArrivesLate(usize, Write, u8),
    Tick,
    Cancel(usize),
    Retry(usize),
}

impl Model for Protocol {
    type State = World;
    type Action = Step;

    fn init_states(&self) -> Vec<World> {
        let (lease, left, losses, mail) = Default::default();
        let row = |status, cancel, failures| Row { status, lease, left, cancel, failures, losses, mail };
        // A task that is not to be there stands behind all others.
        let mut rows = [row(Status::Cancelled, true, u8::MAX); TASKS];
        rows[..self.tasks].fill(row(Status::Pending, false, 0));
        let (crashes, cancels, retries) = (self.crashes, self.cancels, self.retries);
        vec![World { rows, workers: [None; WORKERS], crashes, cancels, retries, fault: None }]
    }

    fn actions(&self, world: &World, steps: &mut Vec<Step>) {
        if world.fault.is_some() {
            return;
        }
        for worker in 0..self.workers {
            match world.workers[worker] {
                None => steps.extend((0..self.tasks).map(|task| Step::Claim(worker, task))),
                Some(_) => {
                    steps.extend([Step::Finish(worker, End::Success), Step::Finish(worker, End::Failure)]);
                    steps.extend([Step::Finish(worker, End::Release), Step::Beat(worker), Step::Crash(worker)]);
                }
            }
        }
        for task in 0..self.tasks {
            steps.extend([Step::Look(task), Step::Cancel(task), Step::Retry(task)]);
            for write in [Write::Finish, Write::Beat, Write::Rescue] {
                steps.push(Step::Arrives(task, write));
                let late = (0..=WORKERS as u8).filter(|id| world.rows[task].mail.old & (1 << id) != 0);
                steps.extend(late.map(|id| Step::ArrivesLate(task, write, id)));
            }
        }
        steps.push(Step::Tick);
    }

    fn next_state(&self, before: &World, step: Step) -> Option<World> {
        let mut world = before.clone();
        let old_ids = self.without == Some(Check::NewLease);
        match step {
            Step::Claim(worker, task) => world.claim(worker, task, old_ids),
            Step::Finish(worker, end) => world.finish(worker, end)?,
            Step::Beat(worker) => world.beat(worker)?,
            Step::Crash(worker) => {
                world.crashes = world.crashes.checked_sub(1)?;
                world.workers[worker] = None;
            }
            Step::Look(task) => world.look(task),
            Step::Arrives(task, write) => world.fault = world.rows[task].arrives(write, self.without),
            Step::ArrivesLate(task, write, id) => world.fault = world.rows[task].arrives_late(write, id, self.without),
            Step::Tick => world.rows.iter_mut().for_each(Row::tick),
            Step::Cancel(task) => world.cancel(task)?,
            Step::Retry(task) => world.retry(task)?,
        }
        world.settle(old_ids);
        (world != *before).then_some(world)
    }

    fn properties(&self) -> Vec<Property<Protocol>> {
        let never = Property::<Protocol>::always;
        let met = Property::<Protocol>::sometimes;
        vec![
            never(NO_STALE_WRITE, |_, world| world.fault != Some(Fault::StaleWrite)),
            never(ONE_END, |_, world| world.fault != Some(Fault::SecondEnd)),
            never(NO_LIVE_LEASE_TAKEN, |_, world| world.fault != Some(Fault::LiveLeaseTaken)),
            never(NO_CANCEL_SWALLOWED, |_, world| world.fault != Some(Fault::CancelSwallowed)),
            // Every step uses something up (an attempt, a beat, a tick of a lease, a crash) or changes
            // nothing, so each history ends; where it ends, all must be done.
            never("when nothing more can happen every task has ended", |model, world| {
                let busy = world.workers.iter().any(Option::is_some);
                let ended = || world.rows.iter().all(|row| row.status > Status::Running);
                busy || ended() || !model.next_states(world).is_empty()
            }),
            met("a late write meets the next attempt", |_, world| {
                world.rows.iter().any(|row| row.status == Status::Running && row.mail.old != 0)
            }),
            met("a beat comes between a janitor's look and its write", |_, world| {
                world.rows.iter().any(|row| row.mail.rescue.is_some_and(|rescue| row.left > rescue.by))
            }),
            met("a cancel comes between a failure and its write", |_, world| {
                world.rows.iter().any(|row| row.mail.finish == Some(End::Failure) && row.cancel)
            }),
            met("a task fails because its workers were lost", |_, world| {
                world.rows.iter().any(|row| row.status == Status::Failed && row.losses == MAX_LOSSES)
            }),
            met("a task succeeds at its last chance", |_, world| {
                world.rows.iter().any(|row| row.status == Status::Success && row.failures == 1 && row.losses == 1)
            }),
        ]
    }
}

pub const NO_STALE_WRITE: &str = "no write under a lease that is not current is accepted";
pub const ONE_END: &str = "a task ends once in a life, and what was told stays";
pub const NO_LIVE_LEASE_TAKEN: &str = "no live lease is taken";
pub const NO_CANCEL_SWALLOWED: &str = "no requeue swallows a cancel";

impl World {
    fn claim(&mut self, worker: usize, task: usize, old_ids: bool) {
        let row = &mut self.rows[task];
        if row.status == Status::Pending {
            row.lease = if old_ids { worker as u8 + 1 } else { 1 };
            (row.status, row.left) = (Status::Running, LEASE + ahead(worker));
            self.workers[worker] = Some(Run { task, has_beaten: false });
        }
    }

    fn finish(&mut self, worker: usize, end: End) -> Option<()> {
        let run = self.workers[worker].take()?;
        if end == End::Release {
            self.crashes = self.crashes.checked_sub(1)?;
        }
        self.rows[run.task].mail.finish = Some(end);
        Some(())
    }

    fn beat(&mut self, worker: usize) -> Option<()> {
        let run = self.workers[worker].as_mut().filter(|run| !run.has_beaten)?;
        run.has_beaten = true;
        self.rows[run.task].mail.beat = Some(LEASE + ahead(worker));
        Some(())
    }

    fn look(&mut self, task: usize) {
        let row = &mut self.rows[task];
        if row.status == Status::Running && row.left <= FAST {
            row.mail.rescue = Some(Rescue { cancel: row.cancel, by: FAST });
        }
    }

    fn cancel(&mut self, task: usize) -> Option<()> {
        self.cancels = self.cancels.checked_sub(1)?;
        let row = &mut self.rows[task];
        match row.status {
            Status::Pending => row.status = Status::Cancelled,
            Status::Running if !row.cancel => row.cancel = true,
            _ => return None,
        }
        Some(())
    }

    fn retry(&mut self, task: usize) -> Option<()> {
        self.retries = self.retries.checked_sub(1)?;
        let row = &mut self.rows[task];
        let may = matches!(row.status, Status::Failed | Status::Cancelled);
        may.then(|| (row.status, row.cancel, row.failures, row.losses) = (Status::Pending, false, 0, 0))
    }

    /// Brings a world into the one form it has: what belongs to an old lease is left out but for the
    /// lease; workers with the same clock are alike, and so are tasks.
    fn settle(&mut self, old_ids: bool) {
        for row in self.rows.iter_mut().filter(|row| row.status != Status::Running && row.lease != 0) {
            let id = if old_ids { row.lease } else { 0 };
            row.mail = Mail { old: row.mail.old | 1 << id, ..Mail::default() };
            (row.lease, row.left) = (0, 0);
        }
        for row in &mut self.rows {
            row.mail.beat = row.mail.beat.filter(|until| *until > row.left && !row.cancel);
        }
        let rows = &self.rows;
        for worker in &mut self.workers {
            *worker = worker.filter(|run| rows[run.task].status == Status::Running);
        }
        if self.rows[0] > self.rows[1] {
            self.rows.swap(0, 1);
            self.workers.iter_mut().flatten().for_each(|run| run.task = 1 - run.task);
        }
        if !old_ids {
            self.workers[1..].sort_unstable();
        }
    }
}

impl Row {
    /// What the `WHERE` of a write checks.
    fn is_held(&self, lease: u8, status_only: bool) -> bool {
        self.status == Status::Running && (status_only || self.lease == lease)
    }

    fn arrives(&mut self, write: Write, without: Option<Check>) -> Option<Fault> {
        match write {
            Write::Finish => self.end_attempt(self.mail.finish?, without == Some(Check::Cancelling)),
            Write::Beat => {
                self.left = if self.cancel { self.left } else { self.left.max(self.mail.beat?) };
                None
            }
            Write::Rescue => {
                let Rescue { cancel, by } = self.mail.rescue?;
                let lapsed = self.left <= by || matches!(without, Some(Check::Lapsed | Check::AllButStatus));
                let as_seen = self.cancel == cancel || without == Some(Check::Cancelling);
                let live = (self.left > FAST).then_some(Fault::LiveLeaseTaken);
                if lapsed && as_seen { self.lose(cancel).or(live) } else { None }
            }
        }
    }

    /// A write under an old lease; whatever it wanted, it is a fault to accept it.
    fn arrives_late(&mut self, write: Write, id: u8, without: Option<Check>) -> Option<Fault> {
        let status_only = without == Some(Check::AllButStatus);
        let accepted = match write {
            Write::Finish => without == Some(Check::LeaseOfFinish) || self.is_held(id, status_only),
            Write::Beat => self.is_held(id, status_only || without == Some(Check::LeaseOfBeat)),
            Write::Rescue => self.is_held(id, status_only) && self.left == 0,
        };
        let has_ended = write == Write::Finish && self.status > Status::Running;
        accepted.then_some(if has_ended { Fault::SecondEnd } else { Fault::StaleWrite })
    }

    fn end_attempt(&mut self, end: End, swallows: bool) -> Option<Fault> {
        match end {
            End::Success => self.status = Status::Success,
            _ if self.cancel && !swallows => self.status = Status::Cancelled,
            End::Release => return self.requeue(),
            End::Failure => {
                self.failures += 1;
                match self.failures < MAX_FAILURES {
                    true => return self.requeue(),
                    false => self.status = Status::Failed,
                }
            }
        }
        None
    }

    fn lose(&mut self, cancel: bool) -> Option<Fault> {
        self.losses += 1;
        match () {
            () if cancel => self.status = Status::Cancelled,
            () if self.losses >= MAX_LOSSES => self.status = Status::Failed,
            () => return self.requeue(),
        }
        None
    }

    fn requeue(&mut self) -> Option<Fault> {
        self.status = Status::Pending;
        std::mem::take(&mut self.cancel).then_some(Fault::CancelSwallowed)
    }

    fn tick(&mut self) {
        self.left = self.left.saturating_sub(1);
        self.mail.beat = self.mail.beat.map(|until| until.saturating_sub(1));
        self.mail.rescue = self.mail.rescue.map(|rescue| Rescue { by: rescue.by.saturating_sub(1), ..rescue });
    }
}

fn ahead(worker: usize) -> u8 {
    if worker == 0 { FAST } else { 0 }
}
