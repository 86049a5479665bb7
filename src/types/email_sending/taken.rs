//! What the server took last, in a file: it is there as soon as it is written, for whoever comes after a killed
//! process. A commit takes longer, and with each a mail was out twice if the kill fell into it.

use crate::files::{self, Growing};
use crate::task::Artifact;
use crate::types::{Context, Failure, Output};
use std::io::{self, Write};
use tokio::io::AsyncReadExt;

/// The file's name.
const NAME: &str = "taken.txt";
/// Its first line: nothing can be read of an empty file.
const HEAD: &[u8] = b"taken\n";
/// More than the file of any attempt holds: a line for each of 100,000 mails.
const MAX_BYTES: i64 = 1 << 20;

/// The numbers of the mails that the server took from this attempt, a line each. Not synced: a power cut may take it.
pub struct Taken {
    /// Where it lies, for a checkpoint to name.
    pub location: String,
    output: Output<Growing>,
}

impl Taken {
    /// A file of this attempt; `None` where the store has none that grow.
    pub async fn open(ctx: &Context) -> Result<Option<Taken>, Failure> {
        let mut output = ctx.grow(NAME, "text/plain").await?;
        let Some((file, _)) = output.mark() else { return Ok(None) };
        output.write_all(HEAD).map_err(files::Error::from)?;
        Ok(Some(Taken { location: file.location, output }))
    }

    /// Whether the file of an earlier attempt says that the server took that mail. One that is gone says nothing.
    pub async fn says(ctx: &Context, location: &str, number: u32) -> Result<bool, Failure> {
        let file = Artifact {
            name: NAME.to_owned(),
            bytes: MAX_BYTES,
            content_type: String::new(),
            sha256: String::new(),
            location: location.to_owned(),
        };
        let Some(mut content) = ctx.reread(&file).await? else { return Ok(false) };
        let mut lines = Vec::new();
        content.read_to_end(&mut lines).await.map_err(files::Error::from)?;
        let number = number.to_string();
        Ok(lines.split_inclusive(|byte| *byte == b'\n').any(|line| line.strip_suffix(b"\n") == Some(number.as_bytes())))
    }

    /// Says that the server took it.
    pub fn write(&mut self, number: u32) -> io::Result<()> {
        self.output.write_all(format!("{number}\n").as_bytes())
    }
}
