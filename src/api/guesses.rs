//! Wrong keys: an address may send so many a minute; beyond, no key that comes from it is looked at.
//!
//! Keys that were right at this node before are looked at all the same. So whoever works goes on working, however
//! many wrong keys others send from the same address, which behind a proxy is everybody's. What must wait there is a
//! key that comes to this node for the first time: until the minute is over in which too many wrong ones came.

use super::caller;
use super::common::Peer;
use super::problem::{Code, Problem, Result};
use crate::queue::keys::Refused;
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

/// Wrong keys that an address may send a minute: more than slips and forgotten scripts do, and nothing against the
/// shortest key that the settings take.
const MOST_WRONG: u32 = 100;
/// When the time is over, all addresses begin anew.
const MINUTE: Duration = Duration::from_secs(60);
/// Addresses that are told apart in a minute; further ones count as one.
const MOST_ADDRESSES: usize = 10_000;
/// Right keys that are remembered; beyond, all are forgotten, and looked at anew.
const MOST_RIGHT: usize = 10_000;

/// What came with keys that were wrong, in this minute, and which were right. Bounded: 1 MiB at most.
#[derive(Default)]
pub struct Guesses {
    minute: Mutex<Minute>,
    right: RwLock<HashSet<u64>>,
    /// Keys are remembered by a hash under this secret of the process, which is cheap, and nothing to anybody else.
    secret: RandomState,
}

#[derive(Default)]
struct Minute {
    began: Option<Instant>,
    wrong: HashMap<Network, u32>,
}

/// Who is one caller: an address of IPv4, a network of IPv6 such as every household has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Network {
    Four(u32),
    /// The first 64 bits.
    Six(u64),
    /// All that came when no more were told apart.
    Further,
}

impl Guesses {
    /// What a look at this key answers. Without a look, 429, where too many wrong keys came from the address; that it is
    /// wrong counts. As many at once as there are connections may be looked at beyond the limit. Who comes without an
    /// address (no connection of ours) is not counted.
    pub async fn look<T>(
        &self,
        peer: Option<Peer>,
        key: &str,
        look: impl Future<Output = std::result::Result<T, Refused>>,
    ) -> Result<T> {
        let network = peer.map(|Peer(address)| Network::of(address.ip()));
        let mark = self.secret.hash_one(key);
        if let Some(wait) = network.and_then(|network| self.wait(network, Instant::now()))
            && !self.was_right(mark)
        {
            let detail = "too many wrong keys came from this address: no new one is looked at for a while";
            return Err(Problem::later(Code::RateLimited, detail, wait));
        }
        let looked = look.await;
        match &looked {
            Ok(_) => self.right(mark),
            Err(Refused::Unknown) => self.wrong(mark, network, Instant::now()),
            // It was a key once, or nobody knows.
            Err(_) => {}
        }
        looked.map_err(caller::refused)
    }

    /// How long no unknown key from there is looked at.
    fn wait(&self, network: Network, now: Instant) -> Option<Duration> {
        let minute = self.minute();
        let left = MINUTE.checked_sub(now.saturating_duration_since(minute.began?)).filter(|left| !left.is_zero())?;
        let wrong = minute.wrong.get(&minute.told_apart(network)).copied().unwrap_or_default();
        (wrong >= MOST_WRONG).then_some(left)
    }

    fn was_right(&self, mark: u64) -> bool {
        self.right.read().unwrap_or_else(PoisonError::into_inner).contains(&mark)
    }

    fn right(&self, mark: u64) {
        if self.was_right(mark) {
            return;
        }
        let mut right = self.right.write().unwrap_or_else(PoisonError::into_inner);
        if right.len() >= MOST_RIGHT {
            right.clear();
        }
        right.insert(mark);
    }

    fn wrong(&self, mark: u64, network: Option<Network>, now: Instant) {
        // It may have been right until it got another secret.
        if self.was_right(mark) {
            self.right.write().unwrap_or_else(PoisonError::into_inner).remove(&mark);
        }
        let Some(network) = network else { return };
        let mut minute = self.minute();
        if minute.began.is_none_or(|began| now.saturating_duration_since(began) >= MINUTE) {
            *minute = Minute { began: Some(now), wrong: HashMap::new() };
        }
        let network = minute.told_apart(network);
        let wrong = minute.wrong.entry(network).or_default();
        *wrong = wrong.saturating_add(1);
        if *wrong == MOST_WRONG {
            tracing::warn!(?network, "{MOST_WRONG} wrong keys within a minute: unknown ones are not looked at for now");
        }
    }

    fn minute(&self) -> MutexGuard<'_, Minute> {
        self.minute.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Minute {
    fn told_apart(&self, network: Network) -> Network {
        match self.wrong.len() < MOST_ADDRESSES || self.wrong.contains_key(&network) {
            true => network,
            false => Network::Further,
        }
    }
}

impl Network {
    fn of(address: IpAddr) -> Network {
        match address.to_canonical() {
            IpAddr::V4(address) => Network::Four(address.to_bits()),
            IpAddr::V6(address) => Network::Six((address.to_bits() >> 64) as u64),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(address: &str) -> Network {
        Network::of(address.parse().unwrap())
    }

    #[test]
    fn an_address_waits_out_the_minute_in_which_it_sent_too_many_and_no_other_does() {
        let (guesses, begun) = (Guesses::default(), Instant::now());
        for n in 0..MOST_WRONG {
            assert_eq!(guesses.wait(network("1.2.3.4"), begun), None, "{n}");
            guesses.wrong(0, Some(network("1.2.3.4")), begun);
        }
        let later = begun + Duration::from_secs(20);
        assert_eq!(guesses.wait(network("1.2.3.4"), later), Some(Duration::from_secs(40)));
        assert_eq!(guesses.wait(network("1.2.3.5"), later), None);
        assert_eq!(guesses.wait(network("1.2.3.4"), begun + MINUTE), None);
    }

    #[test]
    fn a_network_of_ipv6_is_one_and_an_address_in_either_form() {
        assert_eq!(network("2001:db8:1:2::1"), network("2001:db8:1:2:ffff::"));
        assert_ne!(network("2001:db8:1:2::1"), network("2001:db8:1:3::1"));
        assert_eq!(network("::ffff:1.2.3.4"), network("1.2.3.4"));
        assert_ne!(network("1.2.3.4"), network("1.2.3.5"));
    }

    #[test]
    fn ten_thousand_addresses_are_told_apart_and_all_further_ones_are_one() {
        let (guesses, now) = (Guesses::default(), Instant::now());
        let nth = |n: u32| Network::Four(n);
        for n in 0..MOST_ADDRESSES as u32 + MOST_WRONG {
            guesses.wrong(0, Some(nth(n)), now);
        }
        assert_eq!(guesses.minute().wrong.len(), MOST_ADDRESSES + 1);
        assert!(guesses.wait(nth(u32::MAX), now).is_some(), "nor is a new one looked at");
        assert_eq!(guesses.wait(nth(7), now), None);
    }

    #[test]
    fn so_many_right_keys_are_remembered_and_no_more() {
        let guesses = Guesses::default();
        for n in 0..=MOST_RIGHT as u64 {
            guesses.right(n);
        }
        assert!(guesses.was_right(MOST_RIGHT as u64) && !guesses.was_right(0));
    }
}
