//! A place in the pool.

use super::ahead::Ahead;
use crate::queue::present::Taken;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Held while a handler runs. A report needs no place: while one is written, the next handler runs,
/// so that many reports are one commit even of a small pool.
pub struct Place {
    place: OwnedSemaphorePermit,
    reports: Arc<Semaphore>,
    ahead: Arc<Ahead>,
    begun: Instant,
    taken: Taken,
}

impl Place {
    /// A place that was free.
    pub fn new(place: OwnedSemaphorePermit, reports: Arc<Semaphore>, ahead: Arc<Ahead>, taken: Taken) -> Place {
        Place { place, reports, ahead, begun: Instant::now(), taken }
    }

    /// The handler has ended: leaves the place to the next one, once there is room for the report,
    /// which has it as long as the answer is held. While the database takes no reports, the pool fills up.
    pub async fn leave(self) -> Option<OwnedSemaphorePermit> {
        self.ahead.ended(self.begun.elapsed());
        let room = self.reports.acquire_owned().await.ok();
        drop((self.place, self.taken));
        room
    }
}
