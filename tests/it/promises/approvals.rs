//! What an approval promises.

use super::{count, failure, list, report, success};
use crate::support::bed::{BEGIN, Bed, noop, noop_of};
use crate::support::on_both_databases;
use errand::queue::{Error, Queue};
use errand::store::Once;
use errand::task::{Draft, Filter, Scope, Sort, Status, Task, Time};
use errand::types::Types;
use uuid::Uuid;

on_both_databases![
    a_held_task_is_not_claimed_however_long_it_waits,
    an_approved_task_runs_at_once_or_at_the_time_it_is_approved_for,
    an_approval_at_one_node_lets_a_worker_of_another_begin,
    a_rejected_task_is_cancelled_with_the_reason,
    no_cancel_and_retry_gets_around_an_approval,
    of_two_who_approve_at_once_one_hears_that_it_is_done,
    what_waits_for_no_approval_can_be_neither_approved_nor_rejected,
    a_type_that_needs_approvals_holds_each_of_its_tasks,
    the_same_key_submits_a_held_task_once,
    what_is_held_changes_nothing_of_when_others_are_due,
    what_waits_for_an_approval_is_listed_once_in_order_within_its_scope,
    an_approved_task_that_fails_needs_no_second_approval,
];

fn held() -> Draft {
    Draft { needs_approval: true, ..noop() }
}

fn set(bed: &Bed, now: Time) {
    bed.clock.advance(now.0 - bed.clock.now().0);
}

async fn approve(bed: &Bed, id: Uuid) -> Result<Task, Error> {
    bed.queue.approve(&Scope::Everyone, id, "boss", None).await
}

async fn reject(bed: &Bed, id: Uuid) -> Result<Task, Error> {
    bed.queue.reject(&Scope::Everyone, id, "boss", "too dear").await
}

/// Everything that waits, page by page.
async fn awaiting(queue: &Queue, scope: &Scope, limit: i64) -> Vec<Task> {
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let piece = queue.awaiting(scope, after, limit).await.unwrap();
        assert!(piece.tasks.len() as i64 <= limit);
        all.extend(piece.tasks);
        after = piece.next;
        if after.is_none() {
            return all;
        }
    }
}

async fn a_held_task_is_not_claimed_however_long_it_waits(bed: Bed) {
    let id = bed.submit(held()).await.id;
    let task = bed.get(id).await;
    assert_eq!((task.phase(BEGIN), task.run_at, task.held), ("awaiting_approval", BEGIN, true));
    for wait in [0, 1_000, 3_600_000, i64::MAX] {
        set(&bed, BEGIN.plus(wait));
        let due = bed.queue.promote().await.unwrap();
        assert_eq!((due.promoted, due.next), (0, None));
        assert!(bed.claim(10).await.is_empty());
    }
    set(&bed, BEGIN);
    let (_, reasons) = bed.queue.explain(&Scope::Everyone, id).await.unwrap();
    assert_eq!((reasons.len(), reasons[0].code, reasons[0].since), (1, "awaiting_approval", Some(BEGIN)));
}

async fn an_approved_task_runs_at_once_or_at_the_time_it_is_approved_for(bed: Bed) {
    let (now, later) = (bed.submit(held()).await.id, BEGIN.plus(60_000));
    let scheduled = bed.submit(Draft { run_at: Some(later), ..held() }).await.id;
    let moved = bed.submit(Draft { run_at: Some(later), ..held() }).await.id;
    bed.clock.advance(1_000);
    let task = approve(&bed, now).await.unwrap();
    assert_eq!((task.phase(bed.clock.now()), task.run_at, task.held), ("ready", BEGIN.plus(1_000), false));
    assert_eq!(approve(&bed, scheduled).await.unwrap().phase(bed.clock.now()), "scheduled");
    let until = BEGIN.plus(30_000);
    let task = bed.queue.approve(&Scope::Everyone, moved, "boss", Some(until)).await.unwrap();
    assert_eq!((task.run_at, task.params.unwrap().get()), (until, "{}"));
    let claimed = bed.claim(10).await;
    assert_eq!(claimed.iter().map(|task| task.id).collect::<Vec<_>>(), [now]);
    report(&bed, &claimed[0], success()).await;
    assert_eq!(bed.events(now).await, ["queued", "approved", "started", "succeeded"]);
    for (at, id) in [(until, moved), (later, scheduled)] {
        assert_eq!(bed.queue.promote().await.unwrap().next, Some(at));
        set(&bed, at);
        assert_eq!(bed.queue.promote().await.unwrap().promoted, 1);
        assert_eq!(bed.claim(10).await[0].id, id);
    }
}

