//! Notifications: the ends of an owner's tasks, once each, and what it has seen of them.

use super::{failure, report, success};
use crate::support::bed::{Bed, DatabaseUrl, noop_of};
use crate::support::on_both_databases;
use errand::queue::notifications::{MOST_UNREAD, Mark, Notification, Unread, Wanted, Watcher};
use errand::queue::{Error, Queue};
use errand::task::notification::MAX_MUTED;
use errand::task::{Draft, Mute, Place, Scope, Status, Task};
use futures_util::future::join_all;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::time::timeout;

on_both_databases![
    each_end_of_an_owners_tasks_is_one_notification_and_of_others_none,
    a_task_that_is_retried_is_told_of_again_once_it_ends_again,
    what_is_read_stays_read_and_what_is_unread_again_is_counted,
    what_is_cleared_is_shown_no_more_and_what_ends_later_is,
    what_is_muted_is_neither_shown_nor_counted_until_it_is_no_more,
    pages_lose_none_and_double_none_while_others_end,
    unread_ones_are_counted_exactly_up_to_a_hundred,
    an_owner_with_few_ends_among_many_of_another_finds_them,
    many_who_mark_at_once_lose_no_mark,
    what_is_marked_so_already_is_not_written,
    what_is_marked_at_one_node_is_told_at_another,
    while_nobody_watches_nothing_is_asked,
];

/// Ends a task of this owner, a moment after the one before.
async fn end(bed: &Bed, draft: Draft, outcome: Status) -> Task {
    bed.clock.advance(10);
    let task = bed.submit(draft).await;
    if outcome == Status::Cancelled {
        return bed.queue.cancel(&Scope::Everyone, task.id, "tester").await.unwrap();
    }
    let claimed = bed.claim(1).await.remove(0);
    let outcome = if outcome == Status::Success { success() } else { failure(false) };
    report(bed, &claimed, outcome).await;
    bed.get(task.id).await
}

async fn ends(bed: &Bed, owner: &str, n: usize) -> Vec<Place> {
    let mut places = Vec::new();
    for _ in 0..n {
        places.push(Place::of(&end(bed, noop_of(owner), Status::Cancelled).await).unwrap());
    }
    places
}

async fn all_of(queue: &Queue, owner: &str, unread: bool) -> Vec<Notification> {
    let marks = queue.marks(owner).await.unwrap();
    let wanted = Wanted { unread, limit: 500, after: None, as_of: queue.clock().now() };
    let page = queue.notifications(owner, &marks, &wanted).await.unwrap();
    assert_eq!(page.next, None);
    page.found
}

/// Newest first.
async fn places(bed: &Bed, owner: &str, unread: bool) -> Vec<Place> {
    all_of(&bed.queue, owner, unread).await.into_iter().map(|one| one.place).collect()
}

async fn unread(queue: &Queue, owner: &str) -> Unread {
    queue.unread(owner, &queue.marks(owner).await.unwrap()).await.unwrap()
}

async fn mark(bed: &Bed, owner: &str, mark: Mark) {
    bed.queue.mark(owner, &mark).await.unwrap();
}

async fn each_end_of_an_owners_tasks_is_one_notification_and_of_others_none(bed: Bed) {
    let mut ended = Vec::new();
    for status in [Status::Success, Status::Failed, Status::Cancelled] {
        ended.insert(0, end(&bed, noop_of("alice"), status).await);
        end(&bed, noop_of("bob"), status).await;
    }
    bed.submit(noop_of("alice")).await;
    let told = all_of(&bed.queue, "alice", false).await;
    let pairs = |tasks: &mut dyn Iterator<Item = &Task>| {
        tasks.map(|task| (task.id, task.status, task.finished_at)).collect::<Vec<_>>()
    };
    assert_eq!(pairs(&mut told.iter().map(|one| &one.task)), pairs(&mut ended.iter()));
    assert!(told.iter().all(|one| !one.read && Place::of(&one.task) == Some(one.place)));
    assert!(places(&bed, "carol", false).await.is_empty());
    // What one marks is one's own.
    mark(&bed, "alice", Mark::ClearUpTo(None)).await;
    assert_eq!((places(&bed, "alice", false).await.len(), places(&bed, "bob", true).await.len()), (0, 3));
}

async fn a_task_that_is_retried_is_told_of_again_once_it_ends_again(bed: Bed) {
    let first = end(&bed, noop_of("alice"), Status::Failed).await;
    mark(&bed, "alice", Mark::ReadUpTo(None)).await;
    bed.queue.retry(&Scope::Everyone, first.id, "tester").await.unwrap();
    assert!(places(&bed, "alice", false).await.is_empty());
    bed.clock.advance(5);
    let claimed = bed.claim(1).await.remove(0);
    report(&bed, &claimed, success()).await;
    let again = places(&bed, "alice", true).await;
    assert_eq!(again, [Place::of(&bed.get(first.id).await).unwrap()]);
    assert_ne!(again[0], Place::of(&first).unwrap());
}

