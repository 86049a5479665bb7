//! The operator's settings: the mail server, and who writes. A task says nothing of either.

use lettre::Address;
use lettre::message::Mailbox;
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// How mails leave.
#[derive(Debug, Clone)]
pub struct Mailing {
    /// The server they are handed to; without one each is kept as a file.
    pub server: Option<MailServer>,
    /// Who writes.
    pub from: Mailbox,
    /// How long the server is waited for.
    pub patience: Patience,
}

/// A mail server. Its `Debug` hides the account.
#[derive(Clone)]
pub struct MailServer {
    /// Its name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the way there is encrypted.
    pub encryption: Encryption,
    /// Name and password to sign in with.
    pub account: Option<(String, String)>,
    /// What is started to talk to it.
    pub program: MailProgram,
}

/// A program that talks to the mail server for its node: it must call [`serve_mails`](crate::types::serve_mails) before
/// anything else.
#[derive(Debug, Clone)]
pub struct MailProgram {
    /// The binary.
    pub path: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// All of its environment.
    pub environment: Vec<(&'static str, OsString)>,
}

/// How the way to the server is encrypted. What cannot be had fails: it is never sent in the clear instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Encryption {
    /// Not at all.
    None,
    /// By STARTTLS.
    Starttls,
    /// From the first byte.
    Implicit,
}

/// How long each step may take: nothing waits for a server without end.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Patience {
    /// To find its address.
    pub resolve: Duration,
    /// To reach it, and again to shake hands.
    pub connect: Duration,
    /// For the answer to a command.
    pub command: Duration,
    /// For the answer to a whole mail; for large ones a second more for each 64 KiB.
    pub mail: Duration,
}

/// All that has to be known to talk to the server.
#[derive(Serialize, Deserialize)]
pub struct Way {
    /// Its name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the way there is encrypted.
    pub encryption: Encryption,
    /// Name and password to sign in with.
    pub account: Option<(String, String)>,
    /// The domain that says hello.
    pub hello: String,
    /// How long it is waited for.
    pub patience: Patience,
}

impl Mailing {
    /// Without a server: every mail is kept as a file.
    pub fn to_files() -> Mailing {
        let from = Mailbox::new(None, Address::new_dangerous("errand", "example.com"));
        Mailing { server: None, from, patience: Patience::default() }
    }
}

impl Way {
    /// To the server of `mailing`.
    pub fn new(mailing: &Mailing, server: &MailServer) -> Way {
        Way {
            host: server.host.clone(),
            port: server.port,
            encryption: server.encryption,
            account: server.account.clone(),
            hello: mailing.from.email.domain().to_owned(),
            patience: mailing.patience.clone(),
        }
    }
}

impl Patience {
    /// For the answer to a whole mail of so many bytes.
    pub fn of_mail(&self, bytes: u64) -> Duration {
        self.mail + Duration::from_secs(bytes / (64 * 1024))
    }
}

impl Default for Patience {
    fn default() -> Patience {
        let seconds = Duration::from_secs;
        Patience { resolve: seconds(5), connect: seconds(10), command: seconds(30), mail: seconds(60) }
    }
}

impl fmt::Debug for MailServer {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}:{} {:?}", self.host, self.port, self.encryption)
    }
}
