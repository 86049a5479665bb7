//! Single pictures: what is refused, and what is not.

use super::*;
use image::RgbImage;

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

fn decode(file: &[u8]) -> Result<Picture, Refused> {
    decode_for(file, 1.0)
}

fn decode_for(file: &[u8], times: f64) -> Result<Picture, Refused> {
    super::decode(open(Bytes::copy_from_slice(file))?, times, &mut Room::default())
}

/// A PNG of that size as far as its header goes.
fn png_header(width: u32, height: u32) -> Vec<u8> {
    png_header_of(width, height, 8, 2)
}

/// The same with so many bits a channel and that type of colour, with the checksum the header needs.
fn png_header_of(width: u32, height: u32, bits: u8, colour: u8) -> Vec<u8> {
    let mut file = file(1, 1, ImageFormat::Png);
    file[16..20].copy_from_slice(&width.to_be_bytes());
    file[20..24].copy_from_slice(&height.to_be_bytes());
    (file[24], file[25]) = (bits, colour);
    let mut crc = !0u32;
    for byte in &file[12..29] {
        crc ^= u32::from(*byte);
        (0..8).for_each(|_| crc = if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 });
    }
    file[29..33].copy_from_slice(&(!crc).to_be_bytes());
    file
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
fn a_picture_that_takes_too_much_memory_is_told_so_and_not_that_it_has_too_many_pixels() {
    // Four channels of 16 bits: 392 MB.
    let refused = decode(&png_header_of(7000, 7000, 16, 6)).err().unwrap();
    assert_eq!((&*refused.code, &*refused.message), ("too_large", TOO_MUCH_MEMORY));
    assert!(decode(&png_header(65_535, 65_535)).err().unwrap().message.contains("50 million pixels"));
}

#[test]
fn what_is_cut_short_or_no_picture_is_refused_and_nothing_panics() {
    for format in
        [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::WebP, ImageFormat::Gif, ImageFormat::Bmp, ImageFormat::Tiff]
    {
        let whole = file(20, 10, format);
        assert!(decode(&whole).is_ok(), "{format:?}");
        (0..whole.len()).for_each(|at| drop(decode(&[&whole[..at], &[!whole[at]], &whole[at + 1..]].concat())));
    }
    for text in
        [&b""[..], b"%PDF-1.7", b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"8BPS", b"\0\0\0\x18ftypheic\0\0\0\0"]
    {
        assert_eq!(decode(text).err().unwrap().code, "unknown_format");
    }
}

/// A WebP that moves, of that size, as far as its header goes.
fn moving_webp(side: u32) -> Vec<u8> {
    let mut canvas = vec![2, 0, 0, 0];
    canvas.extend([&(side - 1).to_le_bytes()[..3], &(side - 1).to_le_bytes()[..3]].concat());
    let mut frame = vec![0; 6];
    frame.extend(&canvas[4..]);
    frame.extend([100, 0, 0, 0]);
    frame.extend(b"VP8L\x08\0\0\0\x2f\0\0\0\0\0\0\0");
    let mut chunks = b"WEBP".to_vec();
    for (name, content) in [(b"VP8X", canvas), (b"ANIM", vec![0; 6]), (b"ANMF", frame)] {
        chunks.extend(name);
        chunks.extend((content.len() as u32).to_le_bytes());
        chunks.extend(content);
    }
    [&b"RIFF"[..], &(chunks.len() as u32).to_le_bytes(), &chunks].concat()
}

/// A TIFF whose directory leads to itself, with other values for some of its tags.
fn odd_tiff(changes: &[(u16, u32)]) -> Vec<u8> {
    let mut file = file(20, 10, ImageFormat::Tiff);
    let number = |file: &[u8], at: usize| u32::from_le_bytes(file[at..at + 4].try_into().unwrap());
    let directory = number(&file, 4) as usize;
    let entries = usize::from(u16::from_le_bytes([file[directory], file[directory + 1]]));
    for entry in (0..entries).map(|entry| directory + 2 + 12 * entry) {
        let tag = u16::from_le_bytes([file[entry], file[entry + 1]]);
        if let Some((_, value)) = changes.iter().find(|change| change.0 == tag) {
            file[entry + 8..entry + 12].copy_from_slice(&value.to_le_bytes());
        }
    }
    let next = directory + 2 + 12 * entries;
    file[next..next + 4].copy_from_slice(&(directory as u32).to_le_bytes());
    file
}

#[test]
fn hostile_headers_end_at_once() {
    let began = std::time::Instant::now();
    assert_eq!(decode(&moving_webp(16_383)).err().unwrap().code, "too_large");
    assert_eq!(decode(&odd_tiff(&[])).err().unwrap().code, "undecodable");
    // Where its strips begin, how long they are, and how wide it is.
    for change in [(273, u32::MAX), (279, u32::MAX), (256, 60_000)] {
        assert!(
            ["undecodable", "too_large"].contains(&&*decode(&odd_tiff(&[change])).err().unwrap().code),
            "{change:?}"
        );
    }
    assert!(began.elapsed() < std::time::Duration::from_secs(1), "{:?}", began.elapsed());
}

