//! A first look at a file, made when it is asked for: the rows of a table, a picture made small, the parts of a mail.

use super::csv_processing::look::{self as tables, Rows};
use super::email_sending::look::{self as mails, Mail};
use super::image_processing::look::{self as thumbnails, Thumbnail};
use super::{Context, Failure, Input, Pictures};
use crate::clock::Clock;
use crate::files::Files;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// So many are made at once: each may take a process, and a megabyte or two beside its pixels.
const PLACES: usize = 4;
/// One that takes longer, the waiting for a place included, is given up.
const PATIENCE: Duration = Duration::from_secs(20);

/// Where previews are made. Clones share their places.
#[derive(Clone)]
pub struct Previews {
    pictures: Pictures,
    places: Arc<Semaphore>,
}

/// A first look.
pub enum Preview {
    /// At a table: CSV, by its media type or its name.
    Table(Rows),
    /// At a picture.
    Picture(Thumbnail),
    /// At a mail.
    Mail(Mail),
}

/// Why there is none.
#[derive(Debug)]
pub enum NoPreview {
    /// There is none of such files.
    NoKind,
    /// The file is no longer there.
    Gone,
    /// The file is not what it says, or too much: a stable word, and a sentence for a person.
    Refused(String, String),
    /// Not now: another time it may do.
    Away,
}

enum Kind {
    Table,
    Picture,
    Mail,
}

impl Previews {
    /// Pictures are worked on there, among those of tasks.
    pub fn new(pictures: Pictures) -> Previews {
        Previews { pictures, places: Arc::new(Semaphore::new(PLACES)) }
    }

    /// A look at `file`. Dropped, it stops.
    pub async fn of(&self, files: &Files, clock: &Clock, file: &Input) -> Result<Preview, NoPreview> {
        let kind = kind(file).ok_or(NoPreview::NoKind)?;
        let stop = CancellationToken::new();
        let _stopped = stop.clone().drop_guard();
        let ctx = Context::looking(files.clone(), clock.clone(), stop);
        let look = async {
            let _place = self.places.acquire().await.map_err(|_| Failure::Stopped)?;
            Ok(match kind {
                Kind::Table => Preview::Table(tables::look(file, &ctx).await?),
                Kind::Picture => Preview::Picture(thumbnails::look(&self.pictures, file, &ctx).await?),
                Kind::Mail => Preview::Mail(mails::look(file, &ctx).await?),
            })
        };
        match timeout(PATIENCE, look).await {
            Ok(Ok(preview)) => Ok(preview),
            Ok(Err(Failure::Fatal { code, .. })) if code == "file_not_found" => Err(NoPreview::Gone),
            Ok(Err(Failure::Fatal { code, message })) => Err(NoPreview::Refused(code, message)),
            Ok(Err(Failure::Retry { .. } | Failure::Stopped)) | Err(_) => Err(NoPreview::Away),
        }
    }
}

/// By its media type, which is that of its first bytes where those say anything; of text by its name too.
fn kind(file: &Input) -> Option<Kind> {
    let (media, name) = (file.content_type.as_str(), file.name.to_ascii_lowercase());
    let is_text = media.starts_with("text/") || media == "application/octet-stream";
    let called = |ends: &[&str]| is_text && ends.iter().any(|end| name.ends_with(end));
    match media {
        "text/csv" | "application/csv" | "text/tab-separated-values" => Some(Kind::Table),
        "message/rfc822" => Some(Kind::Mail),
        media if media.starts_with("image/") => Some(Kind::Picture),
        _ if called(&[".csv", ".tsv"]) => Some(Kind::Table),
        _ if called(&[".eml"]) => Some(Kind::Mail),
        _ => None,
    }
}