async fn what_is_read_stays_read_and_what_is_unread_again_is_counted(bed: Bed) {
    let all = ends(&bed, "alice", 6).await;
    let unread_now = async || {
        let mut left = places(&bed, "alice", true).await;
        left.reverse();
        let counted = unread(&bed.queue, "alice").await;
        assert_eq!(counted, Unread { n: left.len() as i64, more: false });
        left
    };
    for _ in 0..2 {
        mark(&bed, "alice", Mark::These(vec![all[4]], true)).await;
        assert_eq!(unread_now().await, [&all[..4], &all[5..]].concat());
    }
    for _ in 0..2 {
        mark(&bed, "alice", Mark::ReadUpTo(Some(all[2]))).await;
        assert_eq!(unread_now().await, [all[3], all[5]]);
    }
    mark(&bed, "alice", Mark::These(vec![all[0], all[4]], false)).await;
    assert_eq!(unread_now().await, [all[0], all[3], all[4], all[5]]);
    let late = ends(&bed, "alice", 1).await;
    mark(&bed, "alice", Mark::ReadUpTo(None)).await;
    assert_eq!(unread_now().await, []);
    let later = ends(&bed, "alice", 1).await;
    assert_eq!((unread_now().await, places(&bed, "alice", false).await.len()), (later, 8));
    // A mark that lies ahead marks nothing that has not ended.
    let ahead = Place { at: late[0].at.plus(1_000_000), ..late[0] };
    mark(&bed, "alice", Mark::ReadUpTo(Some(ahead))).await;
    assert_eq!(unread_now().await, []);
    let last = ends(&bed, "alice", 1).await;
    assert_eq!(unread_now().await, last);
}

async fn what_is_cleared_is_shown_no_more_and_what_ends_later_is(bed: Bed) {
    let all = ends(&bed, "alice", 4).await;
    for _ in 0..2 {
        mark(&bed, "alice", Mark::ClearUpTo(Some(all[1]))).await;
        assert_eq!(places(&bed, "alice", false).await, [all[3], all[2]]);
    }
    mark(&bed, "alice", Mark::These(vec![all[0]], false)).await;
    assert_eq!(places(&bed, "alice", true).await, [all[3], all[2]], "what is cleared does not come back");
    mark(&bed, "alice", Mark::ClearUpTo(None)).await;
    assert_eq!(unread(&bed.queue, "alice").await, Unread { n: 0, more: false });
    let later = ends(&bed, "alice", 1).await;
    assert_eq!(places(&bed, "alice", false).await, later);
}

async fn what_is_muted_is_neither_shown_nor_counted_until_it_is_no_more(bed: Bed) {
    let slow = || Draft { queue: "slow".to_owned(), ..noop_of("alice") };
    let in_slow = Place::of(&end(&bed, slow(), Status::Cancelled).await).unwrap();
    let failed = Place::of(&end(&bed, noop_of("alice"), Status::Failed).await).unwrap();
    let done = Place::of(&end(&bed, noop_of("alice"), Status::Success).await).unwrap();
    let by_queue = vec![Mute::Queue("slow".into())];
    let by_end = vec![Mute::Status(Status::Success), Mute::Status(Status::Cancelled)];
    let by_type = vec![Mute::Type("noop".into())];
    let all = [done, failed, in_slow];
    for (muted, left) in [(by_queue, &all[..2]), (by_end, &all[1..2]), (by_type, &[])] {
        for _ in 0..2 {
            mark(&bed, "alice", Mark::Mute(muted.clone(), vec![])).await;
            assert_eq!(places(&bed, "alice", false).await, left, "{muted:?}");
            assert_eq!(unread(&bed.queue, "alice").await, Unread { n: left.len() as i64, more: false });
        }
        mark(&bed, "alice", Mark::Mute(vec![], muted)).await;
        assert_eq!(places(&bed, "alice", false).await, all);
    }
    let every_end = [Status::Success, Status::Failed, Status::Cancelled].map(Mute::Status);
    mark(&bed, "alice", Mark::Mute(every_end.to_vec(), vec![])).await;
    assert!(places(&bed, "alice", false).await.is_empty());
    let many = (0..MAX_MUTED).map(|n| Mute::Queue(n.to_string())).collect();
    assert!(matches!(bed.queue.mark("alice", &Mark::Mute(many, vec![])).await, Err(Error::TooManyMuted)));
    assert_eq!(bed.queue.marks("alice").await.unwrap().muted, every_end);
}

