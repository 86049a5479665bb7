//! From the pixels of a file to those that are wanted: cut, resized in one pass and turned.

use super::params::{Fitting, Gravity};
use super::picture::{Refused, refused};
use fast_image_resize::{ResizeOptions, Resizer};
use image::DynamicImage;
use image::metadata::Orientation;
use serde::{Deserialize, Serialize};

/// How a picture is to come out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shape {
    /// The width of the box.
    pub width: u32,
    /// Its height.
    pub height: u32,
    /// How the picture is fitted into it.
    pub fit: Fitting,
    /// What stays of it, where it is cut.
    pub gravity: Gravity,
    /// Whether `fit` may make it larger.
    pub enlarge: bool,
}

/// How pixels are turned: by quarters to the right, mirrored, and by quarters again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Turn {
    first: u8,
    mirror: bool,
    then: u8,
}

/// A part of a picture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Part {
    /// From the left.
    pub x: f64,
    /// From the top.
    pub y: f64,
    /// How wide it is.
    pub width: f64,
    /// How high it is.
    pub height: f64,
}

impl Shape {
    /// What is cut out of an upright picture of that size, and the size it gets: never 0, whatever its proportions.
    pub fn plan(&self, width: u32, height: u32) -> (Part, (u32, u32)) {
        let (wide, high) = (f64::from(width), f64::from(height));
        let whole = Part { x: 0.0, y: 0.0, width: wide, height: high };
        let (across, down) = (f64::from(self.width) / wide, f64::from(self.height) / high);
        let (left, upper) = self.gravity.share();
        match self.fit {
            Fitting::Exact => (whole, (self.width, self.height)),
            Fitting::Fit => {
                let scale = if self.enlarge { across.min(down) } else { across.min(down).min(1.0) };
                let side = |side: f64, most: u32| ((side * scale).round() as u32).clamp(1, most.max(1));
                (whole, (side(wide, self.width), side(high, self.height)))
            }
            Fitting::Fill => {
                let scale = across.max(down);
                let (cut_width, cut_height) = (f64::from(self.width) / scale, f64::from(self.height) / scale);
                let (cut_width, cut_height) = (cut_width.min(wide), cut_height.min(high));
                let (x, y) = ((wide - cut_width) * left, (high - cut_height) * upper);
                (Part { x, y, width: cut_width, height: cut_height }, (self.width, self.height))
            }
            Fitting::Crop => {
                let (cut_width, cut_height) = (self.width.min(width), self.height.min(height));
                let x = (f64::from(width - cut_width) * left).floor();
                let y = (f64::from(height - cut_height) * upper).floor();
                (Part { x, y, width: cut_width.into(), height: cut_height.into() }, (cut_width, cut_height))
            }
        }
    }

    /// How many times smaller what comes out of an upright picture of that size is than what goes into it.
    pub fn times(&self, width: u32, height: u32) -> f64 {
        let (part, size) = self.plan(width, height);
        (part.width / f64::from(size.0)).min(part.height / f64::from(size.1))
    }

    /// Cuts, resizes and turns.
    pub fn apply(&self, pixels: &DynamicImage, turn: Turn) -> Result<DynamicImage, Refused> {
        self.apply_shrunk(pixels, (pixels.width(), pixels.height()), 1, turn, &mut Resizer::new())
    }

    /// The same for a picture of that size whose pixels are `shrunk` already, as often.
    pub fn apply_shrunk(
        &self,
        pixels: &DynamicImage,
        stored: (u32, u32),
        shrunk: u32,
        turn: Turn,
        resizer: &mut Resizer,
    ) -> Result<DynamicImage, Refused> {
        let (width, height) = turn.size(stored);
        let (part, size) = self.plan(width, height);
        // Turned at the end, when there are fewer pixels: what to cut is looked for in the file's own direction.
        let (part, size) = (turn.undo(part, stored).shrunk(shrunk.into()), turn.size(size));
        let whole = Part { x: 0.0, y: 0.0, width: stored.0.into(), height: stored.1.into() };
        if size == (part.width as u32, part.height as u32) && part.x.fract() == 0.0 && part.y.fract() == 0.0 {
            if part == whole {
                return Ok(turn.apply(pixels.clone()));
            }
            return Ok(turn.apply(pixels.crop_imm(part.x as u32, part.y as u32, size.0, size.1)));
        }
        let mut smaller = DynamicImage::new(size.0, size.1, pixels.color());
        // It multiplies and divides by alpha itself, so that invisible colours do not bleed.
        let options = ResizeOptions::new().crop(part.x, part.y, part.width, part.height);
        let resized = resizer.resize(pixels, &mut smaller, &options);
        resized.map_err(|error| refused("undecodable", &error.to_string()))?;
        Ok(turn.apply(smaller))
    }
}

