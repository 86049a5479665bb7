//! GIFs that move.

use super::palette::{self, Reduced};
use super::params::Format;
use super::parts::gif_frames;
use super::picture::{Refused, refused};
use super::shape::Turn;
use super::work::{Job, Piece};
use bytes::Bytes;
use gif::{DisposalMethod, Encoder, EncodingError, Frame, Repeat};
use image::codecs::gif::GifDecoder;
use image::metadata::Orientation;
use image::{AnimationDecoder, DynamicImage, ImageError};
use std::io::Cursor;

/// More frames are not resized.
pub const MAX_FRAMES: usize = 100;
/// Nor more pixels of all frames together, of those that come out.
const MAX_PIXELS: u64 = 50_000_000;

/// Resizes each frame, one at a time in memory, for each of the job's shapes. It then goes on for ever.
pub fn resize(file: &Bytes, job: &Job, mark: Option<&DynamicImage>) -> Result<(Vec<Piece>, Vec<Vec<u8>>), Refused> {
    if gif_frames(file) > MAX_FRAMES {
        return Err(too_large());
    }
    let (mut pieces, mut files) = (Vec::new(), Vec::new());
    for at in 0..job.shapes.len() {
        let (piece, file) = one(file, job, mark, at)?;
        pieces.push(piece);
        files.push(file);
    }
    Ok((pieces, files))
}

fn one(file: &Bytes, job: &Job, mark: Option<&DynamicImage>, at: usize) -> Result<(Piece, Vec<u8>), Refused> {
    let decoder = GifDecoder::new(Cursor::new(file.clone())).map_err(damaged)?;
    let (mut encoder, mut pixels, mut size) = (None, 0, (0, 0));
    for (count, frame) in decoder.into_frames().enumerate() {
        let frame = frame.map_err(damaged)?;
        let (numerator, denominator) = frame.delay().numer_denom_ms();
        let turn = Turn::new(Orientation::NoTransforms, job.rotate);
        let smaller = job.shapes[at].apply(&frame.into_buffer().into(), turn)?;
        let smaller = job.finish(smaller, mark)?.into_rgba8();
        size = smaller.dimensions();
        pixels += u64::from(size.0) * u64::from(size.1);
        if count >= MAX_FRAMES || pixels > MAX_PIXELS {
            return Err(too_large());
        }
        let Reduced { colours, transparent, pixels } = palette::reduce(&smaller);
        // A box has at most 10,000 a side.
        let (width, height) = (size.0 as u16, size.1 as u16);
        let frame = Frame {
            delay: (numerator / denominator / 10).try_into().unwrap_or(u16::MAX),
            // The next one may have holes where this one has none.
            dispose: DisposalMethod::Background,
            transparent,
            width,
            height,
            palette: Some(colours),
            buffer: pixels.into(),
            ..Frame::default()
        };
        let to = match encoder.take() {
            Some(to) => encoder.insert(to),
            None => encoder.insert(begin(width, height).map_err(unencodable)?),
        };
        to.write_frame(&frame).map_err(unencodable)?;
    }
    let encoder = encoder.ok_or_else(|| refused("undecodable", "the file is damaged or cut short"))?;
    let written = encoder.into_inner().map_err(|error| refused("unencodable", &error.to_string()))?;
    let (width, height) = size;
    Ok((Piece { width, height, format: Format::Gif, bytes: written.len() as u64 }, written))
}

fn begin(width: u16, height: u16) -> Result<Encoder<Vec<u8>>, EncodingError> {
    let mut encoder = Encoder::new(Vec::new(), width, height, &[])?;
    encoder.set_repeat(Repeat::Infinite)?;
    Ok(encoder)
}

fn too_large() -> Refused {
    refused("too_large", "it has more than 100 frames, or more than 50 million pixels in all of them")
}

fn damaged(_: ImageError) -> Refused {
    refused("undecodable", "the file is damaged or cut short")
}

fn unencodable(error: EncodingError) -> Refused {
    refused("unencodable", &error.to_string())
}

#[cfg(test)]
mod tests {
    use super::super::params::{Fitting, Gravity};
    use super::super::shape::Shape;
    use super::*;
    use image::codecs::gif::GifEncoder;
    use image::{Delay, Frame, Rgba, RgbaImage};

