//! A contact sheet: all pictures of a task, small, on one page.

use super::encode::{Beside, encode};
use super::params::{Fitting, Format, Gravity};
use super::pictures::{Lane, Pictures, Source};
use super::shape::Shape;
use super::work::Job;
use crate::files;
use crate::task::Artifact;
use crate::types::{Context, Failure, Level};
use bytes::Bytes;
use image::{Rgb, RgbImage, imageops};
use tokio::io::AsyncWriteExt;

/// Its artifact's name.
pub const NAME: &str = "contact-sheet.jpg";
/// The side of the box of each picture.
const SIDE: u32 = 160;
/// Between them.
const GAP: u32 = 8;
/// How many stand side by side.
const COLUMNS: u32 = 8;

/// Makes it of these artifacts, in their order.
pub async fn make(made: &[Artifact], pictures: &Pictures, ctx: &Context) -> Result<(), Failure> {
    let shape = Shape { width: SIDE, height: SIDE, fit: Fitting::Fit, gravity: Gravity::Center, enlarge: false };
    let job = Job { shapes: vec![shape], format: Some(Format::Jpeg), quality: 90, ..Job::default() };
    let mut lane = Lane::new(pictures.clone());
    let count = made.len() as u32;
    let (across, down) = (count.clamp(1, COLUMNS), count.div_ceil(COLUMNS).max(1));
    let side = |cells: u32| cells * (SIDE + GAP) + GAP;
    let mut page = RgbImage::from_pixel(side(across), side(down), Rgb([255; 3]));
    for (at, artifact) in made.iter().enumerate() {
        let mut finished = match lane.work(&job, &Bytes::new(), Source::Made(artifact), ctx).await? {
            Ok(finished) => finished,
            Err(refused) => {
                ctx.log(Level::Warn, format!("{} is not on the contact sheet: {}", artifact.name, refused.message));
                continue;
            }
        };
        let mut small = Vec::new();
        lane.pour(&mut finished, 0, &mut small).await?;
        // Written by ourselves, a moment ago.
        let small = image::load_from_memory(&small).map_err(|error| Failure::fatal("sheet", error.to_string()))?;
        let at = at as u32;
        let place = |cell: u32, side: u32| i64::from(GAP + cell * (SIDE + GAP) + (SIDE - side.min(SIDE)) / 2);
        let (x, y) = (place(at % COLUMNS, small.width()), place(at / COLUMNS, small.height()));
        imageops::replace(&mut page, &small.into_rgb8(), x, y);
    }
    let encode = |_: &Context| Ok(encode(page.into(), Format::Jpeg, 85, Beside::default()).map_err(super::fatal));
    let page = ctx.blocking(encode).await??;
    let mut output = ctx.output(NAME, "image/jpeg").await?;
    output.writer.write_all(&page).await.map_err(files::Error::from)?;
    output.keep().await?;
    Ok(())
}
