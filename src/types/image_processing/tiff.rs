//! TIFFs: what is not read is told apart, and some are read that image's decoder refuses.

use super::picture::{DAMAGED, MAX_DECODED_BYTES, Refused, TOO_MUCH_MEMORY, refused};
use bytes::Bytes;
use image::error::{DecodingError, ImageFormatHint, UnsupportedError, UnsupportedErrorKind};
use image::metadata::Orientation;
use image::{ColorType, DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageResult};
use std::io::{Cursor, Read, Seek, SeekFrom};
use tiff::TiffError;
use tiff::decoder::{Decoder, DecodingResult, Limits};
use tiff::tags::{PhotometricInterpretation as Meaning, SampleFormat, Tag};

/// Of the directory's tags, what the numbers mean.
const MEANING: u16 = 262;
/// The numbers are brightness.
const BRIGHTNESS: u8 = 1;
/// An extra channel: transparency by which colours are multiplied.
const MULTIPLIED: u16 = 1;
/// One by which they are not.
const ALPHA: u16 = 2;

/// What a file's first directory says.
pub struct Looked {
    /// Where image's decoder does not read it.
    pub own: Option<Own>,
    /// Whether its colours are multiplied by their alpha.
    pub is_multiplied: bool,
}

/// Reads a kind that image's decoder does not.
pub struct Own {
    decoder: Decoder<Changed>,
    size: (u32, u32),
    bits: u16,
    kind: Kind,
}

enum Kind {
    /// Of fewer than eight bits.
    Grey,
    GreyAlpha,
    /// Brightness and two differences of colour.
    Ycc,
    /// All red parts, then the green, then the blue.
    Palette(Vec<u16>),
}

/// Whether it is one with addresses of 64 bits.
pub fn is_big(file: &[u8]) -> bool {
    file.starts_with(b"II\x2b\0\x08\0") || file.starts_with(b"MM\0\x2b\0\x08")
}

/// Reads the directory of the first page; no pixels.
pub fn look(file: &Bytes) -> Result<Looked, Refused> {
    let mut decoder = Decoder::new(Changed::new(file.clone(), None)).map_err(why)?;
    let packed = number(&mut decoder, Tag::Compression, 1)?;
    if let Some(name) = unread(packed) {
        return Err(not_read(&format!("with {name} compression")));
    }
    let mut first = |tag, other| -> Result<(u16, usize), Refused> {
        let all = decoder.find_tag_unsigned_vec::<u16>(tag).map_err(why)?.unwrap_or_default();
        Ok((all.first().copied().unwrap_or(other), all.len()))
    };
    let (bits, _) = first(Tag::BitsPerSample, 1)?;
    let (format, _) = first(Tag::SampleFormat, 1)?;
    let (extra, extras) = first(Tag::ExtraSamples, 0)?;
    let channels = number(&mut decoder, Tag::SamplesPerPixel, 1)?;
    let has_alpha = extras > 0 && [MULTIPLIED, ALPHA].contains(&extra);
    let is_float = format == SampleFormat::IEEEFP.to_u16();
    if !is_float && format != SampleFormat::Uint.to_u16() {
        return Err(not_read("with signed numbers"));
    }
    let meaning = Meaning::from_u16(number(&mut decoder, Tag::PhotometricInterpretation, u16::MAX)?);
    let kind = match meaning {
        Some(Meaning::BlackIsZero | Meaning::WhiteIsZero) => match (channels, bits) {
            _ if is_float => return Err(not_read("with grey of floating-point numbers")),
            (1, 1 | 8 | 16) => None,
            (1, 2 | 4) => Some(Kind::Grey),
            (2, 8 | 16) if has_alpha => Some(Kind::GreyAlpha),
            (1, _) => return Err(not_read(&format!("with {bits} bits of grey"))),
            _ => return Err(not_read(&format!("with {channels} channels of grey"))),
        },
        Some(Meaning::RGBPalette) if channels == 1 && matches!(bits, 1 | 2 | 4 | 8) => {
            let palette = decoder.get_tag_u16_vec(Tag::ColorMap).map_err(why)?;
            if palette.len() != 3 << bits {
                return Err(refused("undecodable", DAMAGED));
            }
            let place = Directories::of(file).place_of(MEANING).ok_or_else(|| refused("undecodable", DAMAGED))?;
            decoder = Decoder::new(Changed::new(file.clone(), Some((place, BRIGHTNESS)))).map_err(why)?;
            Some(Kind::Palette(palette))
        }
        Some(Meaning::RGBPalette) => return Err(not_read(&format!("with a palette and {bits} bits"))),
        Some(Meaning::YCbCr) if channels == 3 && bits == 8 && !is_float => Some(Kind::Ycc),
        Some(Meaning::CIELab | Meaning::IccLab | Meaning::ItuLab) => return Err(not_read("with colours in CIE Lab")),
        Some(Meaning::RGB | Meaning::CMYK) if matches!((bits, is_float), (8 | 16, false) | (32, true)) => None,
        Some(Meaning::RGB | Meaning::CMYK) => return Err(not_read(&format!("with {bits} bits a channel"))),
        _ => return Err(not_read("with colours of another kind")),
    };
    let own = kind.map(|kind| Own::new(decoder, bits, kind)).transpose()?;
    Ok(Looked { own, is_multiplied: has_alpha && extra == MULTIPLIED })
}

