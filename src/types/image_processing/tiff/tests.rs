//! Kinds of TIFF, each by a small file of its own.

use super::super::parts;
use super::super::picture::{self, Picture};
use super::super::room::Room;
use super::*;

/// A file of one strip, or one for each channel where they lie one after the other: what its directory says, each a tag and its numbers, which are short ones.
#[derive(Clone)]
struct File {
    is_big: bool,
    is_big_endian: bool,
    size: (u16, u16),
    tags: Vec<(u16, Vec<u16>)>,
    pixels: Vec<u8>,
}

impl File {
    /// With its meaning, bits a channel and channels.
    fn new(meaning: u16, bits: u16, channels: u16, size: (u16, u16), pixels: &[u8]) -> File {
        let bits = vec![bits; channels.into()];
        let tags = vec![(258, bits), (259, vec![1]), (262, vec![meaning]), (277, vec![channels])];
        File { is_big: false, is_big_endian: false, size, tags, pixels: pixels.to_vec() }
    }

    fn with(mut self, tag: u16, numbers: &[u16]) -> File {
        self.tags.retain(|there| there.0 != tag);
        self.tags.push((tag, numbers.to_vec()));
        self
    }

    fn number(&self, number: u64, bytes: usize) -> Vec<u8> {
        if self.is_big_endian {
            number.to_be_bytes()[8 - bytes..].to_vec()
        } else {
            number.to_le_bytes()[..bytes].to_vec()
        }
    }

    fn bytes(&self) -> Vec<u8> {
        let (wide, head, room) = if self.is_big { (8, 16, 8) } else { (4, 8, 4) };
        let mut tags = self.tags.clone();
        tags.extend([
            (256, vec![self.size.0]),
            (257, vec![self.size.1]),
            (278, vec![self.size.1]),
            (273, vec![]),
            (279, vec![]),
        ]);
        tags.sort();
        let strips = if self.tags.contains(&(284, vec![2])) { 2 } else { 1 };
        let each = self.pixels.len() / strips;
        // Behind the head come the pixels, then what has no room in the directory.
        let mut body = self.pixels.clone();
        let mut entries = Vec::new();
        for (tag, numbers) in tags {
            let (kind, count, value) = match tag {
                273 => {
                    (4, strips, (0..strips).flat_map(|strip| self.number(head + (strip * each) as u64, 4)).collect())
                }
                279 => (4, strips, self.number(each as u64, 4).repeat(strips)),
                _ => (3, numbers.len(), numbers.iter().flat_map(|number| self.number((*number).into(), 2)).collect()),
            };
            let mut value = if value.len() > room {
                let at = self.number(head + body.len() as u64, wide);
                body.extend(value);
                at
            } else {
                value
            };
            value.resize(wide, 0);
            entries.push(
                [self.number(tag.into(), 2), self.number(kind, 2), self.number(count as u64, wide), value].concat(),
            );
        }
        let mark: &[u8] = if self.is_big_endian { b"MM" } else { b"II" };
        let kind = if self.is_big {
            [self.number(43, 2), self.number(8, 2), self.number(0, 2)].concat()
        } else {
            self.number(42, 2)
        };
        let directory = self.number(head + body.len() as u64, wide);
        let count = self.number(entries.len() as u64, if self.is_big { 8 } else { 2 });
        [mark, &kind, &directory, &body, &count, &entries.concat(), &vec![0; wide]].concat()
    }

    /// As small and as large file, in both orders of bytes.
    fn all(&self) -> impl Iterator<Item = File> {
        let each = [(false, false), (false, true), (true, false), (true, true)];
        each.map(|(is_big, is_big_endian)| File { is_big, is_big_endian, ..self.clone() }).into_iter()
    }
}

fn decode(file: &[u8]) -> Result<Picture, Refused> {
    picture::decode(picture::open(Bytes::copy_from_slice(file))?, 1.0, &mut Room::default())
}

