//! What lies below a folder: looked at, and deleted but for what is to be kept.

use super::{Error, Files, absent_is_deleted, parse};
use futures_util::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt};
use object_store::path::Path as Location;
use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::Path;

impl Files {
    /// Whether anything lies below `folder/`.
    pub async fn holds_any(&self, folder: &str) -> Result<bool, Error> {
        let prefix = below_the_top(folder)?;
        match &self.folder {
            Some(root) => Ok(tokio::fs::try_exists(root.join(prefix.as_ref())).await?),
            None => Ok(self.store.list(Some(&prefix)).next().await.transpose()?.is_some()),
        }
    }

    /// Deletes every file whose location begins with `folder/`, and what a killed process left
    /// half-written there.
    pub async fn delete_folder(&self, folder: &str) -> Result<(), Error> {
        self.keep_only(folder, HashSet::new()).await
    }

    /// Deletes what [`Files::delete_folder`] does, but for these locations.
    pub async fn keep_only(&self, folder: &str, keep: HashSet<String>) -> Result<(), Error> {
        let prefix = below_the_top(folder)?;
        if let Some(root) = &self.folder {
            let path = root.join(prefix.as_ref());
            let pruned = tokio::task::spawn_blocking(move || prune(&path, prefix.as_ref(), &keep)).await;
            return pruned.map_err(io::Error::other)?.map_err(Error::from).map(drop);
        }
        let found = self.store.list(Some(&prefix)).map_ok(|file| file.location);
        let found = found.try_filter(move |location| std::future::ready(!keep.contains(location.as_ref()))).boxed();
        self.delete_each(found).await
    }

    /// Deletes every one of these; those that are not there are deleted already.
    pub(super) async fn delete_each(
        &self,
        locations: BoxStream<'static, object_store::Result<Location>>,
    ) -> Result<(), Error> {
        let files = self.clone();
        let locations = locations.and_then(move |location| {
            let files = files.clone();
            async move { files.end_upload(&location).await.map(|()| location) }
        });
        let mut deleted = self.store.delete_stream(locations.boxed());
        while let Some(done) = deleted.next().await {
            absent_is_deleted(done.map(drop))?;
        }
        Ok(())
    }
}

fn below_the_top(folder: &str) -> Result<Location, Error> {
    match parse(folder)? {
        top if top.as_ref().is_empty() => Err(Error::Other("the whole store is no folder to delete".to_owned())),
        below => Ok(below),
    }
}

/// Empties the folder at `path`, which the store knows as `location`; tells whether it is gone.
/// What vanishes meanwhile is deleted already.
fn prune(path: &Path, location: &str, keep: &HashSet<String>) -> io::Result<bool> {
    let entries = match fs::read_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        entries => entries?,
    };
    let mut empty = true;
    for entry in entries {
        let entry = entry?;
        let inside = format!("{location}/{}", entry.file_name().to_string_lossy());
        empty &= match entry.file_type()?.is_dir() {
            true => prune(&entry.path(), &inside, keep)?,
            false if keep.contains(&inside) => false,
            false => absent(fs::remove_file(entry.path()))?,
        };
    }
    // Somebody may have written there meanwhile: then it stays.
    Ok(empty && fs::remove_dir(path).is_ok())
}

fn absent(removed: io::Result<()>) -> io::Result<bool> {
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(true),
    }
}
