//! What every node does beside its tasks: takes lapsed leases back, makes due tasks ready, deletes
//! files that nobody names and what was kept long enough, follows the database's clock, hears other nodes.

use crate::queue::{Progress, Queue, Retention};
use crate::store::{Database, Wake};
use std::time::Duration;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

/// How often due tasks and lapsed leases are looked for, if no earlier due one is known.
const LOOK: Duration = Duration::from_secs(5);
/// On a node without a pool, whose claims would notice a database that has become another's standby.
const LOOK_ALONE: Duration = Duration::from_secs(1);
/// After a look that failed.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// How often the clock is set by the database's, and how soon again if that did not work.
const SET_CLOCK: Duration = Duration::from_secs(60);
const SET_CLOCK_AGAIN: Duration = Duration::from_secs(5);

/// How often a file store that has not answered yet is asked again.
const REACH_FILES_AGAIN: Duration = Duration::from_secs(2);
/// How often files that nobody names are looked for.
const SWEEP_FILES: Duration = Duration::from_secs(24 * 3600);
/// After a look that failed.
const SWEEP_FILES_AGAIN: Duration = Duration::from_secs(60);

/// How often finished tasks are looked for that were kept long enough.
const RETAIN: Duration = Duration::from_secs(60);
/// How often those that were passed over are looked at again: one that somebody was about to retry.
const RETAIN_ANEW: u32 = 24 * 60;

/// Keeps house until `stop`. Every node runs it, `beside_a_pool` or not; they do not get in each other's way.
pub async fn keep(queue: Queue, retention: Retention, beside_a_pool: bool, stop: CancellationToken) {
    let all = async {
        let retain = retain(&queue, retention);
        let look = look(&queue, if beside_a_pool { LOOK } else { LOOK_ALONE });
        tokio::join!(look, files(&queue), retain, follow_clock(&queue), hear(&queue));
    };
    stop.run_until_cancelled(all).await;
}

async fn look(queue: &Queue, every: Duration) {
    loop {
        let wait = match queue.promote().await {
            // What lapsed is taken back in pieces: there may be more.
            Ok(due) if due.lapsed && take_back(queue).await => continue,
            Ok(due) => due
                .next
                .map_or(every, |next| Duration::from_millis(next.since(queue.clock().now()).max(1) as u64).min(every)),
            Err(error) => {
                tracing::debug!(%error, "due tasks could not be looked for; trying again");
                LOOK_AGAIN
            }
        };
        let _ = timeout(wait, queue.events().until_due()).await;
    }
}

/// Whether any lapsed lease was taken back.
async fn take_back(queue: &Queue) -> bool {
    match queue.rescue().await {
        Ok(taken) => taken > 0,
        Err(error) => {
            error.tell("lapsed leases could not be taken back; trying again");
            false
        }
    }
}

async fn files(queue: &Queue) {
    reach_files(queue).await;
    loop {
        let wait = match queue.sweep_files().await {
            Ok(_) => SWEEP_FILES,
            Err(error) => {
                tracing::warn!(%error, "files that nobody names could not be looked for; trying again");
                SWEEP_FILES_AGAIN
            }
        };
        sleep(wait).await;
    }
}

/// Until the file store has answered, this node takes no tasks and is not ready.
async fn reach_files(queue: &Queue) {
    let mut told = false;
    while let Err(error) = queue.file_store().reach().await {
        if !std::mem::replace(&mut told, true) {
            tracing::error!(%error, "waiting for the file store: until it answers, no task is taken here");
        }
        sleep(REACH_FILES_AGAIN).await;
    }
    if told {
        tracing::info!("the file store answers");
    }
}

async fn retain(queue: &Queue, retention: Retention) {
    if retention == Retention::default() {
        return;
    }
    loop {
        let mut progress = Progress::default();
        for _ in 0..RETAIN_ANEW {
            match queue.prune(&retention, &mut progress).await {
                Ok(0) => {}
                Ok(tasks) => tracing::info!(tasks, "deleted finished tasks that were kept long enough"),
                Err(error) => error.tell("old tasks could not be deleted; trying again"),
            }
            if let Some(kept) = retention.activity
                && let Err(error) = queue.prune_activity(kept).await
            {
                error.tell("old entries of who did what could not be deleted; trying again");
            }
            sleep(RETAIN).await;
        }
    }
}

async fn follow_clock(queue: &Queue) {
    if queue.store().database() == Database::Sqlite {
        return;
    }
    loop {
        let set = queue.follow_clock().await;
        if let Err(error) = &set {
            tracing::debug!(%error, "the database's clock could not be read; trying again");
        }
        sleep(if set.is_ok() { SET_CLOCK } else { SET_CLOCK_AGAIN }).await;
    }
}

async fn hear(queue: &Queue) {
    let mut wakes = queue.store().wakes();
    loop {
        match wakes.recv().await {
            Ok(Wake::Ready) => queue.events().ready(),
            Ok(Wake::Cancel) => queue.events().cancel(),
            Ok(Wake::Marks) => {} // nothing to do with tasks
            Err(RecvError::Lagged(_)) => {
                queue.events().ready();
                queue.events().cancel();
            }
            Err(RecvError::Closed) => return,
        }
    }
}
