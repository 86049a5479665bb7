//! The real router in process, over a fresh database, with a worker pool where a test wants one.

use super::bed::{BEGIN, DatabaseUrl, Dropped, fresh_postgres, fresh_postgres_in_turkish, open};
use crate::promises::new_key;
use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Request};
use bytes::Bytes;
use errand::api::{Api, NodeInfo, Peer, RateSettings};
use errand::clock::Clock;
use errand::files::Files;
use errand::queue::keys::Keys;
use errand::queue::{Queue, Quotas};
use errand::task::Role;
use errand::types::{AnyType, Context, Failure, Level, Mailing, Types};
use errand::worker::{self, Settings};
use futures_util::StreamExt;
use http_body_util::BodyExt;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

/// Larger uploads are refused in tests.
pub const MAX_FILE_BYTES: u64 = 8 * 1024 * 1024;

/// A node without a socket, on the system's clock or on one moved by hand. Nothing runs until [`Service::work`].
pub struct Service {
    pub router: Router,
    pub queue: Queue,
    pub keys: Keys,
    pub stop: CancellationToken,
    pub url: DatabaseUrl,
    pool: Mutex<Vec<JoinHandle<()>>>,
    folder: tempfile::TempDir,
    _database: Option<Dropped>,
}

impl Service {
    pub async fn sqlite() -> Service {
        let folder = tempfile::tempdir().unwrap();
        let url = DatabaseUrl::Sqlite(folder.path().join("errand.db"));
        Service::over(url, folder, None, None).await
    }

    /// One on SQLite and one on Postgres, each with a clock moved by hand. The Postgres database is in
    /// a language that is not ours: nothing may depend on that.
    pub async fn both_by_hand() -> [Service; 2] {
        let (folder, clock) = (tempfile::tempdir().unwrap(), || Some(Clock::by_hand(BEGIN)));
        let url = DatabaseUrl::Sqlite(folder.path().join("errand.db"));
        let sqlite = Service::over(url, folder, None, clock()).await;
        let (url, dropped) = fresh_postgres_in_turkish().await;
        let folder = tempfile::tempdir().unwrap();
        [sqlite, Service::over(DatabaseUrl::Postgres(url), folder, Some(dropped), clock()).await]
    }

    pub async fn postgres() -> Service {
        let (url, dropped) = fresh_postgres().await;
        Service::over(DatabaseUrl::Postgres(url), tempfile::tempdir().unwrap(), Some(dropped), None).await
    }

    async fn over(
        url: DatabaseUrl,
        folder: tempfile::TempDir,
        database: Option<Dropped>,
        clock: Option<Clock>,
    ) -> Service {
        let (store, clock) = (open(&url).await, clock.unwrap_or_else(Clock::system));
        clock.follow(store.now().await.unwrap());
        let files = Files::local(&folder.path().join("files")).unwrap();
        let queue = Queue::open(store, clock, Types::builtin().with(Types::new(our_types())), files);
        let stop = CancellationToken::new();
        let keys = Keys::new(queue.store().clone(), queue.clock().clone(), &[], true);
        let router = errand::api::router(Api::new(queue.clone(), keys.clone(), node(), stop.clone()));
        Service { router, queue, keys, stop, url, pool: Mutex::default(), folder, _database: database }
    }

    /// The same where no key may send more than this.
    pub fn limited(self, rates: RateSettings) -> Service {
        self.with_node(NodeInfo { rates, ..node() })
    }

    /// The same node with other settings.
    pub fn with_node(mut self, node: NodeInfo) -> Service {
        let api = Api::new(self.queue.clone(), self.keys.clone(), node, self.stop.clone());
        self.router = errand::api::router(api);
        self
    }

    /// The same where no owner may have more than this.
    pub fn with_quotas(mut self, quotas: Quotas) -> Service {
        let (old, types) = (&self.queue, Types::builtin().with(Types::new(our_types())));
        self.queue =
            Queue::open_with(old.store().clone(), old.clock().clone(), types, old.file_store().clone(), quotas);
        self.limited(RateSettings::default())
    }