impl Part {
    fn shrunk(self, by: f64) -> Part {
        Part { x: self.x / by, y: self.y / by, width: self.width / by, height: self.height / by }
    }
}

impl Turn {
    /// Upright as the camera noted, then by so many degrees to the right.
    pub fn new(noted: Orientation, degrees: u16) -> Turn {
        let (first, mirror) = match noted {
            Orientation::NoTransforms => (0, false),
            Orientation::Rotate90 => (1, false),
            Orientation::Rotate180 => (2, false),
            Orientation::Rotate270 => (3, false),
            Orientation::FlipHorizontal => (0, true),
            Orientation::Rotate90FlipH => (1, true),
            Orientation::FlipVertical => (2, true),
            Orientation::Rotate270FlipH => (3, true),
        };
        Turn { first, mirror, then: (degrees / 90 % 4) as u8 }
    }

    /// The size after it of what has that size before it, and the other way round.
    pub fn size(self, (width, height): (u32, u32)) -> (u32, u32) {
        if (self.first + self.then) % 2 == 1 { (height, width) } else { (width, height) }
    }

    fn apply(self, pixels: DynamicImage) -> DynamicImage {
        let pixels = quarters(pixels, self.first);
        let pixels = if self.mirror { pixels.fliph() } else { pixels };
        quarters(pixels, self.then)
    }

    /// Where a part of the turned picture is in the one of that size that was turned.
    fn undo(self, mut part: Part, stored: (u32, u32)) -> Part {
        let between = if self.first % 2 == 1 { (stored.1, stored.0) } else { stored };
        let mut size = self.size(stored);
        for _ in 0..self.then {
            (part, size) = back(part, size);
        }
        if self.mirror {
            part.x = f64::from(between.0) - part.x - part.width;
        }
        for _ in 0..self.first {
            (part, size) = back(part, size);
        }
        part
    }
}

fn quarters(pixels: DynamicImage, quarters: u8) -> DynamicImage {
    match quarters {
        1 => pixels.rotate90(),
        2 => pixels.rotate180(),
        3 => pixels.rotate270(),
        _ => pixels,
    }
}

/// A part of a picture of that size before its last quarter turn to the right.
fn back(part: Part, (width, height): (u32, u32)) -> (Part, (u32, u32)) {
    let x = part.y;
    let y = f64::from(width) - part.x - part.width;
    (Part { x, y, width: part.height, height: part.width }, (height, width))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOX: Shape = Shape { width: 100, height: 100, fit: Fitting::Fit, gravity: Gravity::Center, enlarge: false };

    fn size(shape: Shape, width: u32, height: u32) -> (u32, u32) {
        shape.plan(width, height).1
    }

    #[test]
    fn the_whole_picture_fits_and_is_not_enlarged() {
        assert_eq!(size(BOX, 400, 200), (100, 50));
        assert_eq!(size(BOX, 40, 20), (40, 20));
        assert_eq!(size(Shape { enlarge: true, ..BOX }, 40, 20), (100, 50));
        assert_eq!(size(BOX, 16_000, 1), (100, 1));
        assert_eq!(size(Shape { fit: Fitting::Fill, ..BOX }, 40, 20), (100, 100));
        assert_eq!(size(Shape { fit: Fitting::Crop, ..BOX }, 400, 20), (100, 20));
    }

    #[test]
    fn gravity_says_what_stays_of_a_picture() {
        let part = |gravity| {
            let shape = Shape { fit: Fitting::Crop, gravity, ..BOX };
            let part = shape.plan(301, 201).0;
            (part.x, part.y)
        };
        assert_eq!(part(Gravity::Center), (100.0, 50.0));
        assert_eq!(part(Gravity::TopLeft), (0.0, 0.0));
        assert_eq!(part(Gravity::BottomRight), (201.0, 101.0));
        assert_eq!((part(Gravity::Left), part(Gravity::Bottom)), ((0.0, 50.0), (100.0, 101.0)));
    }

    #[test]
    fn filling_cuts_as_little_as_it_can() {
        let part = Shape { width: 50, fit: Fitting::Fill, ..BOX }.plan(300, 100).0;
        assert_eq!(part, Part { x: 125.0, y: 0.0, width: 50.0, height: 100.0 });
    }

    #[test]
    fn invisible_colours_do_not_bleed() {
        let mut pixels = image::RgbaImage::from_pixel(200, 200, image::Rgba([255, 0, 0, 0]));
        (0..200).for_each(|y| (0..100).for_each(|x| pixels.put_pixel(x, y, image::Rgba([0, 0, 255, 255]))));
        let resized = BOX.apply(&pixels.into(), Turn::new(Orientation::NoTransforms, 0)).unwrap();
        assert!(resized.as_rgba8().unwrap().pixels().all(|pixel| pixel[3] == 0 || pixel[0] == 0));
    }
}
