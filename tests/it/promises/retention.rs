//! What retention deletes, and what it never does.

use super::{beat, counts, failure, report, success};
use crate::support::bed::{BEGIN, Bed, DatabaseUrl, noop, raw};
use crate::support::on_both_databases;
use crate::support::raw::Raw;
use errand::config::VerifyArgs;
use errand::files::{of_attempt, of_task};
use errand::queue::{Error, Kept, Progress, Queue, Retention};
use errand::store::{Beat, Inspect, Made, Postgres, Save, Sqlite};
use errand::task::{Artifact, Draft, Outcome, Scope, Status, Task};
use errand::types::{Level, LogLine};
use errand::verify;
use std::time::Duration;

on_both_databases![
    what_was_kept_long_enough_goes_with_everything_of_it_and_all_agrees,
    a_task_that_waits_or_runs_is_never_deleted_however_old,
    each_end_has_its_own_time,
    a_reader_of_the_log_behind_what_is_gone_is_told,
    a_long_history_goes_piece_by_piece_and_the_counters_follow,
    nothing_goes_where_nothing_is_said,
];

const DAY: Duration = Duration::from_secs(24 * 3600);

fn days(success: Option<u32>, failed: Option<u32>, cancelled: Option<u32>) -> Retention {
    let [success, failed, cancelled] = [success, failed, cancelled].map(|days| days.map(|days| DAY * days));
    Retention { success, failed, cancelled, activity: None }
}

async fn prune(queue: &Queue, retention: &Retention) -> i64 {
    queue.prune(retention, &mut Progress::default()).await.unwrap()
}

fn later(bed: &Bed, days: u32) {
    bed.clock.advance((DAY * days).as_millis() as i64 + 1);
}

async fn what_was_kept_long_enough_goes_with_everything_of_it_and_all_agrees(bed: Bed) {
    bed.submit_many(vec![noop(), noop(), noop()], None).await.unwrap();
    let [old, saved, kept] = <[Task; 3]>::try_from(bed.claim(3).await).unwrap();
    for task in [&old, &saved] {
        say(&bed, task).await;
        save(&bed, task).await;
    }
    report(&bed, &old, Outcome::Success(raw("{}"), vec![put(&bed, &old)])).await;
    put(&bed, &saved);
    report(&bed, &saved, failure(false)).await;
    later(&bed, 1);
    report(&bed, &kept, Outcome::Success(raw("{}"), vec![put(&bed, &kept)])).await;

    assert_eq!(prune(&bed.queue, &days(Some(1), Some(1), None)).await, 2);
    for gone in [&old, &saved] {
        assert!(matches!(bed.queue.get(&Scope::Everyone, gone.id).await, Err(Error::NotFound)));
        assert!(!bed.path(&of_task(gone.id)).exists(), "its files went");
    }
    assert_eq!(bed.get(kept.id).await.status, Status::Success);
    assert!(bed.path(&of_task(kept.id)).exists());
    assert_eq!(counts(&bed).await, [0, 0, 1, 0, 0]);
    let mut raw = Raw::open(&bed.url).await;
    for table in ["changes", "log_lines", "checkpoints", "artifacts"] {
        let of = raw.texts(&format!("SELECT CAST(count(*) AS text) FROM {table}")).await;
        let expected = match table {
            "changes" => "3",
            "artifacts" => "1",
            _ => "0",
        };
        assert_eq!(of, [expected], "{table}");
    }
    assert_agrees(&bed).await;
}

async fn a_task_that_waits_or_runs_is_never_deleted_however_old(bed: Bed) {
    let retried = bed.submit(noop()).await.id;
    report(&bed, &bed.claim(1).await[0], failure(false)).await;
    bed.submit_many(vec![noop(), noop()], None).await.unwrap();
    bed.submit(Draft { run_at: Some(BEGIN.plus(1_000)), ..noop() }).await;
    bed.claim(1).await;
    // It had finished, and waits again.
    bed.queue.retry(&Scope::Everyone, retried, "me").await.unwrap();
    later(&bed, 1_000);
    assert_eq!(prune(&bed.queue, &days(Some(1), Some(1), Some(1))).await, 0);
    assert_eq!(counts(&bed).await, [3, 1, 0, 0, 0]);
    assert_eq!(bed.events(retried).await, ["queued", "started", "failed", "retried"]);
}

async fn each_end_has_its_own_time(bed: Bed) {
    bed.submit_many((0..2).map(|_| noop()).collect(), None).await.unwrap();
    let tasks = bed.claim(2).await;
    report(&bed, &tasks[0], success()).await;
    report(&bed, &tasks[1], failure(false)).await;
    let cancelled = bed.submit(noop()).await.id;
    bed.queue.cancel(&Scope::Everyone, cancelled, "me").await.unwrap();
    let (retention, mut progress) = (days(Some(2), Some(3), None), Progress::default());
    for (passed, left) in [(1, [1, 1, 1]), (1, [0, 1, 1]), (1, [0, 0, 1]), (1_000, [0, 0, 1])] {
        later(&bed, passed);
        bed.queue.prune(&retention, &mut progress).await.unwrap();
        assert_eq!(counts(&bed).await[2..], left);
    }
    assert_agrees(&bed).await;
}

