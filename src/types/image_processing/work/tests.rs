//! What comes out, pixel by pixel, compared with what Pillow makes of the same files (tests/pillow/make.py).

use super::super::params::{Fitting, Gravity};
use super::*;
use image::{DynamicImage, GenericImageView, ImageDecoder, ImageReader};
use std::io::Cursor;

const BOX: Shape = Shape { width: 24, height: 24, fit: Fitting::Fit, gravity: Gravity::Center, enlarge: false };

fn job(shape: Shape) -> Job {
    Job { shapes: vec![shape], format: Some(Format::Png), quality: 90, ..Job::default() }
}

fn pillow(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/tests/pillow/{name}.png", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

fn made(job: &Job, file: &[u8]) -> (Made, Vec<Vec<u8>>) {
    begin(job.clone(), Bytes::new(), Bytes::copy_from_slice(file)).unwrap().make(&mut Room::default()).unwrap()
}

/// Panics unless both have the same size and about the same pixels.
fn alike(job: &Job, source: &str, expected: &str) {
    let (_, files) = made(job, &pillow(source));
    let (ours, theirs) = (load(&files[0]), load(&pillow(expected)));
    assert_eq!((ours.dimensions(), ours.color()), (theirs.dimensions(), theirs.color()), "{expected}");
    let (ours, theirs) = (seen(ours), seen(theirs));
    let most = ours.iter().zip(theirs).map(|(ours, theirs)| ours.abs_diff(theirs)).max().unwrap();
    // Both round twice where they multiply by alpha.
    let apart = if source == "clear" { 2 } else { 1 };
    assert!(most <= apart, "{expected}: {most} apart");
}

/// Its bytes; colours as far as they are seen.
fn seen(pixels: DynamicImage) -> Vec<u8> {
    let DynamicImage::ImageRgba8(mut of) = pixels else { return pixels.into_bytes() };
    for pixel in of.pixels_mut() {
        let alpha = u16::from(pixel[3]);
        (0..3).for_each(|channel| pixel[channel] = (u16::from(pixel[channel]) * alpha / 255) as u8);
    }
    of.into_raw()
}

fn load(file: &[u8]) -> DynamicImage {
    image::load_from_memory(file).unwrap()
}

/// A file's own notes of the camera, and its profile.
fn beside(file: &[u8]) -> (Option<Vec<u8>>, Option<Vec<u8>>) {
    let mut decoder = ImageReader::new(Cursor::new(file)).with_guessed_format().unwrap().into_decoder().unwrap();
    (decoder.exif_metadata().unwrap(), decoder.icc_profile().unwrap())
}

#[test]
fn sizes_and_cuts_are_those_of_pillow() {
    alike(&job(BOX), "plain", "plain-fit");
    alike(&job(Shape { width: 90, height: 20, fit: Fitting::Exact, ..BOX }), "plain", "plain-exact");
    let fill = Shape { width: 20, height: 20, fit: Fitting::Fill, ..BOX };
    alike(&job(fill), "plain", "plain-fill");
    alike(&job(Shape { gravity: Gravity::BottomLeft, ..fill }), "plain", "plain-fill-left");
    let crop = Shape { width: 30, height: 10, fit: Fitting::Crop, gravity: Gravity::TopRight, enlarge: false };
    alike(&job(crop), "plain", "plain-crop");
}

#[test]
fn transparency_is_that_of_pillow() {
    alike(&job(BOX), "clear", "clear-fit");
}

#[test]
fn grey_and_turned_are_those_of_pillow() {
    let whole = Shape { width: 100, height: 100, ..BOX };
    alike(&Job { grayscale: true, ..job(whole) }, "plain", "plain-grey");
    alike(&Job { rotate: 90, ..job(BOX) }, "plain", "plain-right");
}

#[test]
fn every_orientation_comes_upright_and_is_cut_there() {
    let cut = Shape { width: 30, height: 20, fit: Fitting::Fill, gravity: Gravity::TopRight, enlarge: false };
    for orientation in 1..=8 {
        alike(&job(cut), &format!("noted-{orientation}"), &format!("upright-{orientation}"));
    }
}

#[test]
fn every_kind_of_pixels_comes_out_right() {
    let whole = Shape { width: 100, height: 100, ..BOX };
    alike(&job(whole), "palette", "palette-rgba");
    alike(&job(whole), "one-bit", "one-bit-grey");
    let (_, files) = made(&job(whole), &pillow("sixteen"));
    let (ours, theirs) = (load(&files[0]), load(&pillow("sixteen")));
    assert_eq!((ours.color(), ours.as_bytes()), (image::ColorType::L16, theirs.as_bytes()));
}

#[test]
fn four_inks_become_three_lights() {
    let file = std::fs::read(format!("{}/tests/pillow/cmyk.jpg", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let (_, files) = made(&job(Shape { width: 100, height: 100, ..BOX }), &file);
    let (ours, theirs) = (load(&files[0]).into_rgb8(), load(&pillow("cmyk-rgb")).into_rgb8());
    assert_eq!(ours.dimensions(), theirs.dimensions());
    let most = ours.as_raw().iter().zip(theirs.as_raw()).map(|(ours, theirs)| ours.abs_diff(*theirs)).max().unwrap();
    assert!(most <= 4, "{most} apart");
}

#[test]
fn several_sizes_come_of_one_picture() {
    let small = Shape { width: 10, height: 10, ..BOX };
    let (made, files) = made(&Job { shapes: vec![BOX, small], ..job(BOX) }, &pillow("plain"));
    let sizes: Vec<_> = made.pieces.iter().map(|piece| (piece.width, piece.height)).collect();
    assert_eq!(sizes, [(24, 17), (10, 7)]);
    assert_eq!(load(&files[1]).dimensions(), (10, 7));
}

#[test]
fn metadata_goes_only_where_it_is_wanted_and_then_says_that_it_is_upright() {
    for format in [Format::Png, Format::Jpeg, Format::Webp] {
        let job = Job { format: Some(format), ..job(BOX) };
        let (_, files) = made(&job, &pillow("noted-6"));
        assert_eq!(beside(&files[0]).0, None, "{format:?}");
        let (_, files) = made(&Job { keep_metadata: true, ..job }, &pillow("noted-6"));
        let exif = beside(&files[0]).0.unwrap();
        assert!(exif.windows(7).any(|part| part == b"a maker"), "{format:?}");
        assert!(matches!(Orientation::from_exif_chunk(&exif), None | Some(Orientation::NoTransforms)), "{format:?}");
    }
}

/// One colour with a profile, by the way of PNG.
fn profiled(profile: &moxcms::ColorProfile, colour: [u8; 3]) -> Vec<u8> {
    let pixels = image::RgbImage::from_pixel(8, 8, image::Rgb(colour));
    let beside = Beside { profile: Some(profile.encode().unwrap()), exif: None };
    encode::encode(pixels.into(), Format::Png, 90, beside).unwrap()
}

#[test]
fn colours_of_another_profile_are_brought_to_srgb() {
    let file = profiled(&moxcms::ColorProfile::new_display_p3(), [200, 100, 50]);
    let (told, files) = made(&job(BOX), &file);
    assert!(told.notes.is_empty() && beside(&files[0]).1.is_none());
    // By the matrices of both, computed apart from any library.
    let expected = [215, 93, 31];
    let got = load(&files[0]).to_rgb8().get_pixel(4, 4).0;
    assert!(got.iter().zip(expected).all(|(got, expected)| got.abs_diff(expected) <= 2), "{got:?}");
}

#[test]
fn shades_of_another_profile_are_brought_to_srgb() {
    let profile = moxcms::ColorProfile::new_gray_with_gamma(1.8);
    let of = |pixels: DynamicImage| {
        let beside = Beside { profile: Some(profile.encode().unwrap()), exif: None };
        encode::encode(pixels, Format::Png, 100, beside).unwrap()
    };
    let alpha = image::GrayAlphaImage::from_pixel(10, 10, image::LumaA([128, 77]));
    let (told, files) = made(&job(BOX), &of(alpha.into()));
    let pixels = image::load_from_memory(&files[0]).unwrap();
    // (128 / 255) ^ 1.8 is 0.289, which sRGB writes as 147.
    let pixel = pixels.as_luma_alpha8().unwrap().get_pixel(5, 5).0;
    assert!(pixel[0].abs_diff(147) <= 1 && pixel[1] == 77 && told.notes.is_empty(), "{pixel:?} {:?}", told.notes);
    let sixteen = image::ImageBuffer::<image::Luma<u16>, Vec<u16>>::from_pixel(10, 10, image::Luma([128 * 257]));
    let (_, files) = made(&job(BOX), &of(sixteen.into()));
    let pixels = image::load_from_memory(&files[0]).unwrap();
    let shade = pixels.as_luma16().unwrap().get_pixel(5, 5)[0];
    assert!(shade.abs_diff(147 * 257) <= 257, "{shade}");
    // On colours it is one of another kind.
    let (told, files) = made(&job(BOX), &of(image::RgbImage::from_pixel(10, 10, image::Rgb([9, 128, 7])).into()));
    assert_eq!(told.notes, ["its colour profile is not one of red, green and blue: the colours are left as they are"]);
    assert_eq!(image::load_from_memory(&files[0]).unwrap().into_rgb8().get_pixel(5, 5).0, [9, 128, 7]);
}

#[test]
fn a_profile_that_is_kept_goes_with_the_same_numbers() {
    let profile = moxcms::ColorProfile::new_display_p3();
    for format in [Format::Png, Format::Webp, Format::Jpeg] {
        let keep = Job { keep_profile: true, format: Some(format), quality: 100, ..job(BOX) };
        let (_, files) = made(&keep, &profiled(&profile, [200, 100, 50]));
        assert_eq!(beside(&files[0]).1, Some(profile.encode().unwrap()), "{format:?}");
        let got = load(&files[0]).to_rgb8().get_pixel(4, 4).0;
        assert!(got.iter().zip([200, 100, 50]).all(|(got, expected)| got.abs_diff(expected) <= 2), "{got:?}");
    }
}

#[test]
fn a_profile_that_is_none_is_told_and_left_out() {
    let pixels = image::RgbImage::from_pixel(8, 8, image::Rgb([1, 2, 3]));
    let beside_it = Beside { profile: Some(b"no profile".to_vec()), exif: None };
    let file = encode::encode(pixels.into(), Format::Png, 90, beside_it).unwrap();
    let (told, files) = made(&Job { keep_profile: true, ..job(BOX) }, &file);
    assert_eq!(told.notes, ["its colour profile cannot be read: the colours are left as they are"]);
    assert_eq!((load(&files[0]).to_rgb8().get_pixel(0, 0).0, beside(&files[0]).1), ([1, 2, 3], None));
}

#[test]
fn what_would_become_too_large_is_refused_by_the_header() {
    let shape = Shape { width: 10_000, height: 10_000, enlarge: true, ..BOX };
    let wide = Shape { fit: Fitting::Exact, ..shape };
    assert_eq!(begin(job(wide), Bytes::new(), pillow("plain").into()).err().unwrap().code, "too_large");
    assert_eq!(begin(job(shape), Bytes::new(), pillow("plain").into()).err().unwrap().code, "too_large");
    assert!(begin(job(Shape { enlarge: false, ..shape }), Bytes::new(), pillow("plain").into()).is_ok());
}

/// Lights, edges and fine lines.
fn scene() -> DynamicImage {
    let pixels = image::RgbImage::from_fn(803, 605, |x, y| {
        let disc = (x as i32 - 500).pow(2) + (y as i32 - 200).pow(2) < 150 * 150;
        let line = (x + 2 * y) % 37 < 4;
        image::Rgb([(x / 4) as u8, if disc { 220 } else { (y / 3) as u8 }, if line { 90 } else { 160 }])
    });
    pixels.into()
}

/// What is between two pictures, in dB; 40 and more is not seen.
fn likeness(ours: &DynamicImage, theirs: &DynamicImage) -> f64 {
    assert_eq!((ours.dimensions(), ours.color()), (theirs.dimensions(), theirs.color()));
    let squares = ours.as_bytes().iter().zip(theirs.as_bytes()).map(|(a, b)| f64::from(a.abs_diff(*b)).powi(2));
    10.0 * (255.0 * 255.0 / (squares.sum::<f64>() / ours.as_bytes().len() as f64)).log10()
}

#[test]
fn a_jpeg_that_is_decoded_smaller_comes_out_as_one_that_is_not() {
    for (orientation, grey) in (1..=8).map(|orientation| (orientation, orientation % 2 == 0)) {
        let exif =
            [&b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0"[..], &[orientation, 0, 0, 0, 0, 0, 0, 0]].concat();
        let beside = Beside { exif: Some(exif), profile: None };
        let scene = if grey { scene().into_luma8().into() } else { scene() };
        let jpeg = encode::encode(scene, Format::Jpeg, 95, beside.clone()).unwrap();
        let png = encode::encode(load(&jpeg), Format::Png, 95, beside).unwrap();
        let cut = Shape { width: 61, height: 80, fit: Fitting::Fill, gravity: Gravity::TopRight, enlarge: false };
        for shape in [Shape { width: 150, height: 150, ..BOX }, Shape { width: 50, height: 50, ..BOX }, cut] {
            let (from_jpeg, from_png) = (made(&job(shape), &jpeg), made(&job(shape), &png));
            assert_eq!(from_jpeg.0.original.width, from_png.0.original.width);
            let likeness = likeness(&load(&from_jpeg.1[0]), &load(&from_png.1[0]));
            assert!(likeness > 38.0, "orientation {orientation}, {shape:?}: {likeness:.1} dB");
        }
    }
}
