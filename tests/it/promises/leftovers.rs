//! What becomes of the files that attempts make.

use super::report;
use crate::support::bed::{Bed, noop, raw};
use crate::support::on_both_databases;
use async_trait::async_trait;
use errand::files::{of_attempt, of_task};
use errand::queue::{Kept, Queue};
use errand::store::Save;
use errand::task::{Artifact, Backoff, Draft, Outcome, Scope, Status, Task};
use errand::types::{AnyType, Context, Failure, Types};
use errand::worker::{self, Settings};
use serde_json::{Value, json, value::RawValue};
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

on_both_databases![
    a_file_that_a_checkpoint_names_outlives_its_attempt_and_is_adopted_the_others_go,
    a_cancelled_task_keeps_what_its_checkpoints_name_and_shows_none_of_it,
    what_a_lost_attempt_left_goes_but_for_what_its_checkpoints_name,
    a_worker_that_comes_back_late_deletes_nothing_that_its_successor_took_over,
    a_success_leaves_its_artifacts_and_nothing_else,
];

const LEASE: Duration = Duration::from_secs(30);
const PATIENCE: Duration = Duration::from_secs(20);

/// The first attempt makes `recorded` and saves that, makes `unrecorded` and then waits or fails.
/// The second adopts what was recorded, makes `last` and a file that it does not keep.
struct Steps;

#[async_trait]
impl AnyType for Steps {
    fn name(&self) -> &'static str {
        "steps"
    }

    fn description(&self) -> &'static str {
        "Makes files, for tests."
    }

    fn params_schema(&self) -> Value {
        json!({ "type": "object", "properties": { "waits": { "type": "boolean" } } })
    }

    fn result_schema(&self) -> Value {
        json!({ "type": "object" })
    }

    fn examples(&self) -> Vec<Value> {
        vec![json!({})]
    }

    async fn run(&self, params: &RawValue, ctx: &Context) -> Result<Box<RawValue>, Failure> {
        let Some(recorded) = ctx.checkpoint::<Vec<Artifact>>("files") else {
            let recorded = make(ctx, "recorded").await?;
            ctx.save("files", &[recorded]).await?;
            make(ctx, "unrecorded").await?;
            if params.get().contains("true") {
                ctx.save("waits", &true).await?;
                ctx.sleep(Duration::from_secs(600)).await?;
            }
            return Err(Failure::retry("broken", "it broke"));
        };
        let adopted = ctx.adopt(&recorded[0]).await?;
        make(ctx, "last").await?;
        let mut aside = ctx.output("aside", "text/plain").await?;
        aside.writer.write_all(b"x").await.unwrap();
        aside.finish().await?;
        ctx.result(&json!({ "adopted": adopted }))
    }
}

async fn make(ctx: &Context, name: &str) -> Result<Artifact, Failure> {
    let mut output = ctx.output(name, "text/plain").await?;
    output.writer.write_all(name.as_bytes()).await.unwrap();
    output.keep().await
}

