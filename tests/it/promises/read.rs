//! What lists, counts and the change log promise.

use super::{counts, failure, line_query, list, page, report, success};
use crate::support::bed::{BEGIN, Bed, noop, noop_of};
use crate::support::on_both_databases;
use errand::queue::Error;
use errand::task::filter::After;
use errand::task::{Draft, Event, Filter, Scope, Sort, Status};
use futures_util::future::try_join_all;
use std::collections::HashSet;
use std::time::Duration;
use uuid::Uuid;

on_both_databases![
    the_change_log_has_every_transition_once_in_order,
    counts_are_exact_whatever_happens,
    an_owner_sees_nothing_of_another,
    numbers_that_are_read_together_are_each_ones_own,
    a_page_shows_every_row_once_while_others_come_and_go,
    finished_rows_are_paged_once_while_others_finish,
    filters_find_what_they_name,
    concurrent_writers_lose_no_entry_for_a_reader_that_follows,
];

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
    assert!(bed.queue.list(&berta, &Filter::default(), &page(Sort::CreatedDesc, 10)).await.unwrap().tasks.is_empty());
    assert!(bed.queue.changes(&berta, 0, 10, Duration::ZERO).await.unwrap().entries.is_empty());
    assert!(bed.queue.stats(&berta).await.unwrap().counts.is_empty());
    let filter = Filter { ids: Some(vec![id]), ..Filter::default() };
    assert_eq!(bed.queue.cancel_many(&berta, &filter, "me").await.unwrap().matched, 0);
    assert_eq!(bed.get(id).await.status, Status::Pending);
}

async fn numbers_that_are_read_together_are_each_ones_own(bed: Bed) {
    for owner in ["anna", "berta", "berta"] {
        bed.submit(noop_of(owner)).await;
    }
    let anna = (Scope::Owner("anna".into()), vec![1]);
    let berta = (Scope::Owner("berta".into()), vec![2]);
    let nobody = (Scope::Owner("nobody".into()), vec![]);
    let asked = vec![[anna, nobody, berta, (Scope::Everyone, vec![3])]; 16].concat();
    let numbers = try_join_all(asked.iter().map(|(scope, _)| bed.queue.stats(scope))).await.unwrap();
    for ((scope, expected), numbers) in asked.iter().zip(numbers) {
        assert_eq!(numbers.counts.iter().map(|count| count.n).collect::<Vec<_>>(), *expected, "{scope:?}");
    }
}

async fn a_page_shows_every_row_once_while_others_come_and_go(bed: Bed) {
    bed.submit_many((0..10).map(|_| noop()).collect(), None).await.unwrap();
    let there: Vec<Uuid> = list(&bed, Filter::default(), Sort::CreatedDesc, 100).await.iter().map(|t| t.id).collect();
    let mut shown = Vec::new();
    let mut page = page(Sort::CreatedDesc, 3);
    loop {
        let rows = bed.queue.list(&Scope::Everyone, &Filter::default(), &page).await.unwrap().tasks;
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
        let rows = bed.queue.list(&Scope::Everyone, &Filter::default(), &page).await.unwrap().tasks;
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
