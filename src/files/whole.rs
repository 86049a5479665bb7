//! A file that is read whole is the one that was kept, or the reading fails.

use super::{Reader, hex};
use sha2::{Digest, Sha256};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, ReadBuf};

/// A file's content, of which the last byte comes only where all of it has that hash.
pub struct Whole {
    inner: Reader,
    hash: Sha256,
    left: u64,
    sha256: String,
}

/// What the error of a reading holds where the file is another one.
#[derive(Debug, thiserror::Error)]
#[error("the file is not what was kept")]
pub struct Changed;

impl Whole {
    /// The content that `inner` reads from its beginning: so many bytes with that SHA-256, in lower-case hex.
    pub fn new(inner: Reader, bytes: u64, sha256: String) -> Whole {
        Whole { inner, hash: Sha256::new(), left: bytes, sha256 }
    }
}

impl AsyncRead for Whole {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(cx, buf))?;
        let new = &buf.filled()[before..];
        let is_short = new.is_empty() && buf.remaining() > 0 && self.left > 0;
        self.hash.update(new);
        self.left = self.left.saturating_sub(new.len() as u64);
        let is_other = self.left == 0 && !new.is_empty() && hex(&self.hash.finalize_reset()) != self.sha256;
        if is_short || is_other {
            buf.set_filled(before);
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, Changed)));
        }
        Poll::Ready(Ok(()))
    }
}
