//! What the client's subcommands take.

use clap::{Args, Subcommand};
use std::path::PathBuf;

/// The client's subcommands.
#[derive(Debug, Subcommand)]
pub enum ClientCommand {
    /// Submit a task and print its id
    Submit(Box<SubmitArgs>),
    /// List tasks, newest first
    List(ListArgs),
    /// Show one task
    Get {
        /// The task's id
        id: String,
        /// Print the server's JSON, unchanged
        #[arg(long)]
        json: bool,
    },
    /// Cancel tasks
    Cancel {
        /// The tasks' ids
        #[arg(required = true, value_name = "ID")]
        ids: Vec<String>,
    },
    /// Run failed or cancelled tasks again
    Retry {
        /// The tasks' ids
        #[arg(required = true, value_name = "ID")]
        ids: Vec<String>,
    },
    /// Let tasks run that wait for an approval
    Approve {
        /// The tasks' ids
        #[arg(required = true, value_name = "ID")]
        ids: Vec<String>,
        /// Not before this time, as 2026-01-31T12:00:00Z, in the place of the time they were submitted for
        #[arg(long, value_name = "TIME")]
        run_at: Option<String>,
    },
    /// Say that tasks that wait for an approval are not to run
    Reject {
        /// The tasks' ids
        #[arg(required = true, value_name = "ID")]
        ids: Vec<String>,
        /// Why
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
    /// Follow a task until it is finished; exit code 0 on SUCCESS, else 1
    Watch {
        /// The task's id
        id: String,
        /// Print the server's JSON at each change, unchanged
        #[arg(long)]
        json: bool,
    },
    /// Print a task's log
    Logs {
        /// The task's id
        id: String,
        /// Go on until the task is finished
        #[arg(long, short)]
        follow: bool,
        /// Print the server's JSON, unchanged
        #[arg(long)]
        json: bool,
    },
}

/// What `errand submit` takes.
#[derive(Debug, Args)]
pub struct SubmitArgs {
    /// The task's type, as csv_processing
    pub r#type: String,
    /// Its params: JSON, @FILE for a file with JSON, or - for standard input
    #[arg(long, value_name = "JSON", default_value = "{}", hide_default_value = true, allow_hyphen_values = true)]
    pub params: String,
    /// What people call it
    #[arg(long)]
    pub name: Option<String>,
    /// Where it waits
    #[arg(long)]
    pub queue: Option<String>,
    /// -100 to 100, higher first
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub priority: Option<i64>,
    /// Not before this time, as 2026-01-31T12:00:00Z
    #[arg(long, value_name = "TIME")]
    pub run_at: Option<String>,
    /// It runs only once an admin has approved it
    #[arg(long)]
    pub needs_approval: bool,
    /// How many failures end it
    #[arg(long, value_name = "N")]
    pub max_attempts: Option<i64>,
    /// How many seconds one attempt may run
    #[arg(long, value_name = "N")]
    pub timeout_seconds: Option<i64>,
    /// A word to find it by; may be given again
    #[arg(long = "tag", value_name = "TAG")]
    pub tags: Vec<String>,
    /// A file to upload as its input, for types that take one; may be given again where they take several
    #[arg(long = "file", value_name = "PATH")]
    pub files: Vec<PathBuf>,
    /// Follow it until it is finished; exit code 0 on SUCCESS, else 1
    #[arg(long)]
    pub wait: bool,
    /// Submitting again with the same key makes no second task
    #[arg(long, value_name = "KEY")]
    pub idempotency_key: Option<String>,
    /// Print the server's JSON, unchanged
    #[arg(long)]
    pub json: bool,
}

/// What `errand list` takes.
#[derive(Debug, Default, Args)]
pub struct ListArgs {
    /// Only tasks in this status, as FAILED; may be given again
    #[arg(long, ignore_case = true, value_parser = ["PENDING", "RUNNING", "SUCCESS", "FAILED", "CANCELLED"])]
    pub status: Vec<String>,
    /// Only tasks of this type; may be given again
    #[arg(long)]
    pub r#type: Vec<String>,
    /// Only tasks in this queue
    #[arg(long)]
    pub queue: Option<String>,
    /// Only tasks with this tag
    #[arg(long)]
    pub tag: Option<String>,
    /// Only tasks with these words in their name, id, tags or error
    #[arg(short, long = "query", value_name = "WORDS")]
    pub q: Option<String>,
    /// How many at most, 1 to 500
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub limit: u64,
    /// Go on where an earlier list ended
    #[arg(long)]
    pub cursor: Option<String>,
    /// Print the server's JSON, unchanged
    #[arg(long)]
    pub json: bool,
}
