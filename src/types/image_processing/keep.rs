//! How finished pictures are called and told.

use super::work::{Made, Piece};
use crate::types::{Context, Failure, Level, Output};
use serde_json::{Map, Value, json};
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

/// A finished picture's line in the result, and what the log says of it. The first of its sizes stands in the line itself,
/// as if it were the only one.
pub fn line(name: &str, made: &Made, artifacts: &[String], ctx: &Context) -> Value {
    let was = &made.original;
    let sizes: Vec<_> = made.pieces.iter().zip(artifacts).map(|(piece, artifact)| size(piece, artifact)).collect();
    for piece in &made.pieces {
        let (width, height, word, bytes) = (piece.width, piece.height, piece.format.word(), piece.bytes);
        let sizes = format!("{} × {} to {width} × {height}", was.width, was.height);
        ctx.log(Level::Info, format!("{name}: {sizes}, {word}, {bytes} bytes"));
    }
    let mut line = Map::from_iter([("name".to_owned(), json!(name))]);
    line.extend(sizes[0].clone());
    line.insert("original".to_owned(), json!(was));
    if sizes.len() > 1 {
        line.insert("sizes".to_owned(), json!(sizes));
    }
    if !made.notes.is_empty() {
        made.notes.iter().for_each(|note| ctx.log(Level::Warn, format!("{name}: {note}")));
        line.insert("notes".to_owned(), json!(made.notes));
    }
    line.into()
}

fn size(piece: &Piece, artifact: &str) -> Map<String, Value> {
    let members = [
        ("artifact", json!(artifact)),
        ("width", json!(piece.width)),
        ("height", json!(piece.height)),
        ("format", json!(piece.format.word())),
        ("bytes", json!(piece.bytes)),
    ];
    members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}
