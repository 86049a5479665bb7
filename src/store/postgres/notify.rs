//! Wake-ups between nodes: one coalesced NOTIFY a node, on a connection of its own.
//!
//! A NOTIFY inside a submit's transaction would serialise all commits; one lost here costs a poll.

use super::connect::connect;
use crate::store::Wake;
use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;
use tokio::sync::{Notify, broadcast};
use tokio::task::JoinSet;
use tokio::time::sleep;
use uuid::Uuid;

const CHANNEL: &str = "errand";
/// At most one message in this time.
const APART: Duration = Duration::from_millis(50);
/// After a failure, wait this long at least; up to twice that, drawn by chance.
const AFTER_FAILURE: Duration = Duration::from_secs(1);

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
    any: Notify,
}

impl Notifier {
    /// Starts speaking and listening in the background.
    pub fn start(options: PgConnectOptions) -> Notifier {
        let (pending, heard, node) =
            (Arc::<Pending>::default(), broadcast::Sender::new(64), Uuid::new_v4().to_string());
        let mut tasks = JoinSet::new();
        tasks.spawn(speak(options.clone(), pending.clone(), node.clone()));
        tasks.spawn(listen(options, heard.clone(), node));
        Notifier { pending, heard, tasks: std::sync::Mutex::new(tasks) }
    }

    pub fn wake(&self, wake: Wake) {
        match wake {
            Wake::Ready => self.pending.ready.store(true, Relaxed),
            Wake::Cancel => self.pending.cancel.store(true, Relaxed),
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

async fn speak(options: PgConnectOptions, pending: Arc<Pending>, node: String) {
    let mut connection = None;
    loop {
        pending.any.notified().await;
        for (flag, word) in [(&pending.ready, "ready"), (&pending.cancel, "cancel")] {
            if !flag.swap(false, Relaxed) {
                continue;
            }
            if connection.is_none() {
                connection = connect(&options).await.ok();
            }
            let Some(open) = &mut connection else {
                tracing::debug!("other nodes cannot be told: no connection");
                sleep(jittered(AFTER_FAILURE)).await;
                continue;
            };
            let payload = format!("{node} {word}");
            let told = sqlx::query("SELECT pg_notify($1, $2)").bind(CHANNEL).bind(&payload).execute(open).await;
            if let Err(error) = told {
                tracing::debug!(%error, "other nodes could not be told");
                connection = None;
            }
        }
        sleep(APART).await;
    }
}

async fn listen(options: PgConnectOptions, heard: broadcast::Sender<Wake>, node: String) {
    loop {
        if let Err(error) = hear(&options, &heard, &node).await {
            tracing::debug!(%error, "not listening to other nodes; polling goes on");
        }
        // Whatever was said meanwhile was missed: look.
        let _ = heard.send(Wake::Ready);
        let _ = heard.send(Wake::Cancel);
        sleep(jittered(AFTER_FAILURE)).await;
    }
}

async fn hear(options: &PgConnectOptions, heard: &broadcast::Sender<Wake>, node: &str) -> sqlx::Result<()> {
    let pool = PgPoolOptions::new().max_connections(1).connect_with(options.clone()).await?;
    let mut listener = PgListener::connect_with(&pool).await?;
    listener.listen(CHANNEL).await?;
    loop {
        let Some(message) = listener.try_recv().await? else { return Ok(()) };
        match message.payload().split_once(' ') {
            Some((from, _)) if from == node => {}
            Some((_, "ready")) => drop(heard.send(Wake::Ready)),
            Some((_, "cancel")) => drop(heard.send(Wake::Cancel)),
            _ => {}
        }
    }
}

fn jittered(wait: Duration) -> Duration {
    wait.mul_f64(1.0 + rand::random::<f64>())
}
