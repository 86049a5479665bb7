//! Connections: how they are made, lent for one call, and given up.

use super::link::Link;
use super::{PATIENCE, code_of, failed, is_broken};
use crate::store::{Error, Result};
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection, Executor, PgConnection, Row};
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

/// How long a call waits for one of the connections to be free.
const PLACE: Duration = Duration::from_secs(2);
/// After the server had no place for one more connection, none is asked for until a moment later,
/// drawn by chance up to this.
const REFUSED: Duration = Duration::from_secs(1);
/// The server's word for that.
const TOO_MANY_CONNECTIONS: &str = "53300";

/// How a session is set up. The server ends one whose node is gone within 30 s, and gives a
/// statement up a little after its caller did.
const SESSION: [(&str, &str); 8] = [
    ("statement_timeout", "5s"),
    ("lock_timeout", "2s"),
    ("idle_in_transaction_session_timeout", "10s"),
    ("tcp_keepalives_idle", "10"),
    ("tcp_keepalives_interval", "5"),
    ("tcp_keepalives_count", "3"),
    ("tcp_user_timeout", "10000"),
    // Compiling a statement takes longer than all of them do, and a plan's cost, on which the
    // server decides it, is a guess.
    ("jit", "off"),
];

/// Whether a session stands outside of any transaction: within one, `now()` is when that began.
const AT_REST: &str = "SELECT now() = statement_timestamp()";

/// What a URL says, and our name.
pub fn options(url: &str) -> Result<PgConnectOptions> {
    let options = PgConnectOptions::from_str(url).map_err(|error| Error::Internal(error.to_string()))?;
    Ok(options.application_name("errand").disable_statement_logging())
}

/// The same for a session of calls. `what` it is for shows in `pg_stat_activity`.
pub fn session(options: &PgConnectOptions, what: &str) -> PgConnectOptions {
    options.clone().application_name(&format!("errand {what}")).options(SESSION)
}

/// A few connections for one kind of calls, made when first needed. One is taken out for each call
/// and put back only after the server answered it: whatever else happens (a broken connection, a
/// time-out, a caller that hangs up) ends in a closed one or in one that was asked and is at rest.
pub struct Connections {
    inner: Arc<Inner>,
}

struct Inner {
    link: Arc<Link>,
    options: PgConnectOptions,
    places: Arc<Semaphore>,
    idle: Mutex<Vec<Idle>>,
    refused_until: Mutex<Option<Instant>>,
}

struct Idle {
    connection: PgConnection,
    generation: u64,
}

impl Connections {
    /// At most `places` at a time.
    pub fn new(link: Arc<Link>, options: PgConnectOptions, places: usize) -> Connections {
        let (places, idle, refused_until) = (Arc::new(Semaphore::new(places)), Mutex::default(), Mutex::default());
        Connections { inner: Arc::new(Inner { link, options, places, idle, refused_until }) }
    }

    /// One of them for one call, by `until`. Fails at once while the link is down.
    pub async fn lend(&self, until: Instant) -> Result<Lent> {
        let link = &self.inner.link;
        link.check()?;
        link.in_time(until, self.take()).await
    }

    /// Closes those that are at rest; the others close when they come back.
    pub async fn close(&self) {
        self.inner.places.close();
        let idle = std::mem::take(&mut *lock(&self.inner.idle));
        for idle in idle {
            let _ = timeout(PLACE, idle.connection.close()).await;
        }
    }

    async fn take(&self) -> Result<Lent> {
        let place = timeout(PLACE, self.inner.places.clone().acquire_owned()).await;
        let Ok(Ok(place)) = place else { return Err(Error::Unavailable("all connections are busy".to_owned())) };
        let generation = self.inner.link.generation();
        let idle = {
            let mut idle = lock(&self.inner.idle);
            idle.retain(|idle| idle.generation == generation);
            idle.pop()
        };
        let connection = match idle {
            Some(idle) => idle.connection,
            None => self.inner.connect().await?,
        };
        Ok(Lent { inner: self.inner.clone(), connection: Some(connection), generation, place: Some(place) })
    }
}

impl Inner {
    async fn connect(&self) -> Result<PgConnection> {
        if lock(&self.refused_until).is_some_and(|until| Instant::now() < until) {
            return Err(Error::Unavailable("it has no place for another connection".to_owned()));
        }
        let connected = self.options.connect().await.map_err(failed);
        if let Err(error) = &connected {
            match code_of(error) {
                TOO_MANY_CONNECTIONS => {
                    *lock(&self.refused_until) = Some(Instant::now() + REFUSED.mul_f64(rand::random()));
                }
                _ if is_broken(error) => self.link.doubt(),
                _ => {}
            }
        }
        connected
    }
}

/// A connection, for one call.
pub struct Lent {
    inner: Arc<Inner>,
    connection: Option<PgConnection>,
    generation: u64,
    place: Option<OwnedSemaphorePermit>,
}

impl Lent {
    /// The link, to bound the call by, and the connection for it.
    pub fn parts(&mut self) -> (&Link, &mut PgConnection) {
        (&self.inner.link, self.connection.as_mut().expect("it is taken out by `done` and `drop` only"))
    }

    /// What the call came to decides what becomes of the connection.
    pub fn done<T>(mut self, answer: Result<T>) -> Result<T> {
        match &answer {
            Ok(_) => {
                self.inner.link.answered();
                self.put_back();
            }
            Err(error) if is_broken(error) => {
                // Those at rest were most likely broken with it.
                self.connection = None;
                lock(&self.inner.idle).clear();
                self.inner.link.doubt_for(error);
            }
            // The server said no: [`Drop`] has the connection asked.
            Err(_) => self.inner.link.answered(),
        }
        answer
    }

    fn put_back(&mut self) {
        if let Some(connection) = self.connection.take()
            && !self.inner.places.is_closed()
        {
            lock(&self.inner.idle).push(Idle { connection, generation: self.generation });
        }
    }
}

impl Drop for Lent {
    /// The caller hung up in the middle, or the server refused a statement: the rest of the answer
    /// is read before anybody else gets the connection, and its place stays taken until then.
    fn drop(&mut self) {
        let Some(mut connection) = self.connection.take() else { return };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let (inner, generation, place) = (self.inner.clone(), self.generation, self.place.take());
        runtime.spawn(async move {
            let asked = async { connection.fetch_one(AT_REST).await.map_err(failed) };
            let answer = inner.link.in_time(Instant::now() + PATIENCE, asked).await;
            if answer.is_ok_and(|row| row.try_get(0).unwrap_or(false)) {
                Lent { inner, connection: Some(connection), generation, place }.put_back();
            }
        });
    }
}

/// A connection that can only read, without the limits of those that serve.
pub async fn connect_to_read(url: &str) -> Result<PgConnection> {
    connect(&options(url)?.options([("default_transaction_read_only", "on")])).await
}

/// A new connection outside of all this, within [`PATIENCE`].
pub async fn connect(options: &PgConnectOptions) -> Result<PgConnection> {
    match timeout(PATIENCE, options.connect()).await {
        Ok(connected) => connected.map_err(failed),
        Err(_) => Err(Error::Unavailable("no answer in time".to_owned())),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
