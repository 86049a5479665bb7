//! What is done to one picture, wherever that happens: the same in a child process and in this one.

use super::animation;
use super::colour;
use super::encode::{self, Beside};
use super::params::Format;
use super::picture::{self, MAX_PIXELS, Opened, Picture, Refused, refused};
use super::room::Room;
use super::shape::{Shape, Turn};
use super::watermark::{self, Watermark};
use bytes::Bytes;
use fast_image_resize::Resizer;
use image::metadata::Orientation;
use image::{DynamicImage, ImageFormat};
use serde::{Deserialize, Serialize};

/// More is not written as AVIF of one picture, all sizes together: 12 megapixels take ten seconds of a CPU.
pub const MAX_AVIF_PIXELS: u64 = 12_000_000;
const MIB: u64 = 1024 * 1024;
/// A longer note of a camera does not go into a JPEG.
const MAX_EXIF_BYTES: usize = 65_000;

/// What is asked of one picture.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Job {
    /// What comes out, one file each.
    pub shapes: Vec<Shape>,
    /// To the right, in degrees, after it was turned upright.
    pub rotate: u16,
    /// Whether it loses its colours.
    pub grayscale: bool,
    /// Whether what the camera noted goes with it.
    pub keep_metadata: bool,
    /// Whether its colour profile goes with it; else it is brought to sRGB.
    pub keep_profile: bool,
    /// What is written; when absent as it was, or PNG.
    pub format: Option<Format>,
    /// 1 to 100, for JPEG.
    pub quality: u8,
    /// Whether all of a GIF's pictures are taken, if it has several.
    pub all_frames: bool,
    /// What is laid on it.
    pub watermark: Option<Watermark>,
}

impl Job {
    /// What comes after the size and the right colours.
    pub fn finish(&self, mut pixels: DynamicImage, mark: Option<&DynamicImage>) -> Result<DynamicImage, Refused> {
        if self.grayscale {
            pixels = colour::grey(pixels);
        }
        match &self.watermark {
            Some(watermark) => watermark::lay_on(pixels, watermark, mark),
            None => Ok(pixels),
        }
    }
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
    /// What could not be done as one would think.
    pub notes: Vec<String>,
}

/// A picture of which the header was read.
pub struct Begun {
    opened: Opened,
    file: Bytes,
    job: Job,
    mark: Option<DynamicImage>,
    /// The pixels of all that comes out.
    written: u64,
    is_avif: bool,
}

/// Reads the header, and refuses by it what is too large, or would become so. `mark` is the picture of the watermark,
/// where that has no text.
pub fn begin(job: Job, mark: Bytes, file: Bytes) -> Result<Begun, Refused> {
    let opened = picture::open(file.clone())?;
    let mark = if mark.is_empty() { None } else { Some(watermark::load(mark)?) };
    let (width, height) = Turn::new(opened.noted(), job.rotate).size(opened.size());
    let mut written = 0;
    for shape in &job.shapes {
        let (_, (width, height)) = shape.plan(width, height);
        let pixels = u64::from(width) * u64::from(height);
        if pixels > MAX_PIXELS {
            let message = format!("{width} x {height} pixels would come out, which are too many: at most 50 million");
            return Err(refused("too_large", &message));
        }
        written += pixels;
    }
    let is_avif = job.format == Some(Format::Avif) && !moving(&opened, &job);
    if is_avif && written > MAX_AVIF_PIXELS {
        return Err(refused("too_large", "more than 12 million pixels would come out, which are too many for AVIF"));
    }
    Ok(Begun { opened, file, job, mark, written, is_avif })
}

/// Whether all of its pictures are taken.
fn moving(opened: &Opened, job: &Job) -> bool {
    opened.parts().moves && opened.is_gif() && job.all_frames
}

impl Begun {
    /// How much memory the rest takes at most, in MiB: a decoder's own room and the copy that is multiplied by alpha are
    /// each as much as the pixels at most.
    pub fn mib(&self) -> u32 {
        // What an AVIF is made of stays until its end.
        let each = if self.is_avif { 32 } else { 8 };
        ((self.opened.decoded_bytes() * 5 / 2 + self.written * each + 2 * self.file.len() as u64) / MIB) as u32 + 8
    }

