//! Who did what, as the database keeps it, and the statements that look for it: composed from fixed pieces
//! and bound parameters, like those of the list, and as bounded.

use super::list::{Dialect, Statement, Value, first_id};
use super::{Error, Result};
use crate::task::{Activity, ActivityFilter, Scope, Time};
use async_trait::async_trait;
use uuid::Uuid;

/// Where entries are written down.
#[async_trait]
pub trait ActivityLog: Send + Sync {
    /// Writes entries down. Said again, because the first answer was lost, they stand there once.
    async fn add_activity(&self, entries: &[Activity]) -> Result<()>;
}

/// What the database does with entries. None is ever changed: the schema refuses it.
#[async_trait]
pub trait ActivityStore: ActivityLog {
    /// Entries that the filter names, newest first, found by looking at no more than the page's span.
    async fn activity(&self, scope: &Scope, filter: &ActivityFilter, page: &ActivityPage) -> Result<ActivityPiece>;

    /// Deletes at most `limit` of the oldest entries from before this time; answers how many. The one that was written last
    /// stays: numbers count on from it.
    async fn prune_activity(&self, before: Time, limit: i64) -> Result<i64>;

    /// Entries, of whomever, in the order in which they were written down: those behind this number, at most `limit`. Numbers
    /// rise in commit order, so none turns up later that lies behind one that was read; some may be skipped.
    async fn written_activity(&self, after: i64, limit: i64) -> Result<Vec<Numbered>>;

    /// The number of the entry that was written last; 0 where there is none.
    async fn activity_end(&self) -> Result<i64>;

    /// The number of this entry, if there is one within the scope; 0 where it was written before there were numbers.
    async fn activity_number(&self, scope: &Scope, id: Uuid) -> Result<Option<i64>>;
}

/// An entry, and where it stands in the order in which they were written down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Numbered {
    /// Its number.
    pub seq: i64,
    /// The entry.
    pub entry: Activity,
}

/// Which piece is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ActivityPage {
    /// Behind this entry, which is older than all before it.
    pub after: Option<Uuid>,
    /// At most so many.
    pub limit: i64,
    /// Entries to look at, matches or not.
    pub span: i64,
}

/// Entries, newest first.
#[derive(Debug, Clone, Default)]
pub struct ActivityPiece {
    /// The entries.
    pub entries: Vec<Activity>,
    /// Where to go on; `None` at the end.
    pub next: Option<Uuid>,
}

/// A row.
#[derive(Debug, sqlx::FromRow)]
pub(super) struct ActivityRow {
    pub id: Uuid,
    pub at: i64,
    pub node: String,
    pub action: String,
    pub outcome: String,
    pub status: Option<i64>,
    pub code: Option<String>,
    pub owner: Option<String>,
    pub key_id: Option<String>,
    pub client_id: Option<String>,
    pub address: Option<String>,
    pub request_id: Option<String>,
    pub route: Option<String>,
    pub target: Option<String>,
    pub count: i64,
    pub detail: Option<String>,
    pub seq: Option<i64>,
}

const COLUMNS: &str = "id, at, node, action, outcome, status, code, owner, key_id, client_id, address, request_id, route, \
     target, count, detail, seq";

/// What a search looks into.
const SEARCHED: [&str; 11] = [
    "action",
    "outcome",
    "coalesce(code, '')",
    "coalesce(owner, '')",
    "coalesce(key_id, '')",
    "coalesce(client_id, '')",
    "coalesce(address, '')",
    "coalesce(request_id, '')",
    "coalesce(route, '')",
    "coalesce(target, '')",
    "coalesce(detail, '')",
];

/// The entry that is the last to be looked at for this page; none where there are fewer.
pub fn edge(dialect: &Dialect, scope: &Scope, filter: &ActivityFilter, page: &ActivityPage) -> Statement {
    let mut query = Statement::new(dialect);
    query.push("SELECT id FROM ");
    path(&mut query, dialect, scope, filter, page.after);
    query.push(&format!(" ORDER BY id DESC LIMIT 1 OFFSET {}", page.span - 1));
    query
}

