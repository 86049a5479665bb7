//! Every decision about a task, as pure functions from the task as read to the change to write.
//!
//! A [`Change`] names what it expects (status, and lease or version); the store writes it by
//! compare, so a decision made from a row that has moved on changes nothing.

use super::{Event, MAX_ATTEMPTS_THAT_GO_ON, MAX_LOSSES, Progress, Status, Task, TaskError, Time};
use serde_json::value::RawValue;
use uuid::Uuid;

/// One transition to be written: what it expects of the row, and the row afterwards.
#[derive(Debug, Clone)]
pub struct Change {
    /// The task as it was when this was decided, without params and result. Its status is what the
    /// row must have.
    pub task: Box<Task>,
    /// What happens.
    pub event: Event,
    /// The status it gets: always `task.status.after(event)`.
    pub to: Status,
    /// The lease the row must hold; `None` where the writer holds none.
    pub lease: Option<Uuid>,
    /// The version the row must have; `None` where the lease is the guard.
    pub version: Option<i64>,
    /// The lease must have ended by this instant (rescue only).
    pub lapsed_by: Option<Time>,
    /// Write only if nobody asked for a cancel: a requeue must not swallow one.
    pub unless_cancelling: bool,
    /// When it happens.
    pub at: Time,
    /// Who did it, where a caller did: a client id.
    pub by: Option<String>,
    /// The row's `error` afterwards.
    pub error: Option<TaskError>,
    /// The row's `result` afterwards.
    pub result: Option<Box<RawValue>>,
    /// The row's progress afterwards; `None` keeps what is there.
    pub progress: Option<Progress>,
    /// The row's `run_at` afterwards.
    pub run_at: Time,
    /// Whether the task waits for an approval afterwards, or would as soon as it is set going again.
    pub held: bool,
    /// The row's count of failures afterwards.
    pub failures: i64,
    /// The row's count of lost workers afterwards.
    pub losses: i64,
    /// Output files that become visible with this change (success only).
    pub artifacts: Vec<Artifact>,
}

/// One output file.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Artifact {
    /// Its name within the task: letters, digits, `.`, `-`, `_`; at most 100 characters.
    pub name: String,
    /// Its size.
    pub bytes: i64,
    /// Its media type.
    pub content_type: String,
    /// SHA-256 of its content, in lower-case hex.
    pub sha256: String,
    /// Where the file store keeps it.
    pub location: String,
}

/// The task does not wait for an approval.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoneAwaited;

/// How one attempt ended, in its worker's words.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// It worked: the result and the files it made.
    Success(Box<RawValue>, Vec<Artifact>),
    /// It did not.
    Failure {
        /// A stable word.
        code: String,
        /// A sentence.
        message: String,
        /// Whether another attempt could mend it.
        retryable: bool,
        /// How long to wait before it, instead of the backoff.
        retry_after_ms: Option<i64>,
    },
    /// It stopped because a cancel was asked for.
    Cancelled,
    /// Its worker gives it back untouched (a drain).
    Released,
}

impl Change {
    /// The task right after, without params and result. The row has the last word on what others
    /// may have written meanwhile: its version, a cancel request, its progress.
    pub fn after(&self, version: i64, cancel_requested_at: Option<Time>, progress: Progress) -> Task {
        let running = self.to == Status::Running;
        Task {
            status: self.to,
            error: self.error.clone(),
            progress,
            failures: self.failures,
            losses: self.losses,
            lease: self.task.lease.filter(|_| running),
            lease_until: self.task.lease_until.filter(|_| running),
            run_at: self.run_at,
            held: self.held,
            finished_at: self.to.is_finished().then_some(self.at),
            updated_at: self.at,
            cancel_requested_at,
            version,
            ahead: self.task.ahead && running,
            ..(*self.task).clone()
        }
    }

    /// Whether the task may be claimed right after.
    pub fn makes_ready(&self) -> bool {
        self.to == Status::Pending && !self.held && self.run_at <= self.at
    }
}

impl Task {
    /// A cancel by `by`: `Ok(None)` where it has been asked for or has happened already,
    /// `Err` with the status that does not allow it.
    pub fn cancel(&self, now: Time, by: &str) -> Result<Option<Change>, Status> {
        let event = match self.status {
            Status::Pending => Event::Cancelled,
            Status::Running if self.cancel_requested_at.is_some() => return Ok(None),
            Status::Running => Event::CancelRequested,
            Status::Cancelled => return Ok(None),
            status @ (Status::Success | Status::Failed) => return Err(status),
        };
        Ok(Some(Change { by: Some(by.to_owned()), ..self.seen(event, now)? }))
    }

    /// A retry by `by`: the same task, with its full `max_attempts` before it again, due now or
    /// when it was submitted for, if that still lies ahead. `Err` with the status that does not allow it.
    pub fn retry(&self, now: Time, by: &str) -> Result<Change, Status> {
        Ok(Change {
            by: Some(by.to_owned()),
            error: None,
            result: None,
            progress: Some(Progress::default()),
            run_at: self.scheduled(now).unwrap_or(now),
            failures: 0,
            losses: 0,
            ..self.seen(Event::Retried, now)?
        })
    }

