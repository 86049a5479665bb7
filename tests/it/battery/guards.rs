//! What the store refuses because the row is not as expected: one test a guard, in which no other
//! guard would refuse it.

use crate::promises::{beat, failure, report, success};
use crate::support::bed::{Bed, noop, noop_of};
use crate::support::on_both_databases;
use crate::support::raw::Raw;
use errand::store::Claim;
use errand::task::{Change, Draft, Outcome, Scope, Status};

on_both_databases![
    a_change_that_expects_another_status_is_not_written,
    a_cancel_decided_before_the_task_came_round_again_is_not_written,
    a_retry_decided_before_the_task_failed_again_is_not_written,
    a_rescue_decided_before_a_beat_is_not_written,
    no_requeue_decided_before_a_cancel_is_written,
    a_claim_gives_out_only_the_types_and_queues_it_asks_for,
    a_claim_gives_out_nothing_that_is_not_ready,
];

async fn a_change_that_expects_another_status_is_not_written(bed: Bed) {
    bed.submit(noop()).await;
    let mut task = bed.claim(1).await.remove(0);
    let change = task.report(task.lease.unwrap(), success(), bed.clock.now(), 1.0);
    for status in [Status::Pending, Status::Success, Status::Failed, Status::Cancelled] {
        task.status = status;
        refuses(&bed, &Change { task: Box::new(task.summary()), ..change.clone() }).await;
    }
}

async fn a_cancel_decided_before_the_task_came_round_again_is_not_written(bed: Bed) {
    let before = bed.submit(noop()).await;
    let cancel = before.cancel(bed.clock.now(), "me").unwrap().unwrap();
    report(&bed, &bed.claim(1).await[0], Outcome::Released).await;
    assert_eq!(bed.get(before.id).await.status, before.status);
    refuses(&bed, &cancel).await;
}

async fn a_retry_decided_before_the_task_failed_again_is_not_written(bed: Bed) {
    let id = bed.submit(noop()).await.id;
    report(&bed, &bed.claim(1).await[0], failure(false)).await;
    let before = bed.get(id).await;
    let retry = before.retry(bed.clock.now(), "me").unwrap();
    bed.queue.retry(&Scope::Everyone, id, "other").await.unwrap();
    report(&bed, &bed.claim(1).await[0], failure(false)).await;
    assert_eq!(bed.get(id).await.status, before.status);
    refuses(&bed, &retry).await;
}

async fn a_rescue_decided_before_a_beat_is_not_written(bed: Bed) {
    bed.submit(noop()).await;
    let task = bed.claim(1).await.remove(0);
    bed.clock.advance(30_000);
    let seen = bed.queue.store().lapsed(bed.clock.now(), 10).await.unwrap().remove(0);
    let rescue = seen.rescue(bed.clock.now());
    bed.queue.beat(&[beat(&task)], 1).await.unwrap();
    refuses(&bed, &rescue).await;
}

async fn no_requeue_decided_before_a_cancel_is_written(bed: Bed) {
    let id = bed.submit(Draft { max_attempts: 5, ..noop() }).await.id;
    let task = bed.claim(1).await.remove(0);
    bed.clock.advance(30_000);
    let (lease, now) = (task.lease.unwrap(), bed.clock.now());
    let decided = [failure(true), failure(false), Outcome::Released].map(|end| task.report(lease, end, now, 1.0));
    bed.queue.cancel(&Scope::Everyone, id, "me").await.unwrap();
    for requeue in decided.iter().chain([&task.rescue(now)]) {
        refuses(&bed, requeue).await;
    }
}

async fn a_claim_gives_out_only_the_types_and_queues_it_asks_for(bed: Bed) {
    let id = bed.submit(Draft { queue: "slow".into(), ..noop_of("anna") }).await.id;
    let claim = |types: &[&str], queues: &[&str]| Claim {
        worker: "tester".into(),
        max: 10,
        types: types.iter().map(|name| (*name).to_owned()).collect(),
        queues: queues.iter().map(|name| (*name).to_owned()).collect(),
        now: bed.clock.now(),
        lease_ms: 30_000,
    };
    let store = bed.queue.store();
    for other in [claim(&["demo"], &[]), claim(&[], &[]), claim(&["noop"], &["default", "SLOW"])] {
        assert!(store.claim(&other).await.unwrap().is_empty(), "{other:?}");
    }
    assert_eq!(store.claim(&claim(&["demo", "noop"], &["default", "slow"])).await.unwrap()[0].id, id);
}

async fn a_claim_gives_out_nothing_that_is_not_ready(bed: Bed) {
    bed.submit_many((0..4).map(|_| noop()).collect(), None).await.unwrap();
    bed.submit(Draft { run_at: Some(bed.clock.now().plus(1)), ..noop() }).await;
    let running = bed.claim(4).await;
    report(&bed, &running[0], success()).await;
    report(&bed, &running[1], failure(false)).await;
    bed.queue.cancel(&Scope::Everyone, running[2].id, "me").await.unwrap();
    report(&bed, &running[2], Outcome::Cancelled).await;
    assert!(bed.claim(10).await.is_empty());
}

/// That the change is refused, and that nothing of it was written.
async fn refuses(bed: &Bed, change: &Change) {
    let mut raw = Raw::open(&bed.url).await;
    let before = raw.everything().await;
    let written = bed.queue.store().apply(std::slice::from_ref(change)).await.unwrap();
    assert!(matches!(written[..], [None]), "{change:?}");
    assert_eq!(raw.everything().await, before, "{change:?}");
}
