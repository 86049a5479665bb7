//! The way of a running attempt's checkpoints to the queue.

use super::running::{Running, Stop};
use crate::queue::{Error, Kept, Queue};
use crate::store::{self, Save};
use crate::types::{Failure, Saves};
use async_trait::async_trait;
use serde_json::value::RawValue;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;
use uuid::Uuid;

/// The first wait before a save is tried again; then twice as long, up to 2 s.
const FIRST_WAIT: Duration = Duration::from_millis(100);

/// Saves under one lease.
pub struct UnderLease {
    pub queue: Queue,
    pub running: Arc<Running>,
    pub task: Uuid,
    pub attempt: i64,
    pub lease: Uuid,
}

#[async_trait]
impl Saves for UnderLease {
    /// While the database is away it is tried again until the attempt is told to stop, which it is
    /// before its lease can end.
    async fn save(&self, name: &str, data: Box<RawValue>) -> Result<(), Failure> {
        let (id, lease, attempt) = (self.task, self.lease, self.attempt);
        let save = Save { id, lease, attempt, name: name.to_owned(), data };
        let mut wait = FIRST_WAIT;
        loop {
            match self.queue.save(save.clone()).await {
                Ok(Kept::Written) => return Ok(()),
                Ok(Kept::Lost) => {
                    self.running.stop(lease, Stop::Lost);
                    return Err(Failure::Stopped);
                }
                Err(Error::InvalidCheckpoint(why)) => return Err(Failure::fatal("checkpoint_refused", why)),
                Err(error @ Error::Store(store::Error::Unavailable(_) | store::Error::Full(_))) => {
                    error.tell("a checkpoint could not be written; it is tried again");
                    if self.running.is_stopped(lease) {
                        return Err(Failure::Stopped);
                    }
                    sleep(wait.mul_f64(0.5 + rand::random::<f64>())).await;
                    wait = (wait * 2).min(Duration::from_secs(2));
                }
                Err(error) => {
                    tracing::error!(task = %id, %error, "a checkpoint could not be written");
                    return Err(Failure::retry("internal", "a checkpoint could not be written"));
                }
            }
        }
    }
}
