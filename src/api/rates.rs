//! How much a key may send: so much a second from each of three buckets, at this node. Off where nobody sets it.
//!
//! A bucket holds what may be taken in a second. A batch may take more than there is, so that none is too large to pass
//! ever; then nothing is given until the debt is paid. So over any time no more is taken than the setting says,
//! and one bucket, or one batch.

use super::problem::{Code, Problem, Result};
use crate::queue::keys::Identity;
use crate::task::Role;
use axum::http::{HeaderName, HeaderValue, Method};
use axum::response::Response;
use std::collections::HashMap;
use std::fmt::Write;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The routes that submit: they take from a bucket of their own, as many as they submit tasks.
pub const SUBMITS: &[&str] = &["/api/tasks/submit", "/api/tasks/batch", "/api/tasks/{id}/clone", "/api/task/start"];

/// What a bucket holds, in time.
const SECOND: u64 = 1_000_000_000;
/// Keys of which more is known are looked through for those whose buckets are full again.
const MOST_KEYS: usize = 10_000;

/// How much each key may send a second, at this node; `None` is any number.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RateSettings {
    /// Tasks submitted.
    pub submit: Option<u32>,
    /// Other requests that change something.
    pub write: Option<u32>,
    /// Requests that read.
    pub read: Option<u32>,
}

/// The buckets of all keys.
pub struct Rates {
    began: Instant,
    submit: Option<Buckets>,
    write: Option<Buckets>,
    read: Option<Buckets>,
}

/// One of each key.
struct Buckets {
    name: &'static str,
    rate: u32,
    /// Nanoseconds in which one grows back: exact for up to 30,000 a second, beyond to a five-hundredth.
    one: u64,
    /// What it says of itself, always the same.
    policy: HeaderValue,
    /// When each is full again, in nanoseconds since the process began; those that are not here are full.
    full_at: Mutex<HashMap<String, u64>>,
}

/// A key's bucket, for one request.
pub struct Bucket<'a> {
    buckets: &'a Buckets,
    began: Instant,
    key: String,
}

impl Rates {
    /// Buckets of these sizes, all full.
    pub fn new(settings: RateSettings) -> Rates {
        let buckets = |name, rate: Option<u32>| rate.filter(|rate| *rate > 0).map(|rate| Buckets::new(name, rate));
        Rates {
            began: Instant::now(),
            submit: buckets("submit", settings.submit),
            write: buckets("write", settings.write),
            read: buckets("read", settings.read),
        }
    }

    /// What a request of this caller takes from; `None` where it may send as much as it likes. A worker may: a beat that
    /// is refused would cost it a lease.
    pub fn bucket(&self, method: &Method, path: &str, caller: &Identity) -> Option<Bucket<'_>> {
        match *method {
            Method::GET | Method::HEAD => self.reads(caller),
            Method::POST if SUBMITS.contains(&path) => self.submits(caller),
            _ => self.writes(caller),
        }
    }

    /// What submits of this caller take from.
    pub fn submits(&self, caller: &Identity) -> Option<Bucket<'_>> {
        self.of(&self.submit, caller)
    }

    /// What its other changes take from.
    pub fn writes(&self, caller: &Identity) -> Option<Bucket<'_>> {
        self.of(&self.write, caller)
    }

    /// What its reads take from.
    pub fn reads(&self, caller: &Identity) -> Option<Bucket<'_>> {
        self.of(&self.read, caller)
    }

    fn of<'a>(&self, buckets: &'a Option<Buckets>, caller: &Identity) -> Option<Bucket<'a>> {
        let buckets = buckets.as_ref().filter(|_| caller.role != Role::Worker)?;
        // Without keys there is one caller.
        Some(Bucket { buckets, began: self.began, key: caller.key_id.clone().unwrap_or_default() })
    }
}

impl Bucket<'_> {
    /// Takes one, else 429.
    pub fn take(&self) -> Result<()> {
        self.buckets.take(&self.key, self.now()).map_err(|wait| {
            let Buckets { name, rate, .. } = self.buckets;
            let what = if *name == "submit" { "tasks may be submitted" } else { "such requests may be sent" };
            let detail = format!("with one key, {rate} {what} a second at this node");
            let mut problem = Problem::later(Code::RateLimited, detail, wait);
            for (name, value) in self.headers() {
                problem = problem.with_header(name, value);
            }
            problem
        })
    }

    /// Takes more, also where there is no more: a debt.
    pub fn take_anyway(&self, n: usize) {
        self.buckets.take_anyway(&self.key, n as u64, self.now());
    }

    /// Tells how much is left.
    pub fn tell(&self, response: &mut Response) {
        response.headers_mut().extend(self.headers());
    }

    /// As draft-ietf-httpapi-ratelimit-headers-10 has them.
    fn headers(&self) -> [(HeaderName, HeaderValue); 2] {
        let (left, full_in) = self.buckets.left(&self.key, self.now());
        let mut told = String::with_capacity(32);
        let _ = write!(told, "\"{}\";r={left};t={}", self.buckets.name, full_in.div_ceil(SECOND));
        let told = HeaderValue::try_from(told).unwrap_or(HeaderValue::from_static(""));
        [
            (HeaderName::from_static("ratelimit"), told),
            (HeaderName::from_static("ratelimit-policy"), self.buckets.policy.clone()),
        ]
    }

    fn now(&self) -> u64 {
        self.began.elapsed().as_nanos() as u64
    }
}

