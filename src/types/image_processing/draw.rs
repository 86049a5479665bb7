//! Pictures of our own making, for anyone to try: a gradient and a disc, different for each number.

use image::{DynamicImage, Rgb, RgbImage};

/// The picture of that number.
pub fn picture(number: u32, width: u32, height: u32) -> DynamicImage {
    let (across, down) = (width.max(2) - 1, height.max(2) - 1);
    let hue = [number * 67 % 256, number * 131 % 256, number * 199 % 256];
    let (centre_x, centre_y) = (i64::from(width) * i64::from(number % 5 + 1) / 6, i64::from(height) / 2);
    let radius = i64::from(width.min(height)) / 4;
    let pixels = RgbImage::from_fn(width, height, |x, y| {
        let (right, lower) = (x * 255 / across, y * 255 / down);
        let (dx, dy) = (i64::from(x) - centre_x, i64::from(y) - centre_y);
        if dx * dx + dy * dy < radius * radius {
            return Rgb(hue.map(|channel| (255 - channel) as u8));
        }
        Rgb([(hue[0] + right) as u8 / 2, (hue[1] + lower) as u8 / 2, ((hue[2] + right + lower) / 3) as u8])
    });
    pixels.into()
}