    /// The same node where mails leave so.
    pub fn with_mailing(mut self, mailing: Mailing) -> Service {
        let (old, types) = (&self.queue, Types::mailing(mailing).with(Types::new(our_types())));
        self.queue = Queue::open(old.store().clone(), old.clock().clone(), types, old.file_store().clone());
        self.limited(RateSettings::default())
    }

    /// Another one on a database of its own, of the same kind.
    pub async fn again(&self) -> Service {
        match &self.url {
            DatabaseUrl::Sqlite(_) => Service::sqlite().await,
            DatabaseUrl::Postgres(_) => Service::postgres().await,
        }
    }

    /// Starts a pool of four places.
    pub fn work(&self) {
        let settings = Settings {
            name: "worker-1".to_owned(),
            places: 4,
            queues: Vec::new(),
            lease: Duration::from_secs(30),
            drain: Duration::ZERO,
        };
        let work = worker::work(self.queue.clone(), settings, self.stop.clone());
        let keep = worker::keep(self.queue.clone(), Default::default(), true, self.stop.clone());
        self.pool.lock().unwrap().extend([tokio::spawn(work), tokio::spawn(keep)]);
    }

    /// Stops the pool; what it ran is tidied up when this returns.
    pub async fn rest(&self) {
        self.stop.cancel();
        let pool = std::mem::take(&mut *self.pool.lock().unwrap());
        futures_util::future::join_all(pool).await;
    }

