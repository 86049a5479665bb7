//! The look at the files once a second, for as long as the store is open.

use super::writer::Writer;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::{CancellationToken, DropGuard};

/// How often the files are looked at. Every write looks too; this is for a node that writes nothing.
const LOOK: Duration = Duration::from_secs(1);

/// Looks until the guard is dropped, or until the files are no longer those that were opened.
pub fn start(writer: Arc<Writer>) -> DropGuard {
    let end = CancellationToken::new();
    let guard = end.clone().drop_guard();
    tokio::spawn(async move {
        end.run_until_cancelled(look(&writer)).await;
    });
    guard
}

async fn look(writer: &Writer) {
    while writer.check().is_ok() {
        tokio::time::sleep(LOOK).await;
    }
}
