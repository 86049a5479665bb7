//! A bucket on S3 as the file store. A file is seen once it is whole: S3 shows no object before its
//! last part is there and put together.

use super::multipart::InParts;
use super::{Error, Files, parse};
use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::path::Path as Location;
use object_store::prefix::PrefixStore;
use object_store::{
    BackoffConfig, ClientConfigKey, Error as StoreError, GetOptions, GetRange, ObjectStore, ObjectStoreExt, RetryConfig,
};
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::SetOnce;

/// The smallest part that S3 takes, but for the last one. A file being written holds two in memory.
const PART_BYTES: u64 = 5 << 20;
/// So many parts a file has at most.
const MAX_PARTS: u64 = 10_000;
/// A file is read by requests for so much of it: each has its own time limit and is tried again on
/// its own, and a reader that is slow holds no connection.
const PIECE_BYTES: u64 = 4 << 20;
/// The longest that one request takes, its body included; `AWS_TIMEOUT` changes it.
const REQUEST: &str = "30 seconds";
/// Failed requests are tried again so often, and not after this time.
const TRIES_AGAIN: usize = 5;
const TRY_AGAIN_WITHIN: Duration = Duration::from_secs(20);
/// The longest wait between two of them.
const LONGEST_WAIT: Duration = Duration::from_secs(2);
/// The file that is written and deleted to see whether that can be done.
const SIGN: &str = ".reached";
/// More of what a server says of an error is not told.
const TOLD: usize = 400;
/// Words of servers whose store, or whose owner's share of it, is full; the first is of the status.
const FULL: [&str; 3] = ["507 Insufficient Storage", "StorageFull", "QuotaExceeded"];
/// What is not there is no file, but what files are in.
const NO_FILE_OF_OURS: [&str; 2] = ["NoSuchBucket", "NoSuchUpload"];

impl Files {
    /// The store in this bucket, below `prefix`, for files of up to `largest` bytes. `options` are the
    /// `AWS_` variables; those that mean nothing here are passed over. No request is made yet. An
    /// error is what is wrong with them.
    pub fn bucket<'a>(
        name: &str,
        prefix: &str,
        options: impl IntoIterator<Item = (&'a str, &'a str)>,
        largest: u64,
    ) -> Result<Files, String> {
        // Only the first of a process installs it; that is no error for the others.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let retry = RetryConfig {
            max_retries: TRIES_AGAIN,
            retry_timeout: TRY_AGAIN_WITHIN,
            backoff: BackoffConfig { max_backoff: LONGEST_WAIT, ..BackoffConfig::default() },
        };
        let time_limit = AmazonS3ConfigKey::Client(ClientConfigKey::Timeout);
        let mut builder = AmazonS3Builder::new().with_retry(retry).with_config(time_limit, REQUEST);
        for (name, value) in options {
            if let Ok(key) = name.to_ascii_lowercase().parse() {
                builder = builder.with_config(key, value);
            }
        }
        let endpoint = [AmazonS3ConfigKey::S3Endpoint, AmazonS3ConfigKey::Endpoint];
        let endpoint = endpoint.iter().find_map(|key| builder.get_config_value(key));
        let plain = builder.get_config_value(&AmazonS3ConfigKey::Client(ClientConfigKey::AllowHttp));
        if endpoint.is_some_and(|url| url.starts_with("http://")) && plain.as_deref() != Some("true") {
            return Err(
                "AWS_ENDPOINT_URL: http:// is not encrypted; use https://, or say AWS_ALLOW_HTTP=true".to_owned()
            );
        }
        let store = builder.with_bucket_name(name).build().map_err(|error| format!("s3://{name}: {error}"))?;
        let prefix = parse(prefix).map_err(|error| error.to_string())?;
        // What comes of a file may be twice as large as it was.
        let part_bytes = PART_BYTES.max(largest.saturating_mul(2).div_ceil(MAX_PARTS)) as usize;
        Ok(Files::in_parts(Arc::new(PrefixStore::new(store, prefix)), part_bytes))
    }

    /// The store in that bucket, of files in parts of so many bytes.
    pub(super) fn in_parts(store: Arc<dyn InParts>, part_bytes: usize) -> Files {
        Files { store: store.clone(), folder: None, bucket: Some(store), part_bytes, reached: Arc::new(SetOnce::new()) }
    }

    /// For tests: a bucket in memory, with parts of so few bytes.
    #[cfg(test)]
    pub fn in_memory(part_bytes: usize) -> Files {
        Files::in_parts(Arc::new(object_store::memory::InMemory::new()), part_bytes)
    }

    /// Whether the store has once done all that it is for; a folder has.
    pub fn is_reached(&self) -> bool {
        self.reached.initialized()
    }

    /// Waits until it has.
    pub async fn until_reached(&self) {
        self.reached.wait().await;
    }

    /// Lists, reads, writes and deletes, unless that went well before. Several nodes may at once.
    pub async fn reach(&self) -> Result<(), Error> {
        if self.is_reached() {
            return Ok(());
        }
        self.store.list(None).next().await.transpose()?;
        let sign = parse(SIGN)?;
        match self.store.head(&sign).await {
            Err(StoreError::NotFound { .. }) | Ok(_) => {}
            Err(error) => return Err(error.into()),
        }
        self.store.put(&sign, Bytes::from_static(b"errand").into()).await?;
        self.delete(SIGN).await?;
        let _ = self.reached.set(());
        Ok(())
    }
}

