//! The other side of the scenario `fanout`: sockets that listen and say how late they were told.

use super::usage::nanoseconds;
use futures_util::future::try_join_all;
use std::io::Write;
use std::net::SocketAddr;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

/// So many connect at once.
const AT_ONCE: usize = 100;
/// What each reads into.
const BUFFER: usize = 2 * 1024;

/// Opens the sockets and says so in a line; then says in another how late each was told of so many
/// tasks, in nanoseconds since the time that is their name.
pub async fn listen(address: SocketAddr, sockets: usize, tasks: usize) -> Result<(), String> {
    let mut open = Vec::with_capacity(sockets);
    while open.len() < sockets {
        let more = (0..AT_ONCE.min(sockets - open.len())).map(|_| Socket::open(address));
        open.extend(try_join_all(more).await.map_err(|error| error.to_string())?);
    }
    say("open")?;
    let told = open.into_iter().map(|socket| tokio::spawn(socket.told(tasks)));
    let told = try_join_all(told).await.map_err(|error| error.to_string())?;
    let told = told.into_iter().collect::<std::io::Result<Vec<_>>>().map_err(|error| error.to_string())?;
    let late: Vec<String> = told.into_iter().flatten().map(|late| late.to_string()).collect();
    say(&late.join(" "))
}

fn say(line: &str) -> Result<(), String> {
    writeln!(std::io::stdout(), "{line}").map_err(|error| error.to_string())
}

struct Socket(BufReader<TcpStream>);

impl Socket {
    async fn open(address: SocketAddr) -> std::io::Result<Socket> {
        let mut stream = BufReader::with_capacity(BUFFER, TcpStream::connect(address).await?);
        let request = format!(
            "GET /ws?scope=owner HTTP/1.1\r\nhost: {address}\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await?;
        let mut line = String::new();
        while line != "\r\n" {
            line.clear();
            if stream.read_line(&mut line).await? == 0 || line.starts_with("HTTP/1.1 5") {
                return Err(std::io::Error::other("the server does not take it"));
            }
        }
        let mut socket = Socket(stream);
        socket.frame().await?;
        Ok(socket)
    }

    /// How late it was told of so many tasks.
    async fn told(mut self, tasks: usize) -> std::io::Result<Vec<u64>> {
        let mut late = Vec::with_capacity(tasks);
        while late.len() < tasks {
            let frame = self.frame().await?;
            let now = nanoseconds();
            let name = frame.split_once("\"name\":\"").and_then(|(_, rest)| rest.split_once('"')?.0.parse().ok());
            late.extend(name.map(|sent: u64| now.saturating_sub(sent)));
        }
        Ok(late)
    }

    /// The next frame. Pings are not answered: nothing here takes so long.
    async fn frame(&mut self) -> std::io::Result<String> {
        self.0.read_u8().await?;
        let length = match self.0.read_u8().await? {
            126 => u64::from(self.0.read_u16().await?),
            127 => self.0.read_u64().await?,
            n => u64::from(n),
        };
        let mut payload = vec![0; length as usize];
        self.0.read_exact(&mut payload).await?;
        Ok(String::from_utf8_lossy(&payload).into_owned())
    }
}
