//! The list: what is composed for it, run here.

use super::failed;
use crate::store::list::{self, Dialect, GroupedRow, Statement, Value, WalkedRow};
use crate::store::row::TaskRow;
use crate::store::{Group, Piece, Result, Way};
use crate::task::{Filter, Page, Scope, Time};
use sqlx::query::QueryAs;
use sqlx::{AssertSqlSafe, FromRow, PgConnection, Postgres};
use uuid::Uuid;

/// How this database spells it.
pub const DIALECT: Dialect = Dialect {
    parameter: "$",
    // The collation makes lower() fold ASCII letters only, as SQLite does.
    holds: ["strpos(lower(", " COLLATE \"C\"), ", ") > 0"],
    tagged: ["jsonb_exists(tags::jsonb, ", ")"],
    searched: [
        "id::text",
        "(SELECT string_agg(value, E'\\n') FROM jsonb_array_elements_text(tags::jsonb))",
        "((error::jsonb ->> 'code') || E'\\n' || (error::jsonb ->> 'message'))",
    ],
    read_by: None,
    among: ["id = ANY(", ")"],
};

pub async fn list(db: &mut PgConnection, scope: &Scope, filter: &Filter, page: &Page, way: &Way) -> Result<Piece> {
    match way {
        Way::Walk(span) => {
            let rows = say::<WalkedRow>(list::walk(&DIALECT, scope, filter, page, *span));
            list::walked(rows.fetch_all(db).await.map_err(failed)?, page)
        }
        Way::Groups(groups) => {
            let limit = list::candidates(filter, page, groups);
            let rows = say::<GroupedRow>(list::grouped(&DIALECT, scope, filter, page, groups, limit));
            let rows = rows.fetch_all(&mut *db).await.map_err(failed)?;
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

pub async fn groups(db: &mut PgConnection, scope: &Scope, filter: &Filter, limit: i64) -> Result<Vec<Group>> {
    say::<Group>(list::groups(&DIALECT, scope, filter, limit)).fetch_all(db).await.map_err(failed)
}

pub async fn unfinished(db: &mut PgConnection, as_of: Time, limit: i64) -> Result<i64> {
    let (n,) = say::<(i64,)>(list::unfinished(&DIALECT, as_of, limit)).fetch_one(db).await.map_err(failed)?;
    Ok(n)
}

/// A composed statement with its parameters.
pub fn say<R>(statement: Statement) -> QueryAs<'static, Postgres, R, sqlx::postgres::PgArguments>
where
    R: for<'r> FromRow<'r, <Postgres as sqlx::Database>::Row>,
{
    let query = sqlx::query_as(AssertSqlSafe(statement.text));
    statement.values.into_iter().fold(query, |query, value| match value {
        Value::Text(text) => query.bind(text),
        Value::Number(number) => query.bind(number),
        Value::Id(id) => query.bind(id),
        Value::Ids(ids) => query.bind(ids),
    })
}
