//! One picture: decoded within bounds, turned upright, resized, encoded.

use super::params::{Fitting, Format};
use bytes::Bytes;
use fast_image_resize::{ResizeOptions, Resizer};
use image::codecs::{jpeg::JpegEncoder, png::PngEncoder, webp::WebPEncoder};
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits, RgbImage};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::io::Cursor;
use std::panic::AssertUnwindSafe;

/// A picture with more pixels is refused before any of them is decoded.
const MAX_PIXELS: u64 = 50_000_000;
/// A wider or higher one too.
const MAX_SIDE: u32 = 16_384;
/// Decoded pixels of one picture; 50 megapixels in colour with transparency are 200 MB.
const MAX_DECODED_BYTES: u64 = 256 * 1024 * 1024;

/// Why a picture was refused: a stable word and a sentence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// `too_large`, `unknown_format`, `undecodable`, `unencodable`, `took_too_long` or `crashed`.
    pub code: Cow<'static, str>,
    /// A sentence for a person.
    pub message: String,
}

/// A decoded picture, upright, and what it was.
pub struct Picture {
    /// Its pixels.
    pub pixels: DynamicImage,
    /// The format of its file, by its first bytes.
    pub format: ImageFormat,
}

/// A picture of which only the header was read.
pub struct Opened {
    decoder: Box<dyn ImageDecoder>,
    format: ImageFormat,
}

impl Opened {
    /// How much its pixels take in memory.
    pub fn decoded_bytes(&self) -> u64 {
        self.decoder.total_bytes()
    }
}

/// How a picture is to come out.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Wanted {
    /// The width of the box.
    pub width: u32,
    /// Its height.
    pub height: u32,
    /// How the picture is fitted into it.
    pub fit: Fitting,
    /// Whether `fit` may make it larger.
    pub enlarge: bool,
    /// 1 to 100, for JPEG.
    pub quality: u8,
}

impl Wanted {
    /// No more pixels come out.
    pub fn most_pixels(&self) -> u64 {
        u64::from(self.width) * u64::from(self.height)
    }
}

/// Reads a file's header, and judges its size by it, before there is memory for pixels. A decoder's panic is this file's error
/// and nobody else's.
pub fn open(file: Bytes) -> Result<Opened, Refused> {
    guarded(|| open_unguarded(file))
}

/// Decodes its first picture.
pub fn decode(opened: Opened) -> Result<Picture, Refused> {
    guarded(|| decode_unguarded(opened))
}

/// A panic in there is the file's error.
pub fn guarded<T>(work: impl FnOnce() -> Result<T, Refused>) -> Result<T, Refused> {
    // What was shared with it is dropped with it.
    let result = std::panic::catch_unwind(AssertUnwindSafe(work));
    result.unwrap_or_else(|_| Err(refused("undecodable", "the file is damaged")))
}

/// Resizes it.
pub fn resize(pixels: DynamicImage, wanted: &Wanted) -> Result<DynamicImage, Refused> {
    let (width, height) = target(pixels.width(), pixels.height(), wanted);
    if (width, height) == (pixels.width(), pixels.height()) {
        return Ok(pixels);
    }
    let mut options = ResizeOptions::new();
    if wanted.fit == Fitting::Fill {
        options = options.fit_into_destination(None);
    }
    let mut smaller = DynamicImage::new(width, height, pixels.color());
    // It multiplies and divides by alpha itself, so that invisible colours do not bleed.
    let resized = Resizer::new().resize(&pixels, &mut smaller, &options);
    resized.map_err(|error| refused("undecodable", &error.to_string()))?;
    Ok(smaller)
}

/// Encodes it, without any metadata. JPEG knows no transparency: it is laid on white.
pub fn encode(pixels: DynamicImage, format: Format, quality: u8) -> Result<Vec<u8>, Refused> {
    let mut file = Vec::new();
    let done = match format {
        Format::Png => pixels.write_with_encoder(PngEncoder::new(&mut file)),
        Format::Jpeg => on_white(pixels).write_with_encoder(JpegEncoder::new_with_quality(&mut file, quality)),
        Format::Webp => eight_bits(pixels).write_with_encoder(WebPEncoder::new_lossless(&mut file)),
    };
    done.map_err(|error| refused("unencodable", &error.to_string()))?;
    Ok(file)
}

