//! Lists behind a history: every filter in every order finds what it names, each row once, however
//! it is looked for.

use super::{page, report, success};
use crate::support::bed::{BEGIN, Bed, noop, noop_of};
use crate::support::on_both_databases;
use crate::support::raw::Raw;
use errand::store::{Made, Way};
use errand::task::{Draft, Filter, Page, Scope, Sort, Status, Task, Time};
use std::cmp::Reverse;
use std::time::{Duration, Instant};
use uuid::Uuid;

on_both_databases![
    every_filter_in_every_order_finds_what_it_names_page_by_page,
    every_way_to_look_finds_the_same,
    what_nothing_is_counted_of_is_not_looked_for,
    a_small_page_is_whole_behind_many_that_wait_and_do_not_match,
    a_match_behind_many_others_is_found_once_by_going_on_from_page_to_page,
    a_task_is_found_by_the_time_it_was_created_after_the_clock_was_set_back_too,
];

/// Tasks with a history behind them: more than a short walk looks at.
const HISTORY: i64 = 3_000;
/// How far apart they were created.
const STEP_MS: i64 = 1_000;

/// A history, and before it what waits, is due later, runs and has just finished.
async fn with_history(bed: &Bed) {
    let begin = BEGIN.plus(-HISTORY * STEP_MS - 60_000);
    let made = Made { numbers: 0..HISTORY, begin, step_micros: STEP_MS * 1_000 };
    bed.queue.store().fill(&made).await.unwrap();
    bed.submit_many((0..6).map(|_| noop()).collect(), None).await.unwrap();
    bed.submit(Draft { run_at: Some(BEGIN.plus(60_000)), ..noop_of("anna") }).await;
    bed.submit(Draft { queue: "slow".into(), tags: vec!["blue".into()], name: Some("Report".into()), ..noop() }).await;
    for task in bed.claim(3).await.into_iter().skip(1) {
        bed.clock.advance(1);
        report(bed, &task, success()).await;
    }
}

fn filters() -> Vec<Filter> {
    let of = |change: &dyn Fn(&mut Filter)| {
        let mut filter = Filter::default();
        change(&mut filter);
        filter
    };
    let middle = BEGIN.plus(-HISTORY / 2 * STEP_MS);
    vec![
        Filter::default(),
        of(&|f| f.statuses = vec![Status::Success]),
        of(&|f| f.statuses = vec![Status::Failed, Status::Running]),
        of(&|f| f.statuses = vec![Status::Pending, Status::Running]),
        of(&|f| f.statuses = vec![Status::Cancelled]),
        of(&|f| f.types = vec!["demo".into(), "image_processing".into()]),
        of(&|f| f.types = vec!["missing".into()]),
        of(&|f| f.queue = Some("rare".into())),
        of(&|f| f.queue = Some("slow".into())),
        of(&|f| f.owner = Some("berta".into())),
        of(&|f| (f.queue, f.types, f.statuses) = (Some("mails".into()), vec!["noop".into()], vec![Status::Failed])),
        of(&|f| f.client_id = Some("client-7".into())),
        of(&|f| f.client_id = Some("rare".into())),
        of(&|f| f.tag = Some("blue".into())),
        of(&|f| f.tag = Some("rare".into())),
        of(&|f| f.words = vec!["NEEDLE".into()]),
        of(&|f| (f.words, f.statuses) = (vec!["step 3".into()], vec![Status::Failed])),
        of(&|f| f.created_before = Some(middle)),
        of(&|f| (f.created_after, f.types) = (Some(middle), vec!["demo".into()])),
        of(&|f| (f.created_after, f.created_before) = (Some(middle), Some(middle.plus(5 * STEP_MS)))),
    ]
}

async fn every_filter_in_every_order_finds_what_it_names_page_by_page(bed: Bed) {
    with_history(&bed).await;
    let now = bed.clock.now();
    let all = every_page(&bed, &Filter::default(), Sort::CreatedAsc, 500, now).await;
    assert_eq!(all.len() as i64, HISTORY + 8);
    for filter in filters() {
        let admitted = all.iter().filter(|task| filter.admits(task)).map(|task| task.id).collect::<Vec<_>>();
        assert_eq!(admitted, expected(&all, &filter, Sort::CreatedAsc, now), "{filter:?}");
        for (word, sort) in Sort::ALL {
            let expected = expected(&all, &filter, sort, now);
            for limit in [7, 500] {
                let found = every_page(&bed, &filter, sort, limit, now).await;
                let found: Vec<Uuid> = found.iter().map(|task| task.id).collect();
                assert_eq!(found.len(), expected.len(), "{filter:?} by {word}, {limit} a page");
                assert_eq!(found, expected, "{filter:?} by {word}, {limit} a page");
            }
        }
    }
}

