//! What `errand keys` takes.

use clap::{Args, Subcommand};

/// What to do with keys. Every node knows of it within 5 s.
#[derive(Debug, Subcommand)]
pub enum KeysCommand {
    /// Make a key and print it, this once; as soon as there is one, every call needs one
    Create(CreateKeyArgs),
    /// List the keys, oldest first
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Revoke a key, for good
    Revoke {
        /// The key's id: what stands behind `errand_`
        id: String,
    },
    /// Give a key another secret and print it, this once; the old one is no key any more
    Rotate {
        /// The key's id
        id: String,
    },
}

/// What `errand keys create` takes.
#[derive(Debug, Args)]
pub struct CreateKeyArgs {
    /// What its holder may do
    #[arg(long, value_parser = ["admin", "submit", "read", "worker"])]
    pub role: String,
    /// Whose tasks it is for; a worker's with * takes every owner's
    #[arg(long)]
    pub owner: String,
    /// What people call it
    #[arg(long)]
    pub name: Option<String>,
    /// From then on it is no longer valid, as 2027-01-31T12:00:00Z
    #[arg(long, value_name = "TIME")]
    pub expires_at: Option<String>,
    /// Only this type may be submitted with it; may be given again
    #[arg(long = "type", value_name = "TYPE")]
    pub types: Vec<String>,
    /// Only to this queue; may be given again. Not `--queues`, which is the node's setting
    #[arg(long = "queue", value_name = "QUEUE")]
    pub key_queues: Vec<String>,
}
