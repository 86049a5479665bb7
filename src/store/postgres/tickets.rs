//! Tickets in Postgres: each write is one statement.

use super::{Postgres, Tries, failed};
use crate::store::tickets::{MOST_GONE, TicketRow};
use crate::store::{Result, Ticket, TicketStore};
use crate::task::Time;
use async_trait::async_trait;
use sqlx::PgConnection;

#[async_trait]
impl TicketStore for Postgres {
    async fn add_ticket(&self, ticket: &Ticket, now: Time) -> Result<()> {
        write!(self.pool, |db| add(db, ticket, now))
    }

    async fn take_ticket(&self, token: &str) -> Result<Option<Ticket>> {
        // A delete that finds nothing writes nothing here.
        write!(self.pool, |db| take(db, token))
    }
}

/// What another node is just deleting is left to it: nobody waits for anybody.
async fn add(db: &mut PgConnection, ticket: &Ticket, now: Time) -> Result<()> {
    let added = sqlx::query!(
        "WITH gone AS (DELETE FROM tickets WHERE token IN
           (SELECT token FROM tickets WHERE expires_at <= $6 ORDER BY expires_at LIMIT $7 FOR UPDATE SKIP LOCKED))
         INSERT INTO tickets (token, key_id, secret, session, expires_at) VALUES ($1, $2, $3, $4, $5)",
        ticket.token,
        ticket.key_id.as_deref(),
        ticket.secret,
        ticket.session.as_deref(),
        ticket.expires_at.0,
        now.0,
        MOST_GONE
    );
    added.execute(db).await.map(drop).map_err(failed)
}

async fn take(db: &mut PgConnection, token: &str) -> Result<Option<Ticket>> {
    let taken = sqlx::query_as!(
        TicketRow,
        "DELETE FROM tickets WHERE token = $1 RETURNING token, key_id, secret, session, expires_at",
        token
    );
    Ok(taken.fetch_optional(db).await.map_err(failed)?.map(TicketRow::ticket))
}
