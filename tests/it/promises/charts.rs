//! What happened over an hour, a day and a week, and how long queues wait.

use super::{report, success};
use crate::support::bed::{BEGIN, Bed, DatabaseUrl, noop, noop_of};
use crate::support::on_both_databases;
use errand::queue::{Queue, Series};
use errand::task::{Draft, Scope};
use std::collections::BTreeMap;
use tokio_util::sync::CancellationToken;

on_both_databases![
    a_chart_of_each_span_sums_what_all_nodes_did_and_says_how_long_it_took,
    what_is_older_than_a_week_is_in_no_chart,
    the_age_of_each_queue_is_that_of_its_oldest_ready_task_whatever_its_priority,
];

const HOUR: i64 = 60;
const DAY: i64 = 24 * HOUR;

/// Writes down what this node knows, as a node does that stops.
async fn keep(queue: &Queue) {
    let stopped = CancellationToken::new();
    stopped.cancel();
    queue.keep_house(stopped).await;
}

/// Runs one task for so long at this node.
async fn run(bed: &Bed, queue: &Queue, draft: Draft, ms: i64) {
    bed.submit(draft).await;
    let task = bed.claim(1).await.remove(0);
    bed.clock.advance(ms);
    queue.report(&task, task.lease.unwrap(), &success()).await.unwrap();
}

async fn chart(queue: &Queue, owner: &str, minutes: i64) -> Series {
    queue.timeseries(&Scope::Owner(owner.into()), minutes).await.unwrap()
}

fn succeeded(series: &Series) -> i64 {
    series.points.iter().map(|point| point.sums.succeeded).sum()
}

async fn a_chart_of_each_span_sums_what_all_nodes_did_and_says_how_long_it_took(bed: Bed) {
    let other = match bed.url {
        DatabaseUrl::Sqlite(_) => bed.queue.clone(),
        DatabaseUrl::Postgres(_) => bed.another_node().await,
    };
    run(&bed, &bed.queue, noop_of("anna"), 1_000).await;
    keep(&bed.queue).await;
    bed.clock.advance(2 * HOUR * 60_000);
    run(&bed, &other, noop_of("anna"), 9_000).await;
    run(&bed, &other, noop_of("berta"), 60_000).await;
    keep(&other).await;
    for (minutes, step, ended) in [(HOUR, 1, 1), (8 * HOUR, 1, 2), (DAY, 15, 2), (7 * DAY, 30, 2)] {
        let series = chart(&bed.queue, "anna", minutes).await;
        assert_eq!((series.step_minutes, succeeded(&series)), (step, ended), "{minutes}");
        assert!(series.points.len() as i64 >= minutes / step && series.points.len() <= 500, "{minutes}");
        let p95 = series.run_ms.p95.unwrap();
        assert!((9_000.0..9_000.0 * 1.2).contains(&p95), "{minutes}: {p95}");
        let busy: Vec<_> = series.points.iter().filter_map(|point| point.run_ms.p50).collect();
        assert_eq!(busy.len() as i64, ended, "{minutes}: each in a point of its own");
        assert!(series.points.iter().all(|point| point.at.0 % (step * 60_000) == 0), "{minutes}");
        assert_eq!(succeeded(&chart(&bed.queue, "berta", minutes).await), 1, "{minutes}");
    }
}

async fn what_is_older_than_a_week_is_in_no_chart(bed: Bed) {
    run(&bed, &bed.queue, noop(), 10).await;
    keep(&bed.queue).await;
    bed.clock.advance((7 * DAY - 1) * 60_000);
    assert_eq!(succeeded(&chart(&bed.queue, "default", 7 * DAY).await), 1);
    assert_eq!(succeeded(&chart(&bed.queue, "default", DAY).await), 0);
    bed.clock.advance(HOUR * 60_000);
    assert_eq!(succeeded(&chart(&bed.queue, "default", 7 * DAY).await), 0);
    run(&bed, &bed.queue, noop(), 10).await;
    keep(&bed.queue).await;
    assert_eq!(bed.queue.store().quarters(&Scope::Everyone, 0).await.unwrap().len(), 1, "nor is it kept");
}

async fn the_age_of_each_queue_is_that_of_its_oldest_ready_task_whatever_its_priority(bed: Bed) {
    let of = |queue: &str, priority| Draft { queue: queue.into(), priority, ..noop() };
    let mut expected = BTreeMap::new();
    for (queue, priority) in [("mail", -5), ("mail", 7), ("csv", 0), ("csv", 7), ("done", 0)] {
        expected.entry(queue.to_owned()).or_insert(bed.clock.now());
        bed.submit(of(queue, priority)).await;
        bed.clock.advance(1_000);
    }
    bed.submit(Draft { run_at: Some(bed.clock.now().plus(60_000)), ..of("later", 0) }).await;
    bed.submit(Draft { queue: "hers".into(), ..noop_of("berta") }).await;
    let done = bed.queue.claim("tester", 1, &[], 30_000, false).await.unwrap().remove(0);
    assert_eq!((done.queue.as_str(), done.run_at), ("mail", BEGIN.plus(1_000)), "the highest priority goes first");
    report(&bed, &done, success()).await;
    let queues = bed.queue.queues(&Scope::Owner("default".into())).await.unwrap();
    assert_eq!(queues.oldest_ready, expected);
    assert!(queues.counts.iter().any(|count| count.queue == "later" && count.n == 1));
}
