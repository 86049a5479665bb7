//! A file's bytes as UTF-8, block by block, whatever its encoding.

use crate::files;
use crate::types::{Context, Failure};
use encoding_rs::{CoderResult, Decoder, Encoding, UTF_8, UTF_16BE, UTF_16LE};
use std::io::Read;

/// How much is read at once; between two reads the task may be stopped and tells its progress.
const BLOCK_BYTES: usize = 256 * 1024;

/// A source of UTF-8, or of bytes that claim to be.
pub struct Source<'a> {
    input: Box<dyn Read + 'a>,
    ctx: &'a Context,
    total: u64,
    read: u64,
    raw: Vec<u8>,
    decoder: Option<Decoder>,
    encoding: &'static Encoding,
    /// Whether the encoding was guessed and not told: by the params or by a byte order mark.
    guessed: bool,
    malformed: bool,
    ended: bool,
    text: Vec<u8>,
    used: usize,
}

impl<'a> Source<'a> {
    /// Opens `input` of `total` bytes and reads its first block. Its encoding is that of its byte
    /// order mark, else `encoding`, else UTF-16 by its look, else UTF-8 as a guess.
    pub fn open(
        input: Box<dyn Read + 'a>,
        total: u64,
        encoding: Option<&'static Encoding>,
        ctx: &'a Context,
    ) -> Result<Source<'a>, Failure> {
        let (raw, text) = (Vec::new(), Vec::new());
        let mut source = Source {
            input,
            ctx,
            total,
            read: 0,
            raw,
            decoder: None,
            encoding: encoding.unwrap_or(UTF_8),
            guessed: encoding.is_none(),
            malformed: false,
            ended: false,
            text,
            used: 0,
        };
        source.read_block()?;
        let mark = match Encoding::for_bom(&source.raw) {
            Some((marked, mark)) => {
                (source.encoding, source.guessed) = (marked, false);
                mark
            }
            None => {
                if let (None, Some(looks)) = (encoding, looks_like_utf16(&source.raw)) {
                    (source.encoding, source.guessed) = (looks, false);
                }
                0
            }
        };
        source.raw.drain(..mark);
        if source.encoding != UTF_8 {
            source.decoder = Some(source.encoding.new_decoder_without_bom_handling());
        }
        source.decode();
        Ok(source)
    }

    /// What is decoded and not yet used. Empty only before a [`Source::more`] or at the end.
    pub fn text(&self) -> &[u8] {
        &self.text[self.used..]
    }

    /// Marks `bytes` of [`Source::text`] as used.
    pub fn used(&mut self, bytes: usize) {
        self.used += bytes;
    }

    /// Reads on, once everything is used; `false` at the end. Tells the progress, and stops the
    /// task if it is to stop.
    pub fn more(&mut self) -> Result<bool, Failure> {
        while self.used == self.text.len() && !self.ended {
            // An empty block is the end; the decoder may still have a word to say.
            self.ended = !self.read_block()?;
            self.decode();
        }
        Ok(self.used < self.text.len())
    }

    /// The encoding it is read as.
    pub fn encoding(&self) -> &'static Encoding {
        self.encoding
    }

    /// Whether UTF-8 is only a guess.
    pub fn guessed(&self) -> bool {
        self.guessed
    }

    /// Whether bytes that are wrong in its encoding were replaced.
    pub fn malformed(&self) -> bool {
        self.malformed
    }

    fn read_block(&mut self) -> Result<bool, Failure> {
        self.ctx.check()?;
        self.raw.resize(BLOCK_BYTES, 0);
        let mut filled = 0;
        while filled < BLOCK_BYTES {
            match self.input.read(&mut self.raw[filled..]) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(files::Error::from(error).into()),
            }
        }
        self.raw.truncate(filled);
        self.read += filled as u64;
        self.ctx.progress(self.read as i64, self.total.max(self.read) as i64, Some("reading".to_owned()));
        Ok(filled > 0)
    }

    /// The raw block as text; an empty one ends the decoder.
    fn decode(&mut self) {
        self.used = 0;
        let Some(decoder) = &mut self.decoder else {
            std::mem::swap(&mut self.text, &mut self.raw);
            return;
        };
        let last = self.raw.is_empty();
        let most = decoder.max_utf8_buffer_length(self.raw.len()).unwrap_or(self.raw.len() * 3 + 16);
        self.text.resize(most, 0);
        let (result, _, written, replaced) = decoder.decode_to_utf8(&self.raw, &mut self.text, last);
        debug_assert_eq!(result, CoderResult::InputEmpty, "the buffer holds the most there can be");
        self.text.truncate(written);
        self.malformed |= replaced;
        if last {
            self.decoder = None;
        }
    }
}

/// UTF-16 without a mark: text in it has a NUL in nearly every other byte.
fn looks_like_utf16(block: &[u8]) -> Option<&'static Encoding> {
    let sample = &block[..block.len().min(4096)];
    let nuls = |from: usize| sample.iter().skip(from).step_by(2).filter(|byte| **byte == 0).count();
    let (even, odd) = (nuls(0), nuls(1));
    match sample.len() / 2 {
        pairs if pairs < 2 => None,
        pairs if odd * 10 > pairs * 4 && even * 20 < pairs => Some(UTF_16LE),
        pairs if even * 10 > pairs * 4 && odd * 20 < pairs => Some(UTF_16BE),
        _ => None,
    }
}
