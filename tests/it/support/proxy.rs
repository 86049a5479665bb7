//! A TCP proxy before a Postgres. Its faults are switched while it runs.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::sleep;

/// What happens to what goes one way.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Way {
    Pass,
    Delay(Duration),
    /// A black hole: nothing gets through, not even an end. What is held gets through once it passes again.
    Hold,
}

/// Which way.
#[derive(Debug, Clone, Copy)]
pub enum To {
    Server,
    Client,
}

/// A reply that is to be lost: the server has done what was asked, the client never hears of it.
#[derive(Debug, Clone)]
struct Lose {
    /// What the connection is for, as its name in `pg_stat_activity` says behind `errand `.
    role: &'static str,
    /// Replies without a row do not count.
    with_rows: bool,
    /// So many such replies get through before.
    after: u32,
}

pub struct Proxy {
    pub port: u16,
    inner: Arc<Inner>,
    accepting: JoinHandle<()>,
}

struct Inner {
    server: watch::Sender<SocketAddr>,
    ways: [watch::Sender<Way>; 2],
    /// Connections with a lower number are cut.
    cut_below: watch::Sender<u64>,
    /// Connections with a lower number and of this role (if one is named) are silent for good: half-open.
    silent: watch::Sender<(u64, Option<&'static str>)>,
    refusing: AtomicBool,
    lose: Mutex<Option<Lose>>,
    lost: watch::Sender<u64>,
    made: AtomicU64,
    /// What each connection is for, in the order in which they said so.
    roles: watch::Sender<Vec<String>>,
}

impl Proxy {
    /// Before the server at this port of the loopback.
    pub async fn before(port: u16) -> Proxy {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let inner = Arc::new(Inner {
            server: watch::Sender::new(SocketAddr::from(([127, 0, 0, 1], port))),
            ways: [watch::Sender::new(Way::Pass), watch::Sender::new(Way::Pass)],
            cut_below: watch::Sender::new(0),
            silent: watch::Sender::new((0, None)),
            refusing: AtomicBool::new(false),
            lose: Mutex::new(None),
            lost: watch::Sender::new(0),
            made: AtomicU64::new(0),
            roles: watch::Sender::new(Vec::new()),
        });
        let port = listener.local_addr().unwrap().port();
        let accepting = tokio::spawn(accept(listener, inner.clone()));
        Proxy { port, inner, accepting }
    }

    /// New connections lead to the server at this port; those there are stay where they are.
    pub fn lead_to(&self, port: u16) {
        self.inner.server.send_replace(SocketAddr::from(([127, 0, 0, 1], port)));
    }

    /// Sets one way.
    pub fn way(&self, to: To, way: Way) {
        self.inner.ways[to as usize].send_replace(way);
    }

    /// Sets both ways.
    pub fn ways(&self, way: Way) {
        self.way(To::Server, way);
        self.way(To::Client, way);
    }

    /// Ends every connection there is, both sides told.
    pub fn cut(&self) {
        self.inner.cut_below.send_replace(self.inner.made.load(SeqCst));
    }

    /// Every connection there is (for this role, if one is named) stays silent for good; new ones work.
    pub fn half_open(&self, role: Option<&'static str>) {
        self.inner.silent.send_replace((self.inner.made.load(SeqCst), role));
    }

    /// How many connections were made for this role.
    pub fn made(&self, role: &str) -> usize {
        self.inner.roles.borrow().iter().filter(|made| *made == role).count()
    }

    /// Waits until so many connections were made for this role.
    pub async fn until_made(&self, role: &str, n: usize, patience: Duration) {
        let enough = |roles: &Vec<String>| roles.iter().filter(|made| *made == role).count() >= n;
        let made = tokio::time::timeout(patience, self.inner.roles.subscribe().wait_for(enough)).await.is_ok();
        assert!(made, "no new connection to {role} within {patience:?}");
    }

    /// Whether new connections are closed at once.
    pub fn refuse(&self, refuse: bool) {
        self.inner.refusing.store(refuse, SeqCst);
    }

    /// Loses the `n`-th (from 0) reply from here on over a connection for `role`, and cuts that connection.
    pub fn lose_reply(&self, role: &'static str, with_rows: bool, n: u32) {
        *self.inner.lose.lock().unwrap() = Some(Lose { role, with_rows, after: n });
    }

