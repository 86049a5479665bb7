//! A small disk, and a Postgres of a test's own.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

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
        done(Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(folder.path()));
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
        let mut filler = File::create(self.path().join("filler")).unwrap();
        while filler.write(&[0; 4096]).is_ok_and(|written| written > 0) {}
        assert_eq!(self.free(), 0);
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

/// A Postgres of a test's own, which may be filled, stopped and broken.
pub struct OwnPostgres {
    folder: tempfile::TempDir,
    binaries: PathBuf,
    port: u16,
}

impl OwnPostgres {
    /// Starts one; its log (of small pieces) lies on `log_disk`, if there is one.
    pub fn start(log_disk: Option<&Path>) -> OwnPostgres {
        let folder = tempfile::tempdir().unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let server = OwnPostgres { binaries: binaries(), port, folder };
        server.own(server.folder.path());
        let mut init = server.program("initdb");
        init.args(["-U", "errand", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync", "--wal-segsize=1", "-D"]);
        init.arg(server.data());
        if let Some(disk) = log_disk {
            init.arg("--waldir").arg(server.folder_on(disk));
        }
        done(&mut init);
        server.start_again();
        server
    }

    pub fn start_again(&self) {
        let settings = format!(
            "-p {} -c listen_addresses=127.0.0.1 -c unix_socket_directories={} -c fsync=on -c min_wal_size=2MB \
             -c max_wal_size=8MB -c restart_after_crash=on",
            self.port,
            self.folder.path().display()
        );
        let mut start = self.program("pg_ctl");
        start.args(["start", "-w", "-s", "-o", &settings, "-l"]).arg(self.data().with_extension("log"));
        start.arg("-D").arg(self.data());
        done(&mut start);
    }

    pub fn is_running(&self) -> bool {
        self.program("pg_ctl").args(["status", "-D"]).arg(self.data()).output().unwrap().status.success()
    }

    pub fn url(&self, database: &str) -> String {
        format!("postgres://errand@127.0.0.1:{}/{database}", self.port)
    }

    /// A folder on another disk that the server may write to.
    pub fn folder_on(&self, disk: &Path) -> PathBuf {
        let folder = disk.join("postgres");
        fs::create_dir(&folder).unwrap();
        self.own(&folder);
        folder
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// One of its programs: it does not run as root, and then does as the user its package made.
    fn program(&self, name: &str) -> Command {
        let mut command = Command::new(if is_root() { "runuser".into() } else { self.binaries.join(name) });
        if is_root() {
            command.args(["-u", "postgres", "--"]).arg(self.binaries.join(name));
        }
        command.current_dir(self.folder.path());
        command
    }

    fn own(&self, folder: &Path) {
        if is_root() {
            done(Command::new("chown").arg("postgres").arg(folder));
        }
    }
}

impl Drop for OwnPostgres {
    fn drop(&mut self) {
        let _ = self.program("pg_ctl").args(["stop", "-m", "immediate", "-s", "-D"]).arg(self.data()).output();
    }
}

/// Off the PATH on Debian, in a folder of its version.
fn binaries() -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let mut found: Vec<PathBuf> = versions.map(|entry| entry.unwrap().path().join("bin")).collect();
    found.retain(|folder| folder.join("initdb").exists());
    found.sort();
    let said = || Command::new("pg_config").arg("--bindir").output().ok();
    let elsewhere =
        || PathBuf::from(String::from_utf8(said().expect("a Postgres is installed").stdout).unwrap().trim());
    found.pop().unwrap_or_else(elsewhere)
}

pub fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().unwrap();
    id.stdout == b"0\n"
}

#[track_caller]
pub fn done(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {output:?}");
    output
}
