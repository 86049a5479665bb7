//! The user's pictures: several at once, written down in their order.

use super::done::Done;
use super::keep::{self, Names};
use super::params::Own;
use super::picture::Refused;
use super::pictures::{Finished, Lane, Pictures, Source};
use super::sheet;
use super::work::Job;
use crate::files;
use crate::task::{Artifact, text::clip};
use crate::types::{Context, Failure, Input, Level};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::io::AsyncReadExt;
use tokio::sync::Mutex;
use tokio_util::task::AbortOnDropHandle;

/// A larger watermark is refused: it goes to a process with every picture.
const MAX_MARK_BYTES: u64 = 10 * 1024 * 1024;

/// A picture's name, and what became of it, in the lane that has its files.
type Worked = Result<(String, Lane, Result<Finished, Refused>), Failure>;

/// Lanes that are free.
type Free = Arc<Mutex<Vec<Lane>>>;

/// Works on them all. What stops it stops all processes at once: they are killed as their lanes are dropped.
pub async fn resize_all(own: Own, pictures: &Pictures, ctx: &Context) -> Result<Vec<Value>, Failure> {
    tokio::select! {
        biased;
        () = ctx.stopped() => Err(Failure::Stopped),
        done = resize_in_order(own, pictures, ctx) => done,
    }
}

async fn resize_in_order(own: Own, pictures: &Pictures, ctx: &Context) -> Result<Vec<Value>, Failure> {
    let job = Arc::new(own.job());
    let mark = watermark(&own, ctx).await?;
    let total = own.file_ids.len();
    let mut done = Done::open(ctx, total).await?;
    ctx.log(Level::Info, format!("pictures to resize: {}, to {}", total - done.count(), sizes(&job)));
    let mut names = Names::new(done.files().map(|file| file.name.clone()).collect());
    let lanes = (0..pictures.lanes()).map(|_| Lane::new(pictures.clone())).collect();
    let free: Free = Arc::new(Mutex::new(lanes));
    let inputs: Vec<Input> =
        own.file_ids[done.count()..].iter().map(|id| ctx.input(*id).cloned()).collect::<Result<_, _>>()?;
    // Each is a task of its own: a picture goes on while another is written down.
    let begin =
        |input| AbortOnDropHandle::new(tokio::spawn(one(free.clone(), job.clone(), mark.clone(), input, ctx.clone())));
    let mut worked = stream::iter(inputs).map(begin).buffered(pictures.lanes());
    ctx.progress(done.count() as i64, total as i64, Some(format!("picture {} of {total}", done.count() + 1)));
    while let Some(ended) = worked.next().await {
        let (name, mut lane, result) = match ended {
            Ok(worked) => worked?,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => return Err(Failure::Stopped),
        };
        let (line, files) = match result {
            Ok(finished) => write(&name, finished, &mut lane, &mut names, ctx).await?,
            Err(refused) => {
                ctx.log(Level::Warn, format!("{name}: {}", refused.message));
                (json!({ "name": name, "error": { "code": refused.code, "message": refused.message } }), Vec::new())
            }
        };
        free.lock().await.push(lane);
        done.add(line, files, ctx).await?;
        let next = (done.count() + 1).min(total);
        ctx.progress(done.count() as i64, total as i64, Some(format!("picture {next} of {total}")));
    }
    if own.contact_sheet {
        let firsts: Vec<_> = done.firsts().cloned().collect();
        ctx.progress(total as i64, total as i64, Some("contact sheet".to_owned()));
        sheet::make(&firsts, pictures, ctx).await?;
    }
    Ok(done.lines())
}

/// The picture to lay on all others; empty where there is none.
async fn watermark(own: &Own, ctx: &Context) -> Result<Bytes, Failure> {
    let Some(id) = own.watermark_file_id else { return Ok(Bytes::new()) };
    let input = ctx.input(id)?;
    let mut mark = Vec::new();
    if input.bytes > MAX_MARK_BYTES {
        return Err(Failure::fatal("too_large", "the watermark's file is larger than 10 MiB"));
    }
    let reader = ctx.read(input, 0).await?;
    reader.take(MAX_MARK_BYTES).read_to_end(&mut mark).await.map_err(files::Error::from)?;
    Ok(mark.into())
}

async fn one(free: Free, job: Arc<Job>, mark: Bytes, input: Input, ctx: Context) -> Worked {
    // There is one for each that is on its way.
    let lane = free.lock().await.pop();
    let mut lane = lane.ok_or(Failure::Stopped)?;
    let result = lane.work(&job, &mark, Source::Upload(&input), &ctx).await?;
    Ok((clip(&input.name, 200), lane, result))
}

/// Writes its files; gives its line in the result, and them.
async fn write(
    name: &str,
    mut finished: Finished,
    lane: &mut Lane,
    names: &mut Names,
    ctx: &Context,
) -> Result<(Value, Vec<Artifact>), Failure> {
    let mut files = Vec::new();
    for at in 0..finished.made.pieces.len() {
        let piece = finished.made.pieces[at].clone();
        let mut output = keep::begin(&names.next(name, &piece), &piece, ctx).await?;
        lane.pour(&mut finished, at, &mut output.writer).await?;
        files.push(output.keep().await?);
    }
    let artifacts: Vec<String> = files.iter().map(|file| file.name.clone()).collect();
    Ok((keep::line(name, &finished.made, &artifacts, ctx), files))
}

/// What they come to, for a person.
fn sizes(job: &Job) -> String {
    let sizes: Vec<_> = job.shapes.iter().map(|shape| format!("{} × {}", shape.width, shape.height)).collect();
    sizes.join(", ")
}
