//! GIFs that move.

use super::params::Format;
use super::parts::gif_frames;
use super::picture::{Refused, refused};
use super::shape::Turn;
use super::work::{Job, Piece};
use bytes::Bytes;
use image::codecs::gif::{GifDecoder, GifEncoder, Repeat};
use image::metadata::Orientation;
use image::{AnimationDecoder, DynamicImage, Frame, ImageError};
use std::io::Cursor;

/// More frames are not resized.
pub const MAX_FRAMES: usize = 100;
/// Nor more pixels of all frames together, of those that come out.
const MAX_PIXELS: u64 = 50_000_000;
/// From 1, the best colours, to 30, the quickest.
const SPEED: i32 = 10;

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
    let (mut written, mut pixels, mut size) = (Vec::new(), 0, (0, 0));
    let mut encoder = GifEncoder::new_with_speed(&mut written, SPEED);
    encoder.set_repeat(Repeat::Infinite).map_err(unencodable)?;
    for (count, frame) in decoder.into_frames().enumerate() {
        let frame = frame.map_err(damaged)?;
        let delay = frame.delay();
        let turn = Turn::new(Orientation::NoTransforms, job.rotate);
        let smaller = job.shapes[at].apply(&frame.into_buffer().into(), turn)?;
        let smaller = job.finish(smaller, mark)?;
        size = (smaller.width(), smaller.height());
        pixels += u64::from(size.0) * u64::from(size.1);
        if count >= MAX_FRAMES || pixels > MAX_PIXELS {
            return Err(too_large());
        }
        encoder.encode_frame(Frame::from_parts(smaller.into_rgba8(), 0, 0, delay)).map_err(unencodable)?;
    }
    drop(encoder);
    let (width, height) = size;
    Ok((Piece { width, height, format: Format::Gif, bytes: written.len() as u64 }, written))
}

fn too_large() -> Refused {
    refused("too_large", "it has more than 100 frames, or more than 50 million pixels in all of them")
}

fn damaged(_: ImageError) -> Refused {
    refused("undecodable", "the file is damaged or cut short")
}

fn unencodable(error: ImageError) -> Refused {
    refused("unencodable", &error.to_string())
}

#[cfg(test)]
mod tests {
    use super::super::params::{Fitting, Gravity};
    use super::super::shape::Shape;
    use super::*;
    use image::{Delay, Rgba, RgbaImage};

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
}
