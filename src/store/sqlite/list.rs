//! The list: what is composed for it, run here.

use super::failed;
use crate::store::list::{self, Dialect, GroupedRow, Statement, Value, WalkedRow};
use crate::store::row::TaskRow;
use crate::store::{Group, Piece, Result, Way};
use crate::task::{Filter, Page, Scope, Time};
use sqlx::query::QueryAs;
use sqlx::{AssertSqlSafe, FromRow, Sqlite, SqlitePool};
use uuid::Uuid;

/// How this database spells it.
pub const DIALECT: Dialect = Dialect {
    parameter: "?",
    holds: ["instr(lower(", "), ", ") > 0"],
    tagged: ["EXISTS (SELECT 1 FROM json_each(tags) WHERE value = ", ")"],
    // The dashes are put where people see them.
    searched: [
        "lower(substr(hex(id), 1, 8) || '-' || substr(hex(id), 9, 4) || '-' || substr(hex(id), 13, 4) || '-' || \
         substr(hex(id), 17, 4) || '-' || substr(hex(id), 21))",
        "(SELECT group_concat(value, char(10)) FROM json_each(tags))",
        "((error ->> 'code') || char(10) || (error ->> 'message'))",
    ],
    read_by: Some("INDEXED BY"),
    among: ["id IN (SELECT unhex(value) FROM json_each(", "))"],
};

pub async fn list(db: &SqlitePool, scope: &Scope, filter: &Filter, page: &Page, way: &Way) -> Result<Piece> {
    match way {
        Way::Walk(span) => {
            let rows = say::<WalkedRow>(list::walk(&DIALECT, scope, filter, page, *span));
            list::walked(rows.fetch_all(db).await.map_err(failed)?, page)
        }
        Way::Groups(groups) => {
            let limit = list::candidates(filter, page, groups);
            let rows = say::<GroupedRow>(list::grouped(&DIALECT, scope, filter, page, groups, limit));
            let rows = rows.fetch_all(db).await.map_err(failed)?;
            let ids: Vec<Uuid> = rows.iter().map(|row| row.id).collect();
            let matches = say::<TaskRow>(list::among(&DIALECT, scope, filter, page, &ids));
            list::found(matches.fetch_all(db).await.map_err(failed)?, &rows, limit, page)
        }
        Way::Among(ids) => {
            let matches = say::<TaskRow>(list::among(&DIALECT, scope, filter, page, ids));
            list::found(matches.fetch_all(db).await.map_err(failed)?, &[], 0, page)
        }
    }
}

pub async fn groups(db: &SqlitePool, scope: &Scope, filter: &Filter, limit: i64) -> Result<Vec<Group>> {
    say::<Group>(list::groups(&DIALECT, scope, filter, limit)).fetch_all(db).await.map_err(failed)
}

pub async fn unfinished(db: &SqlitePool, as_of: Time, limit: i64) -> Result<i64> {
    let (n,) = say::<(i64,)>(list::unfinished(&DIALECT, as_of, limit)).fetch_one(db).await.map_err(failed)?;
    Ok(n)
}

/// A composed statement with its parameters.
pub fn say<R>(statement: Statement) -> QueryAs<'static, Sqlite, R, sqlx::sqlite::SqliteArguments>
where
    R: for<'r> FromRow<'r, <Sqlite as sqlx::Database>::Row>,
{
    let query = sqlx::query_as(AssertSqlSafe(statement.text));
    statement.values.into_iter().fold(query, |query, value| match value {
        Value::Text(text) => query.bind(text),
        Value::Number(number) => query.bind(number),
        Value::Id(id) => query.bind(id),
        Value::Ids(ids) => query.bind(super::json::json(&ids.into_iter().map(super::json::Hex).collect::<Vec<_>>())),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Made, Sqlite, Store};
    use crate::task::{Sort, Status};
    use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    /// A look through all of them would take five steps of SQLite's machine each at the very least.
    const HISTORY: i64 = 20_000;
    const MOST_STEPS: u64 = 60_000;
    const BEGIN: Time = Time(1_767_225_600_000);

    #[tokio::test]
    async fn no_list_takes_more_steps_than_a_short_walk_behind_a_history() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("errand.db");
        let store = Sqlite::open(&path).await.unwrap();
        store.fill(&Made { numbers: 0..HISTORY, begin: BEGIN, step_micros: 1_000_000 }).await.unwrap();
        let steps = Arc::new(AtomicU64::new(0));
        let db = counting(&path, &steps).await;
        let end = BEGIN.plus(HISTORY * 1_000 + 1_000);
        for filter in filters() {
            let groups = store.groups(&Scope::Everyone, &filter, 101).await.unwrap();
            for (word, sort) in Sort::ALL {
                let mut page = Page { sort, limit: 50, after: None, as_of: end, full: false };
                for way in [Way::Walk(500), Way::Groups(groups.clone())] {
                    // Many are walked instead: those to put in order, and those to look at one by one.
                    let tasks: i64 = groups.iter().map(|group| group.n).sum();
                    let walked =
                        (sort.by_finish() && tasks > 1_000) || (filter.is_more_than_counted() && groups.len() > 12);
                    if walked && matches!(way, Way::Groups(_)) {
                        continue;
                    }
                    for turn in 0..3 {
                        steps.store(0, Ordering::Relaxed);
                        let piece = list(&db, &Scope::Everyone, &filter, &page, &way).await.unwrap();
                        let taken = steps.load(Ordering::Relaxed);
                        assert!(taken < MOST_STEPS, "{taken} steps, page {turn}: {filter:?} by {word}, {way:?}");
                        page.after = piece.next.or(page.turn());
                    }
                }
            }
        }
        db.close().await;
        store.close().await;
    }

    /// Readers that count what SQLite's machine does, by the hundred.
    async fn counting(path: &std::path::Path, steps: &Arc<AtomicU64>) -> SqlitePool {
        let steps = steps.clone();
        let pool = SqlitePoolOptions::new().max_connections(1).after_connect(move |db, _| {
            let steps = steps.clone();
            Box::pin(async move {
                db.lock_handle().await?.set_progress_handler(100, move || {
                    steps.fetch_add(100, Ordering::Relaxed);
                    true
                });
                Ok(())
            })
        });
        pool.connect_with(SqliteConnectOptions::new().filename(path).read_only(true)).await.unwrap()
    }

    fn filters() -> Vec<Filter> {
        let filter = Filter::default();
        let text = |text: &str| Some(text.to_owned());
        vec![
            filter.clone(),
            Filter { statuses: vec![Status::Running], ..filter.clone() },
            Filter { statuses: vec![Status::Failed], ..filter.clone() },
            Filter { types: vec!["missing".to_owned()], ..filter.clone() },
            Filter { types: vec!["demo".to_owned()], queue: text("slow"), ..filter.clone() },
            Filter { queue: text("rare"), ..filter.clone() },
            Filter { owner: text("berta"), statuses: vec![Status::Cancelled], ..filter.clone() },
            Filter { client_id: text("rare"), ..filter.clone() },
            Filter { tag: text("rare"), ..filter.clone() },
            Filter { words: vec!["needle".to_owned()], ..filter.clone() },
            Filter { created_before: Some(BEGIN.plus(5_000_000)), ..filter.clone() },
            Filter { created_after: Some(BEGIN.plus(15_000_000)), queue: text("slow"), ..filter },
        ]
    }
}