    /// Does it, in that room.
    pub fn make(self, room: &mut Room) -> Result<(Made, Vec<Vec<u8>>), Refused> {
        picture::guarded(|| self.make_unguarded(room))
    }

    fn make_unguarded(self, room: &mut Room) -> Result<(Made, Vec<Vec<u8>>), Refused> {
        let Begun { opened, file, job, mark, .. } = self;
        let parts = opened.parts();
        let (mark, bytes) = (mark.as_ref(), file.len() as u64);
        if moving(&opened, &job) {
            let (width, height) = opened.size();
            let original = Original { width, height, format: "gif".to_owned(), bytes };
            let (pieces, files) = animation::resize(&file, &job, mark)?;
            return Ok((Made { original, pieces, notes: Vec::new() }, files));
        }
        let upright = Turn::new(opened.noted(), job.rotate).size(opened.size());
        let times = job.shapes.iter().map(|shape| shape.times(upright.0, upright.1)).fold(f64::INFINITY, f64::min);
        let picture = picture::decode(opened, times, room)?;
        let word = picture.format.extensions_str().first().copied().unwrap_or_default().replace("jpg", "jpeg");
        let (width, height) = Turn::new(picture.noted, 0).size(picture.size);
        let original = Original { width, height, format: word, bytes };
        let mut made = Made { original, pieces: Vec::new(), notes: Vec::new() };
        if parts.moves {
            made.notes.push("it moves: its first picture was taken".to_owned());
        }
        if parts.pages {
            made.notes.push("it has several pages: the first was taken".to_owned());
        }
        let mut files = Vec::new();
        for shape in &job.shapes {
            let (piece, file) = write(&picture, shape, &job, mark, &mut room.resizer, &mut made.notes)?;
            made.pieces.push(piece);
            files.push(file);
        }
        room.leave(picture.pixels.into_bytes());
        Ok((made, files))
    }
}

/// One of the files.
fn write(
    picture: &Picture,
    shape: &Shape,
    job: &Job,
    mark: Option<&DynamicImage>,
    resizer: &mut Resizer,
    notes: &mut Vec<String>,
) -> Result<(Piece, Vec<u8>), Refused> {
    let mut note = |text: &str| {
        if !notes.iter().any(|there| there == text) {
            notes.push(text.to_owned());
        }
    };
    let format = job.format.unwrap_or(match picture.format {
        ImageFormat::Jpeg => Format::Jpeg,
        ImageFormat::WebP => Format::Webp,
        _ => Format::Png,
    });
    let turn = Turn::new(picture.noted, job.rotate);
    let mut pixels = shape.apply_shrunk(&picture.pixels, picture.size, picture.shrunk, turn, resizer)?;
    let mut beside = Beside::default();
    if let Some(profile) = &picture.profile {
        let changed = job.grayscale || (job.watermark.is_some() && !pixels.color().has_color());
        let is_kept = job.keep_profile && format != Format::Avif;
        if is_kept && !changed && colour::fits(profile, &pixels) {
            beside.profile = Some(profile.clone());
        } else {
            let (converted, why) = colour::to_srgb(pixels, profile);
            pixels = converted;
            why.into_iter().for_each(&mut note);
        }
    }
    if picture.has_lost_profile {
        note(colour::UNREADABLE);
    }
    pixels = job.finish(pixels, mark)?;
    match &picture.exif {
        Some(exif) if job.keep_metadata && exif.len() > MAX_EXIF_BYTES => note("its metadata is too long to be kept"),
        Some(exif) if job.keep_metadata => {
            let mut exif = exif.clone();
            // It is upright now.
            let _ = Orientation::remove_from_exif_chunk(&mut exif);
            beside.exif = Some(exif);
        }
        _ => {}
    }
    let (width, height) = (pixels.width(), pixels.height());
    let file = encode::encode(pixels, format, job.quality, beside)?;
    Ok((Piece { width, height, format, bytes: file.len() as u64 }, file))
}

#[cfg(test)]
mod tests;
