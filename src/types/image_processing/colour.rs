//! What the numbers of pixels mean: colour profiles, and grey.

use image::DynamicImage;
use moxcms::{ColorProfile, DataColorSpace, Layout, TransformOptions};

/// Why colours are as they were: the profile is none.
pub const UNREADABLE: &str = "its colour profile cannot be read: the colours are left as they are";
const OF_ANOTHER_KIND: &str = "its colour profile is not one of red, green and blue: the colours are left as they are";

/// Whether this profile is for pixels of this kind, so that it may go with them.
pub fn fits(profile: &[u8], pixels: &DynamicImage) -> bool {
    let space = ColorProfile::new_from_slice(profile).map(|profile| profile.color_space);
    match space {
        Ok(DataColorSpace::Rgb) => pixels.color().has_color(),
        Ok(DataColorSpace::Gray) => !pixels.color().has_color(),
        _ => false,
    }
}

/// The same colours by sRGB. What is grey stays as it is where its profile is one of colours.
pub fn to_srgb(pixels: DynamicImage, profile: &[u8]) -> (DynamicImage, Option<&'static str>) {
    let Ok(profile) = ColorProfile::new_from_slice(profile) else { return (pixels, Some(UNREADABLE)) };
    match profile.color_space {
        DataColorSpace::Rgb => {}
        DataColorSpace::Gray if pixels.color().has_color() => return (pixels, Some(OF_ANOTHER_KIND)),
        DataColorSpace::Gray => return grey_to_srgb(pixels, &profile),
        _ => return (pixels, Some(OF_ANOTHER_KIND)),
    }
    let srgb = ColorProfile::new_srgb();
    let (mut pixels, options) = (pixels, TransformOptions::default());
    let layout = if pixels.color().has_alpha() { Layout::Rgba } else { Layout::Rgb };
    let done = match &mut pixels {
        DynamicImage::ImageRgb8(_) | DynamicImage::ImageRgba8(_) => {
            profile.create_transform_8bit(layout, &srgb, layout, options).and_then(|transform| match &mut pixels {
                DynamicImage::ImageRgb8(of) => {
                    let from = of.as_raw().clone();
                    transform.transform(&from, of)
                }
                DynamicImage::ImageRgba8(of) => {
                    let from = of.as_raw().clone();
                    transform.transform(&from, of)
                }
                _ => Ok(()),
            })
        }
        DynamicImage::ImageRgb16(_) | DynamicImage::ImageRgba16(_) => {
            profile.create_transform_16bit(layout, &srgb, layout, options).and_then(|transform| match &mut pixels {
                DynamicImage::ImageRgb16(of) => {
                    let from = of.as_raw().clone();
                    transform.transform(&from, of)
                }
                DynamicImage::ImageRgba16(of) => {
                    let from = of.as_raw().clone();
                    transform.transform(&from, of)
                }
                _ => Ok(()),
            })
        }
        _ => Ok(()),
    };
    let note = done.is_err().then_some(UNREADABLE);
    (pixels, note)
}

/// The same shades by sRGB.
fn grey_to_srgb(mut pixels: DynamicImage, profile: &ColorProfile) -> (DynamicImage, Option<&'static str>) {
    let wide = pixels.color().bytes_per_pixel() > pixels.color().channel_count();
    let Some(shades) = shades(profile, if wide { u16::MAX } else { u8::MAX.into() }) else {
        return (pixels, Some(UNREADABLE));
    };
    let eight = |shade: &mut u8| *shade = shades[usize::from(*shade)] as u8;
    let sixteen = |shade: &mut u16| *shade = shades[usize::from(*shade)];
    match &mut pixels {
        DynamicImage::ImageLuma8(of) => of.iter_mut().for_each(eight),
        DynamicImage::ImageLumaA8(of) => of.iter_mut().step_by(2).for_each(eight),
        DynamicImage::ImageLuma16(of) => of.iter_mut().for_each(sixteen),
        DynamicImage::ImageLumaA16(of) => of.iter_mut().step_by(2).for_each(sixteen),
        _ => {}
    }
    (pixels, None)
}

/// What each shade up to this one is by sRGB.
fn shades(profile: &ColorProfile, white: u16) -> Option<Vec<u16>> {
    let (srgb, options) = (ColorProfile::new_srgb(), TransformOptions::default());
    let transform = profile.create_transform_16bit(Layout::Gray, &srgb, Layout::Rgb, options).ok()?;
    let step = u32::from(u16::MAX) / u32::from(white);
    let from: Vec<u16> = (0..=white).map(|shade| (u32::from(shade) * step) as u16).collect();
    let mut to = vec![0; from.len() * 3];
    transform.transform(&from, &mut to).ok()?;
    Some(to.chunks_exact(3).map(|shade| ((u32::from(shade[1]) + step / 2) / step) as u16).collect())
}

/// Shades of grey, by the brightness of ITU-R 601, as most programs have it. Eight bits stay eight, sixteen sixteen.
pub fn grey(pixels: DynamicImage) -> DynamicImage {
    match pixels {
        DynamicImage::ImageRgb8(of) => {
            image::GrayImage::from_fn(of.width(), of.height(), |x, y| image::Luma([bright8(&of.get_pixel(x, y).0)]))
                .into()
        }
        DynamicImage::ImageRgba8(of) => image::GrayAlphaImage::from_fn(of.width(), of.height(), |x, y| {
            let pixel = of.get_pixel(x, y).0;
            image::LumaA([bright8(&pixel), pixel[3]])
        })
        .into(),
        DynamicImage::ImageRgb16(of) => {
            image::ImageBuffer::<image::Luma<u16>, Vec<u16>>::from_fn(of.width(), of.height(), |x, y| {
                image::Luma([bright16(&of.get_pixel(x, y).0)])
            })
            .into()
        }
        DynamicImage::ImageRgba16(of) => {
            image::ImageBuffer::<image::LumaA<u16>, Vec<u16>>::from_fn(of.width(), of.height(), |x, y| {
                let pixel = of.get_pixel(x, y).0;
                image::LumaA([bright16(&pixel), pixel[3]])
            })
            .into()
        }
        grey => grey,
    }
}

/// Of red, green and blue, in parts of 65,536.
const WEIGHTS: [u64; 3] = [19_595, 38_470, 7_471];

fn bright8(pixel: &[u8]) -> u8 {
    let sum: u64 = WEIGHTS.iter().zip(pixel).map(|(weight, part)| weight * u64::from(*part)).sum();
    ((sum + 0x8000) >> 16) as u8
}

fn bright16(pixel: &[u16]) -> u16 {
    let sum: u64 = WEIGHTS.iter().zip(pixel).map(|(weight, part)| weight * u64::from(*part)).sum();
    ((sum + 0x8000) >> 16) as u16
}
