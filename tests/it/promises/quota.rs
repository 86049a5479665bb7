//! How much an owner may have at once.

use super::{count, report, success};
use crate::support::bed::{BEGIN, Bed, noop, noop_of};
use crate::support::on_both_databases;
use errand::queue::{Error, Queue, Quotas};
use errand::store::{File, Once};
use errand::task::{Filter, Scope, Status};
use futures_util::future::join_all;
use std::time::{Duration, Instant};
use uuid::Uuid;

on_both_databases![
    no_owner_has_more_open_tasks_than_it_may_and_no_other_is_held_back,
    what_has_ended_makes_room_within_a_second,
    a_hundred_submits_at_once_open_as_many_as_may_be,
    a_submit_that_was_heard_before_takes_no_place,
    a_retry_takes_a_place_like_a_submit,
    a_bulk_retry_opens_what_each_owner_may_have_and_says_that_there_was_more,
    two_nodes_together_go_beyond_by_what_one_opens_within_a_second,
    no_owner_stores_more_bytes_than_it_may_and_what_it_deletes_makes_room,
];

fn tasks(most: u64) -> Quotas {
    Quotas { open_tasks: Some(most), stored_bytes: None }
}

async fn submit(queue: &Queue, owner: &str, n: usize) -> Result<Option<String>, Error> {
    let prepared = queue.prepare(vec![noop_of(owner); n]).await.unwrap();
    queue.submit(prepared, None).await
}

#[track_caller]
fn is_exceeded<T>(answer: Result<T, Error>) {
    assert!(matches!(answer, Err(Error::QuotaExceeded { .. })), "{:?}", answer.err());
}

/// Tries until there is room: what ended is seen within a second.
async fn until_there_is_room<T>(mut act: impl AsyncFnMut() -> Result<T, Error>) -> T {
    let until = Instant::now() + Duration::from_secs(10);
    loop {
        match act().await {
            Err(Error::QuotaExceeded { .. }) => {
                assert!(Instant::now() < until, "there is no room after 10 s");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            done => return done.unwrap(),
        }
    }
}

async fn no_owner_has_more_open_tasks_than_it_may_and_no_other_is_held_back(bed: Bed) {
    let bed = bed.limited(tasks(3));
    submit(&bed.queue, "alice", 2).await.unwrap();
    is_exceeded(submit(&bed.queue, "alice", 2).await);
    assert_eq!(count(&bed, Status::Pending).await, 2, "nothing of what was refused is there");
    submit(&bed.queue, "alice", 1).await.unwrap();
    is_exceeded(submit(&bed.queue, "alice", 1).await);
    is_exceeded(submit(&bed.queue, "bob", 4).await);
    submit(&bed.queue, "bob", 3).await.unwrap();
    assert_eq!(count(&bed, Status::Pending).await, 6);
}

async fn what_has_ended_makes_room_within_a_second(bed: Bed) {
    let bed = bed.limited(tasks(2));
    submit(&bed.queue, "alice", 2).await.unwrap();
    let running = bed.claim(1).await.remove(0);
    // Seen anew, it is still open.
    is_exceeded(submit(&bed.limited_node(tasks(2)), "alice", 1).await);
    report(&bed, &running, success()).await;
    until_there_is_room(async || submit(&bed.queue, "alice", 1).await).await;
    is_exceeded(submit(&bed.queue, "alice", 1).await);
    assert_eq!(count(&bed, Status::Pending).await, 2);
}

async fn a_hundred_submits_at_once_open_as_many_as_may_be(bed: Bed) {
    let bed = bed.limited(tasks(10));
    let answers = join_all((0..100).map(|_| submit(&bed.queue, "alice", 1))).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 10);
    answers.into_iter().filter(Result::is_err).for_each(is_exceeded);
    assert_eq!(count(&bed, Status::Pending).await, 10);
}

async fn a_submit_that_was_heard_before_takes_no_place(bed: Bed) {
    let bed = bed.limited(tasks(3));
    let once = || {
        let (owner, route, key) = ("default".into(), "submit".into(), "k".into());
        Some(Once { owner, route, key, fingerprint: "f".into(), answer: "a".into() })
    };
    assert_eq!(bed.submit_many(vec![noop()], once()).await.unwrap(), None);
    for _ in 0..10 {
        assert_eq!(bed.submit_many(vec![noop()], once()).await.unwrap().as_deref(), Some("a"));
    }
    bed.submit_many(vec![noop(), noop()], None).await.unwrap();
    assert_eq!(bed.submit_many(vec![noop()], once()).await.unwrap().as_deref(), Some("a"), "also where none is left");
    let another = once().map(|once| Once { fingerprint: "g".into(), ..once });
    assert!(matches!(bed.submit_many(vec![noop()], another).await, Err(Error::KeyReused)));
    let unheard = once().map(|once| Once { key: "l".into(), ..once });
    is_exceeded(bed.submit_many(vec![noop()], unheard).await);
    assert_eq!(count(&bed, Status::Pending).await, 3);
}