/// The entries of a page, none behind `edge`. [`ActivityRow`]s.
pub fn entries(
    dialect: &Dialect,
    scope: &Scope,
    filter: &ActivityFilter,
    page: &ActivityPage,
    edge: Option<Uuid>,
) -> Statement {
    let mut query = Statement::new(dialect);
    query.push(&format!("SELECT {COLUMNS} FROM "));
    path(&mut query, dialect, scope, filter, page.after);
    if let Some(edge) = edge {
        query.push(" AND id >= ").bind(Value::Id(edge));
    }
    for (column, words) in
        [("category", &filter.categories), ("action", &filter.actions), ("outcome", &filter.outcomes)]
    {
        for (n, word) in words.iter().enumerate() {
            query.push(if n == 0 { " AND " } else { " OR " }).push(if n == 0 { "(" } else { "" });
            query.push(column).push(" = ").bind(Value::Text(word.clone()));
        }
        query.push(if words.is_empty() { "" } else { ")" });
    }
    let equal = [
        ("key_id", &filter.key_id),
        ("client_id", &filter.client_id),
        ("request_id", &filter.request_id),
        ("target", &filter.target),
    ];
    for (column, value) in equal {
        if let Some(value) = value {
            query.push(&format!(" AND {column} = ")).bind(Value::Text(value.clone()));
        }
    }
    for word in &filter.words {
        let [before, between, after] = dialect.holds;
        query.push(" AND (false");
        for column in SEARCHED {
            let word = Value::Text(word.to_ascii_lowercase());
            query.push(" OR ").push(before).push(column).push(between).bind(word).push(after);
        }
        query.push(")");
    }
    query.push(&format!(" ORDER BY id DESC LIMIT {}", page.limit));
    query
}

/// The entries of whom it may be, from the page's place on: one index has them in their order.
fn path(query: &mut Statement, dialect: &Dialect, scope: &Scope, filter: &ActivityFilter, after: Option<Uuid>) {
    let owners: Vec<&str> = [scope.owner(), filter.owner.as_deref()].into_iter().flatten().collect();
    query.push("activity");
    if let Some(by) = dialect.read_by.filter(|_| !owners.is_empty()) {
        query.push(&format!(" {by} activity_owner"));
    }
    query.push(" WHERE true");
    for owner in owners {
        query.push(" AND owner = ").bind(Value::Text(owner.to_owned()));
    }
    match (after, filter.until) {
        // It lies before that.
        (Some(after), _) => drop(query.push(" AND id < ").bind(Value::Id(after))),
        (None, Some(until)) => drop(query.push(" AND id < ").bind(Value::Id(first_id(until)))),
        (None, None) => {}
    }
    if let Some(since) = filter.since {
        query.push(" AND id >= ").bind(Value::Id(first_id(since)));
    }
}

/// What was found; `edge` is what [`edge`] gave.
pub fn found(rows: Vec<ActivityRow>, page: &ActivityPage, edge: Option<Uuid>) -> ActivityPiece {
    let full = rows.len() as i64 >= page.limit;
    let entries: Vec<Activity> = rows.into_iter().map(ActivityRow::activity).collect();
    let next = if full { entries.last().map(|last| last.id) } else { edge };
    ActivityPiece { entries, next }
}

/// Entries as one parameter: a JSON list of rows. Those that are written together are numbered by their time.
pub fn rows_json(entries: &[Activity]) -> Result<String> {
    let mut entries: Vec<&Activity> = entries.iter().collect();
    entries.sort_by_key(|entry| entry.id);
    let row = |entry: &Activity| {
        serde_json::json!({
            "id": entry.id.simple().to_string(), "at": entry.at.0, "node": entry.node, "category": entry.category(), "action": entry.action,
            "outcome": entry.outcome, "status": entry.status, "code": entry.code, "owner": entry.owner,
            "key_id": entry.key_id, "client_id": entry.client_id, "address": entry.address,
            "request_id": entry.request_id, "route": entry.route, "target": entry.target, "count": entry.count,
            "detail": entry.detail,
        })
    };
    serde_json::to_string(&entries.into_iter().map(row).collect::<Vec<_>>())
        .map_err(|error| Error::Internal(error.to_string()))
}

impl ActivityRow {
    /// With its number.
    pub fn numbered(self) -> Numbered {
        Numbered { seq: self.seq.unwrap_or_default(), entry: self.activity() }
    }

    fn activity(self) -> Activity {
        Activity {
            id: self.id,
            at: Time(self.at),
            node: self.node,
            action: self.action,
            outcome: self.outcome,
            status: self.status,
            code: self.code,
            owner: self.owner,
            key_id: self.key_id,
            client_id: self.client_id,
            address: self.address,
            request_id: self.request_id,
            route: self.route,
            target: self.target,
            count: self.count,
            detail: self.detail,
        }
    }
}
