//! Where files are kept: a folder, or a bucket on S3 with what the `AWS_` variables say of it.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

/// A longer prefix is refused: a key of S3 may have 1,024 bytes, and ours come behind it.
const MAX_PREFIX: usize = 500;

/// Where uploads and output files are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileStore {
    /// Below this folder.
    Folder(PathBuf),
    /// In this bucket.
    Bucket(Bucket),
}

/// A bucket on S3. Its `Debug` and `Display` show no credentials.
#[derive(Clone, PartialEq, Eq)]
pub struct Bucket {
    /// Its name.
    pub name: String,
    /// What all our keys begin with, without slashes at its ends; empty is nothing.
    pub prefix: String,
    /// The `AWS_` variables: credentials, region, endpoint.
    pub options: BTreeMap<String, String>,
}

impl fmt::Display for FileStore {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            FileStore::Folder(folder) => write!(f, "{}", folder.display()),
            FileStore::Bucket(Bucket { name, prefix, .. }) if prefix.is_empty() => write!(f, "s3://{name}"),
            FileStore::Bucket(Bucket { name, prefix, .. }) => write!(f, "s3://{name}/{prefix}"),
        }
    }
}

impl fmt::Debug for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let names: Vec<&String> = self.options.keys().collect();
        write!(f, "Bucket({}/{}, {names:?})", self.name, self.prefix)
    }
}

/// The bucket and the prefix of an address; nothing is the data folder.
pub(super) fn bucket(text: &str) -> Result<Option<(String, String)>, String> {
    const WRONG: &str = "must be s3://BUCKET or s3://BUCKET/PREFIX; without it, files are kept in the data folder";
    if text.is_empty() {
        return Ok(None);
    }
    let (name, prefix) =
        text.strip_prefix("s3://").map(|rest| rest.split_once('/').unwrap_or((rest, ""))).ok_or(WRONG)?;
    let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
    let plain = |part: &str, signs: &str| part.chars().all(|c| c.is_ascii_alphanumeric() || signs.contains(c));
    if !(3..=63).contains(&name.len()) || !plain(name, ".-_") {
        return Err(format!("{WRONG}; the name of a bucket has 3 to 63 letters, digits, dots, dashes"));
    }
    let part = |part: &str| !part.is_empty() && part != "." && part != ".." && plain(part, ".-_=");
    if !prefix.is_empty() && (prefix.len() > MAX_PREFIX || !prefix.split('/').all(part)) {
        return Err(format!("{WRONG}; a prefix has letters, digits, dots, dashes between its slashes"));
    }
    Ok(Some((name.to_owned(), prefix.to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_has_a_name_and_maybe_a_prefix() {
        let found = |text| bucket(text).unwrap().unwrap();
        assert_eq!(found("s3://files"), ("files".to_owned(), String::new()));
        assert_eq!(found("s3://my.files/errand/a-1/"), ("my.files".to_owned(), "errand/a-1".to_owned()));
        assert_eq!(bucket(""), Ok(None));
        for bad in [
            "files",
            "gs://files",
            "file:///srv/files",
            "https://s3.amazonaws.com/files",
            "s3:files",
            "s3://",
            "s3://ab",
            "s3://files:9000/a",
            "s3://key:secret@files",
            "s3://files?region=eu",
            "s3://files/../a",
            "s3://files//a",
            "s3://files/a b",
        ] {
            assert!(bucket(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn credentials_are_not_shown() {
        let options = BTreeMap::from([("AWS_SECRET_ACCESS_KEY".to_owned(), "sesame".to_owned())]);
        let store = FileStore::Bucket(Bucket { name: "files".to_owned(), prefix: "a".to_owned(), options });
        assert_eq!(store.to_string(), "s3://files/a");
        assert!(!format!("{store:?}").contains("sesame"));
    }
}
