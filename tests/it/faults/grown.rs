//! Output files that grow in a bucket on S3: an attempt goes on with the upload of the one before it, and none is left
//! behind.

use super::{PATIENCE, until};
use crate::support::bed::{Bed, raw};
use crate::support::on_both_databases;
use crate::support::s3::{Fault, S3};
use async_trait::async_trait;
use errand::files::{Files, Growing, of_attempt};
use errand::queue::{Progress, Queue, Retention};
use errand::task::{Backoff, Draft, Scope, Status, Task};
use errand::types::{AnyType, Context, Failure, Grown, Output, Types};
use errand::worker::{self, Settings};
use serde_json::{Value, json, value::RawValue};
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

on_both_databases![
    a_cancelled_attempt_leaves_no_upload_and_no_tail_unless_a_checkpoint_names_them,
    what_a_cancelled_attempt_marked_is_gone_on_with_after_a_retry,
    a_part_that_is_refused_for_long_fails_the_attempt_and_nothing_that_was_marked_is_lost,
    an_upload_that_cannot_be_completed_is_ended_and_the_next_attempt_begins_anew,
    what_a_checkpoint_named_goes_with_the_task_and_what_nobody_names_goes_after_a_day,
];

const LEASE: Duration = Duration::from_secs(30);
/// Two parts and a bit are written before the mark, and as much behind it.
const HALF: usize = 12 << 20;
const REFUSES: Fault = Fault { of: "PUT /files/errand/artifacts", status: 500, code: "InternalError" };

/// Writes the first half of a file, says so, and writes the other half once it may; goes on from a mark.
struct Grows {
    may: Arc<Notify>,
}

#[async_trait]
impl AnyType for Grows {
    fn name(&self) -> &'static str {
        "grows"
    }

    fn description(&self) -> &'static str {
        "Makes a file, for tests."
    }

    fn params_schema(&self) -> Value {
        json!({ "type": "object", "properties": { "marks": { "type": "boolean" } } })
    }

    fn result_schema(&self) -> Value {
        json!({ "type": "object" })
    }

    fn examples(&self) -> Vec<Value> {
        vec![json!({})]
    }

    async fn run(&self, params: &RawValue, ctx: &Context) -> Result<Box<RawValue>, Failure> {
        let gone_on = match ctx.checkpoint::<Grown>("grown") {
            Some(grown) => ctx.grow_on(&grown).await?,
            None => None,
        };
        let from = if gone_on.is_some() { HALF } else { 0 };
        let mut output = match gone_on {
            Some(output) => output,
            None => write(ctx, ctx.grow("a.txt", "text/plain").await?, &content()[..HALF]).await?,
        };
        if from == 0 {
            if params.get().contains("true") {
                ctx.save("grown", &output.mark().sync().await?).await?;
            }
            ctx.save("half", &true).await?;
            tokio::select! {
                () = self.may.notified() => {}
                () = ctx.stopped() => return Err(Failure::Stopped),
            }
        }
        write(ctx, output, &content()[HALF..]).await?.keep().await?;
        ctx.result(&json!({ "from": from }))
    }
}

async fn write(ctx: &Context, mut output: Output<Growing>, bytes: &[u8]) -> Result<Output<Growing>, Failure> {
    let bytes = bytes.to_owned();
    let written = move |_: &Context| {
        bytes
            .chunks(Growing::CHUNK_BYTES)
            .try_for_each(|chunk| output.write_all(chunk))
            .map_err(errand::files::Error::from)?;
        Ok(output)
    };
    ctx.blocking(written).await
}

fn content() -> Vec<u8> {
    (0..2 * HALF).map(|i| (i % 251) as u8).collect()
}

