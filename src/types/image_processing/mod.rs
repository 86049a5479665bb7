//! `image_processing`: resizes pictures, of its own making or the user's.

mod done;
mod draw;
mod picture;
#[cfg(test)]
mod tests;

use super::{Context, Failure, Input, Level, TaskType, schema};
use crate::files;
use crate::task::Artifact;
use async_trait::async_trait;
use done::Done;
use picture::{Picture, Refused, Wanted};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};
use std::collections::HashSet;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use uuid::Uuid;

/// A larger file is refused: it has to fit in memory beside its pixels.
const MAX_FILE_BYTES: u64 = 100 * 1024 * 1024;
/// As much of a picture's name goes into its artifact's.
const STEM_CHARS: usize = 60;

/// Resizes pictures, one at a time in memory.
pub struct ImageProcessing;

/// What it takes: the user's pictures where there are `file_ids`.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Params {
    Made(Made),
    Own(Own),
}

/// Pictures of its own making.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Made {
    /// How many pictures to draw.
    #[schemars(range(min = 1, max = 20))]
    num_images: u32,
    /// The width they get.
    #[schemars(range(min = 100, max = 2000))]
    target_width: u32,
    /// The height they get.
    #[schemars(range(min = 100, max = 2000))]
    target_height: u32,
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
struct Own {
    /// The pictures, uploaded before.
    #[schemars(with = "Vec<schema::FileId>", length(min = 1, max = 100))]
    file_ids: Vec<Uuid>,
    /// The width of the box they go into.
    #[serde(default = "default_width")]
    #[schemars(range(min = 1, max = 10000))]
    target_width: u32,
    /// Its height.
    #[serde(default = "default_height")]
    #[schemars(range(min = 1, max = 10000))]
    target_height: u32,
    /// `fit` keeps the whole picture inside the box, `fill` crops it to the box, `exact` stretches it.
    #[serde(default)]
    fit: Fitting,
    /// Whether `fit` may make a small picture larger.
    #[serde(default)]
    enlarge: bool,
    /// The format to write; when absent that of the file, or PNG where that is none of these.
    format: Option<Format>,
    /// How faithful a JPEG is. PNG and WebP are written without loss.
    #[serde(default = "default_quality")]
    #[schemars(range(min = 1, max = 100))]
    quality: u8,
}

/// How a picture goes into the box.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize, serde::Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Fitting {
    #[default]
    Fit,
    Fill,
    Exact,
}

/// What is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Format {
    Png,
    Jpeg,
    Webp,
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

#[async_trait]
impl TaskType for ImageProcessing {
    fn name(&self) -> &'static str {
        "image_processing"
    }

    fn description(&self) -> &'static str {
        "Resizes pictures, drawn or your own, and keeps each as a file."
    }

    fn params_schema(&self) -> Value {
        schema::forms(&[("Drawn pictures", schema::of::<Made>()), ("Your own pictures", schema::of::<Own>())])
    }

    fn result_schema(&self) -> Value {
        json!({ "type": "object", "properties": {
            "images_processed": { "type": "integer", "description": "How many came out." },
            "images": { "type": "array", "items": { "type": "object", "properties": {
                "name": { "type": "string" }, "artifact": { "type": "string" }, "width": { "type": "integer" },
                "height": { "type": "integer" }, "format": { "type": "string" }, "bytes": { "type": "integer" },
                "original": { "type": "object" }, "error": { "type": "object", "description": "Why this one did not." },
            } } },
        }, "required": ["images_processed", "images"] })
    }

    fn examples(&self) -> Vec<Value> {
        vec![
            json!({ "num_images": 3, "target_width": 800, "target_height": 600 }),
            json!({ "num_images": 1, "target_width": 200, "target_height": 200 }),
        ]
    }

    async fn run(&self, params: &RawValue, ctx: &Context) -> Result<Box<RawValue>, Failure> {
        let images = match ctx.params(params)? {
            Params::Made(made) => draw_all(&made, ctx).await?,
            Params::Own(own) => resize_all(&own, ctx).await?,
        };
        let processed = images.iter().filter(|image| image.get("error").is_none()).count();
        if processed == 0 {
            let why = images.first().map_or("", |image| image["error"]["message"].as_str().unwrap_or_default());
            return Err(Failure::fatal(
                "no_image_processed",
                format!("no picture could be processed; the first: {why}"),
            ));
        }
        ctx.log(Level::Info, format!("pictures done: {processed} of {}", images.len()));
        ctx.result(&json!({ "images_processed": processed, "images": images }))
    }
}

