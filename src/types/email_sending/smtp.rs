//! Mails to the operator's server, over connections that are kept for the next mail.

use super::connect::connect;
use super::server::{Encryption, Way};
use crate::task::text::escaped;
use lettre::address::Envelope;
use lettre::transport::smtp::Error;
use lettre::transport::smtp::client::{AsyncSmtpConnection, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt, Rset};
use lettre::transport::smtp::extension::{Extension, MailBodyParameter, MailParameter};
use serde::{Deserialize, Serialize};
use std::error::Error as _;
use std::fmt::Display;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{OnceCell, Semaphore, SemaphorePermit};
use tokio::time::{Instant, sleep, timeout};

/// As many mails of this node are on their way at once, each over its own connection.
const CONNECTIONS: usize = 8;
/// A connection that waited longer for the next mail is closed: servers close theirs soon after.
const IDLE: Duration = Duration::from_secs(15);
/// What is told of a server that says nothing.
const SILENT: &str = "no answer came in time";
/// As much of what a server says is told.
const SAID_CHARS: usize = 200;

/// What the server says of one mail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// It took the mail.
    Sent,
    /// It never will (5xx).
    Refused(String),
    /// Not now (4xx).
    Deferred(String),
    /// It had the whole mail, and nobody knows what it said: it may be out.
    Unsure(String),
}

/// What keeps mails from being sent, whoever they are to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fault {
    /// The connection broke before the mail could be out.
    Line(String),
    /// Nothing can be sent by this attempt.
    End {
        /// Whether another one may.
        again: bool,
        /// A stable word.
        code: String,
        /// A sentence for a person.
        message: String,
    },
}

/// The server and the connections to it.
pub struct Smtp {
    way: Way,
    tls: OnceCell<TlsParameters>,
    places: Semaphore,
    idle: Arc<Mutex<Idle>>,
}

/// Connections that wait for the next mail, each since when.
#[derive(Default)]
struct Idle {
    kept: Vec<(AsyncSmtpConnection, Instant)>,
    /// Whether somebody will close those that wait too long.
    watched: bool,
}

impl Fault {
    /// A retry with that code.
    pub fn retry(code: &str, message: impl Into<String>) -> Fault {
        Fault::End { again: true, code: code.to_owned(), message: message.into() }
    }

    /// An end without one: only the operator can mend it.
    pub fn fatal(code: &str, message: impl Into<String>) -> Fault {
        Fault::End { again: false, code: code.to_owned(), message: message.into() }
    }

    /// What `error` means where it is about no recipient.
    pub fn of(what: &str, error: &Error) -> Fault {
        match error.status() {
            Some(_) if error.is_permanent() => {
                Fault::fatal("mail_server_refuses", format!("the mail server will not {what}: {}", said(error)))
            }
            Some(_) => Fault::retry("mail_server_busy", format!("the mail server cannot {what} now: {}", said(error))),
            None => Fault::Line(said(error)),
        }
    }
}

impl Smtp {
    /// The server there, to which nothing is connected yet.
    pub fn new(way: Way) -> Smtp {
        let (tls, places, idle) = (OnceCell::new(), Semaphore::new(CONNECTIONS), Arc::default());
        Smtp { way, tls, places, idle }
    }

    /// Hands one mail to the server: asks for its word, and sends the mail once `go` has ended too. If `given_up` ends
    /// before, it is not sent; of any other the answer is heard. Dropped on the way, it closes its connection, and the mail may be out.
    pub async fn send(
        &self,
        envelope: &Envelope,
        mail: &[u8],
        go: impl Future<Output = ()>,
        given_up: impl Future<Output = ()>,
    ) -> Result<Answer, Fault> {
        let offered = async {
            let offered = self.offer(envelope, !mail.is_ascii()).await;
            go.await;
            offered
        };
        let (_place, mut connection, refused) = tokio::select! {
            biased;
            offered = offered => offered?,
            () = given_up => return Err(Fault::Line("it was given up".to_owned())),
        };
        let (answer, usable) = match refused {
            Some(refused) => refused,
            None => self.hand_over(&mut connection, mail).await,
        };
        if usable {
            self.keep(connection);
        }
        Ok(answer)
    }

