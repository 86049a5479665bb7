//! Who did what, on its way to the database.

use crate::support::bed::{Bed, noop};
use crate::support::on_both_databases;
use crate::support::raw::Raw;
use errand::task::{Action, Activity, ActivityFilter, Ending, Scope};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

on_both_databases![
    ten_thousand_submits_are_a_few_entries_that_count_each_of_them,
    what_cannot_be_written_is_written_once_when_it_can,
    what_there_is_no_room_for_is_counted_and_told,
    an_entry_goes_once_it_was_kept_long_enough,
    an_entry_is_never_changed,
    a_rare_entry_is_found_behind_many_in_pieces_that_end_soon,
    what_the_system_did_stands_there,
];

fn submitted() -> Activity {
    Activity { owner: Some("alice".to_owned()), ..Activity::new(Action::TaskSubmitted, Ending::Done) }
}

fn cancelled(target: usize) -> Activity {
    Activity { target: Some(target.to_string()), ..Activity::new(Action::TaskCancelled, Ending::Done) }
}

async fn written(bed: &Bed) -> Vec<Activity> {
    let piece = bed.queue.activity(&Scope::Everyone, &ActivityFilter::default(), None, 20_000).await.unwrap();
    piece.entries
}

async fn ten_thousand_submits_are_a_few_entries_that_count_each_of_them(bed: Bed) {
    let (journal, stop) = (bed.queue.journal().clone(), CancellationToken::new());
    let keeping = tokio::spawn({
        let (journal, stop) = (journal.clone(), stop.clone());
        async move { journal.keep(stop).await }
    });
    let begun = std::time::Instant::now();
    for n in 0..10_000 {
        let (address, client_id) = (Some(format!("10.0.0.{}", n % 200)), Some(n.to_string()));
        journal.note(Activity { address, client_id, ..submitted() });
        if n % 100 == 0 {
            tokio::task::yield_now().await;
        }
    }
    let seconds = begun.elapsed().as_secs();
    stop.cancel();
    keeping.await.unwrap();
    let entries = written(&bed).await;
    assert_eq!(entries.iter().map(|entry| entry.count).sum::<i64>(), 10_000);
    assert!(entries.len() as u64 <= seconds + 2, "{} entries in {seconds} s", entries.len());
}

async fn what_cannot_be_written_is_written_once_when_it_can(bed: Bed) {
    let (journal, mut raw) = (bed.queue.journal(), Raw::open(&bed.url).await);
    raw.execute("ALTER TABLE activity RENAME TO hidden").await;
    journal.note(cancelled(1));
    assert!(!journal.settle().await);
    journal.note(cancelled(2));
    assert!(!journal.settle().await);
    raw.execute("ALTER TABLE hidden RENAME TO activity").await;
    assert!(journal.settle().await);
    let mut entries = written(&bed).await;
    // Said again, because the first answer was lost.
    bed.queue.store().add_activity(&entries).await.unwrap();
    assert_eq!(written(&bed).await, entries);
    entries.reverse();
    assert_eq!(entries.iter().map(|entry| entry.target.as_deref()).collect::<Vec<_>>(), [Some("1"), Some("2")]);
    assert_eq!(journal.dropped(), 0);
}

async fn what_there_is_no_room_for_is_counted_and_told(bed: Bed) {
    let journal = bed.queue.journal();
    for n in 0..10_007 {
        journal.note(cancelled(n));
    }
    assert_eq!(journal.dropped(), 7);
    assert!(journal.settle().await);
    let entries = written(&bed).await;
    let told: Vec<_> = entries.iter().filter(|entry| entry.action == "activity.dropped").collect();
    assert_eq!((entries.len(), told.len(), told[0].count), (10_001, 1, 7));
}

async fn an_entry_goes_once_it_was_kept_long_enough(bed: Bed) {
    const DAY: Duration = Duration::from_secs(24 * 3600);
    for n in 0..2_500 {
        bed.queue.journal().note(cancelled(n));
    }
    bed.clock.advance(DAY.as_millis() as i64);
    bed.queue.journal().note(cancelled(7));
    assert!(bed.queue.journal().settle().await);
    assert_eq!(bed.queue.prune_activity(2 * DAY).await.unwrap(), 0);
    bed.clock.advance(1);
    assert_eq!(bed.queue.prune_activity(DAY).await.unwrap(), 2_500);
    assert!(bed.queue.journal().settle().await);
    let entries = written(&bed).await;
    assert_eq!(
        entries.iter().map(|entry| entry.action.as_str()).collect::<Vec<_>>(),
        ["activity.pruned", "task.cancelled"]
    );
    assert_eq!(entries[0].count, 2_500);
}

async fn an_entry_is_never_changed(bed: Bed) {
    bed.queue.journal().note(cancelled(1));
    assert!(bed.queue.journal().settle().await);
    let mut raw = Raw::open(&bed.url).await;
    assert!(raw.refuses("UPDATE activity SET owner = 'somebody else'").await);
    assert_eq!(written(&bed).await[0].owner, None);
}

async fn a_rare_entry_is_found_behind_many_in_pieces_that_end_soon(bed: Bed) {
    let journal = bed.queue.journal();
    journal.note(submitted());
    assert!(journal.settle().await);
    for _ in 0..3 {
        (0..9_000).for_each(|n| journal.note(cancelled(n)));
        assert!(journal.settle().await);
    }
    let filter = ActivityFilter { actions: vec!["task.submitted".to_owned()], ..ActivityFilter::default() };
    let (mut after, mut found, mut pieces) = (None, 0, 0);
    loop {
        let piece = bed.queue.activity(&Scope::Everyone, &filter, after, 50).await.unwrap();
        (found, pieces, after) = (found + piece.entries.len(), pieces + 1, piece.next);
        if after.is_none() {
            break;
        }
    }
    assert_eq!(found, 1);
    assert!((1..=4).contains(&pieces), "{pieces} pieces");
    // Its owner has one, and needs no look at the others'.
    let alice = Scope::Owner("alice".to_owned());
    let piece = bed.queue.activity(&alice, &ActivityFilter::default(), None, 50).await.unwrap();
    assert_eq!((piece.entries.len(), piece.next), (1, None));
}

async fn what_the_system_did_stands_there(bed: Bed) {
    bed.submit(noop()).await;
    bed.claim(1).await;
    bed.clock.advance(31_000);
    assert_eq!(bed.queue.rescue().await.unwrap(), 1);
    bed.queue.journal().call("one");
    bed.queue.journal().happened(Action::NodeStopped, 1, None);
    assert!(bed.queue.journal().settle().await);
    let entries = written(&bed).await;
    let about = |entry: &Activity| (entry.action.clone(), entry.count, entry.owner.clone(), entry.node.clone());
    assert_eq!(
        entries.iter().map(about).collect::<Vec<_>>(),
        [("node.stopped".to_owned(), 1, None, "one".to_owned()), ("task.rescued".to_owned(), 1, None, String::new()),]
    );
}