fn pixels(file: &File) -> DynamicImage {
    decode(&file.bytes()).map(|picture| picture.pixels).unwrap()
}

/// Of two bits: black, red, green, blue.
fn palette() -> File {
    let parts = [0, 65_535, 0, 0, 0, 0, 65_535, 0, 0, 0, 0, 65_535];
    // Five pixels, so that each row ends within a byte.
    File::new(3, 2, 1, (5, 2), &[0b00_01_10_11, 0b01_000000, 0b11_10_01_00, 0b10_000000]).with(320, &parts)
}

#[test]
fn palettes_have_their_colours() {
    let [black, red, green, blue] = [[0, 0, 0], [255, 0, 0], [0, 255, 0], [0, 0, 255]];
    for file in palette().all() {
        let read = pixels(&file).into_rgb8();
        let read: Vec<_> = read.pixels().map(|pixel| pixel.0).collect();
        assert_eq!(read, [black, red, green, blue, red, blue, green, red, black, green]);
    }
    for (bits, bytes) in [(1, [0b1010_0000]), (4, [0x10]), (8, [1])] {
        let parts: Vec<_> = (0..3 << bits).map(|at| if at == 1 { 0xabcd } else { 0 }).collect();
        let file = File::new(3, bits, 1, (1, 1), &bytes).with(320, &parts);
        assert_eq!(pixels(&file).into_rgb8().into_raw(), [0xab, 0, 0], "{bits}");
    }
}

#[test]
fn large_files_are_read_as_small_ones_are() {
    let colours: Vec<u8> = (0..60).collect();
    for file in File::new(2, 8, 3, (5, 4), &colours).all() {
        assert_eq!(pixels(&file).into_rgb8().into_raw(), colours);
    }
}

#[test]
fn grey_has_its_alpha_and_few_bits() {
    let file = File::new(1, 8, 2, (2, 1), &[200, 255, 10, 0]).with(338, &[2]);
    assert_eq!(
        pixels(&file),
        DynamicImage::from(image::GrayAlphaImage::from_raw(2, 1, vec![200, 255, 10, 0]).unwrap())
    );
    // First all the grey, then all the alpha.
    let planes = File::new(1, 8, 2, (2, 1), &[200, 10, 255, 0]).with(338, &[2]).with(284, &[2]);
    planes.all().for_each(|planes| assert_eq!(pixels(&planes), pixels(&file)));
    let sixteen = File::new(1, 16, 2, (1, 1), &[0x34, 0x12, 0xff, 0xff]).with(338, &[2]);
    assert_eq!(pixels(&sixteen).as_luma_alpha16().unwrap().as_raw(), &[0x1234, 0xffff]);
    assert_eq!(pixels(&File::new(1, 4, 1, (3, 1), &[0x0f, 0x80])).into_luma8().into_raw(), [0, 255, 136]);
    assert_eq!(pixels(&File::new(0, 2, 1, (3, 1), &[0b00_01_11_00])).into_luma8().into_raw(), [255, 170, 0]);
}

#[test]
fn colours_that_are_multiplied_by_their_alpha_are_divided_by_it() {
    let colours = File::new(2, 8, 4, (2, 1), &[13, 9, 11, 66, 7, 0, 0, 0]);
    assert_eq!(pixels(&colours.clone().with(338, &[1])).into_rgba8().into_raw(), [50, 35, 43, 66, 255, 0, 0, 0]);
    assert_eq!(pixels(&colours.with(338, &[2])).into_rgba8().into_raw(), [13, 9, 11, 66, 7, 0, 0, 0]);
    let grey = File::new(1, 8, 2, (1, 1), &[50, 100]).with(338, &[1]);
    assert_eq!(pixels(&grey).as_luma_alpha8().unwrap().as_raw(), &[128, 100]);
    let sixteen: Vec<u8> = [1000u16, 2000, 3000, 6000].iter().flat_map(|number| number.to_le_bytes()).collect();
    let sixteen = pixels(&File::new(2, 16, 4, (1, 1), &sixteen).with(338, &[1]));
    assert_eq!(sixteen.as_rgba16().unwrap().as_raw(), &[10_923, 21_845, 32_768, 6000]);
}

