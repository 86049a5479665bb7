//! The shared clock. Leases and due times compare with it; time-outs use the monotonic one.

use crate::task::Time;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// Gives `now`. On Postgres it follows the database's clock by an offset, so that nodes agree
/// whatever their own clocks say; in tests it is moved by hand. Cheap to clone; clones agree.
#[derive(Debug, Clone)]
pub struct Clock {
    source: Arc<Source>,
}

#[derive(Debug)]
enum Source {
    System { offset_ms: AtomicI64 },
    Hand { now_ms: AtomicI64 },
}

impl Clock {
    /// The machine's clock, until [`Clock::follow`] corrects it.
    pub fn system() -> Clock {
        Clock { source: Arc::new(Source::System { offset_ms: AtomicI64::new(0) }) }
    }

    /// A clock that stands still until it is moved. For tests.
    pub fn by_hand(now: Time) -> Clock {
        Clock { source: Arc::new(Source::Hand { now_ms: AtomicI64::new(now.0) }) }
    }

    /// The instant, by the shared clock.
    pub fn now(&self) -> Time {
        match &*self.source {
            Source::System { offset_ms } => Time(system_ms() + offset_ms.load(Ordering::Relaxed)),
            Source::Hand { now_ms } => Time(now_ms.load(Ordering::SeqCst)),
        }
    }

    /// Follows the database from here on: `theirs` is its clock's reading, taken just now.
    pub fn follow(&self, theirs: Time) {
        if let Source::System { offset_ms } = &*self.source {
            offset_ms.store(theirs.0 - system_ms(), Ordering::Relaxed);
        }
    }

    /// Moves a clock made by [`Clock::by_hand`]; on any other nothing happens.
    pub fn advance(&self, millis: i64) {
        if let Source::Hand { now_ms } = &*self.source {
            now_ms.fetch_add(millis, Ordering::SeqCst);
        }
    }
}

fn system_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}
