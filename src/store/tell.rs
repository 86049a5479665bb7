//! How what the database did not do comes into the log.

use super::Error;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// One outage stops many things at once, again and again: so far apart are the lines that say so.
const APART: Duration = Duration::from_secs(1);

/// When an outage was last told, and how many lines were held back since. One for the process, as
/// its log is one.
static OUTAGE: Mutex<Option<(Instant, u64)>> = Mutex::new(None);

impl Error {
    /// Writes to the log what could not be done. That the database is away or full is one cause:
    /// at most one line a second in all; any other error has its own line.
    pub fn tell(&self, what: &str) {
        match self {
            Error::Unavailable(_) | Error::Full(_) => {
                if let Some(held_back) = turn() {
                    tracing::warn!(error = %self, held_back, "{what}");
                }
            }
            error => tracing::error!(%error, "{what}"),
        }
    }
}

/// Whether to speak now; how many kept silent before.
fn turn() -> Option<u64> {
    let mut outage = OUTAGE.lock().unwrap_or_else(PoisonError::into_inner);
    match &mut *outage {
        Some((told, held_back)) if told.elapsed() < APART => {
            *held_back += 1;
            None
        }
        outage => Some(outage.replace((Instant::now(), 0)).map_or(0, |(_, held_back)| held_back)),
    }
}
