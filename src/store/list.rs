//! The list's statements: the only text that is composed, and only from fixed pieces and bound
//! parameters. None reads more than its bound, however long the history and however rare the matches.

use super::row::TaskRow;
use super::{Group, Piece, Result};
use crate::task::filter::After;
use crate::task::{Filter, Page, Scope, Sort, Time};
use uuid::Uuid;

/// Where the two databases spell the same thing differently.
pub struct Dialect {
    /// What stands before the number of a parameter.
    pub parameter: &'static str,
    /// `true` if the column holds the word, ASCII case ignored: column, then word, then the rest.
    pub holds: [&'static str; 3],
    /// `true` if the tags hold the bound one.
    pub tagged: [&'static str; 2],
    /// What a search looks into: the id as people write it, each tag on a line, what an error says.
    pub searched: [&'static str; 3],
    /// What stands between a table and the index to read it by, where that can be said.
    pub read_by: Option<&'static str>,
    /// `true` if the id is one of those bound.
    pub among: [&'static str; 2],
}

/// A parameter.
#[derive(Debug, Clone)]
pub enum Value {
    Text(String),
    Number(i64),
    Id(Uuid),
    Ids(Vec<Uuid>),
}

/// A statement and its parameters, in the order of their numbers.
#[derive(Debug)]
pub struct Statement {
    pub text: String,
    pub values: Vec<Value>,
    parameter: &'static str,
}

/// A row of a walk: a match, or the last row that was looked at, which is none.
#[derive(Debug, sqlx::FromRow)]
pub struct WalkedRow {
    #[sqlx(flatten)]
    pub task: TaskRow,
    pub is_match: bool,
}

/// Tasks of groups that are looked at in one go, where not all of them match.
const LOOKED_AT: i64 = 500;

/// A row of a look into groups.
#[derive(Debug, sqlx::FromRow)]
pub struct GroupedRow {
    pub id: Uuid,
    finished_at: Option<i64>,
}

/// What is read of a task beside params and result.
pub const COLUMNS: &str = "id, type, name, queue, priority, tags, owner, client_id, error, progress, status, attempt, failures, \
     losses, max_attempts, backoff, timeout_seconds, lease, lease_until, worker, run_at, created_at, started_at, \
     finished_at, updated_at, cancel_requested_at, version, ahead";

/// Tasks that have not finished, each piece by an index of its own.
const UNFINISHED: [(&str, &str); 3] =
    [("tasks_ready", "ready = 1"), ("tasks_due", "status = 0 AND ready = 0"), ("tasks_leased", "status = 1")];

/// The page in its order, by looking at no more than `span` tasks. Its rows are [`WalkedRow`]s.
pub fn walk(dialect: &Dialect, scope: &Scope, filter: &Filter, page: &Page, span: i64) -> Statement {
    let mut query = Statement::new(dialect);
    let nothing_else = filter_is_empty(scope, filter) && !page.is_unfinished();
    let span = if nothing_else { page.limit } else { span };
    query.push(&format!("SELECT {COLUMNS}{}, true AS is_match FROM (", texts(page)));
    path(&mut query, filter, page);
    query.push(&format!(" LIMIT {span}) AS looked WHERE true"));
    conditions(&mut query, dialect, scope, filter);
    if let Some(ids) = &filter.ids {
        query.push(" AND ").push(dialect.among[0]).bind(Value::Ids(ids.clone())).push(dialect.among[1]);
    }
    unfinished_by_then(&mut query, page);
    query.push(&format!(" LIMIT {}", page.limit));
    if nothing_else {
        return query;
    }
    // Looked up only if those do not fill the page: where the walk has ended.
    let matches = std::mem::take(&mut query.text);
    path(&mut query, filter, page);
    let path = std::mem::take(&mut query.text);
    query.push(&format!(
        "SELECT * FROM (SELECT * FROM ({matches}) AS matches UNION ALL \
         SELECT {COLUMNS}, NULL AS params, NULL AS result, false AS is_match FROM ({path} LIMIT 1 OFFSET {}) AS last\
         ) AS either LIMIT {}",
        span - 1,
        page.limit
    ));
    query
}

/// What a walk found.
pub fn walked(rows: Vec<WalkedRow>, page: &Page) -> Result<Piece> {
    let (matches, ends): (Vec<WalkedRow>, Vec<WalkedRow>) = rows.into_iter().partition(|row| row.is_match);
    let tasks = super::row::all(matches.into_iter().map(|row| row.task).collect(), TaskRow::task)?;
    let end = ends.into_iter().next().map(|row| row.task.task()).transpose()?;
    let full = tasks.len() as i64 >= page.limit;
    let next = match (full, end) {
        (true, _) => tasks.last().map(|last| page.behind(last)),
        (false, Some(end)) => Some(page.behind(&end)),
        (false, None) => page.turn(),
    };
    Ok(Piece { tasks, next })
}

/// Id and end of the first `limit` tasks of these groups in the list's order: [`GroupedRow`]s. Where
/// the list goes by `finished_at`, all of the groups are read.
pub fn grouped(
    dialect: &Dialect,
    scope: &Scope,
    filter: &Filter,
    page: &Page,
    groups: &[Group],
    limit: i64,
) -> Statement {
    let mut query = Statement::new(dialect);
    let unfinished = page.is_unfinished();
    query.push("SELECT id, finished_at FROM (");
    let mut separator = "";
    if !unfinished || !page.sort.by_finish() {
        for group in groups.iter().filter(|group| group.status >= 2) {
            query.push(separator).push("SELECT id, finished_at FROM (SELECT id, finished_at FROM ");
            query.push(&dialect.read_by("tasks_grouped")).push(" WHERE owner = ");
            query.bind(Value::Text(group.owner.clone())).push(" AND queue = ").bind(Value::Text(group.queue.clone()));
            query.push(" AND type = ").bind(Value::Text(group.r#type.clone()));
            query.push(&format!(" AND status = {} AND finished_at IS NOT NULL", group.status));
            if page.sort.by_finish() {
                range(&mut query, filter, page, By::This);
            } else {
                range(&mut query, filter, page, By::Key);
                query.push(&format!(" ORDER BY {} LIMIT {limit}", by_no_key(page)));
            }
            query.push(") AS one");
            separator = " UNION ALL ";
        }
    }
    if unfinished || (!page.sort.by_finish() && groups.iter().any(|group| group.status < 2)) {
        for (index, part) in UNFINISHED {
            let tasks = dialect.read_by(index);
            query.push(separator).push(&format!("SELECT id, finished_at FROM {tasks} WHERE {part}"));
            counted(&mut query, scope, filter);
            range(&mut query, filter, page, By::This);
            separator = " UNION ALL ";
        }
    }
    if unfinished {
        let tasks = dialect.read_by("tasks_finished");
        query.push(separator).push(&format!("SELECT id, finished_at FROM {tasks} WHERE finished_at > "));
        query.bind(Value::Number(page.as_of.0));
        range(&mut query, filter, page, By::This);
        separator = " UNION ALL ";
    }
    if separator.is_empty() {
        query.push("SELECT id, finished_at FROM tasks WHERE false");
    }
    let finished = match page.sort.by_finish() && !unfinished {
        true => format!("finished_at {}, ", direction(page.sort)),
        false => String::new(),
    };
    query.push(&format!(") AS found ORDER BY {finished}{} LIMIT {limit}", by_no_key(page)));
    query
}

/// Those of these tasks that match, in the list's order, at most as many as the page takes.
pub fn among(dialect: &Dialect, scope: &Scope, filter: &Filter, page: &Page, ids: &[Uuid]) -> Statement {
    let mut query = Statement::new(dialect);
    // First these, by their ids: an index in the list's order would be walked for long.
    query.push("WITH named AS MATERIALIZED (SELECT * FROM tasks WHERE ");
    query.push(dialect.among[0]).bind(Value::Ids(ids.to_vec())).push(dialect.among[1]);
    query.push(&format!(") SELECT {COLUMNS}{} FROM named WHERE true", texts(page)));
    conditions(&mut query, dialect, scope, filter);
    unfinished_by_then(&mut query, page);
    range(&mut query, filter, page, By::Key);
    let direction = direction(page.sort);
    let finished = if page.sort.by_finish() && !page.is_unfinished() {
        query.push(" AND finished_at <= ").bind(Value::Number(page.as_of.0));
        format!("finished_at {direction}, ")
    } else {
        String::new()
    };
    query.push(&format!(" ORDER BY {finished}id {direction} LIMIT {}", page.limit));
    query
}

/// How many tasks of these groups to look at for a page: as many as it takes where each of them matches.
pub fn candidates(filter: &Filter, page: &Page, groups: &[Group]) -> i64 {
    let unfinished = page.is_unfinished() || groups.iter().any(|group| group.status < 2);
    let some_do_not = unfinished || filter.is_more_than_counted();
    if some_do_not { LOOKED_AT.max(page.limit) } else { page.limit }
}

/// What a look into groups found: `rows` is what [`grouped`] gave, `limit` what it was asked for.
pub fn found(matches: Vec<TaskRow>, rows: &[GroupedRow], limit: i64, page: &Page) -> Result<Piece> {
    let tasks = super::row::all(matches, TaskRow::task)?;
    let next = match rows.last() {
        _ if tasks.len() as i64 >= page.limit => tasks.last().map(|last| page.behind(last)),
        Some(last) if rows.len() as i64 >= limit => Some(page.behind_this(last.finished_at.map(Time), last.id)),
        _ => page.turn(),
    };
    Ok(Piece { tasks, next })
}

/// How many tasks had not finished at that instant, counted up to `limit`.
pub fn unfinished(dialect: &Dialect, as_of: Time, limit: i64) -> Statement {
    let mut query = Statement::new(dialect);
    query.push("SELECT count(*) FROM (SELECT 1 FROM (");
    for (index, part) in UNFINISHED {
        query.push(&format!("SELECT 1 AS one FROM {} WHERE {part} UNION ALL ", dialect.read_by(index)));
    }
    query
        .push(&format!("SELECT 1 AS one FROM {} WHERE finished_at > ", dialect.read_by("tasks_finished")))
        .bind(Value::Number(as_of.0));
    query.push(&format!(") AS each_one LIMIT {limit}) AS counted"));
    query
}

/// The groups that hold anything the filter names, at most `limit`.
pub fn groups(dialect: &Dialect, scope: &Scope, filter: &Filter, limit: i64) -> Statement {
    let mut query = Statement::new(dialect);
    query.push("SELECT owner, queue, type, status, CAST(sum(n) AS bigint) AS n FROM counts WHERE true");
    counted(&mut query, scope, filter);
    query.push(&format!(" GROUP BY owner, queue, type, status HAVING sum(n) > 0 LIMIT {limit}"));
    query
}

fn texts(page: &Page) -> &'static str {
    if page.full { ", params, result" } else { ", NULL AS params, NULL AS result" }
}

/// Whether every task of the scope's database is meant.
fn filter_is_empty(scope: &Scope, filter: &Filter) -> bool {
    scope.owner().is_none() && *filter == Filter::default()
}

/// The tasks in the list's order, from the page's place on.
fn path(query: &mut Statement, filter: &Filter, page: &Page) {
    let direction = direction(page.sort);
    query.push("SELECT * FROM tasks WHERE true");
    if page.sort.by_finish() && !page.is_unfinished() {
        query.push(" AND finished_at IS NOT NULL");
        // Downwards, a place to go on from lies before that; SQLite would begin at the wrong one of the two.
        if page.after.is_none() || !page.sort.descending() {
            query.push(" AND finished_at <= ").bind(Value::Number(page.as_of.0));
        }
        range(query, &Filter::default(), page, By::Key);
        query.push(&format!(" ORDER BY finished_at {direction}, id {direction}"));
    } else {
        range(query, filter, page, By::Key);
        query.push(&format!(" ORDER BY id {direction}"));
    }
}

/// The list's order of ids as only one index has it: no planner takes the table's key for it, and
/// walks that for long because it takes matches for common.
fn by_no_key(page: &Page) -> &'static str {
    if page.sort.descending() { "id DESC NULLS LAST" } else { "id ASC NULLS FIRST" }
}

/// Whether a condition on the list's order may choose the index.
#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    /// It may.
    Key,
    /// It may not: that is chosen already.
    This,
}

/// From the page's place on, and no further than the filter's times: ids tell when a task was created.
fn range(query: &mut Statement, filter: &Filter, page: &Page, by: By) {
    let beyond = if page.sort.descending() { "<" } else { ">" };
    let (and, end) = if by == By::Key { (" AND (", ")") } else { (" AND (", ") IS TRUE") };
    if let Some(After { finished_at, id }) = page.after {
        match finished_at {
            Some(at) if page.sort.by_finish() => {
                query.push(&format!("{and}(finished_at, id) {beyond} (")).bind(Value::Number(at.0)).push(", ");
                query.bind(Value::Id(id)).push(")").push(end);
            }
            _ => drop(query.push(&format!("{and}id {beyond} ")).bind(Value::Id(id)).push(end)),
        }
    }
    if let Some(after) = filter.created_after {
        query.push(&format!("{and}id >= ")).bind(Value::Id(first_id(after))).push(end);
    }
    if let Some(before) = filter.created_before {
        query.push(&format!("{and}id < ")).bind(Value::Id(first_id(before))).push(end);
    }
}

/// No id made at this time or later is below this one.
pub fn first_id(time: Time) -> Uuid {
    Uuid::from_u128((time.0.max(0) as u128) << 80)
}

/// What finished after the first page was made counts as unfinished: it neither jumps ahead nor is missed.
fn unfinished_by_then(query: &mut Statement, page: &Page) {
    if page.is_unfinished() {
        query.push(" AND (finished_at IS NULL OR finished_at > ").bind(Value::Number(page.as_of.0)).push(")");
    }
}

/// The conditions that the counters know too.
fn counted(query: &mut Statement, scope: &Scope, filter: &Filter) {
    let equal = [("owner", scope.owner()), ("owner", filter.owner.as_deref()), ("queue", filter.queue.as_deref())];
    for (column, value) in equal {
        if let Some(value) = value {
            query.push(&format!(" AND {column} = ")).bind(Value::Text(value.to_owned()));
        }
    }
    if !filter.statuses.is_empty() {
        let numbers: Vec<String> = filter.statuses.iter().map(|status| (*status as i64).to_string()).collect();
        query.push(&format!(" AND status IN ({})", numbers.join(", ")));
    }
    for (n, name) in filter.types.iter().enumerate() {
        query.push(if n == 0 { " AND type IN (" } else { ", " }).bind(Value::Text(name.clone()));
    }
    if !filter.types.is_empty() {
        query.push(")");
    }
}

/// Everything that must hold of a row.
fn conditions(query: &mut Statement, dialect: &Dialect, scope: &Scope, filter: &Filter) {
    counted(query, scope, filter);
    if let Some(client_id) = &filter.client_id {
        query.push(" AND client_id = ").bind(Value::Text(client_id.clone()));
    }
    if let Some(tag) = &filter.tag {
        query.push(" AND ").push(dialect.tagged[0]).bind(Value::Text(tag.clone())).push(dialect.tagged[1]);
    }
    for word in &filter.words {
        let word = word.to_ascii_lowercase();
        query.push(" AND (false");
        for column in ["name"].into_iter().chain(dialect.searched) {
            let [before, between, after] = dialect.holds;
            query.push(" OR ").push(before).push(column).push(between).bind(Value::Text(word.clone())).push(after);
        }
        query.push(")");
    }
    if let Some(after) = filter.created_after {
        query.push(" AND created_at >= ").bind(Value::Number(after.0));
    }
    if let Some(before) = filter.created_before {
        query.push(" AND created_at < ").bind(Value::Number(before.0));
    }
}

impl Dialect {
    /// The table, read by this index where that can be said.
    pub fn read_by(&self, index: &str) -> String {
        self.read_by.map_or_else(|| "tasks".to_owned(), |by| format!("tasks {by} {index}"))
    }
}

impl Statement {
    /// Nothing yet.
    pub fn new(dialect: &Dialect) -> Statement {
        Statement { text: String::new(), values: Vec::new(), parameter: dialect.parameter }
    }

    /// Adds a fixed piece.
    pub fn push(&mut self, text: &str) -> &mut Statement {
        self.text.push_str(text);
        self
    }

    /// Adds a parameter.
    pub fn bind(&mut self, value: Value) -> &mut Statement {
        self.values.push(value);
        self.text.push_str(&format!("{}{}", self.parameter, self.values.len()));
        self
    }
}

/// The direction of an order.
fn direction(sort: Sort) -> &'static str {
    if sort.descending() { "DESC" } else { "ASC" }
}
