//! Who did what, told as it is written down: once, in order, whichever node wrote it and however late.

use crate::support::bed::{Bed, DatabaseUrl};
use crate::support::on_both_databases;
use crate::support::raw::Raw;
use errand::queue::Queue;
use errand::queue::activity::feed::{Follower, Heard, Interest, Loss};
use errand::task::{Action, Activity, ActivityFilter, Ending, Scope};
use futures_util::future::join_all;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};
use uuid::Uuid;

on_both_databases![
    entries_of_all_nodes_are_told_once_and_in_the_same_order_at_each,
    an_entry_that_is_written_later_than_younger_ones_is_told_too,
    whoever_goes_on_behind_an_entry_hears_what_it_missed_and_nothing_twice,
    whoever_is_too_far_back_or_names_no_entry_it_may_see_is_told_and_hears_what_comes,
    an_entry_is_told_to_whoever_may_see_it_and_wants_it,
    while_nobody_follows_the_activity_is_not_read,
    when_all_is_deleted_the_last_entry_stays_and_what_comes_is_told,
    a_database_of_an_earlier_state_is_told_as_a_loss,
    what_cannot_be_read_is_read_once_it_can,
];

fn everything() -> Interest {
    Interest { scope: Scope::Everyone, categories: Vec::new(), actions: Vec::new(), outcomes: Vec::new() }
}

/// Of this owner, about this.
fn entry(owner: &str, target: impl ToString) -> Activity {
    let (owner, target) = (Some(owner.to_owned()), Some(target.to_string()));
    Activity { owner, target, ..Activity::new(Action::TaskCancelled, Ending::Done) }
}

/// Notes these, and writes them in one go.
async fn write(queue: &Queue, entries: impl IntoIterator<Item = Activity>) {
    entries.into_iter().for_each(|entry| queue.journal().note(entry));
    assert!(queue.journal().settle().await);
}

/// Another node where there can be one.
async fn elsewhere(bed: &Bed) -> Queue {
    match bed.url {
        DatabaseUrl::Sqlite(_) => bed.queue.clone(),
        DatabaseUrl::Postgres(_) => bed.another_node().await,
    }
}

async fn hear(follower: &mut Follower) -> Heard {
    timeout(Duration::from_secs(20), follower.next()).await.expect("something is told within 20 s")
}

async fn told(follower: &mut Follower) -> Activity {
    match hear(follower).await {
        Heard::Entry(told) => told.entry.clone(),
        lost => panic!("{lost:?}"),
    }
}

/// The targets of the next `n`.
async fn targets(follower: &mut Follower, n: usize) -> Vec<String> {
    let mut targets = Vec::new();
    while targets.len() < n {
        targets.push(told(follower).await.target.unwrap());
    }
    targets
}

fn numbers(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|n| n.to_string()).collect()
}

/// The first thing about this in the list.
async fn id_of(bed: &Bed, target: &str) -> Uuid {
    let filter = ActivityFilter { target: Some(target.to_owned()), ..ActivityFilter::default() };
    bed.queue.activity(&Scope::Everyone, &filter, None, 1).await.unwrap().entries[0].id
}

async fn entries_of_all_nodes_are_told_once_and_in_the_same_order_at_each(bed: Bed) {
    let nodes = [bed.queue.clone(), elsewhere(&bed).await, elsewhere(&bed).await];
    let mut followers = Vec::new();
    for node in &nodes {
        followers.push(node.follow_activity(everything(), None).await.unwrap());
    }
    let writing = nodes.iter().enumerate().map(|(n, node)| async move {
        for piece in 0..40 {
            write(node, (0..5).map(|at| entry("a", format!("{n} {piece} {at}")))).await;
        }
    });
    let writing = join_all(writing);
    let hearing = join_all(followers.iter_mut().map(|follower| targets(follower, 3 * 40 * 5)));
    let (_, heard) = tokio::join!(writing, hearing);
    assert_eq!(heard[0], heard[1]);
    assert_eq!(heard[0], heard[2]);
    let mut once = heard[0].clone();
    once.sort_unstable();
    once.dedup();
    assert_eq!(once.len(), 3 * 40 * 5);
    // Of one node they come as they happened there.
    let of_first: Vec<_> = heard[0].iter().filter(|target| target.starts_with("0 ")).cloned().collect();
    let written: Vec<_> = (0..40).flat_map(|piece| (0..5).map(move |at| format!("0 {piece} {at}"))).collect();
    assert_eq!(of_first, written);
}

