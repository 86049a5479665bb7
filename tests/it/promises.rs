//! What the queue guarantees. Each test's name is the promise; each runs on both databases.

use crate::support::bed::{BEGIN, Bed, noop, noop_of, raw};
use crate::support::on_both_databases;
use errand::queue::{Error, Reported};
use errand::store::{Beat, Once};
use errand::task::filter::After;
use errand::task::{Backoff, Draft, Event, Filter, Outcome, Page, Progress, Scope, Sort, Status, Task};
use errand::types::{Level, LogLine};
use std::collections::HashSet;
use std::time::Duration;
use uuid::Uuid;

on_both_databases![
    a_submitted_task_is_pending_and_whole,
    a_batch_is_all_or_nothing_and_keeps_its_order,
    the_same_key_submits_once_and_answers_alike,
    a_key_with_another_body_is_refused,
    a_hundred_equal_keys_at_once_make_one_task,
    a_claim_gives_out_at_most_what_was_asked_by_priority_then_time,
    no_task_is_claimed_twice,
    a_task_does_not_start_before_its_time,
    a_success_keeps_result_and_history,
    a_worker_that_lost_its_lease_cannot_finish_the_task,
    a_lapsed_lease_that_nobody_took_can_still_finish,
    a_report_said_twice_is_written_once,
    a_failure_waits_and_runs_again_until_its_attempts_are_used_up,
    a_lost_worker_burns_no_attempt_but_three_end_the_task,
    a_release_burns_no_attempt,
    a_pending_task_is_cancelled_at_the_reply,
    a_running_task_that_was_asked_to_stop_is_cancelled_even_if_it_fails,
    a_success_after_a_cancel_request_wins,
    a_cancel_request_survives_a_lost_worker,
    a_finished_task_cannot_be_cancelled_nor_a_success_retried,
    a_retried_task_keeps_its_history_and_gets_all_its_attempts,
    a_beat_extends_the_lease_and_keeps_what_was_said,
    a_beat_of_a_lost_lease_writes_nothing,
    the_change_log_has_every_transition_once_in_order,
    counts_are_exact_whatever_happens,
    an_owner_sees_nothing_of_another,
    a_page_shows_every_row_once_while_others_come_and_go,
    finished_rows_are_paged_once_while_others_finish,
    filters_find_what_they_name,
    a_bulk_cancel_changes_what_can_be_cancelled_and_counts_it,
    concurrent_writers_lose_no_entry_for_a_reader_that_follows,
];

