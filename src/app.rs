//! Builds the parts and stops them in order.

mod files;
mod keys;
mod log;
mod mail;
mod signals;
mod upkeep;

use crate::api::{self, Api, NodeInfo, RateSettings};
use crate::clock::Clock;
use crate::config::{Cli, Command, Config, DatabaseUrl, PageScope};
use crate::queue::keys::{Configured, Keys, Refused};
use crate::queue::{Queue, Quotas, Retention};
use crate::store::{self, Postgres, Sqlite, Store};
use crate::task::Action;
use crate::types::{self, AnyType, TaskType, Typed, Types};
use crate::worker::{self, Settings};
use crate::{bench, client, config};
use clap::Parser;
use futures_util::FutureExt;
use log::Log;
use std::io::Write;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// What is left of a stop after the drain: answers under way, last words, closing the database.
const AFTER_DRAIN: Duration = Duration::from_millis(1800);
/// A database that is away at the start is asked again after this long at most, drawn by chance.
const OPEN_AGAIN: Duration = Duration::from_secs(1);

/// The whole `errand` program: its commands and settings, the page, the API and the workers, with the built-in task types and
/// those that are registered.
#[derive(Default)]
pub struct App {
    own: Vec<Box<dyn AnyType>>,
}

impl App {
    /// With the built-in task types.
    pub fn new() -> App {
        App::default()
    }

