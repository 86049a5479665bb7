//! Scenarios over HTTP: a real server on loopback, and clients in the same process on the same cores.

use super::pool::{Pool, finished, until_finished};
use super::{Measured, door, measured};
use crate::api::{self, Api, NodeInfo};
use crate::queue::Queue;
use crate::queue::keys::Keys;
use crate::task::Time;
use bytes::Bytes;
use futures_util::future::try_join_all;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{self, HeaderValue};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// What a page shows first.
const LIST: &str = "/api/tasks/";
/// So many tasks, which are submitted before it is read: an empty list costs next to nothing.
const PAGE: u64 = 50;
const TASK: &str = r#"{"type":"noop","params":{"customer":"c-1029384756","document":"d-5647382910","pages":[1,2,3,4],"urgent":false}}"#;

/// One kind of request, sent again and again.
#[derive(Clone)]
struct Load {
    method: Method,
    path: String,
    body: Bytes,
    /// What an earlier answer was tagged with, if it is to be compared.
    tag: Option<HeaderValue>,
    expected: StatusCode,
}

impl Load {
    fn post(path: &str, body: String) -> Load {
        Load {
            method: Method::POST,
            path: path.to_owned(),
            body: Bytes::from(body),
            tag: None,
            expected: StatusCode::CREATED,
        }
    }

    fn get(path: &str) -> Load {
        Load { method: Method::GET, path: path.to_owned(), body: Bytes::new(), tag: None, expected: StatusCode::OK }
    }

    fn request(&self) -> Result<Request<Full<Bytes>>, String> {
        let mut request = Request::new(Full::new(self.body.clone()));
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.path.parse().map_err(|error| format!("{}: {error}", self.path))?;
        let headers = request.headers_mut();
        headers.insert(header::HOST, HeaderValue::from_static("127.0.0.1"));
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(tag) = &self.tag {
            headers.insert(header::IF_NONE_MATCH, tag.clone());
        }
        Ok(request)
    }
}

/// `tasks` single submits from `connections` connections, each waiting for its answer before the next.
pub async fn submit(queue: &Queue, tasks: u64, connections: u64) -> Result<Measured, String> {
    let load = Load::post("/api/tasks/submit", TASK.to_owned());
    let (took, latencies) = Server::start(queue)?.under(load, tasks, connections).await?;
    let what = "POST /api/tasks/submit, each answered 201 when its task is on disk";
    Ok(measured("submit", what, tasks, took, "one request", latencies))
}

/// The same while a pool works, until the last is finished: in and out at once.
pub async fn sustained(queue: &Queue, tasks: u64, connections: u64, places: usize) -> Result<Measured, String> {
    let load = Load::post("/api/tasks/submit", TASK.to_owned());
    let before = finished(queue).await?;
    let pool = Pool::start(queue, places);
    let began = Instant::now();
    let (_, latencies) = Server::start(queue)?.under(load, tasks, connections).await?;
    until_finished(queue, before + tasks).await?;
    let took = began.elapsed();
    pool.end().await?;
    let what = "POST /api/tasks/submit while a pool works, until the last task is finished";
    Ok(measured("sustained", what, tasks, took, "one request", latencies))
}

