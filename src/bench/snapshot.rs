//! What becomes of the work while somebody holds a snapshot open: a dump, a forgotten psql. Postgres then
//! keeps all that was written since, dead or not.

use super::{Measured, pool, scratch::Scratch};
use crate::config::BenchArgs;
use crate::queue::{Queue, Retention};
use crate::worker;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// How far apart those drains begin that are told of while a snapshot is held.
const TOLD_EVERY: Duration = Duration::from_secs(60);

/// Drains of `tasks` each: one to warm up, one that is measured, as many as fit into `seconds` while a
/// snapshot is held, of which one a minute is told of, and one more then.
pub async fn snapshot(scratch: &Scratch, queue: &Queue, args: &BenchArgs) -> Result<Vec<Measured>, String> {
    let end = CancellationToken::new();
    let house = tokio::spawn(worker::keep(queue.clone(), Retention::default(), true, end.clone()));
    let house = (
        house,
        tokio::spawn({
            let (queue, end) = (queue.clone(), end.clone());
            async move { queue.keep_house(end).await }
        }),
    );
    drain(queue, args, "to warm up").await?;
    let before = drain(queue, args, "before anybody holds a snapshot").await?;
    let held = scratch.hold_snapshot().await?;
    let (began, mut tasks, mut told) = (Instant::now(), 0, vec![before]);
    let mut tell_at = Duration::ZERO;
    loop {
        let elapsed = began.elapsed();
        let what = format!("while a snapshot is held, {} s and {tasks} tasks later", elapsed.as_secs());
        let measured = drain(queue, args, &what).await?;
        tasks += measured.tasks;
        let is_last = elapsed >= Duration::from_secs(args.seconds);
        if is_last || elapsed >= tell_at {
            told.push(measured);
            tell_at = elapsed + TOLD_EVERY;
        }
        if is_last {
            break;
        }
    }
    drop(held);
    end.cancel();
    let _ = tokio::join!(house.0, house.1);
    Ok(told)
}

async fn drain(queue: &Queue, args: &BenchArgs, what: &str) -> Result<Measured, String> {
    pool::backlog(queue, args.tasks).await?;
    let measured = pool::drain(queue, args.tasks, args.places).await?;
    Ok(Measured { scenario: "snapshot", what: format!("a drain {what}"), ..measured })
}
