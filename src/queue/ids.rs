//! Ids of tasks.

use crate::task::Time;
use std::sync::atomic::{AtomicU64, Ordering};
use uuid::Uuid;

/// Makes ids that sort by creation, by the shared clock, and in order within a millisecond. An id
/// tells when its task was created, to the millisecond, also after the clock was set back.
pub struct Ids {
    /// Counts on for as long as the process lives, from somewhere by chance.
    next: AtomicU64,
}

impl Default for Ids {
    fn default() -> Ids {
        Ids { next: AtomicU64::new(rand::random_range(0..1 << 41)) }
    }
}

impl Ids {
    /// UUIDv7: 48 bits of time, 42 of the count, 32 by chance.
    pub fn next(&self, now: Time) -> Uuid {
        let count = u128::from(self.next.fetch_add(1, Ordering::Relaxed)) & ((1 << 42) - 1);
        let rest = count << 32 | u128::from(rand::random::<u32>());
        let (high, low) = (rest >> 62, rest & ((1 << 62) - 1));
        Uuid::from_u128((now.0.max(0) as u128) << 80 | 0x7 << 76 | high << 64 | 0x2 << 62 | low)
    }
}
