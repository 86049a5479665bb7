//! What waits for an approval, as SQLite says it.

use super::list::{DIALECT, say};
use super::{Sqlite, failed};
use crate::store::Result;
use crate::store::approvals::{ApprovalStore, Awaiting, Turn, found, statement};
use crate::store::list::WalkedRow;
use crate::task::Scope;
use async_trait::async_trait;

#[async_trait]
impl ApprovalStore for Sqlite {
    async fn awaiting(&self, scope: &Scope, after: Option<Turn>, limit: i64, span: i64) -> Result<Awaiting> {
        let rows = say::<WalkedRow>(statement(&DIALECT, scope, after, limit, span));
        found(rows.fetch_all(&self.readers).await.map_err(failed)?, limit)
    }
}
