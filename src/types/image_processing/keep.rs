//! How finished pictures are called and told.

use super::work::{Made, Piece};
use crate::types::{Context, Failure, Level, Output};
use serde_json::{Value, json};
use std::collections::HashSet;

/// As much of a picture's name goes into its artifact's.
const STEM_CHARS: usize = 60;

/// The names that the task's artifacts have.
pub struct Names {
    taken: HashSet<String>,
}

impl Names {
    /// Those of earlier attempts are taken.
    pub fn new(taken: HashSet<String>) -> Names {
        Names { taken }
    }

    /// A name that no other picture of the task has, of the characters an artifact's may have:
    /// `photo-800x600.jpg`, `photo-800x600-2.jpg`.
    pub fn next(&mut self, original: &str, piece: &Piece) -> String {
        let stem = original.rsplit(['/', '\\']).next().unwrap_or_default();
        let stem = stem.rsplit_once('.').map_or(stem, |(stem, _)| stem);
        let plain = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' };
        let stem: String = stem.chars().take(STEM_CHARS).map(plain).collect();
        let stem = match stem.trim_matches('-') {
            "" => "image",
            stem => stem,
        };
        let (width, height, extension) = (piece.width, piece.height, piece.format.extension());
        let mut name = format!("{stem}-{width}x{height}.{extension}");
        let mut number = 2;
        while !self.taken.insert(name.clone()) {
            name = format!("{stem}-{width}x{height}-{number}.{extension}");
            number += 1;
        }
        name
    }
}

/// Begins the artifact of that name.
pub async fn begin(artifact: &str, piece: &Piece, ctx: &Context) -> Result<Output, Failure> {
    ctx.output(artifact, &format!("image/{}", piece.format.word())).await
}

/// A finished picture's line in the result, and what the log says of it.
pub fn line(name: &str, made: &Made, artifacts: &[String], ctx: &Context) -> Value {
    let (was, is) = (&made.original, &made.pieces[0]);
    let (word, bytes) = (is.format.word(), is.bytes);
    let (from, to) = (format!("{} × {}", was.width, was.height), format!("{} × {}", is.width, is.height));
    ctx.log(Level::Info, format!("{name}: {from} to {to}, {word}, {bytes} bytes"));
    json!({
        "name": name, "artifact": artifacts[0], "width": is.width, "height": is.height, "format": word,
        "bytes": bytes, "original": was,
    })
}
