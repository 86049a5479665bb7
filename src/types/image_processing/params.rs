//! What may be asked for.

use super::super::schema;
use super::picture::MAX_PIXELS;
use super::shape::Shape;
use super::watermark::{self, Watermark};
use super::work::Job;
use crate::task::text::FieldError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// No box is wider or higher.
const MAX_BOX_SIDE: u32 = 10_000;

/// What it takes: the user's pictures where there are `file_ids`.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum Params {
    /// Pictures of its own making.
    Made(Made),
    /// The user's.
    Own(Own),
}

/// Pictures of its own making.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Made {
    /// How many pictures to draw.
    #[schemars(range(min = 1, max = 20))]
    pub num_images: u32,
    /// The width they get.
    #[schemars(range(min = 100, max = 2000))]
    pub target_width: u32,
    /// The height they get.
    #[schemars(range(min = 100, max = 2000))]
    pub target_height: u32,
}

impl Default for Made {
    fn default() -> Made {
        Made { num_images: 3, target_width: 800, target_height: 600 }
    }
}

/// The user's own pictures: PNG, JPEG, WebP, GIF, BMP or TIFF, the first picture of each file. They
/// are turned upright as their camera noted.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Own {
    /// The pictures, uploaded before.
    #[schemars(with = "Vec<schema::FileId>", length(min = 1, max = 200))]
    pub file_ids: Vec<Uuid>,
    /// The width of the box they go into.
    #[serde(default = "default_width")]
    #[schemars(range(min = 1, max = 10000))]
    pub target_width: u32,
    /// Its height.
    #[serde(default = "default_height")]
    #[schemars(range(min = 1, max = 10000))]
    pub target_height: u32,
    /// `fit` keeps the whole picture inside the box, `fill` makes it fill the box and cuts off what is over, `exact`
    /// stretches it, `crop` cuts the box out of it without resizing.
    #[serde(default)]
    pub fit: Fitting,
    /// What stays of a picture that `fill` or `crop` cuts.
    #[serde(default)]
    pub gravity: Gravity,
    /// Several boxes, as `1600x1200`, in place of `target_width` and `target_height`: each picture comes out in each of them.
    /// A side is 1 to 10000.
    #[serde(default)]
    #[schemars(length(max = 10), inner(regex(pattern = r"^[1-9][0-9]{0,4}x[1-9][0-9]{0,4}$")), extend("uniqueItems" = true))]
    pub sizes: Vec<String>,
    /// Whether `fit` may make a small picture larger.
    #[serde(default)]
    pub enlarge: bool,
    /// How far it is turned to the right, in degrees, after it was turned upright.
    #[serde(default)]
    #[schemars(extend("enum" = [0, 90, 180, 270]))]
    pub rotate: u16,
    /// Whether it comes out in shades of grey.
    #[serde(default)]
    pub grayscale: bool,
    /// The format to write; when absent that of the file, or PNG where that is none of these.
    pub format: Option<Format>,
    /// How faithful a JPEG or an AVIF is. PNG and WebP are written without loss.
    #[serde(default = "default_quality")]
    #[schemars(range(min = 1, max = 100))]
    pub quality: u8,
    /// `drop` leaves out what the camera noted, its place too; `keep` takes all of that (EXIF) along.
    #[serde(default)]
    pub metadata: Metadata,
    /// `srgb` brings the colours of a picture with a colour profile to sRGB, which every viewer shows right; `keep` leaves
    /// them and takes the profile along.
    #[serde(default)]
    pub profile: Profile,
    /// Of a GIF that moves: `first` takes its first picture; `all` resizes each of them, at most 100, and writes a GIF
    /// whatever `format` says.
    #[serde(default)]
    pub frames: Frames,
    /// A line of text to lay on each picture.
    #[schemars(length(min = 1, max = 100))]
    pub watermark_text: Option<String>,
    /// A picture to lay on each picture, of at most 10 MiB, in place of a text.
    #[schemars(with = "Option<schema::FileId>")]
    pub watermark_file_id: Option<Uuid>,
    /// Where it is laid.
    #[serde(default = "default_position")]
    pub watermark_position: Gravity,
    /// How much of it is not seen through, in percent.
    #[serde(default = "default_opacity")]
    #[schemars(range(min = 1, max = 100))]
    pub watermark_opacity: u8,
    /// Its width, in percent of the picture's.
    #[serde(default = "default_mark_size")]
    #[schemars(range(min = 1, max = 100))]
    pub watermark_size: u8,
    /// Whether all pictures, small, come on one page as well: `contact-sheet.jpg`.
    #[serde(default)]
    pub contact_sheet: bool,
}