fn open_unguarded(file: Bytes) -> Result<Opened, Refused> {
    let reader = ImageReader::new(Cursor::new(file)).with_guessed_format();
    // Reading from memory does not fail.
    let mut reader = reader.map_err(|error| refused("undecodable", &error.to_string()))?;
    let Some(format) = reader.format() else {
        return Err(refused("unknown_format", "the file is no PNG, JPEG, WebP, GIF, BMP or TIFF"));
    };
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(MAX_DECODED_BYTES);
    reader.limits(limits);
    let decoder = reader.into_decoder().map_err(undecodable)?;
    let (width, height) = decoder.dimensions();
    let pixels = u64::from(width) * u64::from(height);
    if pixels > MAX_PIXELS || width.max(height) > MAX_SIDE || decoder.total_bytes() > MAX_DECODED_BYTES {
        let message = format!("{width} x {height} pixels are too many: at most 50 million, and {MAX_SIDE} a side");
        return Err(refused("too_large", &message));
    }
    if pixels == 0 {
        return Err(refused("undecodable", "the picture has no pixels"));
    }
    Ok(Opened { decoder: Box::new(decoder), format })
}

fn decode_unguarded(opened: Opened) -> Result<Picture, Refused> {
    let Opened { mut decoder, format } = opened;
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let mut pixels = DynamicImage::from_decoder(decoder).map_err(undecodable)?;
    pixels.apply_orientation(orientation);
    // Floating-point pixels only come out of TIFF; nothing we write holds them.
    if matches!(pixels, DynamicImage::ImageRgb32F(_) | DynamicImage::ImageRgba32F(_)) {
        pixels = eight_bits(pixels);
    }
    Ok(Picture { pixels, format })
}

/// The size it gets: never 0, whatever its proportions.
fn target(width: u32, height: u32, wanted: &Wanted) -> (u32, u32) {
    if wanted.fit != Fitting::Fit {
        return (wanted.width, wanted.height);
    }
    let across = f64::from(wanted.width) / f64::from(width);
    let down = f64::from(wanted.height) / f64::from(height);
    let scale = across.min(down);
    let scale = if wanted.enlarge { scale } else { scale.min(1.0) };
    let side = |side: u32, most: u32| ((f64::from(side) * scale).round() as u32).clamp(1, most.max(1));
    (side(width, wanted.width), side(height, wanted.height))
}

fn eight_bits(pixels: DynamicImage) -> DynamicImage {
    match (pixels.color().has_alpha(), pixels.color().has_color()) {
        (true, true) => pixels.into_rgba8().into(),
        (true, false) => pixels.into_luma_alpha8().into(),
        (false, true) => pixels.into_rgb8().into(),
        (false, false) => pixels.into_luma8().into(),
    }
}

fn on_white(pixels: DynamicImage) -> DynamicImage {
    if !pixels.color().has_alpha() {
        return eight_bits(pixels);
    }
    let seen = pixels.into_rgba8();
    let mut flat = RgbImage::new(seen.width(), seen.height());
    for (to, from) in flat.pixels_mut().zip(seen.pixels()) {
        let alpha = u32::from(from[3]);
        for channel in 0..3 {
            to[channel] = ((u32::from(from[channel]) * alpha + 255 * (255 - alpha) + 127) / 255) as u8;
        }
    }
    flat.into()
}

fn undecodable(error: ImageError) -> Refused {
    match error {
        ImageError::Limits(_) => {
            refused("too_large", &format!("the picture is too large: at most 50 million pixels, and {MAX_SIDE} a side"))
        }
        ImageError::Unsupported(_) => refused("unknown_format", "this kind of picture cannot be read"),
        _ => refused("undecodable", "the file is damaged or cut short"),
    }
}

/// A refusal in these words.
pub fn refused(code: &'static str, message: &str) -> Refused {
    Refused { code: Cow::Borrowed(code), message: message.to_owned() }
}

#[cfg(test)]
mod tests;
