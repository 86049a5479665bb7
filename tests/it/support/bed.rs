//! A queue over a fresh database that is gone after the test.

use super::aside;
use errand::clock::Clock;
use errand::files::Files;
use errand::queue::{Queue, Quotas};
use errand::store::{Once, Postgres, Sqlite, Store};
use errand::task::{Draft, Scope, Task, Time};
use errand::types::Types;
use serde_json::value::RawValue;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use std::path::PathBuf;
use std::sync::Arc;
use uuid::Uuid;

/// 2026-01-01T00:00:00Z, when every test begins.
pub const BEGIN: Time = Time(1_767_225_600_000);

pub struct Bed {
    pub queue: Queue,
    pub clock: Clock,
    pub url: DatabaseUrl,
    pub folder: tempfile::TempDir,
    _database: Option<Dropped>,
}

#[derive(Clone)]
pub enum DatabaseUrl {
    Sqlite(PathBuf),
    Postgres(String),
}

impl Bed {
    pub async fn sqlite() -> Bed {
        let folder = tempfile::tempdir().unwrap();
        let url = DatabaseUrl::Sqlite(folder.path().join("errand.db"));
        Bed::over(url, folder, None).await
    }

    pub async fn postgres() -> Bed {
        let (url, dropped) = fresh_postgres().await;
        Bed::over(DatabaseUrl::Postgres(url), tempfile::tempdir().unwrap(), Some(dropped)).await
    }

    async fn over(url: DatabaseUrl, folder: tempfile::TempDir, database: Option<Dropped>) -> Bed {
        let clock = Clock::by_hand(BEGIN);
        let files = Files::local(&folder.path().join("files")).unwrap();
        let queue = Queue::open(open(&url).await, clock.clone(), Types::builtin(), files);
        Bed { queue, clock, url, folder, _database: database }
    }

    /// Another node on the same Postgres, with the same clock.
    pub async fn another_node(&self) -> Queue {
        let queue = &self.queue;
        Queue::open(open(&self.url).await, self.clock.clone(), Types::builtin(), queue.file_store().clone())
    }

    /// The same, where no owner may have more than this.
    pub fn limited(mut self, quotas: Quotas) -> Bed {
        self.queue = self.limited_node(quotas);
        self
    }

    /// Another door to the same store.
    pub fn limited_node(&self, quotas: Quotas) -> Queue {
        let (store, files) = (self.queue.store().clone(), self.queue.file_store().clone());
        Queue::open_with(store, self.clock.clone(), Types::builtin(), files, quotas)
    }

    pub async fn submit(&self, draft: Draft) -> Task {
        let prepared = self.queue.prepare(vec![draft]).await.unwrap();
        let task = prepared.tasks[0].clone();
        assert_eq!(self.queue.submit(prepared, None).await.unwrap(), None);
        task
    }

    pub async fn submit_many(
        &self,
        drafts: Vec<Draft>,
        once: Option<Once>,
    ) -> Result<Option<String>, errand::queue::Error> {
        let prepared = self.queue.prepare(drafts).await.unwrap();
        self.queue.submit(prepared, once).await
    }

    /// Claims at most `max` tasks with a lease of 30 s.
    pub async fn claim(&self, max: i64) -> Vec<Task> {
        self.queue.claim("tester", max, &[], 30_000, false).await.unwrap()
    }

    pub async fn get(&self, id: Uuid) -> Task {
        self.queue.get(&Scope::Everyone, id).await.unwrap()
    }

    /// Where the store keeps what stands at this location.
    pub fn path(&self, location: &str) -> PathBuf {
        self.folder.path().join("files").join(location)
    }

    /// The words of a task's timeline.
    pub async fn events(&self, id: Uuid) -> Vec<&'static str> {
        let timeline = self.queue.timeline(&Scope::Everyone, id).await.unwrap();
        timeline.iter().map(|transition| transition.event.word()).collect()
    }
}

/// A task that does nothing, of the owner `default`.
pub fn noop() -> Draft {
    noop_of("default")
}

pub fn noop_of(owner: &str) -> Draft {
    Draft::new("noop", raw("{}"), owner, "tester")
}

pub fn raw(json: &str) -> Box<RawValue> {
    RawValue::from_string(json.to_owned()).unwrap()
}

pub async fn open(url: &DatabaseUrl) -> Arc<dyn Store> {
    match url {
        DatabaseUrl::Sqlite(path) => Arc::new(Sqlite::open(path).await.unwrap()),
        DatabaseUrl::Postgres(url) => Arc::new(Postgres::open(url).await.unwrap()),
    }
}

/// A database of its own on the server in TEST_DATABASE_URL; a test without one fails.
pub async fn fresh_postgres() -> (String, Dropped) {
    fresh_postgres_with("").await
}

/// The same in another language: its order, its capital letters. Where the server can't, it says so.
pub async fn fresh_postgres_in_turkish() -> (String, Dropped) {
    let server = std::env::var("TEST_DATABASE_URL").expect("TEST_DATABASE_URL names a Postgres for tests: run ./test");
    let mut connection = PgConnection::connect(&server).await.unwrap();
    let knows = "SELECT current_setting('server_version_num')::int >= 150000
                 AND EXISTS (SELECT FROM pg_collation WHERE collname = 'tr-x-icu')";
    let knows: bool = sqlx::query_scalar(knows).fetch_one(&mut connection).await.unwrap();
    println!("a database in Turkish: {knows}");
    fresh_postgres_with(if knows { "TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'tr'" } else { "" }).await
}

async fn fresh_postgres_with(options: &str) -> (String, Dropped) {
    let server = std::env::var("TEST_DATABASE_URL").expect("TEST_DATABASE_URL names a Postgres for tests: run ./test");
    let name = format!("errand_test_{}", Uuid::new_v4().simple());
    let mut connection = PgConnection::connect(&server).await.unwrap();
    connection.execute(AssertSqlSafe(format!("CREATE DATABASE {name} {options}"))).await.unwrap();
    let (base, query) = server.split_once('?').map_or((server.as_str(), ""), |(base, query)| (base, query));
    let (before, _) = base.rsplit_once('/').unwrap();
    let url = format!("{before}/{name}{}{query}", if query.is_empty() { "" } else { "?" });
    (url, Dropped { server, name })
}

/// Drops the database when the test ends, also when it fails.
pub struct Dropped {
    server: String,
    name: String,
}

impl Drop for Dropped {
    fn drop(&mut self) {
        let (server, name) = (self.server.clone(), self.name.clone());
        let drop = async move {
            let mut connection = PgConnection::connect(&server).await?;
            connection.execute(AssertSqlSafe(format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"))).await
        };
        let dropping = std::thread::spawn(move || {
            tokio::runtime::Builder::new_current_thread().enable_all().build().map(|runtime| runtime.block_on(drop))
        });
        let _ = aside(|| dropping.join());
    }
}
