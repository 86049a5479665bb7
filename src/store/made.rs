//! Tasks that never ran, for measuring behind a long history.

use crate::task::Time;
use std::ops::Range;
use uuid::Uuid;

/// Finished tasks by number: types, queues, owners, clients, tags and ends are mixed by it, nine of
/// ten ended well, and one in a million is `rare` in its queue, client, tag and name.
#[derive(Debug, Clone)]
pub struct Made {
    /// Which ones.
    pub numbers: Range<i64>,
    /// When number 0 was created.
    pub begin: Time,
    /// How far one is created behind the one before it.
    pub step_micros: i64,
}

impl Made {
    /// The id of one of them, as the statements make it: UUIDv7 with the number in its end.
    pub fn id(&self, number: i64) -> Uuid {
        let at = (self.begin.0 + number * self.step_micros / 1000) as u128;
        Uuid::from_u128(at << 80 | 0x7000 << 64 | 0x8 << 60 | number as u128)
    }
}
