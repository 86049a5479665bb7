//! One picture: decoded within bounds, turned upright, resized, encoded.

use super::{Fitting, Format};
use fast_image_resize::{ResizeOptions, Resizer};
use image::codecs::{jpeg::JpegEncoder, png::PngEncoder, webp::WebPEncoder};
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits, RgbImage};
use std::io::Cursor;

/// A picture with more pixels is refused before any of them is decoded.
const MAX_PIXELS: u64 = 50_000_000;
/// A wider or higher one too.
const MAX_SIDE: u32 = 16_384;
/// Decoded pixels of one picture; 50 megapixels in colour with transparency are 200 MB.
const MAX_DECODED_BYTES: u64 = 256 * 1024 * 1024;

/// Why a picture was refused: a stable word and a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// `too_large`, `unknown_format`, `undecodable` or `unencodable`.
    pub code: &'static str,
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

/// How a picture is to come out.
#[derive(Debug, Clone, Copy)]
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

/// Decodes a file's first picture. Its size is judged by the header, before there is memory for
/// pixels; a decoder's panic is this file's error and nobody else's.
pub fn decode(file: &[u8]) -> Result<Picture, Refused> {
    let result = std::panic::catch_unwind(|| decode_unguarded(file));
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

fn decode_unguarded(file: &[u8]) -> Result<Picture, Refused> {
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
    let mut decoder = reader.into_decoder().map_err(undecodable)?;
    let (width, height) = decoder.dimensions();
    let pixels = u64::from(width) * u64::from(height);
    if pixels > MAX_PIXELS || width.max(height) > MAX_SIDE || decoder.total_bytes() > MAX_DECODED_BYTES {
        let message = format!("{width} x {height} pixels are too many: at most 50 million, and {MAX_SIDE} a side");
        return Err(refused("too_large", &message));
    }
    if pixels == 0 {
        return Err(refused("undecodable", "the picture has no pixels"));
    }
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

fn refused(code: &'static str, message: &str) -> Refused {
    Refused { code, message: message.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOX: Wanted = Wanted { width: 100, height: 100, fit: Fitting::Fit, enlarge: false, quality: 85 };

    fn file(width: u32, height: u32, format: ImageFormat) -> Vec<u8> {
        let mut pixels = RgbImage::new(width, height);
        // Red on the left, blue on the right.
        pixels
            .enumerate_pixels_mut()
            .for_each(|(x, _, pixel)| pixel.0 = if x < width / 2 { [255, 0, 0] } else { [0, 0, 255] });
        let mut file = Cursor::new(Vec::new());
        DynamicImage::from(pixels).write_to(&mut file, format).unwrap();
        file.into_inner()
    }

    /// A PNG of that size as far as its header goes, with the checksum the header needs.
    fn png_header(width: u32, height: u32) -> Vec<u8> {
        let mut file = file(1, 1, ImageFormat::Png);
        file[16..20].copy_from_slice(&width.to_be_bytes());
        file[20..24].copy_from_slice(&height.to_be_bytes());
        let mut crc = !0u32;
        for byte in &file[12..29] {
            crc ^= u32::from(*byte);
            (0..8).for_each(|_| crc = if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 });
        }
        file[29..33].copy_from_slice(&(!crc).to_be_bytes());
        file
    }

    /// The JPEG with an EXIF block that gives its orientation.
    fn with_orientation(jpeg: &[u8], orientation: u8) -> Vec<u8> {
        let mut exif = b"\xff\xe1\x00\x22Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".to_vec();
        exif.extend([orientation, 0, 0, 0, 0, 0, 0, 0]);
        [&jpeg[..2], &exif[..], &jpeg[2..]].concat()
    }

    #[test]
    fn a_bomb_is_refused_by_its_header() {
        for (width, height) in [(65_535, 65_535), (10_000, 10_000), (16_385, 1), (1, i32::MAX as u32)] {
            let refused = decode(&png_header(width, height)).err().unwrap();
            assert_eq!(refused.code, "too_large", "{width} x {height}");
        }
        assert_eq!(decode(&png_header(0, 1)).err().unwrap().code, "undecodable");
    }

    #[test]
    fn what_is_cut_short_or_no_picture_is_refused_and_nothing_panics() {
        for format in [
            ImageFormat::Png,
            ImageFormat::Jpeg,
            ImageFormat::WebP,
            ImageFormat::Gif,
            ImageFormat::Bmp,
            ImageFormat::Tiff,
        ] {
            let whole = file(20, 10, format);
            assert!(decode(&whole).is_ok(), "{format:?}");
            (0..100).for_each(|part| drop(decode(&whole[..whole.len() * part / 100])));
            (0..whole.len()).for_each(|at| drop(decode(&[&whole[..at], &[!whole[at]], &whole[at + 1..]].concat())));
        }
        for text in [&b""[..], b"%PDF-1.7", b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"8BPS"] {
            assert_eq!(decode(text).err().unwrap().code, "unknown_format");
        }
    }

    #[test]
    fn a_turned_photo_comes_upright() {
        let jpeg = with_orientation(&file(64, 32, ImageFormat::Jpeg), 6);
        let pixels = decode(&jpeg).unwrap().pixels.into_rgb8();
        // Turned by a quarter to the right, what was on the left is on top.
        assert_eq!(pixels.dimensions(), (32, 64));
        assert!(pixels.get_pixel(16, 8)[0] > 200 && pixels.get_pixel(16, 56)[2] > 200);
        let again = decode(&encode(DynamicImage::from(pixels), Format::Jpeg, 85).unwrap()).unwrap();
        assert_eq!((again.pixels.width(), again.pixels.height()), (32, 64));
    }

    #[test]
    fn the_whole_picture_fits_and_is_not_enlarged() {
        assert_eq!(target(400, 200, &BOX), (100, 50));
        assert_eq!(target(40, 20, &BOX), (40, 20));
        assert_eq!(target(40, 20, &Wanted { enlarge: true, ..BOX }), (100, 50));
        assert_eq!(target(16_000, 1, &BOX), (100, 1));
        assert_eq!(target(40, 20, &Wanted { fit: Fitting::Fill, ..BOX }), (100, 100));
    }

    #[test]
    fn filling_crops_and_stretching_does_not() {
        let colour = |fit: Fitting| {
            let mut pixels = RgbImage::from_pixel(300, 100, image::Rgb([0, 0, 255]));
            (0..100).for_each(|y| (0..60).for_each(|x| pixels.put_pixel(x, y, image::Rgb([255, 0, 0]))));
            let resized = resize(pixels.into(), &Wanted { fit, ..BOX }).unwrap().into_rgb8();
            (resized.dimensions(), resized.get_pixel(2, 50)[0] > 128)
        };
        assert_eq!(colour(Fitting::Exact), ((100, 100), true));
        assert_eq!(colour(Fitting::Fill), ((100, 100), false));
    }

    #[test]
    fn invisible_colours_do_not_bleed() {
        let mut pixels = image::RgbaImage::from_pixel(200, 200, image::Rgba([255, 0, 0, 0]));
        (0..200).for_each(|y| (0..100).for_each(|x| pixels.put_pixel(x, y, image::Rgba([0, 0, 255, 255]))));
        let resized = resize(pixels.into(), &BOX).unwrap();
        assert!(resized.as_rgba8().unwrap().pixels().all(|pixel| pixel[3] == 0 || pixel[0] == 0));
        let flat = decode(&encode(resized, Format::Jpeg, 90).unwrap()).unwrap().pixels.into_rgb8();
        assert!(flat.get_pixel(90, 50).0.iter().all(|channel| *channel > 240));
    }

    #[test]
    fn sixteen_bits_are_written_in_every_format() {
        for format in [Format::Png, Format::Jpeg, Format::Webp] {
            let pixels = DynamicImage::new_rgba16(10, 10);
            assert!(decode(&encode(pixels, format, 80).unwrap()).is_ok(), "{format:?}");
        }
    }
}
