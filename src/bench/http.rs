//! Scenarios over HTTP: a real server on loopback, and clients in the same process on the same cores.

use super::{Measured, measured};
use crate::api::{self, Api, NodeInfo};
use crate::queue::Queue;
use bytes::Bytes;
use futures_util::future::try_join_all;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

const TASK: &str = r#"{"type":"noop","params":{"customer":"c-1029384756","document":"d-5647382910","pages":[1,2,3,4],"urgent":false}}"#;

/// `tasks` single submits from `connections` connections, each waiting for its answer before the next.
pub async fn submit(queue: &Queue, tasks: u64, connections: u64) -> Result<Measured, String> {
    let (took, latencies) = load(queue, "/api/tasks/submit", TASK.to_owned(), tasks, connections).await?;
    let what = "POST /api/tasks/submit, each answered 201 when its task is on disk";
    Ok(measured("submit", what, tasks, took, "one request", latencies))
}

/// `tasks` tasks in batches of `batch`.
pub async fn batch(queue: &Queue, tasks: u64, batch: u64, connections: u64) -> Result<Measured, String> {
    let body = format!(r#"{{"tasks":[{}]}}"#, vec![TASK; batch as usize].join(","));
    let requests = tasks.div_ceil(batch);
    let (took, latencies) = load(queue, "/api/tasks/batch", body, requests, connections).await?;
    let what = "POST /api/tasks/batch, each answered 201 when its tasks are on disk";
    Ok(measured("batch", what, requests * batch, took, "one batch", latencies))
}

async fn load(
    queue: &Queue,
    path: &'static str,
    body: String,
    requests: u64,
    connections: u64,
) -> Result<(Duration, Vec<Duration>), String> {
    let stop = CancellationToken::new();
    let listener = api::server::listen(SocketAddr::from(([127, 0, 0, 1], 0))).map_err(|error| error.to_string())?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    let node = NodeInfo {
        version: env!("CARGO_PKG_VERSION"),
        started: Instant::now(),
        workers: 0,
        page_scope: "all".to_owned(),
        max_file_bytes: 0,
    };
    let router = api::router(Api::new(queue.clone(), node, stop.clone()));
    let (_, router) = watch::channel(router);
    let server = tokio::spawn(api::server::serve(listener, router, stop.clone()));

    let (left, body) = (Arc::new(AtomicU64::new(requests)), Bytes::from(body));
    let clients = (0..connections).map(|_| connect(address));
    let clients = try_join_all(clients).await?;
    let began = Instant::now();
    let sending = clients.into_iter().map(|client| tokio::spawn(send(client, path, body.clone(), left.clone())));
    let latencies = try_join_all(sending).await.map_err(|error| error.to_string())?;
    let took = began.elapsed();
    stop.cancel();
    let _ = server.await;
    Ok((took, latencies.into_iter().collect::<Result<Vec<_>, String>>()?.concat()))
}

async fn connect(address: SocketAddr) -> Result<SendRequest<Full<Bytes>>, String> {
    let stream = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
    stream.set_nodelay(true).map_err(|error| error.to_string())?;
    let (client, connection) = handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
    tokio::spawn(connection);
    Ok(client)
}

async fn send(
    mut client: SendRequest<Full<Bytes>>,
    path: &str,
    body: Bytes,
    left: Arc<AtomicU64>,
) -> Result<Vec<Duration>, String> {
    let mut latencies = Vec::new();
    while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
        let request = Request::post(path)
            .header("host", "127.0.0.1")
            .header("content-type", "application/json")
            .body(Full::new(body.clone()))
            .map_err(|error| error.to_string())?;
        let sent = Instant::now();
        let answer = client.send_request(request).await.map_err(|error| error.to_string())?;
        let status = answer.status();
        let answered = answer.into_body().collect().await.map_err(|error| error.to_string())?;
        latencies.push(sent.elapsed());
        if status != StatusCode::CREATED {
            return Err(format!("{status}: {}", String::from_utf8_lossy(&answered.to_bytes())));
        }
    }
    Ok(latencies)
}
