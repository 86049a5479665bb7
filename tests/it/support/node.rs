//! The real binary, started and killed.

use super::aside;
use super::bed::{DatabaseUrl, Dropped, fresh_postgres};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

/// Where nodes keep their things; gone after the test.
pub struct Home {
    pub folder: tempfile::TempDir,
    pub database: DatabaseUrl,
    _dropped: Option<Dropped>,
}

/// A home on either database, for `on_both_databases!`.
pub struct Homes;

impl Homes {
    pub async fn sqlite() -> Home {
        Home::sqlite()
    }

    pub async fn postgres() -> Home {
        Home::postgres().await
    }
}

impl Home {
    pub fn sqlite() -> Home {
        let folder = tempfile::tempdir().unwrap();
        let database = DatabaseUrl::Sqlite(folder.path().join("errand.db"));
        Home { folder, database, _dropped: None }
    }

    /// On a disk of the test's own.
    pub fn sqlite_in(folder: &Path) -> Home {
        Home::with_files_in(folder, folder.join("errand.db"))
    }

    /// With its uploads and output files on a disk of the test's own, and the database elsewhere.
    pub fn with_files_in(folder: &Path, database: PathBuf) -> Home {
        let folder = tempfile::Builder::new().disable_cleanup(true).tempdir_in(folder);
        Home { folder: folder.unwrap(), database: DatabaseUrl::Sqlite(database), _dropped: None }
    }

    pub async fn postgres() -> Home {
        let (url, dropped) = fresh_postgres().await;
        Home { folder: tempfile::tempdir().unwrap(), database: DatabaseUrl::Postgres(url), _dropped: Some(dropped) }
    }

    /// On a Postgres that somebody else keeps.
    pub fn at(url: String) -> Home {
        Home { folder: tempfile::tempdir().unwrap(), database: DatabaseUrl::Postgres(url), _dropped: None }
    }

    /// The command that starts a node here, on a free port.
    pub fn command(&self, flags: &[&str]) -> Command {
        self.command_on(0, flags)
    }

    /// The same on this port.
    pub fn command_on(&self, port: u16, flags: &[&str]) -> Command {
        self.command_of(Path::new(env!("CARGO_BIN_EXE_errand")), port, flags)
    }

    fn command_of(&self, program: &Path, port: u16, flags: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.env_clear().current_dir(self.folder.path()).arg("--data-dir").arg(self.folder.path());
        match &self.database {
            DatabaseUrl::Postgres(url) => command.args(["--database-url", url]),
            DatabaseUrl::Sqlite(path) => command.args(["--database-url", &format!("sqlite://{}", path.display())]),
        };
        command.arg("--bind").arg(format!("127.0.0.1:{port}")).args(["--log-format", "text"]).args(flags);
        command
    }

    pub fn start(&self, flags: &[&str]) -> Node {
        Node::start(self.command(flags))
    }

    /// A node of the program of one of the examples, which are built with the tests.
    pub fn start_example(&self, name: &str, flags: &[&str]) -> Node {
        let program = Path::new(env!("CARGO_BIN_EXE_errand")).with_file_name("examples").join(name);
        assert!(program.exists(), "{} is not there: cargo build --examples", program.display());
        Node::start(self.command_of(&program, 0, flags))
    }

    /// A node with fail points armed; its exit status if it ends before it listens.
    #[cfg(debug_assertions)]
    pub fn start_armed(&self, flags: &[&str], faults: &str) -> Result<Node, ExitStatus> {
        let mut command = self.command(flags);
        command.env("ERRAND_FAULTS", faults);
        Node::try_start(command).map_err(|(status, _)| status)
    }

    pub fn postgres_url(&self) -> &str {
        match &self.database {
            DatabaseUrl::Postgres(url) => url,
            DatabaseUrl::Sqlite(_) => panic!("this home is on SQLite"),
        }
    }

    pub fn database_file(&self) -> &Path {
        self.sqlite_file().expect("this home is on SQLite")
    }

    /// The database file, where it is one.
    pub fn sqlite_file(&self) -> Option<&Path> {
        match &self.database {
            DatabaseUrl::Sqlite(path) => Some(path),
            DatabaseUrl::Postgres(_) => None,
        }
    }
}

/// A running node; killed when dropped.
pub struct Node {
    child: Child,
    pub url: String,
    pub http: reqwest::Client,
    log: Arc<Mutex<Vec<String>>>,
}

impl Node {
    /// Starts what this command starts, and waits until it says where it listens.
    pub fn start(command: Command) -> Node {
        Node::try_start(command).unwrap_or_else(|(status, said)| panic!("it does not listen: {status}: {said}"))
    }