/// `tasks` tasks in batches of `batch`.
pub async fn batch(queue: &Queue, tasks: u64, batch: u64, connections: u64) -> Result<Measured, String> {
    let body = format!(r#"{{"tasks":[{}]}}"#, vec![TASK; batch as usize].join(","));
    let requests = tasks.div_ceil(batch);
    let load = Load::post("/api/tasks/batch", body);
    let (took, latencies) = Server::start(queue)?.under(load, requests, connections).await?;
    let what = "POST /api/tasks/batch, each answered 201 when its tasks are on disk";
    Ok(measured("batch", what, requests * batch, took, "one batch", latencies))
}

/// The page's list, read `requests` times by `connections` pollers.
pub async fn poll(queue: &Queue, requests: u64, connections: u64) -> Result<Measured, String> {
    door::submit(queue, PAGE).await?;
    let (took, latencies) = Server::start(queue)?.under(Load::get(LIST), requests, connections).await?;
    let what = "GET of the newest 50 tasks, whole; a task stands for a request";
    Ok(measured("poll", what, requests, took, "one request", latencies))
}

/// The same by pollers who have that list already: 304 while nothing changes.
pub async fn poll_unchanged(queue: &Queue, requests: u64, connections: u64) -> Result<Measured, String> {
    door::submit(queue, PAGE).await?;
    let server = Server::start(queue)?;
    let mut client = connect(server.address).await?;
    let first = client.send_request(Load::get(LIST).request()?).await.map_err(|error| error.to_string())?;
    let tag = first.headers().get(header::ETAG).cloned().ok_or("the list has no etag")?;
    let load = Load { tag: Some(tag), expected: StatusCode::NOT_MODIFIED, ..Load::get(LIST) };
    let (took, latencies) = server.under(load, requests, connections).await?;
    let what = "the same with if-none-match, nothing changed: 304; a task stands for a request";
    Ok(measured("poll-304", what, requests, took, "one request", latencies))
}

/// The statistics, read `requests` times, with the counters folded as a node does it every 5 s.
pub async fn stats(queue: &Queue, requests: u64, connections: u64) -> Result<Measured, String> {
    queue.store().tidy(Time(0), 0).await.map_err(|error| error.to_string())?;
    let (took, latencies) = Server::start(queue)?.under(Load::get("/api/stats"), requests, connections).await?;
    let what = "GET /api/stats; a task stands for a request";
    Ok(measured("stats", what, requests, took, "one request", latencies))
}

/// The answer of a GET.
pub async fn get_json(server: &Server, path: &str) -> Result<serde_json::Value, String> {
    let mut client = connect(server.address).await?;
    let answer = client.send_request(Load::get(path).request()?).await.map_err(|error| error.to_string())?;
    let body = answer.into_body().collect().await.map_err(|error| error.to_string())?.to_bytes();
    serde_json::from_slice(&body).map_err(|error| error.to_string())
}

/// A server on loopback for one scenario.
pub struct Server {
    address: SocketAddr,
    stop: CancellationToken,
    ended: JoinHandle<std::io::Result<()>>,
}

impl Server {
    /// Starts one.
    pub fn start(queue: &Queue) -> Result<Server, String> {
        let stop = CancellationToken::new();
        let listener = api::server::listen(SocketAddr::from(([127, 0, 0, 1], 0))).map_err(|error| error.to_string())?;
        let address = listener.local_addr().map_err(|error| error.to_string())?;
        let node = NodeInfo {
            version: env!("CARGO_PKG_VERSION"),
            started: Instant::now(),
            workers: 0,
            data_dir: ".".into(),
            page_scope: "all".to_owned(),
            max_file_bytes: 0,
            allowed_origins: Default::default(),
            rates: Default::default(),
            cost_per_hour: Default::default(),
            log_lines_dropped: Arc::default(),
        };
        let keys = Keys::new(queue.store().clone(), queue.clock().clone(), &[], true);
        let router = api::router(Api::new(queue.clone(), keys, node, stop.clone()));
        let (_, router) = watch::channel(router);
        // What a node does beside: requests leave who did what.
        let (journal, end) = (queue.journal().clone(), stop.clone());
        let serving = api::server::serve(listener, router, stop.clone());
        let ended = tokio::spawn(async move { tokio::join!(serving, journal.keep(end)).0 });
        Ok(Server { address, stop, ended })
    }

    /// `requests` of a kind from `connections` connections; then the server ends.
    async fn under(self, load: Load, requests: u64, connections: u64) -> Result<(Duration, Vec<Duration>), String> {
        let measured = self.send(load, requests, connections).await?;
        self.end().await;
        Ok(measured)
    }

    /// What each of `requests` GETs of `path` took.
    pub async fn ask(&self, path: &str, requests: u64, connections: u64) -> Result<Vec<Duration>, String> {
        Ok(self.send(Load::get(path), requests, connections).await?.1)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many rows a page has, and whether more may follow.
    pub async fn rows(&self, path: &str) -> Result<(usize, bool), String> {
        let page = get_json(self, path).await?;
        Ok((page["tasks"].as_array().map_or(0, Vec::len), page["next_cursor"].is_string()))
    }

    /// Ends it.
    pub async fn end(self) {
        self.stop.cancel();
        let _ = self.ended.await;
    }

    async fn send(&self, load: Load, requests: u64, connections: u64) -> Result<(Duration, Vec<Duration>), String> {
        let left = Arc::new(AtomicU64::new(requests));
        let clients = try_join_all((0..connections).map(|_| connect(self.address))).await?;
        let began = Instant::now();
        let sending = clients.into_iter().map(|client| tokio::spawn(send(client, load.clone(), left.clone())));
        let latencies = try_join_all(sending).await.map_err(|error| error.to_string())?;
        let took = began.elapsed();
        Ok((took, latencies.into_iter().collect::<Result<Vec<_>, String>>()?.concat()))
    }
}

async fn connect(address: SocketAddr) -> Result<SendRequest<Full<Bytes>>, String> {
    let stream = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
    stream.set_nodelay(true).map_err(|error| error.to_string())?;
    let (client, connection) = handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
    tokio::spawn(connection);
    Ok(client)
}

async fn send(mut client: SendRequest<Full<Bytes>>, load: Load, left: Arc<AtomicU64>) -> Result<Vec<Duration>, String> {
    let mut latencies = Vec::new();
    while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
        let request = load.request()?;
        let sent = Instant::now();
        let answer = client.send_request(request).await.map_err(|error| error.to_string())?;
        let status = answer.status();
        let answered = answer.into_body().collect().await.map_err(|error| error.to_string())?;
        latencies.push(sent.elapsed());
        if status != load.expected {
            return Err(format!("{status}: {}", String::from_utf8_lossy(&answered.to_bytes())));
        }
    }
    Ok(latencies)
}
