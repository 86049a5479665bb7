//! The way to a mail server, with bounds on what it may say.

use lettre::transport::smtp::client::AsyncTokioStream;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// A server that says more than this without being asked is not listened to any longer. An answer has a few hundred
/// bytes, a handshake with long certificates some ten thousand.
const MAX_HEARD_BYTES: usize = 64 * 1024;

/// A connection that fails where the server says too much: an answer without end, or anything between its yes to
/// STARTTLS and the handshake, which would be read as said under encryption.
#[derive(Debug)]
pub struct Bounded {
    stream: TcpStream,
    heard: usize,
    starttls: bool,
}

impl Bounded {
    /// Bounds `stream`.
    pub fn new(stream: TcpStream) -> Bounded {
        Bounded { stream, heard: 0, starttls: false }
    }
}

impl AsyncRead for Bounded {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        let fresh = &buf.filled()[before..];
        self.heard += fresh.len();
        if self.heard > MAX_HEARD_BYTES {
            return Poll::Ready(Err(io::Error::other("the server's answer is too long")));
        }
        let line_end = fresh.iter().position(|byte| *byte == b'\n');
        if self.starttls && line_end.is_some_and(|at| at + 1 < fresh.len()) {
            return Poll::Ready(Err(io::Error::other("the server spoke between STARTTLS and the handshake")));
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Bounded {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.heard = 0;
        self.starttls = bytes == b"STARTTLS\r\n";
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl AsyncTokioStream for Bounded {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.stream.peer_addr()
    }
}

/// A connection that is encrypted already.
pub struct Encrypted<S>(pub S, pub SocketAddr);

impl<S> fmt::Debug for Encrypted<S> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "encrypted, to {}", self.1)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Encrypted<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Encrypted<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

impl<S: AsyncRead + AsyncWrite + Send + Sync + Unpin> AsyncTokioStream for Encrypted<S> {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.1)
    }
}
