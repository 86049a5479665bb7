//! The command line: one flag a setting, and the subcommands.

mod client;
mod keys;

use super::binary::{MAIL_ROOM, PICTURES};
use super::settings::SETTINGS;
use clap::{Arg, ArgMatches, Args, FromArgMatches, Parser, Subcommand, ValueEnum};
use std::collections::BTreeMap;
use std::path::PathBuf;

pub use client::{ClientCommand, ListArgs, SubmitArgs};
pub use keys::{CreateKeyArgs, KeysCommand};

/// A persistent task service: hand over long work by REST, watch it, trust its history.
///
/// Without a subcommand it serves: page, API and workers in one process.
///
/// Exit codes: 0 done, 1 failed, 2 usage or configuration, 3 database damaged, 4 database file in use.
#[derive(Debug, Parser)]
#[command(name = "errand", version, max_term_width = 120)]
pub struct Cli {
    /// Settings given as flags.
    #[command(flatten)]
    pub flags: Flags,
    /// What to do; nothing is `serve`.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// The settings given as flags, as text, by their names in the environment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Flags(BTreeMap<&'static str, String>);

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve the page, the API and workers (the default)
    Serve,
    /// Run workers only, without the API
    Worker,
    /// Bring the database up to date and stop
    Migrate,
    /// Copy the SQLite database to a file that is not there yet, also while Errand runs
    Backup {
        /// Where the copy goes
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Compare everything that is kept twice, also while Errand runs; exit code 1 if something differs
    Verify(VerifyArgs),
    /// Make, list and revoke API keys, also while Errand runs
    #[command(subcommand)]
    Keys(KeysCommand),
    /// Print each setting, its value and where it came from
    Config(ConfigArgs),
    /// Measure this machine and this database
    Bench(BenchArgs),
    /// Work on pictures for the node that started it
    #[command(name = PICTURES, hide = true)]
    Pictures,
    /// Talk to the mail server for the node that started it
    #[command(name = MAIL_ROOM, hide = true)]
    MailRoom,
    /// The other side of `errand bench --scenario fanout`, in a process of its own
    #[command(hide = true)]
    BenchListeners {
        /// The server
        address: std::net::SocketAddr,
        /// How many sockets
        sockets: usize,
        /// How many tasks each is told of
        tasks: usize,
    },
    /// The client's subcommands, against `ERRAND_URL`
    #[command(flatten)]
    Client(ClientCommand),
}

/// What `errand config` takes.
#[derive(Debug, Default, Args)]
pub struct ConfigArgs {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Print an example of a .env file instead, with every setting and its default
    #[arg(long, conflicts_with = "json")]
    pub example: bool,
}

/// What `errand verify` takes.
#[derive(Debug, Default, Args)]
pub struct VerifyArgs {
    /// Leave uploads and artifacts out: their content is not read
    #[arg(long)]
    pub no_files: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// What `errand bench` takes.
#[derive(Debug, Args)]
pub struct BenchArgs {
    /// What to measure, in the same database: names with commas between them
    #[arg(long, value_enum, value_delimiter = ',', default_value = "all")]
    pub scenario: Vec<Scenario>,
    /// Tasks in each scenario
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub tasks: u64,
    /// Tasks in each batch of the scenario `batch`
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    pub batch: u64,
    /// Callers at once
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..))]
    pub connections: u64,
    /// Tasks a pool runs at once
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..))]
    pub places: usize,
    /// Sockets of the scenario `fanout`
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=10_000))]
    pub sockets: usize,
    /// Finished tasks that are there before the measuring begins
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub history: u64,
    /// Seconds for which `idle` watches, and for which `snapshot` works before it measures again
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub seconds: u64,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// What to measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Scenario {
    /// Single submits
    Submit,
    /// Submits by the batch
    Batch,
    /// From submit to finish
    Life,
    /// How soon a waiting worker starts a task
    Pickup,
    /// A backlog worked off by a pool
    Drain,
    /// Single submits while a pool works
    Sustained,
    /// The page's list, read whole
    Poll,
    /// The page's list, unchanged: 304
    #[value(name = "poll-304")]
    PollUnchanged,
    /// The list by filters, orders and places, a line each
    Lists,
    /// The statistics
    Stats,
    /// One change told to many sockets
    Fanout,
    /// Retention of half of the history
    Prune,
    /// A node with nothing to do
    Idle,
    /// A pool's drain, before and while somebody holds a snapshot open (Postgres; not one of all)
    Snapshot,
    /// All of them
    All,
}

impl Scenario {
    /// Each, in the order in which `all` measures them.
    pub const MEASURED: [Scenario; 13] = [
        Scenario::Life,
        Scenario::Pickup,
        Scenario::Drain,
        Scenario::Sustained,
        Scenario::Submit,
        Scenario::Batch,
        Scenario::Poll,
        Scenario::PollUnchanged,
        Scenario::Lists,
        Scenario::Stats,
        Scenario::Fanout,
        Scenario::Prune,
        Scenario::Idle,
    ];
}

impl Flags {
    /// Sets a setting as its flag would; `name` is its name in the environment. For tests and tools.
    pub fn set(mut self, name: &'static str, value: &str) -> Flags {
        self.0.insert(name, value.to_owned());
        self
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.0.iter().map(|(name, value)| (*name, value.as_str()))
    }
}

impl Args for Flags {
    fn augment_args(command: clap::Command) -> clap::Command {
        SETTINGS.iter().fold(command, |command, setting| {
            let mut help = format!("{} [env: {}]", setting.help, setting.name);
            if !setting.default.is_empty() {
                help += &format!(" [default: {}]", setting.default);
            }
            let arg = Arg::new(setting.name)
                .long(setting.flag)
                .value_name(setting.placeholder)
                .help(help)
                .help_heading("Settings")
                .allow_hyphen_values(true)
                .global(true);
            command.arg(arg)
        })
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Flags::augment_args(command)
    }
}

impl FromArgMatches for Flags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Flags, clap::Error> {
        let mut flags = Flags::default();
        flags.update_from_arg_matches(matches)?;
        Ok(flags)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        for setting in SETTINGS {
            if let Some(value) = matches.get_one::<String>(setting.name) {
                self.0.insert(setting.name, value.clone());
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        <Cli as clap::CommandFactory>::command().debug_assert();
    }

    #[test]
    fn settings_stand_before_or_behind_the_subcommand() {
        let cli = |line: &str| Cli::try_parse_from(line.split(' ')).map(|cli| cli.flags);
        let expected = Flags::default().set("ERRAND_WORKERS", "3");
        assert_eq!(cli("errand --workers 3 worker").ok(), Some(expected.clone()));
        assert_eq!(cli("errand worker --workers 3").ok(), Some(expected));
        assert_eq!(cli("errand worker").ok(), Some(Flags::default()));
        assert!(cli("errand worker --wokers 3").is_err());
    }

    #[test]
    fn a_client_command_is_one_of_the_commands() {
        let cli = Cli::try_parse_from(["errand", "submit", "noop", "--priority", "-5", "--tag", "a", "--tag", "b"]);
        let Ok(Cli { command: Some(Command::Client(ClientCommand::Submit(args))), .. }) = cli else {
            panic!("{cli:?}");
        };
        assert_eq!((args.r#type.as_str(), args.priority, args.tags.len()), ("noop", Some(-5), 2));
    }
}
