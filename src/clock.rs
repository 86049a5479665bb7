//! The shared clock. Leases and due times compare with it; time-outs use the monotonic one.

use crate::task::Time;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// What is told seldom is told so far apart.
const SELDOM: Duration = Duration::from_secs(1);

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

/// Says when it is time to tell something again: once a second, so that what happens to many things at
/// once does not flood the log.
#[derive(Debug)]
pub struct Seldom {
    /// When it was last told, and how often it kept silent since.
    told: Mutex<Option<(Instant, u64)>>,
}

impl Seldom {
    /// It has not been told yet.
    pub const fn new() -> Seldom {
        Seldom { told: Mutex::new(None) }
    }

    /// `None`: not now. Else how often it kept silent since the last time.
    pub fn turn(&self) -> Option<u64> {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *told {
            Some((last, held_back)) if last.elapsed() < SELDOM => {
                *held_back += 1;
                None
            }
            told => Some(told.replace((Instant::now(), 0)).map_or(0, |(_, held_back)| held_back)),
        }
    }
}

impl Default for Seldom {
    fn default() -> Seldom {
        Seldom::new()
    }
}

fn system_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_seldom_counts_what_it_held_back() {
        let seldom = Seldom::new();
        assert_eq!((seldom.turn(), seldom.turn(), seldom.turn()), (Some(0), None, None));
        seldom.told.lock().unwrap().as_mut().unwrap().0 -= SELDOM;
        assert_eq!((seldom.turn(), seldom.turn()), (Some(2), None));
    }
}
