//! Postgres: any number of nodes share one database.
//!
//! A write is one statement in its own transaction: nothing to cut in half, nothing locked over
//! the network. Its last step takes one advisory lock and draws the numbers of the change log
//! under it; the lock is held to the commit, so `seq` rises in commit order on all nodes.

mod connect;
mod fill;
mod heads;
mod inspect;
mod keep;
mod link;
mod list;
mod looks;
mod notify;
mod open;
mod pooled;
mod prune;
mod read;
mod scratch;
mod write;

pub use inspect::PostgresBeside;
pub use scratch::HeldSnapshot;

use super::{
    Beat, Claim, Count, Database, Due, Entry, Error, File, Group, Held, LineQuery, Made, Once, Piece, Prune, Pruned,
    Result, Save, Saved, Stamp, Store, StoredLine, Submission, Submitted, Transition, Wake, Way, Written,
};
use crate::task::{Artifact, Change, Checkpoint, Filter, Page, Scope, Status, Task, Time};
use async_trait::async_trait;
use connect::Connections;
use heads::Heads;
use looks::Looks;
use notify::Notifier;
use std::time::Duration;
use tokio::sync::broadcast;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

/// No call waits longer for the database, its place and its tries included; its connection is then given up.
const PATIENCE: Duration = Duration::from_secs(4);

/// How often a write that met another one crosswise is tried, and how long it waits before the
/// next try at most, drawn by chance.
const CROSSED_TRIES: usize = 3;
const CROSSED_WAIT: Duration = Duration::from_millis(100);

/// The server's word for a write to what can only be read.
const READ_ONLY: &str = "25006";

/// The store in a Postgres database.
pub struct Postgres {
    /// Reads, and writes that are rare.
    pool: Connections,
    /// One connection for submits, one for transitions, one for claims and beats: none waits for another.
    submits: Connections,
    changes: Connections,
    work: Connections,
    /// Where claims begin to look.
    heads: Heads,
    /// Where looks for what is due or has lapsed begin.
    looks: Looks,
    notifier: Notifier,
    /// Looks at the link; ends with the store.
    _look: JoinSet<()>,
}

/// Says a statement on one of the connections: `read!(self.pool, |db| read::now(db))`. A read may be
/// said twice, a write only where the server said that nothing of it was written.
macro_rules! say {
    ($tries:expr, $connections:expr, |$db:ident| $statement:expr) => {{
        let mut tries = $tries;
        loop {
            let answer = match $connections.lend(tries.until).await {
                Ok(mut lent) => {
                    let (link, $db) = lent.parts();
                    let answer = link.in_time(tries.until, $statement).await;
                    lent.done(answer)
                }
                Err(error) => break Err(error),
            };
            match answer {
                Err(error) if tries.again(&error).await => {}
                answer => break answer,
            }
        }
    }};
}
macro_rules! read {
    ($self:ident, |$db:ident| $statement:expr) => {
        say!(Tries::of_read(), $self.pool, |$db| $statement)
    };
}
macro_rules! write {
    ($connections:expr, |$db:ident| $statement:expr) => {
        say!(Tries::of_write(), $connections, |$db| $statement)
    };
}

mod activity; // below the macros, which they use
mod approvals;
mod days;
mod keys;
mod notifications;
mod pace;
mod present;
mod tickets;

/// How long and how often one call is tried.
struct Tries {
    until: Instant,
    is_read: bool,
    left: usize,
}

impl Tries {
    fn of_read() -> Tries {
        Tries { until: Instant::now() + PATIENCE, is_read: true, left: 1 }
    }

    fn of_write() -> Tries {
        Tries { until: Instant::now() + PATIENCE, is_read: false, left: CROSSED_TRIES - 1 }
    }

    /// Whether to try again after this error; waits before it says so.
    async fn again(&mut self, error: &Error) -> bool {
        let safe = if self.is_read { is_broken(error) } else { is_crossed(error) };
        if !safe || self.left == 0 || Instant::now() >= self.until {
            return false;
        }
        self.left -= 1;
        if !self.is_read {
            sleep(CROSSED_WAIT.mul_f64(rand::random())).await;
        }
        true
    }
}

impl Postgres {
    async fn due(&self, now: Time) -> Result<Due> {
        let (from, began) = (self.looks.from(now), Instant::now());
        let due = read!(self, |db| read::due(db, from, now))?;
        self.looks.found(from, now, &due, began.elapsed());
        Ok(due)
    }
}

#[async_trait]
impl Store for Postgres {
    fn database(&self) -> Database {
        Database::Postgres
    }

    async fn durability(&self) -> Result<String> {
        read!(self, |db| read::durability(db))
    }

