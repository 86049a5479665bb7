//! One attempt, from claim to report.

use super::place::Place;
use super::running::{Attempt, Running, Stop, beat_of};
use super::saves::UnderLease;
use crate::clock::Seldom;
use crate::fault;
use crate::queue::{Error, Queue, Reported};
use crate::store;
use crate::task::{Outcome, Task, text};
use crate::types::{Context, Failure, Given};
use futures_util::FutureExt;
use serde_json::value::RawValue;
use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::time::{sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// A handler that was told to stop gets this long; then its future is dropped.
const GRACE: Duration = Duration::from_secs(2);
/// The same at the end of a drain, which has little time left to write releases down.
const DRAIN_GRACE: Duration = Duration::from_millis(500);
/// An attempt whose lease could not be extended stops so long before the lease ends: 5 s, and a fifth
/// of a short lease.
const MARGIN: Duration = Duration::from_secs(5);
/// A report that the database did not take is tried again after this long at most, more or less a half.
const REPORT_AGAIN: Duration = Duration::from_secs(1);
/// A longer result is refused.
const MAX_RESULT_BYTES: usize = 1024 * 1024;
/// A longer error message is cut.
const MAX_MESSAGE_BYTES: usize = 8 * 1024;

/// A node that was cut off loses all its leases at once.
static LOST: Seldom = Seldom::new();

/// Runs a task that was claimed at this instant and reports how it ended. Never panics; a handler's
/// panic is a failure of the attempt. If the database is away at the end, the report is tried until
/// the database answers it.
pub async fn attempt(
    queue: Queue,
    running: Arc<Running>,
    task: Task,
    claimed: Instant,
    lease_time: Duration,
    place: Place,
) {
    let Some(lease) = task.lease else { return };
    let asked = tokio::try_join!(
        queue.inputs(&task),
        queue.checkpoints(std::slice::from_ref(&task)),
        queue.begin(&task, lease_time.as_millis() as i64)
    );
    let (inputs, checkpoints) = match asked {
        Ok((.., false)) => return,
        Ok((inputs, checkpoints, true)) => (inputs, checkpoints),
        Err(error) => {
            error.tell("what a task needs to begin could not be read or written; giving it back");
            return release(&queue, &task).await;
        }
    };
    fault::point("attempt_begun").await;
    let stop = CancellationToken::new();
    let (id, number) = (task.id, task.attempt);
    let saves = UnderLease { queue: queue.clone(), running: running.clone(), task: id, attempt: number, lease };
    let (saves, files, clock) = (Arc::new(saves), queue.file_store().clone(), queue.clock().clone());
    let entry = queue.types().get(&task.r#type).zip(task.params.as_deref());
    let secrets = entry.map(|(entry, params)| entry.secrets(params)).unwrap_or_default();
    let given = Given { inputs, checkpoints, saves, files, clock, stop: stop.clone(), secrets };
    let attempt = Arc::new(Attempt::new(Context::new(task.summary(), lease, given), stop, claimed));
    let _place = running.add(lease, attempt.clone());

    let ended = handle(&queue, &task, &attempt, lease_time).await;
    let _room = place.leave().await;
    fault::point("handler_ended").await;
    if let Some(outcome) = outcome(&attempt, ended) {
        // The last words first, under the same lease.
        if let Some(beat) = beat_of(lease, &attempt, Duration::MAX)
            && let Err(error) = queue.beat(&[beat], lease_time.as_millis() as i64).await
        {
            error.tell("the last progress and log lines of an attempt could not be written");
        }
        fault::point("last_words_written").await;
        let claimed = Task { progress: attempt.ctx.last_progress(), ..task.summary() };
        attempt.end();
        let written = report(&queue, &claimed, lease, &outcome).await;
        fault::point("report_written").await;
        tidy(&queue, &attempt, lease, &outcome, written).await;
    } else {
        tidy(&queue, &attempt, lease, &Outcome::Released, false).await;
    }
}

/// Gives a claimed task back untouched.
pub async fn release(queue: &Queue, task: &Task) {
    if let Some(lease) = task.lease {
        report(queue, &task.summary(), lease, &Outcome::Released).await;
    }
}

/// How the handler ended: its answer, a panic's message, or `None` if it did not stop when told to.
type Ended = Option<Result<Result<Box<RawValue>, Failure>, String>>;

async fn handle(queue: &Queue, task: &Task, attempt: &Attempt, lease_time: Duration) -> Ended {
    let Some((entry, params)) = queue.types().get(&task.r#type).zip(task.params.as_deref()) else {
        return Some(Ok(Err(Failure::retry("unknown_task_type", "this worker does not know the type"))));
    };
    let handler = attempt.ctx.secrets().during(AssertUnwindSafe(entry.r#type.run(params, &attempt.ctx)).catch_unwind());
    tokio::pin!(handler);
    let time_limit = async {
        match task.timeout_seconds {
            Some(seconds) => sleep(Duration::from_secs(seconds as u64)).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        ended = &mut handler => return Some(ended.map_err(panic_message)),
        () = attempt.token.cancelled() => {}
        () = time_limit => drop(attempt.stop(Stop::Timeout)),
        () = lease_ends(attempt, lease_time) => {
            tracing::debug!(task = %task.id, "its lease could not be extended: it stops");
            attempt.stop(Stop::Unsure);
        }
    }
    let grace = match attempt.stopped() {
        Some(Stop::Drain) => DRAIN_GRACE,
        Some(Stop::Unsure) => GRACE.min(margin(lease_time) / 2),
        _ => GRACE,
    };
    tokio::select! {
        ended = &mut handler => Some(ended.map_err(panic_message)),
        () = sleep(grace) => None,
    }
}

/// Waits until the lease is about to end because no beat has extended it. By the monotonic clock:
/// the database, which could say, is silent.
async fn lease_ends(attempt: &Attempt, lease_time: Duration) {
    let certain = lease_time - margin(lease_time);
    loop {
        let ends = attempt.last_beat() + certain;
        if ends <= Instant::now() {
            return;
        }
        sleep_until(ends.into()).await;
    }
}

fn margin(lease_time: Duration) -> Duration {
    MARGIN.min(lease_time / 5)
}

/// What to report; `None` if the lease is lost and nothing may be written.
fn outcome(attempt: &Attempt, ended: Ended) -> Option<Outcome> {
    let secrets = attempt.ctx.secrets();
    let failure = |code: &str, message: &str, retryable| Outcome::Failure {
        code: text::clip(&secrets.mask(code), 100),
        message: text::clip(&secrets.mask(message), MAX_MESSAGE_BYTES),
        retryable,
        retry_after_ms: None,
    };
    let stopped = || match attempt.stopped() {
        Some(Stop::Cancel) => Some(Outcome::Cancelled),
        Some(Stop::Timeout) => Some(failure("timeout", "it ran longer than its timeout_seconds", true)),
        // Released under the old lease: written if the task is still ours, and then at no cost.
        Some(Stop::Drain | Stop::Unsure) => Some(Outcome::Released),
        Some(Stop::Lost) => None,
        None => Some(failure("stopped", "it stopped without being told to", true)),
    };
    if attempt.stopped() == Some(Stop::Lost) {
        return None;
    }
    match ended {
        None | Some(Ok(Err(Failure::Stopped))) => stopped(),
        Some(Err(message)) => Some(failure("panic", &format!("the handler panicked: {message}"), true)),
        Some(Ok(Err(Failure::Retry { code, message }))) => Some(failure(&code, &message, true)),
        Some(Ok(Err(Failure::Fatal { code, message }))) => Some(failure(&code, &message, false)),
        Some(Ok(Ok(result))) if result.get().len() > MAX_RESULT_BYTES => {
            Some(failure("result_too_large", "its result is larger than 1 MiB", false))
        }
        Some(Ok(Ok(result))) => Some(Outcome::Success(secrets.mask_json(result), attempt.ctx.outputs())),
    }
}

/// Reports, again and again while the database is away. However long that was: the report is written
/// if nobody has taken the task meanwhile, and refused otherwise. `false`: it is not known to be written.
async fn report(queue: &Queue, task: &Task, lease: Uuid, outcome: &Outcome) -> bool {
    let mut wait = REPORT_AGAIN / 8;
    loop {
        match queue.report(task, lease, outcome).await {
            Ok(Reported::Written(_)) => return true,
            Ok(Reported::Lost) => {
                if let Some(held_back) = LOST.turn() {
                    tracing::warn!(task = %task.id, held_back, "its lease was lost: its outcome is not kept");
                }
                return false;
            }
            Err(error @ Error::Store(store::Error::Unavailable(_) | store::Error::Full(_))) => {
                error.tell("an outcome could not be written; it is tried again");
                sleep(wait.mul_f64(0.5 + rand::random::<f64>())).await;
                wait = (wait * 2).min(REPORT_AGAIN);
            }
            Err(error) => {
                tracing::error!(task = %task.id, %error, "its outcome could not be written; it will run again");
                return false;
            }
        }
    }
}

/// Deletes the files that nobody will ask for. After a success whose answer never came, none: it may
/// have been written, and names them.
async fn tidy(queue: &Queue, attempt: &Attempt, lease: Uuid, outcome: &Outcome, written: bool) {
    let cleared = match outcome {
        Outcome::Success(_, artifacts) if written && attempt.ctx.may_leave_files() => {
            queue.clear_success(attempt.task, artifacts).await
        }
        Outcome::Success(..) => return,
        _ if attempt.ctx.began_files() => queue.clear_attempt(attempt.task, lease).await,
        _ => return,
    };
    if let Err(error) = cleared {
        tracing::warn!(task = %attempt.task, %error, "files that nobody needs could not be deleted");
    }
}

fn panic_message(panic: Box<dyn Any + Send>) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_owned())
}
