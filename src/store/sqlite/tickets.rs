//! Tickets in SQLite: each write is one transaction.

use super::{Sqlite, failed};
use crate::store::tickets::{MOST_GONE, TicketRow};
use crate::store::{Result, Ticket, TicketStore};
use crate::task::Time;
use async_trait::async_trait;
use sqlx::SqliteConnection;

#[async_trait]
impl TicketStore for Sqlite {
    async fn add_ticket(&self, ticket: &Ticket, now: Time) -> Result<()> {
        let mut write = self.writer.begin_new().await?;
        let added = add(&mut write, ticket, now).await;
        write.done(added).await
    }

    async fn take_ticket(&self, token: &str) -> Result<Option<Ticket>> {
        if !is_there(&mut *self.reader().await?, token).await? {
            return Ok(None);
        }
        let mut write = self.writer.begin().await?;
        let taken = take(&mut write, token).await;
        write.done(taken).await
    }
}

async fn add(db: &mut SqliteConnection, ticket: &Ticket, now: Time) -> Result<()> {
    let gone = sqlx::query!(
        "DELETE FROM tickets WHERE token IN
         (SELECT token FROM tickets WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2)",
        now.0,
        MOST_GONE
    );
    gone.execute(&mut *db).await.map_err(failed)?;
    let added = sqlx::query!(
        "INSERT INTO tickets (token, key_id, secret, session, expires_at) VALUES (?1, ?2, ?3, ?4, ?5)",
        ticket.token,
        ticket.key_id,
        ticket.secret,
        ticket.session,
        ticket.expires_at.0
    );
    added.execute(db).await.map(drop).map_err(failed)
}

async fn is_there(db: &mut SqliteConnection, token: &str) -> Result<bool> {
    let found = sqlx::query_scalar!("SELECT token FROM tickets WHERE token = ?1", token);
    Ok(found.fetch_optional(db).await.map_err(failed)?.is_some())
}

async fn take(db: &mut SqliteConnection, token: &str) -> Result<Option<Ticket>> {
    let taken = sqlx::query_as!(
        TicketRow,
        r#"DELETE FROM tickets WHERE token = ?1
           RETURNING token AS "token!", key_id, secret AS "secret!", session, expires_at AS "expires_at!""#,
        token
    );
    Ok(taken.fetch_optional(db).await.map_err(failed)?.map(TicketRow::ticket))
}
