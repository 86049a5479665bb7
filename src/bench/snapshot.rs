//! What becomes of the work while somebody holds a snapshot open: a dump, a forgotten psql. Postgres then
//! keeps all that was written since, dead or not.

use super::{Measured, pool, scratch::Scratch};
use crate::config::BenchArgs;
use crate::queue::{Queue, Retention};
use crate::worker;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// Drains of `tasks` each: one to warm up, one that is measured, as many as fit into `seconds` while a
/// snapshot is held, and one more then.
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
    let (began, mut tasks) = (Instant::now(), 0);
    while began.elapsed() < Duration::from_secs(args.seconds) {
        tasks += drain(queue, args, "meanwhile").await?.tasks;
    }
    let what = format!("while a snapshot is held, {} s and {tasks} tasks later", began.elapsed().as_secs());
    let after = drain(queue, args, &what).await?;
    drop(held);
    end.cancel();
    let _ = tokio::join!(house.0, house.1);
    Ok(vec![before, after])
}

async fn drain(queue: &Queue, args: &BenchArgs, what: &str) -> Result<Measured, String> {
    pool::backlog(queue, args.tasks).await?;
    let measured = pool::drain(queue, args.tasks, args.places).await?;
    Ok(Measured { scenario: "snapshot", what: format!("a drain {what}"), ..measured })
}