    async fn identity(&self) -> Result<String> {
        read!(self, |db| read::identity(db))
    }

    async fn now(&self) -> Result<Time> {
        read!(self, |db| read::now(db))
    }

    async fn insert(&self, submissions: &[Submission]) -> Result<Vec<Submitted>> {
        let written = write!(self.submits, |db| write::insert(db, submissions));
        let tasks = submissions.iter().flat_map(|submission| &submission.tasks);
        let tasks = tasks.filter(|task| !task.held);
        let waiting = tasks.clone().filter(|task| task.run_at > task.created_at).map(|task| task.run_at);
        waiting.min().inspect(|first| self.looks.waits(*first));
        tasks.for_each(|task| self.heads.ready(task.priority, task.run_at.0));
        written
    }

    async fn used(&self, once: &Once) -> Result<Option<Submitted>> {
        read!(self, |db| write::before(db, once))
    }

    async fn claim(&self, claim: &Claim) -> Result<Vec<Task>> {
        let (ranges, began) = (self.heads.ranges(claim), Instant::now());
        let tasks = write!(self.work, |db| write::claim(db, claim, &ranges))?;
        self.heads.claimed(claim, &ranges, &tasks, began.elapsed());
        if !tasks.is_empty() {
            self.looks.waits(claim.now.plus(claim.lease_ms));
        }
        Ok(tasks)
    }

    async fn apply(&self, changes: &[Change]) -> Result<Vec<Option<Task>>> {
        let written = write!(self.changes, |db| write::apply(db, changes));
        let ready = changes.iter().filter(|change| change.makes_ready());
        ready.for_each(|change| self.heads.ready(change.task.priority, change.run_at.0));
        let pending = changes.iter().filter(|change| change.to == Status::Pending && !change.held);
        let waiting = pending.filter(|change| !change.makes_ready());
        waiting.map(|change| change.run_at).min().inspect(|first| self.looks.waits(*first));
        written
    }

    async fn beat(&self, beats: &[Beat], until: Time, now: Time) -> Result<Vec<Held>> {
        write!(self.work, |db| keep::beat(db, beats, until, now))
    }

    async fn held(&self, leases: &[(Uuid, Uuid)]) -> Result<Vec<Held>> {
        write!(self.work, |db| read::held(db, leases))
    }

    async fn save(&self, saves: &[Save], now: Time) -> Result<Vec<Saved>> {
        write!(self.work, |db| keep::save(db, saves, now))
    }

    async fn checkpoints(&self, tasks: &[Uuid]) -> Result<Vec<Checkpoint>> {
        read!(self, |db| read::checkpoints(db, tasks))
    }

    async fn promote(&self, now: Time, limit: i64) -> Result<Due> {
        let due = self.due(now).await?;
        if due.next.is_none_or(|next| next > now) {
            return Ok(due);
        }
        let from = self.looks.from(now);
        let promoted = write!(self.work, |db| keep::promote(db, from, now, limit))?;
        promoted.iter().for_each(|(priority, run_at)| self.heads.ready(*priority, *run_at));
        Ok(Due { promoted: promoted.len() as i64, ..self.due(now).await? })
    }

    async fn lapsed(&self, now: Time, limit: i64) -> Result<Vec<Task>> {
        let from = self.looks.from(now);
        read!(self, |db| read::lapsed(db, from, now, limit))
    }

    async fn stirred(&self, since: Time, leased: Time, limit: i64) -> Result<Vec<Task>> {
        read!(self, |db| read::stirred(db, since, leased, limit))
    }

    async fn get(&self, scope: &Scope, id: Uuid) -> Result<Option<Task>> {
        read!(self, |db| read::get(db, scope, id))
    }

    async fn list(&self, scope: &Scope, filter: &Filter, page: &Page, way: &Way) -> Result<Piece> {
        read!(self, |db| list::list(db, scope, filter, page, way))
    }

    async fn groups(&self, scope: &Scope, filter: &Filter, limit: i64) -> Result<Vec<Group>> {
        read!(self, |db| list::groups(db, scope, filter, limit))
    }

    async fn unfinished(&self, as_of: Time, limit: i64) -> Result<i64> {
        read!(self, |db| list::unfinished(db, as_of, limit))
    }

    async fn changes(&self, scope: &Scope, after: i64, limit: i64) -> Result<Vec<Entry>> {
        read!(self, |db| read::changes(db, scope, after, limit))
    }

    async fn log_bounds(&self) -> Result<(i64, i64)> {
        read!(self, |db| read::log_bounds(db))
    }

    async fn transitions(&self, scope: &Scope, id: Uuid) -> Result<Vec<Transition>> {
        read!(self, |db| read::transitions(db, scope, id))
    }

