//! Where this program's own binary is.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The subcommand by which it is started to work on pictures.
pub const PICTURES: &str = "pictures";
/// The subcommand by which it is started to talk to the mail server.
pub const MAIL_ROOM: &str = "mail-room";

/// What of this process's environment says whose certificates it trusts.
pub fn trust() -> Vec<(&'static str, OsString)> {
    let told = |name| Some((name, std::env::var_os(name)?));
    ["SSL_CERT_FILE", "SSL_CERT_DIR"].into_iter().filter_map(told).collect()
}

/// The binary of this process, to start it once more: the one that runs, also where its file was replaced or deleted since.
pub fn own_binary() -> PathBuf {
    let running = Path::new("/proc/self/exe");
    if running.exists() {
        return running.to_owned();
    }
    std::env::current_exe().unwrap_or_else(|_| PathBuf::from("errand"))
}
