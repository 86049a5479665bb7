//! A mail server that does as a test says, and keeps what it takes.

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

/// Where in the conversation it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    Greeting,
    Ehlo,
    Starttls,
    From,
    To,
    Data,
    /// A whole mail has come.
    Mail,
}

/// What it does there.
#[derive(Debug, Clone)]
pub enum Act {
    /// What a server says that takes it.
    Take,
    Say(String),
    /// The same, a byte in so long.
    Slowly(Duration),
    /// So many bytes in one line.
    SayMuch(usize),
    Hang,
    Cut,
    /// Keeps the mail and then says nothing, or cuts.
    KeepAndHang,
    KeepAndCut,
    /// When a whole mail has come: does that once it is told to.
    Later(Arc<Notify>, Box<Act>),
}

/// Asked at each step: where, what was said to it (an address, of a mail its recipient), and how often that was
/// said there before.
pub type Script = Arc<dyn Fn(At, &str, usize) -> Act + Send + Sync>;

/// How it encrypts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tls {
    No,
    Starttls,
    /// It says yes, and more in the same breath, as an attacker between would.
    StarttlsWithMore,
    Implicit,
}

/// A mail as it came, without the dots of its transport.
#[derive(Debug, Clone)]
pub struct Mail {
    pub to: String,
    pub encrypted: bool,
    pub bytes: Vec<u8>,
}

impl Mail {
    pub fn text(&self) -> String {
        String::from_utf8(self.bytes.clone()).unwrap()
    }

    pub fn message_id(&self) -> String {
        let text = String::from_utf8_lossy(&self.bytes).into_owned();
        text.lines().find_map(|line| line.strip_prefix("Message-ID: ")).unwrap_or_default().to_owned()
    }
}

/// What it saw.
#[derive(Default)]
struct Seen {
    mails: Vec<Mail>,
    said: BTreeMap<String, usize>,
    connections: usize,
}

/// The server; it ends when dropped.
pub struct Peer {
    pub port: u16,
    seen: Arc<Mutex<Seen>>,
    _serving: JoinSet<()>,
}

/// A server that takes everything.
pub fn takes_all() -> Script {
    Arc::new(|_, _, _| Act::Take)
}

/// Where the tests' own certificates lie; `authority.pem` is not known to any machine.
pub fn certificate(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/support/tls").join(name)
}

impl Peer {
    pub async fn start(tls: Tls, script: Script) -> Peer {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (port, seen) = (listener.local_addr().unwrap().port(), Arc::<Mutex<Seen>>::default());
        let mut serving = JoinSet::new();
        let known = seen.clone();
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                known.lock().unwrap().connections += 1;
                let talk = Talk { seen: known.clone(), script: script.clone(), tls, encrypted: false };
                connections.spawn(talk.begin(stream));
            }
        });
        Peer { port, seen, _serving: serving }
    }

    pub fn mails(&self) -> Vec<Mail> {
        self.seen.lock().unwrap().mails.clone()
    }

    pub fn count(&self) -> usize {
        self.seen.lock().unwrap().mails.len()
    }

    pub fn connections(&self) -> usize {
        self.seen.lock().unwrap().connections
    }

    /// How often it was said, as `MAIL`.
    pub fn heard(&self, word: &str) -> usize {
        let seen = self.seen.lock().unwrap();
        seen.said.iter().filter(|(said, _)| said.starts_with(word)).map(|(_, times)| times).sum()
    }
}

struct Talk {
    seen: Arc<Mutex<Seen>>,
    script: Script,
    tls: Tls,
    encrypted: bool,
}

impl Talk {
    /// Any error is the end of this connection.
    async fn begin(mut self, stream: TcpStream) {
        let _ = match self.tls {
            Tls::Implicit => match acceptor().accept(stream).await {
                Ok(stream) => {
                    self.encrypted = true;
                    self.talk(stream, true).await.map(drop)
                }
                Err(error) => Err(error),
            },
            _ => match self.talk(stream, true).await {
                Ok(Some(stream)) => match acceptor().accept(stream).await {
                    Ok(stream) => {
                        self.encrypted = true;
                        self.talk(stream, false).await.map(drop)
                    }
                    Err(error) => Err(error),
                },
                ended => ended.map(drop),
            },
        };
    }

