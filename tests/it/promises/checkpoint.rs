//! What checkpoints promise.

use super::{failure, report, success};
use crate::support::bed::{Bed, DatabaseUrl, noop, raw};
use crate::support::on_both_databases;
use errand::queue::{Error, Kept};
use errand::store::Save;
use errand::task::{Draft, Outcome, Scope, Status, Task};
use futures_util::future::join_all;
use sqlx::{Connection, Executor, PgConnection};

on_both_databases![
    the_next_attempt_gets_what_was_last_saved_under_each_name,
    a_first_attempt_has_no_checkpoints,
    a_checkpoint_under_a_lost_lease_writes_nothing,
    a_late_checkpoint_never_replaces_a_successors_however_they_race,
    many_attempts_save_at_once_and_each_gets_its_own,
    checkpoints_stay_over_a_failure_a_release_a_loss_a_cancel_and_a_retry,
    checkpoints_go_with_the_success,
    three_lost_workers_in_a_row_end_a_task_but_not_while_each_saves_work,
    a_checkpoint_beyond_a_limit_is_refused_and_changes_nothing,
];

fn save(task: &Task, name: &str, data: &str) -> Save {
    Save { id: task.id, lease: task.lease.unwrap(), attempt: task.attempt, name: name.into(), data: raw(data) }
}

async fn keep(bed: &Bed, task: &Task, name: &str, data: &str) {
    assert_eq!(bed.queue.save(save(task, name, data)).await.unwrap(), Kept::Written);
}

/// The one task's next attempt, and what it finds: `name=data` with the attempt that saved it.
async fn next(bed: &Bed) -> (Task, Vec<String>) {
    let task = bed.claim(1).await.remove(0);
    let found = bed.queue.checkpoints(std::slice::from_ref(&task)).await.unwrap();
    assert!(found.iter().all(|checkpoint| checkpoint.task == task.id));
    let words = found.iter().map(|found| format!("{}={} of {}", found.name, found.data.get(), found.attempt));
    (task, words.collect())
}

async fn release(bed: &Bed, task: &Task) {
    report(bed, task, Outcome::Released).await;
}

