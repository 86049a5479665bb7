//! What a disk has left, and how to hold some of it back.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

/// The room of the file system that a path lies on, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// What this process may still write.
    pub free: u64,
    /// All there is.
    pub total: u64,
}

/// The room where `path` lies, which must exist.
pub fn room(path: &Path) -> io::Result<Room> {
    let found = rustix::fs::statvfs(path)?;
    Ok(Room { free: found.f_bavail * found.f_frsize, total: found.f_blocks * found.f_frsize })
}

/// Makes `file` so long and really takes the room for it, so that it is free again when the file is deleted.
pub fn take_room(file: &mut File, bytes: u64) -> io::Result<()> {
    match rustix::fs::fallocate(&*file, rustix::fs::FallocateFlags::empty(), 0, bytes) {
        // A file system that cannot reserve is written to.
        Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => {
            io::copy(&mut io::Read::take(io::repeat(0xff), bytes), file)?;
            file.flush()
        }
        taken => Ok(taken?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_that_is_taken_is_gone_and_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ballast");
        let mut file = File::create(&path).unwrap();
        take_room(&mut file, 1 << 20).unwrap();
        assert_eq!(file.metadata().unwrap().len(), 1 << 20);
        let blocks = std::os::unix::fs::MetadataExt::blocks(&file.metadata().unwrap());
        assert!(blocks * 512 >= 1 << 20, "{blocks} blocks: it is not merely long");
        let room = room(folder.path()).unwrap();
        assert!(room.free > 0 && room.free <= room.total, "{room:?}");
    }
}
