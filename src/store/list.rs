//! The list's query: the only text that is composed, and only from fixed pieces and bound parameters.

use super::row::TaskRow;
use crate::task::{Filter, Page, Scope, Sort};
use sqlx::{Database, Encode, QueryBuilder, Type};
use uuid::Uuid;

/// Where the two databases spell the same thing differently.
pub struct Dialect {
    /// `true` if the column holds the word, ASCII case ignored: column, then word, then the rest.
    pub holds: [&'static str; 3],
    /// `true` if the tags hold the bound one.
    pub tagged: [&'static str; 2],
    /// What a search looks into: the id as people write it, each tag on a line, what an error says.
    pub searched: [&'static str; 3],
}

const COLUMNS: &str = "id, type, name, queue, priority, tags, owner, client_id, error, progress, status, attempt, failures, \
     losses, max_attempts, backoff, timeout_seconds, lease, lease_until, worker, run_at, created_at, started_at, \
     finished_at, updated_at, cancel_requested_at, version";

/// The statement for one page. Its rows are [`TaskRow`]s.
pub fn compose<DB>(dialect: &Dialect, scope: &Scope, filter: &Filter, page: &Page) -> QueryBuilder<DB>
where
    DB: Database,
    String: Encode<'static, DB> + Type<DB>,
    i64: Encode<'static, DB> + Type<DB>,
    Uuid: Encode<'static, DB> + Type<DB>,
    for<'r> TaskRow: sqlx::FromRow<'r, DB::Row>,
{
    let texts = if page.full { ", params, result" } else { ", NULL AS params, NULL AS result" };
    let mut query = QueryBuilder::<DB>::new(format!("SELECT {COLUMNS}{texts} FROM tasks WHERE true"));
    let equal = [
        ("owner", scope.owner()),
        ("owner", filter.owner.as_deref()),
        ("queue", filter.queue.as_deref()),
        ("client_id", filter.client_id.as_deref()),
    ];
    for (column, value) in equal {
        if let Some(value) = value {
            query.push(format!(" AND {column} = ")).push_bind(value.to_owned());
        }
    }
    if !filter.statuses.is_empty() {
        let numbers: Vec<String> = filter.statuses.iter().map(|status| (*status as i64).to_string()).collect();
        query.push(format!(" AND status IN ({})", numbers.join(", ")));
    }
    if !filter.types.is_empty() {
        any_of(&mut query, "type", filter.types.iter().cloned());
    }
    if let Some(ids) = &filter.ids {
        any_of(&mut query, "id", ids.iter().copied());
    }
    if let Some(tag) = &filter.tag {
        query.push(" AND ").push(dialect.tagged[0]).push_bind(tag.clone()).push(dialect.tagged[1]);
    }
    for word in &filter.words {
        let word = word.to_ascii_lowercase();
        query.push(" AND (false");
        for column in ["name"].into_iter().chain(dialect.searched) {
            let [before, between, after] = dialect.holds;
            query.push(" OR ").push(before).push(column).push(between).push_bind(word.clone()).push(after);
        }
        query.push(")");
    }
    if let Some(after) = filter.created_after {
        query.push(" AND created_at >= ").push_bind(after.0);
    }
    if let Some(before) = filter.created_before {
        query.push(" AND created_at < ").push_bind(before.0);
    }
    order(&mut query, page);
    query
}

fn any_of<DB, T>(query: &mut QueryBuilder<DB>, column: &str, values: impl Iterator<Item = T>)
where
    DB: Database,
    T: Encode<'static, DB> + Type<DB> + 'static,
{
    query.push(format!(" AND {column} IN ("));
    let mut separated = query.separated(", ");
    let mut none = true;
    for value in values {
        separated.push_bind(value);
        none = false;
    }
    if none {
        separated.push("NULL");
    }
    query.push(")");
}

/// The place to go on from, the order and the limit.
fn order<DB>(query: &mut QueryBuilder<DB>, page: &Page)
where
    DB: Database,
    i64: Encode<'static, DB> + Type<DB>,
    Uuid: Encode<'static, DB> + Type<DB>,
{
    let (direction, beyond) = if page.sort.descending() { ("DESC", "<") } else { ("ASC", ">") };
    if !page.sort.by_finish() {
        if let Some(after) = page.after {
            query.push(format!(" AND id {beyond} ")).push_bind(after.id);
        }
        query.push(format!(" ORDER BY id {direction} LIMIT ")).push_bind(page.limit);
        return;
    }
    // What finished after the first page was made counts as unfinished: it neither jumps ahead nor is missed.
    let key = format!("(CASE WHEN finished_at <= {} THEN finished_at END)", page.as_of.0);
    match page.after.map(|after| (after.finished_at, after.id)) {
        Some((Some(finished_at), id)) => {
            query.push(format!(" AND ({key} {beyond} ")).push_bind(finished_at.0);
            query.push(format!(" OR ({key} = ")).push_bind(finished_at.0);
            query.push(format!(" AND id {beyond} ")).push_bind(id);
            query.push(format!(") OR {key} IS NULL)"));
        }
        Some((None, id)) => {
            query.push(format!(" AND {key} IS NULL AND id {beyond} ")).push_bind(id);
        }
        None => {}
    }
    debug_assert!(matches!(page.sort, Sort::FinishedAsc | Sort::FinishedDesc));
    query.push(format!(" ORDER BY {key} {direction} NULLS LAST, id {direction} LIMIT ")).push_bind(page.limit);
}