async fn an_entry_that_is_written_later_than_younger_ones_is_told_too(bed: Bed) {
    let other = match bed.url {
        // Another process could not be there: the same one's entry, made before and written behind.
        DatabaseUrl::Sqlite(_) => Queue::open(
            bed.queue.store().clone(),
            bed.clock.clone(),
            errand::types::Types::builtin(),
            bed.queue.file_store().clone(),
        ),
        DatabaseUrl::Postgres(_) => bed.another_node().await,
    };
    let mut follower = bed.queue.follow_activity(everything(), None).await.unwrap();
    other.journal().note(entry("a", "early"));
    bed.clock.advance(3_600_000);
    write(&bed.queue, [entry("a", "late")]).await;
    assert_eq!(targets(&mut follower, 1).await, ["late"]);
    assert!(other.journal().settle().await);
    assert_eq!(targets(&mut follower, 1).await, ["early"]);
    assert!(id_of(&bed, "early").await < id_of(&bed, "late").await);
}

async fn whoever_goes_on_behind_an_entry_hears_what_it_missed_and_nothing_twice(bed: Bed) {
    // More than is kept in memory.
    for piece in 0..4 {
        write(&bed.queue, (0..700).map(|n| entry("a", piece * 700 + n))).await;
    }
    let node = elsewhere(&bed).await;
    let mut at = id_of(&bed, "9").await;
    let (mut heard, mut step) = (10, 0);
    while heard < 2_900 {
        // By chance it breaks off within what it has missed or what comes live.
        let n = rand::random_range(1..400).min(2_900 - heard);
        if heard + n > 2_800 && step == 0 {
            step = 1;
            write(&bed.queue, (2_800..2_900).map(|n| entry("a", n))).await;
        }
        let mut follower = node.follow_activity(everything(), Some(at)).await.unwrap();
        for expected in numbers(heard..heard + n) {
            let entry = told(&mut follower).await;
            assert_eq!(entry.target, Some(expected));
            at = entry.id;
        }
        heard += n;
    }
}

async fn whoever_is_too_far_back_or_names_no_entry_it_may_see_is_told_and_hears_what_comes(bed: Bed) {
    write(&bed.queue, [entry("alice", "alices"), entry("bob", "bobs")]).await;
    let (alices, bobs) = (id_of(&bed, "alices").await, id_of(&bed, "bobs").await);
    let alice = Interest { scope: Scope::Owner("alice".to_owned()), ..everything() };
    for nobodys in [bobs, Uuid::nil(), Uuid::now_v7()] {
        let mut follower = bed.queue.follow_activity(alice.clone(), Some(nobodys)).await.unwrap();
        assert!(matches!(hear(&mut follower).await, Heard::Lost(Loss::Unknown)));
        write(&bed.queue, [entry("alice", "next")]).await;
        while told(&mut follower).await.target.as_deref() != Some("next") {}
    }
    for piece in 0..2 {
        write(&bed.queue, (0..5_000).map(|n| entry("bob", piece * 5_000 + n))).await;
    }
    let mut follower = bed.queue.follow_activity(alice, Some(alices)).await.unwrap();
    assert!(matches!(hear(&mut follower).await, Heard::Lost(Loss::Behind)));
    write(&bed.queue, [entry("alice", "last")]).await;
    while told(&mut follower).await.target.as_deref() != Some("last") {}
}

async fn an_entry_is_told_to_whoever_may_see_it_and_wants_it(bed: Bed) {
    let refused = Activity { owner: Some("alice".to_owned()), ..Activity::new(Action::TaskCancelled, Ending::Refused) };
    let systems = Activity::new(Action::NodeStarted, Ending::Done);
    let made = Activity { owner: Some("bob".to_owned()), ..Activity::new(Action::KeyCreated, Ending::Done) };
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let of = |owner: &str| Interest { scope: Scope::Owner(owner.to_owned()), ..everything() };
    let interests = [
        (everything(), "task.cancelled task.cancelled node.started key.created"),
        (of("alice"), "task.cancelled task.cancelled"),
        (of("bob"), "key.created"),
        (Interest { categories: words(&["node", "key"]), ..everything() }, "node.started key.created"),
        (Interest { actions: words(&["key.created"]), ..everything() }, "key.created"),
        (Interest { outcomes: words(&["refused"]), ..everything() }, "task.cancelled"),
        (Interest { outcomes: words(&["done"]), ..of("alice") }, "task.cancelled"),
    ];
    let mut followers = Vec::new();
    for (interest, expected) in interests {
        let follower = bed.queue.follow_activity(interest, None).await.unwrap();
        followers.push((follower, expected));
    }
    write(&bed.queue, [entry("alice", 1), refused, systems, made]).await;
    let mut heard = Vec::new();
    for (follower, expected) in &mut followers {
        let mut actions = Vec::new();
        for _ in expected.split(' ') {
            actions.push(told(follower).await.action);
        }
        actions.sort_unstable();
        let mut expected: Vec<_> = expected.split(' ').collect();
        expected.sort_unstable();
        assert_eq!(actions, expected);
        heard.push(timeout(Duration::ZERO, follower.next()).await.is_err());
    }
    assert!(heard.into_iter().all(|nothing_more| nothing_more));
}

