//! What the queue guarantees. Each test's name is the promise; each runs on both databases.

mod activity;
mod activity_feed;
mod approvals;
mod cancel;
mod charts;
mod checkpoint;
mod costs;
mod feed;
mod keys;
mod lease;
mod leftovers;
mod lists;
mod notifications;
mod quota;
mod read;
mod retention;
mod submit;
mod tickets;

use crate::support::bed::{BEGIN, Bed, raw};
use errand::queue::Reported;
use errand::queue::keys::NewKey;
use errand::store::{Beat, LineQuery};
use errand::task::{Filter, Outcome, Page, Role, Scope, Sort, Status, Task};

pub fn success() -> Outcome {
    Outcome::Success(raw(r#"{"done": 1}"#), Vec::new())
}

pub fn failure(retryable: bool) -> Outcome {
    Outcome::Failure { code: "broken".into(), message: "it broke".into(), retryable, retry_after_ms: None }
}

pub fn beat(task: &Task) -> Beat {
    Beat { id: task.id, lease: task.lease.unwrap(), attempt: task.attempt, progress: None, lines: Vec::new() }
}

pub fn line_query() -> LineQuery {
    LineQuery { limit: 100, ..Default::default() }
}

pub fn page(sort: Sort, limit: i64) -> Page {
    Page { sort, limit, after: None, as_of: BEGIN, full: false }
}

pub async fn try_report(bed: &Bed, task: &Task, outcome: Outcome) -> Reported {
    bed.queue.report(task, task.lease.unwrap(), &outcome).await.unwrap()
}

pub async fn report(bed: &Bed, task: &Task, outcome: Outcome) {
    assert!(matches!(try_report(bed, task, outcome).await, Reported::Written(_)));
}

pub async fn list(bed: &Bed, filter: Filter, sort: Sort, limit: i64) -> Vec<Task> {
    bed.queue.list(&Scope::Everyone, &filter, &page(sort, limit)).await.unwrap().tasks
}

pub async fn counts(bed: &Bed) -> Vec<i64> {
    let stats = bed.queue.stats(&Scope::Everyone).await.unwrap();
    let of = |status| stats.counts.iter().filter(|count| count.status == status).map(|count| count.n).sum();
    Status::ALL.into_iter().map(of).collect()
}

pub async fn count(bed: &Bed, status: Status) -> i64 {
    counts(bed).await[status as usize]
}

pub fn new_key(role: Role, owner: &str) -> NewKey {
    NewKey { role, owner: owner.to_owned(), name: None, expires_at: None, types: None, queues: None }
}
