//! What does not fit into memory, on the disk: written once, read once, a record after the other.

use crate::files::{self, Growing};
use crate::task::Artifact;
use crate::types::{Context, Failure, Output};
use std::io::{Read, Write};
use tokio::runtime::Handle;

/// So much of a file is read at once, and held twice: up to 128 are read side by side.
const READ_BYTES: usize = 32 * 1024;

/// A file being written. For blocking code.
pub struct Writer<'a> {
    ctx: &'a Context,
    file: Output,
    buffer: Vec<u8>,
}

impl<'a> Writer<'a> {
    /// Begins a file of the attempt; no other one of it may have that name.
    pub fn begin(name: &str, ctx: &'a Context) -> Result<Writer<'a>, Failure> {
        let file = Handle::current().block_on(ctx.output(name, "application/octet-stream"))?;
        Ok(Writer { ctx, file, buffer: Vec::with_capacity(Growing::CHUNK_BYTES) })
    }

    /// One more record: what `put` adds. Stops where the task is to stop.
    pub fn record(&mut self, put: impl FnOnce(&mut Vec<u8>)) -> Result<(), Failure> {
        put(&mut self.buffer);
        if self.buffer.len() >= Growing::CHUNK_BYTES { self.pour() } else { Ok(()) }
    }

    /// The file, whole and on disk.
    pub fn finish(mut self) -> Result<Artifact, Failure> {
        self.pour()?;
        Handle::current().block_on(self.file.finish())
    }

    fn pour(&mut self) -> Result<(), Failure> {
        self.ctx.check()?;
        let mut sink = self.file.writer.blocking();
        sink.write_all(&self.buffer).and_then(|()| sink.flush()).map_err(files::Error::from)?;
        drop(sink);
        self.buffer.clear();
        Ok(())
    }
}

/// Reads such a file. For blocking code.
pub fn read(file: &Artifact, ctx: &Context) -> Result<impl Read + Send + use<>, Failure> {
    let content = Handle::current().block_on(ctx.reread(file))?;
    let gone = || Failure::retry("storage_failed", "a part of the rows on the disk is no longer there");
    Ok(content.ok_or_else(gone)?.into_blocking_by(READ_BYTES))
}
