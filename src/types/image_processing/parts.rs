//! What a file holds beside its first picture, as far as its own structure says so: nothing is decoded for it.

use super::picture::{Refused, refused};
use super::tiff::Directories;
use flate2::read::ZlibDecoder;
use image::ImageFormat;
use std::io::Read;

/// Texts and profiles of a PNG that come to more when they are inflated are there to do harm.
const MAX_INFLATED_BYTES: usize = 64 * 1024 * 1024;
/// A TIFF with more pages is a book: one picture of it is not what is wanted.
const MAX_PAGES: usize = 50;
/// So many frames of a GIF are counted at most.
const MAX_COUNTED: usize = 1000;

/// What there is.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Parts {
    /// Whether it moves.
    pub moves: bool,
    /// Whether there are further pages.
    pub pages: bool,
    /// Whether a colour profile stands in it, readable or not. Of a PNG only.
    pub profile: bool,
}

/// Looks a file through that is of this format.
pub fn look(file: &[u8], format: ImageFormat) -> Result<Parts, Refused> {
    match format {
        ImageFormat::Png => png(file),
        ImageFormat::Tiff => Ok(Parts { pages: tiff_pages(file)? > 1, ..Parts::default() }),
        ImageFormat::Gif => Ok(Parts { moves: gif_frames(file) > 1, ..Parts::default() }),
        ImageFormat::WebP => {
            let moves = file.get(12..16) == Some(b"VP8X") && file.get(20).is_some_and(|flags| flags & 2 != 0);
            Ok(Parts { moves, ..Parts::default() })
        }
        _ => Ok(Parts::default()),
    }
}

/// How many frames a GIF has, up to a thousand. One that is cut short within counts: it was to be there.
pub fn gif_frames(file: &[u8]) -> usize {
    let table = |flags: u8| if flags & 0x80 == 0 { 0 } else { 3 << ((flags & 7) + 1) };
    let Some(flags) = file.get(10) else { return 0 };
    let (mut at, mut frames) = (13 + table(*flags), 0);
    while frames < MAX_COUNTED {
        at += match file.get(at) {
            Some(0x21) => 2,
            Some(0x2c) => {
                frames += 1;
                let Some(flags) = file.get(at + 9) else { break };
                11 + table(*flags)
            }
            _ => break,
        };
        // Blocks of up to 255 bytes, and an empty one.
        while let Some(length @ 1..) = file.get(at) {
            at += 1 + usize::from(*length);
        }
        at += 1;
    }
    frames
}

fn png(file: &[u8]) -> Result<Parts, Refused> {
    let (mut at, mut left, mut parts) = (8, MAX_INFLATED_BYTES, Parts::default());
    while let Some(Ok(length)) = file.get(at..at + 4).map(<[u8; 4]>::try_from) {
        let length = u32::from_be_bytes(length) as usize;
        let content = file.get(at + 8..).and_then(|rest| rest.get(..length)).unwrap_or_default();
        match file.get(at + 4..at + 8) {
            Some(b"acTL") => parts.moves = true,
            Some(b"zTXt") => inflate(behind_nuls(content, 1), &mut left)?,
            Some(b"iTXt") => inflate(behind_nuls(content, 3), &mut left)?,
            Some(b"iCCP") => {
                parts.profile = true;
                inflate(behind_nuls(content, 1), &mut left)?;
            }
            None | Some(b"IEND") => break,
            _ => {}
        }
        at = at.saturating_add(12).saturating_add(length);
    }
    Ok(parts)
}

/// What is packed in a chunk: behind a word, the way it is packed, and in one sort two more words.
fn behind_nuls(content: &[u8], words: usize) -> &[u8] {
    let mut parts = content.splitn(2, |byte| *byte == 0);
    let rest = parts.nth(1).unwrap_or_default();
    match words {
        1 => rest.get(1..).unwrap_or_default(),
        // Whether it is packed at all, and how.
        _ if rest.first() == Some(&1) => {
            rest.get(2..).and_then(|rest| rest.splitn(3, |byte| *byte == 0).nth(2)).unwrap_or_default()
        }
        _ => &[],
    }
}