impl Own {
    /// What of them the schema cannot say.
    pub fn check(&self) -> Vec<FieldError> {
        let mut errors = Vec::new();
        for (at, size) in self.sizes.iter().enumerate() {
            match side_by_side(size) {
                Some((width, height)) if width.max(height) <= MAX_BOX_SIDE => {
                    self.check_pixels(width, height, &format!("/sizes/{at}"), &mut errors);
                }
                _ => {
                    errors.push(FieldError::new(format!("/sizes/{at}"), "must have sides of 1 to 10000, as 1600x1200"))
                }
            }
        }
        if self.sizes.is_empty() {
            self.check_pixels(self.target_width, self.target_height, "/target_width", &mut errors);
        }
        if self.contact_sheet && self.format == Some(Format::Avif) {
            // It is made of what came out.
            errors.push(FieldError::new(
                "/contact_sheet",
                "must not be true where the format is avif, which is not read",
            ));
        }
        if let Some(text) = &self.watermark_text {
            if self.watermark_file_id.is_some() {
                let detail = "must not be given together with watermark_file_id";
                errors.push(FieldError::new("/watermark_text", detail));
            }
            if let Some(unknown) = watermark::unknown(text) {
                let detail = format!("has {unknown:?}, which the font does not have");
                errors.push(FieldError::new("/watermark_text", detail));
            }
        }
        errors
    }

    /// A picture is stretched or made to fill the box whatever its size.
    fn check_pixels(&self, width: u32, height: u32, pointer: &str, errors: &mut Vec<FieldError>) {
        let always = matches!(self.fit, Fitting::Fill | Fitting::Exact);
        if always && u64::from(width) * u64::from(height) > MAX_PIXELS {
            errors.push(FieldError::new(pointer, "makes more than 50 million pixels"));
        }
    }

    /// What is done with each picture.
    pub fn job(&self) -> Job {
        let mut boxes: Vec<_> = self.sizes.iter().filter_map(|size| side_by_side(size)).collect();
        if boxes.is_empty() {
            boxes.push((self.target_width, self.target_height));
        }
        let (fit, gravity, enlarge) = (self.fit, self.gravity, self.enlarge);
        Job {
            shapes: boxes.into_iter().map(|(width, height)| Shape { width, height, fit, gravity, enlarge }).collect(),
            rotate: self.rotate,
            grayscale: self.grayscale,
            keep_metadata: self.metadata == Metadata::Keep,
            keep_profile: self.profile == Profile::Keep,
            format: self.format,
            quality: self.quality,
            all_frames: self.frames == Frames::All,
            watermark: self.watermark(),
        }
    }
}

impl Own {
    fn watermark(&self) -> Option<Watermark> {
        if self.watermark_text.is_none() && self.watermark_file_id.is_none() {
            return None;
        }
        let (place, opacity, size) = (self.watermark_position, self.watermark_opacity, self.watermark_size);
        Some(Watermark { text: self.watermark_text.clone(), place, opacity, size })
    }
}

/// `1600x1200` as numbers.
fn side_by_side(size: &str) -> Option<(u32, u32)> {
    let (width, height) = size.split_once('x')?;
    Some((width.parse().ok()?, height.parse().ok()?))
}

/// How a picture goes into the box.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Fitting {
    #[default]
    Fit,
    Fill,
    Exact,
    Crop,
}

/// A place in a picture.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Gravity {
    TopLeft,
    Top,
    TopRight,
    Left,
    #[default]
    Center,
    Right,
    BottomLeft,
    Bottom,
    BottomRight,
}

impl Gravity {
    /// How much of what is over lies to the left, and above.
    pub fn share(self) -> (f64, f64) {
        let place = self as usize;
        ([0.0, 0.5, 1.0][place % 3], [0.0, 0.5, 1.0][place / 3])
    }
}

/// What becomes of what the camera noted.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Metadata {
    #[default]
    Drop,
    Keep,
}

/// What is taken of a GIF that moves.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Frames {
    #[default]
    First,
    All,
}

/// What becomes of a colour profile.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    #[default]
    Srgb,
    Keep,
}

/// What is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    Png,
    Jpeg,
    Webp,
    Avif,
    /// Only of one that moves.
    #[schemars(skip)]
    Gif,
}

impl Format {
    /// Its name, also of its media type behind `image/`.
    pub fn word(self) -> &'static str {
        ["png", "jpeg", "webp", "avif", "gif"][self as usize]
    }

    /// How the names of its files end.
    pub fn extension(self) -> &'static str {
        ["png", "jpg", "webp", "avif", "gif"][self as usize]
    }
}

fn default_width() -> u32 {
    Made::default().target_width
}

fn default_height() -> u32 {
    Made::default().target_height
}

fn default_position() -> Gravity {
    Gravity::BottomRight
}

fn default_opacity() -> u8 {
    50
}

fn default_mark_size() -> u8 {
    25
}

fn default_quality() -> u8 {
    85
}
