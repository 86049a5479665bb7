//! Settings and the command line: the only place that reads the environment.
//!
//! A value comes from its flag, else the environment, else `.env` in the working folder, else the
//! default, and remembers from which. Wrong values and unknown names are told all at once.

mod binary;
mod cli;
mod files;
mod mail;
mod names;
mod parse;
mod settings;
mod show;

use crate::task::Role;
use lettre::message::Mailbox;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

pub use binary::{MAIL_ROOM, PICTURES, own_binary, trust};
pub use cli::{
    BenchArgs, Cli, ClientCommand, Command, ConfigArgs, CreateKeyArgs, Flags, KeysCommand, ListArgs, Scenario,
    SubmitArgs, VerifyArgs,
};
pub use files::{Bucket, FileStore};
pub use mail::{MailServer, MailTls};
pub use settings::{SETTINGS, Secret, Setting, example};

/// The settings of this process, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where to listen. Port 0 takes a free one.
    pub bind: SocketAddr,
    /// Database file, uploads, artifacts.
    pub data_dir: PathBuf,
    /// Where uploads and artifacts are kept.
    pub files: FileStore,
    /// Keys that may call, beside those of the database.
    pub api_keys: Vec<ApiKey>,
    /// Origins whose pages may call, as browsers say them.
    pub allowed_origins: Vec<String>,
    /// Where tasks are kept.
    pub database: DatabaseUrl,
    /// Tasks run at once, 0 to 1024; 0 is API only.
    pub workers: usize,
    /// Queues to take tasks from; empty is all.
    pub queues: Vec<String>,
    /// Types whose tasks need an approval.
    pub approve_types: Vec<String>,
    /// How long a worker may be silent.
    pub lease: Duration,
    /// How long a stopping node waits for its tasks.
    pub drain: Duration,
    /// How long tasks are kept that ended in `SUCCESS`, `FAILED` and `CANCELLED`; `None` is for ever.
    pub retain: [Option<Duration>; 3],
    /// How long it is kept who did what; `None` is for ever.
    pub retain_activity: Option<Duration>,
    /// Largest upload.
    pub max_file_bytes: u64,
    /// Tasks submitted, changes, and reads that a key may send a second; `None` is any number.
    pub rates: [Option<u32>; 3],
    /// Open tasks an owner may have; `None` is any number.
    pub quota_tasks: Option<u64>,
    /// Bytes of uploads an owner may have; `None` is any number.
    pub quota_bytes: Option<u64>,
    /// What an hour of run time costs, by type.
    pub cost_per_hour: BTreeMap<String, f64>,
    /// The server that mails go to; `None` keeps them as files.
    pub mail_server: Option<MailServer>,
    /// Who writes them; there is one where there is a server.
    pub mail_from: Option<Mailbox>,
    /// Directives of tracing's filter; they parse.
    pub log: String,
    /// How to write the log.
    pub log_format: LogFormat,
    /// What the page shows at first.
    pub page_scope: PageScope,
    /// Where the client's subcommands find the service; no slash at its end.
    pub url: String,
    /// The key they send.
    pub key: Option<SecretText>,
    /// The fail points to arm.
    #[cfg(debug_assertions)]
    pub faults: Vec<crate::fault::Armed>,
    /// Every setting as `errand config` shows it, in the table's order.
    pub shown: Vec<Shown>,
}

/// Which database, and where. Its `Debug` hides the password.
#[derive(Clone, PartialEq, Eq)]
pub enum DatabaseUrl {
    /// The path of the file.
    Sqlite(PathBuf),
    /// The whole URL, password and all.
    Postgres(String),
}

/// A key of the settings. Its `Debug` hides the key.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// What its holder may do.
    pub role: Role,
    /// Whose tasks it is for.
    pub owner: String,
    /// The key itself.
    pub key: String,
}

/// A text that `Debug` hides.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretText(pub String);

/// How the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    Auto,
    /// Lines for people.
    Text,
    /// One object a line.
    Json,
}

/// Whose tasks the page shows at first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageScope {
    /// All of the owner's.
    All,
    /// Those of the same browser.
    Mine,
}

/// A setting with its value as text, secrets masked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// Its name in the environment.
    pub name: &'static str,
    /// Its value, safe to show.
    pub value: String,
    /// Where the value came from.
    pub origin: Origin,
}

/// Where a value came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The command line.
    Flag,
    /// The process's environment.
    Environment,
    /// The file `.env` in the working folder.
    DotEnv,
    /// Nobody gave one.
    Default,
}

/// One thing that is wrong with the configuration, in a sentence without secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem(String);

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            DatabaseUrl::Sqlite(path) => write!(f, "Sqlite({path:?})"),
            DatabaseUrl::Postgres(url) => write!(f, "Postgres({:?})", show::safe(Secret::InAddress, url.clone())),
        }
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}:{}:***", self.role.word(), self.owner)
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("***")
    }
}

