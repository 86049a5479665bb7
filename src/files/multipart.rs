//! A growing file in a bucket: an upload in parts that is driven by hand, so that another attempt can go on with it.
//!
//! S3 takes no part below 5 MiB but the last, and shows nothing of an upload. So a mark puts what is less than a part, the
//! tail, beside the file as a small one of its own; and beside it lies, as long as the upload is neither completed nor
//! ended, a sign that names it. Whoever deletes the sign ends the upload: what is half-written is found by listing, as in a
//! folder.

#[cfg(test)]
mod tests;

use super::{Error, Files, hex, parse};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path as Location;
use object_store::{Error as StoreError, MultipartId, ObjectStore, ObjectStoreExt, PutPayload};
use serde::{Deserialize, Serialize};
use sha2::digest::common::hazmat::{SerializableState, SerializedState};
use sha2::{Digest, Sha256};
use std::io;
use std::mem::take;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::io::AsyncReadExt;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What a sign has behind the file's name. No name of a file has a `~`.
const SIGN: &str = "~upload";
/// What is said of an upload that is completed or ended: by S3, and by the store in memory of the tests.
const GONE: [&str; 2] = ["NoSuchUpload", "MultipartUpload not found"];
/// What is said where a part is not the one that was put: nothing can come of such an upload.
const REFUSED: &str = "InvalidPart";

/// A store in which files can be made of parts by hand.
pub(super) trait InParts: ObjectStore + MultipartStore {}

impl<T: ObjectStore + MultipartStore> InParts for T {}

/// What a checkpoint keeps of a growing file in a bucket, beside its size and hash.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Parts {
    /// Where the sign of the upload lies; nowhere before the first part.
    upload: Option<String>,
    part_bytes: usize,
    /// What the store said of each part.
    etags: Vec<String>,
    /// The state of the hash of what is in the parts.
    hash: String,
    /// Where the tail lies, unless it is empty.
    tail: Option<String>,
}

/// A growing file. For blocking code. Memory: the part that is being put and what is less than a part.
pub(super) struct Multipart {
    shared: Arc<Shared>,
    runtime: Handle,
    /// Its tails lie at locations that begin so, with a number behind.
    beside: String,
    marks: usize,
    part_bytes: usize,
    tail: Vec<Bytes>,
    tail_bytes: usize,
    /// Parts that were put, or are about to be.
    parts: usize,
    hash_of_parts: Sha256,
    /// Whether somebody may go on with the upload, or nobody needs to.
    stays: bool,
}

/// A growing file as it stood.
pub(super) struct Mark {
    shared: Arc<Shared>,
    location_of_tail: String,
    tail: Vec<Bytes>,
    part_bytes: usize,
    parts: usize,
    hash_of_parts: Sha256,
}

/// What is shared with the requests on their way.
struct Shared {
    files: Files,
    store: Arc<dyn InParts>,
    location: Location,
    /// One request at a time, so that parts come in order and no more than one is in memory. Closed once one failed.
    turn: Arc<Semaphore>,
    put: Mutex<Put>,
}

/// What was put.
#[derive(Default)]
struct Put {
    upload: Option<MultipartId>,
    etags: Vec<String>,
    failed: Option<StoreError>,
}

impl Parts {
    /// Whether it has an upload; else it is all in its tail.
    pub fn has_upload(&self) -> bool {
        self.upload.is_some()
    }

    /// Where its tail lies, if it has one.
    pub fn tail(&self) -> Option<&str> {
        self.tail.as_deref()
    }

    /// The files that it names: the sign and the tail.
    pub fn files(&self) -> impl Iterator<Item = &str> {
        [&self.upload, &self.tail].into_iter().flatten().map(String::as_str)
    }
}

impl Multipart {
    /// Nothing of the file at `location`; its tails will lie at locations that begin with `beside`.
    pub fn begin(files: &Files, store: &Arc<dyn InParts>, location: Location, beside: &str) -> Multipart {
        let (files, store, turn) = (files.clone(), store.clone(), Arc::new(Semaphore::new(1)));
        Multipart {
            beside: beside.to_owned(),
            marks: 0,
            part_bytes: files.part_bytes,
            shared: Arc::new(Shared { files, store, location, turn, put: Mutex::default() }),
            runtime: Handle::current(),
            tail: Vec::new(),
            tail_bytes: 0,
            parts: 0,
            hash_of_parts: Sha256::new(),
            stays: false,
        }
    }

