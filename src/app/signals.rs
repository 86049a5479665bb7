//! What a signal does.

use super::{Failure, Log};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// The first SIGTERM or SIGINT drains, the second ends at once.
pub fn stop_on_signals(stop: CancellationToken, log: Log) -> Result<(), Failure> {
    let no_signals = |error: std::io::Error| Failure::Other(format!("signals: {error}"));
    let mut terminate = signal(SignalKind::terminate()).map_err(no_signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(no_signals)?;
    tokio::spawn(async move {
        loop {
            tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
            if stop.is_cancelled() {
                tracing::warn!("ending at once: what runs here will be taken over when its leases end");
                log.last_words();
                std::process::exit(1);
            }
            stop.cancel();
        }
    });
    Ok(())
}
