//! Tickets, as the database keeps them: of each its SHA-256 and nothing else.

use super::Result;
use crate::task::Time;
use async_trait::async_trait;

/// Of those whose time is over, so many go with each new ticket: more than come with it.
pub(super) const MOST_GONE: i64 = 100;

/// What stands for a key once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket {
    /// Its SHA-256, in lower-case hex.
    pub token: String,
    /// The key; `None` where no key was needed.
    pub key_id: Option<String>,
    /// The key's [`super::Key::secret`] when it was made: once that is another one, it is worth nothing.
    pub secret: String,
    /// The [`super::Session::token`] of who asked for it by a session: it ends with that.
    pub session: Option<String>,
    /// From then on it is no longer valid.
    pub expires_at: Time,
}

/// What the database does with tickets.
#[async_trait]
pub trait TicketStore: Send + Sync {
    /// Keeps a new ticket, and forgets some of those whose time was over by `now`.
    async fn add_ticket(&self, ticket: &Ticket, now: Time) -> Result<()>;

    /// Takes a ticket away, valid or not, and answers it: to one caller only, however many ask at once, at
    /// whichever node. One that is not there costs no write.
    async fn take_ticket(&self, token: &str) -> Result<Option<Ticket>>;
}

/// A row of `tickets`.
#[derive(Debug)]
pub(super) struct TicketRow {
    pub token: String,
    pub key_id: Option<String>,
    pub secret: String,
    pub session: Option<String>,
    pub expires_at: i64,
}

impl TicketRow {
    /// The ticket.
    pub fn ticket(self) -> Ticket {
        let TicketRow { token, key_id, secret, session, expires_at } = self;
        Ticket { token, key_id, secret, session, expires_at: Time(expires_at) }
    }
}