impl LogFormat {
    /// Whether to write JSON, given whether the log goes to a terminal.
    pub fn is_json(self, terminal: bool) -> bool {
        self == LogFormat::Json || (self == LogFormat::Auto && !terminal)
    }
}

impl Config {
    /// The settings of this process: its flags, its environment and `.env` in the working folder.
    pub fn from_process(flags: &Flags) -> Result<Config, Vec<Problem>> {
        let text = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
        let environment = std::env::vars_os().map(|(name, value)| (text(name), text(value)));
        let dotenv = match std::fs::read_to_string(".env") {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(vec![Problem(format!(".env cannot be read: {error}"))]),
        };
        Config::load(flags, environment, &dotenv)
    }

    /// The settings these sources make, or everything that is wrong with them. An empty value in
    /// the environment or in `.env` counts as not given; of two lines in `.env` the last one holds.
    pub fn load(
        flags: &Flags,
        environment: impl IntoIterator<Item = (String, String)>,
        dotenv: &str,
    ) -> Result<Config, Vec<Problem>> {
        let mut reader = Reader::default();
        reader.take_dotenv(dotenv);
        reader.take_variables(environment, Origin::Environment);
        reader.given.extend(flags.iter().map(|(name, value)| (name, (value.to_owned(), Origin::Flag))));

        let data_dir = reader.read(&settings::DATA_DIR, parse::folder);
        let own_file = data_dir.join("errand.db");
        let own_url = format!("sqlite://{}", own_file.display());
        let two_a_core = (2 * std::thread::available_parallelism().map_or(1, usize::from)).min(1024);
        let config = Config {
            bind: reader.read(&settings::BIND, parse::bind),
            api_keys: reader.read(&settings::API_KEYS, parse::api_keys),
            allowed_origins: reader.read(&settings::ALLOWED_ORIGINS, parse::origins),
            files: reader.read_files(data_dir.join("files")),
            data_dir,
            database: reader.read_or(&settings::DATABASE_URL, own_url, DatabaseUrl::Sqlite(own_file), parse::database),
            workers: reader.read_or(&settings::WORKERS, two_a_core.to_string(), two_a_core, parse::workers),
            queues: reader.read(&settings::QUEUES, parse::queues),
            approve_types: reader.read(&settings::APPROVE_TYPES, parse::approve_types),
            lease: reader.read(&settings::LEASE_SECONDS, parse::seconds(5..=3600)),
            drain: reader.read(&settings::DRAIN_SECONDS, parse::seconds(0..=3600)),
            retain: [
                reader.read(&settings::RETAIN_SUCCESS_HOURS, parse::kept),
                reader.read(&settings::RETAIN_FAILED_HOURS, parse::kept),
                reader.read(&settings::RETAIN_CANCELLED_HOURS, parse::kept),
            ],
            retain_activity: reader.read(&settings::RETAIN_ACTIVITY_DAYS, parse::kept_days),
            max_file_bytes: reader.read(&settings::MAX_FILE_BYTES, parse::whole(1..=1 << 40)),
            rates: [
                reader.read(&settings::RATE_SUBMIT, parse::rate),
                reader.read(&settings::RATE_WRITE, parse::rate),
                reader.read(&settings::RATE_READ, parse::rate),
            ],
            quota_tasks: reader.read(&settings::QUOTA_TASKS, parse::quota),
            quota_bytes: reader.read(&settings::QUOTA_BYTES, parse::quota),
            cost_per_hour: reader.read(&settings::COST_PER_HOUR, parse::costs),
            mail_server: reader.read(&settings::SMTP_URL, mail::server),
            mail_from: reader.read(&settings::MAIL_FROM, mail::from),
            log: reader.read(&settings::LOG, parse::log),
            log_format: reader.read(&settings::LOG_FORMAT, parse::log_format),
            page_scope: reader.read(&settings::PAGE_SCOPE, parse::page_scope),
            url: reader.read(&settings::URL, parse::url),
            key: reader.read(&settings::KEY, parse::key),
            #[cfg(debug_assertions)]
            faults: reader.read(&settings::FAULTS, crate::fault::parse),
            shown: reader.shown(),
        };
        if config.mail_server.is_some() && config.mail_from.is_none() && reader.problems.is_empty() {
            reader
                .problems
                .push(Problem("ERRAND_MAIL_FROM: must say who writes, since there is ERRAND_SMTP_URL".to_owned()));
        }
        if reader.problems.is_empty() { Ok(config) } else { Err(reader.problems) }
    }

    /// Whether only this machine can call.
    pub fn is_local(&self) -> bool {
        self.bind.ip().to_canonical().is_loopback()
    }