    /// How many replies were lost.
    pub fn lost(&self) -> u64 {
        *self.inner.lost.borrow()
    }

    /// Waits until so many replies were lost.
    pub async fn until_lost(&self, n: u64) {
        let mut lost = self.inner.lost.subscribe();
        let seen = tokio::time::timeout(Duration::from_secs(20), lost.wait_for(|lost| *lost >= n)).await;
        assert!(seen.is_ok_and(|seen| seen.is_ok()), "no such reply came by within 20 s");
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.inner.cut_below.send_replace(u64::MAX);
    }
}

async fn accept(listener: TcpListener, inner: Arc<Inner>) {
    while let Ok((client, _)) = listener.accept().await {
        let number = inner.made.fetch_add(1, SeqCst);
        if inner.refusing.load(SeqCst) {
            continue;
        }
        tokio::spawn(connection(client, number, inner.clone()));
    }
}

async fn connection(client: TcpStream, number: u64, inner: Arc<Inner>) {
    let server = *inner.server.borrow();
    let Ok(server) = TcpStream::connect(server).await else { return };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    let role = Arc::new(Mutex::new(String::new()));
    let mut cut = inner.cut_below.subscribe();
    let forth = Pump { to: To::Server, number, inner: inner.clone(), role: role.clone() };
    let back = Pump { to: To::Client, number, inner: inner.clone(), role };
    tokio::select! {
        _ = cut.wait_for(|below| number < *below) => {}
        () = forth.run(from_client, to_server) => {}
        () = back.run(from_server, to_client) => {}
    }
}

/// One direction of one connection.
struct Pump {
    to: To,
    number: u64,
    inner: Arc<Inner>,
    role: Arc<Mutex<String>>,
}

impl Pump {
    /// Until one end closes, or a reply is lost; the connection ends with it.
    async fn run(&self, mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let read = from.read(&mut buffer).await.unwrap_or(0);
            self.pass().await;
            let bytes = &buffer[..read];
            if matches!(self.to, To::Server) {
                self.learn_role(bytes);
            }
            let lost = matches!(self.to, To::Client) && self.loses(bytes);
            if read == 0 || lost || to.write_all(bytes).await.is_err() {
                return;
            }
        }
    }

    /// Waits until something may go this way.
    async fn pass(&self) {
        let mut way = self.inner.ways[self.to as usize].subscribe();
        if let Ok(Way::Delay(delay)) = way.wait_for(|way| *way != Way::Hold).await.map(|way| *way) {
            sleep(delay).await;
        }
        let is_silent = |(below, role): &(u64, Option<&'static str>)| {
            self.number < *below && role.is_none_or(|role| *self.role.lock().unwrap() == role)
        };
        let mut silent = self.inner.silent.subscribe();
        let _ = silent.wait_for(|silent| !is_silent(silent)).await;
    }

    fn learn_role(&self, bytes: &[u8]) {
        const NAME: &[u8] = b"application_name\0errand ";
        let mut role = self.role.lock().unwrap();
        if role.is_empty()
            && let Some(at) = find(bytes, NAME)
        {
            let rest = &bytes[at + NAME.len()..];
            let end = rest.iter().position(|byte| *byte == 0).unwrap_or(rest.len());
            *role = String::from_utf8_lossy(&rest[..end]).into_owned();
            self.inner.roles.send_modify(|roles| roles.push(role.clone()));
        }
    }

    /// Whether this is the reply to lose.
    fn loses(&self, bytes: &[u8]) -> bool {
        const DONE: &[u8] = b"SELECT ";
        let mut lose = self.inner.lose.lock().unwrap();
        let Some(wanted) = &mut *lose else { return false };
        let Some(at) = find(bytes, DONE) else { return false };
        let rows = bytes.get(at + DONE.len()).is_some_and(|digit| *digit != b'0');
        if *self.role.lock().unwrap() != wanted.role || (wanted.with_rows && !rows) {
            return false;
        }
        if wanted.after > 0 {
            wanted.after -= 1;
            return false;
        }
        *lose = None;
        self.inner.lost.send_modify(|lost| *lost += 1);
        true
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}