async fn an_approval_at_one_node_lets_a_worker_of_another_begin(bed: Bed) {
    if matches!(bed.url, crate::support::bed::DatabaseUrl::Sqlite(_)) {
        return;
    }
    let other = bed.another_node().await;
    let mut wakes = other.store().wakes();
    let id = bed.submit(held()).await.id;
    assert!(other.claim("other", 1, &[], 30_000, false).await.unwrap().is_empty());
    approve(&bed, id).await.unwrap();
    while wakes.recv().await.unwrap() != errand::store::Wake::Ready {}
    assert_eq!(other.claim("other", 1, &[], 30_000, false).await.unwrap()[0].id, id);
}

async fn a_rejected_task_is_cancelled_with_the_reason(bed: Bed) {
    let id = bed.submit(held()).await.id;
    let task = reject(&bed, id).await.unwrap();
    assert_eq!((task.status, task.finished_at), (Status::Cancelled, Some(BEGIN)));
    let error = bed.get(id).await.error.unwrap();
    assert_eq!((error.code.as_str(), error.message.as_str()), ("rejected", "too dear"));
    assert_eq!(bed.events(id).await, ["queued", "rejected"]);
    assert_eq!((count(&bed, Status::Pending).await, count(&bed, Status::Cancelled).await), (0, 1));
    assert!(bed.claim(1).await.is_empty());
}

async fn no_cancel_and_retry_gets_around_an_approval(bed: Bed) {
    let id = bed.submit(held()).await.id;
    for turn in 0..3 {
        match turn {
            0 => drop(bed.queue.cancel(&Scope::Everyone, id, "me").await.unwrap()),
            1 => drop(reject(&bed, id).await.unwrap()),
            _ => drop(bed.queue.cancel_many(&Scope::Everyone, &Filter::default(), "me").await.unwrap()),
        }
        match turn {
            2 => assert_eq!(bed.queue.retry_many(&Scope::Everyone, &Filter::default(), "me").await.unwrap().changed, 1),
            _ => drop(bed.queue.retry(&Scope::Everyone, id, "me").await.unwrap()),
        }
        let task = bed.get(id).await;
        assert_eq!((task.phase(BEGIN), task.run_at, task.error), ("awaiting_approval", BEGIN, None));
        bed.queue.promote().await.unwrap();
        assert!(bed.claim(1).await.is_empty());
    }
    approve(&bed, id).await.unwrap();
    assert_eq!(bed.claim(1).await[0].id, id);
}

async fn of_two_who_approve_at_once_one_hears_that_it_is_done(bed: Bed) {
    for _ in 0..10 {
        let id = bed.submit(held()).await.id;
        let (one, other) = tokio::join!(approve(&bed, id), approve(&bed, id));
        let done = [one, other].into_iter().filter(|judged| match judged {
            Ok(task) => task.status == Status::Pending,
            Err(error) => !matches!(error, Error::NoneAwaited),
        });
        assert_eq!(done.count(), 1);
        assert_eq!(bed.events(id).await, ["queued", "approved"]);
    }
}

async fn what_waits_for_no_approval_can_be_neither_approved_nor_rejected(bed: Bed) {
    let ready = bed.submit(noop()).await.id;
    let cancelled = bed.submit(held()).await.id;
    bed.queue.cancel(&Scope::Everyone, cancelled, "me").await.unwrap();
    let running = bed.submit(Draft { priority: 9, ..noop() }).await.id;
    bed.claim(1).await;
    for id in [ready, cancelled, running] {
        assert!(matches!(approve(&bed, id).await, Err(Error::NoneAwaited)));
        assert!(matches!(reject(&bed, id).await, Err(Error::NoneAwaited)));
    }
    assert!(matches!(approve(&bed, Uuid::now_v7()).await, Err(Error::NotFound)));
}