async fn the_next_attempt_gets_what_was_last_saved_under_each_name(bed: Bed) {
    bed.submit(noop()).await;
    let (task, _) = next(&bed).await;
    keep(&bed, &task, "mails", "17").await;
    keep(&bed, &task, "part.1", r#"{"at": 1.50}"#).await;
    keep(&bed, &task, "mails", "18").await;
    release(&bed, &task).await;
    let (task, found) = next(&bed).await;
    assert_eq!(found, ["mails=18 of 1", r#"part.1={"at": 1.50} of 1"#], "byte for byte");
    keep(&bed, &task, "mails", "19").await;
    release(&bed, &task).await;
    assert_eq!(next(&bed).await.1[0], "mails=19 of 2");
}

async fn a_first_attempt_has_no_checkpoints(bed: Bed) {
    bed.submit(noop()).await;
    assert_eq!(next(&bed).await.1, Vec::<String>::new());
}

async fn a_checkpoint_under_a_lost_lease_writes_nothing(bed: Bed) {
    bed.submit(noop()).await;
    let (stale, _) = next(&bed).await;
    keep(&bed, &stale, "at", "1").await;
    bed.clock.advance(30_001);
    bed.queue.rescue().await.unwrap();
    assert_eq!(bed.queue.save(save(&stale, "at", "2")).await.unwrap(), Kept::Lost, "nobody has it");
    let (successor, _) = next(&bed).await;
    for name in ["at", "other"] {
        assert_eq!(bed.queue.save(save(&stale, name, "3")).await.unwrap(), Kept::Lost, "another has it");
    }
    release(&bed, &successor).await;
    assert_eq!(next(&bed).await.1, ["at=1 of 1"]);
}

async fn a_late_checkpoint_never_replaces_a_successors_however_they_race(bed: Bed) {
    // Another node where there can be one, so that the two meet in the database and not before.
    let other = match bed.url {
        DatabaseUrl::Sqlite(_) => bed.queue.clone(),
        DatabaseUrl::Postgres(_) => bed.another_node().await,
    };
    let id = bed.submit(noop()).await.id;
    let mut late = bed.claim(1).await.remove(0);
    for round in 0..50 {
        let last_word = other.save(save(&late, "at", "\"late\""));
        let take_over = async {
            release(&bed, &late).await;
            let successor = loop {
                // A claim passes a row by that the late one has locked at this moment.
                match bed.claim(1).await.pop() {
                    Some(task) => break task,
                    None => tokio::task::yield_now().await,
                }
            };
            keep(&bed, &successor, "at", &round.to_string()).await;
            successor
        };
        let (last_word, successor) = tokio::join!(last_word, take_over);
        last_word.unwrap();
        let found = bed.queue.store().checkpoints(&[id]).await.unwrap().remove(0);
        assert_eq!((found.data.get(), found.attempt), (round.to_string().as_str(), successor.attempt));
        late = successor;
    }
}

async fn many_attempts_save_at_once_and_each_gets_its_own(bed: Bed) {
    bed.submit_many((0..200).map(|_| noop()).collect(), None).await.unwrap();
    let tasks = bed.claim(200).await;
    let (bed, own) = (&bed, |task: &Task| format!("\"{}\"", task.id));
    join_all(tasks.iter().map(|task| async move { keep(bed, task, "id", &own(task)).await })).await;
    join_all(tasks.iter().map(|task| release(bed, task))).await;
    let again = bed.claim(200).await;
    let found = bed.queue.checkpoints(&again).await.unwrap();
    assert_eq!(found.len(), 200);
    assert!(found.iter().all(|found| found.data.get() == format!("\"{}\"", found.task)));
}

async fn three_lost_workers_in_a_row_end_a_task_but_not_while_each_saves_work(bed: Bed) {
    let lose = async |saves: bool| {
        let (task, _) = next(&bed).await;
        if saves {
            keep(&bed, &task, "sent-0", "{}").await;
        }
        bed.clock.advance(30_001);
        assert_eq!(bed.queue.rescue().await.unwrap(), 1);
        bed.get(task.id).await
    };
    bed.submit(Draft { r#type: "email_sending".to_owned(), ..noop() }).await;
    for _ in 0..5 {
        assert_eq!(lose(true).await.status, Status::Pending);
    }
    assert_eq!((lose(false).await.losses, lose(true).await.losses), (2, 1));
    lose(false).await;
    let ended = lose(false).await;
    assert_eq!((ended.status, ended.error.unwrap().code.as_str()), (Status::Failed, "worker_lost"));
    // Of a type whose checkpoints are no work done, each loss counts.
    bed.submit(noop()).await;
    let states = [lose(true).await.status, lose(true).await.status, lose(true).await.status];
    assert_eq!(states, [Status::Pending, Status::Pending, Status::Failed]);
}

async fn checkpoints_stay_over_a_failure_a_release_a_loss_a_cancel_and_a_retry(bed: Bed) {
    let id = bed.submit(Draft { max_attempts: 2, ..noop() }).await.id;
    let (task, _) = next(&bed).await;
    keep(&bed, &task, "at", "1").await;
    report(&bed, &task, failure(true)).await;
    bed.clock.advance(3_600_000);
    bed.queue.promote().await.unwrap();
    let (task, _) = next(&bed).await;
    release(&bed, &task).await;
    next(&bed).await;
    bed.clock.advance(30_001);
    bed.queue.rescue().await.unwrap();
    let (task, _) = next(&bed).await;
    report(&bed, &task, failure(false)).await;
    assert_eq!(bed.get(id).await.status, Status::Failed);
    bed.queue.retry(&Scope::Everyone, id, "me").await.unwrap();
    bed.queue.cancel(&Scope::Everyone, id, "me").await.unwrap();
    bed.queue.retry(&Scope::Everyone, id, "me").await.unwrap();
    assert_eq!(next(&bed).await.1, ["at=1 of 1"]);
}

async fn checkpoints_go_with_the_success(bed: Bed) {
    bed.submit_many(vec![noop(), noop()], None).await.unwrap();
    let tasks = bed.claim(2).await;
    for task in &tasks {
        keep(&bed, task, "at", "1").await;
    }
    report(&bed, &tasks[0], success()).await;
    let left = bed.queue.store().checkpoints(&[tasks[0].id, tasks[1].id]).await.unwrap();
    assert_eq!(left.iter().map(|left| left.task).collect::<Vec<_>>(), [tasks[1].id]);
    assert_eq!(bed.queue.save(save(&tasks[0], "at", "2")).await.unwrap(), Kept::Lost);
}

async fn a_checkpoint_beyond_a_limit_is_refused_and_changes_nothing(bed: Bed) {
    bed.submit(noop()).await;
    let (task, _) = next(&bed).await;
    let text = |bytes: usize| format!("\"{}\"", "x".repeat(bytes - 2));
    let (largest, too_large) = (text(1024 * 1024), text(1024 * 1024 + 1));
    keep(&bed, &task, "n0", &largest).await;
    for n in 1..100 {
        keep(&bed, &task, &format!("n{n}"), "1").await;
    }
    keep(&bed, &task, "n99", "2").await;
    for (name, data) in [("n100", "1"), ("n/1", "1"), ("", "1"), ("n0", &*too_large)] {
        let refused = bed.queue.save(save(&task, name, data)).await;
        assert!(matches!(refused, Err(Error::InvalidCheckpoint(_))), "{name}: {refused:?}");
    }
    release(&bed, &task).await;
    let (_, found) = next(&bed).await;
    assert_eq!((found.len(), found[0].len()), (100, largest.len() + "n0= of 1".len()));
    assert!(found.contains(&"n99=2 of 1".to_owned()));
}

/// What [`a_late_checkpoint_never_replaces_a_successors_however_they_race`] would have to be lucky for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_checkpoint_that_waited_while_its_lease_went_is_not_written() {
    let bed = Bed::postgres().await;
    bed.submit(noop()).await;
    let (late, _) = next(&bed).await;
    keep(&bed, &late, "at", "1").await;
    // A successor that is about to commit what it took over and saved.
    let DatabaseUrl::Postgres(url) = &bed.url else { unreachable!() };
    let mut successor = PgConnection::connect(url).await.unwrap();
    successor
        .execute("BEGIN; UPDATE tasks SET lease = gen_random_uuid(); UPDATE checkpoints SET data = '2'")
        .await
        .unwrap();
    let (queue, save) = (bed.queue.clone(), save(&late, "at", "\"late\""));
    let saved = tokio::spawn(async move { queue.save(save).await });
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let mut watch = PgConnection::connect(url).await.unwrap();
    while sqlx::query_scalar::<_, i64>(waits).fetch_one(&mut watch).await.unwrap() == 0 {
        assert!(!saved.is_finished(), "it did not wait");
        tokio::task::yield_now().await;
    }
    successor.execute("COMMIT").await.unwrap();
    assert_eq!(saved.await.unwrap().unwrap(), Kept::Lost);
    assert_eq!(bed.queue.store().checkpoints(&[late.id]).await.unwrap()[0].data.get(), "2");
}