    /// A connection on which the server asks for the mail, or on which it said why it does not.
    async fn offer(
        &self,
        envelope: &Envelope,
        eight_bit: bool,
    ) -> Result<(SemaphorePermit<'_>, AsyncSmtpConnection, Option<(Answer, bool)>), Fault> {
        let place = self.places.acquire().await.map_err(|_| Fault::Line("it is closed".to_owned()))?;
        if let Some(mut connection) = self.kept() {
            // A fault: it had waited too long, or had its share of mails. Nothing of this one is out, and a new
            // connection is asked before anybody is told.
            if let Ok(refused) = self.ask(&mut connection, envelope, eight_bit).await {
                return Ok((place, connection, refused));
            }
        }
        let mut connection = self.connect().await?;
        let refused = self.ask(&mut connection, envelope, eight_bit).await?;
        Ok((place, connection, refused))
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection, Fault> {
        let tls = match self.way.encryption {
            Encryption::None => None,
            _ => Some(self.tls.get_or_try_init(|| parameters(self.way.host.clone())).await?),
        };
        connect(&self.way, tls).await.map_err(|fault| match fault {
            Fault::Line(why) => {
                Fault::retry("mail_server_unreachable", format!("the mail server cannot be reached: {why}"))
            }
            fault => fault,
        })
    }

    /// Asks whether the server takes a mail; what it says if it does not, and whether the connection is good for another.
    async fn ask(
        &self,
        connection: &mut AsyncSmtpConnection,
        envelope: &Envelope,
        eight_bit: bool,
    ) -> Result<Option<(Answer, bool)>, Fault> {
        let Some(to) = envelope.to().first() else {
            return Ok(Some((Answer::Refused("has no recipient".to_owned()), true)));
        };
        let (server, mut options) = (connection.server_info(), Vec::new());
        if !to.user().is_ascii() {
            if !server.supports_feature(Extension::SmtpUtfEight) {
                let why = "the mail server takes ASCII addresses only";
                return Ok(Some((Answer::Refused(why.to_owned()), true)));
            }
            options.push(MailParameter::SmtpUtfEight);
        }
        if eight_bit && server.supports_feature(Extension::EightBitMime) {
            options.push(MailParameter::Body(MailBodyParameter::EightBitMime));
        }
        let begun = self.say(connection, Mail::new(envelope.from().cloned(), options)).await?;
        begun.map_err(|error| Fault::of("take mails of ours", &error))?;
        let mut taken = self.say(connection, Rcpt::new(to.clone(), Vec::new())).await?;
        if taken.is_ok() {
            taken = self.say(connection, Data).await?;
        }
        let Err(error) = taken else { return Ok(None) };
        let usable = !ends(&error) && matches!(self.say(connection, Rset).await, Ok(Ok(())));
        Ok(Some((Answer::of(&error), usable)))
    }

    /// What the server says of the mail, and whether the connection is good for another one.
    async fn hand_over(&self, connection: &mut AsyncSmtpConnection, mail: &[u8]) -> (Answer, bool) {
        match timeout(self.way.patience.of_mail(mail.len() as u64), connection.message(mail)).await {
            Ok(Ok(_)) => (Answer::Sent, true),
            Ok(Err(error)) => (Answer::of(&error), error.status().is_some() && !ends(&error)),
            Err(_) => (Answer::Unsure(SILENT.to_owned()), false),
        }
    }

    /// One command and its answer; a connection that breaks or is silent is a fault.
    async fn say(
        &self,
        connection: &mut AsyncSmtpConnection,
        command: impl Display,
    ) -> Result<Result<(), Error>, Fault> {
        match timeout(self.way.patience.command, connection.command(command)).await {
            Ok(Ok(_)) => Ok(Ok(())),
            Ok(Err(error)) if error.status().is_some() => Ok(Err(error)),
            Ok(Err(error)) => Err(Fault::Line(said(&error))),
            Err(_) => Err(Fault::Line(SILENT.to_owned())),
        }
    }

    fn kept(&self) -> Option<AsyncSmtpConnection> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let young = |(connection, since)| (Instant::now() < since + IDLE).then_some(connection);
        idle.kept.pop().and_then(young)
    }

    fn keep(&self, connection: AsyncSmtpConnection) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.kept.push((connection, Instant::now()));
        if !std::mem::replace(&mut idle.watched, true) {
            tokio::spawn(close_idle(self.idle.clone()));
        }
    }
}

impl Answer {
    /// What an error says of the one mail that was handed over.
    fn of(error: &Error) -> Answer {
        match error.status() {
            Some(_) if error.is_permanent() => Answer::Refused(said(error)),
            Some(_) => Answer::Deferred(said(error)),
            None => Answer::Unsure(said(error)),
        }
    }
}

/// Closes connections that wait too long for a mail, until none waits.
async fn close_idle(idle: Arc<Mutex<Idle>>) {
    loop {
        sleep(IDLE).await;
        let (old, watched) = {
            let mut idle = idle.lock().unwrap_or_else(PoisonError::into_inner);
            let (kept, old): (Vec<_>, Vec<_>) = idle.kept.drain(..).partition(|(_, since)| since.elapsed() < IDLE);
            idle.watched = !kept.is_empty();
            idle.kept = kept;
            (old, idle.watched)
        };
        for (mut connection, _) in old {
            let _ = timeout(Duration::from_secs(1), connection.quit()).await;
        }
        if !watched {
            return;
        }
    }
}

/// The machine's certificates are read from its disk: once.
async fn parameters(host: String) -> Result<TlsParameters, Fault> {
    let made = tokio::task::spawn_blocking(move || TlsParameters::new_rustls(host)).await;
    let made = made.map_err(|_| Fault::retry("internal", "the certificates of this machine could not be read"))?;
    made.map_err(|_| Fault::fatal("mail_server_tls", "the name of the mail server is none to encrypt for"))
}

/// Whether the server closes the connection with it.
fn ends(error: &Error) -> bool {
    error.status().is_some_and(|code| code.to_string() == "421")
}

/// An error as the server said it, or in lettre's words.
fn said(error: &Error) -> String {
    let text = match (error.status(), error.source()) {
        (Some(code), Some(text)) => format!("{code} {text}"),
        _ => error.to_string(),
    };
    escaped(&text, SAID_CHARS)
}
