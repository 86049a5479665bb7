//! How a socket ends.

use axum::extract::ws::Message;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::error::ProtocolError;

/// Why a socket is closed, with the code that says so.
#[derive(Debug, Clone, Copy)]
pub enum End {
    /// The other side closes it, which is answered.
    Normal = 1000,
    Protocol = 1002,
    NoText = 1007,
    Policy = 1008,
    TooLarge = 1009,
    Restart = 1012,
    Unauthenticated = 4401,
    Unsigned = 4408,
}

/// It is over: a code for the other side, or nobody there to hear it.
pub struct Over(pub Option<End>);

impl End {
    /// The same in words.
    pub fn reason(self) -> &'static str {
        match self {
            End::Normal => "",
            End::Protocol => "no WebSocket frame",
            End::NoText => "no UTF-8 text",
            End::Policy => "too much, or nothing of sense",
            End::TooLarge => "a message may have 64 KiB",
            End::Restart => "this node shuts down",
            End::Unauthenticated => "sign in",
            End::Unsigned => "no key was shown in time",
        }
    }
}

/// A message, or how what came instead ends the socket.
pub fn understood(message: Option<Result<Message, axum::Error>>) -> Result<Message, Over> {
    match message {
        Some(Ok(Message::Close(_))) => Err(Over(Some(End::Normal))),
        None => Err(Over(None)),
        Some(Ok(message)) => Ok(message),
        Some(Err(error)) => Err(Over(match error.into_inner().downcast_ref::<Error>() {
            Some(Error::Capacity(_)) => Some(End::TooLarge),
            Some(Error::Utf8(_)) => Some(End::NoText),
            Some(Error::Protocol(ProtocolError::ResetWithoutClosingHandshake)) => None,
            Some(Error::Protocol(_)) => Some(End::Protocol),
            _ => None,
        })),
    }
}
