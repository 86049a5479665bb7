//! A text or a picture laid on a picture.

use super::encode::eight_bits;
use super::params::{Fitting, Gravity};
use super::picture::{self, Refused, refused};
use super::room::Room;
use super::shape::{Shape, Turn};
use ab_glyph::{Font, FontRef, GlyphId, PxScale, ScaleFont, point};
use bytes::Bytes;
use image::metadata::Orientation;
use image::{DynamicImage, Rgba, RgbaImage, imageops};
use serde::{Deserialize, Serialize};

/// DejaVu Sans: Latin, Greek, Cyrillic, Arabic, Hebrew letters and many signs, with a licence that lets it go along.
const FONT: &[u8] = include_bytes!("font/DejaVuSans.ttf");
/// What lies between a mark and the edges, as a part of the shorter side.
const MARGIN: u32 = 40;
/// The size at which a text is measured.
const MEASURE: f32 = 100.0;

/// What is laid on, and how.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Watermark {
    /// A line of text; when absent the picture that goes with the job.
    pub text: Option<String>,
    /// Where.
    pub place: Gravity,
    /// 1 to 100: what is not seen through.
    pub opacity: u8,
    /// 1 to 100: its width, as a part of the picture's.
    pub size: u8,
}

/// The first character of a text that the font does not have.
pub fn unknown(text: &str) -> Option<char> {
    let font = font().ok()?;
    text.chars().find(|c| font.glyph_id(*c) == GlyphId(0))
}

/// The picture that is to be laid on.
pub fn load(file: Bytes) -> Result<DynamicImage, Refused> {
    let picture = picture::decode(picture::open(file)?, 1.0, &mut Room::default())?;
    Ok(eight_bits(picture.pixels).into_rgba8().into())
}

/// Lays it on. Where the picture has 16 bits a channel, or is grey, it has 8 and colours then.
pub fn lay_on(
    pixels: DynamicImage,
    watermark: &Watermark,
    mark: Option<&DynamicImage>,
) -> Result<DynamicImage, Refused> {
    let (width, height) = (pixels.width(), pixels.height());
    let margin = width.min(height) / MARGIN;
    let most = (width.saturating_sub(2 * margin).max(1), height.saturating_sub(2 * margin).max(1));
    let wide = (u64::from(width) * u64::from(watermark.size) / 100).clamp(1, most.0.into()) as u32;
    let mut mark = match (&watermark.text, mark) {
        (Some(text), _) => written(text, wide, most.1)?,
        (None, Some(mark)) => fitted(mark, wide, most.1)?,
        (None, None) => return Ok(pixels),
    };
    let opacity = u32::from(watermark.opacity);
    mark.pixels_mut().for_each(|pixel| pixel[3] = (u32::from(pixel[3]) * opacity / 100) as u8);
    let (left, upper) = watermark.place.share();
    let at = |most: u32, side: u32, share: f64| {
        i64::from(margin) + (f64::from(most.saturating_sub(side)) * share).round() as i64
    };
    let (x, y) = (at(most.0, mark.width(), left), at(most.1, mark.height(), upper));
    if pixels.color().has_alpha() {
        let mut pixels = pixels.into_rgba8();
        imageops::overlay(&mut pixels, &mark, x, y);
        return Ok(pixels.into());
    }
    let mut pixels = pixels.into_rgb8();
    for (dx, dy, from) in mark.enumerate_pixels() {
        let (x, y) = (x as u32 + dx, y as u32 + dy);
        if let Some(to) = pixels.get_pixel_mut_checked(x, y) {
            let alpha = u32::from(from[3]);
            for channel in 0..3 {
                let sum = u32::from(from[channel]) * alpha + u32::from(to[channel]) * (255 - alpha);
                to[channel] = ((sum + 127) / 255) as u8;
            }
        }
    }
    Ok(pixels.into())
}

/// The mark, as wide as that unless it became higher than that.
fn fitted(mark: &DynamicImage, width: u32, height: u32) -> Result<RgbaImage, Refused> {
    let shape = Shape { width, height, fit: Fitting::Fit, gravity: Gravity::Center, enlarge: true };
    Ok(shape.apply(mark, Turn::new(Orientation::NoTransforms, 0))?.into_rgba8())
}

