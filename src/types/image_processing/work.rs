//! What is done to one picture, wherever that happens: the same in a child process and in this one.

use super::params::Format;
use super::picture::{self, Opened, Refused, Wanted};
use bytes::Bytes;
use image::ImageFormat;
use serde::{Deserialize, Serialize};

const MIB: u64 = 1024 * 1024;

/// What is asked of one picture.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Job {
    /// Its size.
    pub wanted: Wanted,
    /// What is written; when absent as it was, or PNG.
    pub format: Option<Format>,
}

/// What a picture was.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Original {
    /// In pixels, upright.
    pub width: u32,
    /// In pixels, upright.
    pub height: u32,
    /// `jpeg`, `png` …
    pub format: String,
    /// Of its file.
    pub bytes: u64,
}

/// What comes out, and how many bytes its file has.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Piece {
    /// In pixels.
    pub width: u32,
    /// In pixels.
    pub height: u32,
    /// What it is written as.
    pub format: Format,
    /// Of its file.
    pub bytes: u64,
}

/// What became of a picture; its files follow, in order.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Made {
    /// What it was.
    pub original: Original,
    /// What it is now.
    pub pieces: Vec<Piece>,
}

/// A picture of which the header was read.
pub struct Begun {
    opened: Opened,
    bytes: u64,
    job: Job,
}

/// Reads the header, and refuses what is too large by it.
pub fn begin(job: Job, file: Bytes) -> Result<Begun, Refused> {
    let bytes = file.len() as u64;
    Ok(Begun { opened: picture::open(file)?, bytes, job })
}

impl Begun {
    /// How much memory the rest takes at most, in MiB. Measured: a decoder's own room and the copy that is
    /// multiplied by alpha are each as much as the pixels at most.
    pub fn mib(&self) -> u32 {
        let ours = self.job.wanted.most_pixels() * 8;
        ((self.opened.decoded_bytes() * 5 / 2 + ours + 2 * self.bytes) / MIB) as u32 + 8
    }

    /// Does it.
    pub fn make(self) -> Result<(Made, Vec<Vec<u8>>), Refused> {
        picture::guarded(|| self.make_unguarded())
    }

    fn make_unguarded(self) -> Result<(Made, Vec<Vec<u8>>), Refused> {
        let Begun { opened, bytes, job } = self;
        let picture = picture::decode(opened)?;
        let was = picture.format;
        let word = was.extensions_str().first().copied().unwrap_or_default().replace("jpg", "jpeg");
        let (width, height) = (picture.pixels.width(), picture.pixels.height());
        let original = Original { width, height, format: word, bytes };
        let format = job.format.unwrap_or(match was {
            ImageFormat::Jpeg => Format::Jpeg,
            ImageFormat::WebP => Format::Webp,
            _ => Format::Png,
        });
        let smaller = picture::resize(picture.pixels, &job.wanted)?;
        let (width, height) = (smaller.width(), smaller.height());
        let file = picture::encode(smaller, format, job.wanted.quality)?;
        let piece = Piece { width, height, format, bytes: file.len() as u64 };
        Ok((Made { original, pieces: vec![piece] }, vec![file]))
    }
}