    /// An approval by `by`: it may run at `run_at`, or when it was submitted for; an instant in the past is now.
    /// `Err` where it waits for none.
    pub fn approve(&self, now: Time, by: &str, run_at: Option<Time>) -> Result<Change, NoneAwaited> {
        let run_at = run_at.unwrap_or(self.run_at).max(now);
        Ok(Change { held: false, run_at, ..self.judged(Event::Approved, now, by)? })
    }

    /// A rejection by `by`: the task ends, and a retry of it waits for an approval again. `Err` where it waits for none.
    pub fn reject(&self, now: Time, by: &str, reason: &str) -> Result<Change, NoneAwaited> {
        let message = if reason.is_empty() { "nobody said why" } else { reason }.to_owned();
        let error = Some(TaskError { code: "rejected".to_owned(), message, attempt: self.attempt });
        Ok(Change { error, ..self.judged(Event::Rejected, now, by)? })
    }

    fn judged(&self, event: Event, now: Time, by: &str) -> Result<Change, NoneAwaited> {
        let seen = self.awaits_approval().then(|| self.seen(event, now).ok()).flatten();
        Ok(Change { by: Some(by.to_owned()), ..seen.ok_or(NoneAwaited)? })
    }

    /// What becomes of the task when the attempt under `lease` ends. `draw` (0..1) is the jitter's
    /// random number. A failure after a cancel request is a cancel; a success stays one.
    pub fn report(&self, lease: Uuid, outcome: Outcome, now: Time, draw: f64) -> Change {
        let written = |event| Change { lease: Some(lease), version: None, ..self.change(event, now) };
        match outcome {
            Outcome::Success(result, artifacts) => Change {
                result: Some(result),
                artifacts,
                error: None,
                progress: Some(self.progress.finished()),
                ..written(Event::Succeeded)
            },
            Outcome::Cancelled => written(Event::Cancelled),
            _ if self.cancel_requested_at.is_some() => written(Event::Cancelled),
            Outcome::Released => Change { unless_cancelling: true, run_at: now, ..written(Event::Released) },
            Outcome::Failure { code, message, retryable, retry_after_ms } => {
                let failures = self.failures + 1;
                let error = Some(TaskError { code, message, attempt: self.attempt });
                let again = retryable && failures < self.max_attempts;
                let wait = retry_after_ms.unwrap_or_else(|| self.backoff.delay_ms(failures, draw));
                Change {
                    error,
                    failures,
                    unless_cancelling: true,
                    run_at: if again { now.plus(wait) } else { self.run_at },
                    ..written(if again { Event::Retrying } else { Event::Failed })
                }
            }
        }
    }

    /// Whether the task stands as this outcome of this attempt ended it. Attempts only grow and end
    /// once, so then it was that very attempt. Only an end for good can be told for sure.
    pub fn ended_as(&self, attempt: i64, outcome: &Outcome) -> bool {
        self.attempt == attempt
            && match outcome {
                Outcome::Success(..) => self.status == Status::Success,
                Outcome::Failure { code, message, .. } => {
                    let same = |error: &TaskError| (&error.code, &error.message) == (code, message);
                    self.status == Status::Failed && self.error.as_ref().is_some_and(same)
                }
                Outcome::Cancelled => self.status == Status::Cancelled,
                Outcome::Released => false,
            }
    }

    /// What becomes of a task whose lease ran out: cancelled if that was asked for, failed after
    /// [`MAX_LOSSES`] in a row, waiting again otherwise. What is not known to have begun did not do it; an attempt
    /// that `went_on` with the work is no more of the same, and begins a row of its own.
    pub fn rescue(&self, now: Time, went_on: bool) -> Change {
        let before = if went_on && self.attempt < MAX_ATTEMPTS_THAT_GO_ON { 0 } else { self.losses };
        let losses = before + i64::from(!self.ahead);
        let event = match () {
            _ if self.cancel_requested_at.is_some() => Event::Cancelled,
            _ if losses >= MAX_LOSSES => Event::Failed,
            _ => Event::Rescued,
        };
        let message = format!("the worker was lost {losses} times while running this task");
        let error = TaskError { code: "worker_lost".to_owned(), message, attempt: self.attempt };
        Change {
            lease: self.lease,
            lapsed_by: Some(now),
            unless_cancelling: self.cancel_requested_at.is_none(),
            losses,
            run_at: if event == Event::Rescued { now } else { self.run_at },
            error: if event == Event::Failed { Some(error) } else { self.error.clone() },
            ..self.change(event, now)
        }
    }

    /// Whether its worker has to say that it begins, and wait until that is written: it was claimed
    /// ahead, and an attempt before this one ended in no failure. Perhaps it took its worker down.
    pub fn is_suspect(&self) -> bool {
        self.ahead && self.attempt > self.failures + 1
    }