    /// Goes on from `left`, where the file had that SHA-256; with the state of the hash. `None` if the tail is no longer
    /// whole, or the upload no longer there.
    pub async fn go_on(mut self, left: &Parts, sha256: &str) -> Result<Option<(Multipart, Sha256)>, Error> {
        let Some(mut hash) = unpacked(&left.hash) else { return Ok(None) };
        self.hash_of_parts = hash.clone();
        let tail = match &left.tail {
            Some(location) => self.shared.whole(location, left.part_bytes).await?,
            None => Some(Bytes::new()),
        };
        let Some(tail) = tail else { return Ok(None) };
        hash.update(&tail);
        if hex(&hash.clone().finalize()) != sha256 {
            return Ok(None);
        }
        if let Some(sign) = &left.upload {
            let Some(upload) = self.shared.files.upload_of(&parse(sign)?).await? else { return Ok(None) };
            // Whether it is still there only a part that is put tells; the next one takes its place.
            let Shared { store, location, .. } = &*self.shared;
            match store.put_part(location, &upload, left.etags.len(), tail.clone().into()).await {
                Err(error) if says(&error, &GONE) => return Ok(None),
                tried => drop(tried?),
            }
            *self.shared.put_so_far() = Put { upload: Some(upload), etags: left.etags.clone(), failed: None };
        }
        (self.part_bytes, self.parts, self.stays) = (left.part_bytes, left.etags.len(), left.has_upload());
        (self.tail_bytes, self.tail) = (tail.len(), vec![tail]);
        Ok(Some((self, hash)))
    }

    /// Takes some of the bytes; `hash` is that of all before them.
    pub fn write(&mut self, bytes: &[u8], hash: &Sha256) -> io::Result<usize> {
        if self.tail_bytes == self.part_bytes {
            let turn = self.runtime.block_on(self.shared.turn())?;
            self.hash_of_parts = hash.clone();
            let part = self.take_tail();
            let shared = self.shared.clone();
            self.parts += 1;
            self.runtime.spawn(async move {
                if let Err(error) = shared.put(part).await {
                    shared.put_so_far().failed = Some(error);
                    shared.turn.close();
                }
                drop(turn);
            });
        }
        let taken = bytes.len().min(self.part_bytes - self.tail_bytes);
        self.tail.push(Bytes::copy_from_slice(&bytes[..taken]));
        self.tail_bytes += taken;
        Ok(taken)
    }

    /// Where it stands.
    pub fn mark(&mut self) -> Mark {
        self.stays |= self.parts > 0;
        self.marks += 1;
        Mark {
            shared: self.shared.clone(),
            location_of_tail: format!("{}~{}", self.beside, self.marks),
            tail: self.tail.clone(),
            part_bytes: self.part_bytes,
            parts: self.parts,
            hash_of_parts: self.hash_of_parts.clone(),
        }
    }

    /// Completes it: it has so many bytes with that SHA-256.
    pub async fn finish(mut self, bytes: u64, sha256: &str) -> Result<(), Error> {
        let shared = self.shared.clone();
        let _turn = shared.turn().await?;
        let tail = self.take_tail();
        if self.parts == 0 {
            shared.store.put(&shared.location, tail).await?;
            return Ok(());
        }
        match shared.complete(tail).await {
            // An answer that was lost, or an attempt that lost its lease and came to the same end.
            Err(error) if says(&error, &GONE) && shared.is(bytes, sha256).await => {}
            Err(error) => {
                self.stays &= !says(&error, &[REFUSED]);
                return Err(error.into());
            }
            Ok(()) => {}
        }
        self.stays = true;
        if let Err(error) = shared.store.delete(&parse(&shared.sign())?).await {
            tracing::debug!(%error, "the sign of a completed upload stays in the bucket for now");
        }
        Ok(())
    }

    fn take_tail(&mut self) -> PutPayload {
        self.tail_bytes = 0;
        take(&mut self.tail).into_iter().collect()
    }
}

impl Drop for Multipart {
    /// What no mark names nobody can go on with.
    fn drop(&mut self) {
        if self.parts == 0 || self.stays {
            return;
        }
        let shared = self.shared.clone();
        self.runtime.spawn(async move {
            let _turn = shared.turn.acquire().await;
            if let Err(error) = shared.files.delete(&shared.sign()).await {
                tracing::debug!(%error, "the parts of a file that was broken off stay in the bucket for now");
            }
        });
    }
}