async fn a_retry_takes_a_place_like_a_submit(bed: Bed) {
    let bed = bed.limited(tasks(1));
    let first = bed.submit(noop()).await.id;
    bed.queue.cancel(&Scope::Everyone, first, "me").await.unwrap();
    until_there_is_room(async || submit(&bed.queue, "default", 1).await).await;
    is_exceeded(bed.queue.retry(&Scope::Everyone, first, "me").await);
    assert_eq!(bed.get(first).await.status, Status::Cancelled);
    bed.claim(1).await;
    is_exceeded(bed.queue.retry(&Scope::Everyone, first, "me").await);
    let queue = bed.limited_node(tasks(2));
    assert_eq!(queue.retry(&Scope::Everyone, first, "me").await.unwrap().status, Status::Pending);
}

async fn a_bulk_retry_opens_what_each_owner_may_have_and_says_that_there_was_more(bed: Bed) {
    for (owner, n) in [("alice", 5), ("bob", 2)] {
        submit(&bed.queue, owner, n).await.unwrap();
    }
    let everything = Filter::default();
    bed.queue.cancel_many(&Scope::Everyone, &everything, "me").await.unwrap();
    let bed = bed.limited(tasks(3));
    is_exceeded(bed.queue.retry_many(&Scope::Everyone, &everything, "me").await);
    let open = async |owner: &str| {
        let counts = bed.queue.stats(&Scope::Owner(owner.to_owned())).await.unwrap().counts;
        counts.iter().filter(|count| count.status == Status::Pending).map(|count| count.n).sum::<i64>()
    };
    assert_eq!((open("alice").await, open("bob").await), (3, 2));
}

async fn two_nodes_together_go_beyond_by_what_one_opens_within_a_second(bed: Bed) {
    let (one, other) = (bed.limited_node(tasks(50)), bed.limited_node(tasks(50)));
    // Both have looked.
    for node in [&one, &other] {
        submit(node, "alice", 1).await.unwrap();
    }
    join_all((0..100).map(|n| submit(if n % 2 == 0 { &one } else { &other }, "alice", 1))).await;
    let open = count(&bed, Status::Pending).await;
    assert!((50..=100).contains(&open), "{open}");
    // Each sees the other's soon.
    let until = Instant::now() + Duration::from_secs(10);
    while submit(&one, "alice", 1).await.is_ok() || submit(&other, "alice", 1).await.is_ok() {
        assert!(Instant::now() < until, "they do not see each other's");
    }
    assert!(count(&bed, Status::Pending).await <= 100);
}

async fn no_owner_stores_more_bytes_than_it_may_and_what_it_deletes_makes_room(bed: Bed) {
    let bed = bed.limited(Quotas { open_tasks: None, stored_bytes: Some(100) });
    let id = Uuid::now_v7();
    let file = File {
        id,
        owner: "alice".to_owned(),
        name: "a".to_owned(),
        bytes: 60,
        content_type: "text/plain".to_owned(),
        sha256: "0".repeat(64),
        location: format!("uploads/{id}"),
        created_at: BEGIN,
    };
    let room = async |owner, bytes| bed.queue.room(owner, bytes).await;
    let taken = room("alice", 70).await.unwrap();
    is_exceeded(room("alice", 31).await.map(drop)); // while it comes in
    room("bob", 100).await.unwrap().give_back();
    bed.queue.add_file(file).await.unwrap();
    taken.used(60);
    is_exceeded(room("alice", 41).await.map(drop));
    let mut rest = room("alice", 30).await.unwrap();
    rest.grow(10).await.unwrap();
    is_exceeded(rest.grow(1).await);
    assert_eq!(rest.size(), 40);
    rest.give_back();
    is_exceeded(bed.limited_node(bed.queue.quotas()).room("alice", 41).await.map(drop));
    bed.queue.remove_file(&Scope::Owner("alice".to_owned()), id).await.unwrap();
    // At the next reading, which is now.
    until_there_is_room(async || room("alice", 100).await).await.give_back();
    submit(&bed.queue, "alice", 1_000).await.unwrap();
}
