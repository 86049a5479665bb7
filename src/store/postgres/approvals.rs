//! What waits for an approval, as Postgres says it.

use super::list::{DIALECT, say};
use super::{Postgres, Tries, failed};
use crate::store::Result;
use crate::store::approvals::{ApprovalStore, Awaiting, Turn, found, statement};
use crate::store::list::WalkedRow;
use crate::task::Scope;
use async_trait::async_trait;
use sqlx::PgConnection;

#[async_trait]
impl ApprovalStore for Postgres {
    async fn awaiting(&self, scope: &Scope, after: Option<Turn>, limit: i64, span: i64) -> Result<Awaiting> {
        read!(self, |db| awaiting(db, scope, after, limit, span))
    }
}

async fn awaiting(
    db: &mut PgConnection,
    scope: &Scope,
    after: Option<Turn>,
    limit: i64,
    span: i64,
) -> Result<Awaiting> {
    let rows = say::<WalkedRow>(statement(&DIALECT, scope, after, limit, span));
    found(rows.fetch_all(db).await.map_err(failed)?, limit)
}