/// A range of an object, from its beginning to the end of the object at most. An object that is not
/// there is told before the first piece.
pub(super) async fn pieces(
    store: Arc<dyn ObjectStore>,
    location: Location,
    range: Range<u64>,
) -> Result<impl Stream<Item = io::Result<Bytes>> + Send, Error> {
    let piece = |at: u64, end: u64| at..end.min(at.saturating_add(PIECE_BYTES));
    let first = GetRange::Bounded(piece(range.start, range.end));
    let found = store.get_opts(&location, GetOptions { range: Some(first), ..GetOptions::default() }).await?;
    let (next, end) = (found.range.end, range.end.min(found.meta.size));
    let first = found.bytes().await?;
    let rest = stream::iter((next..end).step_by(PIECE_BYTES as usize)).then(move |at| {
        let (store, location) = (store.clone(), location.clone());
        async move { Ok(store.get_range(&location, piece(at, end)).await?) }
    });
    Ok(stream::iter([Ok(first)]).chain(rest))
}

/// What an error of the crate means; `None` if it is not of a bucket.
pub(super) fn meaning(error: &StoreError) -> Option<Error> {
    let said = error.to_string();
    let says = |words: &[&str]| words.iter().any(|word| said.contains(word));
    match error {
        StoreError::Generic { store: "LocalFileSystem", .. }
        | StoreError::JoinError { .. }
        | StoreError::InvalidPath { .. } => None,
        StoreError::NotFound { .. } if !says(&NO_FILE_OF_OURS) => Some(Error::NotFound),
        _ if says(&FULL) => Some(Error::Full),
        _ => Some(Error::Away(said.chars().map(|c| if c.is_control() { ' ' } else { c }).take(TOLD).collect())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket(options: &[(&str, &str)], largest: u64) -> Result<Files, String> {
        Files::bucket("files", "a/b", options.iter().copied(), largest)
    }

    #[test]
    fn what_is_wrong_with_the_variables_is_told_and_no_secret() {
        let plain = ("AWS_ENDPOINT_URL", "http://127.0.0.1:9000");
        assert!(bucket(&[plain], 1).unwrap_err().contains("AWS_ALLOW_HTTP"));
        assert!(bucket(&[("AWS_SECRET_ACCESS_KEY", "sesame")], 1).is_err_and(|wrong| !wrong.contains("sesame")));
        assert!(bucket(&[plain, ("AWS_ALLOW_HTTP", "true"), ("AWS_PAGER", "less")], 1).is_ok());
    }

    #[test]
    fn the_largest_file_has_room_in_as_many_parts_as_there_may_be() {
        assert_eq!(bucket(&[], 2 << 30).unwrap().part_bytes, 5 << 20);
        assert!(bucket(&[], 1 << 40).unwrap().part_bytes as u64 * MAX_PARTS >= 2 << 40);
    }

    #[test]
    fn an_error_is_told_in_one_line_and_by_what_the_server_says() {
        let error = |said: &str| StoreError::Generic { store: "S3", source: said.to_owned().into() };
        let missing = |said: &str| StoreError::NotFound { path: "a".to_owned(), source: said.to_owned().into() };
        assert!(matches!(meaning(&error("503:\n<x/>")), Some(Error::Away(said)) if !said.contains('\n')));
        assert!(matches!(meaning(&error("status code: 507 Insufficient Storage: ")), Some(Error::Full)));
        assert!(matches!(meaning(&missing("<Code>NoSuchKey</Code>")), Some(Error::NotFound)));
        assert!(matches!(meaning(&missing("<Code>NoSuchBucket</Code>")), Some(Error::Away(_))));
    }
}
