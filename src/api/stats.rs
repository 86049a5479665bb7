//! Numbers: counts, pace and charts as JSON, and the same for Prometheus.

use super::caller::Caller;
use super::problem::{Body as ProblemBody, Code, Result};
use super::query::Query;
use super::{Api, json_response, to_json};
use crate::queue::{Point, Quantiles, Series, Stats};
use crate::store::Count;
use crate::task::{Scope, Status, Time};
use crate::types::Types;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, Uri, header};
use axum::response::Response;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::atomic::Ordering;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Charts reach back this many minutes: 7 days.
const MAX_MINUTES: i64 = 7 * 24 * 60;
/// The windows that have a name, in minutes.
const WINDOWS: [(&str, i64); 3] = [("1h", 60), ("24h", 24 * 60), ("7d", MAX_MINUTES)];

/// The routes that answer JSON.
pub fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(stats)).routes(routes!(timeseries))
}

/// The route that answers text.
pub fn metrics_router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(metrics))
}

/// How many tasks stand in each of the five states.
pub type ByStatus = BTreeMap<&'static str, i64>;

/// Counts, pace, waits and durations.
#[derive(Serialize, ToSchema)]
#[schema(as = Stats)]
struct StatsView<'a> {
    /// All five, always.
    #[schema(value_type = std::collections::BTreeMap<String, i64>)]
    by_status: ByStatus,
    /// Every known type, all five.
    #[schema(value_type = std::collections::BTreeMap<String, std::collections::BTreeMap<String, i64>>)]
    by_type: BTreeMap<&'a str, ByStatus>,
    #[schema(value_type = std::collections::BTreeMap<String, std::collections::BTreeMap<String, i64>>)]
    by_queue: BTreeMap<&'a str, ByStatus>,
    throughput: Throughput,
    /// From due to started, in milliseconds, of the last hour.
    wait_ms: QuantilesView,
    /// From started to ended, in milliseconds, of the last hour.
    run_ms: QuantilesView,
}

/// How much goes in and comes out.
#[derive(Serialize, ToSchema)]
struct Throughput {
    /// Over the last whole minute.
    submitted_per_second: f64,
    /// Over the last whole minute.
    finished_per_second: f64,
    submitted_last_hour: i64,
    finished_last_hour: i64,
}

/// Percentiles; null while there is nothing to say.
#[derive(Serialize, ToSchema)]
#[schema(as = Quantiles)]
pub struct QuantilesView {
    p50: Option<f64>,
    p95: Option<f64>,
    p99: Option<f64>,
}

impl From<Quantiles> for QuantilesView {
    fn from(Quantiles { p50, p95, p99 }: Quantiles) -> QuantilesView {
        QuantilesView { p50, p95, p99 }
    }
}

/// Adds counts up under the key of each; all five states are always there.
pub fn group<'a>(counts: &'a [Count], key: impl Fn(&'a Count) -> &'a str) -> BTreeMap<&'a str, ByStatus> {
    let mut groups: BTreeMap<&str, ByStatus> = BTreeMap::new();
    for count in counts {
        *groups.entry(key(count)).or_insert_with(none).entry(count.status.word()).or_default() += count.n;
    }
    groups
}

fn none() -> ByStatus {
    Status::ALL.into_iter().map(|status| (status.word(), 0)).collect()
}

/// How many tasks stand in each state.
pub fn by_status(counts: &[Count]) -> ByStatus {
    group(counts, |_| "").remove("").unwrap_or_else(none)
}