#[test]
fn brightness_and_differences_become_colours() {
    let file = File::new(6, 8, 3, (3, 1), &[76, 85, 255, 149, 43, 21, 128, 128, 128]).with(530, &[1, 1]);
    let read = pixels(&file).into_rgb8().into_raw();
    let wanted = [255, 0, 0, 0, 255, 0, 128, 128, 128];
    assert!(read.iter().zip(wanted).all(|(read, wanted): (&u8, u8)| read.abs_diff(wanted) <= 3), "{read:?}");
}

#[test]
fn what_cannot_be_read_is_told() {
    let grey = |bits, channels| File::new(1, bits, channels, (1, 1), &[0; 16]);
    for (file, what) in [
        (grey(8, 1).with(259, &[3]), "with CCITT group 3 compression"),
        (grey(8, 1).with(259, &[50_000]), "with zstd compression"),
        (grey(8, 1).with(259, &[34_925]), "with LZMA compression"),
        (grey(8, 1).with(259, &[999]), "with unknown (999) compression"),
        (grey(32, 1), "with 32 bits of grey"),
        (grey(32, 1).with(339, &[3]), "with grey of floating-point numbers"),
        (grey(8, 1).with(339, &[2]), "with signed numbers"),
        (grey(8, 5), "with 5 channels of grey"),
        (File::new(8, 8, 3, (1, 1), &[0; 3]), "with colours in CIE Lab"),
        (File::new(2, 4, 3, (1, 1), &[0; 3]), "with 4 bits a channel"),
        (File::new(3, 16, 1, (1, 1), &[0; 3]), "with a palette and 16 bits"),
    ] {
        let refused = decode(&file.bytes()).err().unwrap();
        assert_eq!((&*refused.code, refused.message), ("unknown_format", format!("a TIFF {what} cannot be read")));
    }
}

#[test]
fn the_limits_hold_for_each_kind() {
    let began = std::time::Instant::now();
    let kinds = [
        palette(),
        File::new(1, 8, 2, (1, 1), &[0; 2]).with(338, &[2]),
        File::new(6, 8, 3, (1, 1), &[0; 3]).with(530, &[1, 1]),
        File::new(1, 4, 1, (1, 1), &[0]),
        File::new(2, 8, 3, (1, 1), &[0; 3]),
    ];
    for file in kinds.iter().flat_map(File::all) {
        for size in [(65_535, 65_535), (16_385, 1), (1, 16_385), (8000, 8000)] {
            assert_eq!(decode(&File { size, ..file.clone() }.bytes()).err().unwrap().code, "too_large", "{size:?}");
        }
        // As large as may be, with hardly a pixel there.
        assert_eq!(decode(&File { size: (7000, 7000), ..file.clone() }.bytes()).err().unwrap().code, "undecodable");
        let whole = file.bytes();
        for at in 0..whole.len() {
            assert!(decode(&whole[..at]).is_err(), "{at} of {}", whole.len());
            drop(decode(&[&whole[..at], &[!whole[at]], &whole[at + 1..]].concat()));
        }
    }
    assert!(began.elapsed() < std::time::Duration::from_secs(20), "{:?}", began.elapsed());
}

#[test]
fn pages_of_large_files_are_counted_too() {
    let mut file = File { is_big: true, ..palette() }.bytes();
    let directory = file[8..16].to_vec();
    let next = file.len() - 8;
    file[next..].copy_from_slice(&directory);
    assert_eq!(decode(&file).err().unwrap().code, "undecodable");
    let refused = parts::look(&file, ImageFormat::Tiff).unwrap_err();
    assert!(refused.message.contains("in a circle"), "{}", refused.message);
}