async fn draw_all(made: &Made, ctx: &Context) -> Result<Vec<Value>, Failure> {
    let size = format!("{} × {}", made.target_width, made.target_height);
    let mut done = Done::open(ctx, made.num_images as usize).await?;
    ctx.log(Level::Info, format!("pictures to draw: {}, of {size}", made.num_images as usize - done.count()));
    for number in done.count() as u32 + 1..=made.num_images {
        let (width, height) = (made.target_width, made.target_height);
        let name = format!("image-{number:02}.png");
        let draw = move |ctx: &Context| {
            // Half as large again in each direction, so that there is something to resize.
            let drawn = draw::picture(number, width * 3 / 2, height * 3 / 2);
            ctx.check()?;
            Ok(picture::encode(drawn, Format::Png, 100))
        };
        let drawn = ctx.blocking(draw).await?.map_err(fatal)?;
        let wanted = Wanted { width, height, fit: Fitting::Exact, enlarge: true, quality: 100 };
        let image = resize_one(drawn, wanted, Some(Format::Png), ctx).await?.map_err(fatal)?;
        let (line, file) = image.keep(&name, name.clone(), ctx).await?;
        done.add(line, Some(file), ctx).await?;
        ctx.progress(number.into(), made.num_images.into(), Some(format!("picture {number} of {}", made.num_images)));
    }
    Ok(done.lines())
}

async fn resize_all(own: &Own, ctx: &Context) -> Result<Vec<Value>, Failure> {
    let (width, height) = (own.target_width, own.target_height);
    let wanted = Wanted { width, height, fit: own.fit, enlarge: own.enlarge, quality: own.quality };
    let total = own.file_ids.len();
    let mut done = Done::open(ctx, total).await?;
    ctx.log(Level::Info, format!("pictures to resize: {}, to {width} × {height}", total - done.count()));
    let mut taken: HashSet<String> = done.files().map(|file| file.name.clone()).collect();
    for (at, id) in own.file_ids.iter().enumerate().skip(done.count()) {
        ctx.check()?;
        ctx.progress(at as i64, total as i64, Some(format!("picture {} of {total}", at + 1)));
        let input = ctx.input(*id)?;
        let name = crate::task::text::clip(&input.name, 200);
        let resized = match load(input, ctx).await? {
            Ok(file) => resize_one(file, wanted, own.format, ctx).await?,
            Err(refused) => Err(refused),
        };
        let (line, file) = match resized {
            Ok(image) => {
                let artifact = artifact_name(&name, &image, &mut taken);
                let (line, file) = image.keep(&name, artifact, ctx).await?;
                (line, Some(file))
            }
            Err(refused) => {
                ctx.log(Level::Warn, format!("{name}: {}", refused.message));
                (json!({ "name": name, "error": { "code": refused.code, "message": refused.message } }), None)
            }
        };
        done.add(line, file, ctx).await?;
    }
    ctx.progress(total as i64, total as i64, None);
    Ok(done.lines())
}

/// The file's bytes; the outer error is the store's, the inner one the file's.
async fn load(input: &Input, ctx: &Context) -> Result<Result<Vec<u8>, Refused>, Failure> {
    if input.bytes > MAX_FILE_BYTES {
        let message = "the file is larger than 100 MiB".to_owned();
        return Ok(Err(Refused { code: "too_large", message }));
    }
    let mut file = Vec::with_capacity(input.bytes as usize);
    let reader = ctx.read(input, 0).await?;
    reader.take(MAX_FILE_BYTES).read_to_end(&mut file).await.map_err(files::Error::from)?;
    Ok(Ok(file))
}