    /// A change of the task exactly as read: its version is the guard.
    fn seen(&self, event: Event, now: Time) -> Result<Change, Status> {
        self.status.after(event).ok_or(self.status)?;
        Ok(Change { version: Some(self.version), ..self.change(event, now) })
    }

    fn change(&self, event: Event, at: Time) -> Change {
        Change {
            task: Box::new(self.summary()),
            event,
            to: self.status.after(event).expect("callers ask the table first"),
            lease: None,
            version: None,
            lapsed_by: None,
            unless_cancelling: false,
            at,
            by: None,
            error: self.error.clone(),
            result: None,
            progress: None,
            run_at: self.run_at,
            held: self.held,
            failures: self.failures,
            losses: self.losses,
            artifacts: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::Draft;

    const NOW: Time = Time(1_000_000);

    fn running(max_attempts: i64) -> Task {
        let params = RawValue::from_string("{}".to_owned()).unwrap();
        let mut draft = Draft::new("noop", params, "default", "client");
        draft.max_attempts = max_attempts;
        let mut task = draft.into_task(Uuid::nil(), NOW);
        task.status = Status::Running;
        task.attempt = 1;
        task.lease = Some(Uuid::nil());
        task
    }

    fn failure(retryable: bool) -> Outcome {
        let (code, message) = ("broken".to_owned(), "it broke".to_owned());
        Outcome::Failure { code, message, retryable, retry_after_ms: None }
    }

    #[test]
    fn a_failure_with_attempts_left_waits_for_the_next_one() {
        let change = running(2).report(Uuid::nil(), failure(true), NOW, 1.0);
        assert_eq!((change.event, change.to), (Event::Retrying, Status::Pending));
        assert_eq!(change.run_at, NOW.plus(1000));
    }

    #[test]
    fn the_last_failure_and_a_fatal_one_end_the_task() {
        for (max_attempts, retryable) in [(1, true), (5, false)] {
            let change = running(max_attempts).report(Uuid::nil(), failure(retryable), NOW, 1.0);
            assert_eq!((change.event, change.to), (Event::Failed, Status::Failed));
        }
    }

    #[test]
    fn a_failure_after_a_cancel_request_is_a_cancel_and_a_success_stays_one() {
        let mut task = running(3);
        task.cancel_requested_at = Some(NOW);
        assert_eq!(task.report(Uuid::nil(), failure(true), NOW, 1.0).event, Event::Cancelled);
        let result = RawValue::from_string("{}".to_owned()).unwrap();
        let success = Outcome::Success(result, Vec::new());
        assert_eq!(task.report(Uuid::nil(), success, NOW, 1.0).event, Event::Succeeded);
    }

    #[test]
    fn the_third_loss_is_the_last() {
        let mut task = running(1);
        assert_eq!(task.rescue(NOW, false).event, Event::Rescued);
        task.losses = 2;
        let change = task.rescue(NOW, false);
        assert_eq!(change.event, Event::Failed);
        assert_eq!(change.error.unwrap().code, "worker_lost");
    }

    #[test]
    fn a_loss_after_work_that_was_saved_is_the_first_of_a_row_and_of_a_thousandth_attempt_none() {
        let mut task = running(1);
        task.losses = 2;
        let change = task.rescue(NOW, true);
        assert_eq!((change.event, change.losses), (Event::Rescued, 1));
        task.attempt = MAX_ATTEMPTS_THAT_GO_ON;
        assert_eq!(task.rescue(NOW, true).event, Event::Failed);
    }

    #[test]
    fn a_task_that_is_not_to_run_again_keeps_the_time_it_was_due() {
        let mut task = running(1);
        assert_eq!(task.rescue(NOW.plus(1), false).run_at, NOW.plus(1));
        task.cancel_requested_at = Some(NOW);
        assert_eq!(task.rescue(NOW.plus(1), false).run_at, NOW);
        (task.cancel_requested_at, task.losses) = (None, 2);
        assert_eq!(task.rescue(NOW.plus(1), false).run_at, NOW);
    }

    #[test]
    fn a_retry_by_a_caller_gives_the_full_number_of_attempts_again() {
        let mut task = running(2);
        task.status = Status::Failed;
        task.failures = 2;
        let change = task.retry(NOW, "client").unwrap();
        assert_eq!((change.failures, change.losses, change.to), (0, 0, Status::Pending));
    }

    #[test]
    fn a_retry_keeps_the_time_it_was_submitted_for_but_waits_for_no_backoff() {
        let later = NOW.plus(60_000);
        let mut task = running(2);
        (task.status, task.run_at) = (Status::Cancelled, later);
        assert_eq!(task.retry(NOW, "client").unwrap().run_at, NOW);
        task.attempt = 0;
        assert_eq!(task.retry(NOW, "client").unwrap().run_at, later);
        assert_eq!(task.retry(later.plus(1), "client").unwrap().run_at, later.plus(1));
    }
}