async fn every_way_to_look_finds_the_same(bed: Bed) {
    with_history(&bed).await;
    let now = bed.clock.now();
    let all = every_page(&bed, &Filter::default(), Sort::CreatedAsc, 500, now).await;
    for filter in filters() {
        let groups = bed.queue.store().groups(&Scope::Everyone, &filter, 1_000).await.unwrap();
        for (word, sort) in Sort::ALL {
            let expected = expected(&all, &filter, sort, now);
            for way in [Way::Walk(97), Way::Walk(10_000), Way::Groups(groups.clone())] {
                let (mut page, mut found) = (Page { as_of: now, ..page(sort, 60) }, Vec::new());
                loop {
                    let piece = bed.queue.store().list(&Scope::Everyone, &filter, &page, &way).await.unwrap();
                    found.extend(piece.tasks.iter().map(|task| task.id));
                    page.after = piece.next;
                    if page.after.is_none() {
                        break;
                    }
                }
                let how = if matches!(way, Way::Walk(_)) { "walk" } else { "groups" };
                assert_eq!(found, expected, "{filter:?} by {word}, {how}");
            }
        }
    }
}

async fn what_nothing_is_counted_of_is_not_looked_for(bed: Bed) {
    with_history(&bed).await;
    for (_, sort) in Sort::ALL {
        let filter = Filter { types: vec!["missing".into()], ..Filter::default() };
        let piece = bed.queue.list(&Scope::Everyone, &filter, &page(sort, 10)).await.unwrap();
        assert!(piece.tasks.is_empty() && piece.next.is_none(), "{sort:?}");
    }
}

async fn a_small_page_is_whole_behind_many_that_wait_and_do_not_match(bed: Bed) {
    let other = bed.submit(Draft { queue: "slow".into(), ..noop() }).await.id;
    bed.submit_many((0..400).map(|_| noop()).collect(), None).await.unwrap();
    let slow = Filter { queue: Some("slow".into()), ..Filter::default() };
    let failed = Filter { statuses: vec![Status::Failed], ..Filter::default() };
    for (filter, expected) in [(slow, vec![other]), (failed, vec![])] {
        let groups = bed.queue.store().groups(&Scope::Everyone, &filter, 100).await.unwrap();
        for (_, sort) in Sort::ALL {
            let turned = Page { after: page(sort, 2).turn(), ..page(sort, 2) };
            let way = Way::Groups(groups.clone());
            let piece = bed.queue.store().list(&Scope::Everyone, &filter, &turned, &way).await.unwrap();
            let ids: Vec<Uuid> = piece.tasks.iter().map(|task| task.id).collect();
            assert_eq!((ids, piece.next.is_none()), (expected.clone(), true), "{filter:?} by {sort:?}, in one look");
        }
    }
}

async fn a_match_behind_many_others_is_found_once_by_going_on_from_page_to_page(bed: Bed) {
    let made = Made { numbers: 0..20_000, begin: BEGIN.plus(-20_000 * STEP_MS), step_micros: STEP_MS * 1_000 };
    bed.queue.store().fill(&made).await.unwrap();
    let rare = Filter { client_id: Some("rare".into()), ..Filter::default() };
    let needle = Filter { words: vec!["needle".into()], ..Filter::default() };
    for (filter, (_, sort)) in
        [rare, needle].into_iter().flat_map(|filter| Sort::ALL.map(|sort| (filter.clone(), sort)))
    {
        let found = every_page(&bed, &filter, sort, 10, BEGIN).await;
        assert_eq!(found.iter().map(|task| task.id).collect::<Vec<_>>(), [made.id(7)], "{filter:?} by {sort:?}");
    }
}

async fn a_task_is_found_by_the_time_it_was_created_after_the_clock_was_set_back_too(bed: Bed) {
    bed.submit(noop()).await;
    bed.clock.advance(-3_600_000);
    let id = bed.submit(noop()).await.id;
    for filter in [
        Filter { created_before: Some(BEGIN), ..Filter::default() },
        Filter { created_after: Some(BEGIN.plus(-3_600_000)), created_before: Some(BEGIN), ..Filter::default() },
    ] {
        let found = every_page(&bed, &filter, Sort::CreatedDesc, 10, BEGIN).await;
        assert_eq!(found.iter().map(|task| task.id).collect::<Vec<_>>(), [id], "{filter:?}");
    }
}

