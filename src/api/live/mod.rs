//! The live stream: what happens to tasks, told as it happens, over a WebSocket or as Server-Sent Events.

mod asked;
mod ends;
mod entries;
mod events;
mod follow;
mod frames;
mod measured;
mod metrics;
mod noticed;
mod rate;
mod sign;
mod socket;
mod subscribed;
mod upgrade;

use super::Api;
use super::problem::{Code, Problem, Result};
pub use metrics::Listeners;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use utoipa_axum::router::OpenApiRouter;

/// A longer message of a client ends its socket (1009).
pub const MAX_MESSAGE: usize = 64 * 1024;

/// The routes.
pub fn router() -> OpenApiRouter<Api> {
    events::router().merge(upgrade::router())
}

/// What the live stream bears.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// More sockets and event streams at once are refused.
    pub open: usize,
    /// How often each socket looks at its own health.
    pub look: Duration,
    /// How often a socket is pinged.
    pub ping: Duration,
    /// A socket of which nothing, no pong either, was heard for so long is cut.
    pub silent: Duration,
    /// One that takes nothing of what is sent for so long is cut.
    pub stalled: Duration,
    /// One that does not say who it is within this is closed.
    pub unsigned: Duration,
    /// A stream of events in which nothing happened for so long says so.
    pub keep_alive: Duration,
}

impl Default for Bounds {
    /// Looks come late by up to one look: nobody silent is there for more than 60 s.
    fn default() -> Bounds {
        Bounds {
            open: 10_000,
            look: Duration::from_secs(5),
            ping: Duration::from_secs(20),
            silent: Duration::from_secs(55),
            stalled: Duration::from_secs(10),
            unsigned: Duration::from_secs(5),
            keep_alive: Duration::from_secs(15),
        }
    }
}

/// One place among the open ones.
struct Place(Arc<AtomicUsize>);

impl Place {
    /// A place; 503 where there is none or the node shuts down.
    fn take(api: &Api) -> Result<Place> {
        api.taking()?;
        let Bounds { open, .. } = api.bounds;
        let taken = api.sockets.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| (n < open).then_some(n + 1));
        match taken {
            Ok(_) => Ok(Place(api.sockets.clone())),
            Err(_) => Err(Problem::new(Code::Unavailable, format!("this node has its {open} sockets open"))),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