/// A line of text, white with a dark shadow, so that it is seen on anything.
fn written(text: &str, width: u32, height: u32) -> Result<RgbaImage, Refused> {
    let font = font()?;
    let wide = advance(&font, text, MEASURE).max(1.0);
    // Room for the shadow, and for what a letter reaches beyond its own width.
    let size = (MEASURE * width as f32 / (wide + MEASURE * 0.15)).min(height as f32 / 1.25).max(1.0);
    let shadow = (size / 24.0).max(1.0);
    let mut mark = RgbaImage::new(width, ((size * 1.25).ceil() as u32).clamp(1, height));
    draw(&mut mark, &font, text, size, (shadow + size * 0.05, shadow), [0, 0, 0]);
    draw(&mut mark, &font, text, size, (size * 0.05, 0.0), [255, 255, 255]);
    Ok(mark)
}

fn advance(font: &FontRef<'_>, text: &str, size: f32) -> f32 {
    let scaled = font.as_scaled(PxScale::from(size));
    text.chars().map(|c| scaled.h_advance(scaled.glyph_id(c))).sum()
}

fn draw(mark: &mut RgbaImage, font: &FontRef<'_>, text: &str, size: f32, from: (f32, f32), colour: [u8; 3]) {
    let scaled = font.as_scaled(PxScale::from(size));
    let mut at = from.0;
    for c in text.chars() {
        let id = scaled.glyph_id(c);
        let glyph = id.with_scale_and_position(size, point(at, from.1 + scaled.ascent()));
        at += scaled.h_advance(id);
        let Some(outline) = font.outline_glyph(glyph) else { continue };
        let bounds = outline.px_bounds();
        outline.draw(|x, y, cover| {
            let (x, y) = (bounds.min.x as i64 + i64::from(x), bounds.min.y as i64 + i64::from(y));
            let inside = (0..i64::from(mark.width())).contains(&x) && (0..i64::from(mark.height())).contains(&y);
            if inside {
                let [red, green, blue] = colour;
                let alpha = (cover.clamp(0.0, 1.0) * 255.0) as u8;
                image::Pixel::blend(mark.get_pixel_mut(x as u32, y as u32), &Rgba([red, green, blue, alpha]));
            }
        });
    }
}

fn font() -> Result<FontRef<'static>, Refused> {
    FontRef::try_from_slice(FONT).map_err(|error| refused("unencodable", &error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::RgbImage;

    fn on_grey(watermark: &Watermark, mark: Option<&DynamicImage>) -> RgbImage {
        let pixels = RgbImage::from_pixel(400, 300, image::Rgb([100, 100, 100]));
        lay_on(pixels.into(), watermark, mark).unwrap().into_rgb8()
    }

    /// The box of all that is not grey any more: left, top, right, bottom.
    fn changed(pixels: &RgbImage) -> (u32, u32, u32, u32) {
        let there = pixels.enumerate_pixels().filter(|(_, _, pixel)| pixel.0 != [100, 100, 100]);
        there.fold((u32::MAX, u32::MAX, 0, 0), |(left, top, right, bottom), (x, y, _)| {
            (left.min(x), top.min(y), right.max(x), bottom.max(y))
        })
    }

    #[test]
    fn a_picture_is_laid_on_where_it_is_wanted_as_thick_as_it_is_wanted() {
        let mark: DynamicImage = RgbImage::from_pixel(10, 10, image::Rgb([200, 0, 0])).into();
        let watermark = Watermark { text: None, place: Gravity::BottomRight, opacity: 50, size: 25 };
        let pixels = on_grey(&watermark, Some(&mark));
        assert_eq!(changed(&pixels), (293, 193, 392, 292));
        assert!(pixels.get_pixel(340, 240).0.iter().zip([150, 50, 50]).all(|(is, should)| is.abs_diff(should) <= 1));
    }

    #[test]
    fn a_text_has_the_width_it_was_given_and_stays_inside() {
        for (text, place, size) in [
            ("© Ærø Ωμ Жук", Gravity::TopLeft, 50),
            ("i", Gravity::Center, 100),
            ("x".repeat(100).as_str(), Gravity::Top, 1),
        ] {
            let watermark = Watermark { text: Some(text.to_owned()), place, opacity: 100, size };
            let (left, top, right, bottom) = changed(&on_grey(&watermark, None));
            assert!(left >= 7 && top >= 7 && right <= 393 && bottom <= 293, "{text}: {left} {top} {right} {bottom}");
            if size == 50 {
                assert!((180..=200).contains(&(right - left)), "{left} {right}");
            }
        }
    }

    #[test]
    fn what_the_font_does_not_have_is_known() {
        assert_eq!((unknown("Größe Ωμέγα Жук"), unknown("a漢")), (None, Some('漢')));
    }
}