    /// Why not to listen where other machines can call, while there is no key: everyone there could read,
    /// submit and cancel tasks.
    pub fn exposure(&self) -> Problem {
        let (bind, port) = (self.bind, self.bind.port());
        Problem(format!(
            "ERRAND_BIND: {bind} can be reached from other machines, and there is no valid API key: everyone there \
             could read and change every task. Make a key with `errand keys create --role admin --owner NAME` (or set \
             ERRAND_API_KEYS); or listen on 127.0.0.1:{port} (or [::1]:{port})"
        ))
    }
}

/// Runs `errand config`: prints every setting, its value and where it came from. The exit code.
pub fn run(config: &Config, args: &ConfigArgs) -> i32 {
    let text = match (args.example, args.json) {
        (true, _) => example(),
        (false, true) => show::json(&config.shown),
        (false, false) => show::table(&config.shown),
    };
    let written = io::stdout().lock().write_all(text.as_bytes());
    i32::from(written.is_err_and(|error| error.kind() != io::ErrorKind::BrokenPipe))
}

/// Gathers values from their sources, hands them out parsed, and collects what is wrong.
#[derive(Default)]
struct Reader {
    given: HashMap<&'static str, (String, Origin)>,
    /// The `AWS_` variables.
    aws: BTreeMap<String, String>,
    shown: HashMap<&'static str, Shown>,
    problems: Vec<Problem>,
}

impl Reader {
    fn take_dotenv(&mut self, text: &str) {
        let mut variables = Vec::new();
        for line in dotenvy::from_read_iter(text.as_bytes()) {
            match line {
                Ok(variable) => variables.push(variable),
                // The line itself may hold a secret: only its number is told.
                Err(dotenvy::Error::LineParse(line, _)) => {
                    let at = text.lines().position(|candidate| candidate.trim() == line.trim());
                    let at = at.map_or(String::new(), |index| format!(" line {}", index + 1));
                    self.problems.push(Problem(format!(".env{at}: must be NAME=value, with quotes closed")));
                }
                Err(error) => self.problems.push(Problem(format!(".env: {error}"))),
            }
        }
        self.take_variables(variables, Origin::DotEnv);
    }

    /// Takes what is ours; refuses an `ERRAND_` name that nobody knows.
    fn take_variables(&mut self, variables: impl IntoIterator<Item = (String, String)>, origin: Origin) {
        for (name, value) in variables {
            match names::named(&name) {
                Some(_) if value.is_empty() => {}
                Some(setting) => {
                    self.given.insert(setting.name, (value, origin));
                }
                None if name.starts_with("ERRAND_") => {
                    let nearest = names::nearest(&name);
                    let name = name.escape_debug();
                    self.problems.push(Problem(format!(
                        "{name} ({origin}): there is no such setting; the nearest is {nearest}"
                    )));
                }
                None if name.starts_with("AWS_") => drop(self.aws.insert(name, value)),
                None => {}
            }
        }
    }

    fn read_files(&mut self, folder: PathBuf) -> FileStore {
        let default = folder.display().to_string();
        match self.read_or(&settings::FILES_URL, default, None, files::bucket) {
            Some((name, prefix)) => FileStore::Bucket(Bucket { name, prefix, options: self.aws.clone() }),
            None => FileStore::Folder(folder),
        }
    }

    fn read<T>(&mut self, setting: &'static Setting, parse: impl Fn(&str) -> Result<T, String>) -> T {
        // A default of our own: were it wrong, no node would start anywhere, and no test pass.
        let default = parse(setting.default).unwrap_or_else(|allowed| panic!("{}: {allowed}", setting.name));
        self.read_or(setting, setting.default.to_owned(), default, parse)
    }

    /// The value given, else the default, which has a text and a value. For a bad value the default
    /// stands in, so that reading goes on and finds the rest.
    fn read_or<T>(
        &mut self,
        setting: &'static Setting,
        default_text: String,
        default: T,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> T {
        let given = self.given.remove(setting.name);
        let parsed = given.as_ref().map(|(text, _)| parse(text));
        let (text, origin) = given.unwrap_or((default_text, Origin::Default));
        let value = show::safe(setting.secret, text);
        if let Some(Err(allowed)) = &parsed {
            let shown = value.escape_debug();
            self.problems.push(Problem(format!("{} ({origin}): \"{shown}\" {allowed}", setting.name)));
        }
        self.shown.insert(setting.name, Shown { name: setting.name, value, origin });
        parsed.and_then(Result::ok).unwrap_or(default)
    }

    /// Everything that was read, in the table's order.
    fn shown(&mut self) -> Vec<Shown> {
        SETTINGS.iter().filter_map(|setting| self.shown.remove(setting.name)).collect()
    }
}

#[cfg(test)]
mod tests;
