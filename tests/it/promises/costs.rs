//! How long tasks ran in a month: for what that costs.

use super::{failure, report, success};
use crate::support::bed::{Bed, DatabaseUrl, noop, noop_of};
use crate::support::on_both_databases;
use errand::queue::Queue;
use errand::task::{Draft, Scope};
use std::collections::BTreeMap;
use tokio_util::sync::CancellationToken;

on_both_databases![
    run_time_is_counted_once_for_each_attempt_that_ended_and_for_each_owner,
    run_time_of_all_nodes_is_that_of_the_month_and_outlives_them,
];

const DAY_MS: i64 = 24 * 3_600_000;

/// Writes down what this node knows, as a node does that stops.
async fn keep(queue: &Queue) {
    let stopped = CancellationToken::new();
    stopped.cancel();
    queue.keep_house(stopped).await;
}

async fn run_ms(queue: &Queue, scope: &Scope) -> BTreeMap<String, i64> {
    queue.month(scope).await.unwrap().run_ms
}

fn noops(ms: i64) -> BTreeMap<String, i64> {
    [("noop".to_owned(), ms)].into()
}

async fn run_time_is_counted_once_for_each_attempt_that_ended_and_for_each_owner(bed: Bed) {
    bed.submit(Draft { max_attempts: 2, ..noop_of("anna") }).await;
    bed.submit(noop_of("berta")).await;
    for outcome in [failure(true), success()] {
        let task = bed.claim(2).await.into_iter().find(|task| task.owner == "anna").unwrap();
        bed.clock.advance(2_000);
        report(&bed, &task, outcome).await;
        keep(&bed.queue).await;
        bed.clock.advance(60_000);
        bed.queue.promote().await.unwrap();
    }
    keep(&bed.queue).await;
    assert_eq!(run_ms(&bed.queue, &Scope::Owner("anna".into())).await, noops(4_000));
    assert_eq!(run_ms(&bed.queue, &Scope::Owner("berta".into())).await, BTreeMap::new(), "it has not ended");
    assert_eq!(run_ms(&bed.queue, &Scope::Everyone).await, noops(4_000));
}

async fn run_time_of_all_nodes_is_that_of_the_month_and_outlives_them(bed: Bed) {
    let other = match bed.url {
        DatabaseUrl::Sqlite(_) => bed.queue.clone(),
        DatabaseUrl::Postgres(_) => bed.another_node().await,
    };
    for queue in [&bed.queue, &other] {
        bed.submit(noop()).await;
        let task = bed.claim(1).await.remove(0);
        bed.clock.advance(1_500);
        queue.report(&task, task.lease.unwrap(), &success()).await.unwrap();
        keep(queue).await;
    }
    let month = other.month(&Scope::Everyone).await.unwrap();
    assert_eq!(month.run_ms, noops(3_000));
    assert!(month.since <= month.now && month.now < month.until && month.until.since(month.since) >= 28 * DAY_MS);
    bed.clock.advance(month.until.since(month.now));
    let next = bed.queue.month(&Scope::Everyone).await.unwrap();
    assert_eq!((next.since, next.run_ms), (month.until, BTreeMap::new()));
}
