//! The live stream over real connections: sockets and Server-Sent Events.

mod approvals; // what waits for an approval, and what becomes of it
mod bounds; // what no socket may do, and what none can do to the others
mod entries; // who did what, as it is written down
mod events; // Server-Sent Events
mod hostile; // the list of bad inputs, section J
mod metrics; // how node and tasks are doing, once a second
mod missed; // replay: nothing missing, nothing twice
mod nodes; // another node, and the end of one
mod noticed; // notifications, and what is marked of them
mod signed; // who is at a socket, and until when
mod tickets; // what stands for a key in an address, once
mod told; // who is told what

use crate::support::bed::DatabaseUrl;
use crate::support::http::{Service, node};
use crate::support::web_socket::WebSocket;
use errand::api::server::{listen, serve};
use errand::api::{Api, Bounds, NodeInfo, RateSettings, Router};
use errand::queue::Queue;
use errand::queue::keys::Keys;
use serde_json::{Value, json};
use std::net::SocketAddr;
use tokio_util::sync::CancellationToken;

/// A service behind a socket of its own.
pub struct Live {
    pub service: Service,
    pub address: SocketAddr,
}

impl Live {
    pub async fn sqlite() -> Live {
        Live::within(Service::sqlite().await, Bounds::default())
    }

    pub async fn postgres() -> Live {
        Live::within(Service::postgres().await, Bounds::default())
    }

    /// With bounds that a test need not wait long for.
    pub fn within(mut service: Service, bounds: Bounds) -> Live {
        let address;
        (service.router, address) = served(&service.queue, &service.keys, bounds, service.stop.clone());
        Live { service, address }
    }

    /// Where no key may send more than this.
    pub fn limited(self, rates: RateSettings) -> Live {
        self.with_node(NodeInfo { rates, ..node() })
    }

    /// The same node with other settings.
    pub fn with_node(self, node: NodeInfo) -> Live {
        let service = self.service.with_node(node);
        let address = listening(service.router.clone(), service.stop.clone());
        Live { service, address }
    }

    pub async fn open(&self, path: &str) -> WebSocket {
        WebSocket::open(self.address, path).await
    }

    /// An open socket, and its id.
    pub async fn connected(&self, path: &str) -> (WebSocket, String) {
        let mut socket = self.open(path).await;
        let first = socket.said().await;
        assert_eq!(first["type"], "connection");
        (socket, first["socket_id"].as_str().unwrap().to_owned())
    }

    /// Submits a noop of this client; its id.
    pub async fn submit(&self, client: &str) -> String {
        self.service.submit(json!({ "type": "noop", "client_id": client })).await
    }

    /// How many sockets are open at this node.
    pub async fn sockets(&self) -> u64 {
        self.service.get("/api/task/status").await.ok()["sockets"].as_u64().unwrap()
    }

    /// The change log behind this number, as `seq event id`.
    pub async fn logged(&self, after: i64) -> Vec<String> {
        let (mut all, mut next) = (Vec::new(), after);
        loop {
            let page = self.service.get(&format!("/api/tasks/changes?after={next}&limit=1000")).await.ok();
            let lines = page["changes"].as_array().unwrap().iter();
            all.extend(lines.map(|line| in_short(&line["seq"], &line["event"], &line["task"])));
            next = page["next"].as_i64().unwrap();
            if page["has_more"] == false {
                return all;
            }
        }
    }
}

/// Serves a node's door on an address of its own.
pub fn served(queue: &Queue, keys: &Keys, bounds: Bounds, stop: CancellationToken) -> (Router, SocketAddr) {
    let router = errand::api::router(Api::bounded(queue.clone(), keys.clone(), node(), stop.clone(), bounds));
    let address = listening(router.clone(), stop);
    (router, address)
}

fn listening(router: Router, stop: CancellationToken) -> SocketAddr {
    let listener = listen("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    let (_, routers) = tokio::sync::watch::channel(router);
    tokio::spawn(serve(listener, routers, stop));
    address
}

/// Another node on the same database, where there can be one.
pub async fn elsewhere(service: &Service) -> Queue {
    match &service.url {
        DatabaseUrl::Sqlite(_) => service.queue.clone(),
        url => {
            let (queue, store) = (&service.queue, crate::support::bed::open(url).await);
            let types = errand::types::Types::builtin();
            Queue::open(store, queue.clock().clone(), types, queue.file_store().clone())
        }
    }
}

/// Fails where they first differ.
#[track_caller]
pub fn same(told: &[String], logged: &[String]) {
    let differ = told.iter().zip(logged).position(|(told, logged)| told != logged);
    assert_eq!(differ.map(|at| (&told[at], &logged[at])), None);
    assert_eq!(told.len(), logged.len());
}

/// A transition, as `seq event id`.
pub fn in_short(seq: &Value, event: &Value, task: &Value) -> String {
    format!("{seq} {} {}", event.as_str().unwrap(), task["id"].as_str().unwrap())
}

/// The same of a frame; `None` where it is no transition.
pub fn transition(frame: &Value) -> Option<String> {
    let is_one = frame["task"].is_object() && frame["event"].as_str().is_some_and(|event| event != "progress");
    is_one.then(|| in_short(&frame["seq"], &frame["event"], &frame["task"]))
}