/// How many tasks of each type stand in each state, also of known types that have none.
pub fn by_type<'a>(counts: &'a [Count], types: &'a Types) -> BTreeMap<&'a str, ByStatus> {
    let mut by_type = group(counts, |count| &count.r#type);
    for entry in types.iter() {
        by_type.entry(entry.r#type.name()).or_insert_with(none);
    }
    by_type
}

/// Exact counts, without counting rows; pace and percentiles from the kept minutes.
#[utoipa::path(
    get, path = "/api/stats", tag = "service",
    params(
        ("owner" = Option<String>, Query, max_length = 100, description = "Only that one's; of those that the caller may see"),
    ),
    responses(
        (status = 200, description = "The numbers", body = StatsView),
        (status = "default", description = "An error", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn stats(State(api): State<Api>, caller: Caller, uri: Uri) -> Result<Response> {
    let mut query = Query::of(&uri, Code::InvalidRequest)?;
    let scope = caller.scope_of(&mut query);
    query.done()?;
    let Stats { counts, per_second, last_hour, wait_ms, run_ms } = api.queue.stats(&scope).await?;
    let view = StatsView {
        by_status: by_status(&counts),
        by_type: by_type(&counts, api.queue.types()),
        by_queue: group(&counts, |count| &count.queue),
        throughput: Throughput {
            submitted_per_second: per_second.submitted,
            finished_per_second: per_second.finished,
            submitted_last_hour: last_hour.submitted as i64,
            finished_last_hour: last_hour.finished as i64,
        },
        wait_ms: wait_ms.into(),
        run_ms: run_ms.into(),
    };
    Ok(json_response(StatusCode::OK, Body::from(to_json(&view))))
}

/// A chart.
#[derive(Serialize, ToSchema)]
#[schema(as = Series)]
struct SeriesView {
    /// How much each point sums.
    step_seconds: i64,
    /// At most 500, in order and without a gap; the last one is not over yet.
    points: Vec<PointView>,
    /// From due to started, in milliseconds, in all of that time.
    wait_ms: QuantilesView,
    /// From started to ended, in milliseconds, in all of that time.
    run_ms: QuantilesView,
}

/// What happened in one step.
#[derive(Serialize, ToSchema)]
#[schema(as = Point)]
struct PointView {
    /// When the step begins.
    #[schema(value_type = String, format = DateTime)]
    at: Time,
    submitted: i64,
    started: i64,
    succeeded: i64,
    failed: i64,
    cancelled: i64,
    /// From due to started, of attempts that began in it; null if none did.
    wait_ms: Option<QuantilesView>,
    /// From started to ended, of attempts that were the task's last and ended in it by themselves; null if none did.
    run_ms: Option<QuantilesView>,
}

impl From<Point> for PointView {
    fn from(Point { at, sums, wait_ms, run_ms }: Point) -> PointView {
        let some = |quantiles: Quantiles| quantiles.p50.map(|_| quantiles.into());
        PointView {
            at,
            submitted: sums.submitted,
            started: sums.started,
            succeeded: sums.succeeded,
            failed: sums.failed,
            cancelled: sums.cancelled,
            wait_ms: some(wait_ms),
            run_ms: some(run_ms),
        }
    }
}

/// What happened lately, for charts: at most 500 points, up to 8 hours by the minute, else by quarters of an hour or a multiple.
#[utoipa::path(
    get, path = "/api/stats/timeseries", tag = "service",
    params(
        ("owner" = Option<String>, Query, max_length = 100, description = "Only that one's; of those that the caller may see"),
        ("window" = Option<String>, Query, description = "`1h` (default), `24h` or `7d`"),
        ("minutes" = Option<i64>, Query, minimum = 1, maximum = 10080, description = "Instead of a window"),
    ),
    responses(
        (status = 200, description = "The points", body = SeriesView),
        (status = "default", description = "An error", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn timeseries(State(api): State<Api>, caller: Caller, uri: Uri) -> Result<Response> {
    let mut query = Query::of(&uri, Code::InvalidRequest)?;
    let window = query.read("window", "must be 1h, 24h or 7d", |word| {
        WINDOWS.into_iter().find(|(known, _)| *known == word).map(|(_, minutes)| minutes)
    });
    let scope = caller.scope_of(&mut query);
    let minutes = query.integer("minutes", 1..=MAX_MINUTES);
    if window.is_some() && minutes.is_some() {
        query.fail("minutes", "cannot stand beside window");
    }
    query.done()?;
    let window = minutes.or(window).unwrap_or(60);
    let Series { step_minutes, points, wait_ms, run_ms } = api.queue.timeseries(&scope, window).await?;
    let points = points.into_iter().map(PointView::from).collect();
    let view = SeriesView { step_seconds: step_minutes * 60, points, wait_ms: wait_ms.into(), run_ms: run_ms.into() };
    Ok(json_response(StatusCode::OK, Body::from(to_json(&view))))
}

/// Numbers for Prometheus. No label names an id or an owner.
#[utoipa::path(
    get, path = "/metrics", tag = "service",
    responses(
        (status = 200, description = "The numbers", content_type = "text/plain"),
        (status = "default", description = "An error", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn metrics(State(api): State<Api>, _caller: Caller) -> Result<Response> {
    let stats = api.queue.stats(&Scope::Everyone).await?;
    let mut response = Response::new(Body::from(exposition(&stats, &api)));
    let media = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, media);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

fn exposition(stats: &Stats, api: &Api) -> String {
    let mut text = String::new();
    let mut metric = |name: &str, help: &str, samples: Vec<(String, f64)>| {
        let kind = if name.ends_with("_total") { "counter" } else { "gauge" };
        let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
        for (labels, value) in samples {
            let _ = writeln!(text, "{name}{labels} {value}");
        }
    };
    let one = |value: f64| vec![(String::new(), value)];
    let counts = by_status(&stats.counts).into_iter();
    let counts = counts.map(|(status, n)| (format!("{{status=\"{status}\"}}"), n as f64)).collect();
    metric("errand_tasks", "Tasks by status.", counts);
    let in_seconds = |quantiles: &Quantiles| {
        let all = [("0.5", quantiles.p50), ("0.95", quantiles.p95), ("0.99", quantiles.p99)];
        all.into_iter().filter_map(|(q, ms)| Some((format!("{{quantile=\"{q}\"}}"), ms? / 1000.0))).collect()
    };
    metric("errand_task_wait_seconds", "From due to started, last hour.", in_seconds(&stats.wait_ms));
    metric("errand_task_run_seconds", "From started to ended, last hour.", in_seconds(&stats.run_ms));
    metric("errand_tasks_submitted_per_second", "Over the last whole minute.", one(stats.per_second.submitted));
    metric("errand_tasks_finished_per_second", "Over the last whole minute.", one(stats.per_second.finished));
    metric("errand_workers", "Tasks this node runs at once.", one(api.node.workers as f64));
    let fenced = one(api.queue.fenced() as f64);
    metric("errand_fenced_writes_total", "Writes of attempts refused because their lease was lost.", fenced);
    let dropped = one(api.node.log_lines_dropped.load(Ordering::Relaxed) as f64);
    metric("errand_log_lines_dropped_total", "Lines of this node's log that nobody took in time.", dropped);
    let dropped = one(api.queue.journal().dropped() as f64);
    metric("errand_activity_dropped_total", "Entries of who did what that this node could not keep.", dropped);
    metric("errand_sockets", "Open sockets of this node.", one(api.sockets() as f64));
    metric("errand_uptime_seconds", "Since this node started.", one(api.node.started.elapsed().as_secs_f64().floor()));
    if let Some(bytes) = api.queue.store().log_bytes() {
        metric(
            "errand_sqlite_wal_bytes",
            "SQLite's write-ahead log; it cannot shrink while a reader holds on.",
            one(bytes as f64),
        );
    }
    metric("errand_build_info", "This node's version.", vec![(format!("{{version=\"{}\"}}", api.node.version), 1.0)]);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_always_have_all_five_states() {
        let count = |queue: &str, status, n| Count { queue: queue.to_owned(), r#type: "noop".to_owned(), status, n };
        let counts = [count("a", Status::Failed, 2), count("b", Status::Failed, 3)];
        let queues = group(&counts, |count| &count.queue);
        assert_eq!((queues["a"].len(), queues["a"]["FAILED"], queues["b"]["FAILED"]), (5, 2, 3));
        assert_eq!((by_status(&counts)["FAILED"], by_status(&[]).len()), (5, 5));
    }
}