async fn a_cancelled_attempt_leaves_no_upload_and_no_tail_unless_a_checkpoint_names_them(bed: Bed) {
    let s3 = S3::start().await;
    let (queue, _may, _stop) = work(&bed, &s3);
    for (params, left) in [("{}", 0), (r#"{"marks":true}"#, 1)] {
        let id = submit(&queue, params).await;
        until_half(&queue, id).await;
        until(|| s3.uploads().0 == 1, "its parts are there").await;
        queue.cancel(&Scope::Everyone, id, "me").await.unwrap();
        ended(&queue, id, Status::Cancelled).await;
        until(|| s3.uploads().0 == left && s3.keys("artifacts/").len() == 2 * left, "the sign and the tail").await;
    }
}

async fn what_a_cancelled_attempt_marked_is_gone_on_with_after_a_retry(bed: Bed) {
    let s3 = S3::start().await;
    let (queue, _may, _stop) = work(&bed, &s3);
    let id = submit(&queue, r#"{"marks":true}"#).await;
    until_half(&queue, id).await;
    queue.cancel(&Scope::Everyone, id, "me").await.unwrap();
    ended(&queue, id, Status::Cancelled).await;
    queue.retry(&Scope::Everyone, id, "me").await.unwrap();
    is_whole(&queue, &s3, id, HALF).await;
    assert_eq!(s3.uploads(), (0, 1), "the same one");
}

async fn a_part_that_is_refused_for_long_fails_the_attempt_and_nothing_that_was_marked_is_lost(bed: Bed) {
    let s3 = S3::start().await;
    let (queue, may, _stop) = work(&bed, &s3);
    let id = submit(&queue, r#"{"marks":true}"#).await;
    until_half(&queue, id).await;
    s3.fault(Some(REFUSES));
    may.notify_one();
    let task = queue.wait(&Scope::Everyone, id, PATIENCE, &|task: &Task| task.error.is_some()).await.unwrap();
    assert_eq!(task.error.unwrap().code, "storage_failed");
    assert!(s3.met() > 1, "it was tried again before");
    s3.fault(None);
    bed.clock.advance(1_000);
    queue.promote().await.unwrap();
    is_whole(&queue, &s3, id, HALF).await;
    assert_eq!(s3.uploads(), (0, 1), "the same one");
}

async fn an_upload_that_cannot_be_completed_is_ended_and_the_next_attempt_begins_anew(bed: Bed) {
    let s3 = S3::start().await;
    let (queue, may, _stop) = work(&bed, &s3);
    let id = submit(&queue, r#"{"marks":true}"#).await;
    until_half(&queue, id).await;
    s3.spoil();
    may.notify_one();
    let task = queue.wait(&Scope::Everyone, id, PATIENCE, &|task: &Task| task.error.is_some()).await.unwrap();
    assert_eq!(task.error.unwrap().code, "storage_failed");
    until(|| s3.uploads() == (0, 1), "nobody can go on with it").await;
    bed.clock.advance(1_000);
    queue.promote().await.unwrap();
    may.notify_one();
    is_whole(&queue, &s3, id, 0).await;
    assert_eq!(s3.uploads(), (0, 2));
}

async fn what_a_checkpoint_named_goes_with_the_task_and_what_nobody_names_goes_after_a_day(bed: Bed) {
    let s3 = S3::start().await;
    let (queue, _may, _stop) = work(&bed, &s3);
    assert_eq!(queue.sweep_files().await.unwrap(), 0);
    let id = submit(&queue, r#"{"marks":true}"#).await;
    until_half(&queue, id).await;
    queue.cancel(&Scope::Everyone, id, "me").await.unwrap();
    ended(&queue, id, Status::Cancelled).await;
    // As a killed node leaves it, of which no checkpoint knows.
    let mut file = queue.file_store().grow(&format!("{}/a", of_attempt(id, Uuid::now_v7()))).await.unwrap();
    let grown = tokio::task::spawn_blocking(move || {
        file.write_all(&content()).unwrap();
        file
    });
    grown.await.unwrap().mark().sync().await.unwrap();
    assert_eq!(s3.uploads().0, 2);

    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis() as i64;
    bed.clock.advance(now - bed.clock.now().0 + 25 * 3_600_000);
    assert_eq!(queue.sweep_files().await.unwrap(), 2, "a sign and a tail");
    assert_eq!((s3.uploads().0, s3.keys("artifacts/").len()), (1, 2), "what a checkpoint names stays");
    let retention = Retention { cancelled: Some(Duration::from_secs(3600)), ..Retention::default() };
    assert_eq!(queue.prune(&retention, &mut Progress::default()).await.unwrap(), 1);
    assert_eq!((s3.uploads().0, s3.keys("artifacts/").len()), (0, 0));
}

/// Waits until the task has succeeded from there; the file must be whole, and nothing else left.
async fn is_whole(queue: &Queue, s3: &S3, id: Uuid, from: usize) {
    let task = ended(queue, id, Status::Success).await;
    assert_eq!(task.result.unwrap().get(), json!({ "from": from }).to_string());
    let artifact = queue.artifacts(&Scope::Everyone, id).await.unwrap().remove(0);
    let mut sha256 = String::new();
    Sha256::digest(content()).iter().for_each(|byte| write!(sha256, "{byte:02x}").unwrap());
    assert_eq!((artifact.bytes, &artifact.sha256), (2 * HALF as i64, &sha256));
    assert_eq!(queue.file_store().digest(&artifact.location).await.unwrap(), (2 * HALF as u64, sha256));
    until(|| s3.keys("artifacts/") == [artifact.location.clone()], "nothing else is left").await;
}

/// A pool that knows the type and keeps its files in the bucket; it ends with the test.
fn work(bed: &Bed, s3: &S3) -> (Queue, Arc<Notify>, CancellationToken) {
    let may = Arc::new(Notify::new());
    let types = Types::builtin().with(Types::new(vec![Box::new(Grows { may: may.clone() })]));
    let files = Files::bucket("files", "errand", s3.variables(), 1 << 20).unwrap();
    let queue = Queue::open(bed.queue.store().clone(), bed.clock.clone(), types, files);
    let stop = CancellationToken::new();
    let (name, queues, drain) = ("tester".to_owned(), Vec::new(), Duration::ZERO);
    let settings = Settings { name, places: 1, queues, lease: LEASE, drain };
    tokio::spawn(worker::work(queue.clone(), settings, stop.clone()));
    (queue, may, stop)
}

async fn submit(queue: &Queue, params: &str) -> Uuid {
    let backoff = Backoff { jitter: false, base_seconds: 1.0, ..Backoff::default() };
    let draft = Draft { max_attempts: 2, backoff, ..Draft::new("grows", raw(params), "default", "tester") };
    let prepared = queue.prepare(vec![draft]).await.unwrap();
    let id = prepared.tasks[0].id;
    queue.submit(prepared, None).await.unwrap();
    id
}

async fn ended(queue: &Queue, id: Uuid, status: Status) -> Task {
    let task = queue.wait(&Scope::Everyone, id, PATIENCE, &|task: &Task| task.status == status).await.unwrap();
    assert_eq!(task.status, status, "{task:?}");
    task
}

async fn until_half(queue: &Queue, id: Uuid) {
    let began = std::time::Instant::now();
    while !queue.store().checkpoints(&[id]).await.unwrap().iter().any(|checkpoint| checkpoint.name == "half") {
        assert!(began.elapsed() < PATIENCE, "it never came so far");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
