//! A WebSocket client that can also do what no proper one does.

use serde_json::Value;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

/// What came over a socket.
#[derive(Debug, PartialEq)]
pub enum Came {
    /// A frame of ours.
    Said(Value),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    /// Closed by the other side, with this code; 1006 where it was just cut.
    Closed(u16),
}

/// An open socket.
pub struct WebSocket {
    stream: TcpStream,
    /// Whether pings are answered.
    pub polite: bool,
}

/// A connection of a client that takes little before it reads.
pub async fn connect_narrow(address: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.connect(address).await.unwrap()
}

impl WebSocket {
    /// Opens one; what the server said instead if it did not.
    pub async fn try_open(address: SocketAddr, path: &str, headers: &str) -> Result<WebSocket, String> {
        WebSocket::shake_hands(TcpStream::connect(address).await.unwrap(), address, path, headers).await
    }

    /// Opens one of a client that takes little before it reads.
    pub async fn open_narrow(address: SocketAddr, path: &str) -> WebSocket {
        let stream = connect_narrow(address).await;
        WebSocket::shake_hands(stream, address, path, "").await.unwrap()
    }

    async fn shake_hands(
        mut stream: TcpStream,
        address: SocketAddr,
        path: &str,
        headers: &str,
    ) -> Result<WebSocket, String> {
        let request = format!(
            "GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let byte = timeout(Duration::from_secs(20), stream.read_u8()).await.expect("it answers");
            head.push(byte.unwrap_or_else(|_| panic!("cut: {}", String::from_utf8_lossy(&head))));
        }
        let head = String::from_utf8(head).unwrap();
        if head.starts_with("HTTP/1.1 101 ") {
            assert!(head.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{head}");
            assert!(!head.to_lowercase().contains("sec-websocket-extensions"), "{head}");
            return Ok(WebSocket { stream, polite: true });
        }
        let mut rest = vec![0; 8192];
        let n = timeout(Duration::from_secs(20), stream.read(&mut rest)).await.unwrap().unwrap_or(0);
        Err(head + &String::from_utf8_lossy(&rest[..n]))
    }

    /// Opens one that is let in.
    pub async fn open(address: SocketAddr, path: &str) -> WebSocket {
        WebSocket::try_open(address, path, "").await.unwrap()
    }

    /// Sends a frame with this first byte: FIN, RSV, opcode.
    pub async fn frame(&mut self, first: u8, payload: &[u8]) {
        let mut frame = vec![first];
        match payload.len() {
            n @ ..126 => frame.push(0x80 | n as u8),
            n @ ..65536 => frame.extend([&[0x80 | 126], &(n as u16).to_be_bytes()[..]].concat()),
            n => frame.extend([&[0x80 | 127], &(n as u64).to_be_bytes()[..]].concat()),
        }
        let mask = [1, 2, 3, 4];
        frame.extend(mask);
        frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        self.bytes(&frame).await;
    }

    /// Sends bytes as they are; who was cut already hears nothing of it.
    pub async fn bytes(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes).await;
    }

    pub async fn text(&mut self, text: &str) {
        self.frame(0x81, text.as_bytes()).await;
    }

    pub async fn ask(&mut self, frame: Value) {
        self.text(&frame.to_string()).await;
    }

    /// What comes next, whatever it is.
    pub async fn next(&mut self) -> Came {
        timeout(Duration::from_secs(30), self.come()).await.expect("something comes within 30 s")
    }

    /// What comes next of ours; fails if it is closed instead.
    pub async fn said(&mut self) -> Value {
        let said = async {
            loop {
                match self.come().await {
                    Came::Said(frame) => return frame,
                    Came::Closed(code) => panic!("closed: {code}"),
                    _ => {}
                }
            }
        };
        timeout(Duration::from_secs(30), said).await.expect("something is said within 30 s")
    }

    /// The next of ours that is of this type.
    pub async fn said_of(&mut self, kind: &str) -> Value {
        loop {
            let frame = self.said().await;
            if frame["type"] == kind {
                return frame;
            }
        }
    }

    /// The answer to what was asked; what happens to tasks meanwhile goes by.
    pub async fn answered(&mut self) -> Value {
        loop {
            let frame = self.said().await;
            if frame["type"] == "ack" || frame["type"] == "error" {
                return frame;
            }
        }
    }

    /// By which code it is closed; what is said before goes by.
    pub async fn closed(&mut self) -> u16 {
        loop {
            if let Came::Closed(code) = self.next().await {
                return code;
            }
        }
    }

    /// What comes next, however long that takes. Dropped half-way, the socket is good for nothing.
    pub async fn come(&mut self) -> Came {
        let cut = Came::Closed(1006);
        let Ok(first) = self.stream.read_u8().await else { return cut };
        let Ok(length) = self.stream.read_u8().await else { return cut };
        assert!(length < 128, "a server masks nothing");
        let length = match length {
            126 => self.stream.read_u16().await.map(u64::from),
            127 => self.stream.read_u64().await,
            n => Ok(u64::from(n)),
        };
        let Ok(length) = length else { return cut };
        let mut payload = vec![0; length as usize];
        if self.stream.read_exact(&mut payload).await.is_err() {
            return cut;
        }
        match first {
            0x81 => Came::Said(serde_json::from_slice(&payload).expect("frames are JSON")),
            0x88 => {
                let code = u16::from_be_bytes([payload[0], payload[1]]);
                self.frame(0x88, &payload[..2]).await;
                Came::Closed(code)
            }
            0x89 => {
                if self.polite {
                    self.frame(0x8a, &payload).await;
                }
                Came::Ping(payload)
            }
            0x8a => Came::Pong(payload),
            other => panic!("frame {other:#x}"),
        }
    }
}
