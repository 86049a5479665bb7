//! Claims are unique whatever plan Postgres makes: with each of the planner's methods off in turn,
//! and without statistics.

use super::campaign::is_long;
use crate::support::bed::{BEGIN, Bed, DatabaseUrl, noop, open};
use crate::support::raw::Raw;
use errand::store::{Claim, Database, Store};
use futures_util::future::join_all;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;
use uuid::Uuid;

/// What is switched off. The store's writers switch off some on their own.
const OFF: &[&[&str]] = &[
    &[],
    &["hashjoin"],
    &["mergejoin"],
    &["nestloop"],
    &["hashagg"],
    &["sort"],
    &["material"],
    &["indexscan", "indexonlyscan"],
    &["bitmapscan"],
    &["hashjoin", "mergejoin", "hashagg", "sort", "material"],
];
/// Nodes, and claimers at each: 64 in all.
const NODES: usize = 8;
const AT_EACH: usize = 8;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_four_claimers_get_each_task_once_and_never_too_many_under_any_plan() {
    let bed = Bed::postgres().await;
    let mut raw = Raw::open(&bed.url).await;
    raw.execute("ALTER TABLE tasks SET (autovacuum_enabled = off)").await;
    let tasks = if is_long() { 100_000 } else { 20_000 } / OFF.len();
    for off in OFF {
        let began = Instant::now();
        switch(&mut raw, &bed.url, off, "off").await;
        // Ones are dear, so fewer of them.
        for (n, tasks) in [(1, tasks / 5), (10, tasks - tasks / 5)] {
            claim_all(&bed, &mut raw, tasks, n, off).await;
        }
        switch(&mut raw, &bed.url, off, "on").await;
        println!("claims without {off:?}: {tasks} tasks in {:.1} s", began.elapsed().as_secs_f64());
    }
}

async fn claim_all(bed: &Bed, raw: &mut Raw, tasks: usize, n: i64, off: &[&str]) {
    raw.execute("TRUNCATE tasks, changes, counts").await;
    for _ in 0..tasks / 100 {
        bed.submit_many((0..100).map(|_| noop()).collect(), None).await.unwrap();
    }
    let nodes = join_all((0..NODES).map(|_| open(&bed.url))).await;
    let claimers = nodes.iter().flat_map(|node| (0..AT_EACH).map(|_| tokio::spawn(claim(node.clone(), n))));
    let claimed: Vec<Uuid> = join_all(claimers).await.into_iter().flat_map(Result::unwrap).collect();
    assert_eq!(claimed.iter().collect::<HashSet<_>>().len(), claimed.len(), "one was claimed twice without {off:?}");
    assert_eq!(claimed.len(), tasks, "some were skipped without {off:?}");
    let running = raw.texts("SELECT count(*)::text FROM tasks WHERE status = 1 AND attempt = 1 AND ready = 0").await;
    assert_eq!(running, [tasks.to_string()], "without {off:?}");
    join_all(nodes.iter().map(|node| node.close())).await;
}

/// Claims until there is nothing.
async fn claim(store: Arc<dyn Store>, n: i64) -> Vec<Uuid> {
    assert_eq!(store.database(), Database::Postgres);
    let (worker, types) = ("tester".to_owned(), vec!["noop".to_owned()]);
    let claim = Claim { worker, max: n, types, queues: Vec::new(), now: BEGIN, lease_ms: 30_000, ahead: false };
    let mut mine = Vec::new();
    loop {
        let tasks = store.claim(&claim).await.unwrap();
        assert!(tasks.len() as i64 <= n, "asked for {n}, got {}", tasks.len());
        if tasks.is_empty() {
            return mine;
        }
        mine.extend(tasks.iter().map(|task| task.id));
    }
}

/// Sets what new connections to the database find.
async fn switch(raw: &mut Raw, url: &DatabaseUrl, off: &[&str], to: &str) {
    let DatabaseUrl::Postgres(url) = url else { panic!("plans are Postgres's") };
    let name = url.split('?').next().unwrap().rsplit('/').next().unwrap();
    for method in off {
        raw.execute(&format!("ALTER DATABASE {name} SET enable_{method} = {to}")).await;
    }
}

/// The test of the test: the same switches catch the form of a claim that looks right and is not.
#[tokio::test]
async fn the_naive_claim_takes_too_many_under_these_plans() {
    let bed = Bed::postgres().await;
    let mut raw = Raw::open(&bed.url).await;
    raw.execute("CREATE TABLE naive (id bigint PRIMARY KEY, status bigint NOT NULL)").await;
    let mut most = 0;
    for off in OFF {
        // A connection that has made its plan keeps it.
        let mut raw = Raw::open(&bed.url).await;
        raw.execute("TRUNCATE naive; INSERT INTO naive SELECT n, 0 FROM generate_series(1, 100) n").await;
        for method in *off {
            raw.execute(&format!("SET enable_{method} = off")).await;
        }
        let claimed = "UPDATE naive SET status = 1 WHERE id IN
            (SELECT id FROM naive WHERE status = 0 ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED) RETURNING id::text";
        most = most.max(raw.texts(claimed).await.len());
    }
    println!("the naive claim of 1 took {most}");
    assert!(most > 1, "it took {most}");
}
