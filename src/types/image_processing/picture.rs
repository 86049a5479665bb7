//! A file as pixels: decoded within bounds.

use super::encode::eight_bits;
use super::jpeg;
use super::parts::{self, Parts};
use super::room::Room;
use super::tiff::{self, Looked};
use bytes::Bytes;
use image::error::LimitErrorKind;
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::io::Cursor;
use std::panic::AssertUnwindSafe;

/// A picture with more pixels is refused before any of them is decoded.
pub const MAX_PIXELS: u64 = 50_000_000;
/// A wider or higher one too.
const MAX_SIDE: u32 = 16_384;
/// Decoded pixels of one picture; 50 megapixels in colour with transparency are 200 MB.
pub const MAX_DECODED_BYTES: u64 = 256 * 1024 * 1024;

/// Of what does not come to its end.
pub const DAMAGED: &str = "the file is damaged or cut short";
/// Of what would fill more.
pub const TOO_MUCH_MEMORY: &str = "the picture takes too much memory: at most 256 MiB once it is decoded";

/// Why a picture was refused: a stable word and a sentence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// `too_large`, `unknown_format`, `undecodable`, `unencodable`, `took_too_long` or `crashed`.
    pub code: Cow<'static, str>,
    /// A sentence for a person.
    pub message: String,
}

/// A picture of which only the header was read.
pub struct Opened {
    decoder: Box<dyn ImageDecoder>,
    file: Bytes,
    /// Of a JPEG.
    layout: Option<jpeg::Layout>,
    format: ImageFormat,
    noted: Orientation,
    parts: Parts,
    /// Whether its colours are multiplied by their alpha.
    is_multiplied: bool,
}

/// A decoded picture, as it lies in its file.
pub struct Picture {
    /// Its pixels, or fewer.
    pub pixels: DynamicImage,
    /// How many there are in its file.
    pub size: (u32, u32),
    /// So many of the file's pixels in a row are one of these.
    pub shrunk: u32,
    /// The format of its file, by its first bytes.
    pub format: ImageFormat,
    /// How it is to be turned to be upright.
    pub noted: Orientation,
    /// What the camera noted, as TIFF has it.
    pub exif: Option<Vec<u8>>,
    /// Its colour profile.
    pub profile: Option<Vec<u8>>,
    /// Whether it has one that could not be read.
    pub has_lost_profile: bool,
}

impl Opened {
    /// How much its pixels take in memory.
    pub fn decoded_bytes(&self) -> u64 {
        self.decoder.total_bytes()
    }

    /// Its size, as it lies in its file.
    pub fn size(&self) -> (u32, u32) {
        self.decoder.dimensions()
    }

    /// Whether it is a GIF.
    pub fn is_gif(&self) -> bool {
        self.format == ImageFormat::Gif
    }

    /// What its file holds beside its first picture.
    pub fn parts(&self) -> Parts {
        self.parts
    }

    /// How it is to be turned to be upright.
    pub fn noted(&self) -> Orientation {
        self.noted
    }
}

/// Reads a file's header, and judges its size by it, before there is memory for pixels. A decoder's panic is this
/// file's error and nobody else's.
pub fn open(file: Bytes) -> Result<Opened, Refused> {
    guarded(|| open_unguarded(file))
}

/// Decodes its first picture, of which something so many times smaller is wanted: where that is worth it, smaller itself,
/// but never less than twice as large as what is wanted. It takes what it needs from the room.
pub fn decode(opened: Opened, times: f64, room: &mut Room) -> Result<Picture, Refused> {
    guarded(|| decode_unguarded(opened, times, room))
}

/// A panic in there is the file's error.
pub fn guarded<T>(work: impl FnOnce() -> Result<T, Refused>) -> Result<T, Refused> {
    // What was shared with it is dropped with it.
    let result = std::panic::catch_unwind(AssertUnwindSafe(work));
    result.unwrap_or_else(|_| Err(refused("undecodable", "the file is damaged")))
}

/// A refusal in these words.
pub fn refused(code: &'static str, message: &str) -> Refused {
    Refused { code: Cow::Borrowed(code), message: message.to_owned() }
}