fn noise() -> RgbImage {
    RgbImage::from_fn(160, 120, |x, y| image::Rgb([(x * 7 % 256) as u8, (y * 5) as u8, (x * y * 31 % 251) as u8]))
}

#[test]
fn what_is_cut_short_anywhere_is_refused() {
    for format in
        [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::WebP, ImageFormat::Gif, ImageFormat::Bmp, ImageFormat::Tiff]
    {
        let mut whole = Cursor::new(Vec::new());
        DynamicImage::from(noise()).write_to(&mut whole, format).unwrap();
        let whole = whole.into_inner();
        assert!(decode(&whole).is_ok(), "{format:?}");
        for times in [1.0, 16.0] {
            let through = (0..100).filter(|part| decode_for(&whole[..whole.len() * part / 100], times).is_ok());
            assert_eq!(through.collect::<Vec<_>>(), [0usize; 0], "{format:?}");
        }
    }
}

#[test]
fn a_photo_with_flipped_bits_decodes_or_not_and_nothing_else() {
    for format in [ImageFormat::Jpeg, ImageFormat::WebP, ImageFormat::Png] {
        let mut whole = Cursor::new(Vec::new());
        DynamicImage::from(noise()).write_to(&mut whole, format).unwrap();
        let whole = whole.into_inner();
        for step in 0..350 {
            let mut file = whole.clone();
            // A step that shares no factor with the length comes to other places each time.
            let bit = step * 7919 % (file.len() * 8);
            file[bit / 8] ^= 1 << (bit % 8);
            drop(decode(&file));
            drop(decode_for(&file, 4.0));
        }
    }
}

#[test]
fn a_jpeg_is_decoded_at_twice_the_size_that_is_wanted_or_more() {
    let whole = file(1601, 1199, ImageFormat::Jpeg);
    for (times, size) in [(3.9, (1601, 1199)), (4.0, (801, 600)), (8.0, (401, 300)), (50.0, (201, 150))] {
        let picture = decode_for(&whole, times).unwrap();
        assert_eq!((picture.pixels.width(), picture.pixels.height()), size, "{times}");
        assert_eq!(picture.size, (1601, 1199));
    }
}

fn jpeg_of(pixels: RgbImage) -> Vec<u8> {
    let mut file = Cursor::new(Vec::new());
    DynamicImage::from(pixels).write_to(&mut file, ImageFormat::Jpeg).unwrap();
    file.into_inner()
}

#[test]
fn a_jpeg_without_some_of_its_pixels_is_refused_though_it_has_its_end() {
    let whole = jpeg_of(noise());
    let header = whole.windows(2).position(|marker| marker == [0xff, 0xda]).unwrap() + 20;
    for part in 0..10 {
        let at = header + (whole.len() - header) * part / 10;
        let cut = [&whole[..at], &[0xff, 0xd9]].concat();
        assert_eq!(decode(&cut).err().unwrap().code, "undecodable", "{part}");
    }
}

#[test]
fn a_jpeg_of_another_kind_is_told_apart_from_a_damaged_one() {
    let whole = jpeg_of(noise());
    let frame = whole.windows(2).position(|marker| marker == [0xff, 0xc0]).unwrap();
    for (marker, bits, what) in [
        (0xc3, 8, "a lossless JPEG"),
        (0xc3, 12, "a lossless JPEG"),
        (0xc1, 12, "a JPEG of 12 bits a channel"),
        (0xc9, 8, "a JPEG with arithmetic coding"),
    ] {
        let mut file = whole.clone();
        (file[frame + 1], file[frame + 4]) = (marker, bits);
        let refused = decode(&file).err().unwrap();
        assert_eq!((&*refused.code, refused.message), ("unknown_format", format!("{what} cannot be read")));
    }
}

#[test]
fn memory_of_another_picture_is_used_again_and_never_seen() {
    let room = || Room { pixels: vec![77; 400_000], file: vec![77; 400_000], ..Room::default() };
    let of = |pixels: DynamicImage| {
        let mut file = Cursor::new(Vec::new());
        pixels.write_to(&mut file, ImageFormat::Jpeg).unwrap();
        Bytes::from(file.into_inner())
    };
    let colours = DynamicImage::from(noise());
    for pixels in [colours.crop_imm(0, 0, 3, 100), colours.crop_imm(0, 0, 157, 1), colours.grayscale(), colours] {
        let file = of(pixels);
        let alone = super::decode(open(file.clone()).unwrap(), 1.0, &mut Room::default()).unwrap();
        let after = super::decode(open(file.clone()).unwrap(), 1.0, &mut room()).unwrap();
        assert_eq!(after.pixels, alone.pixels);
        // As high again as it is: what is missing is not what was there before.
        let mut higher = file.to_vec();
        let frame = higher.windows(2).position(|marker| marker == [0xff, 0xc0]).unwrap();
        higher[frame + 5] += 4;
        assert!(super::decode(open(higher.into()).unwrap(), 1.0, &mut room()).is_err());
    }
    let mut room = room();
    let place = room.pixels.as_ptr();
    let picture = super::decode(open(of(noise().into())).unwrap(), 1.0, &mut room).unwrap();
    assert_eq!(picture.pixels.as_bytes().as_ptr(), place);
}
