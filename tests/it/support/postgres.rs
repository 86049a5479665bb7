//! A Postgres of a test's own, to be stopped, frozen and started again. Gone after the test.

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tokio::process::Command;

/// What is run of it.
const PROGRAMS: [&str; 3] = ["initdb", "pg_ctl", "pg_basebackup"];

pub struct Server {
    folder: tempfile::TempDir,
    binaries: PathBuf,
    pub port: u16,
    settings: String,
}

impl Server {
    /// A new, empty one. `settings` as `max_connections=50`, each its own.
    pub async fn start(settings: &[&str]) -> Server {
        Server::start_with(settings, &[]).await
    }

    /// The same, made by initdb with these arguments too.
    pub async fn start_with(settings: &[&str], init: &[&str]) -> Server {
        let binaries = binaries();
        let folder = tempfile::tempdir().unwrap();
        give_to_postgres(folder.path()).await;
        let settings = settings.iter().map(|setting| format!(" -c {setting}")).collect();
        let mut server = Server { folder, binaries, port: 0, settings };
        let data = server.data();
        let usual = ["-D", &data, "-U", "errand", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync"];
        server.run("initdb", &[&usual, init].concat()).await;
        server.port = free_port();
        server.start_again().await;
        server
    }

    /// A second one that follows this one and can only be read. What this one commits from now on
    /// is there before it is acknowledged.
    pub async fn synchronous_standby(&self) -> Server {
        let folder = tempfile::tempdir().unwrap();
        give_to_postgres(folder.path()).await;
        let (binaries, settings) = (self.binaries.clone(), self.settings.clone());
        let standby = Server { folder, binaries, port: free_port(), settings };
        let from = format!("host=127.0.0.1 port={} user=errand", self.port);
        let usual = ["-D", &standby.data(), "-R", "-X", "stream", "-c", "fast", "--no-sync"];
        standby.run("pg_basebackup", &[&usual[..], &["-d", &from]].concat()).await;
        standby.start_again().await;
        self.say("ALTER SYSTEM SET synchronous_standby_names = '*'").await;
        self.say("SELECT pg_reload_conf()").await;
        let begun = std::time::Instant::now();
        while self.ask("SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'").await == 0 {
            assert!(begun.elapsed().as_secs() < 30, "it does not follow: {}", standby.log());
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        standby
    }

    /// A standby becomes the primary; returns when it can be written.
    pub async fn promote(&self) {
        self.run("pg_ctl", &["promote", "-D", &self.data(), "-w", "-s", "-t", "60"]).await;
        // Whoever it would wait for is not there.
        self.say("ALTER SYSTEM RESET synchronous_standby_names").await;
        self.say("SELECT pg_reload_conf()").await;
    }

    /// Its address behind this port: its own, or a proxy's.
    pub fn url(&self, port: u16) -> String {
        format!("postgres://errand@127.0.0.1:{port}/postgres")
    }

    /// Starts it on the port it had, and returns when it takes connections.
    pub async fn start_again(&self) {
        // What a killed process loses is not what fsync saves; without it the disk is spared.
        let options = format!(
            "-p {} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off{}",
            self.port, self.settings
        );
        let log = format!("{}/server.log", self.data());
        self.run("pg_ctl", &["start", "-D", &self.data(), "-l", &log, "-w", "-s", "-t", "60", "-o", &options]).await;
    }

    /// Stops it as a crash would: no session is asked, nothing is written back.
    pub async fn stop(&self) {
        self.run("pg_ctl", &["stop", "-D", &self.data(), "-m", "immediate", "-w", "-s", "-t", "60"]).await;
    }

    /// Whether it is still there: a full disk ends it.
    pub fn is_running(&self) -> bool {
        fs::exists(format!("{}/postmaster.pid", self.data())).unwrap()
    }

    /// Stops every process of it where it is; connections stay open and silent.
    pub fn freeze(&self) {
        self.signal_all("STOP");
    }

    pub fn thaw(&self) {
        self.signal_all("CONT");
    }

    pub async fn connect(&self) -> PgConnection {
        PgConnection::connect(&self.url(self.port)).await.unwrap()
    }

    /// What one statement says in its first row.
    pub async fn ask(&self, statement: &str) -> i64 {
        let row = self.connect().await.fetch_one(AssertSqlSafe(statement.to_owned())).await.unwrap();
        sqlx::Row::get(&row, 0)
    }

    /// Says one statement.
    pub async fn say(&self, statement: &str) {
        self.connect().await.execute(AssertSqlSafe(statement.to_owned())).await.unwrap();
    }

    /// Ends every session of a node; answers how many there were.
    pub async fn terminate_sessions(&self) -> i64 {
        self.ask("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name LIKE 'errand %'")
            .await
    }

    /// Kills a process that serves a node.
    pub async fn kill_a_backend(&self) {
        let pid =
            self.ask("SELECT max(pid)::bigint FROM pg_stat_activity WHERE application_name LIKE 'errand %'").await;
        kill("KILL", &pid.to_string());
    }

    /// How many sessions nodes have.
    pub async fn sessions(&self) -> i64 {
        self.ask("SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'errand%'").await
    }

    /// What the server wrote to its log.
    pub fn log(&self) -> String {
        fs::read_to_string(format!("{}/server.log", self.data())).unwrap_or_default()
    }

    fn data(&self) -> String {
        format!("{}/data", self.folder.path().display())
    }

    /// Runs one of its programs. Postgres does not run as root: there, its own user runs them.
    async fn run(&self, program: &str, arguments: &[&str]) {
        let path = self.binaries.join(program);
        let mut command = match is_root() {
            true => {
                let mut command = Command::new("runuser");
                command.args(["-u", "postgres", "--"]).arg(path);
                command
            }
            false => Command::new(path),
        };
        let command = command.args(arguments).current_dir("/").stdin(Stdio::null());
        let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status().await.unwrap();
        assert!(status.success(), "{program} {arguments:?}: {status}\n{}", self.log());
    }

    fn signal_all(&self, signal: &str) {
        let Ok(pid) = fs::read_to_string(format!("{}/postmaster.pid", self.data())) else { return };
        let postmaster = pid.lines().next().unwrap_or_default().to_owned();
        // The postmaster first: then no new process comes in between.
        kill(signal, &postmaster);
        children(&postmaster).iter().for_each(|child| kill(signal, child));
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let Ok(pid) = fs::read_to_string(format!("{}/postmaster.pid", self.data())) else { return };
        let postmaster = pid.lines().next().unwrap_or_default().to_owned();
        let children = children(&postmaster);
        kill("KILL", &postmaster);
        children.iter().for_each(|child| kill("KILL", child));
    }
}

fn kill(signal: &str, pid: &str) {
    // Who has just ended cannot be told.
    let _ = std::process::Command::new("kill").args(["-s", signal, pid]).stderr(Stdio::null()).status();
}

fn children(parent: &str) -> Vec<String> {
    let processes = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let is_child = |pid: &String| {
        // pid (name) state parent …
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(1)) == Some(parent)
    };
    processes.filter(is_child).collect()
}

/// Lets the user that a server runs as write to a folder.
pub async fn give_to_postgres(folder: &Path) {
    if is_root() {
        let given = Command::new("chown").arg("postgres").arg(folder).status().await.unwrap();
        assert!(given.success());
    }
}

pub fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0)
}

/// A port that nobody listens on now. It may be taken before it is used: then the start fails aloud.
pub fn free_port() -> u16 {
    std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

/// The folder of its programs: Debian keeps them off the PATH.
fn binaries() -> PathBuf {
    let debian = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let mut folders: Vec<PathBuf> = debian.filter_map(|entry| Some(entry.ok()?.path().join("bin"))).collect();
    folders.sort();
    folders.extend(std::env::var_os("PATH").iter().flat_map(std::env::split_paths));
    let whole = |folder: &PathBuf| PROGRAMS.iter().all(|program| folder.join(program).exists());
    let found = folders.into_iter().rev().find(whole);
    found.expect("this test starts a Postgres of its own: install its server (Debian: postgresql)")
}