async fn pages_lose_none_and_double_none_while_others_end(bed: Bed) {
    let mut expected = ends(&bed, "alice", 23).await;
    expected.reverse();
    let as_of = bed.clock.now();
    for unread in [false, true] {
        let (marks, mut found, mut after) = (bed.queue.marks("alice").await.unwrap(), Vec::new(), None);
        loop {
            let wanted = Wanted { unread, limit: 5, after, as_of };
            let page = bed.queue.notifications("alice", &marks, &wanted).await.unwrap();
            assert!(page.found.len() <= 5);
            found.extend(page.found.into_iter().map(|one| one.place));
            ends(&bed, "alice", 2).await;
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(found, expected);
    }
}

async fn unread_ones_are_counted_exactly_up_to_a_hundred(bed: Bed) {
    let all = ends(&bed, "alice", MOST_UNREAD as usize).await;
    assert_eq!(unread(&bed.queue, "alice").await, Unread { n: MOST_UNREAD, more: false });
    ends(&bed, "alice", 1).await;
    assert_eq!(unread(&bed.queue, "alice").await, Unread { n: MOST_UNREAD, more: true });
    mark(&bed, "alice", Mark::ReadUpTo(Some(all[60]))).await;
    mark(&bed, "alice", Mark::These(vec![all[3]], false)).await;
    assert_eq!(unread(&bed.queue, "alice").await, Unread { n: MOST_UNREAD - 59, more: false });
}

async fn an_owner_with_few_ends_among_many_of_another_finds_them(bed: Bed) {
    let few = ends(&bed, "alice", 3).await;
    let drafts = (0..1_200).map(|_| noop_of("bob")).collect();
    bed.submit_many(drafts, None).await.unwrap();
    bed.queue.cancel_many(&Scope::Everyone, &Default::default(), "tester").await.unwrap();
    let found = places(&bed, "alice", false).await;
    assert_eq!(found.into_iter().rev().collect::<Vec<_>>(), few);
    assert_eq!(unread(&bed.queue, "alice").await, Unread { n: 3, more: false });
    assert_eq!(unread(&bed.queue, "bob").await, Unread { n: MOST_UNREAD, more: true });
}

async fn many_who_mark_at_once_lose_no_mark(bed: Bed) {
    let all = ends(&bed, "alice", 8).await;
    let other = elsewhere(&bed).await;
    let read = all.iter().enumerate().map(async |(n, place)| {
        let queue = if n % 2 == 0 { &bed.queue } else { &other };
        queue.mark("alice", &Mark::These(vec![*place], true)).await.unwrap();
        queue.mark("alice", &Mark::Mute(vec![Mute::Queue(n.to_string())], vec![])).await.unwrap();
    });
    join_all(read).await;
    assert_eq!(unread(&other, "alice").await, Unread { n: 0, more: false });
    let marks = bed.queue.marks("alice").await.unwrap();
    assert_eq!((marks.muted.len(), marks.version), (8, 16), "each was written once");
}

async fn what_is_marked_so_already_is_not_written(bed: Bed) {
    let all = ends(&bed, "alice", 2).await;
    let muted = vec![Mute::Type("demo".into())];
    let marks = [
        Mark::These(vec![all[1]], true),
        Mark::ReadUpTo(Some(all[0])),
        Mark::ClearUpTo(Some(all[0])),
        Mark::Mute(muted, vec![Mute::Queue("x".into())]),
    ];
    for one in marks {
        let written = bed.queue.mark("alice", &one).await.unwrap();
        assert_eq!(bed.queue.mark("alice", &one).await.unwrap(), written, "{one:?}");
    }
    assert_eq!(bed.queue.marks("alice").await.unwrap().version, 4);
}

/// Another node where there can be one.
async fn elsewhere(bed: &Bed) -> Queue {
    match bed.url {
        DatabaseUrl::Sqlite(_) => bed.queue.clone(),
        DatabaseUrl::Postgres(_) => bed.another_node().await,
    }
}

async fn told(watcher: &mut Watcher) -> Arc<errand::task::Marks> {
    timeout(Duration::from_secs(20), watcher.changed()).await.expect("it is told within 20 s")
}

async fn what_is_marked_at_one_node_is_told_at_another(bed: Bed) {
    let other = elsewhere(&bed).await;
    let mut watchers = [other.watch_marks("alice").await.unwrap(), bed.queue.watch_marks("alice").await.unwrap()];
    let mut bobs = other.watch_marks("bob").await.unwrap();
    // A node hears others once its session listens: what is said before that is made up for then.
    for n in 1..=5 {
        let muted = vec![Mute::Queue(n.to_string())];
        let marks = bed.queue.mark("alice", &Mark::Mute(muted, vec![])).await.unwrap();
        for watcher in &mut watchers {
            assert_eq!(*told(watcher).await, marks);
            assert_eq!(*watcher.marks(), marks);
        }
    }
    let marks = bed.queue.mark("bob", &Mark::ReadUpTo(None)).await.unwrap();
    assert_eq!(*told(&mut bobs).await, marks, "the first thing it hears");
}

async fn while_nobody_watches_nothing_is_asked(bed: Bed) {
    assert!(!bed.queue.are_marks_watched());
    for _ in 0..2 {
        let watchers = [bed.queue.watch_marks("alice").await.unwrap(), bed.queue.watch_marks("bob").await.unwrap()];
        assert!(bed.queue.are_marks_watched());
        let [first, second] = watchers;
        drop(first);
        bed.queue.mark("bob", &Mark::ReadUpTo(None)).await.unwrap();
        assert!(bed.queue.are_marks_watched());
        drop(second);
        let until = Instant::now() + Duration::from_secs(10);
        while bed.queue.are_marks_watched() {
            assert!(Instant::now() < until, "somebody still listens to other nodes");
            tokio::task::yield_now().await;
        }
    }
}
