//! The look at the files once a second, for as long as the store is open.

use super::writer::Writer;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_util::sync::{CancellationToken, DropGuard};

/// How often the files are looked at. Every write looks too; this is for a node that writes nothing.
const LOOK: Duration = Duration::from_secs(1);
/// How often a ballast that there was no room for is tried.
const TRY_BALLAST: Duration = Duration::from_secs(60);
/// A larger log is cut, which SQLite does not do by itself while there is always a reader on it.
pub const LONG_LOG_BYTES: u64 = 64 << 20;
/// After a cut that a reader was in the way of.
const TRY_CUT: Duration = Duration::from_secs(10);

/// Looks until the guard is dropped, or until the files are no longer those that were opened.
pub fn start(writer: Arc<Writer>) -> DropGuard {
    let end = CancellationToken::new();
    let guard = end.clone().drop_guard();
    tokio::spawn(async move {
        end.run_until_cancelled(look(&writer)).await;
    });
    guard
}

async fn look(writer: &Arc<Writer>) {
    let (mut ballast_due, mut cut_due) = (Instant::now(), Instant::now());
    while writer.check().is_ok() {
        if writer.ballast().is_short() {
            make_room_again(writer).await;
        } else if Instant::now() >= ballast_due {
            keep_ballast(writer).await;
            ballast_due = Instant::now() + TRY_BALLAST;
        }
        let log = writer.anchor().log_bytes();
        if log > LONG_LOG_BYTES && Instant::now() >= cut_due && !writer.cut_log().await {
            tracing::warn!(
                megabytes = log >> 20,
                "the database's log cannot be cut: somebody reads the database as it was a while ago"
            );
            cut_due = Instant::now() + TRY_CUT;
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Ends the time of refusals once there is room, and a write shows it.
async fn make_room_again(writer: &Arc<Writer>) {
    if writer.ballast().has_room() && writer.probe().await.is_ok() && keep_ballast(writer).await {
        writer.ballast().is_back();
    }
}

async fn keep_ballast(writer: &Arc<Writer>) -> bool {
    let writer = writer.clone();
    tokio::task::spawn_blocking(move || writer.ballast().keep()).await.unwrap_or(false)
}
