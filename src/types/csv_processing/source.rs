//! A file's bytes as UTF-8, block by block, whatever its encoding.

use crate::files;
use crate::types::{Context, Failure, Input};
use encoding_rs::{CoderResult, Decoder, Encoding, UTF_8, UTF_16BE, UTF_16LE};
use serde::{Deserialize, Serialize};
use std::io::Read;
use tokio::runtime::Handle;

/// How much is read at once; between two reads the task may be stopped and tells its progress.
const BLOCK_BYTES: usize = 256 * 1024;

/// The byte order marks of UTF-32, which nothing on the web reads.
const UTF_32: [[u8; 4]; 2] = [[0xff, 0xfe, 0, 0], [0, 0, 0xfe, 0xff]];

/// What is to be read: an upload, or a text. It can be opened more than once.
pub enum Content<'a> {
    /// An upload.
    File(Input),
    /// A text that stands in the params.
    Text(&'a [u8]),
}

impl Content<'_> {
    /// How many bytes it has.
    pub fn bytes(&self) -> u64 {
        match self {
            Content::File(file) => file.bytes,
            Content::Text(text) => text.len() as u64,
        }
    }

    /// Reads it from `offset` on. For blocking code.
    pub fn open(&self, offset: u64, ctx: &Context) -> Result<Box<dyn Read + '_>, Failure> {
        Ok(match self {
            Content::File(file) => Box::new(Handle::current().block_on(ctx.read(file, offset))?.into_blocking()),
            Content::Text(text) => Box::new(&text[(offset as usize).min(text.len())..]),
        })
    }
}

/// What is said of how far the reading is.
#[derive(Clone)]
pub struct Meter {
    /// What is being done.
    pub step: &'static str,
    /// How much was done of all there is to do, in bytes of the file, when the reading was at `from`.
    pub done: u64,
    /// Where the reading began.
    pub from: u64,
    /// A byte that is read counts as so many.
    pub a_byte: f64,
    /// How much there is to do.
    pub work: u64,
}

impl Meter {
    /// Nothing but a file of so many bytes to read.
    pub fn reading(bytes: u64) -> Meter {
        Meter { step: "reading, in bytes", done: 0, from: 0, a_byte: 1.0, work: bytes }
    }

    /// How much is done where so many bytes are read.
    pub fn done_at(&self, read: u64) -> u64 {
        self.done + (read.saturating_sub(self.from) as f64 * self.a_byte) as u64
    }
}

/// A source of UTF-8, or of bytes that claim to be.
pub struct Source<'a> {
    input: Box<dyn Read + 'a>,
    ctx: &'a Context,
    meter: Meter,
    read: u64,
    raw: Vec<u8>,
    decoder: Option<Decoder>,
    encoding: &'static Encoding,
    /// Whether the encoding was guessed and not told: by the params or by a byte order mark.
    guessed: bool,
    malformed: bool,
    ended: bool,
    /// Blocks decoded so far.
    blocks: u64,
    text: Vec<u8>,
    used: usize,
}

/// Where a source stood, for another one to go on from there.
#[derive(Clone, Serialize, Deserialize)]
pub struct At {
    /// Where in the file the other one begins to read.
    pub offset: u64,
    /// How much of the file was read.
    pub read: u64,
    /// What it decodes again before it goes on, and how much of the last block's text was used.
    /// UTF-8 needs none of that; a decoder keeps to itself where it is, so it begins anew.
    again: Option<(u64, usize)>,
    guessed: bool,
}

impl<'a> Source<'a> {
    /// Opens `input` and reads its first block, saying with `meter` how far it is. Its encoding is that of its byte
    /// order mark, else `encoding`, else UTF-16 by its look, else UTF-8 as a guess.
    pub fn open(
        input: Box<dyn Read + 'a>,
        meter: Meter,
        encoding: Option<&'static Encoding>,
        ctx: &'a Context,
    ) -> Result<Source<'a>, Failure> {
        let mut source = Source::new(input, meter, encoding.unwrap_or(UTF_8), encoding.is_none(), ctx);
        source.read_block()?;
        if encoding.is_none() && UTF_32.iter().any(|mark| source.raw.starts_with(mark)) {
            return Err(Failure::fatal("encoding", "the file is UTF-32, which is not read: save it as UTF-8"));
        }
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
        if source.guessed && looks_like_no_text(&source.raw) {
            let message = "the file is no text with a row a line: its beginning has too many control characters";
            return Err(Failure::fatal("not_text", message));
        }
        source.raw.drain(..mark);
        if source.encoding != UTF_8 {
            source.decoder = Some(source.encoding.new_decoder_without_bom_handling());
        }
        source.decode();
        Ok(source)
    }

    /// Goes on in `input`, which begins at the offset of `at`. The rest as for [`Source::open`].
    pub fn again(
        input: Box<dyn Read + 'a>,
        meter: Meter,
        encoding: Option<&'static Encoding>,
        at: &At,
        ctx: &'a Context,
    ) -> Result<Source<'a>, Failure> {
        let Some((blocks, used)) = at.again else {
            return Ok(Source { read: at.offset, ..Source::new(input, meter, UTF_8, at.guessed, ctx) });
        };
        let mut source = Source::open(input, meter, encoding, ctx)?;
        while source.blocks < blocks {
            source.next_block()?;
        }
        source.used = used;
        Ok(source)
    }

    /// Where it stands.
    pub fn at(&self) -> At {
        let (read, guessed) = (self.read, self.guessed);
        if self.encoding != UTF_8 {
            return At { offset: 0, read, again: Some((self.blocks, self.used)), guessed };
        }
        At { offset: read - self.text().len() as u64, read, again: None, guessed }
    }

    /// How much of the file is read.
    pub fn read(&self) -> u64 {
        self.read
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
            self.next_block()?;
        }
        Ok(self.used < self.text.len())
    }

    /// Says from now on with this one how far it is.
    pub fn measure(&mut self, meter: Meter) {
        self.meter = meter;
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

    fn new(
        input: Box<dyn Read + 'a>,
        meter: Meter,
        encoding: &'static Encoding,
        guessed: bool,
        ctx: &'a Context,
    ) -> Source<'a> {
        let (raw, text, decoder) = (Vec::new(), Vec::new(), None);
        let (malformed, ended, read, blocks, used) = (false, false, 0, 0, 0);
        Source { input, ctx, meter, read, raw, decoder, encoding, guessed, malformed, ended, blocks, text, used }
    }

    /// An empty block is the end; the decoder may still have a word to say.
    fn next_block(&mut self) -> Result<(), Failure> {
        self.ended = !self.read_block()?;
        self.decode();
        Ok(())
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
        if filled > 0 {
            let (done, step) = (self.meter.done_at(self.read), Some(self.meter.step.to_owned()));
            self.ctx.progress(done as i64, self.meter.work.max(done) as i64, step);
        }
        Ok(filled > 0)
    }

    /// The raw block as text; an empty one ends the decoder.
    fn decode(&mut self) {
        self.blocks += 1;
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

/// Whether one byte in 20 is a control character that texts do not have (of random bytes one in ten is), or most are
/// NUL, of which fewer are mended. A short file is text, with whatever is in it.
fn looks_like_no_text(block: &[u8]) -> bool {
    let sample = &block[..block.len().min(64 * 1024)];
    let controls = sample.iter().filter(|byte| matches!(byte, 1..=8 | 14..=26 | 28..=31 | 127)).count();
    let nuls = sample.iter().filter(|byte| **byte == 0).count();
    sample.len() >= 512 && (controls * 20 > sample.len() || nuls * 10 > sample.len() * 6)
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
