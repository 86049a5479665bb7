//! JPEGs: whether they have their end, and their pixels where few of them are wanted.

use super::picture::MAX_DECODED_BYTES;
use image::{ColorType, DynamicImage, GrayImage, RgbImage};
use jpeg_decoder::Decoder;

/// Ends a picture.
const END: u8 = 0xd9;

/// Whether the marker of its end stands behind its pixels: else it was cut short.
pub fn is_whole(file: &[u8]) -> bool {
    let mut at = 2;
    loop {
        // What is no marker is skipped: pixels, and bytes that fill up.
        let Some(marker) = next_marker(file, &mut at) else { return false };
        match marker {
            END => return true,
            // They have no length, or stand within pixels.
            0x01 | 0xd0..=0xd8 => {}
            _ => {
                let Some(length) = file.get(at..at + 2) else { return false };
                at += usize::from(u16::from_be_bytes([length[0], length[1]])).max(2);
            }
        }
    }
}

/// Decodes a half, a quarter or an eighth of it in each direction, straight from its waves; how much it was. What is
/// wanted is so many `times` smaller than the picture: decoded is at least twice that, since closer to it hard edges
/// would differ. None where all of it is needed, or this decoder does not read it: then another has to say what it is.
pub fn decode_smaller(file: &[u8], size: (u32, u32), kind: ColorType, times: f64) -> Option<(DynamicImage, u32)> {
    let shrunk = [8, 4, 2].into_iter().find(|shrunk| f64::from(2 * shrunk) <= times)?;
    let (width, height) = (size.0.div_ceil(shrunk), size.1.div_ceil(shrunk));
    let mut decoder = Decoder::new(file);
    decoder.set_max_decoding_buffer_size(MAX_DECODED_BYTES as usize);
    decoder.read_info().ok()?;
    let read = decoder.info()?;
    if (read.width.into(), read.height.into()) != size {
        return None;
    }
    let scaled = decoder.scale(u16::try_from(width).ok()?, u16::try_from(height).ok()?).ok()?;
    if (scaled.0.into(), scaled.1.into()) != (width, height) {
        return None;
    }
    let pixels = decoder.decode().ok()?;
    match (kind, decoder.info()?.pixel_format) {
        (ColorType::Rgb8, jpeg_decoder::PixelFormat::RGB24) => {
            RgbImage::from_raw(width, height, pixels).map(|pixels| (pixels.into(), shrunk))
        }
        (ColorType::L8, jpeg_decoder::PixelFormat::L8) => {
            GrayImage::from_raw(width, height, pixels).map(|pixels| (pixels.into(), shrunk))
        }
        _ => None,
    }
}

/// The next marker from there on, and what follows it.
fn next_marker(file: &[u8], at: &mut usize) -> Option<u8> {
    while let Some([first, second]) = file.get(*at..*at + 2) {
        if *first == 0xff && !matches!(second, 0x00 | 0xff) {
            *at += 2;
            return Some(*second);
        }
        *at += 1;
    }
    None
}
