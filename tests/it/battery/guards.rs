//! What the store refuses because the row is not as expected: one test a guard, in which no other
//! guard would refuse it.

use crate::promises::{beat, failure, line_query, page, report, success};
use crate::support::bed::{Bed, noop, noop_of, raw};
use crate::support::on_both_databases;
use crate::support::raw::Raw;
use errand::store::{Beat, Claim, Day, File, Minute, Way};
use errand::task::{Artifact, Change, Draft, Filter, Outcome, Scope, Sort, Status};
use errand::types::{Level, LogLine};
use uuid::Uuid;

on_both_databases![
    a_change_that_expects_another_status_is_not_written,
    a_cancel_decided_before_the_task_came_round_again_is_not_written,
    a_retry_decided_before_the_task_failed_again_is_not_written,
    a_rescue_decided_before_a_beat_is_not_written,
    no_requeue_decided_before_a_cancel_is_written,
    a_claim_gives_out_only_the_types_and_queues_it_asks_for,
    a_claim_gives_out_nothing_that_is_not_ready,
    only_what_waits_and_is_due_becomes_ready,
    a_beat_never_shortens_a_lease,
    the_store_itself_shows_an_owner_nothing_of_another,
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
    let rescue = seen.rescue(bed.clock.now(), false);
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
    for requeue in decided.iter().chain([&task.rescue(now, false)]) {
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
        ahead: false,
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

async fn only_what_waits_and_is_due_becomes_ready(bed: Bed) {
    let running = bed.submit(noop()).await.id;
    bed.claim(1).await;
    let at = |millis| Draft { run_at: Some(bed.clock.now().plus(millis)), ..noop() };
    let (due, later) = (bed.submit(at(1_000)).await.id, bed.submit(at(1_001)).await.id);
    bed.clock.advance(1_000);
    assert_eq!(bed.queue.promote().await.unwrap().promoted, 1);
    let claimed: Vec<Uuid> = bed.claim(10).await.iter().map(|task| task.id).collect();
    assert_eq!(claimed, [due], "not {running}, which runs, nor {later}");
}

async fn a_beat_never_shortens_a_lease(bed: Bed) {
    let id = bed.submit(noop()).await.id;
    let task = bed.claim(1).await.remove(0);
    bed.queue.beat(&[beat(&task)], 1_000).await.unwrap();
    assert_eq!(bed.get(id).await.lease_until, task.lease_until);
}

async fn the_store_itself_shows_an_owner_nothing_of_another(bed: Bed) {
    let (id, store) = (bed.submit(noop_of("anna")).await.id, bed.queue.store());
    for (owner, rows) in [("anna", 1), ("berta", 0)] {
        let oldest = store.oldest_ready(&Scope::Owner(owner.into()), 10).await.unwrap();
        assert_eq!(oldest.len(), rows, "{owner}: oldest_ready");
    }
    let (task, now) = (bed.claim(1).await.remove(0), bed.clock.now());
    let lines = vec![LogLine { at: now, level: Level::Info, message: "said".into() }];
    bed.queue.beat(&[Beat { lines, ..beat(&task) }], 30_000).await.unwrap();
    for (owner, rows) in [("anna", 1), ("berta", 0)] {
        assert_eq!(store.at_work(&Scope::Owner(owner.into()), 10).await.unwrap().len(), rows, "{owner}: at_work");
    }
    report(&bed, &task, Outcome::Success(raw("{}"), vec![artifact()])).await;
    let file = File {
        id: Uuid::now_v7(),
        owner: "anna".into(),
        name: "in.csv".into(),
        bytes: 1,
        content_type: "text/csv".into(),
        sha256: "0".repeat(64),
        location: "nowhere".into(),
        created_at: now,
    };
    store.add_file(&file).await.unwrap();
    let minute = Minute { owner: "anna".into(), node: "n".into(), ..Minute::default() };
    store.put_minutes(std::slice::from_ref(&minute)).await.unwrap();
    store.put_quarters(&[minute], 0).await.unwrap();

    let day = Day { day: 1, node: "n".into(), owner: "anna".into(), r#type: "noop".into(), run_ms: 1 };
    store.put_days(&[day], 0).await.unwrap();

    for (owner, rows) in [("anna", 1), ("berta", 0)] {
        let scope = Scope::Owner(owner.into());
        assert_eq!(store.get(&scope, id).await.unwrap().iter().len(), rows, "{owner}: get");
        let listed = store.list(&scope, &Filter::default(), &page(Sort::CreatedDesc, 10), &Way::Walk(100)).await;
        assert_eq!(listed.unwrap().tasks.len(), rows, "{owner}: list");
        assert_eq!(store.run_time(&scope, 0).await.unwrap().len(), rows, "{owner}: run_time");
        assert_eq!(store.submitters(&scope, 10, 10).await.unwrap().len(), rows, "{owner}: submitters");
        assert_eq!(store.changes(&scope, 0, 10).await.unwrap().len(), 3 * rows, "{owner}: changes");
        assert_eq!(store.transitions(&scope, id).await.unwrap().len(), 3 * rows, "{owner}: transitions");
        assert_eq!(store.lines(&scope, id, &line_query()).await.unwrap().len(), rows, "{owner}: lines");
        assert_eq!(store.artifacts(&scope, id).await.unwrap().len(), rows, "{owner}: artifacts");
        assert_eq!(store.files(&scope, &[file.id]).await.unwrap().len(), rows, "{owner}: files");
        assert_eq!(store.minutes(&scope, 0).await.unwrap().len(), rows, "{owner}: minutes");
        assert_eq!(store.quarters(&scope, 0).await.unwrap().len(), rows, "{owner}: quarters");
        let counted: i64 = store.counts(&scope).await.unwrap().iter().map(|count| count.n).sum();
        assert_eq!(counted, rows as i64, "{owner}: counts");
    }
    for (owner, removed) in [("berta", false), ("anna", true)] {
        let gone = store.remove_file(&Scope::Owner(owner.into()), file.id).await.unwrap();
        assert_eq!(gone.is_some(), removed, "{owner}: remove_file");
    }
}

fn artifact() -> Artifact {
    Artifact {
        name: "out.csv".into(),
        bytes: 1,
        content_type: "text/csv".into(),
        sha256: "0".repeat(64),
        location: "nowhere".into(),
    }
}

/// That the change is refused, and that nothing of it was written.
async fn refuses(bed: &Bed, change: &Change) {
    let mut raw = Raw::open(&bed.url).await;
    let before = raw.everything().await;
    let written = bed.queue.store().apply(std::slice::from_ref(change)).await.unwrap();
    assert!(matches!(written[..], [None]), "{change:?}");
    assert_eq!(raw.everything().await, before, "{change:?}");
}
