//! Whether the database answers this node.
//!
//! Every call is bounded, but a caller should not have to wait its bound out. So a call that hears
//! nothing for a moment, and one whose connection breaks, has the database looked at over a fresh
//! connection. If that gets no answer, and no other call got one meanwhile, the link is down: what
//! is in flight and what comes fails at once, and one loop tries to connect until it can.
//!
//! A database that can only be read is a standby, or was a primary: what it says may be old, and the
//! primary may be elsewhere by now. So it counts as one that does not answer.

use super::READ_ONLY;
use crate::store::{Error, Result};
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection, Executor, Row};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout};

/// A call that is silent for so long makes the link doubtful.
const SILENCE: Duration = Duration::from_millis(750);
/// A look in doubt waits so long for its answer: with [`SILENCE`], a caller hears within 2 s.
const LOOK: Duration = Duration::from_secs(1);
/// A look while the link is down: whoever comes back may be slow at first.
const LOOK_AGAIN: Duration = Duration::from_secs(2);
/// Looks in doubt begin at least so far apart: each costs the server a session.
const APART: Duration = Duration::from_millis(500);
/// The longest wait between two looks while the link is down. Each wait is drawn by chance from
/// nothing to its length (full jitter), so that many nodes do not come back in step.
const LONGEST_WAIT: Duration = Duration::from_secs(1);
/// Asks for it.
const IS_READ_ONLY: &str = "SELECT current_setting('transaction_read_only')::bool";
/// How often a link that stays down is told.
const TELL_EVERY: Duration = Duration::from_secs(60);

/// The state of the link, shared by all connections of a node.
pub struct Link {
    options: PgConnectOptions,
    up: watch::Sender<bool>,
    doubted: Notify,
    /// A write was told that this database can only be read.
    read_only: AtomicBool,
    /// Connections of an older generation were made before the link was last lost, or led elsewhere.
    generation: watch::Sender<u64>,
    begun: Instant,
    /// When the last answer came, in milliseconds after `begun`.
    answered: AtomicU64,
}

impl Link {
    pub fn new(options: PgConnectOptions) -> Link {
        Link {
            options,
            up: watch::Sender::new(true),
            doubted: Notify::new(),
            read_only: AtomicBool::new(false),
            generation: watch::Sender::new(0),
            begun: Instant::now(),
            answered: AtomicU64::new(0),
        }
    }

    /// Fails at once while the link is down.
    pub fn check(&self) -> Result<()> {
        if *self.up.borrow() { Ok(()) } else { Err(down()) }
    }

    /// What a call came to; fails at `until`, and as soon as the link is down.
    pub async fn in_time<T>(&self, until: Instant, call: impl Future<Output = Result<T>>) -> Result<T> {
        let mut up = self.up.subscribe();
        let mut call = std::pin::pin!(call);
        loop {
            tokio::select! {
                biased; // a call that is answered at once needs no timer
                answer = &mut call => return answer,
                _ = up.wait_for(|up| !up) => return Err(down()),
                () = sleep_until(until.min(Instant::now() + SILENCE)) => self.doubt(),
            }
            if Instant::now() >= until {
                return Err(Error::Unavailable("no answer in time".to_owned()));
            }
        }
    }

    /// Something does not look right: the database will be looked at.
    pub fn doubt(&self) {
        self.doubted.notify_one();
    }

    /// What a call came to makes the link doubtful.
    pub fn doubt_for(&self, error: &Error) {
        if super::code_of(error) == READ_ONLY {
            self.read_only.store(true, Relaxed);
        }
        self.doubt();
    }

    /// The database has just answered a call.
    pub fn answered(&self) {
        self.answered.store(self.begun.elapsed().as_millis() as u64, Relaxed);
    }

    /// Rises whenever the link is lost: what was connected before is of no use.
    pub fn generation(&self) -> u64 {
        *self.generation.borrow()
    }

    /// Returns when connections of this generation have become useless.
    pub async fn outlived(&self, generation: u64) {
        let _ = self.generation.subscribe().wait_for(|now| *now > generation).await;
    }

    /// Looks when in doubt, for as long as it is polled.
    pub async fn keep(&self) {
        loop {
            self.doubted.notified().await;
            let asked = self.begun.elapsed().as_millis() as u64;
            let was_read_only = self.read_only.swap(false, Relaxed);
            match self.look(LOOK).await {
                // Whatever else is answered: by a standby.
                Err(error) if super::code_of(&error) == READ_ONLY => self.until_back(error).await,
                Err(error) if self.answered.load(Relaxed) <= asked => self.until_back(error).await,
                // New connections lead to the primary again; those for reads may still be with the old one.
                Ok(()) if was_read_only => {
                    tracing::warn!("the database could only be read; connecting anew");
                    self.renew();
                }
                _ => {}
            }
            sleep(APART).await;
        }
    }

    async fn until_back(&self, error: Error) {
        let lost = Instant::now();
        self.up.send_replace(false);
        tracing::warn!(%error, "the database does not answer; trying until it does");
        let (mut wait, mut told) = (LONGEST_WAIT / 8, Instant::now());
        loop {
            sleep(wait.mul_f64(rand::random())).await;
            wait = (wait * 2).min(LONGEST_WAIT);
            let Err(error) = self.look(LOOK_AGAIN).await else { break };
            if told.elapsed() >= TELL_EVERY {
                told = Instant::now();
                tracing::warn!(%error, seconds = lost.elapsed().as_secs(), "the database still does not answer");
            }
        }
        self.renew();
        self.up.send_replace(true);
        tracing::info!(seconds = lost.elapsed().as_secs_f32(), "the database answers again");
    }

    fn renew(&self) {
        self.generation.send_modify(|generation| *generation += 1);
    }

    /// Whether it answers a new connection, and can be written. One that refuses us (too many
    /// connections, say) is there.
    async fn look(&self, patience: Duration) -> Result<()> {
        let look = async {
            let mut connection = self.options.connect().await.map_err(super::failed)?;
            let row = connection.fetch_one(IS_READ_ONLY).await.map_err(super::failed)?;
            let is_read_only = row.try_get(0).map_err(super::failed)?;
            let _ = connection.close().await;
            match is_read_only {
                true => Err(super::read_only()),
                false => Ok(()),
            }
        };
        match timeout(patience, look).await {
            Ok(Err(error)) if super::is_broken(&error) => Err(error),
            Ok(_) => Ok(()),
            Err(_) => Err(Error::Unavailable("no answer in time".to_owned())),
        }
    }
}

fn down() -> Error {
    Error::Unavailable("it does not answer".to_owned())
}