/// A resized picture as a file, and what it was.
struct Resized {
    file: Vec<u8>,
    width: u32,
    height: u32,
    format: Format,
    original: Value,
}

async fn resize_one(
    file: Vec<u8>,
    wanted: Wanted,
    format: Option<Format>,
    ctx: &Context,
) -> Result<Result<Resized, Refused>, Failure> {
    let work = move |ctx: &Context| {
        let Picture { pixels, format: was } = match picture::decode(&file) {
            Ok(picture) => picture,
            Err(refused) => return Ok(Err(refused)),
        };
        let bytes = file.len();
        drop(file);
        ctx.check()?;
        let was_name = was.extensions_str().first().copied().unwrap_or_default().replace("jpg", "jpeg");
        let original =
            json!({ "width": pixels.width(), "height": pixels.height(), "format": was_name, "bytes": bytes });
        let format = format.unwrap_or(match was {
            image::ImageFormat::Jpeg => Format::Jpeg,
            image::ImageFormat::WebP => Format::Webp,
            _ => Format::Png,
        });
        let smaller = match picture::resize(pixels, &wanted) {
            Ok(smaller) => smaller,
            Err(refused) => return Ok(Err(refused)),
        };
        ctx.check()?;
        let (width, height) = (smaller.width(), smaller.height());
        let encoded = picture::encode(smaller, format, wanted.quality);
        Ok(encoded.map(|file| Resized { file, width, height, format, original }))
    };
    ctx.blocking(work).await
}

impl Resized {
    /// Keeps it as an artifact; gives its line in the result, and the file.
    async fn keep(self, name: &str, artifact: String, ctx: &Context) -> Result<(Value, Artifact), Failure> {
        let (was, size) = (&self.original, format!("{} × {}", self.width, self.height));
        let (word, bytes) = (self.format.word(), self.file.len());
        ctx.log(Level::Info, format!("{name}: {} × {} to {size}, {word}, {bytes} bytes", was["width"], was["height"]));
        let mut output = ctx.output(&artifact, &format!("image/{}", self.format.word())).await?;
        output.writer.write_all(&self.file).await.map_err(files::Error::from)?;
        let line = json!({
            "name": name, "artifact": artifact, "width": self.width, "height": self.height,
            "format": self.format.word(), "bytes": self.file.len(), "original": self.original,
        });
        Ok((line, output.keep().await?))
    }
}

impl Format {
    fn word(self) -> &'static str {
        ["png", "jpeg", "webp"][self as usize]
    }

    fn extension(self) -> &'static str {
        ["png", "jpg", "webp"][self as usize]
    }
}

/// A name that no other picture of the task has, of the characters an artifact's may have:
/// `photo-800x600.jpg`, `photo-800x600-2.jpg`.
fn artifact_name(original: &str, image: &Resized, taken: &mut HashSet<String>) -> String {
    let stem = original.rsplit(['/', '\\']).next().unwrap_or_default();
    let stem = stem.rsplit_once('.').map_or(stem, |(stem, _)| stem);
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' };
    let stem: String = stem.chars().take(STEM_CHARS).map(plain).collect();
    let stem = match stem.trim_matches('-') {
        "" => "image",
        stem => stem,
    };
    let (width, height, extension) = (image.width, image.height, image.format.extension());
    let mut name = format!("{stem}-{width}x{height}.{extension}");
    let mut number = 2;
    while !taken.insert(name.clone()) {
        name = format!("{stem}-{width}x{height}-{number}.{extension}");
        number += 1;
    }
    name
}

fn fatal(refused: Refused) -> Failure {
    Failure::fatal(refused.code, refused.message)
}
