//! The parts on their own: `cargo bench`. The whole is measured by `errand bench`.

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use errand::api::{self, Api, NodeInfo};
use errand::clock::Clock;
use errand::files::Files;
use errand::queue::Queue;
use errand::queue::keys::Keys;
use errand::store::Sqlite;
use errand::task::{Draft, Event, Status};
use errand::types::Types;
use futures_util::future::try_join_all;
use http_body_util::BodyExt;
use serde_json::value::RawValue;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

/// Every filter at once; its last word is wrong, so that it is read and nothing is looked for.
const FILTER: &str = "/api/tasks/?status=FAILED&status=CANCELLED&type=noop&type=demo&queue=mail&tag=monthly&client_id=c1\
                      &q=report%20may&created_after=2026-01-01T00:00:00Z&created_before=2026-02-01T00:00:00Z&sort=-finished_at&limit=0";

criterion_group!(parts, table, filter, rows, group_commit);
criterion_main!(parts);

/// Every status with every event.
fn table(criterion: &mut Criterion) {
    let pairs: Vec<(Status, Event)> =
        Status::ALL.into_iter().flat_map(|status| Event::ALL.into_iter().map(move |event| (status, event))).collect();
    let mut group = criterion.benchmark_group("status table");
    group.throughput(Throughput::Elements(pairs.len() as u64));
    group.bench_function("after", |bencher| {
        bencher.iter(|| pairs.iter().filter(|(status, event)| black_box(*status).after(*event).is_some()).count());
    });
}

/// A list's query, read and refused: routing and the problem are part of it.
fn filter(criterion: &mut Criterion) {
    let node = Node::new();
    criterion.bench_function("filter of a list", |bencher| {
        bencher.iter(|| node.get(FILTER, StatusCode::UNPROCESSABLE_ENTITY));
    });
}

/// Lists through the router: rows from the database, as JSON, under their tag; and what one has already.
fn rows(criterion: &mut Criterion) {
    let node = Node::new();
    node.runtime.block_on(submit(&node.queue, 500));
    let mut group = criterion.benchmark_group("rows to JSON");
    for limit in [50, 500] {
        group.throughput(Throughput::Elements(limit));
        let path = format!("/api/tasks/?limit={limit}");
        group.bench_with_input(BenchmarkId::new("list", limit), &path, |bencher, path| {
            bencher.iter(|| node.get(path, StatusCode::OK));
        });
    }
    group.finish();
    let tag = node.get("/api/tasks/", StatusCode::OK);
    criterion.bench_function("list that one has (304)", |bencher| {
        bencher.iter(|| node.get_unless("/api/tasks/", &tag, StatusCode::NOT_MODIFIED));
    });
}

/// Submits of one task each, so many at once: how many share a commit.
fn group_commit(criterion: &mut Criterion) {
    let node = Node::new();
    let mut group = criterion.benchmark_group("group commit");
    for callers in [1, 8, 64, 512] {
        group.throughput(Throughput::Elements(callers));
        group.bench_with_input(BenchmarkId::new("submits at once", callers), &callers, |bencher, callers| {
            bencher.iter(|| {
                let submits = (0..*callers).map(|_| node.runtime.spawn(one(node.queue.clone())));
                node.runtime.block_on(async { try_join_all(submits).await }).unwrap();
            });
        });
    }
}

async fn one(queue: Queue) {
    submit(&queue, 1).await;
}

async fn submit(queue: &Queue, n: usize) {
    let params = || RawValue::from_string(r#"{"customer":"c-1029384756","pages":[1,2,3,4]}"#.to_owned()).unwrap();
    let drafts = (0..n).map(|_| Draft::new("noop", params(), "default", "bench")).collect();
    let prepared = queue.prepare(drafts).await.unwrap();
    queue.submit(prepared, None).await.unwrap();
}

/// A node on a SQLite file of its own, without a socket.
struct Node {
    runtime: Runtime,
    queue: Queue,
    router: Router,
    _folder: tempfile::TempDir,
}

impl Node {
    fn new() -> Node {
        let (runtime, folder) = (Runtime::new().unwrap(), tempfile::tempdir().unwrap());
        let (queue, router) = runtime.block_on(async {
            let store = Arc::new(Sqlite::open(&folder.path().join("errand.db")).await.unwrap());
            let files = Files::local(&folder.path().join("files")).unwrap();
            let queue = Queue::open(store, Clock::system(), Types::builtin(), files);
            let node = NodeInfo {
                data_dir: ".".into(),
                version: "0.0.0-bench",
                started: Instant::now(),
                workers: 0,
                page_scope: "all".to_owned(),
                max_file_bytes: 0,
                allowed_origins: Default::default(),
                rates: Default::default(),
                cost_per_hour: Default::default(),
                log_lines_dropped: Arc::default(),
            };
            let keys = Keys::new(queue.store().clone(), queue.clock().clone(), &[], true);
            (queue.clone(), api::router(Api::new(queue, keys, node, CancellationToken::new())))
        });
        Node { runtime, queue, router, _folder: folder }
    }

    /// Answers the tag.
    fn get(&self, path: &str, expected: StatusCode) -> String {
        self.get_unless(path, "\"none\"", expected)
    }

    fn get_unless(&self, path: &str, tag: &str, expected: StatusCode) -> String {
        let request = Request::get(path).header(header::IF_NONE_MATCH, tag).body(Body::empty()).unwrap();
        self.runtime.block_on(async {
            let answer = self.router.clone().oneshot(request).await.unwrap();
            assert_eq!(answer.status(), expected, "{path}");
            let tag = answer.headers().get(header::ETAG).map(|tag| tag.to_str().unwrap().to_owned());
            answer.into_body().collect().await.unwrap();
            tag.unwrap_or_default()
        })
    }
}
