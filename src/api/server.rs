//! Connections: HTTP/1.1 over hyper itself, because `axum::serve` waits for everybody for ever.

use super::common::Peer;
use super::stream::{Patience, Stream};
use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::Service;

/// A request whose headers are not whole after so long, and a connection without a request for so
/// long, are closed.
const HEADERS: Duration = Duration::from_secs(10);
/// More connections wait in the kernel until others end. Each costs about 10 KiB.
const MAX_CONNECTIONS: usize = 10_000;
/// How many connections wait in the kernel.
const BACKLOG: u32 = 1024;
/// Memory for a request's headers; the common layer refuses less than that with a problem.
const BUFFER_BYTES: usize = 64 * 1024;
/// How long to wait when a connection cannot be accepted (no file descriptors left).
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);
/// After the stop, connections are taken and kept for so long: a request that is on its way then finds
/// somebody, who tells its client to ask another node.
const FAREWELL: Duration = Duration::from_millis(250);
/// What is under way when the server stops has so long to end.
const GRACE: Duration = Duration::from_secs(20);

/// Listens on an address.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Serves by the newest of these routers until `stop`. Then, for a moment, whoever is there or just
/// comes is still answered, and told to connect elsewhere the next time; after that no connection is
/// taken, what is under way may end, and what has not ended after 20 s is cut off. No error of a
/// connection ends it.
pub async fn serve(listener: TcpListener, routers: watch::Receiver<Router>, stop: CancellationToken) -> io::Result<()> {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let (connections, cut) = (TaskTracker::new(), CancellationToken::new());
    let accepting = async {
        while let Ok(place) = places.clone().acquire_owned().await {
            match listener.accept().await {
                Ok((stream, peer)) => {
                    let connection = Connection { peer, stop: stop.clone(), cut: cut.clone(), _place: place };
                    connections.spawn(connection.serve(stream, routers.clone()));
                }
                // The one who came is gone again: nothing is wrong with us.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    sleep(ACCEPT_AGAIN).await;
                }
            }
        }
    };
    tokio::select! {
        () = accepting => {}
        () = farewell(&stop) => {}
    }
    drop(listener);
    connections.close();
    if timeout(GRACE, connections.wait()).await.is_err() {
        cut.cancel();
        connections.wait().await;
    }
    Ok(())
}

/// Until `stop` was a moment ago.
async fn farewell(stop: &CancellationToken) {
    stop.cancelled().await;
    sleep(FAREWELL).await;
}

struct Connection {
    peer: SocketAddr,
    stop: CancellationToken,
    cut: CancellationToken,
    _place: OwnedSemaphorePermit,
}

impl Connection {
    async fn serve(self, stream: TcpStream, routers: watch::Receiver<Router>) {
        let _ = stream.set_nodelay(true);
        let (peer, stop, patience) = (self.peer, self.stop.clone(), Patience::default());
        let stream = Stream::new(stream, patience.clone());
        let service = hyper::service::service_fn(move |mut request: hyper::Request<Incoming>| {
            request.extensions_mut().insert(Peer(peer));
            request.extensions_mut().insert(patience.clone());
            let (mut router, stop) = (routers.borrow().clone(), stop.clone());
            async move {
                poll_fn(|cx| Service::<Request>::poll_ready(&mut router, cx)).await?;
                let mut answered = router.call(request.map(axum::body::Body::new)).await;
                if let Ok(answer) = &mut answered
                    && stop.is_cancelled()
                    && answer.status() != StatusCode::SWITCHING_PROTOCOLS
                {
                    answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
                }
                answered
            }
        });
        let mut builder = http1::Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(HEADERS);
        // At most 100 headers, as the library has it: room for another number would be allocated for every request.
        builder.max_buf_size(BUFFER_BYTES);
        let connection = builder.serve_connection(TokioIo::new(stream), service).with_upgrades();
        let mut connection = pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = farewell(&self.stop) => {
                connection.as_mut().graceful_shutdown();
                tokio::select! {
                    ended = connection => ended,
                    () = self.cut.cancelled() => return,
                }
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, %peer, "a connection broke off");
        }
    }
}
