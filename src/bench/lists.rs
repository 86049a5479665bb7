//! The list behind a long history: each filter, order and place on its own, a few callers at once.

use super::http::{Server, get_json};
use super::{Measured, measured};
use crate::config::BenchArgs;
use crate::queue::Queue;
use crate::task::Time;
use std::time::Instant;

/// Callers at once: as many as people look at a time, not as many as would fill the machine.
const CALLERS: u64 = 2;
/// Requests of each kind at most.
const REQUESTS: u64 = 200;
/// How many pages behind the first one a deep page is.
const DEEP: usize = 40;

/// What is asked for, as the query behind `limit`.
const QUERIES: &[&str] = &[
    "",
    "sort=created_at",
    "sort=-finished_at",
    "sort=finished_at",
    "status=SUCCESS",
    "status=FAILED",
    "status=FAILED&sort=created_at",
    "status=FAILED&sort=-finished_at",
    "status=CANCELLED&sort=finished_at",
    "status=PENDING",
    "status=PENDING&sort=created_at",
    "status=RUNNING&sort=-finished_at",
    "status=PENDING&status=RUNNING&sort=finished_at",
    "type=noop",
    "type=demo&sort=created_at",
    "type=image_processing&sort=-finished_at",
    "type=missing",
    "type=missing&sort=finished_at",
    "queue=slow",
    "queue=rare",
    "queue=rare&sort=created_at",
    "queue=rare&sort=-finished_at",
    "queue=rare&status=FAILED",
    "queue=missing",
    "queue=slow&type=demo&status=CANCELLED",
    "queue=slow&type=demo&status=CANCELLED&sort=finished_at",
    "owner=default",
    "owner=missing",
    "client_id=client-7",
    "client_id=rare",
    "client_id=missing&sort=created_at",
    "tag=nightly",
    "tag=rare",
    "tag=missing&sort=-finished_at",
    "q=report",
    "q=needle",
    "q=missing",
    "q=missing&status=FAILED",
    "q=broke&status=FAILED&sort=created_at",
    "q=missing&sort=finished_at",
    "created_before=MIDDLE",
    "created_after=MIDDLE&sort=created_at",
    "created_before=MIDDLE&status=FAILED&sort=-finished_at",
    "created_before=BEGIN&sort=-finished_at",
    "DEEP",
    "status=FAILED&DEEP",
    "type=demo&sort=-finished_at&DEEP",
];

/// Each query as a line of its own.
pub async fn lists(queue: &Queue, args: &BenchArgs) -> Result<Vec<Measured>, String> {
    let server = Server::start(queue)?;
    let now = queue.clock().now();
    let middle = now.plus(-15 * 24 * 3_600_000);
    let mut all = Vec::new();
    for query in QUERIES {
        let query = query.replace("MIDDLE", &time(middle)).replace("BEGIN", &time(now.plus(-31 * 24 * 3_600_000)));
        let path = match query.strip_suffix("DEEP") {
            None => format!("/api/tasks/?limit=50&{query}"),
            Some(query) => deep(&server, query).await?,
        };
        let began = Instant::now();
        let latencies = server.ask(&path, args.tasks.min(REQUESTS), CALLERS).await?;
        let what = if query.is_empty() { "the newest 50".to_owned() } else { query };
        let requests = latencies.len() as u64;
        let (rows, more) = server.rows(&path).await?;
        let what = format!("GET /api/tasks/?{what}: {rows} rows{}", if more { " and more" } else { "" });
        all.push(measured("lists", what, requests, began.elapsed(), "one request", latencies));
    }
    server.end().await;
    Ok(all)
}

/// The address of a page far behind the first.
async fn deep(server: &Server, query: &str) -> Result<String, String> {
    let first = format!("/api/tasks/?{query}limit=500");
    let mut path = first.clone();
    for _ in 0..DEEP {
        match get_json(server, &path).await?["next_cursor"].as_str() {
            Some(cursor) => path = format!("{first}&cursor={cursor}"),
            None => break,
        }
    }
    Ok(path.replace("limit=500", "limit=50"))
}

fn time(time: Time) -> String {
    time.to_string().replace('+', "%2B")
}
