//! What claims, leases and reports promise.

use super::{beat, count, failure, line_query, report, success, try_report};
use crate::support::bed::{BEGIN, Bed, DatabaseUrl, noop, raw};
use crate::support::on_both_databases;
use errand::queue::Reported;
use errand::store::Beat;
use errand::task::{Artifact, Backoff, Draft, Outcome, Progress, Scope, Status, Task};
use errand::types::{Level, LogLine};
use std::collections::HashSet;
use std::time::{Duration, Instant};
use uuid::Uuid;

on_both_databases![
    a_claim_gives_out_at_most_what_was_asked_by_priority_then_time,
    no_task_is_claimed_twice,
    a_claim_that_waits_gets_the_tasks_that_come_under_leases_from_then,
    a_claim_that_waits_in_vain_is_given_nothing,
    a_task_does_not_start_before_its_time,
    a_success_keeps_result_and_history,
    a_worker_that_lost_its_lease_cannot_finish_the_task,
    a_lapsed_lease_that_nobody_took_can_still_finish,
    a_report_said_twice_is_written_once,
    a_report_that_cannot_be_written_fails_alone,
    a_failure_waits_and_runs_again_until_its_attempts_are_used_up,
    a_lost_worker_burns_no_attempt_but_three_end_the_task,
    what_was_claimed_ahead_and_has_not_begun_is_no_loss,
    a_task_that_takes_its_workers_down_is_found_out_among_those_claimed_ahead,
    a_release_burns_no_attempt,
    a_beat_extends_the_lease_and_keeps_what_was_said,
    a_beat_of_a_lost_lease_writes_nothing,
];

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

async fn a_claim_that_waits_gets_the_tasks_that_come_under_leases_from_then(bed: Bed) {
    let written = bed.queue.store().written().await.unwrap().commits;
    let wait = async {
        bed.queue.events().until_ready().await;
        true
    };
    let claim = bed.queue.claim_next("tester", 4, &[], 30_000, Box::pin(wait));
    let submit = async {
        bed.clock.advance(5_000);
        (Instant::now(), bed.submit(noop()).await)
    };
    // The claim is the first to be asked how far it is, so it stands by when the task comes.
    let (claimed, (before, task)) = tokio::join!(claim, submit);
    let (made, claimed) = claimed.unwrap();
    assert!(made >= before);
    assert_eq!(claimed.iter().map(|task| task.id).collect::<Vec<_>>(), [task.id]);
    let running = bed.get(task.id).await;
    assert_eq!((running.status, running.lease_until), (Status::Running, Some(BEGIN.plus(35_000))));
    assert_eq!(bed.events(task.id).await, ["queued", "started"]);
    assert_eq!(count(&bed, Status::Running).await, 1);
    if matches!(bed.url, DatabaseUrl::Sqlite(_)) {
        assert_eq!(bed.queue.store().written().await.unwrap().commits - written, 1, "one commit for both");
    }
}

async fn a_claim_that_waits_in_vain_is_given_nothing(bed: Bed) {
    let task = bed.submit(noop()).await;
    let ended = Box::pin(std::future::ready(false));
    assert!(bed.queue.claim_next("tester", 4, &[], 30_000, ended).await.unwrap().1.is_empty());
    assert_eq!(bed.get(task.id).await.status, Status::Pending);
    let over = Box::pin(std::future::ready(true));
    assert_eq!(bed.queue.claim_next("tester", 4, &[], 30_000, over).await.unwrap().1.len(), 1);
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
    assert!(matches!(try_report(&bed, &task, success()).await, Reported::Written(_)));
    assert!(matches!(try_report(&bed, &task, failure(true)).await, Reported::Lost));
    assert_eq!(bed.queue.fenced(), 1);
    assert_eq!(bed.events(id).await, ["queued", "started", "succeeded"]);
}