    fn gif(frames: u8) -> Bytes {
        let mut file = Vec::new();
        let mut encoder = GifEncoder::new(&mut file);
        for frame in 0..frames {
            let pixels = RgbaImage::from_pixel(40, 20, Rgba([frame * 2, 0, 255 - frame * 2, 255]));
            encoder.encode_frame(Frame::from_parts(pixels, 0, 0, Delay::from_numer_denom_ms(50, 1))).unwrap();
        }
        drop(encoder);
        file.into()
    }

    fn job() -> Job {
        let shape = Shape { width: 20, height: 20, fit: Fitting::Fit, gravity: Gravity::Center, enlarge: false };
        Job { shapes: vec![shape], ..Job::default() }
    }

    #[test]
    fn every_frame_comes_out_smaller_and_as_long_as_before() {
        let (pieces, files) = resize(&gif(3), &job(), None).unwrap();
        assert_eq!((pieces[0].width, pieces[0].height), (20, 10));
        let decoder = GifDecoder::new(Cursor::new(Bytes::from(files[0].clone()))).unwrap();
        let frames = decoder.into_frames().collect_frames().unwrap();
        let delays: Vec<_> = frames.iter().map(|frame| frame.delay().numer_denom_ms()).collect();
        assert_eq!(delays, [(50, 1); 3]);
        assert_ne!(frames[0].buffer().get_pixel(5, 5), frames[2].buffer().get_pixel(5, 5));
    }

    #[test]
    fn more_than_a_hundred_frames_are_refused_and_one_does_not_move() {
        assert_eq!(resize(&gif(101), &job(), None).err().unwrap().code, "too_large");
        assert!(resize(&gif(100), &job(), None).is_ok());
        assert_eq!((gif_frames(&gif(1)), gif_frames(&gif(2)), gif_frames(&gif(2).slice(..30))), (1, 2, 1));
    }

    #[test]
    fn a_small_file_of_large_and_many_frames_is_refused_at_once() {
        let began = std::time::Instant::now();
        let one = [&b"\x2c\0\0\0\0\x58\x1b\x58\x1b\0"[..], b"\x02\x02\x44\x01\0"].concat();
        let file = [&b"GIF89a\x58\x1b\x58\x1b\0\0\0"[..], &one.repeat(10_000), b"\x3b"].concat();
        assert_eq!(resize(&file.into(), &job(), None).err().unwrap().code, "too_large");
        assert!(began.elapsed() < std::time::Duration::from_secs(1), "{:?}", began.elapsed());
    }

    #[test]
    fn a_frame_that_is_damaged_is_not_left_out_in_silence() {
        let whole = gif(2);
        assert_eq!(resize(&whole.slice(..whole.len() - 20), &job(), None).err().unwrap().code, "undecodable");
    }

    #[test]
    fn a_shape_on_nothing_has_its_size_and_no_halo() {
        let mut drawn = RgbaImage::new(100, 80);
        let inside = |x: f64, y: f64| (x / 30.0).powi(2) + (y / 20.0).powi(2) <= 1.0;
        for (x, y, pixel) in drawn.enumerate_pixels_mut() {
            if inside(f64::from(x) - 49.5, f64::from(y) - 39.5) {
                *pixel = Rgba([200, 30, 60, 255]);
            }
        }
        let shape = drawn.pixels().filter(|pixel| pixel[3] == 255).count();
        let mut file = Vec::new();
        let mut encoder = GifEncoder::new(&mut file);
        (0..2).for_each(|_| encoder.encode_frame(Frame::new(drawn.clone())).unwrap());
        drop(encoder);
        let half = Shape { width: 50, height: 40, ..job().shapes[0] };
        let (_, files) = resize(&file.into(), &Job { shapes: vec![half], ..Job::default() }, None).unwrap();
        let decoder = GifDecoder::new(Cursor::new(Bytes::from(files[0].clone()))).unwrap();
        for frame in decoder.into_frames().collect_frames().unwrap() {
            let seen: Vec<_> = frame.buffer().pixels().filter(|pixel| pixel[3] > 0).collect();
            // A quarter, as exactly as its edge can be drawn.
            assert!(seen.len().abs_diff(shape / 4) <= 6, "{} of {shape}", seen.len());
            assert!(seen.iter().all(|pixel| pixel[3] == 255 && pixel[0] > 190 && pixel[1] < 40));
        }
    }
}