/// Colours as they are without their alpha.
pub fn divided(mut pixels: DynamicImage) -> DynamicImage {
    let by = |channel: u64, alpha: u64, whole: u64| ((channel * whole + alpha / 2) / alpha.max(1)).min(whole);
    let eight = |pixel: &mut [u8]| {
        let Some((alpha, colours)) = pixel.split_last_mut() else { return };
        colours.iter_mut().for_each(|channel| *channel = by((*channel).into(), (*alpha).into(), 255) as u8);
    };
    let sixteen = |pixel: &mut [u16]| {
        let Some((alpha, colours)) = pixel.split_last_mut() else { return };
        colours.iter_mut().for_each(|channel| *channel = by((*channel).into(), (*alpha).into(), 65_535) as u16);
    };
    match &mut pixels {
        DynamicImage::ImageRgba8(of) => of.chunks_exact_mut(4).for_each(eight),
        DynamicImage::ImageLumaA8(of) => of.chunks_exact_mut(2).for_each(eight),
        DynamicImage::ImageRgba16(of) => of.chunks_exact_mut(4).for_each(sixteen),
        DynamicImage::ImageLumaA16(of) => of.chunks_exact_mut(2).for_each(sixteen),
        _ => {}
    }
    pixels
}

impl Own {
    fn new(decoder: Decoder<Changed>, bits: u16, kind: Kind) -> Result<Own, Refused> {
        let mut limits = Limits::default();
        limits.decoding_buffer_size = MAX_DECODED_BYTES as usize;
        limits.intermediate_buffer_size = MAX_DECODED_BYTES as usize;
        let mut decoder = decoder.with_limits(limits);
        let size = decoder.dimensions().map_err(why)?;
        decoder.image_buffer_layout().map_err(why)?;
        Ok(Own { decoder, size, bits, kind })
    }

