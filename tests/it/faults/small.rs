//! A small disk.

use crate::support::postgres::{give_to_postgres, is_root};
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A file system of some MiB in memory, unmounted when dropped.
pub struct SmallDisk {
    folder: tempfile::TempDir,
}

impl SmallDisk {
    /// `None` for whoever may not mount.
    pub fn mount(mebibytes: u32) -> Option<SmallDisk> {
        if !is_root() {
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let size = format!("size={mebibytes}m,mode=0777");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(folder.path()).output();
        assert!(mounted.as_ref().is_ok_and(|mounted| mounted.status.success()), "{mounted:?}");
        Some(SmallDisk { folder })
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn free(&self) -> u64 {
        errand::disk::room(self.path()).unwrap().free
    }

    /// Writes a file that takes all there is.
    pub fn fill(&self) {
        self.fill_but(0);
        assert_eq!(self.free(), 0);
    }

    /// Writes a file that leaves about so many bytes free.
    pub fn fill_but(&self, bytes: u64) {
        let mut filler = File::create(self.path().join("filler")).unwrap();
        while self.free() > bytes && filler.write(&[0; 4096]).is_ok_and(|written| written > 0) {}
    }

    /// A folder there that a Postgres may write to.
    pub async fn folder_for_postgres(&self) -> PathBuf {
        let folder = self.path().join("postgres");
        fs::create_dir(&folder).unwrap();
        give_to_postgres(&folder).await;
        folder
    }

    /// Takes that file away.
    pub fn make_room(&self) {
        fs::remove_file(self.path().join("filler")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a server may still be ending.
        let _ = Command::new("umount").arg("-l").arg(self.folder.path()).status();
    }
}
