//! How what the database did not do comes into the log.

use super::Error;
use crate::clock::Seldom;

/// One outage stops many things at once, again and again: it is told once a second. One for the
/// process, as its log is one.
static OUTAGE: Seldom = Seldom::new();

impl Error {
    /// Writes to the log what could not be done. That the database is away or full is one cause:
    /// at most one line a second in all; any other error has its own line.
    pub fn tell(&self, what: &str) {
        match self {
            Error::Unavailable(_) | Error::Full(_) => {
                if let Some(held_back) = OUTAGE.turn() {
                    tracing::warn!(error = %self, held_back, "{what}");
                }
            }
            error => tracing::error!(%error, "{what}"),
        }
    }
}