async fn a_type_that_needs_approvals_holds_each_of_its_tasks(bed: Bed) {
    let types = Types::builtin().approving(&["noop".to_owned()]);
    let (store, files) = (bed.queue.store().clone(), bed.queue.file_store().clone());
    let queue = Queue::open(store, bed.clock.clone(), types, files);
    let demo = Draft::new("demo", crate::support::bed::raw(r#"{"name":"x","duration":1000}"#), "default", "me");
    let prepared = queue.prepare(vec![noop(), demo, held()]).await.unwrap();
    assert_eq!(prepared.tasks.iter().map(|task| task.held).collect::<Vec<_>>(), [true, false, true]);
    queue.submit(prepared, None).await.unwrap();
    assert_eq!(bed.claim(10).await.len(), 1);
    assert_eq!(awaiting(&queue, &Scope::Everyone, 10).await.len(), 2);
}

async fn the_same_key_submits_a_held_task_once(bed: Bed) {
    let once = || {
        let (owner, route) = ("default".to_owned(), "/submit".to_owned());
        let (key, fingerprint, answer) = ("k".to_owned(), "f".to_owned(), "first".to_owned());
        Some(Once { owner, route, key, fingerprint, answer })
    };
    assert_eq!(bed.submit_many(vec![held(), held()], once()).await.unwrap(), None);
    assert_eq!(bed.submit_many(vec![held(), held()], once()).await.unwrap().as_deref(), Some("first"));
    assert_eq!(awaiting(&bed.queue, &Scope::Everyone, 10).await.len(), 2);
}

async fn what_is_held_changes_nothing_of_when_others_are_due(bed: Bed) {
    bed.submit(Draft { run_at: Some(BEGIN.plus(10)), ..held() }).await;
    assert_eq!(bed.queue.promote().await.unwrap().next, None);
    let scheduled = bed.submit(Draft { run_at: Some(Time::MAX), ..noop() }).await.id;
    assert_eq!(bed.queue.promote().await.unwrap().next, Some(Time::MAX));
    set(&bed, Time::MAX);
    assert_eq!(bed.queue.promote().await.unwrap().promoted, 1);
    assert_eq!(bed.claim(10).await.iter().map(|task| task.id).collect::<Vec<_>>(), [scheduled]);
    assert_eq!(list(&bed, Filter::default(), Sort::CreatedAsc, 10).await[0].run_at, BEGIN.plus(10));
}

async fn what_waits_for_an_approval_is_listed_once_in_order_within_its_scope(bed: Bed) {
    let mut drafts = Vec::new();
    for n in 0..40 {
        let owner = if n % 8 == 0 { "rare" } else { "default" };
        // Several at the same time, some that wait for a time alone.
        let run_at = Some(BEGIN.plus(1_000 * (n * 7 % 5)));
        drafts.push(Draft { needs_approval: n % 10 != 9, run_at, ..noop_of(owner) });
    }
    for draft in drafts {
        bed.submit(draft).await;
    }
    for scope in [Scope::Everyone, Scope::Owner("rare".to_owned()), Scope::Owner("nobody".to_owned())] {
        let all = list(&bed, Filter::default(), Sort::CreatedAsc, 100).await;
        let mut expected: Vec<_> = all.iter().filter(|task| task.held && scope.sees(&task.owner)).collect();
        expected.sort_by_key(|task| (task.run_at, task.id));
        let expected: Vec<Uuid> = expected.into_iter().map(|task| task.id).collect();
        for limit in [1, 3, 36, 100] {
            let found = awaiting(&bed.queue, &scope, limit).await;
            assert!(found.iter().all(|task| task.params.is_some()));
            assert_eq!(found.iter().map(|task| task.id).collect::<Vec<_>>(), expected, "{scope:?} by {limit}");
        }
    }
    // Where only few of many are the owner's, a look ends before it has found them, and says where to go on.
    let store = bed.queue.store();
    let (mut after, mut found) = (None, 0);
    for _ in 0..40 {
        let piece = store.awaiting(&Scope::Owner("rare".to_owned()), after, 10, 3).await.unwrap();
        assert!(piece.tasks.len() <= 3);
        found += piece.tasks.len();
        after = piece.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!((found, after), (5, None));
}

async fn an_approved_task_that_fails_needs_no_second_approval(bed: Bed) {
    let id = bed.submit(Draft { max_attempts: 1, ..held() }).await.id;
    approve(&bed, id).await.unwrap();
    report(&bed, &bed.claim(1).await[0], failure(true)).await;
    assert_eq!(bed.queue.retry(&Scope::Everyone, id, "me").await.unwrap().phase(BEGIN), "ready");
}
