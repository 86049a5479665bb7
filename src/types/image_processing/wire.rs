//! What a node and a process of its own that works on pictures say to each other: JSON behind its length, and files
//! behind that.

use super::picture::Refused;
use super::work::{Job, Made};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::io::{self, Read, Write};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// More is never said before a file.
const MAX_MESSAGE_BYTES: u32 = 256 * 1024;

/// What the node asks.
#[derive(Debug, Serialize, Deserialize)]
pub enum Request {
    /// Take the file of so many bytes that follows, and read its header.
    Open {
        /// What will be done with it.
        job: Job,
        /// How long the watermark's picture is, which comes first.
        mark_bytes: u64,
        /// How long it is.
        bytes: u64,
    },
    /// There is room for its pixels: do it.
    Make,
}

/// What is answered.
#[derive(Debug, Serialize, Deserialize)]
pub enum Reply {
    /// So many MiB are needed for the rest.
    Opened(u32),
    /// It is done; its files follow.
    Made(Made),
    /// It is not, and will not be.
    Refused(Refused),
}

/// Says something, from the node.
pub async fn say(to: &mut (impl AsyncWrite + Unpin), message: &Request) -> io::Result<()> {
    to.write_all(&pack(message)?).await?;
    to.flush().await
}

/// Hears what is answered.
pub async fn hear(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Reply> {
    let length = from.read_u32_le().await?;
    let mut text = vec![0; bounded(length)?];
    from.read_exact(&mut text).await?;
    unpack(&text)
}

/// Answers, from the process.
pub fn answer(to: &mut impl Write, message: &Reply) -> io::Result<()> {
    to.write_all(&pack(message)?)?;
    to.flush()
}

/// Hears what is asked.
pub fn listen(from: &mut impl Read) -> io::Result<Request> {
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    let mut text = vec![0; bounded(u32::from_le_bytes(length))?];
    from.read_exact(&mut text)?;
    unpack(&text)
}

fn pack(message: &impl Serialize) -> io::Result<Vec<u8>> {
    let text = serde_json::to_vec(message)?;
    let mut whole = (text.len() as u32).to_le_bytes().to_vec();
    whole.extend(text);
    Ok(whole)
}

fn unpack<T: DeserializeOwned>(text: &[u8]) -> io::Result<T> {
    Ok(serde_json::from_slice(text)?)
}

fn bounded(length: u32) -> io::Result<usize> {
    if length > MAX_MESSAGE_BYTES {
        return Err(io::Error::other("a message is longer than any there is"));
    }
    Ok(length as usize)
}
