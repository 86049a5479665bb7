//! A picture made small.

use super::params::{Fitting, Gravity};
use super::pictures::{Lane, Pictures, Source};
use super::shape::Shape;
use super::work::Job;
use crate::types::{Context, Failure, Input};
use bytes::Bytes;

/// As wide and as high at most, in pixels.
const SIDE: u32 = 512;
/// Of a JPEG.
const QUALITY: u8 = 80;

/// A picture made small, upright and without what the camera noted.
#[derive(Debug)]
pub struct Thumbnail {
    /// Its media type.
    pub content_type: String,
    /// Its file.
    pub file: Vec<u8>,
}

/// Makes it, where `pictures` are worked on. Fatal with the codes of `image_processing` for what is no picture, or too large.
pub async fn look(pictures: &Pictures, file: &Input, ctx: &Context) -> Result<Thumbnail, Failure> {
    let (fit, gravity) = (Fitting::Fit, Gravity::Center);
    let shape = Shape { width: SIDE, height: SIDE, fit, gravity, enlarge: false };
    let job = Job { shapes: vec![shape], quality: QUALITY, ..Job::default() };
    let mut lane = Lane::new(pictures.clone());
    let mut made = match lane.work(&job, &Bytes::new(), Source::Upload(file), ctx).await? {
        Ok(made) => made,
        Err(refused) => return Err(Failure::fatal(&refused.code, refused.message)),
    };
    let mut file = Vec::new();
    lane.pour(&mut made, 0, &mut file).await?;
    Ok(Thumbnail { content_type: format!("image/{}", made.made.pieces[0].format.word()), file })
}
