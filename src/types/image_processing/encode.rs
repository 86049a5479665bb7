//! Pixels as a file.

use super::params::Format;
use super::picture::{Refused, refused};
use image::codecs::{jpeg::JpegEncoder, png::PngEncoder, webp::WebPEncoder};
use image::{DynamicImage, ImageEncoder, RgbImage};

/// What goes into the file beside the pixels.
#[derive(Debug, Clone, Default)]
pub struct Beside {
    /// What the camera noted.
    pub exif: Option<Vec<u8>>,
    /// The colour profile.
    pub profile: Option<Vec<u8>>,
}

/// Encodes it. JPEG knows no transparency: it is laid on white.
pub fn encode(pixels: DynamicImage, format: Format, quality: u8, beside: Beside) -> Result<Vec<u8>, Refused> {
    let mut file = Vec::new();
    let done = match format {
        Format::Png => pixels.write_with_encoder(with(PngEncoder::new(&mut file), beside)?),
        Format::Jpeg => {
            on_white(pixels).write_with_encoder(with(JpegEncoder::new_with_quality(&mut file, quality), beside)?)
        }
        Format::Gif => return Err(refused("unencodable", "only what moves is written as GIF")),
        Format::Webp => eight_bits(pixels).write_with_encoder(with(WebPEncoder::new_lossless(&mut file), beside)?),
    };
    done.map_err(|error| refused("unencodable", &error.to_string()))?;
    Ok(file)
}

/// Eight bits a channel.
pub fn eight_bits(pixels: DynamicImage) -> DynamicImage {
    match (pixels.color().has_alpha(), pixels.color().has_color()) {
        (true, true) => pixels.into_rgba8().into(),
        (true, false) => pixels.into_luma_alpha8().into(),
        (false, true) => pixels.into_rgb8().into(),
        (false, false) => pixels.into_luma8().into(),
    }
}

fn with<E: ImageEncoder>(mut encoder: E, beside: Beside) -> Result<E, Refused> {
    let unsupported = |error: image::error::UnsupportedError| refused("unencodable", &error.to_string());
    if let Some(profile) = beside.profile {
        encoder.set_icc_profile(profile).map_err(unsupported)?;
    }
    if let Some(exif) = beside.exif {
        encoder.set_exif_metadata(exif).map_err(unsupported)?;
    }
    Ok(encoder)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_invisible_is_white_in_a_jpeg() {
        let pixels = image::RgbaImage::from_pixel(20, 20, image::Rgba([255, 0, 0, 0]));
        let file = encode(pixels.into(), Format::Jpeg, 90, Beside::default()).unwrap();
        let flat = image::load_from_memory(&file).unwrap().into_rgb8();
        assert!(flat.pixels().all(|pixel| pixel.0.iter().all(|channel| *channel > 250)));
    }

    #[test]
    fn sixteen_bits_are_written_in_every_format() {
        for format in [Format::Png, Format::Jpeg, Format::Webp] {
            let file = encode(DynamicImage::new_rgba16(10, 10), format, 80, Beside::default()).unwrap();
            assert!(image::load_from_memory(&file).is_ok(), "{format:?}");
        }
    }
}
