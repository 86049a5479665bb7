//! What waits for an approval: the statement is composed as the lists' are, from fixed pieces and bound parameters.
//! None looks at more tasks than its bound, however many there are.

use super::Result;
use super::list::{COLUMNS, Dialect, Statement, Value, WalkedRow};
use super::row::{self, TaskRow, run_at_column};
use crate::task::{Scope, Task, Time};
use async_trait::async_trait;
use uuid::Uuid;

/// A place in the order of what waits for an approval: the time a task is for, and its id.
pub type Turn = (Time, Uuid);

/// Tasks that wait for an approval, by the time they are for and id.
#[derive(Debug, Clone, Default)]
pub struct Awaiting {
    /// The tasks, with their params.
    pub tasks: Vec<Task>,
    /// Where to go on; `None` at the end.
    pub next: Option<Turn>,
}

/// What waits for a person.
#[async_trait]
pub trait ApprovalStore: Send + Sync {
    /// At most `limit` tasks of the scope behind this place. They may be fewer and not the last ones: of others' tasks
    /// `span` are looked at.
    async fn awaiting(&self, scope: &Scope, after: Option<Turn>, limit: i64, span: i64) -> Result<Awaiting>;
}

/// The statement; its rows are [`WalkedRow`]s.
pub fn statement(dialect: &Dialect, scope: &Scope, after: Option<Turn>, limit: i64, span: i64) -> Statement {
    let mut query = Statement::new(dialect);
    let span = if scope.owner().is_none() { limit } else { span };
    query.push(&format!("SELECT {COLUMNS}, params, NULL AS result, true AS is_match FROM ("));
    path(&mut query, dialect, after);
    query.push(&format!(" LIMIT {span}) AS looked"));
    let Some(owner) = scope.owner() else { return query };
    query.push(" WHERE owner = ").bind(Value::Text(owner.to_owned()));
    query.push(&format!(" ORDER BY run_at, id LIMIT {limit}"));
    // Looked up only if those do not fill the page: where the look has ended.
    let matches = std::mem::take(&mut query.text);
    path(&mut query, dialect, after);
    let path = std::mem::take(&mut query.text);
    query.push(&format!(
        "SELECT * FROM (SELECT * FROM ({matches}) AS matches UNION ALL \
         SELECT {COLUMNS}, NULL AS params, NULL AS result, false AS is_match FROM ({path} LIMIT 1 OFFSET {}) AS last\
         ) AS either LIMIT {limit}",
        span - 1,
    ));
    query
}

/// What is held, in its order, along the index of what waits for its time.
fn path(query: &mut Statement, dialect: &Dialect, after: Option<Turn>) {
    let (time, id) = after.unwrap_or((Time(0), Uuid::nil()));
    let from = run_at_column(time, true);
    query.push(&format!("SELECT * FROM {} WHERE status = 0 AND ready = 0", dialect.read_by("tasks_due")));
    query.push(" AND run_at >= ").bind(Value::Number(from));
    query.push(" AND (run_at, id) > (").bind(Value::Number(from)).push(", ").bind(Value::Id(id)).push(")");
    query.push(" ORDER BY run_at, id");
}

/// What the statement found.
pub fn found(rows: Vec<WalkedRow>, limit: i64) -> Result<Awaiting> {
    let (matches, ends): (Vec<WalkedRow>, Vec<WalkedRow>) = rows.into_iter().partition(|row| row.is_match);
    let tasks = row::all(matches.into_iter().map(|row| row.task).collect(), TaskRow::task)?;
    let end = ends.into_iter().next().map(|row| row.task.task()).transpose()?;
    let last = if tasks.len() as i64 >= limit { tasks.last() } else { end.as_ref() };
    let next = last.map(|task| (task.run_at, task.id));
    Ok(Awaiting { tasks, next })
}