async fn a_reader_of_the_log_behind_what_is_gone_is_told(bed: Bed) {
    bed.submit(noop()).await;
    report(&bed, &bed.claim(1).await[0], success()).await;
    let read = bed.queue.changes(&Scope::Everyone, 0, 2, Duration::ZERO).await.unwrap();
    later(&bed, 1);
    let kept = bed.submit(noop()).await.id;
    assert_eq!(prune(&bed.queue, &days(Some(1), None, None)).await, 1);
    let behind = bed.queue.changes(&Scope::Everyone, read.next, 10, Duration::ZERO).await;
    let Err(Error::SequenceExpired(start)) = behind else { panic!("{behind:?}") };
    let on = bed.queue.changes(&Scope::Everyone, start, 10, Duration::ZERO).await.unwrap();
    assert_eq!(on.entries.iter().map(|entry| entry.task.id).collect::<Vec<_>>(), [kept]);
    // The store itself gives nothing out that has a gap.
    assert!(bed.queue.store().changes(&Scope::Everyone, start - 1, 10).await.unwrap().is_empty());
}

async fn a_long_history_goes_piece_by_piece_and_the_counters_follow(bed: Bed) {
    let begin = BEGIN.plus(-10 * DAY.as_millis() as i64);
    let made = Made { numbers: 0..4_000, begin, step_micros: 10 * DAY.as_micros() as i64 / 4_000 };
    bed.queue.store().fill(&made).await.unwrap();
    assert_agrees(&bed).await;
    let gone = prune(&bed.queue, &days(Some(5), Some(5), Some(5))).await;
    assert!((1_990..=2_010).contains(&gone), "{gone}");
    assert_eq!(counts(&bed).await.iter().sum::<i64>(), 4_000 - gone);
    assert_agrees(&bed).await;
    bed.queue.store().tidy(BEGIN, 0).await.unwrap();
    assert_agrees(&bed).await;
}

async fn nothing_goes_where_nothing_is_said(bed: Bed) {
    bed.submit(noop()).await;
    report(&bed, &bed.claim(1).await[0], success()).await;
    later(&bed, 10_000);
    assert_eq!(prune(&bed.queue, &Retention::default()).await, 0);
    assert_eq!(counts(&bed).await, [0, 0, 1, 0, 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sqlite_file_shrinks_with_what_is_deleted() {
    let bed = Bed::sqlite().await;
    let mut raw = Raw::open(&bed.url).await;
    let mut pages =
        async || raw.texts("SELECT CAST(page_count AS text) FROM pragma_page_count").await[0].parse().unwrap();
    let begin = BEGIN.plus(-10 * DAY.as_millis() as i64);
    bed.queue.store().fill(&Made { numbers: 0..40_000, begin, step_micros: 1_000 }).await.unwrap();
    let before: i64 = pages().await;
    let days = days(Some(5), Some(5), Some(5));
    assert_eq!(prune(&bed.queue, &days).await, 40_000);
    let after: i64 = pages().await;
    assert!(before > 3_000 && after < before / 2, "{after} pages of {before}");
    bed.submit(noop()).await;
    assert_agrees(&bed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_that_delete_at_once_delete_each_task_once() {
    let bed = Bed::postgres().await;
    let begin = BEGIN.plus(-10 * DAY.as_millis() as i64);
    bed.queue.store().fill(&Made { numbers: 0..5_000, begin, step_micros: 1_000 }).await.unwrap();
    let (other, retention) = (bed.another_node().await, days(Some(5), Some(5), Some(5)));
    let mut gone = 0;
    // One that finds the other at it has nothing to do, and comes again.
    while gone < 5_000 {
        let (one, two) = tokio::join!(prune(&bed.queue, &retention), prune(&other, &retention));
        gone += one + two;
    }
    assert_eq!((gone, counts(&bed).await), (5_000, vec![0; 5]));
    assert_agrees(&bed).await;
    other.store().close().await;
}

/// Whether everything that is kept twice agrees; the files here were made past their hashes.
async fn assert_agrees(bed: &Bed) {
    let mut beside: Box<dyn Inspect> = match &bed.url {
        DatabaseUrl::Sqlite(path) => Box::new(Sqlite::beside(path).await.unwrap()),
        DatabaseUrl::Postgres(url) => Box::new(Postgres::beside(url).await.unwrap()),
    };
    let args = VerifyArgs { no_files: true, ..VerifyArgs::default() };
    let report = verify::verify(&mut *beside, None, &args).await.unwrap();
    assert!(report.agrees, "{:?}", report.differences);
}

/// A file of the task's attempt, made past its worker.
fn put(bed: &Bed, task: &Task) -> Artifact {
    let location = format!("{}/file", of_attempt(task.id, task.lease.unwrap()));
    std::fs::create_dir_all(bed.path(&location).parent().unwrap()).unwrap();
    std::fs::write(bed.path(&location), "x").unwrap();
    Artifact { name: "file".into(), bytes: 1, content_type: "text/plain".into(), sha256: String::new(), location }
}

async fn say(bed: &Bed, task: &Task) {
    let line = LogLine { at: bed.clock.now(), level: Level::Info, message: "said".into() };
    let beats = [Beat { lines: vec![line], ..beat(task) }];
    bed.queue.beat(&beats, 30_000).await.unwrap();
}

async fn save(bed: &Bed, task: &Task) {
    let (name, data) = ("done".to_owned(), raw("1"));
    let save = Save { id: task.id, lease: task.lease.unwrap(), attempt: task.attempt, name, data };
    assert_eq!(bed.queue.save(save).await.unwrap(), Kept::Written);
}
