//! Pixels as a file.

use super::params::Format;
use super::picture::{Refused, refused};
use image::codecs::{png::PngEncoder, webp::WebPEncoder};
use image::{DynamicImage, ImageEncoder, RgbImage};
use jpeg_encoder::{ChromaSubsamplingMethod, ColorType, EncodingError, SamplingFactor};
use ravif::{BitDepth, Img, RGB8, RGBA8};

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

/// From 1, the smallest files, to 10: 2 megapixels take a second and a half of a CPU, and the files are a twelfth smaller than at 10,
/// which takes one.
const AVIF_SPEED: u8 = 9;

/// Encodes it. JPEG knows no transparency: it is laid on white.
pub fn encode(pixels: DynamicImage, format: Format, quality: u8, beside: Beside) -> Result<Vec<u8>, Refused> {
    let mut file = Vec::new();
    let done = match format {
        Format::Png => pixels.write_with_encoder(with(PngEncoder::new(&mut file), beside)?),
        Format::Jpeg => return jpeg(on_white(pixels), quality, beside),
        Format::Avif => return avif(pixels, quality, beside),
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

fn avif(pixels: DynamicImage, quality: u8, beside: Beside) -> Result<Vec<u8>, Refused> {
    let mut encoder = ravif::Encoder::new().with_quality(quality.into()).with_speed(AVIF_SPEED);
    encoder = encoder.with_bit_depth(BitDepth::Eight).with_num_threads(Some(1));
    if let Some(exif) = beside.exif {
        encoder = encoder.with_exif(exif);
    }
    let (width, height) = (pixels.width() as usize, pixels.height() as usize);
    let done = if pixels.color().has_alpha() {
        let pixels: Vec<_> = pixels.into_rgba8().pixels().map(|pixel| RGBA8::from(pixel.0)).collect();
        encoder.encode_rgba(Img::new(&pixels, width, height))
    } else {
        let pixels: Vec<_> = pixels.into_rgb8().pixels().map(|pixel| RGB8::from(pixel.0)).collect();
        encoder.encode_rgb(Img::new(&pixels, width, height))
    };
    Ok(done.map_err(|error| refused("unencodable", &error.to_string()))?.avif_file)
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

    /// What stands in the box of that name, wherever it is.
    fn box_of<'a>(file: &'a [u8], name: &[u8; 4]) -> Option<&'a [u8]> {
        let at = file.windows(4).position(|word| word == name)?;
        let length = u32::from_be_bytes(file[at - 4..at].try_into().unwrap()) as usize;
        Some(&file[at + 4..at - 4 + length])
    }

    #[test]
    fn an_avif_has_the_size_the_transparency_and_the_notes_of_its_picture() {
        for (width, height) in [(1, 1), (3, 2), (33, 17), (200, 100)] {
            for (pixels, sees_through) in [
                (DynamicImage::new_rgb8(width, height), false),
                (DynamicImage::new_rgba8(width, height), true),
                (DynamicImage::new_luma8(width, height), false),
                (DynamicImage::new_luma_a8(width, height), true),
                (DynamicImage::new_rgba16(width, height), true),
            ] {
                let exif = sees_through.then(|| b"II*\0\x08\0\0\0\0\0".to_vec());
                let beside = Beside { exif: exif.clone(), profile: None };
                let file = encode(pixels, Format::Avif, 80, beside).unwrap();
                assert_eq!(infer::get(&file).unwrap().mime_type(), "image/avif");
                let size = [width.to_be_bytes(), height.to_be_bytes()].concat();
                assert_eq!(box_of(&file, b"ispe").map(|content| &content[4..]), Some(&size[..]));
                assert_eq!(file.windows(5).any(|word| word == b"alpha"), sees_through);
                let has_exif = exif.is_some_and(|exif| file.windows(exif.len()).any(|word| word == exif));
                assert_eq!(has_exif, sees_through);
            }
        }
    }
}
