//! Wake-ups between nodes: one coalesced NOTIFY a node, on a connection of its own.
//!
//! A NOTIFY inside a submit's transaction would serialise all commits; one lost here costs a poll.

use super::connect::Connections;
use super::link::Link;
use super::{PATIENCE, failed};
use crate::store::{Error, Result, Wake};
use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;
use tokio::sync::{Notify, broadcast};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use uuid::Uuid;

const CHANNEL: &str = "errand";
/// At most one message in this time.
const APART: Duration = Duration::from_millis(50);
/// After a failure, wait this long at most, drawn by chance.
const AFTER_FAILURE: Duration = Duration::from_secs(1);
/// A session that heard nothing for so long is asked whether it is still there, because one that was
/// cut off in silence hears nothing either.
const BEAT: Duration = Duration::from_secs(10);
/// One that does not answer in this time is given up.
const ANSWER: Duration = Duration::from_secs(3);

/// Tells other nodes, and hears them.
pub struct Notifier {
    pending: Arc<Pending>,
    heard: broadcast::Sender<Wake>,
    tasks: std::sync::Mutex<JoinSet<()>>,
}

#[derive(Default)]
struct Pending {
    ready: AtomicBool,
    cancel: AtomicBool,
    marks: AtomicBool,
    any: Notify,
}

impl Notifier {
    /// Starts speaking and listening in the background.
    pub fn start(link: Arc<Link>, listens: PgConnectOptions, tells: Connections) -> Notifier {
        let (pending, heard, node) =
            (Arc::<Pending>::default(), broadcast::Sender::new(64), Uuid::new_v4().to_string());
        let mut tasks = JoinSet::new();
        tasks.spawn(speak(tells, pending.clone(), node.clone()));
        tasks.spawn(listen(link, listens, heard.clone(), node));
        Notifier { pending, heard, tasks: std::sync::Mutex::new(tasks) }
    }

    pub fn wake(&self, wake: Wake) {
        match wake {
            Wake::Ready => self.pending.ready.store(true, Relaxed),
            Wake::Cancel => self.pending.cancel.store(true, Relaxed),
            Wake::Marks => self.pending.marks.store(true, Relaxed),
        }
        self.pending.any.notify_one();
    }

    pub fn subscribe(&self) -> broadcast::Receiver<Wake> {
        self.heard.subscribe()
    }

    pub async fn stop(&self) {
        let mut tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
        tasks.shutdown().await;
    }
}

async fn speak(tells: Connections, pending: Arc<Pending>, node: String) {
    loop {
        pending.any.notified().await;
        for (flag, word) in [(&pending.ready, "ready"), (&pending.cancel, "cancel"), (&pending.marks, "marks")] {
            if !flag.swap(false, Relaxed) {
                continue;
            }
            let payload = format!("{node} {word}");
            if let Err(error) = tell(&tells, &payload).await {
                tracing::debug!(%error, "other nodes could not be told");
            }
        }
        sleep(APART).await;
    }
}

async fn tell(tells: &Connections, payload: &str) -> Result<()> {
    let until = Instant::now() + PATIENCE;
    let mut lent = tells.lend(until).await?;
    let (link, db) = lent.parts();
    let told = async {
        let told = sqlx::query("SELECT pg_notify($1, $2)").bind(CHANNEL).bind(payload).execute(db).await;
        told.map(|_| ()).map_err(failed)
    };
    let told = link.in_time(until, told).await;
    lent.done(told)
}

async fn listen(link: Arc<Link>, options: PgConnectOptions, heard: broadcast::Sender<Wake>, node: String) {
    loop {
        let generation = link.generation();
        let hears = tokio::select! {
            hears = hear(&options, &heard, &node) => hears,
            // It may listen to what is no longer the primary.
            () = link.outlived(generation) => Ok(()),
        };
        // Whatever was said meanwhile was missed: look.
        tell_all(&heard);
        let Err(error) = hears else { continue };
        tracing::debug!(%error, "not listening to other nodes; polling goes on");
        sleep(AFTER_FAILURE.mul_f64(rand::random())).await;
    }
}

/// Listens; ends when the session is lost after it once was there.
async fn hear(options: &PgConnectOptions, heard: &broadcast::Sender<Wake>, node: &str) -> Result<()> {
    let mut listener = in_time(begin(options)).await?;
    // What was said before this one listened was missed.
    tell_all(heard);
    loop {
        let message = match timeout(BEAT, listener.try_recv()).await {
            Ok(Ok(Some(message))) => message,
            Ok(_) => return Ok(()),
            Err(_) if in_time(still_listens(&mut listener)).await? => continue,
            Err(_) => return Ok(()),
        };
        match message.payload().split_once(' ') {
            Some((from, _)) if from == node => {}
            Some((_, "ready")) => drop(heard.send(Wake::Ready)),
            Some((_, "cancel")) => drop(heard.send(Wake::Cancel)),
            Some((_, "marks")) => drop(heard.send(Wake::Marks)),
            _ => {}
        }
    }
}

/// Anything may have been said.
fn tell_all(heard: &broadcast::Sender<Wake>) {
    for wake in [Wake::Ready, Wake::Cancel, Wake::Marks] {
        let _ = heard.send(wake);
    }
}

async fn begin(options: &PgConnectOptions) -> sqlx::Result<PgListener> {
    let pool = PgPoolOptions::new().max_connections(1).connect_with(options.clone()).await?;
    let mut listener = PgListener::connect_with(&pool).await?;
    listener.eager_reconnect(false);
    listener.listen(CHANNEL).await?;
    Ok(listener)
}

async fn still_listens(listener: &mut PgListener) -> sqlx::Result<bool> {
    let channels: Vec<String> = sqlx::query_scalar("SELECT pg_listening_channels()").fetch_all(listener).await?;
    Ok(channels.iter().any(|channel| channel == CHANNEL))
}

async fn in_time<T>(call: impl Future<Output = sqlx::Result<T>>) -> Result<T> {
    match timeout(ANSWER, call).await {
        Ok(answer) => answer.map_err(failed),
        Err(_) => Err(Error::Unavailable("no answer in time".to_owned())),
    }
}
