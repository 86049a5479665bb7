//! What owners have seen, in SQLite: each write is one transaction.

use super::json::json;
use super::{Sqlite, failed};
use crate::store::notifications::MarksRow;
use crate::store::{NotificationStore, Result};
use crate::task::{Marks, Time};
use async_trait::async_trait;
use sqlx::SqliteConnection;

#[async_trait]
impl NotificationStore for Sqlite {
    async fn marks(&self, owners: &[String]) -> Result<Vec<(String, Marks)>> {
        let owners = json(owners);
        let rows = sqlx::query_as!(
            MarksRow,
            r#"SELECT owner AS "owner!", read_until, cleared_until, apart AS "apart!", muted AS "muted!",
                      version AS "version!"
               FROM notification_marks WHERE owner IN (SELECT value FROM json_each(?1))"#,
            owners
        );
        let rows = rows.fetch_all(&mut *self.reader().await?).await.map_err(failed)?;
        rows.into_iter().map(MarksRow::marks).collect()
    }

    async fn put_marks(&self, owner: &str, marks: &Marks, now: Time) -> Result<bool> {
        let row = MarksRow::of(owner, marks)?;
        let mut write = self.writer.begin_new().await?;
        let put = put(&mut write, &row, now).await;
        write.done(put).await
    }
}

async fn put(db: &mut SqliteConnection, row: &MarksRow, now: Time) -> Result<bool> {
    let put = sqlx::query!(
        "INSERT INTO notification_marks (owner, read_until, cleared_until, apart, muted, version, updated_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
         ON CONFLICT (owner) DO UPDATE SET read_until = excluded.read_until, cleared_until = excluded.cleared_until,
           apart = excluded.apart, muted = excluded.muted, version = excluded.version, updated_at = excluded.updated_at
         WHERE notification_marks.version = excluded.version - 1",
        row.owner,
        row.read_until,
        row.cleared_until,
        row.apart,
        row.muted,
        row.version,
        now.0
    );
    Ok(put.execute(db).await.map_err(failed)?.rows_affected() > 0)
}