fn open_unguarded(file: Bytes) -> Result<Opened, Refused> {
    let guessed = image::guess_format(&file).ok().or_else(|| tiff::is_big(&file).then_some(ImageFormat::Tiff));
    let Some(format) = guessed else {
        return Err(refused("unknown_format", "the file is no PNG, JPEG, WebP, GIF, BMP or TIFF"));
    };
    let (mut layout, mut head) = (None, file.clone());
    if format == ImageFormat::Jpeg {
        // Its decoder would make up what is missing, and copies what it is given, of which only the head is read here.
        let found = jpeg::layout(&file).ok_or_else(|| refused("undecodable", DAMAGED))?;
        if let Some(odd) = found.odd {
            return Err(refused("unknown_format", &format!("{odd} cannot be read")));
        }
        head.truncate(found.head);
        layout = Some(found);
    }
    let looked = (format == ImageFormat::Tiff).then(|| tiff::look(&file)).transpose()?;
    let Looked { own, is_multiplied } = looked.unwrap_or(Looked { own: None, is_multiplied: false });
    let mut decoder: Box<dyn ImageDecoder> = match own {
        Some(own) => Box::new(own),
        None => Box::new(decoder(head, format)?),
    };
    let (width, height) = decoder.dimensions();
    let pixels = u64::from(width) * u64::from(height);
    if pixels > MAX_PIXELS || width.max(height) > MAX_SIDE {
        let message = format!("{width} x {height} pixels are too many: at most 50 million, and {MAX_SIDE} a side");
        return Err(refused("too_large", &message));
    }
    if decoder.total_bytes() > MAX_DECODED_BYTES {
        return Err(refused("too_large", TOO_MUCH_MEMORY));
    }
    if pixels == 0 {
        return Err(refused("undecodable", "the picture has no pixels"));
    }
    let noted = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let parts = parts::look(&file, format)?;
    Ok(Opened { decoder, file, layout, format, noted, parts, is_multiplied })
}

fn decoder(file: Bytes, format: ImageFormat) -> Result<impl ImageDecoder + 'static, Refused> {
    let mut reader = ImageReader::with_format(Cursor::new(file), format);
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(MAX_DECODED_BYTES);
    reader.limits(limits);
    reader.into_decoder().map_err(undecodable)
}

fn decode_unguarded(opened: Opened, times: f64, room: &mut Room) -> Result<Picture, Refused> {
    let Opened { mut decoder, file, layout, format, noted, parts, is_multiplied } = opened;
    let (profile, exif) = (decoder.icc_profile().ok().flatten(), decoder.exif_metadata().ok().flatten());
    let has_lost_profile = parts.profile && profile.is_none();
    let (size, kind) = (decoder.dimensions(), decoder.color_type());
    if let Some(layout) = layout {
        drop(decoder);
        let smaller = jpeg::decode_smaller(&file, size, kind, times);
        let all = || jpeg::decode(&file, &layout, kind, room).map(|pixels| (pixels, 1));
        let (pixels, shrunk) = smaller.or_else(all).ok_or_else(|| refused("undecodable", DAMAGED))?;
        return Ok(Picture { pixels, size, shrunk, format, noted, exif, profile, has_lost_profile });
    }
    let mut pixels = DynamicImage::from_decoder(decoder).map_err(undecodable)?;
    // Floating-point pixels only come out of TIFF; nothing we write holds them.
    if matches!(pixels, DynamicImage::ImageRgb32F(_) | DynamicImage::ImageRgba32F(_)) {
        pixels = eight_bits(pixels);
    }
    if is_multiplied {
        pixels = tiff::divided(pixels);
    }
    Ok(Picture { pixels, size, shrunk: 1, format, noted, exif, profile, has_lost_profile })
}

fn undecodable(error: ImageError) -> Refused {
    match error {
        ImageError::Limits(error) if error.kind() == LimitErrorKind::InsufficientMemory => {
            refused("too_large", TOO_MUCH_MEMORY)
        }
        ImageError::Limits(_) => {
            refused("too_large", &format!("the picture is too large: at most 50 million pixels, and {MAX_SIDE} a side"))
        }
        ImageError::Unsupported(_) => refused("unknown_format", "this kind of picture cannot be read"),
        _ => refused("undecodable", DAMAGED),
    }
}

#[cfg(test)]
mod tests;