    /// Answers the stream if it is to be encrypted from here on.
    async fn talk<S: AsyncRead + AsyncWrite + Unpin>(&self, stream: S, greet: bool) -> std::io::Result<Option<S>> {
        let mut stream = BufReader::new(stream);
        if greet && !self.step(&mut stream, At::Greeting, "", "220 here", "").await? {
            return Ok(None);
        }
        let mut to = String::new();
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).await? == 0 {
                return Ok(None);
            }
            let line = line.trim_end().to_owned();
            *self.seen.lock().unwrap().said.entry(line.clone()).or_default() += 1;
            let address = line.split_once('<').and_then(|(_, rest)| rest.split_once('>')).map_or("", |(a, _)| a);
            let starttls = matches!(self.tls, Tls::Starttls | Tls::StarttlsWithMore) && !self.encrypted;
            let goes_on = match line.split([' ', ':']).next().unwrap_or_default() {
                "EHLO" => {
                    let offers = if starttls {
                        "250-here\r\n250-STARTTLS\r\n250 8BITMIME"
                    } else {
                        "250-here\r\n250-AUTH PLAIN LOGIN\r\n250 8BITMIME"
                    };
                    self.step(&mut stream, At::Ehlo, "", offers, &line).await?
                }
                "STARTTLS" if starttls => {
                    let yes = if self.tls == Tls::Starttls { "220 go" } else { "220 go\r\n250-evil\r\n250 AUTH PLAIN" };
                    if self.step(&mut stream, At::Starttls, "", yes, &line).await? {
                        return Ok(Some(stream.into_inner()));
                    }
                    false
                }
                "MAIL" => self.step(&mut stream, At::From, address, "250 ok", &line).await?,
                "RCPT" => {
                    to = address.to_owned();
                    self.step(&mut stream, At::To, address, "250 ok", &line).await?
                }
                "DATA" => self.data(&mut stream, &to, &line).await?,
                "AUTH" => write(&mut stream, "235 ok\r\n").await.map(|()| true)?,
                "QUIT" => write(&mut stream, "221 bye\r\n").await.map(|()| false)?,
                _ => write(&mut stream, "250 ok\r\n").await.map(|()| true)?,
            };
            if !goes_on {
                return Ok(None);
            }
        }
    }

    async fn data<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: &mut BufReader<S>,
        to: &str,
        line: &str,
    ) -> std::io::Result<bool> {
        let times = self.times(line);
        let act = (self.script)(At::Data, to, times);
        if !matches!(act, Act::Take) {
            return self.act(stream, act, "354 go on").await;
        }
        write(stream, "354 go on\r\n").await?;
        let mut bytes = Vec::new();
        loop {
            let mut line = Vec::new();
            if stream.read_until(b'\n', &mut line).await? == 0 {
                return Ok(false);
            }
            if line == b".\r\n" {
                break;
            }
            bytes.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
        }
        let key = format!("mail to {to}");
        *self.seen.lock().unwrap().said.entry(key.clone()).or_default() += 1;
        let mut act = (self.script)(At::Mail, to, self.times(&key));
        if let Act::Later(told, then) = act {
            told.notified().await;
            act = *then;
        }
        if matches!(act, Act::Take | Act::KeepAndHang | Act::KeepAndCut) {
            let mail = Mail { to: to.to_owned(), encrypted: self.encrypted, bytes };
            self.seen.lock().unwrap().mails.push(mail);
        }
        self.act(stream, act, "250 taken").await
    }

    async fn step<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: &mut BufReader<S>,
        at: At,
        said: &str,
        usual: &str,
        line: &str,
    ) -> std::io::Result<bool> {
        let act = (self.script)(at, said, self.times(line));
        self.act(stream, act, usual).await
    }

    fn times(&self, line: &str) -> usize {
        self.seen.lock().unwrap().said.get(line).copied().unwrap_or(1) - 1
    }

    /// `false` where the conversation ends.
    async fn act<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: &mut BufReader<S>,
        act: Act,
        usual: &str,
    ) -> std::io::Result<bool> {
        match act {
            Act::Take => write(stream, &format!("{usual}\r\n")).await?,
            Act::Say(text) => {
                write(stream, &format!("{text}\r\n")).await?;
                return Ok(!text.starts_with("421"));
            }
            Act::Slowly(wait) => {
                for byte in format!("{usual}\r\n").bytes() {
                    tokio::time::sleep(wait).await;
                    write(stream, std::str::from_utf8(&[byte]).unwrap()).await?;
                }
            }
            Act::SayMuch(bytes) => {
                let piece = "x".repeat(64 * 1024);
                write(stream, "250 ").await?;
                for _ in 0..bytes / piece.len() {
                    write(stream, &piece).await?;
                }
                write(stream, "\r\n").await?;
            }
            Act::Hang | Act::KeepAndHang | Act::Later(..) => std::future::pending().await,
            Act::Cut | Act::KeepAndCut => return Ok(false),
        }
        Ok(true)
    }
}

async fn write<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut BufReader<S>, text: &str) -> std::io::Result<()> {
    stream.get_mut().write_all(text.as_bytes()).await?;
    stream.get_mut().flush().await
}

fn acceptor() -> TlsAcceptor {
    let chain = CertificateDer::pem_file_iter(certificate("localhost.pem")).unwrap().map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_file(certificate("localhost.key")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    TlsAcceptor::from(Arc::new(config.with_no_client_auth().with_single_cert(chain, key).unwrap()))
}