async fn a_submitted_task_is_pending_and_whole(bed: Bed) {
    let mut draft = Draft::new("noop", raw(r#"{"big": 123456789012345678901234567890}"#), "default", "me");
    (draft.name, draft.tags, draft.priority) = (Some("näme".into()), vec!["a".into(), "b\"c".into()], 7);
    draft.backoff = Backoff { factor: 3.0, ..Backoff::default() };
    draft.timeout_seconds = Some(5);
    let id = bed.submit(draft).await.id;
    let task = bed.get(id).await;
    assert_eq!((task.status, task.version, task.attempt), (Status::Pending, 1, 0));
    assert_eq!(task.params.unwrap().get(), r#"{"big": 123456789012345678901234567890}"#);
    assert_eq!((task.name.as_deref(), task.tags.len(), task.priority), (Some("näme"), 2, 7));
    assert_eq!((task.backoff.factor, task.timeout_seconds, task.created_at), (3.0, Some(5), BEGIN));
    assert_eq!(bed.events(id).await, ["queued"]);
}

async fn a_batch_is_all_or_nothing_and_keeps_its_order(bed: Bed) {
    let prepared = bed.queue.prepare((0..100).map(|_| noop()).collect()).await.unwrap();
    let mut ids: Vec<Uuid> = prepared.tasks.iter().map(|task| task.id).collect();
    bed.queue.submit(prepared.clone(), None).await.unwrap();
    let listed: Vec<Uuid> =
        list(&bed, Filter::default(), Sort::CreatedAsc, 500).await.iter().map(|task| task.id).collect();
    assert_eq!(listed, ids);
    // The second batch repeats one id: none of it is kept.
    let mut second = bed.queue.prepare(vec![noop(), noop()]).await.unwrap();
    second.tasks[1].id = ids.remove(0);
    assert!(bed.queue.submit(second, None).await.is_err());
    assert_eq!(list(&bed, Filter::default(), Sort::CreatedAsc, 500).await.len(), 100);
    assert_eq!(count(&bed, Status::Pending).await, 100);
}

fn once(fingerprint: &str) -> Option<Once> {
    let (owner, route, key) = ("default".into(), "submit".into(), "k".into());
    Some(Once { owner, route, key, fingerprint: fingerprint.into(), answer: Uuid::new_v4().to_string() })
}

async fn the_same_key_submits_once_and_answers_alike(bed: Bed) {
    let first = once("same");
    let answer = first.as_ref().unwrap().answer.clone();
    assert_eq!(bed.submit_many(vec![noop()], first).await.unwrap(), None);
    assert_eq!(bed.submit_many(vec![noop()], once("same")).await.unwrap(), Some(answer));
    assert_eq!(count(&bed, Status::Pending).await, 1);
}

async fn a_key_with_another_body_is_refused(bed: Bed) {
    bed.submit_many(vec![noop()], once("one")).await.unwrap();
    assert!(matches!(bed.submit_many(vec![noop()], once("other")).await, Err(Error::KeyReused)));
    assert_eq!(count(&bed, Status::Pending).await, 1);
}

async fn a_hundred_equal_keys_at_once_make_one_task(bed: Bed) {
    let bed = &bed;
    let submits = (0..100).map(|_| async move { bed.submit_many(vec![noop()], once("same")).await.unwrap() });
    let answers = futures_util::future::join_all(submits).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_none()).count(), 1);
    assert_eq!(answers.iter().flatten().collect::<HashSet<_>>().len(), 1);
    assert_eq!(count(bed, Status::Pending).await, 1);
}

async fn a_claim_gives_out_at_most_what_was_asked_by_priority_then_time(bed: Bed) {
    let mut ids = Vec::new();
    for priority in [0, 5, 0, -5, 5] {
        ids.push(bed.submit(Draft { priority, ..noop() }).await.id);
        bed.clock.advance(1);
    }
    let first: Vec<Uuid> = bed.claim(3).await.iter().map(|task| task.id).collect();
    assert_eq!(first, [ids[1], ids[4], ids[0]]);
    let rest: Vec<Uuid> = bed.claim(10).await.iter().map(|task| task.id).collect();
    assert_eq!(rest, [ids[2], ids[3]]);
}

async fn no_task_is_claimed_twice(bed: Bed) {
    bed.submit_many((0..500).map(|_| noop()).collect(), None).await.unwrap();
    let bed = &bed;
    let claims = (0..32).map(|_| async move {
        let mut mine = Vec::new();
        loop {
            match bed.claim(7).await {
                tasks if tasks.is_empty() => return mine,
                tasks => {
                    assert!(tasks.len() <= 7);
                    mine.extend(tasks.into_iter().map(|task| (task.id, task.lease)));
                }
            }
        }
    });
    let claimed: Vec<_> = futures_util::future::join_all(claims).await.concat();
    assert_eq!(claimed.len(), 500);
    assert_eq!(claimed.iter().map(|(id, _)| id).collect::<HashSet<_>>().len(), 500);
    assert_eq!(claimed.iter().map(|(_, lease)| lease).collect::<HashSet<_>>().len(), 500);
}

async fn a_task_does_not_start_before_its_time(bed: Bed) {
    bed.submit(Draft { run_at: Some(BEGIN.plus(60_000)), ..noop() }).await;
    assert_eq!(bed.queue.promote().await.unwrap().next, Some(BEGIN.plus(60_000)));
    assert!(bed.claim(1).await.is_empty());
    bed.clock.advance(59_999);
    assert_eq!(bed.queue.promote().await.unwrap().promoted, 0);
    bed.clock.advance(1);
    assert_eq!(bed.queue.promote().await.unwrap().promoted, 1);
    assert_eq!(bed.claim(1).await.len(), 1);
}

async fn a_success_keeps_result_and_history(bed: Bed) {
    let id = bed.submit(noop()).await.id;
    let task = bed.claim(1).await.remove(0);
    bed.clock.advance(250);
    report(&bed, &task, success()).await;
    let task = bed.get(id).await;
    assert_eq!((task.status, task.attempt, task.progress.percent), (Status::Success, 1, 100.0));
    assert_eq!(task.result.unwrap().get(), r#"{"done": 1}"#);
    assert_eq!((task.lease, task.finished_at), (None, Some(BEGIN.plus(250))));
    assert_eq!(bed.events(id).await, ["queued", "started", "succeeded"]);
    let attempts = bed.queue.attempts(&Scope::Everyone, id).await.unwrap();
    assert_eq!((attempts.len(), attempts[0].outcome), (1, Some("success")));
}

async fn a_worker_that_lost_its_lease_cannot_finish_the_task(bed: Bed) {
    let id = bed.submit(noop()).await.id;
    let stale = bed.claim(1).await.remove(0);
    bed.clock.advance(30_001);
    assert_eq!(bed.queue.rescue().await.unwrap(), 1);
    let successor = bed.claim(1).await.remove(0);
    assert_ne!(stale.lease, successor.lease);
    for outcome in [success(), failure(true), Outcome::Cancelled, Outcome::Released] {
        assert!(matches!(try_report(&bed, &stale, outcome).await, Reported::Lost));
    }
    assert_eq!(bed.get(id).await.lease, successor.lease);
    assert_eq!(bed.events(id).await, ["queued", "started", "rescued", "started"]);
}

async fn a_lapsed_lease_that_nobody_took_can_still_finish(bed: Bed) {
    let id = bed.submit(noop()).await.id;
    let task = bed.claim(1).await.remove(0);
    bed.clock.advance(60_000);
    report(&bed, &task, success()).await;
    assert_eq!(bed.queue.rescue().await.unwrap(), 0);
    assert_eq!(bed.get(id).await.status, Status::Success);
}

async fn a_report_said_twice_is_written_once(bed: Bed) {
    let id = bed.submit(noop()).await.id;
    let task = bed.claim(1).await.remove(0);
    report(&bed, &task, success()).await;
    assert!(matches!(try_report(&bed, &task, success()).await, Reported::Lost));
    assert!(matches!(try_report(&bed, &task, failure(true)).await, Reported::Lost));
    assert_eq!(bed.events(id).await, ["queued", "started", "succeeded"]);
}

async fn a_failure_waits_and_runs_again_until_its_attempts_are_used_up(bed: Bed) {
    let backoff = Backoff { jitter: false, base_seconds: 10.0, ..Backoff::default() };
    let id = bed.submit(Draft { max_attempts: 2, backoff, ..noop() }).await.id;
    report(&bed, &bed.claim(1).await[0], failure(true)).await;
    let task = bed.get(id).await;
    assert_eq!((task.status, task.phase(bed.clock.now())), (Status::Pending, "backing_off"));
    assert_eq!(task.run_at, BEGIN.plus(10_000));
    assert!(bed.claim(1).await.is_empty());
    bed.clock.advance(10_000);
    bed.queue.promote().await.unwrap();
    report(&bed, &bed.claim(1).await[0], failure(true)).await;
    let task = bed.get(id).await;
    assert_eq!((task.status, task.error.unwrap().attempt), (Status::Failed, 2));
    assert_eq!(bed.events(id).await, ["queued", "started", "retrying", "started", "failed"]);
}

async fn a_lost_worker_burns_no_attempt_but_three_end_the_task(bed: Bed) {
    let id = bed.submit(noop()).await.id;
    for loss in 1..=3 {
        assert_eq!(bed.claim(1).await.len(), 1, "loss {loss}");
        bed.clock.advance(30_001);
        assert_eq!(bed.queue.rescue().await.unwrap(), 1);
    }
    let task = bed.get(id).await;
    assert_eq!((task.status, task.failures, task.attempt), (Status::Failed, 0, 3));
    assert_eq!(task.error.unwrap().code, "worker_lost");
    let attempts = bed.queue.attempts(&Scope::Everyone, id).await.unwrap();
    assert!(attempts.iter().all(|attempt| attempt.outcome == Some("lost")), "{attempts:?}");
}

async fn a_release_burns_no_attempt(bed: Bed) {
    let id = bed.submit(noop()).await.id;
    report(&bed, &bed.claim(1).await[0], Outcome::Released).await;
    let task = bed.get(id).await;
    assert_eq!((task.status, task.failures, task.losses), (Status::Pending, 0, 0));
    assert_eq!(bed.claim(1).await.len(), 1);
    assert_eq!(bed.events(id).await, ["queued", "started", "released", "started"]);
}

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
    assert!(bed.queue.held(&[claimed.lease.unwrap()]).await.unwrap()[0].cancel_requested);
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

async fn a_beat_extends_the_lease_and_keeps_what_was_said(bed: Bed) {
    let id = bed.submit(noop()).await.id;
    let task = bed.claim(1).await.remove(0);
    bed.clock.advance(20_000);
    let progress = Some(Progress::of(1, 4, Some("one".into()), 1.0));
    let lines = vec![LogLine { at: bed.clock.now(), level: Level::Warn, message: "careful".into() }];
    let held = bed.queue.beat(&[Beat { progress, lines, ..beat(&task) }], 30_000).await.unwrap();
    assert_eq!((held.len(), held[0].cancel_requested), (1, false));
    bed.clock.advance(20_000);
    assert_eq!(bed.queue.rescue().await.unwrap(), 0);
    assert_eq!(bed.get(id).await.progress.percent, 25.0);
    let lines = bed.queue.lines(&Scope::Everyone, id, &line_query()).await.unwrap();
    assert_eq!((lines.len(), lines[0].line.message.as_str(), lines[0].attempt), (1, "careful", 1));
}

async fn a_beat_of_a_lost_lease_writes_nothing(bed: Bed) {
    let id = bed.submit(noop()).await.id;
    let stale = bed.claim(1).await.remove(0);
    bed.clock.advance(30_001);
    bed.queue.rescue().await.unwrap();
    bed.claim(1).await;
    let lines = vec![LogLine { at: bed.clock.now(), level: Level::Info, message: "late".into() }];
    let progress = Some(Progress::of(9, 10, None, 1.0));
    let held = bed.queue.beat(&[Beat { progress, lines, ..beat(&stale) }], 30_000).await.unwrap();
    assert!(held.is_empty());
    assert_eq!(bed.get(id).await.progress, Progress::default());
    assert!(bed.queue.lines(&Scope::Everyone, id, &line_query()).await.unwrap().is_empty());
}

async fn the_change_log_has_every_transition_once_in_order(bed: Bed) {
    let (first, second) = (bed.submit(noop()).await.id, bed.submit(noop()).await.id);
    for task in bed.claim(2).await {
        report(&bed, &task, success()).await;
    }
    let page = bed.queue.changes(&Scope::Everyone, 0, 4, Duration::ZERO).await.unwrap();
    assert!(page.has_more && page.entries.len() == 4);
    let rest = bed.queue.changes(&Scope::Everyone, page.next, 100, Duration::ZERO).await.unwrap();
    let all: Vec<_> = page.entries.into_iter().chain(rest.entries).collect();
    assert!(all.is_sorted_by(|a, b| a.seq < b.seq));
    for id in [first, second] {
        let of: Vec<_> = all.iter().filter(|entry| entry.task.id == id).map(|e| (e.event, e.task.status)).collect();
        let expected =
            [(Event::Queued, Status::Pending), (Event::Started, Status::Running), (Event::Succeeded, Status::Success)];
        assert_eq!(of, expected);
    }
    assert!(bed.queue.changes(&Scope::Everyone, rest.next, 100, Duration::ZERO).await.unwrap().entries.is_empty());
}

async fn counts_are_exact_whatever_happens(bed: Bed) {
    bed.submit_many((0..10).map(|_| noop()).collect(), None).await.unwrap();
    let tasks = bed.claim(4).await;
    report(&bed, &tasks[0], success()).await;
    report(&bed, &tasks[1], failure(false)).await;
    bed.queue.cancel(&Scope::Everyone, bed.submit(noop()).await.id, "me").await.unwrap();
    let before = counts(&bed).await;
    bed.queue.store().tidy(BEGIN, 0).await.unwrap();
    for counted in [before, counts(&bed).await] {
        assert_eq!(counted, [6, 2, 1, 1, 1]);
    }
}

async fn an_owner_sees_nothing_of_another(bed: Bed) {
    let id = bed.submit(noop_of("anna")).await.id;
    let berta = Scope::Owner("berta".into());
    assert!(matches!(bed.queue.get(&berta, id).await, Err(Error::NotFound)));
    assert!(matches!(bed.queue.cancel(&berta, id, "me").await, Err(Error::NotFound)));
    assert!(matches!(bed.queue.timeline(&berta, id).await, Err(Error::NotFound)));
    assert!(matches!(bed.queue.lines(&berta, id, &line_query()).await, Err(Error::NotFound)));
    assert!(matches!(bed.queue.artifacts(&berta, id).await, Err(Error::NotFound)));
    assert!(bed.queue.list(&berta, &Filter::default(), &page(Sort::CreatedDesc, 10)).await.unwrap().is_empty());
    assert!(bed.queue.changes(&berta, 0, 10, Duration::ZERO).await.unwrap().entries.is_empty());
    assert!(bed.queue.stats(&berta).await.unwrap().counts.is_empty());
    let filter = Filter { ids: Some(vec![id]), ..Filter::default() };
    assert_eq!(bed.queue.cancel_many(&berta, &filter, "me").await.unwrap().matched, 0);
    assert_eq!(bed.get(id).await.status, Status::Pending);
}

async fn a_page_shows_every_row_once_while_others_come_and_go(bed: Bed) {
    bed.submit_many((0..10).map(|_| noop()).collect(), None).await.unwrap();
    let there: Vec<Uuid> = list(&bed, Filter::default(), Sort::CreatedDesc, 100).await.iter().map(|t| t.id).collect();
    let mut shown = Vec::new();
    let mut page = page(Sort::CreatedDesc, 3);
    loop {
        let rows = bed.queue.list(&Scope::Everyone, &Filter::default(), &page).await.unwrap();
        let Some(last) = rows.last() else { break };
        page.after = Some(After { finished_at: None, id: last.id });
        shown.extend(rows.iter().map(|task| task.id));
        bed.submit(noop()).await;
    }
    assert_eq!(shown, there);
}

async fn finished_rows_are_paged_once_while_others_finish(bed: Bed) {
    bed.submit_many((0..9).map(|_| noop()).collect(), None).await.unwrap();
    let mut running = bed.claim(9).await;
    for task in running.drain(..5) {
        bed.clock.advance(1);
        report(&bed, &task, success()).await;
    }
    let mut page = page(Sort::FinishedDesc, 2);
    page.as_of = bed.clock.now();
    let mut shown = Vec::new();
    loop {
        let rows = bed.queue.list(&Scope::Everyone, &Filter::default(), &page).await.unwrap();
        let Some(last) = rows.last() else { break };
        let finished_at = last.finished_at.filter(|time| *time <= page.as_of);
        page.after = Some(After { finished_at, id: last.id });
        shown.extend(rows.iter().map(|task| task.id));
        bed.clock.advance(1);
        if let Some(task) = running.pop() {
            report(&bed, &task, success()).await;
        }
    }
    assert_eq!(shown.len(), 9);
    assert_eq!(shown.iter().collect::<HashSet<_>>().len(), 9);
}

async fn filters_find_what_they_name(bed: Bed) {
    let named = Draft { name: Some("Rechnung 100%_x".into()), tags: vec![",".into(), "blue".into()], ..noop() };
    let id = bed.submit(named).await.id;
    bed.submit(Draft { queue: "slow".into(), tags: vec!["a".into(), "b".into()], ..noop() }).await;
    let words = |text: &str| Filter { words: vec![text.into()], ..Filter::default() };
    let tag = |text: &str| Filter { tag: Some(text.into()), ..Filter::default() };
    let prefix = id.to_string().to_uppercase();
    for filter in [words("rechnung"), words("%_X"), words("blue"), words(&prefix), tag("blue"), tag(",")] {
        let found: Vec<Uuid> = list(&bed, filter.clone(), Sort::CreatedDesc, 10).await.iter().map(|t| t.id).collect();
        assert_eq!(found, [id], "{filter:?}");
    }
    for filter in
        [words("%"), words("_"), words("\\"), tag("blu"), Filter { queue: Some("x".into()), ..Filter::default() }]
    {
        let expected = usize::from(filter.words == ["%"] || filter.words == ["_"]);
        assert_eq!(list(&bed, filter.clone(), Sort::CreatedDesc, 10).await.len(), expected, "{filter:?}");
    }
    let none = Filter { ids: Some(Vec::new()), ..Filter::default() };
    assert!(list(&bed, none, Sort::CreatedDesc, 10).await.is_empty());
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

async fn concurrent_writers_lose_no_entry_for_a_reader_that_follows(bed: Bed) {
    let writers = async {
        let submit = |_| async { bed.submit_many(vec![noop(), noop()], None).await.unwrap() };
        futures_util::future::join_all((0..200).map(submit)).await;
        while let tasks @ [_, ..] = &bed.claim(5).await[..] {
            futures_util::future::join_all(tasks.iter().map(|task| report(&bed, task, success()))).await;
        }
    };
    let reader = async {
        let (mut after, mut seen) = (0, Vec::new());
        while seen.len() < 1200 {
            let page = bed.queue.changes(&Scope::Everyone, after, 50, Duration::from_secs(5)).await.unwrap();
            assert!(page.next > after, "nothing came for 5 s after {} entries", seen.len());
            after = page.next;
            seen.extend(page.entries.into_iter().map(|entry| entry.seq));
        }
        seen
    };
    let ((), seen) = tokio::join!(writers, reader);
    assert!(seen.is_sorted_by(|a, b| a < b));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_claim_each_task_once_and_a_reader_at_either_misses_no_entry() {
    let bed = Bed::postgres().await;
    let other = bed.another_node().await;
    bed.submit_many((0..400).map(|_| noop()).collect(), None).await.unwrap();
    let work = |queue: errand::queue::Queue| async move {
        let mut done = Vec::new();
        while let tasks @ [_, ..] = &queue.claim("tester", 3, &[], 30_000).await.unwrap()[..] {
            for task in tasks {
                let reported = queue.report(task, task.lease.unwrap(), &success()).await.unwrap();
                assert!(matches!(reported, Reported::Written(_)));
                done.push(task.id);
            }
        }
        done
    };
    let follow = async {
        let (mut after, mut seen) = (0, HashSet::new());
        while seen.len() < 1200 {
            let page = other.changes(&Scope::Everyone, after, 20, Duration::from_secs(5)).await.unwrap();
            assert!(page.next > after, "nothing came for 5 s after {} entries", seen.len());
            after = page.next;
            seen.extend(page.entries.into_iter().map(|entry| entry.seq));
        }
    };
    let (one, two, ()) = tokio::join!(work(bed.queue.clone()), work(other.clone()), follow);
    assert_eq!(one.iter().chain(&two).collect::<HashSet<_>>().len(), 400);
    assert_eq!(one.len() + two.len(), 400);
}

fn success() -> Outcome {
    Outcome::Success(raw(r#"{"done": 1}"#), Vec::new())
}

fn failure(retryable: bool) -> Outcome {
    Outcome::Failure { code: "broken".into(), message: "it broke".into(), retryable, retry_after_ms: None }
}

fn beat(task: &Task) -> Beat {
    Beat { id: task.id, lease: task.lease.unwrap(), attempt: task.attempt, progress: None, lines: Vec::new() }
}

fn line_query() -> errand::store::LineQuery {
    errand::store::LineQuery { limit: 100, ..Default::default() }
}

fn page(sort: Sort, limit: i64) -> Page {
    Page { sort, limit, after: None, as_of: BEGIN, full: false }
}

async fn try_report(bed: &Bed, task: &Task, outcome: Outcome) -> Reported {
    bed.queue.report(task, task.lease.unwrap(), &outcome).await.unwrap()
}

async fn report(bed: &Bed, task: &Task, outcome: Outcome) {
    assert!(matches!(try_report(bed, task, outcome).await, Reported::Written(_)));
}

async fn list(bed: &Bed, filter: Filter, sort: Sort, limit: i64) -> Vec<Task> {
    bed.queue.list(&Scope::Everyone, &filter, &page(sort, limit)).await.unwrap()
}

async fn counts(bed: &Bed) -> Vec<i64> {
    let stats = bed.queue.stats(&Scope::Everyone).await.unwrap();
    let of = |status| stats.counts.iter().filter(|count| count.status == status).map(|count| count.n).sum();
    Status::ALL.into_iter().map(of).collect()
}

async fn count(bed: &Bed, status: Status) -> i64 {
    counts(bed).await[status as usize]
}
