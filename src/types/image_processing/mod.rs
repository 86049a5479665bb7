//! `image_processing`: resizes pictures, of its own making or the user's.

mod animation;
mod child;
mod colour;
mod done;
mod draw;
mod encode;
mod jpeg;
mod keep;
pub mod look;
mod own;
mod palette;
mod params;
mod parts;
mod picture;
mod pictures;
mod room;
mod serve;
mod shape;
mod sheet;
#[cfg(test)]
mod tests;
mod tiff;
mod watermark;
mod wire;
mod work;

use super::{AnyType, Context, Failure, Level, schema};
use crate::files;
use crate::task::text::FieldError;
use async_trait::async_trait;
use bytes::Bytes;
use done::Done;
use encode::{Beside, encode};
use params::{Fitting, Format, Gravity, Made, Own, Params};
use picture::Refused;
use room::Room;
use serde_json::{Value, json, value::RawValue};
use shape::Shape;
use tokio::io::AsyncWriteExt;
use work::Job;

pub use pictures::Pictures;
pub use serve::serve_pictures;

/// A larger file is refused: it has to fit in memory beside its pixels.
const MAX_FILE_BYTES: u64 = 100 * 1024 * 1024;

/// Resizes pictures.
pub struct ImageProcessing {
    pictures: Pictures,
}

impl ImageProcessing {
    /// The pictures of users are worked on there.
    pub fn new(pictures: Pictures) -> ImageProcessing {
        ImageProcessing { pictures }
    }
}

#[async_trait]
impl AnyType for ImageProcessing {
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
                "original": { "type": "object" },
                "sizes": { "type": "array", "items": { "type": "object" }, "description": "Where there are several, all of them." },
                "notes": { "type": "array", "items": { "type": "string" }, "description": "What could not be done as one would think." },
                "error": { "type": "object", "description": "Why this one did not." },
            } } },
            "contact_sheet": { "type": "string", "description": "The artifact that shows all of them, where it was asked for." },
        }, "required": ["images_processed", "images"] })
    }

    fn examples(&self) -> Vec<Value> {
        vec![
            json!({ "num_images": 3, "target_width": 800, "target_height": 600 }),
            json!({ "num_images": 1, "target_width": 200, "target_height": 200 }),
        ]
    }

    fn check(&self, params: &Value) -> Vec<FieldError> {
        // What is of the other form has nothing to be checked here.
        serde_json::from_value::<Own>(params.clone()).map(|own| own.check()).unwrap_or_default()
    }

    fn saves_work(&self, _: &str) -> bool {
        true
    }

    async fn run(&self, params: &RawValue, ctx: &Context) -> Result<Box<RawValue>, Failure> {
        let params = ctx.params(params)?;
        let has_sheet = matches!(&params, Params::Own(own) if own.contact_sheet);
        let images = match params {
            Params::Made(made) => draw_all(&made, ctx).await?,
            Params::Own(own) => own::resize_all(own, &self.pictures, ctx).await?,
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
        let mut result = json!({ "images_processed": processed, "images": images });
        if has_sheet {
            result["contact_sheet"] = json!(sheet::NAME);
        }
        ctx.result(&result)
    }
}

async fn draw_all(made: &Made, ctx: &Context) -> Result<Vec<Value>, Failure> {
    let size = format!("{} × {}", made.target_width, made.target_height);
    let mut done = Done::open(ctx, made.num_images as usize).await?;
    ctx.log(Level::Info, format!("pictures to draw: {}, of {size}", made.num_images as usize - done.count()));
    for number in done.count() as u32 + 1..=made.num_images {
        let (width, height) = (made.target_width, made.target_height);
        let name = format!("image-{number:02}.png");
        let shape = Shape { width, height, fit: Fitting::Exact, gravity: Gravity::Center, enlarge: true };
        let job = Job { shapes: vec![shape], format: Some(Format::Png), quality: 100, ..Job::default() };
        let draw = move |ctx: &Context| {
            // Half as large again in each direction, so that there is something to resize.
            let drawn = draw::picture(number, width * 3 / 2, height * 3 / 2);
            ctx.check()?;
            let drawn = encode(drawn, Format::Png, 100, Beside::default()).map_err(fatal)?;
            ctx.check()?;
            let begun = work::begin(job, Bytes::new(), drawn.into());
            begun.and_then(|begun| begun.make(&mut Room::default())).map_err(fatal)
        };
        let (drawn, files) = ctx.blocking(draw).await?;
        let mut output = keep::begin(&name, &drawn.pieces[0], ctx).await?;
        output.writer.write_all(&files[0]).await.map_err(files::Error::from)?;
        let file = output.keep().await?;
        let line = keep::line(&name, &drawn, std::slice::from_ref(&name), ctx);
        done.add(line, vec![file], ctx).await?;
        ctx.progress(number.into(), made.num_images.into(), Some(format!("picture {number} of {}", made.num_images)));
    }
    Ok(done.lines())
}

fn fatal(refused: Refused) -> Failure {
    Failure::fatal(&refused.code, refused.message)
}
