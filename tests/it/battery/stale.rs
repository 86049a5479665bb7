//! A worker that lost its lease writes nothing: by no way to write, however it lost the lease, and
//! with the next attempt `RUNNING`, so that no guard of the status hides the one of the lease.

use crate::promises::{beat, failure, line_query, report, success, try_report};
use crate::support::bed::{Bed, noop, raw};
use crate::support::on_both_databases;
use crate::support::raw::Raw;
use errand::queue::{Kept, Reported};
use errand::store::{Beat, Save, Saved};
use errand::task::{Artifact, Change, Draft, Outcome, Progress, Scope, Status, Task};
use errand::types::{Level, LogLine};

on_both_databases![
    no_report_of_a_worker_that_lost_its_lease_is_written,
    no_beat_of_a_worker_that_lost_its_lease_is_written,
    no_checkpoint_of_a_worker_that_lost_its_lease_is_written,
    the_store_itself_refuses_a_change_under_an_old_lease,
    the_store_itself_refuses_a_beat_under_an_old_lease,
    the_store_itself_refuses_what_others_decided_before_the_task_moved_on,
];

async fn no_report_of_a_worker_that_lost_its_lease_is_written(bed: Bed) {
    let mut raw = Raw::open(&bed.url).await;
    for loss in LOSSES {
        for outcome in outcomes() {
            let (stale, successor) = lose(&bed, loss).await;
            let before = raw.everything().await;
            let said = try_report(&bed, &stale, outcome.clone()).await;
            assert!(matches!(said, Reported::Lost), "{loss:?}, {outcome:?}: {said:?}");
            assert_eq!(raw.everything().await, before, "{loss:?}, {outcome:?}");
            report(&bed, &successor, success()).await;
        }
    }
}

async fn no_beat_of_a_worker_that_lost_its_lease_is_written(bed: Bed) {
    let mut raw = Raw::open(&bed.url).await;
    for loss in LOSSES {
        let (stale, successor) = lose(&bed, loss).await;
        for late in beats(&bed, &stale) {
            let before = raw.everything().await;
            let held = bed.queue.beat(std::slice::from_ref(&late), 30_000).await.unwrap();
            assert!(held.is_empty(), "{loss:?}, {late:?}");
            assert_eq!(raw.everything().await, before, "{loss:?}, {late:?}");
        }
        assert!(bed.queue.held(&[(stale.id, stale.lease.unwrap())]).await.unwrap().is_empty(), "{loss:?}");
        // In one write with a beat that is current: neither is taken for the other.
        let both = [beats(&bed, &stale).remove(3), beat(&successor)];
        let held = bed.queue.beat(&both, 30_000).await.unwrap();
        assert_eq!(held.iter().map(|held| Some(held.lease)).collect::<Vec<_>>(), [successor.lease], "{loss:?}");
        assert_eq!(bed.get(stale.id).await.progress, Progress::default(), "{loss:?}");
        let lines = bed.queue.lines(&Scope::Everyone, stale.id, &line_query()).await.unwrap();
        assert!(lines.is_empty(), "{loss:?}: {lines:?}");
        report(&bed, &successor, success()).await;
    }
}

async fn no_checkpoint_of_a_worker_that_lost_its_lease_is_written(bed: Bed) {
    let mut raw = Raw::open(&bed.url).await;
    for loss in LOSSES {
        let (stale, successor) = lose(&bed, loss).await;
        let before = raw.everything().await;
        for name in ["place", "new"] {
            let said = bed.queue.save(checkpoint(&stale, name)).await.unwrap();
            assert_eq!(said, Kept::Lost, "{loss:?}: {name}");
            let said = bed.queue.store().save(&[checkpoint(&stale, name)], bed.clock.now()).await.unwrap();
            assert_eq!(said, [Saved::Lost], "{loss:?}: {name}");
        }
        assert_eq!(raw.everything().await, before, "{loss:?}");
        assert_eq!(bed.queue.save(checkpoint(&successor, "place")).await.unwrap(), Kept::Written, "{loss:?}");
        report(&bed, &successor, success()).await;
    }
}

async fn the_store_itself_refuses_a_change_under_an_old_lease(bed: Bed) {
    let mut raw = Raw::open(&bed.url).await;
    for loss in LOSSES {
        for outcome in outcomes() {
            let (stale, successor) = lose(&bed, loss).await;
            let (lease, now) = (stale.lease.unwrap(), bed.clock.now());
            let before = raw.everything().await;
            // As the worker knows the task, and as somebody would who has just read it.
            for task in [&stale, &successor] {
                let change = task.report(lease, outcome.clone(), now, 1.0);
                assert_eq!(written(&bed, change).await, None, "{loss:?}, {outcome:?}");
            }
            assert_eq!(raw.everything().await, before, "{loss:?}, {outcome:?}");
            report(&bed, &successor, success()).await;
        }
    }
}

async fn the_store_itself_refuses_a_beat_under_an_old_lease(bed: Bed) {
    let mut raw = Raw::open(&bed.url).await;
    for loss in LOSSES {
        let (stale, successor) = lose(&bed, loss).await;
        let before = raw.everything().await;
        for late in beats(&bed, &stale) {
            let now = bed.clock.now();
            let held = bed.queue.store().beat(&[late], now.plus(60_000), now).await.unwrap();
            assert!(held.is_empty(), "{loss:?}");
        }
        assert_eq!(raw.everything().await, before, "{loss:?}");
        report(&bed, &successor, success()).await;
    }
}