    /// Adds a task type. One whose name is taken or none, or whose examples do not fit its params, is told when the program
    /// starts, which ends it (exit code 2).
    pub fn register(mut self, r#type: impl TaskType) -> App {
        self.own.push(Box::new(Typed(r#type)));
        self
    }

    /// Runs the command line of this process. Nothing that matters is to come before: a child that decodes pictures, or
    /// talks to the mail server, is this program again.
    pub fn main(self) -> ExitCode {
        ExitCode::from(self.run() as u8)
    }

    fn run(self) -> i32 {
        let cli = Cli::parse();
        // Before any setting is read: they are to know nothing that a picture or a server could ask them for.
        match cli.command {
            Some(Command::Pictures) => return types::serve_pictures(),
            Some(Command::MailRoom) => return types::serve_mails(),
            _ => {}
        }
        let own = match Types::own(self.own) {
            Ok(own) => own,
            Err(problems) => return usage(&problems),
        };
        let config = match Config::from_process(&cli.flags) {
            Ok(config) => config,
            Err(problems) => return usage(&problems),
        };
        #[cfg(debug_assertions)]
        crate::fault::arm(&config.faults);
        let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => {
                complain(&format!("no runtime: {error}"));
                return 1;
            }
        };
        let code = runtime.block_on(run(cli.command.unwrap_or(Command::Serve), config, own));
        // A handler may still compute on a thread of its own: nobody waits for it any more.
        runtime.shutdown_background();
        code
    }
}

/// Why a command ended; each has its exit code.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("{0}")]
    Usage(String),
    #[error("{0}{hint}", hint = hint(.0))]
    Store(#[from] store::Error),
    #[error("{0}")]
    Other(String),
}

/// What to do about a database that cannot be used.
fn hint(error: &store::Error) -> &'static str {
    match error {
        store::Error::Damaged(_) => {
            ". The file is left as it is. `errand backup FILE` makes backups of a database that is well; docs/setup.md \
             tells how to put one in its place"
        }
        _ => "",
    }
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Failure {
        match refused {
            Refused::Away(error) => error.into(),
            refused => Failure::Other(refused.to_string()),
        }
    }
}

impl Failure {
    /// 1 failed, 2 usage or configuration, 3 database damaged, 4 database file in use.
    fn exit_code(&self) -> i32 {
        match self {
            Failure::Usage(_) | Failure::Store(store::Error::Setup(_)) => 2,
            Failure::Store(store::Error::Damaged(_)) => 3,
            Failure::Store(store::Error::InUse(_)) => 4,
            Failure::Store(_) | Failure::Other(_) => 1,
        }
    }
}

async fn run(command: Command, config: Config, own: Types) -> i32 {
    let done = match command {
        Command::Serve => return node(&config, own, true).await,
        Command::Worker => return node(&config, own, false).await,
        Command::Migrate => migrate(&config).await,
        Command::Keys(command) => keys::run(&config, command).await,
        Command::Backup { file } => upkeep::backup(&config, &file).await,
        Command::Verify(args) => match upkeep::verify(&config, &args).await {
            Ok(agrees) => return i32::from(!agrees),
            Err(failure) => Err(failure),
        },
        Command::Config(args) => return config::run(&config, &args),
        // They were answered before there was a runtime.
        Command::Pictures | Command::MailRoom => return 2,
        Command::Client(command) => return client::run(&config, command).await,
        Command::BenchListeners { address, sockets, tasks } => {
            bench::listeners::listen(address, sockets, tasks).await.map_err(Failure::Other)
        }
        Command::Bench(args) => bench::run(&config, &args).await.map_err(Failure::Other),
    };
    match done {
        Ok(()) => 0,
        Err(failure) => {
            complain(&failure);
            failure.exit_code()
        }
    }
}

/// Serves, with a log that holds nothing up; answers the exit code.
async fn node(config: &Config, own: Types, api: bool) -> i32 {
    let log = Log::start(config);
    let code = match serve(config, own, &log, api).await {
        Ok(()) => 0,
        Err(failure) => {
            log.add(format!("errand: {failure}\n").as_bytes());
            failure.exit_code()
        }
    };
    log.last_words();
    code
}

/// Serves until a signal says stop; with `api` the page and the API too.
async fn serve(config: &Config, own: Types, log: &Log, api: bool) -> Result<(), Failure> {
    let stop = CancellationToken::new();
    signals::stop_on_signals(stop.clone(), log.clone())?;
    let fallen = CancellationToken::new();
    let (routers, current_router) = watch::channel(api::starting(&config.allowed_origins));
    let (mut server, mut address) = (None, None);
    if api {
        let no_listener = |error| Failure::Other(format!("{}: {error}", config.bind));
        let listener = api::server::listen(config.bind).map_err(no_listener)?;
        address = listener.local_addr().ok();
        server = Some(part("server", &fallen, api::server::serve(listener, current_router, stop.clone())));
    }
    let Some(queue) = stop.run_until_cancelled(open_queue(config, own, address)).await else { return Ok(()) };
    let queue = queue?;
    let name = worker_name();
    queue.journal().call(&name);
    let keys = keys_of(config, &queue);
    if api && !config.is_local() && !keys.any().await? {
        queue.store().close().await;
        return Err(Failure::Usage(config.exposure().to_string()));
    }

    if api && !config.is_local() {
        tracing::warn!("others can call, over plain HTTP: put a proxy before this that speaks TLS");
    }

    let house_end = CancellationToken::new();
    let house = [
        part("house-keeping", &fallen, {
            let (queue, end) = (queue.clone(), house_end.clone());
            async move { queue.keep_house(end).await }
        }),
        part("janitor", &fallen, {
            let [success, failed, cancelled] = config.retain;
            let retention = Retention { success, failed, cancelled, activity: config.retain_activity };
            worker::keep(queue.clone(), retention, config.workers > 0, house_end.clone())
        }),
    ];
    let pool = part("pool", &fallen, work(queue.clone(), name, config, stop.clone()));
    let places = if config.workers == 1 { "place" } else { "places" };
    let about = format!("version {}, {} {places}", env!("CARGO_PKG_VERSION"), config.workers);
    queue.journal().happened(Action::NodeStarted, 1, Some(about));
    if let Some(address) = address {
        serve_api(&routers, address, &queue, keys, config, log, stop.clone());
    }

    let drained = async {
        stop.cancelled().await;
        tracing::info!("stopping: no more is claimed or accepted; running tasks have {:?}", config.drain);
        let in_order = async {
            let _ = pool.await;
            if let Some(server) = server {
                let _ = server.await;
            }
            queue.journal().happened(Action::NodeStopped, 1, None);
            house_end.cancel();
            for part in house {
                let _ = part.await;
            }
            queue.store().close().await;
        };
        timeout(config.drain + AFTER_DRAIN, in_order).await.is_ok()
    };
    let whole = tokio::select! {
        whole = drained => whole,
        // At once: whatever runs here could not be written down any more.
        broken = queue.store().broken() => return Err(broken.into()),
        // Half a node would hold leases that nobody renews, or answer and run nothing: whoever
        // watches the process starts a whole one.
        () = fallen.cancelled() => return Err(Failure::Other("a part of this process has panicked".to_owned())),
    };
    tracing::info!(whole, "stopped");
    Ok(())
}

/// Runs a part of the process; `fallen` is cancelled if it panics.
fn part<T>(
    name: &'static str,
    fallen: &CancellationToken,
    work: impl Future<Output = T> + Send + 'static,
) -> JoinHandle<()> {
    let fallen = fallen.clone();
    tokio::spawn(async move {
        if AssertUnwindSafe(work).catch_unwind().await.is_err() {
            tracing::error!(part = name, "a part of this process has panicked: it ends");
            fallen.cancel();
        }
    })
}

/// The store, opened and up to date.
async fn open_store(database: &DatabaseUrl) -> store::Result<Arc<dyn Store>> {
    Ok(match database {
        DatabaseUrl::Sqlite(path) => Arc::new(Sqlite::open(path).await?),
        DatabaseUrl::Postgres(url) => Arc::new(Postgres::open(url).await?),
    })
}

/// Opens the door. A database server that is away is waited for, however long; `address` is where
/// this node says so meanwhile.
async fn open_queue(config: &Config, own: Types, address: Option<SocketAddr>) -> Result<Queue, Failure> {
    let types = mail::types(config, own)?;
    let files = files::open(config)?;
    let mut told = false;
    let store = loop {
        match open_store(&config.database).await {
            Err(error @ store::Error::Unavailable(_)) if matches!(config.database, DatabaseUrl::Postgres(_)) => {
                if !std::mem::replace(&mut told, true) {
                    let address = address.map(|address| format!("; http://{address} says so")).unwrap_or_default();
                    error.tell(&format!("waiting for the database{address}"));
                }
                sleep(OPEN_AGAIN.mul_f64(rand::random())).await;
            }
            opened => break opened?,
        }
    };
    let quotas = Quotas { open_tasks: config.quota_tasks, stored_bytes: config.quota_bytes };
    let queue = Queue::open_with(store, Clock::system(), types, files, quotas);
    // The janitor sets the clock too, but nothing is to be claimed before the first time.
    while queue.store().database() == store::Database::Postgres && queue.follow_clock().await.is_err() {
        sleep(OPEN_AGAIN.mul_f64(rand::random())).await;
    }
    Ok(queue)
}

async fn migrate(config: &Config) -> Result<(), Failure> {
    let store = open_store(&config.database).await?;
    store.close().await;
    say("the database is up to date")
}

/// The keys of the settings, and those of the database. Without any, only this machine is let in.
fn keys_of(config: &Config, queue: &Queue) -> Keys {
    let key = |key: &config::ApiKey| Configured { role: key.role, owner: key.owner.clone(), key: key.key.clone() };
    let configured: Vec<Configured> = config.api_keys.iter().map(key).collect();
    Keys::new(queue.store().clone(), queue.clock().clone(), &configured, config.is_local())
}

fn work(queue: Queue, name: String, config: &Config, stop: CancellationToken) -> impl Future<Output = ()> + use<> {
    let settings = Settings {
        name,
        places: config.workers,
        queues: config.queues.clone(),
        lease: config.lease,
        drain: config.drain,
    };
    async move {
        // Before that, every task with a file would only use an attempt up.
        if settings.places > 0 && stop.run_until_cancelled(queue.file_store().until_reached()).await.is_some() {
            tracing::info!(worker = settings.name, places = settings.places, "taking tasks");
            worker::work(queue, settings, stop).await;
        }
    }
}

/// From here on the API itself answers.
fn serve_api(
    routers: &watch::Sender<api::Router>,
    address: SocketAddr,
    queue: &Queue,
    keys: Keys,
    config: &Config,
    log: &Log,
    stop: CancellationToken,
) {
    let [submit, write, read] = config.rates;
    let node = NodeInfo {
        version: env!("CARGO_PKG_VERSION"),
        started: Instant::now(),
        workers: config.workers,
        data_dir: config.data_dir.clone(),
        page_scope: if config.page_scope == PageScope::Mine { "mine" } else { "all" }.to_owned(),
        max_file_bytes: config.max_file_bytes,
        allowed_origins: config.allowed_origins.clone(),
        rates: RateSettings { submit, write, read },
        cost_per_hour: config.cost_per_hour.clone(),
        log_lines_dropped: log.dropped(),
    };
    drop(routers.send_replace(api::router(Api::new(queue.clone(), keys, node, stop))));
    tracing::info!(
        database = queue.store().database().word(),
        workers = config.workers,
        "listening on http://{address}"
    );
}

/// Names this process to people: the machine and four random bytes.
fn worker_name() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_else(|_| "node".to_owned());
    format!("{}-{}", host.trim(), &Uuid::new_v4().simple().to_string()[..8])
}

fn say(text: &str) -> Result<(), Failure> {
    writeln!(std::io::stdout(), "{text}").map_err(|error| Failure::Other(error.to_string()))
}

/// Complains of what is to be mended before anything can begin.
fn usage(problems: &[impl std::fmt::Display]) -> i32 {
    problems.iter().for_each(complain);
    2
}

fn complain(problem: &impl std::fmt::Display) {
    // Nowhere is left to complain to if this fails.
    let _ = writeln!(std::io::stderr(), "errand: {problem}");
}
