//! What owners have seen of their tasks' ends, as the database keeps it: one row each.

use super::{Error, Result};
use crate::task::{Marks, Place, Time};
use async_trait::async_trait;

/// What the database does with marks.
#[async_trait]
pub trait NotificationStore: Send + Sync {
    /// The marks of these owners; none of one that never marked anything.
    async fn marks(&self, owners: &[String]) -> Result<Vec<(String, Marks)>>;

    /// Writes an owner's marks in the place of those of the version before. `false`, and nothing written, where others
    /// stand there by now.
    async fn put_marks(&self, owner: &str, marks: &Marks, now: Time) -> Result<bool>;
}

/// A row of `notification_marks`.
#[derive(Debug)]
pub(super) struct MarksRow {
    pub owner: String,
    pub read_until: Option<String>,
    pub cleared_until: Option<String>,
    pub apart: String,
    pub muted: String,
    pub version: i64,
}

impl MarksRow {
    /// The row of an owner.
    pub fn of(owner: &str, marks: &Marks) -> Result<MarksRow> {
        let Marks { read_until, cleared_until, apart, muted, version } = marks;
        let text = |place: &Option<Place>| place.map(|place| place.to_string());
        Ok(MarksRow {
            owner: owner.to_owned(),
            read_until: text(read_until),
            cleared_until: text(cleared_until),
            apart: serde_json::to_string(apart).map_err(broken)?,
            muted: serde_json::to_string(muted).map_err(broken)?,
            version: *version,
        })
    }

    /// The owner and its marks.
    pub fn marks(self) -> Result<(String, Marks)> {
        let MarksRow { owner, read_until, cleared_until, apart, muted, version } = self;
        let place = |text: Option<String>| match text {
            Some(text) => Place::of_text(&text).map(Some).ok_or_else(|| broken("a mark is no place")),
            None => Ok(None),
        };
        let marks = Marks {
            read_until: place(read_until)?,
            cleared_until: place(cleared_until)?,
            apart: serde_json::from_str(&apart).map_err(broken)?,
            muted: serde_json::from_str(&muted).map_err(broken)?,
            version,
        };
        Ok((owner, marks))
    }
}

fn broken(error: impl std::fmt::Display) -> Error {
    Error::Internal(format!("the marks of an owner: {error}"))
}
