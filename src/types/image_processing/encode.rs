//! Pixels as a file.

use super::params::Format;
use super::picture::{Refused, refused};
use image::codecs::{png::PngEncoder, webp::WebPEncoder};
use image::{DynamicImage, ImageEncoder, RgbImage};
use jpeg_encoder::{ChromaSubsamplingMethod, ColorType, EncodingError, SamplingFactor};

/// What goes into the file beside the pixels.
#[derive(Debug, Clone, Default)]
pub struct Beside {
    /// What the camera noted.
    pub exif: Option<Vec<u8>>,
    /// The colour profile.
    pub profile: Option<Vec<u8>>,
}

/// From this quality on a JPEG has a colour for each pixel; below, one for each four, as most programs write it.
const EACH_COLOUR_FROM: u8 = 90;

/// Encodes it. JPEG knows no transparency: it is laid on white.
pub fn encode(pixels: DynamicImage, format: Format, quality: u8, beside: Beside) -> Result<Vec<u8>, Refused> {
    let mut file = Vec::new();
    let done = match format {
        Format::Png => pixels.write_with_encoder(with(PngEncoder::new(&mut file), beside)?),
        Format::Jpeg => return jpeg(on_white(pixels), quality, beside),
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

fn jpeg(pixels: DynamicImage, quality: u8, beside: Beside) -> Result<Vec<u8>, Refused> {
    let kind = if pixels.color().has_color() { ColorType::Rgb } else { ColorType::Luma };
    let (Ok(width), Ok(height)) = (u16::try_from(pixels.width()), u16::try_from(pixels.height())) else {
        return Err(refused("unencodable", "a JPEG has at most 65,535 pixels a side"));
    };
    let mut file = Vec::new();
    let mut encode = || -> Result<(), EncodingError> {
        let mut encoder = jpeg_encoder::Encoder::new(&mut file, quality);
        let each = quality >= EACH_COLOUR_FROM;
        encoder.set_sampling_factor(if each { SamplingFactor::F_1_1 } else { SamplingFactor::F_2_2 });
        encoder.set_chroma_subsampling_method(ChromaSubsamplingMethod::Average);
        beside.exif.iter().try_for_each(|exif| encoder.add_exif_metadata(exif))?;
        beside.profile.iter().try_for_each(|profile| encoder.add_icc_profile(profile))?;
        encoder.encode(pixels.as_bytes(), width, height, kind)
    };
    encode().map_err(|error| refused("unencodable", &error.to_string()))?;
    Ok(file)
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