async fn the_store_itself_refuses_what_others_decided_before_the_task_moved_on(bed: Bed) {
    let mut raw = Raw::open(&bed.url).await;
    for loss in LOSSES {
        let (stale, successor) = lose(&bed, loss).await;
        let before = raw.everything().await;
        let now = bed.clock.now();
        // A janitor that found the old lease lapsed; late enough to find the new one lapsed too.
        let late = Change { lapsed_by: successor.lease_until, ..stale.rescue(now, false) };
        assert_eq!(written(&bed, late).await, None, "{loss:?}: a rescue");
        // A caller who saw the attempt before.
        let cancel = stale.cancel(now, "me").unwrap().unwrap();
        assert_eq!(written(&bed, cancel).await, None, "{loss:?}: a cancel");
        assert_eq!(raw.everything().await, before, "{loss:?}");
        report(&bed, &successor, success()).await;
    }
}

/// How a worker comes to lose its lease.
#[derive(Debug, Clone, Copy)]
enum Loss {
    /// It lapsed, and the janitor took it back.
    Rescued,
    /// It lapsed after a cancel request, and a caller set the cancelled task going again.
    CancelledAndRetried,
    /// It reported a failure that ended the task (and says so again), and a caller retried it.
    FailedAndRetried,
    /// Its last report was a failure, and the next attempt is on.
    NextAttempt,
    /// Its node drained and gave the task back.
    Released,
    /// It was the third that was lost, and a caller retried the task.
    LostForGoodAndRetried,
}

const LOSSES: [Loss; 6] = [
    Loss::Rescued,
    Loss::CancelledAndRetried,
    Loss::FailedAndRetried,
    Loss::NextAttempt,
    Loss::Released,
    Loss::LostForGoodAndRetried,
];

/// A task as the worker knows it that lost it, and as the one knows it that has it now.
async fn lose(bed: &Bed, loss: Loss) -> (Task, Task) {
    let attempts = if matches!(loss, Loss::NextAttempt) { 2 } else { 1 };
    let id = bed.submit(Draft { max_attempts: attempts, ..noop() }).await.id;
    let mut stale = bed.claim(1).await.remove(0);
    assert_eq!(bed.queue.save(checkpoint(&stale, "place")).await.unwrap(), Kept::Written);
    match loss {
        Loss::Rescued => lapse(bed).await,
        Loss::CancelledAndRetried => {
            bed.queue.cancel(&Scope::Everyone, id, "me").await.unwrap();
            lapse(bed).await;
        }
        Loss::FailedAndRetried => report(bed, &stale, failure(true)).await,
        Loss::NextAttempt => {
            let now =
                Outcome::Failure { code: "x".into(), message: "x".into(), retryable: true, retry_after_ms: Some(0) };
            report(bed, &stale, now).await;
        }
        Loss::Released => report(bed, &stale, Outcome::Released).await,
        Loss::LostForGoodAndRetried => {
            for _ in 0..2 {
                lapse(bed).await;
                stale = bed.claim(1).await.remove(0);
            }
            lapse(bed).await;
        }
    }
    if bed.get(id).await.status.can_retry() {
        bed.queue.retry(&Scope::Everyone, id, "me").await.unwrap();
    }
    let successor = bed.claim(1).await.remove(0);
    assert_eq!((successor.id, successor.status, successor.attempt), (id, Status::Running, stale.attempt + 1));
    assert_ne!(successor.lease, stale.lease);
    (stale, successor)
}

async fn lapse(bed: &Bed) {
    bed.clock.advance(30_001);
    assert_eq!(bed.queue.rescue().await.unwrap(), 1);
}

fn outcomes() -> Vec<Outcome> {
    let file = Artifact {
        name: "out.csv".into(),
        bytes: 1,
        content_type: "text/csv".into(),
        sha256: "0".repeat(64),
        location: "nowhere".into(),
    };
    vec![
        success(),
        Outcome::Success(raw("{}"), vec![file]),
        failure(false),
        failure(true),
        Outcome::Cancelled,
        Outcome::Released,
    ]
}

/// A silent beat, one with progress, one with log lines, one with both.
fn beats(bed: &Bed, task: &Task) -> Vec<Beat> {
    let progress = || Some(Progress::of(9, 10, Some("late".into()), 1.0));
    let lines = || vec![LogLine { at: bed.clock.now(), level: Level::Info, message: "late".into() }];
    vec![
        beat(task),
        Beat { progress: progress(), ..beat(task) },
        Beat { lines: lines(), ..beat(task) },
        Beat { progress: progress(), lines: lines(), ..beat(task) },
    ]
}

fn checkpoint(task: &Task, name: &str) -> Save {
    let (name, data) = (name.to_owned(), raw(&format!(r#"{{"attempt": {}}}"#, task.attempt)));
    Save { id: task.id, lease: task.lease.unwrap(), attempt: task.attempt, name, data }
}

/// The status after a change written round the door; `None` if it was refused.
async fn written(bed: &Bed, change: Change) -> Option<Status> {
    bed.queue.store().apply(&[change]).await.unwrap().remove(0).map(|task| task.status)
}