    fn read(&mut self, to: &mut [u8]) -> Result<(), TiffError> {
        let mut read = DecodingResult::U8(Vec::new());
        let layout = self.decoder.read_image_to_buffer(&mut read)?;
        let from = read.as_buffer(0);
        let from = from.as_bytes();
        if from.len() < layout.complete_len {
            return Err(TiffError::LimitsExceeded);
        }
        match &self.kind {
            Kind::Ycc if layout.planes == 1 => {
                to.chunks_exact_mut(3).zip(from.chunks_exact(3)).for_each(|(to, from)| to.copy_from_slice(&rgb(from)));
            }
            Kind::Ycc => {
                let planes: Vec<_> = from.chunks_exact(from.len() / 3).collect();
                let [bright, blue, red] = planes[..] else { return Err(TiffError::IntSizeError) };
                let each = bright.iter().zip(blue).zip(red).map(|((bright, blue), red)| rgb(&[*bright, *blue, *red]));
                to.chunks_exact_mut(3).zip(each).for_each(|(to, from)| to.copy_from_slice(&from));
            }
            Kind::GreyAlpha if layout.planes == 1 => to.copy_from_slice(from),
            Kind::GreyAlpha => {
                let wide = usize::from(self.bits / 8);
                let (grey, alpha) = from.split_at(from.len() / 2);
                let each = grey.chunks_exact(wide).zip(alpha.chunks_exact(wide));
                for (to, (grey, alpha)) in to.chunks_exact_mut(2 * wide).zip(each) {
                    to[..wide].copy_from_slice(grey);
                    to[wide..].copy_from_slice(alpha);
                }
            }
            Kind::Grey => {
                let whole = (1u16 << self.bits) - 1;
                self.each(from, to, 1, |number, to| to[0] = (u16::from(number) * 255 / whole) as u8);
            }
            Kind::Palette(parts) => {
                let parts: Vec<_> = parts.chunks_exact(1 << self.bits).collect();
                self.each(from, to, 3, |number, to| {
                    to.iter_mut().zip(&parts).for_each(|(to, part)| *to = (part[usize::from(number)] >> 8) as u8);
                });
            }
        }
        Ok(())
    }

    /// Gives each pixel's number; each row begins with a new byte.
    fn each(&self, from: &[u8], to: &mut [u8], wide: usize, mut write: impl FnMut(u8, &mut [u8])) {
        let (width, bits) = (self.size.0 as usize, usize::from(self.bits));
        let rows = from.chunks_exact((width * bits).div_ceil(8));
        for (from, to) in rows.zip(to.chunks_exact_mut(width * wide)) {
            for (at, to) in to.chunks_exact_mut(wide).enumerate() {
                let at = at * bits;
                let shift = 8 - bits - at % 8;
                write(from[at / 8] >> shift & (0xff >> (8 - bits)), to);
            }
        }
    }
}

impl ImageDecoder for Own {
    fn dimensions(&self) -> (u32, u32) {
        self.size
    }

    fn color_type(&self) -> ColorType {
        match (&self.kind, self.bits) {
            (Kind::Grey, _) => ColorType::L8,
            (Kind::GreyAlpha, 16) => ColorType::La16,
            (Kind::GreyAlpha, _) => ColorType::La8,
            (Kind::Ycc | Kind::Palette(_), _) => ColorType::Rgb8,
        }
    }

    fn icc_profile(&mut self) -> ImageResult<Option<Vec<u8>>> {
        Ok(self.decoder.get_tag_u8_vec(Tag::IccProfile).ok())
    }

    fn orientation(&mut self) -> ImageResult<Orientation> {
        let noted = self.decoder.find_tag_unsigned::<u8>(Tag::Orientation).ok().flatten();
        Ok(noted.and_then(Orientation::from_exif).unwrap_or(Orientation::NoTransforms))
    }

    fn read_image(mut self, to: &mut [u8]) -> ImageResult<()> {
        self.read(to).map_err(|error| {
            let hint = ImageFormatHint::Exact(ImageFormat::Tiff);
            match error {
                TiffError::UnsupportedError(error) => {
                    let kind = UnsupportedErrorKind::GenericFeature(error.to_string());
                    ImageError::Unsupported(UnsupportedError::from_format_and_kind(hint, kind))
                }
                error => ImageError::Decoding(DecodingError::new(hint, error)),
            }
        })
    }

    fn read_image_boxed(self: Box<Self>, to: &mut [u8]) -> ImageResult<()> {
        (*self).read_image(to)
    }
}

/// By the numbers of ITU-R 601, all 256 of them used.
fn rgb(from: &[u8]) -> [u8; 3] {
    let [bright, blue, red] = [f32::from(from[0]), f32::from(from[1]) - 128.0, f32::from(from[2]) - 128.0];
    [bright + 1.402 * red, bright - 0.344_136 * blue - 0.714_136 * red, bright + 1.772 * blue]
        .map(|channel| channel.round() as u8)
}

