//! The mail room: the process that talks to the mail server for its node. It outlives the node for as long as a mail is
//! under way, so that the answer to it is heard.

use super::smtp::Smtp;
use super::taken;
use super::wire::{self, Head};
use std::fs::File;
use std::future::pending;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream as Socket;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, BufReader, Interest};
use tokio::net::UnixStream;
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Sends mails as it is told by its standard input, until that ends: with its node, however that ended. To a mail that
/// the server is to have by then the answer is heard, within the patience that it has. Answers the exit code.
pub fn serve_mails() -> i32 {
    let Ok(runtime) = Builder::new_current_thread().enable_all().build() else { return 1 };
    let served = runtime.block_on(serve());
    // A name may still be looked for: nobody waits for it any more.
    runtime.shutdown_background();
    i32::from(served.is_err())
}

async fn serve() -> io::Result<()> {
    // Whoever ends the node and all around it asks this process too, which ends with the node and not before.
    let _unheard = [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()].map(signal);
    let mut node = socket(io::stdin().as_fd().try_clone_to_owned()?)?;
    let smtp = Arc::new(Smtp::new(wire::hear(&mut node).await?));
    let mails = TaskTracker::new();
    while let Ok(Some(files)) = node.async_io(Interest::READABLE, || wire::take(&node)).await {
        mails.spawn(one(files, smtp.clone()));
    }
    mails.close();
    mails.wait().await;
    Ok(())
}

/// One mail, from its socket to what became of it. An error: the node gave it up before it was here.
async fn one(files: Vec<OwnedFd>, smtp: Arc<Smtp>) -> io::Result<()> {
    let mut files = files.into_iter();
    let mut node = socket(files.next().ok_or(io::ErrorKind::UnexpectedEof)?)?;
    let noted = files.next().map(File::from);
    let (mut from, mut to) = node.split();
    let mut from = BufReader::new(&mut from);
    let head: Head = wire::hear(&mut from).await?;
    let mut mail = Vec::with_capacity(head.bytes as usize);
    if (&mut from).take(head.bytes).read_to_end(&mut mail).await? as u64 != head.bytes {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let envelope = head.envelope().map_err(|error| io::Error::other(error.to_string()))?;
    let (go, gone) = (CancellationToken::new(), CancellationToken::new());
    let listen = async {
        if from.read_u8().await.is_ok_and(|word| word == wire::GO) {
            go.cancel();
            // The node says nothing more.
            let _ = from.read_u8().await;
        }
        gone.cancel();
        pending().await
    };
    let answer = tokio::select! {
        answer = smtp.send(&envelope, &mail, go.cancelled(), gone.cancelled()) => answer,
        answer = listen => answer,
    };
    if let Some(noted) = noted {
        taken::note(&noted, head.number, &answer);
    }
    wire::say(&mut to, &answer, &[]).await
}

fn socket(file: OwnedFd) -> io::Result<UnixStream> {
    let socket = Socket::from(file);
    socket.set_nonblocking(true)?;
    UnixStream::from_std(socket)
}
