//! Uploads, as the database records them.

use crate::task::Time;
use uuid::Uuid;

/// An upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Its id.
    pub id: Uuid,
    /// Whose it is.
    pub owner: String,
    /// What its uploader called it: inert text.
    pub name: String,
    /// Its size.
    pub bytes: i64,
    /// Its media type.
    pub content_type: String,
    /// SHA-256 of its content, in lower-case hex.
    pub sha256: String,
    /// Where the file store keeps it.
    pub location: String,
    /// When it was uploaded.
    pub created_at: Time,
}
