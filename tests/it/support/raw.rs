//! A connection of the test's own to the database below a store: to see every byte of it, to prepare
//! it, and to empty it between cases.

use super::bed::DatabaseUrl;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, SqliteConnection};

pub enum Raw {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

impl Raw {
    pub async fn open(url: &DatabaseUrl) -> Raw {
        match url {
            DatabaseUrl::Sqlite(path) => {
                Raw::Sqlite(SqliteConnection::connect(&format!("sqlite:{}", path.display())).await.unwrap())
            }
            DatabaseUrl::Postgres(url) => Raw::Postgres(PgConnection::connect(url).await.unwrap()),
        }
    }

    /// Runs statements and answers nothing.
    pub async fn execute(&mut self, sql: &str) {
        let sql = AssertSqlSafe(sql.to_owned());
        match self {
            Raw::Sqlite(db) => drop(db.execute(sql).await.unwrap()),
            Raw::Postgres(db) => drop(db.execute(sql).await.unwrap()),
        }
    }

    /// Whether the database refuses this.
    pub async fn refuses(&mut self, sql: &str) -> bool {
        let sql = AssertSqlSafe(sql.to_owned());
        match self {
            Raw::Sqlite(db) => db.execute(sql).await.is_err(),
            Raw::Postgres(db) => db.execute(sql).await.is_err(),
        }
    }

    /// The first column, which must be text.
    pub async fn texts(&mut self, sql: &str) -> Vec<String> {
        let sql = AssertSqlSafe(sql.to_owned());
        match self {
            Raw::Sqlite(db) => sqlx::query_scalar(sql).fetch_all(db).await.unwrap(),
            Raw::Postgres(db) => sqlx::query_scalar(sql).fetch_all(db).await.unwrap(),
        }
    }

    /// Every row of every table, every column of it, as text: equal only if nothing was written.
    pub async fn everything(&mut self) -> Vec<String> {
        let mut all = Vec::new();
        for table in self.tables().await {
            let row = match self {
                Raw::Postgres(_) => format!("{table}::text"),
                Raw::Sqlite(_) => {
                    let columns = format!("SELECT 'quote(\"' || name || '\")' FROM pragma_table_info('{table}')");
                    self.texts(&columns).await.join(" || ', ' || ")
                }
            };
            let mut rows = self.texts(&format!("SELECT {row} FROM {table}")).await;
            rows.sort_unstable();
            all.extend(rows.into_iter().map(|row| format!("{table}: {row}")));
        }
        all
    }

    /// Deletes every row: what stands there is a fresh database, but for the numbers it counts on from.
    pub async fn empty(&mut self) {
        let deletes: Vec<String> = self.tables().await.iter().map(|table| format!("DELETE FROM {table}")).collect();
        self.execute(&format!("BEGIN; {}; COMMIT", deletes.join("; "))).await;
    }

    /// The tables that hold what callers and workers wrote.
    async fn tables(&mut self) -> Vec<String> {
        let all = match self {
            Raw::Sqlite(_) => "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'",
            Raw::Postgres(_) => "SELECT tablename::text FROM pg_tables WHERE schemaname = 'public'",
        };
        let mut tables = self.texts(all).await;
        tables.retain(|table| !["log_start", "key_changes", "_sqlx_migrations"].contains(&table.as_str()));
        tables.sort_unstable();
        tables
    }
}
