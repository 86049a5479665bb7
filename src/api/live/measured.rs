//! The frame of the topic `metrics`: how this node is doing, and how the tasks are that its listener may see.

use super::super::costs::CostsView;
use super::super::stats::{self, ByStatus, QuantilesView};
use super::super::{Api, to_json};
use crate::machine::Usage;
use crate::queue::present::{Going, Moment, PerSecond};
use crate::store::Submitter;
use crate::task::Time;
use serde::Serialize;
use std::collections::BTreeMap;

#[derive(Serialize)]
struct Frame<'a> {
    r#type: &'static str,
    at: Time,
    node: NodeView<'a>,
    tasks: Option<TasksView<'a>>,
}

/// The same for everybody: nothing in it is of an owner.
#[derive(Serialize)]
struct NodeView<'a> {
    id: &'a str,
    version: &'static str,
    uptime_seconds: u64,
    cores: usize,
    cpu_percent: Option<f64>,
    machine_cpu_percent: Option<f64>,
    rss_bytes: Option<u64>,
    memory_available_bytes: Option<u64>,
    memory_total_bytes: Option<u64>,
    disk_free_bytes: Option<u64>,
    disk_total_bytes: Option<u64>,
    received_bytes_per_second: Option<f64>,
    sent_bytes_per_second: Option<f64>,
    database_log_bytes: Option<u64>,
    sockets: usize,
    workers: usize,
    busy: usize,
}

#[derive(Serialize)]
struct TasksView<'a> {
    by_status: ByStatus,
    by_type: BTreeMap<&'a str, ByStatus>,
    by_queue: BTreeMap<&'a str, ByStatus>,
    #[serde(flatten)]
    all: GoingView,
    types: BTreeMap<&'a str, GoingView>,
    workers: Vec<WorkerView<'a>>,
    owners: Vec<OwnerView<'a>>,
    /// None but for admins.
    #[serde(skip_serializing_if = "Option::is_none")]
    clients: Option<Vec<ClientView<'a>>>,
    /// None while no type has a rate.
    costs: Option<CostsView<'a>>,
}

#[derive(Serialize)]
struct GoingView {
    per_second: Option<PerSecondView>,
    wait_ms: QuantilesView,
    run_ms: QuantilesView,
}

#[derive(Serialize)]
struct PerSecondView {
    submitted: f64,
    started: f64,
    succeeded: f64,
    failed: f64,
    cancelled: f64,
}

#[derive(Serialize)]
struct WorkerView<'a> {
    worker: &'a str,
    running: i64,
}

#[derive(Serialize)]
struct OwnerView<'a> {
    owner: &'a str,
    submitted_last_hour: i64,
}

#[derive(Serialize)]
struct ClientView<'a> {
    owner: &'a str,
    client_id: &'a str,
    /// Of the last 1,000 tasks of all owners.
    submitted_lately: i64,
}

/// The frame; without `tasks` while the database does not say.
pub fn frame(api: &Api, usage: &Usage, moment: Option<&Moment>) -> String {
    let (at, node, tasks) = (api.now(), node(api, usage), moment.map(|moment| tasks(api, moment)));
    to_json(&Frame { r#type: "metrics", at, node, tasks })
}

fn node<'a>(api: &'a Api, usage: &Usage) -> NodeView<'a> {
    NodeView {
        id: api.queue.node(),
        version: api.node.version,
        uptime_seconds: api.node.started.elapsed().as_secs(),
        cores: std::thread::available_parallelism().map_or(1, usize::from),
        cpu_percent: usage.cpu_percent.map(round),
        machine_cpu_percent: usage.machine_cpu_percent.map(round),
        rss_bytes: usage.rss_bytes,
        memory_available_bytes: usage.memory_available_bytes,
        memory_total_bytes: usage.memory_total_bytes,
        disk_free_bytes: usage.disk.map(|disk| disk.free),
        disk_total_bytes: usage.disk.map(|disk| disk.total),
        received_bytes_per_second: usage.received_per_second.map(f64::round),
        sent_bytes_per_second: usage.sent_per_second.map(f64::round),
        database_log_bytes: api.queue.store().log_bytes(),
        sockets: api.sockets(),
        workers: api.node.workers,
        busy: api.queue.busy(),
    }
}

fn tasks<'a>(api: &'a Api, moment: &'a Moment) -> TasksView<'a> {
    let worker = |(worker, running): &'a (String, i64)| WorkerView { worker, running: *running };
    let owner = |(owner, n): &'a (String, i64)| OwnerView { owner, submitted_last_hour: *n };
    let client = |submitter: &'a Submitter| ClientView {
        owner: &submitter.owner,
        client_id: &submitter.client_id,
        submitted_lately: submitter.n,
    };
    TasksView {
        by_status: stats::by_status(&moment.counts),
        by_type: stats::by_type(&moment.counts, api.queue.types()),
        by_queue: stats::group(&moment.counts, |count| &count.queue),
        all: GoingView::from(&moment.going),
        types: moment.types.iter().map(|(r#type, going)| (r#type.as_str(), GoingView::from(going))).collect(),
        workers: moment.workers.iter().map(worker).collect(),
        owners: moment.owners.iter().map(owner).collect(),
        clients: moment.submitters.as_ref().map(|submitters| submitters.iter().map(client).collect()),
        costs: moment.month.as_ref().map(|month| CostsView::of(month, &api.node.cost_per_hour)),
    }
}

impl From<&Going> for GoingView {
    fn from(going: &Going) -> GoingView {
        let per_second = going.per_second.map(|PerSecond { submitted, started, succeeded, failed, cancelled }| {
            let [submitted, started, succeeded, failed, cancelled] =
                [submitted, started, succeeded, failed, cancelled].map(round);
            PerSecondView { submitted, started, succeeded, failed, cancelled }
        });
        GoingView { per_second, wait_ms: going.wait_ms.into(), run_ms: going.run_ms.into() }
    }
}

/// To a tenth: what is told each second is read by people.
fn round(n: f64) -> f64 {
    (n * 10.0).round() / 10.0
}
