//! What the server said of a mail, in a file: it is there as soon as it is noted, for whoever comes after a killed
//! node. The mail room notes it, which outlives the node, and holds the file until then.

use super::smtp::{Answer, Fault};
use crate::files;
use crate::task::Artifact;
use crate::types::{Context, Failure, Level};
use std::fs::File;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::time::Instant;

/// The file's name.
const NAME: &str = "taken.txt";
/// Its first line: nothing can be read of an empty file.
const HEAD: &[u8] = b"What the server said of each mail:";
/// More than the file of any attempt holds: a line for each of 100,000 mails.
const MAX_BYTES: i64 = 4 << 20;
/// How often it is looked whether a file is still held.
const LOOK: Duration = Duration::from_millis(50);

/// The file of an attempt. Not synced: a power cut may take it.
pub struct Taken {
    /// Where it lies, for a checkpoint to name.
    pub location: String,
    /// Held by whoever has it open.
    pub file: Arc<File>,
}

impl Taken {
    /// A file of this attempt; `None` where the store is no folder.
    pub async fn open(ctx: &Context) -> Result<Option<Taken>, Failure> {
        let Some((location, mut file)) = ctx.hold(NAME).await? else { return Ok(None) };
        file.write_all(HEAD).map_err(files::Error::from)?;
        Ok(Some(Taken { location, file: Arc::new(file) }))
    }

    /// Waits until nobody holds the file of an earlier attempt: until that mail has its answer. No longer than
    /// `patience`: whoever holds it then stands still.
    pub async fn settled(ctx: &Context, location: &str, number: u32, patience: Duration) -> Result<(), Failure> {
        let until = Instant::now() + patience;
        let mut told = false;
        while ctx.is_held(location).await? && Instant::now() < until {
            if !std::mem::replace(&mut told, true) {
                ctx.log(Level::Info, format!("mail {number} was begun before: waiting for the server's answer to it"));
            }
            ctx.sleep(LOOK).await?;
        }
        Ok(())
    }

    /// Whether the server took that mail, by the file of an earlier attempt; `None` where it does not say. One that is
    /// gone says nothing.
    pub async fn says(ctx: &Context, location: &str, number: u32) -> Result<Option<bool>, Failure> {
        let file = Artifact {
            name: NAME.to_owned(),
            bytes: MAX_BYTES,
            content_type: String::new(),
            sha256: String::new(),
            location: location.to_owned(),
        };
        let Some(mut content) = ctx.reread(&file).await? else { return Ok(None) };
        let mut lines = Vec::new();
        content.read_to_end(&mut lines).await.map_err(files::Error::from)?;
        let there = |taken| lines.split(|byte| *byte == b'\n').any(|there| there == line(number, taken).as_bytes());
        Ok([true, false].into_iter().find(|taken| there(*taken)))
    }
}

/// Notes what the server says of a mail, if anybody knows. A disk that is full ends no mailing: what is missing is missed
/// only after a kill.
pub fn note(mut file: &File, number: u32, answer: &Result<Answer, Fault>) {
    let taken = match answer {
        Ok(Answer::Sent) => true,
        Ok(Answer::Unsure(_)) => return,
        Ok(Answer::Refused(_) | Answer::Deferred(_)) | Err(_) => false,
    };
    let _ = file.write_all(format!("\n{}", line(number, taken)).as_bytes());
}

/// One that broke off is none, nor is what follows it.
fn line(number: u32, taken: bool) -> String {
    format!("{number} {}.", if taken { "taken" } else { "not taken" })
}