    /// The same; how it ended and what it said if it does not listen.
    pub fn try_start(command: Command) -> Result<Node, (ExitStatus, String)> {
        let (mut node, address) = Node::spawn(command);
        match aside(|| address.recv_timeout(Duration::from_secs(30))) {
            Ok(url) => {
                node.url = url;
                Ok(node)
            }
            Err(_) => {
                let _ = node.child.kill();
                Err((node.child.wait().unwrap(), node.log()))
            }
        }
    }

    /// Starts it on a port that is known, and returns at once.
    pub fn start_on(port: u16, command: Command) -> Node {
        let (mut node, _) = Node::spawn(command);
        node.url = format!("http://127.0.0.1:{port}");
        node
    }

    /// The same; its log goes where the test says.
    pub fn start_with_log_at(port: u16, mut command: Command, sink: impl Into<Stdio>) -> Node {
        let child = command.stderr(sink).stdout(Stdio::null()).spawn().unwrap();
        Node::of(child, format!("http://127.0.0.1:{port}"), Arc::default())
    }

    fn spawn(mut command: Command) -> (Node, mpsc::Receiver<String>) {
        let mut child = command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap());
        let (found, address) = mpsc::channel();
        let log = Arc::new(Mutex::new(Vec::new()));
        // The log is read to its end, so that the node never waits for it.
        std::thread::spawn({
            let log = log.clone();
            move || {
                for line in lines.lines().map_while(Result::ok) {
                    // Other addresses may be told before: of its file store, for one.
                    let ours = line.contains("listening on") || line.contains("says so");
                    if let Some((_, after)) = line.split_once("http://").filter(|_| ours) {
                        let _ = found.send(format!("http://{}", after.split_whitespace().next().unwrap_or_default()));
                    }
                    log.lock().unwrap().push(line);
                }
            }
        });
        (Node::of(child, String::new(), log), address)
    }

    fn of(child: Child, url: String, log: Arc<Mutex<Vec<String>>>) -> Node {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder().timeout(Duration::from_secs(30)).build().unwrap();
        Node { child, url, http, log }
    }

    /// What it wrote to its log so far, line by line.
    pub fn lines(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }

    /// The same in one text.
    pub fn log(&self) -> String {
        self.lines().join("\n")
    }

    /// What a POST answers: status and body.
    pub async fn post(&self, path: &str, body: Value) -> reqwest::Result<(u16, Value)> {
        let answer = self.http.post(format!("{}{path}", self.url)).json(&body).send().await?;
        Ok((answer.status().as_u16(), answer.json().await.unwrap_or(Value::Null)))
    }

    pub async fn get(&self, path: &str) -> Value {
        self.fetch(path).await.json().await.unwrap()
    }

    /// What a GET answers. A connection that was kept from before a pause may have ended in it: then over
    /// a new one.
    async fn fetch(&self, path: &str) -> reqwest::Response {
        let get = || self.http.get(format!("{}{path}", self.url)).send();
        match get().await {
            Ok(answer) => answer,
            Err(_) => get().await.unwrap(),
        }
    }

    /// The bytes behind a path.
    pub async fn download(&self, path: &str) -> Vec<u8> {
        let answer = self.http.get(format!("{}{path}", self.url)).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        answer.bytes().await.unwrap().to_vec()
    }

    /// Uploads a file and answers its id.
    pub async fn uploaded(&self, name: &str, content: Vec<u8>) -> String {
        let (status, answer) = self.upload(name, content).await;
        assert_eq!(status, 201, "{answer}");
        answer["file_id"].as_str().unwrap().to_owned()
    }

    /// The body of what a GET answers.
    pub async fn text(&self, path: &str) -> String {
        self.http.get(format!("{}{path}", self.url)).send().await.unwrap().text().await.unwrap()
    }

    /// Only the status of what a GET answers.
    pub async fn status(&self, path: &str) -> u16 {
        self.http.get(format!("{}{path}", self.url)).send().await.unwrap().status().as_u16()
    }

    /// What an upload answers: status and body.
    pub async fn upload(&self, name: &str, content: Vec<u8>) -> (u16, Value) {
        self.send_file(name, content.into()).await.unwrap()
    }

    /// The same from a node that may break off.
    pub async fn try_upload(&self, name: &str, content: Vec<u8>) -> reqwest::Result<(u16, Value)> {
        self.send_file(name, content.into()).await
    }

    /// What an upload answers whose size is not said beforehand.
    pub async fn upload_unsized(&self, name: &str, bytes: usize) -> (u16, Value) {
        const PIECE: usize = 64 * 1024;
        let pieces = (0..bytes / PIECE).map(|_| Ok::<_, std::io::Error>(vec![b'a'; PIECE]));
        self.send_file(name, reqwest::Body::wrap_stream(futures_util::stream::iter(pieces))).await.unwrap()
    }

    /// Sends so much of an upload, and never the rest.
    pub fn begin_upload(&self, name: &str, bytes: usize) -> tokio::task::JoinHandle<()> {
        let some = futures_util::stream::iter([Ok::<_, std::io::Error>(vec![b'a'; bytes])]);
        let body = reqwest::Body::wrap_stream(futures_util::StreamExt::chain(some, futures_util::stream::pending()));
        let request = self.http.post(format!("{}/api/files?name={name}", self.url)).body(body);
        tokio::spawn(async move { drop(request.send().await) })
    }

    async fn send_file(&self, name: &str, body: reqwest::Body) -> reqwest::Result<(u16, Value)> {
        let request = self.http.post(format!("{}/api/files?name={name}", self.url));
        let is_picture = [".jpg", ".png", ".gif"].iter().any(|end| name.ends_with(end));
        let content_type = if is_picture { "application/octet-stream" } else { "text/csv" };
        let answer = request.header("content-type", content_type).body(body).send().await?;
        Ok((answer.status().as_u16(), answer.json().await?))
    }

    /// What a DELETE answers, of a node that may break off.
    pub async fn try_delete(&self, path: &str) -> reqwest::Result<(u16, Value)> {
        let answer = self.http.delete(format!("{}{path}", self.url)).send().await?;
        Ok((answer.status().as_u16(), answer.json().await.unwrap_or(Value::Null)))
    }

    /// The status and body of a GET, however it ends.
    pub async fn try_get(&self, path: &str) -> reqwest::Result<(u16, Value)> {
        let answer = self.http.get(format!("{}{path}", self.url)).send().await?;
        Ok((answer.status().as_u16(), answer.json().await.unwrap_or(Value::Null)))
    }

    /// A number of `/metrics`.
    pub async fn metric(&self, name: &str) -> f64 {
        let text = self.fetch("/metrics").await.text().await.unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("{name} is not in {text}"))
    }

    pub async fn delete(&self, path: &str) -> (u16, Value) {
        self.try_delete(path).await.unwrap()
    }

    /// Submits and answers the id.
    pub async fn submit(&self, body: Value) -> String {
        let (status, task) = self.post("/api/tasks/submit", body).await.unwrap();
        assert_eq!(status, 201, "{task}");
        task["id"].as_str().unwrap().to_owned()
    }

    /// Submits them in one batch and answers the ids.
    pub async fn submit_many(&self, tasks: Vec<Value>) -> Vec<String> {
        let (status, batch) = self.post("/api/tasks/batch", serde_json::json!({ "tasks": tasks })).await.unwrap();
        assert_eq!(status, 201, "{batch}");
        batch["tasks"].as_array().unwrap().iter().map(|task| task["id"].as_str().unwrap().to_owned()).collect()
    }

    /// The task once `done` says so; fails after `patience`.
    pub async fn until(&self, id: &str, patience: Duration, done: impl Fn(&Value) -> bool) -> Value {
        let began = Instant::now();
        loop {
            let task = self.get(&format!("/api/tasks/{id}?wait=1")).await;
            if done(&task) {
                return task;
            }
            assert!(began.elapsed() < patience, "still {task} after {patience:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until so many tasks or more stand in this status. Fails after `patience`.
    pub async fn until_count(&self, status: &str, n: u64, patience: Duration) {
        let began = Instant::now();
        loop {
            let stats = self.get("/api/stats").await;
            if stats["by_status"][status].as_u64().is_some_and(|there| there >= n) {
                return;
            }
            assert!(began.elapsed() < patience, "still {} after {patience:?}", stats["by_status"]);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until a GET answers with this status; answers how long that took. Fails after `patience`.
    pub async fn until_status(&self, path: &str, status: u16, patience: Duration) -> Duration {
        let began = Instant::now();
        loop {
            let answer = self.try_get(path).await;
            if answer.as_ref().is_ok_and(|(answered, _)| *answered == status) {
                return began.elapsed();
            }
            assert!(began.elapsed() < patience, "{path} is still {answer:?} after {patience:?}: {}", self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// A figure of the kernel about its memory, as `VmRSS` or `VmHWM`, in MiB.
    pub fn memory_mib(&self, figure: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(figure)).unwrap();
        line.trim_matches([':', ' ', '\t', 'k', 'B']).parse::<u64>().unwrap() / 1024
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal, as `TERM` or `KILL`.
    pub fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
    }

    /// The exit status, once it has ended by itself within `patience`.
    pub async fn ended(&mut self, patience: Duration) -> ExitStatus {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(began.elapsed() < patience, "it still runs after {patience:?}: {}", self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Whether it still runs.
    pub fn runs(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
