//! Where this program's own binary is.

use std::path::{Path, PathBuf};

/// The subcommand by which it is started to work on pictures.
pub const PICTURES: &str = "pictures";

/// The binary of this process, to start it once more: the one that runs, also where its file was replaced or deleted since.
pub fn own_binary() -> PathBuf {
    let running = Path::new("/proc/self/exe");
    if running.exists() {
        return running.to_owned();
    }
    std::env::current_exe().unwrap_or_else(|_| PathBuf::from("errand"))
}