async fn a_file_that_a_checkpoint_names_outlives_its_attempt_and_is_adopted_the_others_go(bed: Bed) {
    let (queue, _stop) = work(&bed);
    let id = submit(&queue, "{}", 2).await;
    until(&queue, id, |task| task.error.is_some()).await;
    left(&bed, id, &["recorded"]).await;
    assert_eq!(artifacts(&queue, id).await, Vec::<String>::new(), "nothing is visible before the success");
    bed.clock.advance(1_000);
    queue.promote().await.unwrap();
    let task = until(&queue, id, |task| task.status == Status::Success).await;
    assert_eq!(task.result.unwrap().get(), r#"{"adopted":true}"#);
    let found = queue.artifacts(&Scope::Everyone, id).await.unwrap().remove(1);
    assert_eq!((found.name.as_str(), found.bytes), ("recorded", 8));
    assert_eq!(std::fs::read(bed.path(&found.location)).unwrap(), b"recorded");
}

async fn a_cancelled_task_keeps_what_its_checkpoints_name_and_shows_none_of_it(bed: Bed) {
    let (queue, _stop) = work(&bed);
    let id = submit(&queue, r#"{"waits":true}"#, 1).await;
    until_it_waits(&queue, id).await;
    queue.cancel(&Scope::Everyone, id, "me").await.unwrap();
    until(&queue, id, |task| task.status == Status::Cancelled).await;
    left(&bed, id, &["recorded"]).await;
    assert_eq!(artifacts(&queue, id).await, Vec::<String>::new());
    queue.retry(&Scope::Everyone, id, "me").await.unwrap();
    let task = until(&queue, id, |task| task.status == Status::Success).await;
    assert_eq!(task.result.unwrap().get(), r#"{"adopted":true}"#, "a retry goes on from it");
}

async fn what_a_lost_attempt_left_goes_but_for_what_its_checkpoints_name(bed: Bed) {
    let id = bed.submit(noop()).await.id;
    let lost = bed.claim(1).await.remove(0);
    let recorded = put(&bed, &lost, "recorded");
    put(&bed, &lost, "unrecorded#1");
    name(&bed, &lost, &recorded).await;
    bed.clock.advance(30_001);
    assert_eq!(bed.queue.rescue().await.unwrap(), 1);
    left(&bed, id, &["recorded"]).await;
}

async fn a_worker_that_comes_back_late_deletes_nothing_that_its_successor_took_over(bed: Bed) {
    let id = bed.submit(noop()).await.id;
    let late = bed.claim(1).await.remove(0);
    let recorded = put(&bed, &late, "recorded");
    name(&bed, &late, &recorded).await;
    bed.clock.advance(30_001);
    bed.queue.rescue().await.unwrap();
    put(&bed, &late, "late");
    let clear = || bed.queue.clear_attempt(id, late.lease.unwrap());
    clear().await.unwrap();
    left(&bed, id, &["recorded"]).await;
    let successor = bed.claim(1).await.remove(0);
    report(&bed, &successor, Outcome::Success(raw("{}"), vec![recorded])).await;
    clear().await.unwrap();
    left(&bed, id, &["recorded"]).await;
}

async fn a_success_leaves_its_artifacts_and_nothing_else(bed: Bed) {
    let (queue, _stop) = work(&bed);
    let id = submit(&queue, "{}", 2).await;
    until(&queue, id, |task| task.error.is_some()).await;
    // As a killed process leaves it.
    std::fs::create_dir_all(bed.path(&of_attempt(id, Uuid::nil()))).unwrap();
    std::fs::write(bed.path(&format!("{}/old", of_attempt(id, Uuid::nil()))), "x").unwrap();
    bed.clock.advance(1_000);
    queue.promote().await.unwrap();
    until(&queue, id, |task| task.status == Status::Success).await;
    left(&bed, id, &["last", "recorded"]).await;
    assert_eq!(artifacts(&queue, id).await, ["last", "recorded"]);
}

/// A file of the task's attempt, made past its worker.
fn put(bed: &Bed, task: &Task, name: &str) -> Artifact {
    let location = format!("{}/{name}", of_attempt(task.id, task.lease.unwrap()));
    std::fs::create_dir_all(bed.path(&location).parent().unwrap()).unwrap();
    std::fs::write(bed.path(&location), "x").unwrap();
    Artifact { name: name.into(), bytes: 1, content_type: "text/plain".into(), sha256: String::new(), location }
}

/// Saves a checkpoint that names it.
async fn name(bed: &Bed, task: &Task, file: &Artifact) {
    let (name, data) = ("files".to_owned(), serde_json::value::to_raw_value(&[file]).unwrap());
    let save = Save { id: task.id, lease: task.lease.unwrap(), attempt: task.attempt, name, data };
    assert_eq!(bed.queue.save(save).await.unwrap(), Kept::Written);
}

/// A pool that knows the type; it ends with the test.
fn work(bed: &Bed) -> (Queue, CancellationToken) {
    let types = Types::builtin().with(Types::new(vec![Box::new(Steps)]));
    let queue = Queue::open(bed.queue.store().clone(), bed.clock.clone(), types, bed.queue.file_store().clone());
    let stop = CancellationToken::new();
    let (name, queues, drain) = ("tester".to_owned(), Vec::new(), Duration::ZERO);
    let settings = Settings { name, places: 1, queues, lease: LEASE, drain };
    tokio::spawn(worker::work(queue.clone(), settings, stop.clone()));
    (queue, stop)
}

async fn submit(queue: &Queue, params: &str, max_attempts: i64) -> Uuid {
    let backoff = Backoff { jitter: false, base_seconds: 1.0, ..Backoff::default() };
    let draft = Draft { max_attempts, backoff, ..Draft::new("steps", raw(params), "default", "tester") };
    let prepared = queue.prepare(vec![draft]).await.unwrap();
    let id = prepared.tasks[0].id;
    queue.submit(prepared, None).await.unwrap();
    id
}

async fn until(queue: &Queue, id: Uuid, done: impl Fn(&Task) -> bool + Send + Sync) -> Task {
    let task = queue.wait(&Scope::Everyone, id, PATIENCE, &done).await.unwrap();
    assert!(done(&task), "{task:?}");
    task
}

/// Waits until the first attempt has made its files and waits itself.
async fn until_it_waits(queue: &Queue, id: Uuid) {
    let began = Instant::now();
    while queue.store().checkpoints(&[id]).await.unwrap().len() < 2 {
        assert!(began.elapsed() < PATIENCE, "it never came so far");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Waits until these files of the task lie in the store and no others: they go after the transition.
async fn left(bed: &Bed, id: Uuid, expected: &[&str]) {
    let began = Instant::now();
    loop {
        let mut found = names(&bed.path(&of_task(id)));
        found.sort();
        if found == expected {
            return;
        }
        assert!(began.elapsed() < PATIENCE, "{found:?} instead of {expected:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn names(folder: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let inside = entries.map(|entry| entry.unwrap()).map(|entry| match entry.path() {
        path if path.is_dir() => names(&path),
        _ => vec![entry.file_name().into_string().unwrap()],
    });
    inside.flatten().collect()
}

async fn artifacts(queue: &Queue, id: Uuid) -> Vec<String> {
    let artifacts = queue.artifacts(&Scope::Everyone, id).await.unwrap();
    artifacts.into_iter().map(|artifact| artifact.name).collect()
}
