//! What a task has saved, and a kill once that is enough.

use super::bed::DatabaseUrl;
use super::node::{Home, Node};
use serde_json::Value;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection, PgConnection, SqliteConnection};
use std::time::{Duration, Instant};
use uuid::Uuid;

const PATIENCE: Duration = Duration::from_secs(90);

/// Kills the node once the task has saved enough under `name`; what was saved when it was dead.
pub async fn kill_once(home: &Home, mut node: Node, id: &str, name: &str, enough: impl Fn(&Value) -> bool) -> Value {
    until_saved(home, id, name, enough).await;
    node.signal("KILL");
    node.ended(PATIENCE).await;
    saved(home, id, name).await.unwrap()
}

pub async fn until_saved(home: &Home, id: &str, name: &str, enough: impl Fn(&Value) -> bool) {
    let began = Instant::now();
    while !saved(home, id, name).await.is_some_and(|saved| enough(&saved)) {
        assert!(began.elapsed() < PATIENCE, "{name} was not saved");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// What the task has saved under `name`, by a look into the database past the node.
async fn saved(home: &Home, id: &str, name: &str) -> Option<Value> {
    let id: Uuid = id.parse().unwrap();
    let found: Option<String> = match &home.database {
        DatabaseUrl::Sqlite(path) => {
            // Read-only: the last one to close a database that it may write deletes its log.
            let options = SqliteConnectOptions::new().filename(path).read_only(true);
            let mut database = SqliteConnection::connect_with(&options).await.unwrap();
            let query = sqlx::query_scalar("SELECT data FROM checkpoints WHERE task_id = ? AND name = ?");
            query.bind(id).bind(name).fetch_optional(&mut database).await.unwrap()
        }
        DatabaseUrl::Postgres(url) => {
            let mut database = PgConnection::connect(url).await.unwrap();
            let query = sqlx::query_scalar("SELECT data FROM checkpoints WHERE task_id = $1 AND name = $2");
            query.bind(id).bind(name).fetch_optional(&mut database).await.unwrap()
        }
    };
    found.map(|data| serde_json::from_str(&data).unwrap())
}