    async fn lines(&self, scope: &Scope, id: Uuid, query: &LineQuery) -> Result<Vec<StoredLine>> {
        read!(self, |db| read::lines(db, scope, id, query))
    }

    async fn artifacts(&self, scope: &Scope, id: Uuid) -> Result<Vec<Artifact>> {
        read!(self, |db| read::artifacts(db, scope, id))
    }

    async fn add_file(&self, file: &File) -> Result<()> {
        write!(self.submits, |db| keep::add_file(db, file))
    }

    async fn files(&self, scope: &Scope, ids: &[Uuid]) -> Result<Vec<File>> {
        read!(self, |db| read::files(db, scope, ids))
    }

    async fn stored(&self, owner: &str) -> Result<i64> {
        read!(self, |db| read::stored(db, owner))
    }

    async fn remove_file(&self, scope: &Scope, id: Uuid) -> Result<Option<File>> {
        write!(self.submits, |db| keep::remove_file(db, scope, id))
    }

    async fn counts(&self, scope: &Scope) -> Result<Vec<Count>> {
        read!(self, |db| read::counts(db, scope))
    }

    async fn ahead(&self, scope: &Scope, task: &Task, limit: i64) -> Result<i64> {
        read!(self, |db| read::ahead(db, scope, task, limit))
    }

    async fn tidy(&self, keys_before: Time, minutes_before: i64) -> Result<()> {
        write!(self.pool, |db| keep::tidy(db, keys_before, minutes_before))
    }

    async fn prune(&self, prune: &Prune) -> Result<Pruned> {
        write!(self.pool, |db| prune::prune(db, prune))
    }

    async fn fill(&self, made: &Made) -> Result<()> {
        write!(self.pool, |db| fill::fill(db, made))
    }

    fn wake(&self, wake: Wake) {
        self.notifier.wake(wake);
    }

    fn wakes(&self) -> broadcast::Receiver<Wake> {
        self.notifier.subscribe()
    }

    async fn probe(&self) -> Result<()> {
        write!(self.work, |db| keep::probe(db))
    }

    async fn stamp(&self) -> Result<Stamp> {
        read!(self, |db| read::stamp(db))
    }

    async fn written(&self) -> Result<Written> {
        read!(self, |db| read::written(db))
    }

    fn log_bytes(&self) -> Option<u64> {
        None
    }

    /// A server is away for a while, never gone for good.
    async fn broken(&self) -> Error {
        std::future::pending().await
    }

    async fn close(&self) {
        self.notifier.stop().await;
        for connections in [&self.submits, &self.changes, &self.work, &self.pool] {
            connections.close().await;
        }
    }
}

/// What a failure of the driver means to the domain. See the error codes of the Postgres manual.
fn failed(error: sqlx::Error) -> Error {
    let code = error.as_database_error().and_then(|error| error.code()).unwrap_or_default().into_owned();
    let text = if code.is_empty() { error.to_string() } else { format!("{error} [{code}]") };
    if pooled::is_sign(&code, &text) {
        return Error::Unavailable(pooled::explain(&text));
    }
    match (&*code, &error) {
        ("53100", _) => Error::Full(text),
        ("XX001" | "XX002", _) => Error::Damaged(text),
        // Connections, shutdown, resources, read-only standby, cancelled, locked, deadlocked, serialisation.
        (code, _) if ["08", "57", "53", "25", "40", "55"].iter().any(|class| code.starts_with(class)) => {
            Error::Unavailable(text)
        }
        ("", sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::Protocol(_)) => Error::Unavailable(text),
        ("", sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed) => {
            Error::Unavailable(text)
        }
        _ => Error::Internal(text),
    }
}

/// This server is a standby, or a primary no more.
fn read_only() -> Error {
    Error::Unavailable(format!("it can only be read [{READ_ONLY}]"))
}

/// The code the server gave with an error; empty where the server said nothing.
fn code_of(error: &Error) -> &str {
    let (Error::Unavailable(text) | Error::Internal(text)) = error else { return "" };
    text.strip_suffix(']').and_then(|text| text.rsplit_once(" [")).map_or("", |(_, code)| code)
}

/// The connection is of no use any more: it was cut, is silent, belongs to a server that shuts down
/// or to a standby, or stands within a transaction.
fn is_broken(error: &Error) -> bool {
    let code = code_of(error);
    matches!(error, Error::Unavailable(_))
        && (code.is_empty() || ["08", "25", "57P"].iter().any(|class| code.starts_with(class)))
}

/// Two writers met crosswise (deadlock, serialisation): nothing of this one was written.
fn is_crossed(error: &Error) -> bool {
    code_of(error).starts_with("40")
}