/// On SQLite a test beside the statements counts the steps (`src/store/sqlite/list.rs`).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_postgres_no_list_reads_more_rows_than_a_walk_takes() {
    let bed = Bed::postgres().await;
    let mut raw = Raw::open(&bed.url).await;
    // Plans are made by what was known of an empty table, as after a burst.
    raw.execute("ALTER TABLE tasks SET (autovacuum_enabled = off)").await;
    let tasks = 40_000;
    let begin = BEGIN.plus(-tasks * STEP_MS - 60_000);
    for piece in 0..8 {
        let numbers = piece * tasks / 8..(piece + 1) * tasks / 8;
        let made = Made { numbers, begin, step_micros: STEP_MS * 1_000 };
        bed.queue.store().fill(&made).await.unwrap();
    }
    let before = rows_read(&bed, &mut raw).await;
    let mut looks = 0;
    for filter in filters() {
        let groups = bed.queue.store().groups(&Scope::Everyone, &filter, 1_000).await.unwrap();
        for (_, sort) in Sort::ALL {
            let ways = match sort.by_finish() {
                true => vec![Way::Walk(500)],
                false => vec![Way::Walk(500), Way::Groups(groups.clone())],
            };
            for way in ways {
                bed.queue.store().list(&Scope::Everyone, &filter, &page(sort, 50), &way).await.unwrap();
                looks += 1;
            }
        }
    }
    let read = rows_read(&bed, &mut raw).await - before;
    println!("{looks} looks read {read} rows");
    assert!(read < looks * 1_100, "{looks} looks read {read} rows: one of them was no short one");
}

/// How many rows of `tasks` the server has read, once its sessions have said so.
async fn rows_read(bed: &Bed, raw: &mut Raw) -> i64 {
    let count = "SELECT (coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0))::text FROM pg_stat_user_tables
                 WHERE relname = 'tasks'";
    let (mut last, mut since) = (raw.texts(count).await, Instant::now());
    // A session says what it did a second after it last did so, when it next does anything.
    while since.elapsed() < Duration::from_millis(1_500) {
        bed.queue.store().now().await.unwrap();
        let now = raw.texts(count).await;
        if now != last {
            (last, since) = (now, Instant::now());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    last[0].parse().unwrap()
}

/// All rows, page by page to the end.
async fn every_page(bed: &Bed, filter: &Filter, sort: Sort, limit: i64, as_of: Time) -> Vec<Task> {
    let (mut page, mut all) = (Page { as_of, ..page(sort, limit) }, Vec::new());
    loop {
        let piece = bed.queue.list(&Scope::Everyone, filter, &page).await.unwrap();
        assert!(piece.tasks.len() as i64 <= limit);
        all.extend(piece.tasks);
        page.after = piece.next;
        if page.after.is_none() {
            return all;
        }
    }
}

/// The ids of those that match, in order: the same said in another way.
fn expected(all: &[Task], filter: &Filter, sort: Sort, as_of: Time) -> Vec<Uuid> {
    let holds = |task: &&Task| {
        let says = |word: &str| {
            let error = task.error.iter().flat_map(|error| [error.code.clone(), error.message.clone()]);
            let texts = task.name.iter().cloned().chain([task.id.to_string()]).chain(task.tags.clone()).chain(error);
            texts.map(|text| text.to_ascii_lowercase()).any(|text| text.contains(&word.to_ascii_lowercase()))
        };
        let is = |wanted: &Option<String>, value: &str| wanted.as_ref().is_none_or(|wanted| wanted == value);
        (filter.statuses.is_empty() || filter.statuses.contains(&task.status))
            && (filter.types.is_empty() || filter.types.contains(&task.r#type))
            && is(&filter.queue, &task.queue)
            && is(&filter.owner, &task.owner)
            && is(&filter.client_id, &task.client_id)
            && filter.tag.as_ref().is_none_or(|tag| task.tags.contains(tag))
            && filter.words.iter().all(|word| says(word))
            && filter.created_after.is_none_or(|after| task.created_at >= after)
            && filter.created_before.is_none_or(|before| task.created_at < before)
    };
    let mut found: Vec<&Task> = all.iter().filter(holds).collect();
    let end = |task: &Task| task.finished_at.filter(|at| *at <= as_of);
    match sort {
        Sort::CreatedAsc => found.sort_by_key(|task| task.id),
        Sort::CreatedDesc => found.sort_by_key(|task| Reverse(task.id)),
        Sort::FinishedAsc => found.sort_by_key(|task| (end(task).is_none(), end(task), task.id)),
        Sort::FinishedDesc => found.sort_by_key(|task| (end(task).is_none(), Reverse(end(task)), Reverse(task.id))),
    }
    found.iter().map(|task| task.id).collect()
}
