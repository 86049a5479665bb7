//! Single pictures: what is refused, and what comes out.

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

fn decode(file: &[u8]) -> Result<Picture, Refused> {
    super::decode(open(Bytes::copy_from_slice(file))?)
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
    for format in
        [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::WebP, ImageFormat::Gif, ImageFormat::Bmp, ImageFormat::Tiff]
    {
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
