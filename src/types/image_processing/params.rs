//! What may be asked for.

use super::super::schema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

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
/// are turned upright as their camera noted; camera data, place and other metadata are left out.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Own {
    /// The pictures, uploaded before.
    #[schemars(with = "Vec<schema::FileId>", length(min = 1, max = 100))]
    pub file_ids: Vec<Uuid>,
    /// The width of the box they go into.
    #[serde(default = "default_width")]
    #[schemars(range(min = 1, max = 10000))]
    pub target_width: u32,
    /// Its height.
    #[serde(default = "default_height")]
    #[schemars(range(min = 1, max = 10000))]
    pub target_height: u32,
    /// `fit` keeps the whole picture inside the box, `fill` crops it to the box, `exact` stretches it.
    #[serde(default)]
    pub fit: Fitting,
    /// Whether `fit` may make a small picture larger.
    #[serde(default)]
    pub enlarge: bool,
    /// The format to write; when absent that of the file, or PNG where that is none of these.
    pub format: Option<Format>,
    /// How faithful a JPEG is. PNG and WebP are written without loss.
    #[serde(default = "default_quality")]
    #[schemars(range(min = 1, max = 100))]
    pub quality: u8,
}

/// How a picture goes into the box.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Fitting {
    #[default]
    Fit,
    Fill,
    Exact,
}

/// What is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    Png,
    Jpeg,
    Webp,
}

impl Format {
    /// Its name, also of its media type behind `image/`.
    pub fn word(self) -> &'static str {
        ["png", "jpeg", "webp"][self as usize]
    }

    /// How the names of its files end.
    pub fn extension(self) -> &'static str {
        ["png", "jpg", "webp"][self as usize]
    }
}

fn default_width() -> u32 {
    Made::default().target_width
}

fn default_height() -> u32 {
    Made::default().target_height
}

fn default_quality() -> u8 {
    85
}