/// Takes from `left` what comes out. What cannot be inflated is the decoder's affair.
fn inflate(packed: &[u8], left: &mut usize) -> Result<(), Refused> {
    let (mut unpacked, mut buffer) = (ZlibDecoder::new(packed), [0; 16 * 1024]);
    while let Ok(read @ 1..) = unpacked.read(&mut buffer) {
        let rest = left.checked_sub(read);
        *left =
            rest.ok_or_else(|| refused("too_large", "its texts or its colour profile inflate to more than 64 MiB"))?;
    }
    Ok(())
}

fn tiff_pages(file: &[u8]) -> Result<usize, Refused> {
    let directories = Directories::of(file);
    let (mut seen, mut next) = (Vec::new(), directories.first());
    while let Some(at @ 1..) = next {
        if seen.contains(&at) {
            return Err(refused("undecodable", "the file is damaged: its pages lead in a circle"));
        }
        if seen.len() == MAX_PAGES {
            return Err(refused("too_large", "it has more than 50 pages"));
        }
        if directories.entries(at).is_none() {
            break;
        }
        seen.push(at);
        next = directories.next(at);
    }
    Ok(seen.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::ZlibEncoder;
    use std::io::Write;

    fn zeros(mib: usize) -> Vec<u8> {
        let mut packed = ZlibEncoder::new(Vec::new(), Compression::fast());
        (0..mib).for_each(|_| packed.write_all(&[0; 1 << 20]).unwrap());
        packed.finish().unwrap()
    }

    fn png_with(chunks: &[(&[u8; 4], &[u8])]) -> Vec<u8> {
        let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
        for (kind, content) in chunks {
            file.extend((content.len() as u32).to_be_bytes());
            file.extend(&kind[..]);
            file.extend(&content[..]);
            file.extend([0; 4]);
        }
        file
    }

    #[test]
    fn what_inflates_beyond_all_measure_is_refused_wherever_it_stands() {
        let (small, large) = (zeros(20), zeros(65));
        for (kind, head) in [(b"zTXt", &b"k\0\0"[..]), (b"iCCP", b"k\0\0"), (b"iTXt", b"k\0\x01\0\0\0")] {
            let of = |packed: &[u8]| [head, packed].concat();
            let three = png_with(&[(kind, &of(&small)), (kind, &of(&small)), (b"IDAT", b""), (kind, &of(&small))]);
            assert!(look(&three, ImageFormat::Png).is_ok());
            let four = [&three[..], &png_with(&[(kind, &of(&small))])[8..]].concat();
            for file in [four, png_with(&[(kind, &of(&large))])] {
                assert_eq!(look(&file, ImageFormat::Png).unwrap_err().code, "too_large", "{kind:?}");
            }
            assert!(look(&png_with(&[(kind, b"k"), (kind, head), (kind, &of(b"no zlib"))]), ImageFormat::Png).is_ok());
        }
        assert!(look(&png_with(&[(b"iTXt", &[b"k\0\0\0\0\0", &large[..]].concat())]), ImageFormat::Png).is_ok());
    }

    #[test]
    fn pages_are_counted_and_never_in_a_circle() {
        // Directories without entries, each of which leads to the one at that place.
        let pages = |next: &[u32]| {
            let directories = next.iter().flat_map(|next| [&[0, 0], &next.to_le_bytes()[..]].concat());
            b"II*\0\x08\0\0\0".iter().copied().chain(directories).collect::<Vec<u8>>()
        };
        let row = |n: u32| (1..=n).map(|page| if page == n { 0 } else { 8 + 6 * page }).collect::<Vec<_>>();
        for (next, pages_told) in [(vec![0], false), (row(2), true), (row(50), true), (vec![9999], false)] {
            assert_eq!(look(&pages(&next), ImageFormat::Tiff).unwrap().pages, pages_told, "{next:?}");
        }
        for (next, code) in [(vec![8], "undecodable"), (vec![14, 8], "undecodable"), (row(51), "too_large")] {
            assert_eq!(look(&pages(&next), ImageFormat::Tiff).unwrap_err().code, code, "{next:?}");
        }
    }

    #[test]
    fn any_bytes_are_looked_through() {
        for format in [ImageFormat::Png, ImageFormat::Tiff, ImageFormat::Gif, ImageFormat::WebP] {
            for byte in 0..=255 {
                (0..60).for_each(|length| drop(look(&vec![byte; length], format)));
            }
        }
    }
}
