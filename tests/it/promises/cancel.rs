//! What cancel and retry promise.

use super::{beat, failure, report, success};
use crate::support::bed::{BEGIN, Bed, noop};
use crate::support::on_both_databases;
use errand::queue::Error;
use errand::task::{Draft, Filter, Scope, Status};
use uuid::Uuid;

on_both_databases![
    a_pending_task_is_cancelled_at_the_reply,
    a_running_task_that_was_asked_to_stop_is_cancelled_even_if_it_fails,
    a_success_after_a_cancel_request_wins,
    a_cancel_request_survives_a_lost_worker,
    a_finished_task_cannot_be_cancelled_nor_a_success_retried,
    a_retried_task_keeps_its_history_and_gets_all_its_attempts,
    a_retry_undoes_the_cancel_of_a_task_that_waited_for_its_time,
    a_bulk_cancel_changes_what_can_be_cancelled_and_counts_it,
    a_bulk_cancel_reaches_what_was_submitted_before_the_clock_was_set_back,
];

async fn a_pending_task_is_cancelled_at_the_reply(bed: Bed) {
    let id = bed.submit(noop()).await.id;
    let task = bed.queue.cancel(&Scope::Everyone, id, "me").await.unwrap();
    assert_eq!((task.status, task.finished_at), (Status::Cancelled, Some(BEGIN)));
    assert!(bed.claim(1).await.is_empty());
    assert_eq!(bed.queue.cancel(&Scope::Everyone, id, "me").await.unwrap().version, task.version);
    assert_eq!(bed.events(id).await, ["queued", "cancelled"]);
}

async fn a_running_task_that_was_asked_to_stop_is_cancelled_even_if_it_fails(bed: Bed) {
    let id = bed.submit(Draft { max_attempts: 5, ..noop() }).await.id;
    let claimed = bed.claim(1).await.remove(0);
    let task = bed.queue.cancel(&Scope::Everyone, id, "me").await.unwrap();
    assert_eq!((task.status, task.cancel_requested_at), (Status::Running, Some(BEGIN)));
    assert!(bed.queue.held(&[(id, claimed.lease.unwrap())]).await.unwrap()[0].cancel_requested);
    report(&bed, &claimed, failure(true)).await;
    assert_eq!(bed.get(id).await.status, Status::Cancelled);
    assert_eq!(bed.events(id).await, ["queued", "started", "cancel_requested", "cancelled"]);
}

async fn a_success_after_a_cancel_request_wins(bed: Bed) {
    let id = bed.submit(noop()).await.id;
    let claimed = bed.claim(1).await.remove(0);
    bed.queue.cancel(&Scope::Everyone, id, "me").await.unwrap();
    report(&bed, &claimed, success()).await;
    assert_eq!(bed.get(id).await.status, Status::Success);
}

async fn a_cancel_request_survives_a_lost_worker(bed: Bed) {
    let id = bed.submit(noop()).await.id;
    let claimed = bed.claim(1).await.remove(0);
    bed.queue.cancel(&Scope::Everyone, id, "me").await.unwrap();
    bed.queue.beat(&[beat(&claimed)], 60_000).await.unwrap();
    bed.clock.advance(30_001);
    assert_eq!(bed.queue.rescue().await.unwrap(), 1, "a beat after a cancel request does not extend the lease");
    assert_eq!(bed.get(id).await.status, Status::Cancelled);
}

async fn a_finished_task_cannot_be_cancelled_nor_a_success_retried(bed: Bed) {
    let id = bed.submit(noop()).await.id;
    report(&bed, &bed.claim(1).await[0], success()).await;
    let (cancelled, retried) =
        (bed.queue.cancel(&Scope::Everyone, id, "me").await, bed.queue.retry(&Scope::Everyone, id, "me").await);
    assert!(matches!(cancelled, Err(Error::NotCancellable(Status::Success))));
    assert!(matches!(retried, Err(Error::NotRetryable(Status::Success))));
    assert!(matches!(bed.queue.cancel(&Scope::Everyone, Uuid::now_v7(), "me").await, Err(Error::NotFound)));
}

async fn a_retried_task_keeps_its_history_and_gets_all_its_attempts(bed: Bed) {
    let id = bed.submit(noop()).await.id;
    report(&bed, &bed.claim(1).await[0], failure(true)).await;
    let task = bed.queue.retry(&Scope::Everyone, id, "me").await.unwrap();
    assert_eq!((task.status, task.error, task.finished_at), (Status::Pending, None, None));
    let claimed = bed.claim(1).await.remove(0);
    assert_eq!(claimed.attempt, 2);
    report(&bed, &claimed, success()).await;
    assert_eq!(bed.events(id).await, ["queued", "started", "failed", "retried", "started", "succeeded"]);
}

async fn a_retry_undoes_the_cancel_of_a_task_that_waited_for_its_time(bed: Bed) {
    let later = BEGIN.plus(60_000);
    let id = bed.submit(Draft { run_at: Some(later), ..noop() }).await.id;
    bed.queue.cancel(&Scope::Everyone, id, "me").await.unwrap();
    assert_eq!(bed.queue.retry(&Scope::Everyone, id, "me").await.unwrap().phase(BEGIN), "scheduled");
    assert!(bed.claim(1).await.is_empty());
    bed.clock.advance(60_000);
    assert_eq!(bed.queue.promote().await.unwrap().promoted, 1);
    assert_eq!(bed.claim(1).await[0].id, id);
}

async fn a_bulk_cancel_changes_what_can_be_cancelled_and_counts_it(bed: Bed) {
    bed.submit_many((0..5).map(|_| noop()).collect(), None).await.unwrap();
    let running = bed.claim(2).await;
    report(&bed, &running[0], success()).await;
    let done = bed.queue.cancel_many(&Scope::Everyone, &Filter::default(), "me").await.unwrap();
    assert_eq!((done.matched, done.changed), (5, 4));
    let again = bed.queue.cancel_many(&Scope::Everyone, &Filter::default(), "me").await.unwrap();
    assert_eq!((again.matched, again.changed), (5, 0));
    let retried = bed.queue.retry_many(&Scope::Everyone, &Filter::default(), "me").await.unwrap();
    assert_eq!((retried.matched, retried.changed), (5, 3));
}

async fn a_bulk_cancel_reaches_what_was_submitted_before_the_clock_was_set_back(bed: Bed) {
    bed.submit(noop()).await;
    bed.clock.advance(-60_000);
    bed.submit(noop()).await;
    let done = bed.queue.cancel_many(&Scope::Everyone, &Filter::default(), "me").await.unwrap();
    assert_eq!((done.matched, done.changed), (2, 2));
}