async fn while_nobody_follows_the_activity_is_not_read(bed: Bed) {
    write(&bed.queue, [entry("a", 1)]).await;
    assert!(!bed.queue.is_activity_followed());
    for round in 0..3 {
        let mut followers = Vec::new();
        for _ in 0..3 {
            followers.push(bed.queue.follow_activity(everything(), None).await.unwrap());
        }
        write(&bed.queue, [entry("a", round)]).await;
        for mut follower in followers {
            assert!(bed.queue.is_activity_followed());
            assert_eq!(targets(&mut follower, 1).await, [round.to_string()], "and nothing from before");
        }
        let until = Instant::now() + Duration::from_secs(10);
        while bed.queue.is_activity_followed() {
            assert!(Instant::now() < until, "all have left");
            sleep(Duration::from_millis(5)).await;
        }
        write(&bed.queue, [entry("a", "nobody hears it")]).await;
    }
}

async fn when_all_is_deleted_the_last_entry_stays_and_what_comes_is_told(bed: Bed) {
    write(&bed.queue, (0..50).map(|n| entry("a", n))).await;
    let mut follower = bed.queue.follow_activity(everything(), Some(id_of(&bed, "48").await)).await.unwrap();
    assert_eq!(targets(&mut follower, 1).await, ["49"]);
    bed.clock.advance(2_000);
    // Of what is deleted one entry tells, and that is the next to be the last.
    assert_eq!(bed.queue.prune_activity(Duration::from_secs(1)).await.unwrap(), 49);
    assert!(bed.queue.journal().settle().await);
    assert_eq!(told(&mut follower).await.action, "activity.pruned");
    bed.clock.advance(2_000);
    assert_eq!(bed.queue.prune_activity(Duration::from_secs(1)).await.unwrap(), 1);
    assert!(bed.queue.journal().settle().await);
    assert_eq!(told(&mut follower).await.action, "activity.pruned");
    write(&bed.queue, [entry("a", "next")]).await;
    assert_eq!(targets(&mut follower, 1).await, ["next"]);
}

async fn a_database_of_an_earlier_state_is_told_as_a_loss(bed: Bed) {
    write(&bed.queue, (0..50).map(|n| entry("a", n))).await;
    let mut follower = bed.queue.follow_activity(everything(), None).await.unwrap();
    Raw::open(&bed.url).await.execute("DELETE FROM activity WHERE seq > 20").await;
    assert!(matches!(hear(&mut follower).await, Heard::Lost(Loss::Behind)));
    write(&bed.queue, [entry("a", "next")]).await;
    assert_eq!(targets(&mut follower, 1).await, ["next"]);
}

async fn what_cannot_be_read_is_read_once_it_can(bed: Bed) {
    for piece in 0..2 {
        write(&bed.queue, (0..1_000).map(|n| entry("a", piece * 1_000 + n))).await;
    }
    let mut follower = bed.queue.follow_activity(everything(), Some(id_of(&bed, "0").await)).await.unwrap();
    assert_eq!(targets(&mut follower, 50).await, numbers(1..51));
    let mut raw = Raw::open(&bed.url).await;
    raw.execute("ALTER TABLE activity RENAME TO hidden").await;
    // What it has taken already comes, then nothing.
    assert_eq!(targets(&mut follower, 50).await, numbers(51..101));
    assert!(timeout(Duration::from_millis(200), follower.next()).await.is_err());
    raw.execute("ALTER TABLE hidden RENAME TO activity").await;
    assert_eq!(targets(&mut follower, 1_899).await, numbers(101..2_000));
}

#[tokio::test]
async fn while_a_write_is_not_committed_none_overtakes_it() {
    let bed = Bed::postgres().await;
    let other = bed.another_node().await;
    let mut follower = other.follow_activity(everything(), None).await.unwrap();
    let mut raw = Raw::open(&bed.url).await;
    // As a node writes that knows of no numbers.
    raw.execute(
        "BEGIN; INSERT INTO activity (id, at, node, category, action, outcome, target, count)
                VALUES (gen_random_uuid(), 0, 'old', 'task', 'task.cancelled', 'done', 'first', 1)",
    )
    .await;
    let queue = bed.queue.clone();
    let second = tokio::spawn(async move { write(&queue, [entry("a", "second")]).await });
    let waits = "SELECT count(*)::text FROM pg_locks WHERE locktype = 'advisory' AND NOT granted";
    let mut watch = Raw::open(&bed.url).await;
    let until = Instant::now() + Duration::from_secs(10);
    while watch.texts(waits).await == ["0"] {
        assert!(Instant::now() < until, "the second write waits for the first one's end");
    }
    raw.execute("COMMIT").await;
    second.await.unwrap();
    assert_eq!(targets(&mut follower, 2).await, ["first", "second"]);
}