    pub async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        // A stream of events has no end: its first piece will do.
        let body = match parts.headers.get("content-type").is_some_and(|is| is == "text/event-stream") {
            true => Box::pin(body.into_data_stream()).next().await.unwrap().unwrap(),
            false => body.collect().await.unwrap().to_bytes(),
        };
        let json = serde_json::from_slice(&body).unwrap_or_default();
        Answer { status: parts.status.as_u16(), headers: parts.headers, body, json }
    }

    pub async fn call(
        &self,
        method: &str,
        path: &str,
        headers: &[(&'static str, &str)],
        body: impl Into<Bytes>,
    ) -> Answer {
        let mut request = Request::new(in_pieces(body.into()));
        *request.method_mut() = method.parse().unwrap();
        *request.uri_mut() = path.parse().unwrap();
        for (name, value) in headers {
            request.headers_mut().append(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        self.send(request).await
    }

    /// A call to the server under this name.
    pub async fn call_at(
        &self,
        host: &str,
        method: &str,
        path: &str,
        headers: &[(&'static str, &str)],
        body: &'static str,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(path).header("host", host);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request.body(in_pieces(body.into())).unwrap()).await
    }

    /// A call that comes from this address.
    pub async fn call_from(
        &self,
        address: &str,
        method: &str,
        path: &str,
        headers: &[(&'static str, &str)],
        body: impl Into<Bytes>,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(path).header("host", "errand");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let peer = Peer(SocketAddr::new(address.parse().unwrap(), 50_000));
        self.send(request.extension(peer).body(in_pieces(body.into())).unwrap()).await
    }

    /// Makes a key; from the first one on every call needs one.
    pub async fn key(&self, role: Role, owner: &str) -> String {
        self.keys.create(new_key(role, owner)).await.unwrap().1
    }

    /// A call with a key, and a body of JSON.
    pub async fn call_as(&self, key: &str, method: &str, path: &str, body: Value) -> Answer {
        let headers = [("authorization", format!("Bearer {key}")), ("content-type", "application/json".to_owned())];
        let headers: Vec<(&'static str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        self.call(method, path, &headers, if body.is_null() { String::new() } else { body.to_string() }).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.call("GET", path, &[], "").await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.call("POST", path, &[("content-type", "application/json")], body.to_string()).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.call("DELETE", path, &[], "").await
    }

    /// Submits and answers the id.
    pub async fn submit(&self, body: Value) -> String {
        let answer = self.post("/api/tasks/submit", body).await;
        assert_eq!(answer.status, 201, "{}", answer.json);
        answer.id()
    }

    /// Submits and answers the task once it is finished.
    pub async fn run(&self, body: Value) -> Value {
        let answer = self.post("/api/tasks/submit?wait=60", body).await;
        assert_eq!(answer.status, 201, "{}", answer.json);
        assert!(!answer.json["finished_at"].is_null(), "it has not finished within 60 s: {}", answer.json);
        answer.json
    }

    pub async fn task(&self, id: &str) -> Value {
        self.get(&format!("/api/tasks/{id}")).await.ok()
    }

    /// The task once it is finished.
    pub async fn finished(&self, id: &str) -> Value {
        let task = self.get(&format!("/api/tasks/{id}?wait=60")).await.ok();
        assert!(!task["finished_at"].is_null(), "it has not finished within 60 s: {task}");
        task
    }

    /// The task once `done` says so; fails when nothing about it changes for 20 s.
    pub async fn until(&self, id: &str, done: impl Fn(&Value) -> bool) -> Value {
        let mut tag = String::new();
        loop {
            let path = format!("/api/tasks/{id}?wait=20&wait_for=change");
            let answer = self.call("GET", &path, &[("if-none-match", &tag)], "").await;
            assert_eq!(answer.status, 200, "nothing changed for 20 s");
            if done(&answer.json) {
                return answer.json;
            }
            tag = answer.header("etag").to_owned();
        }
    }

    /// The events of a task's timeline, as `from to`.
    pub async fn transitions(&self, id: &str) -> Vec<String> {
        let answer = self.get(&format!("/api/tasks/{id}/timeline")).await.ok();
        let word = |value: &Value| value.as_str().unwrap_or("-").to_owned();
        let lines = answer["timeline"].as_array().unwrap().iter();
        lines.map(|line| format!("{} {}", word(&line["from"]), word(&line["to"]))).collect()
    }

    pub async fn upload(&self, name: &str, content_type: &'static str, bytes: impl Into<Bytes>) -> String {
        let path = format!("/api/files?name={name}");
        let answer = self.call("POST", &path, &[("content-type", content_type)], bytes).await;
        assert_eq!(answer.status, 201, "{}", answer.json);
        answer.json["file_id"].as_str().unwrap().to_owned()
    }

    /// How many tasks there are.
    pub async fn count(&self) -> i64 {
        let stats = self.get("/api/stats").await.ok();
        stats["by_status"].as_object().unwrap().values().map(|n| n.as_i64().unwrap()).sum()
    }

    /// Fails unless so many files lie in the file store soon: half-written ones are deleted in the background.
    pub async fn until_files(&self, n: usize, what: &str) {
        let until = Instant::now() + Duration::from_secs(10);
        while self.files_on_disk() != n {
            assert!(Instant::now() < until, "{what}: {} files", self.files_on_disk());
            tokio::task::yield_now().await;
        }
    }

    /// Where the file store lies.
    pub fn files_folder(&self) -> PathBuf {
        self.folder.path().join("files")
    }

    /// How many files lie in the file store, half-written ones included.
    pub fn files_on_disk(&self) -> usize {
        count_files(&self.folder.path().join("files"))
    }
}

/// What a node of a test says of itself.
pub fn node() -> NodeInfo {
    NodeInfo {
        version: "0.0.0-test",
        started: Instant::now(),
        workers: 4,
        data_dir: ".".into(),
        page_scope: "all".to_owned(),
        max_file_bytes: MAX_FILE_BYTES,
        allowed_origins: Default::default(),
        rates: RateSettings::default(),
        // One a second.
        cost_per_hour: [("demo".to_owned(), 3600.0)].into(),
        log_lines_dropped: Arc::default(),
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// As a connection would bring it: no piece is larger than its buffer.
fn in_pieces(body: Bytes) -> Body {
    const PIECE: usize = 64 * 1024;
    if body.len() <= PIECE {
        return Body::from(body);
    }
    let pieces = (0..body.len()).step_by(PIECE).map(move |at| body.slice(at..body.len().min(at + PIECE)));
    Body::from_stream(futures_util::stream::iter(pieces.map(Ok::<_, std::convert::Infallible>)))
}

/// Without the store's own mark.
pub fn count_files(folder: &Path) -> usize {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let entries = entries.map(|entry| entry.unwrap()).filter(|entry| entry.file_name() != ".database");
    entries.map(|entry| entry.path()).map(|path| if path.is_dir() { count_files(&path) } else { 1 }).sum()
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// The body, where it is JSON; else null.
    pub json: Value,
}

impl Answer {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The body of a 200.
    #[track_caller]
    pub fn ok(self) -> Value {
        assert_eq!(self.status, 200, "{}", self.json);
        self.json
    }

    /// The id of the task in the body.
    pub fn id(&self) -> String {
        self.json["id"].as_str().unwrap().to_owned()
    }

    /// The pointers of a 422.
    pub fn pointers(&self) -> Vec<&str> {
        let errors = self.json["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
        errors.iter().map(|error| error["pointer"].as_str().unwrap()).collect()
    }

    /// That this is an error of the one form all have, and which.
    #[track_caller]
    pub fn is_problem(&self, status: u16, code: &str, what: &str) {
        let problem = &self.json;
        assert_eq!((self.status, problem["code"].as_str()), (status, Some(code)), "{what}: {problem}");
        assert_eq!(self.header("content-type"), "application/problem+json", "{what}");
        assert_eq!(
            (problem["status"].as_u64(), self.header("x-content-type-options")),
            (Some(status.into()), "nosniff")
        );
        assert_eq!(problem["request_id"].as_str(), Some(self.header("x-request-id")), "{what}");
        for member in ["type", "title", "detail"] {
            assert!(problem[member].as_str().is_some_and(|text| !text.is_empty()), "{what}: {member} in {problem}");
        }
        let text = problem.to_string().to_lowercase();
        for leak in ["select ", "insert into", "sqlx", "sqlite", "postgres", "/tmp", "/src/", "panicked", ".rs:"] {
            assert!(!text.contains(leak), "{what} shows {leak:?}: {problem}");
        }
    }
}

/// A type whose handler panics.
struct Panics;

#[async_trait]
impl AnyType for Panics {
    fn name(&self) -> &'static str {
        "panics"
    }

    fn description(&self) -> &'static str {
        "Panics, for tests."
    }

    fn params_schema(&self) -> Value {
        json!({ "type": "object" })
    }

    fn result_schema(&self) -> Value {
        json!({ "type": "object" })
    }

    fn examples(&self) -> Vec<Value> {
        vec![json!({})]
    }

    async fn run(&self, _: &RawValue, _: &Context) -> Result<Box<RawValue>, Failure> {
        panic!("a bug in a handler")
    }
}

/// The types that only tests have.
fn our_types() -> Vec<Box<dyn AnyType>> {
    vec![Box::new(Panics), Box::new(Tells)]
}

/// A type with a secret, which its handler tells wherever it can.
struct Tells;

#[async_trait]
impl AnyType for Tells {
    fn name(&self) -> &'static str {
        "tells"
    }

    fn description(&self) -> &'static str {
        "Tells its secret, for tests."
    }

    fn params_schema(&self) -> Value {
        let end = json!({ "enum": ["success", "failure", "panic"], "default": "success" });
        json!({ "type": "object", "properties": { "token": { "type": "string", "writeOnly": true }, "end": end } })
    }

    fn result_schema(&self) -> Value {
        json!({ "type": "object" })
    }

    fn examples(&self) -> Vec<Value> {
        vec![json!({ "token": "a secret of somebody" })]
    }

    async fn run(&self, params: &RawValue, ctx: &Context) -> Result<Box<RawValue>, Failure> {
        let params: Value = ctx.params(params)?;
        let token = params["token"].as_str().unwrap_or_default();
        ctx.log(Level::Info, format!("the token is {token}"));
        ctx.progress(1, 2, Some(format!("with {token}")));
        match params["end"].as_str() {
            Some("failure") => Err(Failure::fatal("told", format!("{token} was refused"))),
            Some("panic") => panic!("{token} is no number"),
            _ => ctx.result(&json!({ "length": token.len(), "token": token, token: [token] })),
        }
    }
}
