//! Who did what, in Postgres.

use super::list::{DIALECT, say};
use super::{Postgres, Tries, failed};
use crate::store::activity::{self, ActivityRow};
use crate::store::list::first_id;
use crate::store::{ActivityLog, ActivityPage, ActivityPiece, ActivityStore, Numbered, Result};
use crate::task::{Activity, ActivityFilter, Scope, Time};
use async_trait::async_trait;
use sqlx::PgConnection;
use uuid::Uuid;

#[async_trait]
impl ActivityLog for Postgres {
    async fn add_activity(&self, entries: &[Activity]) -> Result<()> {
        let rows = activity::rows_json(entries)?;
        write!(self.pool, |db| add(db, &rows))
    }
}

#[async_trait]
impl ActivityStore for Postgres {
    async fn activity(&self, scope: &Scope, filter: &ActivityFilter, page: &ActivityPage) -> Result<ActivityPiece> {
        read!(self, |db| find(db, scope, filter, page))
    }

    async fn prune_activity(&self, before: Time, limit: i64) -> Result<i64> {
        write!(self.pool, |db| prune(db, before, limit))
    }

    async fn written_activity(&self, after: i64, limit: i64) -> Result<Vec<Numbered>> {
        read!(self, |db| written(db, after, limit))
    }

    async fn activity_end(&self) -> Result<i64> {
        read!(self, |db| end(db))
    }

    async fn activity_number(&self, scope: &Scope, id: Uuid) -> Result<Option<i64>> {
        read!(self, |db| number(db, scope, id))
    }
}

/// Numbers are drawn as the table says: in turn.
async fn add(db: &mut PgConnection, rows: &str) -> Result<()> {
    let added = sqlx::query!(
        "INSERT INTO activity (id, at, node, category, action, outcome, status, code, owner, key_id, client_id, address,
                               request_id, route, target, count, detail)
         SELECT id, at, node, category, action, outcome, status, code, owner, key_id, client_id, address,
                request_id, route, target, count, detail
         FROM json_to_recordset($1::text::json) AS entry(
           id uuid, at bigint, node text, category text, action text, outcome text, status bigint, code text, owner text,
           key_id text, client_id text, address text, request_id text, route text, target text, count bigint, detail text)
         ON CONFLICT (id) DO NOTHING",
        rows
    );
    added.execute(db).await.map(drop).map_err(failed)
}

async fn find(
    db: &mut PgConnection,
    scope: &Scope,
    filter: &ActivityFilter,
    page: &ActivityPage,
) -> Result<ActivityPiece> {
    let edge = say::<(Uuid,)>(activity::edge(&DIALECT, scope, filter, page));
    let edge = edge.fetch_optional(&mut *db).await.map_err(failed)?.map(|(id,)| id);
    let rows = say::<ActivityRow>(activity::entries(&DIALECT, scope, filter, page, edge));
    Ok(activity::found(rows.fetch_all(db).await.map_err(failed)?, page, edge))
}

/// What another node deletes at the same time is passed over.
async fn prune(db: &mut PgConnection, before: Time, limit: i64) -> Result<i64> {
    let gone = sqlx::query!(
        "DELETE FROM activity WHERE id = ANY(ARRAY(
           SELECT id FROM activity
           WHERE id < $1 AND coalesce(seq, 0) < coalesce((SELECT max(seq) FROM activity WHERE seq > 0), 1)
           ORDER BY id LIMIT $2 FOR UPDATE SKIP LOCKED))",
        first_id(before),
        limit
    );
    Ok(gone.execute(db).await.map_err(failed)?.rows_affected() as i64)
}

async fn written(db: &mut PgConnection, after: i64, limit: i64) -> Result<Vec<Numbered>> {
    let rows = sqlx::query_as!(
        ActivityRow,
        "SELECT id, at, node, action, outcome, status, code, owner, key_id, client_id, address, request_id, route, target, count,
                detail, seq
         FROM activity WHERE seq > $1 ORDER BY seq LIMIT $2",
        after,
        limit
    );
    Ok(rows.fetch_all(db).await.map_err(failed)?.into_iter().map(ActivityRow::numbered).collect())
}

async fn end(db: &mut PgConnection) -> Result<i64> {
    let end = sqlx::query_scalar!(r#"SELECT coalesce(max(seq), 0) AS "end!" FROM activity WHERE seq > 0"#);
    end.fetch_one(db).await.map_err(failed)
}

async fn number(db: &mut PgConnection, scope: &Scope, id: Uuid) -> Result<Option<i64>> {
    let owner = scope.owner();
    let number = sqlx::query_scalar!(
        r#"SELECT coalesce(seq, 0) AS "seq!" FROM activity WHERE id = $1 AND ($2::text IS NULL OR owner = $2)"#,
        id,
        owner
    );
    number.fetch_optional(db).await.map_err(failed)
}