impl Mark {
    /// Waits until every part before it is put, and puts the tail.
    pub async fn sync(self) -> Result<Parts, Error> {
        let _turn = self.shared.turn().await?;
        let tail: PutPayload = self.tail.into_iter().collect();
        let has_tail = tail.content_length() > 0;
        if has_tail {
            self.shared.store.put(&parse(&self.location_of_tail)?, tail).await?;
        }
        Ok(Parts {
            upload: (self.parts > 0).then(|| self.shared.sign()),
            part_bytes: self.part_bytes,
            etags: self.shared.put_so_far().etags[..self.parts].to_vec(),
            hash: STANDARD.encode(self.hash_of_parts.serialize()),
            tail: has_tail.then_some(self.location_of_tail),
        })
    }
}

impl Shared {
    /// Waits until no request is on its way; the error of one that failed, once.
    async fn turn(&self) -> io::Result<OwnedSemaphorePermit> {
        self.turn.clone().acquire_owned().await.map_err(|_| match self.put_so_far().failed.take() {
            Some(error) => error.into(),
            None => io::Error::other("a write before failed"),
        })
    }

    /// Puts the next part.
    async fn put(&self, part: PutPayload) -> Result<(), StoreError> {
        let (upload, next) = {
            let put = self.put_so_far();
            (put.upload.clone(), put.etags.len())
        };
        let upload = match upload {
            Some(upload) => upload,
            None => self.begin_upload().await?,
        };
        let part = self.store.put_part(&self.location, &upload, next, part).await?;
        self.put_so_far().etags.push(part.content_id);
        Ok(())
    }

    async fn begin_upload(&self) -> Result<MultipartId, StoreError> {
        let upload = self.store.create_multipart(&self.location).await?;
        let sign = Location::parse(self.sign())?;
        if let Err(error) = self.store.put(&sign, upload.clone().into()).await {
            let _ = self.store.abort_multipart(&self.location, &upload).await;
            return Err(error);
        }
        self.put_so_far().upload = Some(upload.clone());
        Ok(upload)
    }

    async fn complete(&self, last: PutPayload) -> Result<(), StoreError> {
        if last.content_length() > 0 {
            self.put(last).await?;
        }
        let (upload, etags) = {
            let put = self.put_so_far();
            (put.upload.clone().unwrap_or_default(), put.etags.clone())
        };
        let parts = etags.into_iter().map(|content_id| PartId { content_id }).collect();
        self.store.complete_multipart(&self.location, &upload, parts).await.map(drop)
    }

    /// Whether the file is there and is this one.
    async fn is(&self, bytes: u64, sha256: &str) -> bool {
        let found = self.files.digest(self.location.as_ref()).await;
        found.is_ok_and(|(found, hash)| (found, &*hash) == (bytes, sha256))
    }

    /// The content of a small file; `None` if it is no longer there.
    async fn whole(&self, location: &str, most: usize) -> Result<Option<Bytes>, Error> {
        let mut content = Vec::new();
        match self.files.read(location, 0..most as u64).await {
            Ok(mut reader) => reader.read_to_end(&mut content).await?,
            Err(Error::NotFound) => return Ok(None),
            Err(error) => return Err(error),
        };
        Ok(Some(content.into()))
    }

    fn sign(&self) -> String {
        format!("{}{SIGN}", self.location)
    }

    fn put_so_far(&self) -> MutexGuard<'_, Put> {
        self.put.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Files {
    /// Ends the upload that this file is the sign of, if it is one. One that is completed or ended stays so.
    pub(super) async fn end_upload(&self, sign: &Location) -> Result<(), StoreError> {
        let (Some(store), Some(location)) = (&self.bucket, sign.as_ref().strip_suffix(SIGN)) else { return Ok(()) };
        let Some(upload) = self.upload_of(sign).await? else { return Ok(()) };
        match store.abort_multipart(&Location::parse(location)?, &upload).await {
            Err(error) if !says(&error, &GONE) => Err(error),
            _ => Ok(()),
        }
    }

    /// The upload that a sign names; `None` if there is no sign.
    async fn upload_of(&self, sign: &Location) -> Result<Option<MultipartId>, StoreError> {
        let content = match self.store.get(sign).await {
            Ok(found) => found.bytes().await?,
            Err(StoreError::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        Ok(Some(String::from_utf8_lossy(&content).into_owned()))
    }
}

fn says(error: &StoreError, words: &[&str]) -> bool {
    let said = error.to_string();
    words.iter().any(|word| said.contains(word))
}

fn unpacked(hash: &str) -> Option<Sha256> {
    let state = SerializedState::<Sha256>::try_from(&*STANDARD.decode(hash).ok()?).ok()?;
    Sha256::deserialize(&state).ok()
}
