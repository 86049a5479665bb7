//! The file store that the settings name.

use super::Failure;
use crate::config::{Config, FileStore};
use crate::files::Files;

/// The store; a folder is made if it is missing, of a bucket nothing is asked yet.
pub fn open(config: &Config) -> Result<Files, Failure> {
    match &config.files {
        FileStore::Folder(folder) => Files::local(folder).map_err(|error| Failure::Other(error.to_string())),
        FileStore::Bucket(bucket) => {
            let options = bucket.options.iter().map(|(name, value)| (name.as_str(), value.as_str()));
            Files::bucket(&bucket.name, &bucket.prefix, options, config.max_file_bytes).map_err(Failure::Usage)
        }
    }
}

/// The same for whoever only reads; `None` where there is no folder yet.
pub fn open_existing(config: &Config) -> Result<Option<Files>, Failure> {
    match &config.files {
        FileStore::Folder(folder) if !folder.exists() => Ok(None),
        _ => open(config).map(Some),
    }
}
