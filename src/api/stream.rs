//! The bytes of one connection: what the HTTP library leaves open is closed here.
//!
//! A client that takes nothing of its answer is cut off. A refusal of the library's own, for what is
//! no HTTP, gets a problem like every other error. Lines that end in a bare LF are no HTTP either
//! (RFC 9112 lets a server choose; what two programs read differently is how requests are smuggled).

use super::common::REQUEST_ID;
use super::problem::Problem;
use axum::http::StatusCode;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};
use uuid::Uuid;

/// A client that takes nothing of an answer for so long is cut off.
const STALLED: Duration = Duration::from_secs(60);

/// How long a connection waits for a client that takes nothing; an answer that goes on for ever waits
/// less long.
#[derive(Debug, Clone)]
pub struct Patience(Arc<AtomicU64>);

impl Default for Patience {
    fn default() -> Patience {
        Patience(Arc::new(AtomicU64::new(STALLED.as_millis() as u64)))
    }
}

impl Patience {
    /// From the next wait on, this long.
    pub fn set(&self, patience: Duration) {
        self.0.store(patience.as_millis() as u64, Relaxed);
    }

    fn get(&self) -> Duration {
        Duration::from_millis(self.0.load(Relaxed))
    }
}

/// A connection's stream.
pub struct Stream {
    inner: TcpStream,
    patience: Patience,
    until: Option<Pin<Box<Sleep>>>,
    /// The last bytes of the first request's head, while that is being read: a client that ends
    /// lines properly in its first request does so in all.
    head: Option<[u8; 3]>,
    instead: Option<Instead>,
}

/// What is written in the place of a refusal.
struct Instead {
    bytes: Vec<u8>,
    written: usize,
    /// How many bytes the refusal had.
    of: usize,
}

impl Stream {
    /// The stream of a new connection.
    pub fn new(inner: TcpStream, patience: Patience) -> Stream {
        Stream { inner, patience, until: None, head: Some([0; 3]), instead: None }
    }

    /// A write that got on starts the patience anew; one that did not uses it up.
    fn patiently<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.until = None;
            return written;
        }
        let patience = self.patience.get();
        let until = self.until.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(Instant::now() + patience)));
        ready!(until.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    /// Looks at what was read of the first head; a bare LF is made a NUL, which no head may have.
    fn check_head(&mut self, bytes: &mut [u8]) {
        for byte in bytes {
            let Some([a, b, c]) = self.head else { return };
            if *byte == b'\n' && c != b'\r' {
                *byte = 0;
            }
            self.head = ([a, b, c, *byte] != *b"\r\n\r\n").then_some([b, c, *byte]);
        }
    }

    fn write_instead(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        while let Some(instead) = &mut self.instead {
            if instead.written == instead.bytes.len() {
                let of = instead.of;
                self.instead = None;
                return Poll::Ready(Ok(of));
            }
            let written = Pin::new(&mut self.inner).poll_write(cx, &instead.bytes[instead.written..]);
            let n = ready!(self.patiently(cx, written))?;
            if n == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            if let Some(instead) = &mut self.instead {
                instead.written += n;
            }
        }
        Poll::Ready(Ok(0))
    }
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.inner).poll_read(cx, buf);
        self.check_head(&mut buf.filled_mut()[before..]);
        read
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.instead.is_none() {
            self.instead = told(bytes).map(|told| Instead { bytes: told, written: 0, of: bytes.len() });
        }
        if self.instead.is_some() {
            return self.write_instead(cx);
        }
        let written = Pin::new(&mut self.inner).poll_write(cx, bytes);
        self.patiently(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if let [one] = parts {
            return self.poll_write(cx, one);
        }
        let written = Pin::new(&mut self.inner).poll_write_vectored(cx, parts);
        self.patiently(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

/// A refusal of the library's own, known by the request id it lacks, told as a problem.
fn told(bytes: &[u8]) -> Option<Vec<u8>> {
    let status = bytes.strip_prefix(b"HTTP/1.1 4")?;
    let head = std::str::from_utf8(bytes).ok().filter(|head| head.ends_with("\r\n\r\n"))?;
    if head.contains(REQUEST_ID.as_str()) {
        return None;
    }
    let digits = [b'4', *status.first()?, *status.get(1)?];
    let status = StatusCode::from_bytes(&digits).ok()?;
    let id = Uuid::now_v7().to_string();
    let problem = Problem::of_status(status).to_json(&id);
    let reason = status.canonical_reason().unwrap_or_default();
    let head = format!(
        "HTTP/1.1 {} {reason}\r\nconnection: close\r\ncontent-type: application/problem+json\r\ncontent-length: {}\r\n\
         cache-control: no-store\r\nx-content-type-options: nosniff\r\n{REQUEST_ID}: {id}\r\n\r\n",
        status.as_u16(),
        problem.len()
    );
    Some([head.into_bytes(), problem.into_bytes()].concat())
}
