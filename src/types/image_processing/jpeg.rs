//! JPEGs: whether they have their end, and their pixels, all or as few as are wanted.

use super::picture::MAX_DECODED_BYTES;
use super::room::Room;
use image::{ColorType, DynamicImage, GrayImage, RgbImage};
use jpeg_decoder::Decoder;
use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;

/// Ends a picture.
const END: u8 = 0xd9;
/// Begins its pixels.
const SCAN: u8 = 0xda;
/// An odd file may have more of its header behind the first mark of its pixels: so much more is taken for its head.
const MORE_HEAD_BYTES: usize = 64 * 1024;
/// Of these bytes on a row tells by its values that nothing was written into it.
const MIN_RULED: usize = 48;

/// Where the parts of a file are.
pub struct Layout {
    /// Its headers end before that.
    pub head: usize,
    /// Where the marker of its end stands.
    end: usize,
    /// Whether its pixels are written from the first to the last, once.
    is_sequential: bool,
    /// What it is, where that is nothing we read.
    pub odd: Option<&'static str>,
}

/// Where its pixels and its end are. None where it was cut short.
pub fn layout(file: &[u8]) -> Option<Layout> {
    let (mut at, mut is_sequential, mut head, mut odd) = (2, false, None, None);
    loop {
        // What is no marker is skipped: pixels, and bytes that fill up.
        let marker = next_marker(file, &mut at)?;
        match marker {
            END => return Some(Layout { head: head.unwrap_or(file.len()), end: at - 2, is_sequential, odd }),
            // They have no length, or stand within pixels.
            0x01 | 0xd0..=0xd8 => {}
            _ => {
                is_sequential |= matches!(marker, 0xc0 | 0xc1);
                let length = file.get(at..at + 2)?;
                if head.is_none() {
                    odd = odd.or(kind(marker, *file.get(at + 2)?));
                }
                at += usize::from(u16::from_be_bytes([length[0], length[1]])).max(2);
                if marker == SCAN {
                    head.get_or_insert((at + MORE_HEAD_BYTES).min(file.len()));
                }
            }
        }
    }
}

/// What the head of a picture says that we do not read.
fn kind(marker: u8, bits: u8) -> Option<&'static str> {
    match marker {
        0xc3 => Some("a lossless JPEG"),
        0xc5..=0xc7 => Some("a JPEG of several layers"),
        0xc9..=0xcb | 0xcd..=0xcf => Some("a JPEG with arithmetic coding"),
        0xc0..=0xc2 if bits == 12 => Some("a JPEG of 12 bits a channel"),
        _ => None,
    }
}

/// Decodes all of it, in that room. None where pixels are missing or garbled, as far as the codes they are written in
/// show it: the decoder of `image`, which is this one, makes them up.
pub fn decode(file: &[u8], layout: &Layout, kind: ColorType, room: &mut Room) -> Option<DynamicImage> {
    let mut file = file;
    if layout.is_sequential {
        // At the marker it would make up the rest; at the end of the file it says that something is missing. It reads a few
        // bytes ahead.
        room.file.clear();
        room.file.extend_from_slice(&file[..layout.end]);
        room.file.extend_from_slice(&[0; 16]);
        file = &room.file;
    }
    let space = if kind == ColorType::L8 { ColorSpace::Luma } else { ColorSpace::RGB };
    let options = DecoderOptions::default().set_max_width(usize::MAX).set_max_height(usize::MAX).set_strict_mode(false);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(file), options.jpeg_set_out_colorspace(space));
    decoder.decode_headers().ok()?;
    // Not before: headers may have odd bytes between them.
    decoder.set_options(decoder.options().set_strict_mode(true));
    let (width, height) = decoder.dimensions()?;
    let row = width * space.num_components();
    let mut pixels = std::mem::take(&mut room.pixels);
    if row >= MIN_RULED && pixels.capacity() >= row * height {
        pixels.resize(row * height, 0);
    } else {
        pixels = vec![0; row * height];
    }
    let last = row * (height - 1);
    ruled(row).zip(&mut pixels[last..]).for_each(|(rule, byte)| *byte = rule);
    decoder.decode_into(&mut pixels).ok()?;
    // Rows are written from the first to the last: where that one is not, others may be of another picture.
    if row >= MIN_RULED && ruled(row).eq(pixels[last..].iter().copied()) {
        return None;
    }
    let (width, height) = (width as u32, height as u32);
    match space {
        ColorSpace::Luma => GrayImage::from_raw(width, height, pixels).map(Into::into),
        _ => RgbImage::from_raw(width, height, pixels).map(Into::into),
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

/// What no row of a picture reads like.
fn ruled(row: usize) -> impl Iterator<Item = u8> {
    (0..row).map(|at| (at as u8).wrapping_mul(167))
}

/// The next marker from there on, and what follows it.
fn next_marker(file: &[u8], at: &mut usize) -> Option<u8> {
    loop {
        *at += memchr::memchr(0xff, file.get(*at..)?)? + 1;
        match file.get(*at)? {
            0x00 | 0xff => {}
            marker => {
                *at += 1;
                return Some(*marker);
            }
        }
    }
}