fn number(decoder: &mut Decoder<Changed>, tag: Tag, other: u16) -> Result<u16, Refused> {
    Ok(decoder.find_tag_unsigned(tag).map_err(why)?.unwrap_or(other))
}

fn unread(packed: u16) -> Option<String> {
    let name = match packed {
        1 | 4 | 5 | 7 | 8 | 32_773 | 32_946 => return None,
        2 | 3 => "CCITT group 3",
        6 => "old JPEG",
        34_712 => "JPEG 2000",
        34_925 => "LZMA",
        50_000 => "zstd",
        50_001 => "WebP",
        other => return Some(format!("unknown ({other})")),
    };
    Some(name.to_owned())
}

fn not_read(what: &str) -> Refused {
    refused("unknown_format", &format!("a TIFF {what} cannot be read"))
}

fn why(error: TiffError) -> Refused {
    match error {
        TiffError::UnsupportedError(error) => not_read(&format!("of this kind ({error})")),
        TiffError::LimitsExceeded => refused("too_large", TOO_MUCH_MEMORY),
        _ => refused("undecodable", DAMAGED),
    }
}

/// How a file's directories are written, one for each page.
pub struct Directories<'a> {
    file: &'a [u8],
    is_big: bool,
    is_big_endian: bool,
}

impl Directories<'_> {
    /// Those of a TIFF.
    pub fn of(file: &[u8]) -> Directories<'_> {
        Directories { file, is_big: is_big(file), is_big_endian: file.starts_with(b"MM") }
    }

    /// Where the first stands.
    pub fn first(&self) -> Option<usize> {
        if self.is_big { self.number(8, 8) } else { self.number(4, 4) }
    }

    /// Where its entries begin, how many there are and how long each is.
    pub fn entries(&self, at: usize) -> Option<(usize, usize, usize)> {
        let (count, each) = if self.is_big { (8, 20) } else { (2, 12) };
        Some((at.checked_add(count)?, self.number(at, count)?, each))
    }

    /// Where the one behind that stands; 0 where there is none.
    pub fn next(&self, at: usize) -> Option<usize> {
        let (first, count, each) = self.entries(at)?;
        self.number(first.checked_add(count.checked_mul(each)?)?, if self.is_big { 8 } else { 4 })
    }

    /// Where the value of a tag of the first stands, which is a small number: its lowest byte.
    fn place_of(&self, tag: u16) -> Option<u64> {
        let (first, count, each) = self.entries(self.first()?)?;
        // A file ends before it has more of them.
        let mut entries = (0..count.min(self.file.len() / each)).map(|entry| first + entry * each);
        let entry = entries.find(|entry| self.number(*entry, 2) == Some(tag.into()))?;
        let wide = if self.number(entry + 2, 2)? == 3 { 2 } else { 4 };
        let value = entry + each - if self.is_big { 8 } else { 4 };
        Some((value + if self.is_big_endian { wide - 1 } else { 0 }) as u64)
    }

    fn number(&self, at: usize, bytes: usize) -> Option<usize> {
        let bytes = self.file.get(at..at.checked_add(bytes)?)?;
        let add = |number: usize, byte: &u8| number << 8 | usize::from(*byte);
        Some(if self.is_big_endian { bytes.iter().fold(0, add) } else { bytes.iter().rev().fold(0, add) })
    }
}

/// A file with another byte in one place.
struct Changed {
    file: Cursor<Bytes>,
    change: Option<(u64, u8)>,
}

impl Changed {
    fn new(file: Bytes, change: Option<(u64, u8)>) -> Changed {
        Changed { file: Cursor::new(file), change }
    }
}

impl Read for Changed {
    fn read(&mut self, to: &mut [u8]) -> std::io::Result<usize> {
        let from = self.file.position();
        let read = self.file.read(to)?;
        if let Some((place, byte)) = self.change {
            let at = place.checked_sub(from).filter(|at| *at < read as u64);
            at.into_iter().for_each(|at| to[at as usize] = byte);
        }
        Ok(read)
    }
}

impl Seek for Changed {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        self.file.seek(to)
    }
}

#[cfg(test)]
mod tests;
