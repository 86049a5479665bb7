//! What a node and its mail room say to each other. Over one socket the node hands in a socket for each mail, and the
//! file in which its answer is noted; over that socket come the mail, the word to send it, and what became of it. Its end
//! gives the mail up. What is said is JSON behind its length.

use bytes::Buf;
use lettre::Address;
use lettre::address::Envelope;
use rustix::cmsg_space;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
    recvmsg, sendmsg,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::error::Error;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// More is never said at once, but for a mail itself.
const MAX_MESSAGE_BYTES: u32 = 64 * 1024;
/// The word to send a mail.
pub const GO: u8 = 1;
/// As many files are handed over at once: a socket, and where its answer is noted.
const FILES: usize = 2;

/// What is said before a mail.
#[derive(Debug, Serialize, Deserialize)]
pub struct Head {
    /// Its number in its task.
    pub number: u32,
    /// How long it is.
    pub bytes: u64,
    from: Option<(String, String)>,
    to: Vec<(String, String)>,
}

impl Head {
    /// Of that mail.
    pub fn new(number: u32, envelope: &Envelope, mail: &[u8]) -> Head {
        let halves = |address: &Address| (address.user().to_owned(), address.domain().to_owned());
        let (from, to) = (envelope.from().map(halves), envelope.to().iter().map(halves).collect());
        Head { number, bytes: mail.len() as u64, from, to }
    }

    /// Who writes, and to whom.
    pub fn envelope(&self) -> Result<Envelope, Box<dyn Error>> {
        let whole = |(user, domain): &(String, String)| Address::new(user, domain);
        let to = self.to.iter().map(whole).collect::<Result<_, _>>()?;
        Ok(Envelope::new(self.from.as_ref().map(whole).transpose()?, to)?)
    }
}

/// Hands open files over, a socket first.
pub fn hand_in(over: impl AsFd, files: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(FILES))];
    let mut rights = SendAncillaryBuffer::new(&mut space);
    rights.push(SendAncillaryMessage::ScmRights(files));
    sendmsg(over, &[IoSlice::new(&[0])], &mut rights, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// Takes what was handed over next; `None` once nobody can hand over anything.
pub fn take(from: impl AsFd) -> io::Result<Option<Vec<OwnedFd>>> {
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(FILES))];
    let (mut rights, mut byte) = (RecvAncillaryBuffer::new(&mut space), [0]);
    let heard = recvmsg(from, &mut [IoSliceMut::new(&mut byte)], &mut rights, RecvFlags::CMSG_CLOEXEC)?;
    let mut files = Vec::new();
    for message in rights.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            files.extend(rights);
        }
    }
    Ok((heard.bytes > 0).then_some(files))
}

/// Says something, and then what follows it.
pub async fn say(to: &mut (impl AsyncWrite + Unpin), message: &impl Serialize, then: &[u8]) -> io::Result<()> {
    let whole = pack(message)?;
    to.write_all_buf(&mut Buf::chain(whole.as_slice(), then)).await
}

/// Hears what is said.
pub async fn hear<T: DeserializeOwned>(from: &mut (impl AsyncRead + Unpin)) -> io::Result<T> {
    let length = from.read_u32_le().await?;
    if length > MAX_MESSAGE_BYTES {
        return Err(io::Error::other("a message is longer than any there is"));
    }
    let mut text = vec![0; length as usize];
    from.read_exact(&mut text).await?;
    Ok(serde_json::from_slice(&text)?)
}

/// A message behind its length.
pub fn pack(message: &impl Serialize) -> io::Result<Vec<u8>> {
    let text = serde_json::to_vec(message)?;
    let mut whole = (text.len() as u32).to_le_bytes().to_vec();
    whole.extend(text);
    Ok(whole)
}
