//! Who did what, in SQLite.

use super::keys_beside::KeysBeside;
use super::list::{DIALECT, say};
use super::{Sqlite, failed};
use crate::store::activity::{self, ActivityRow};
use crate::store::list::first_id;
use crate::store::{ActivityLog, ActivityPage, ActivityPiece, ActivityStore, Numbered, Result};
use crate::task::{Activity, ActivityFilter, Scope, Time};
use async_trait::async_trait;
use sqlx::SqliteConnection;
use uuid::Uuid;

#[async_trait]
impl ActivityLog for Sqlite {
    async fn add_activity(&self, entries: &[Activity]) -> Result<()> {
        let rows = activity::rows_json(entries)?;
        let mut write = self.writer.begin_new().await?;
        let added = add(&mut write, &rows).await;
        write.done(added).await
    }
}

#[async_trait]
impl ActivityLog for KeysBeside {
    async fn add_activity(&self, entries: &[Activity]) -> Result<()> {
        let rows = activity::rows_json(entries)?;
        add(&mut *self.connection().await, &rows).await
    }
}

#[async_trait]
impl ActivityStore for Sqlite {
    async fn activity(&self, scope: &Scope, filter: &ActivityFilter, page: &ActivityPage) -> Result<ActivityPiece> {
        let edge = say::<(Uuid,)>(activity::edge(&DIALECT, scope, filter, page));
        let edge = edge.fetch_optional(&self.readers).await.map_err(failed)?.map(|(id,)| id);
        let rows = say::<ActivityRow>(activity::entries(&DIALECT, scope, filter, page, edge));
        Ok(activity::found(rows.fetch_all(&self.readers).await.map_err(failed)?, page, edge))
    }

    async fn prune_activity(&self, before: Time, limit: i64) -> Result<i64> {
        let mut write = self.writer.begin().await?;
        let pruned = prune(&mut write, before, limit).await;
        write.done(pruned).await
    }

    async fn written_activity(&self, after: i64, limit: i64) -> Result<Vec<Numbered>> {
        let rows = sqlx::query_as!(
            ActivityRow,
            r#"SELECT id AS "id!: Uuid", at AS "at!", node AS "node!", action AS "action!", outcome AS "outcome!", status, code,
                      owner, key_id, client_id, address, request_id, route, target, count AS "count!", detail, seq
               FROM activity INDEXED BY activity_written WHERE seq > ?1 ORDER BY seq LIMIT ?2"#,
            after,
            limit
        );
        let rows = rows.fetch_all(&self.readers).await.map_err(failed)?;
        Ok(rows.into_iter().map(ActivityRow::numbered).collect())
    }

    async fn activity_end(&self) -> Result<i64> {
        let end = sqlx::query_scalar!(
            r#"SELECT coalesce(max(seq), 0) AS "end!: i64" FROM activity INDEXED BY activity_written WHERE seq > 0"#
        );
        end.fetch_one(&self.readers).await.map_err(failed)
    }

    async fn activity_number(&self, scope: &Scope, id: Uuid) -> Result<Option<i64>> {
        let owner = scope.owner();
        let number = sqlx::query_scalar!(
            r#"SELECT coalesce(seq, 0) AS "seq!: i64" FROM activity WHERE id = ?1 AND (?2 IS NULL OR owner = ?2)"#,
            id,
            owner
        );
        number.fetch_optional(&self.readers).await.map_err(failed)
    }
}

/// One statement: its own transaction, where there is none around it.
async fn add(db: &mut SqliteConnection, rows: &str) -> Result<()> {
    let added = sqlx::query!(
        "INSERT INTO activity (id, at, node, category, action, outcome, status, code, owner, key_id, client_id, address,
                               request_id, route, target, count, detail, seq)
         SELECT unhex(value ->> 'id'), value ->> 'at', value ->> 'node', value ->> 'category', value ->> 'action',
                value ->> 'outcome', value ->> 'status', value ->> 'code', value ->> 'owner', value ->> 'key_id',
                value ->> 'client_id', value ->> 'address', value ->> 'request_id', value ->> 'route', value ->> 'target',
                value ->> 'count', value ->> 'detail',
                (SELECT coalesce(max(seq), 0) FROM activity INDEXED BY activity_written WHERE seq > 0) + key + 1
         FROM json_each(?1) WHERE true ON CONFLICT (id) DO NOTHING",
        rows
    );
    added.execute(db).await.map(drop).map_err(failed)
}

async fn prune(db: &mut SqliteConnection, before: Time, limit: i64) -> Result<i64> {
    let before = first_id(before);
    let gone = sqlx::query!(
        "DELETE FROM activity WHERE id IN (
           SELECT id FROM activity
           WHERE id < ?1
             AND coalesce(seq, 0) < coalesce((SELECT max(seq) FROM activity INDEXED BY activity_written WHERE seq > 0), 1)
           ORDER BY id LIMIT ?2)",
        before,
        limit
    );
    Ok(gone.execute(db).await.map_err(failed)?.rows_affected() as i64)
}