impl Buckets {
    fn new(name: &'static str, rate: u32) -> Buckets {
        let policy = HeaderValue::try_from(format!("\"{name}\";q={rate};w=1"));
        let policy = policy.unwrap_or(HeaderValue::from_static(""));
        Buckets { name, rate, one: (SECOND / u64::from(rate)).max(1), policy, full_at: Mutex::default() }
    }

    /// Takes one, or says how long it takes until there is one.
    fn take(&self, key: &str, now: u64) -> std::result::Result<(), Duration> {
        let mut full_at = self.full_at();
        let after = full_at.get(key).map_or(now, |at| now.max(*at)) + self.one;
        match after.checked_sub(now + SECOND).filter(|wait| *wait > 0) {
            Some(wait) => Err(Duration::from_nanos(wait)),
            None => {
                put(&mut full_at, key, after, now);
                Ok(())
            }
        }
    }

    fn take_anyway(&self, key: &str, n: u64, now: u64) {
        let mut full_at = self.full_at();
        let after = full_at.get(key).map_or(now, |at| now.max(*at)) + n * self.one;
        put(&mut full_at, key, after, now);
    }

    /// How many are left, and in how many nanoseconds it is full.
    fn left(&self, key: &str, now: u64) -> (u64, u64) {
        let full_in = self.full_at().get(key).map_or(0, |at| at.saturating_sub(now));
        ((SECOND.saturating_sub(full_in) / self.one).min(self.rate.into()), full_in)
    }

    fn full_at(&self) -> MutexGuard<'_, HashMap<String, u64>> {
        self.full_at.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keys are made by admins only, so there are few; but they go, and new ones come.
fn put(full_at: &mut HashMap<String, u64>, key: &str, at: u64, now: u64) {
    if let Some(known) = full_at.get_mut(key) {
        *known = at;
        return;
    }
    if full_at.len() >= MOST_KEYS {
        full_at.retain(|_, at| *at > now);
    }
    full_at.insert(key.to_owned(), at);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_gives_so_many_and_a_part_of_it_a_part_of_them() {
        let buckets = Buckets::new("read", 10);
        let taken = |now| (0..).take_while(|_| buckets.take("k", now).is_ok()).count();
        assert_eq!((taken(0), taken(0), taken(SECOND / 2), taken(SECOND / 2), taken(9 * SECOND)), (10, 0, 5, 0, 10));
        assert_eq!(buckets.take("k", 9 * SECOND), Err(Duration::from_millis(100)));
        assert_eq!(buckets.take("another", 9 * SECOND), Ok(()));
    }

    #[test]
    fn a_debt_is_paid_before_anything_is_given() {
        let buckets = Buckets::new("submit", 100);
        assert_eq!(buckets.take("k", 0), Ok(()));
        buckets.take_anyway("k", 999, 0);
        assert_eq!(buckets.left("k", 0), (0, 10 * SECOND));
        assert_eq!(buckets.take("k", 0), Err(Duration::from_millis(9_010)));
        assert!(buckets.take("k", 9 * SECOND).is_err());
        assert_eq!(buckets.take("k", 9 * SECOND + SECOND / 100), Ok(()));
        assert_eq!(buckets.left("k", 10 * SECOND), (99, SECOND / 100));
    }

    #[test]
    fn any_rate_gives_its_number_in_the_first_second() {
        for rate in [1, 3, 7, 999, 30_000, 1_000_000] {
            let buckets = Buckets::new("read", rate);
            assert_eq!(buckets.left("k", 0).0, u64::from(rate), "{rate}");
            let taken = (0..).take_while(|_| buckets.take("k", 0).is_ok()).count();
            assert_eq!(taken as u32, rate, "{rate}");
        }
    }

    #[test]
    fn what_is_full_again_is_forgotten_before_there_is_too_much_of_it() {
        let buckets = Buckets::new("read", 1);
        for n in 0..=MOST_KEYS {
            assert_eq!(buckets.take(&n.to_string(), n as u64 * SECOND), Ok(()));
        }
        assert_eq!(buckets.full_at().len(), 1);
    }

    #[test]
    fn every_route_that_submits_is_in_the_table() {
        let known = |path: &&&str| super::super::TABLE.iter().any(|line| (line.0, line.1) == ("POST", **path));
        assert_eq!(SUBMITS.iter().filter(known).count(), SUBMITS.len());
    }
}