async fn a_report_that_cannot_be_written_fails_alone(bed: Bed) {
    bed.submit_many((0..40).map(|_| noop()).collect(), None).await.unwrap();
    let claimed = bed.claim(40).await;
    let file = |task: &Task| {
        let (name, sha256, location) = ("a".to_owned(), "0".repeat(64), format!("artifacts/{}/a", task.id));
        Artifact { name, bytes: 1, content_type: "text/plain".to_owned(), sha256, location }
    };
    // The twentieth names one output file twice, which the database refuses.
    let outcomes: Vec<Outcome> =
        (0..40).map(|n| Outcome::Success(raw("{}"), vec![file(&claimed[n]); if n == 20 { 2 } else { 1 }])).collect();
    let reports = claimed.iter().zip(&outcomes).map(|(task, how)| bed.queue.report(task, task.lease.unwrap(), how));
    let answers = futures_util::future::join_all(reports).await;
    let failed: Vec<usize> = (0..40).filter(|n| answers[*n].is_err()).collect();
    assert_eq!(failed, [20]);
    assert_eq!((count(&bed, Status::Success).await, count(&bed, Status::Running).await), (39, 1));
    assert_eq!(bed.events(claimed[20].id).await, ["queued", "started"]);
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

async fn claim_ahead(bed: &Bed) -> Task {
    bed.queue.claim("tester", 1, &[], 30_000, true).await.unwrap().remove(0)
}

async fn lose(bed: &Bed, task: &Task) -> Task {
    bed.clock.advance(30_001);
    assert_eq!(bed.queue.rescue().await.unwrap(), 1);
    bed.get(task.id).await
}

async fn what_was_claimed_ahead_and_has_not_begun_is_no_loss(bed: Bed) {
    let id = bed.submit(noop()).await.id;
    for _ in 0..5 {
        let task = claim_ahead(&bed).await;
        let after = lose(&bed, &task).await;
        assert_eq!((after.status, after.losses, after.ahead), (Status::Pending, 0, false));
    }
    // What beats has begun.
    let task = claim_ahead(&bed).await;
    bed.queue.beat(&[beat(&task)], 30_000).await.unwrap();
    assert_eq!(lose(&bed, &task).await.losses, 1);
    // What is not claimed ahead begins at once.
    let task = bed.claim(1).await.remove(0);
    assert_eq!((task.id, lose(&bed, &task).await.losses), (id, 2));
}

/// It dies before its first beat; a worker says of those that were claimed before that they begin.
async fn a_task_that_takes_its_workers_down_is_found_out_among_those_claimed_ahead(bed: Bed) {
    bed.submit(noop()).await;
    let mut after = bed.submit(noop()).await;
    let innocent = claim_ahead(&bed).await;
    report(&bed, &innocent, success()).await;
    for loss in 0..=3 {
        assert_eq!((after.status, after.losses), (Status::Pending, (loss - 1).max(0)));
        let task = claim_ahead(&bed).await;
        assert_eq!(task.is_suspect(), loss > 0);
        assert!(bed.queue.begin(&task, 30_000).await.unwrap());
        after = lose(&bed, &task).await;
    }
    assert_eq!((after.status, after.error.unwrap().code.as_str()), (Status::Failed, "worker_lost"));
    // One that nobody holds any more does not begin.
    let stale = Task { ahead: true, lease: Some(Uuid::new_v4()), attempt: 9, ..innocent };
    assert!(!bed.queue.begin(&stale, 30_000).await.unwrap());
}

async fn a_release_burns_no_attempt(bed: Bed) {
    let id = bed.submit(noop()).await.id;
    report(&bed, &bed.claim(1).await[0], Outcome::Released).await;
    let task = bed.get(id).await;
    assert_eq!((task.status, task.failures, task.losses), (Status::Pending, 0, 0));
    assert_eq!(bed.claim(1).await.len(), 1);
    assert_eq!(bed.events(id).await, ["queued", "started", "released", "started"]);
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_claim_each_task_once_and_a_reader_at_either_misses_no_entry() {
    let bed = Bed::postgres().await;
    let other = bed.another_node().await;
    bed.submit_many((0..400).map(|_| noop()).collect(), None).await.unwrap();
    let work = |queue: errand::queue::Queue| async move {
        let mut done = Vec::new();
        while let tasks @ [_, ..] = &queue.claim("tester", 3, &[], 30_000, false).await.unwrap()[..] {
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
