//! Clocks that jump, and clocks that are wrong.

use crate::promises::{beat, report, success, try_report};
use crate::support::bed::{BEGIN, Bed, noop, open};
use crate::support::http::Service;
use crate::support::on_both_databases;
use errand::clock::Clock;
use errand::queue::{Queue, Reported};
use errand::task::{Draft, Scope, Status};
use errand::worker;
use serde_json::Value;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

on_both_databases![
    a_clock_set_forward_takes_each_running_task_once_and_its_worker_writes_nothing_more,
    a_clock_set_back_takes_no_lease_and_is_late_by_no_more_than_that,
    a_clock_set_back_shortens_no_lease,
];

const MINUTES: i64 = 10 * 60_000;
const DAY: i64 = 24 * 3_600_000;
const HOUR: i64 = 3_600_000;

async fn a_clock_set_forward_takes_each_running_task_once_and_its_worker_writes_nothing_more(bed: Bed) {
    for jump in [MINUTES, DAY] {
        bed.submit_many((0..20).map(|_| noop()).collect(), None).await.unwrap();
        let running = bed.claim(20).await;
        bed.clock.advance(jump);
        assert_eq!(bed.queue.rescue().await.unwrap(), 20, "{jump}");
        assert_eq!(bed.queue.rescue().await.unwrap(), 0, "{jump}");
        let again = bed.claim(50).await;
        assert_eq!(again.len(), 20, "{jump}");
        for task in &running {
            assert!(matches!(try_report(&bed, task, success()).await, Reported::Lost), "{jump}");
        }
        for task in &again {
            assert_eq!((task.attempt, task.losses, task.failures), (2, 1, 0), "{jump}");
            report(&bed, task, success()).await;
        }
    }
}

async fn a_clock_set_back_takes_no_lease_and_is_late_by_no_more_than_that(bed: Bed) {
    for jump in [MINUTES, DAY] {
        let begin = bed.clock.now();
        let running = bed.submit(noop()).await.id;
        assert_eq!(bed.claim(1).await[0].id, running);
        let due = bed.submit(Draft { run_at: Some(begin.plus(5_000)), ..noop() }).await.id;
        bed.clock.advance(-jump);
        // What is submitted now starts now.
        let fresh = bed.submit(noop()).await.id;
        assert_eq!(bed.claim(5).await.iter().map(|task| task.id).collect::<Vec<_>>(), [fresh], "{jump}");
        bed.clock.advance(jump + 4_999);
        bed.queue.promote().await.unwrap();
        assert!(bed.claim(5).await.is_empty(), "{jump}: too early");
        bed.clock.advance(1);
        bed.queue.promote().await.unwrap();
        assert_eq!(bed.claim(5).await.iter().map(|task| task.id).collect::<Vec<_>>(), [due], "{jump}");
        // The lease of the first ends when it would have; that of the one claimed meanwhile has long ended.
        assert_eq!(bed.queue.rescue().await.unwrap(), 1, "{jump}");
        assert_eq!(bed.get(running).await.status, Status::Running, "{jump}");
        bed.clock.advance(25_000);
        assert_eq!(bed.queue.rescue().await.unwrap(), 1, "{jump}");
        assert_eq!(bed.get(running).await.status, Status::Pending, "{jump}");
        bed.queue.cancel_many(&Scope::Everyone, &Default::default(), "me").await.unwrap();
        bed.clock.advance(60_000);
        bed.queue.rescue().await.unwrap();
    }
}

async fn a_clock_set_back_shortens_no_lease(bed: Bed) {
    let id = bed.submit(noop()).await.id;
    let task = bed.claim(1).await.remove(0);
    bed.clock.advance(-HOUR);
    assert_eq!(bed.queue.beat(&[beat(&task)], 30_000).await.unwrap().len(), 1);
    assert_eq!(bed.get(id).await.lease_until, Some(BEGIN.plus(30_000)));
    report(&bed, &task, success()).await;
}

/// What callers and charts are told lasts no less than nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_duration_is_negative_though_the_clock_goes_back_all_the_time() {
    for service in Service::both_by_hand().await {
        let (queue, clock) = (&service.queue, service.queue.clock());
        let id = service.submit(serde_json::json!({ "type": "noop", "max_attempts": 2 })).await;
        for _ in 0..2 {
            clock.advance(-MINUTES);
            let task = queue.claim("tester", 1, &[], 30_000, false).await.unwrap().remove(0);
            clock.advance(-MINUTES);
            let lease = task.lease.unwrap();
            queue.report(&task, lease, &crate::promises::failure(true)).await.unwrap();
            clock.advance(DAY);
            queue.promote().await.unwrap();
            clock.advance(-DAY);
        }
        let below = ["", "/attempts", "/timeline", "/explain"].map(|below| format!("/api/tasks/{id}{below}"));
        let others = ["/api/stats", "/api/stats/timeseries", "/api/tasks/", "/api/tasks/changes"].map(str::to_owned);
        for path in below.iter().chain(&others) {
            not_negative(path, &service.get(path).await.ok());
        }
        let metrics = service.get("/metrics").await;
        let text = String::from_utf8(metrics.body.to_vec()).unwrap();
        let negative = text.lines().find(|line| line.rsplit(' ').next().is_some_and(|value| value.starts_with('-')));
        assert_eq!(negative, None);
    }
}

/// No number in an answer is below zero, but for a priority, which may be.
fn not_negative(path: &str, value: &Value) {
    match value {
        Value::Number(number) => assert!(number.as_f64().unwrap() >= 0.0, "{path}: {number}"),
        Value::Array(items) => items.iter().for_each(|item| not_negative(path, item)),
        Value::Object(members) => {
            let others = members.iter().filter(|(name, _)| *name != "priority");
            others.for_each(|(name, member)| not_negative(&format!("{path} {name}"), member));
        }
        _ => {}
    }
}

/// On Postgres a node's own clock does not matter: the janitor sets it by the database's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_whose_clock_is_an_hour_off_gives_right_leases() {
    for off in [HOUR, -HOUR, 30 * DAY] {
        let bed = Bed::postgres().await;
        let clock = Clock::system();
        clock.follow(clock.now().plus(off));
        let files = bed.queue.file_store().clone();
        let queue = Queue::open(open(&bed.url).await, clock, bed.queue.types().clone(), files);
        let stop = CancellationToken::new();
        let janitor = tokio::spawn(worker::keep(queue.clone(), Default::default(), true, stop.clone()));
        let (store, until) = (queue.store().clone(), Instant::now() + Duration::from_secs(20));
        while (queue.clock().now().0 - store.now().await.unwrap().0).abs() > MINUTES {
            assert!(Instant::now() < until, "{off}: the clock was not set");
            tokio::task::yield_now().await;
        }
        let prepared = queue.prepare(vec![noop()]).await.unwrap();
        queue.submit(prepared, None).await.unwrap();
        // The database's time before and after; a second for what the clocks may differ.
        let before = store.now().await.unwrap();
        let task = queue.claim("tester", 1, &[], 30_000, false).await.unwrap().remove(0);
        let after = store.now().await.unwrap();
        let until = task.lease_until.unwrap();
        assert!(before.plus(29_000) <= until && until <= after.plus(31_000), "{off}: {before} {until} {after}");
        stop.cancel();
        janitor.await.unwrap();
    }
}
