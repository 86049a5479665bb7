//! The mail room from the node's side: a process of its own that has all connections to the mail server.

use super::server::{MailProgram, MailServer, Mailing, Way};
use super::smtp::{Answer, Fault};
use super::wire::{self, Head};
use lettre::address::Envelope;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream as Socket;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::{AsyncWriteExt, Interest};
use tokio::net::UnixStream;
use tokio::process::{Child, Command};

/// What is told of a mail whose process is gone.
const ENDED: &str = "the process that talks to the mail server has ended";

/// The process of this node; started with the first mail, and anew with the next one when it is gone.
pub struct Room {
    program: MailProgram,
    way: Way,
    process: Mutex<Option<Arc<Process>>>,
}

/// A mail in that process. Dropped, it is given up, unless the server is to have it already.
pub struct HandedIn {
    socket: UnixStream,
}

/// Dropped, it goes on until the mails in it have their answers.
struct Process {
    socket: UnixStream,
    _child: Child,
}

impl Room {
    /// For the server of `mailing`.
    pub fn new(mailing: &Mailing, server: &MailServer) -> Room {
        Room { program: server.program.clone(), way: Way::new(mailing, server), process: Mutex::default() }
    }

    /// Hands one mail in: the server is asked whether it takes it, and no more before [`HandedIn::send`]. What it says is
    /// noted in `taken`, which is held until then.
    pub async fn hand_in(
        &self,
        number: u32,
        envelope: &Envelope,
        mail: &[u8],
        taken: Option<&File>,
    ) -> Result<HandedIn, Fault> {
        let (ours, theirs) = Socket::pair().map_err(|error| not_started(&error))?;
        self.pass(&theirs, taken).await?;
        drop(theirs);
        let mut socket = ours_of(ours).map_err(|error| not_started(&error))?;
        let said = wire::say(&mut socket, &Head::new(number, envelope, mail), mail).await;
        said.map_err(|_| Fault::Line(ENDED.to_owned()))?;
        Ok(HandedIn { socket })
    }

    /// Passes on the socket of a mail. A process that is gone takes none: then there is a new one.
    async fn pass(&self, mail: &Socket, taken: Option<&File>) -> Result<(), Fault> {
        let files = [Some(mail.as_fd()), taken.map(File::as_fd)];
        let files: Vec<_> = files.into_iter().flatten().collect();
        let mut gone = None;
        loop {
            let process = self.process(gone.as_ref()).map_err(|error| not_started(&error))?;
            let socket = &process.socket;
            match socket.async_io(Interest::WRITABLE, || wire::hand_in(socket, &files)).await {
                Ok(()) => return Ok(()),
                Err(error) if gone.is_some() => return Err(not_started(&error)),
                Err(_) => gone = Some(process),
            }
        }
    }

    /// The process, another one than that which is gone.
    fn process(&self, gone: Option<&Arc<Process>>) -> io::Result<Arc<Process>> {
        let mut process = self.process.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(process) = process.as_ref().filter(|process| gone.is_none_or(|gone| !Arc::ptr_eq(process, gone))) {
            return Ok(process.clone());
        }
        Ok(process.insert(Arc::new(self.start()?)).clone())
    }

    /// Starts it. What it has to know it is told: the account is nowhere to be read. A terminal's signals are not for it.
    fn start(&self) -> io::Result<Process> {
        let (ours, theirs) = Socket::pair()?;
        let MailProgram { path, arguments, environment } = &self.program;
        let mut command = Command::new(path);
        command.args(arguments).env_clear().envs(environment.iter().cloned()).process_group(0);
        command.stdin(OwnedFd::from(theirs)).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn()?;
        (&ours).write_all(&wire::pack(&self.way)?)?;
        Ok(Process { socket: ours_of(ours)?, _child: child })
    }
}

impl HandedIn {
    /// Has it sent; answers what the server says. Dropped on the way, or with this process gone, the server's answer is
    /// heard and noted all the same.
    pub async fn send(mut self) -> Result<Answer, Fault> {
        self.socket.write_u8(wire::GO).await.map_err(|_| Fault::Line(ENDED.to_owned()))?;
        wire::hear(&mut self.socket).await.unwrap_or_else(|_| Ok(Answer::Unsure(ENDED.to_owned())))
    }
}

fn ours_of(socket: Socket) -> io::Result<UnixStream> {
    socket.set_nonblocking(true)?;
    UnixStream::from_std(socket)
}

fn not_started(error: &io::Error) -> Fault {
    tracing::warn!(%error, "no process to talk to the mail server could be started");
    Fault::retry("no_process", "no process could be started to talk to the mail server")
}

#[cfg(test)]
mod tests {
    use super::super::Encryption;
    use super::*;
    use lettre::Address;

    async fn sent_by(path: &str) -> Result<Answer, Fault> {
        let program = MailProgram { path: path.into(), arguments: Vec::new(), environment: Vec::new() };
        let (host, encryption) = ("127.0.0.1".to_owned(), Encryption::None);
        let server = MailServer { host, port: 25, encryption, account: None, program };
        let room = Room::new(&Mailing::to_files(), &server);
        let envelope = Envelope::new(None, vec![Address::new("ann", "example.org").unwrap()]).unwrap();
        room.hand_in(1, &envelope, b"mail", None).await?.send().await
    }

    #[tokio::test]
    async fn a_program_that_is_not_there_ends_the_attempt_and_one_that_ends_breaks_the_mail() {
        let missing = sent_by("/is/not/there").await;
        assert!(matches!(&missing, Err(Fault::End { again: true, code, .. }) if code == "no_process"), "{missing:?}");
        let ended = sent_by("/bin/true").await;
        // It may have ended before the mail's socket was there for it, as did the one after it.
        let gone = matches!(&ended, Err(Fault::End { again: true, code, .. }) if code == "no_process");
        assert!(gone || matches!(ended, Ok(Answer::Unsure(_)) | Err(Fault::Line(_))), "{ended:?}");
    }
}
