//! Sockets that stall, drop and come back at random while tasks run, at whichever node: each hears
//! all of its own, once and in order, and nothing else; what it knows in the end is what the database knows.

use super::campaign::is_long;
use crate::support::node::{Home, Node};
use crate::support::on_both_databases;
use crate::support::web_socket::{Came, WebSocket};
use rand::random_range;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::time::{Duration, Instant};
use tokio::time::{sleep, timeout};
use uuid::Uuid;

on_both_databases!(Place: every_socket_hears_all_of_its_own_and_nothing_else_however_often_it_goes);

const FLAGS: &[&str] = &["--workers", "4"];
const ADMIN: &str = "the-admins-key-0123456789";
/// Everybody else's; each has two clients.
const KEYS: [(&str, &str); 3] = [
    ("alice", "the-key-of-alice-0123456789"),
    ("bob", "the-key-of-bob-0123456789"),
    ("carol", "the-key-of-carol-0123456789"),
];
/// Tasks of one submit, and how far apart submits are.
const BATCH: usize = 3;
const APART: Duration = Duration::from_millis(300);
/// How long everything may take to end, and every socket to hear of it.
const PATIENCE: Duration = Duration::from_secs(90);

/// A database, and how many nodes it can have.
pub struct Place {
    home: Home,
    nodes: usize,
}

impl Place {
    pub async fn sqlite() -> Place {
        Place { home: Home::sqlite(), nodes: 1 }
    }

    pub async fn postgres() -> Place {
        Place { home: Home::postgres().await, nodes: 2 }
    }
}

async fn every_socket_hears_all_of_its_own_and_nothing_else_however_often_it_goes(place: Place) {
    let (sockets, time) = if is_long() { (1000, Duration::from_secs(600)) } else { (40, Duration::from_secs(12)) };
    let keys: Vec<String> = KEYS.iter().map(|(owner, key)| format!("submit:{owner}:{key}")).collect();
    let keys = format!("admin:ops:{ADMIN},{}", keys.join(","));
    let start = |_| {
        let mut command = place.home.command(FLAGS);
        command.env("ERRAND_API_KEYS", &keys);
        Node::start(command)
    };
    let nodes: Vec<Node> = (0..place.nodes).map(start).collect();
    let urls: Vec<String> = nodes.iter().map(|node| node.url.clone()).collect();
    let until = Instant::now() + time;
    let listeners: Vec<_> = (0..sockets)
        .map(|n| {
            let mut listener = Listener::new(n, urls.clone());
            tokio::spawn(async move {
                while Instant::now() < until {
                    listener.stay(until).await;
                }
                listener
            })
        })
        .collect();
    let submitted = submit(&nodes, until).await;
    let mut at_rest = Vec::with_capacity(sockets);
    for listener in listeners {
        at_rest.push(listener.await.unwrap());
    }
    let (log, rows) = (changes(&nodes[0]).await, rows(&nodes[0]).await);
    assert_eq!(rows.len(), submitted);
    let (mut heard, mut visits) = (0, 0);
    for listener in &mut at_rest {
        listener.hear_to_the_end(&log, &rows).await;
        heard += listener.heard.len();
        visits += listener.visits;
    }
    println!("{sockets} sockets came {visits} times and heard {heard} transitions of {submitted} tasks");
    assert!(heard > sockets && visits > sockets, "there was something to hear");
}

/// Tasks of all kinds, by every owner, until then. Answers how many, once all have ended.
async fn submit(nodes: &[Node], until: Instant) -> usize {
    let (mut submitted, mut doomed) = (0, Vec::new());
    while Instant::now() < until {
        let (owner, key) = KEYS[random_range(0..KEYS.len())];
        let node = &nodes[random_range(0..nodes.len())];
        let task = |_| {
            let (kind, params) = match random_range(0..10) {
                0 => ("demo", json!({ "duration": 1000, "steps": 5 })),
                1 => ("demo", json!({ "duration": 1000, "steps": 4, "fail_at": 2 })),
                2 => ("demo", json!({ "duration": 30_000, "steps": 100 })),
                _ => ("noop", json!({})),
            };
            json!({ "type": kind, "params": params, "client_id": client(owner, random_range(0..2)) })
        };
        let tasks: Vec<Value> = (0..BATCH).map(task).collect();
        let answer = call(node, key, "POST", "/api/tasks/batch", Some(&json!({ "tasks": tasks }))).await;
        submitted += BATCH;
        let long = answer["tasks"].as_array().unwrap().iter().filter(|task| task["params"]["duration"] == 30_000);
        doomed.extend(long.map(|task| task["id"].as_str().unwrap().to_owned()));
        // What would be long is cancelled, at whichever node.
        if doomed.len() > 1 {
            let path = format!("/api/tasks/{}", doomed.remove(0));
            call(&nodes[random_range(0..nodes.len())], ADMIN, "DELETE", &path, None).await;
        }
        sleep(APART).await;
    }
    for id in doomed {
        call(&nodes[0], ADMIN, "DELETE", &format!("/api/tasks/{id}"), None).await;
    }
    let until = Instant::now() + PATIENCE;
    loop {
        let open = call(&nodes[0], ADMIN, "GET", "/api/tasks?status=PENDING&status=RUNNING&limit=1", None).await;
        if open["tasks"] == json!([]) {
            return submitted;
        }
        assert!(Instant::now() < until, "still not at its end: {open}");
        sleep(Duration::from_millis(100)).await;
    }
}

fn client(owner: &str, n: usize) -> String {
    format!("{owner}-{n}")
}

/// Asks as clients are told to: again where the answer is 503, a POST by the same Idempotency-Key.
async fn call(node: &Node, key: &str, method: &str, path: &str, body: Option<&Value>) -> Value {
    let (once, until) = (Uuid::new_v4().to_string(), Instant::now() + PATIENCE);
    loop {
        let request = node.http.request(method.parse().unwrap(), format!("{}{path}", node.url)).bearer_auth(key);
        let request = if let Some(body) = body { request.json(body).header("idempotency-key", &once) } else { request };
        let answer = request.send().await.unwrap();
        // 409 to a POST: the first of its key is still on its way.
        let again = answer.status() == 503 || (body.is_some() && answer.status() == 409);
        if again && Instant::now() < until {
            sleep(Duration::from_millis(200)).await;
            continue;
        }
        // A cancel may come after the end.
        assert!(answer.status().is_success() || answer.status() == 409, "{method} {path}: {answer:?}");
        return answer.json().await.unwrap();
    }
}

/// The whole change log.
async fn changes(node: &Node) -> Vec<Value> {
    let (mut all, mut after) = (Vec::new(), json!(0));
    loop {
        let path = format!("/api/tasks/changes?limit=1000&after={after}");
        let mut page = call(node, ADMIN, "GET", &path, None).await;
        after = page["next"].take();
        all.append(page["changes"].as_array_mut().unwrap());
        if page["has_more"] == false {
            return all;
        }
    }
}

/// Every task.
async fn rows(node: &Node) -> Vec<Value> {
    let (mut all, mut cursor) = (Vec::new(), String::new());
    loop {
        let mut page = call(node, ADMIN, "GET", &format!("/api/tasks?limit=500{cursor}"), None).await;
        all.append(page["tasks"].as_array_mut().unwrap());
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return all,
        }
    }
}

/// A task's id, status and version.
fn stand(task: &Value) -> (String, (String, i64)) {
    let text = |name: &str| task[name].as_str().unwrap().to_owned();
    (text("id"), (text("status"), task["version"].as_i64().unwrap()))
}

/// One that listens, by one socket after another.
struct Listener {
    urls: Vec<String>,
    owner: &'static str,
    key: &'static str,
    /// Whose tasks it wants; all of its owner's where it says nothing.
    client: Option<String>,
    /// The number of each transition that it heard.
    heard: Vec<i64>,
    /// Each task's status and version, as it last heard of it.
    known: HashMap<String, (String, i64)>,
    visits: usize,
}

impl Listener {
    fn new(n: usize, urls: Vec<String>) -> Listener {
        let (owner, key) = KEYS[n % KEYS.len()];
        let client = (!n.is_multiple_of(4)).then(|| client(owner, n % 2));
        Listener { urls, owner, key, client, heard: Vec::new(), known: HashMap::new(), visits: 0 }
    }

    /// A socket that is told what it missed.
    async fn connect(&mut self) -> WebSocket {
        self.visits += 1;
        let address = self.urls[random_range(0..self.urls.len())].strip_prefix("http://").unwrap().parse().unwrap();
        let whose = self.client.as_ref().map_or("scope=owner".to_owned(), |client| format!("client_id={client}"));
        let path = format!("/ws?{whose}&after_seq={}", self.heard.last().unwrap_or(&0));
        let headers = format!("authorization: Bearer {}\r\n", self.key);
        let mut socket = WebSocket::try_open(address, &path, &headers).await.unwrap();
        let first = socket.said().await;
        assert_eq!((&first["type"], &first["owner"]), (&json!("connection"), &json!(self.owner)));
        socket
    }

    /// Comes, listens for a while, perhaps takes nothing for a while, and goes without a word.
    async fn stay(&mut self, until: Instant) {
        let mut socket = self.connect().await;
        let left = |most: u64| Duration::from_millis(random_range(0..most)).min(until - Instant::now().min(until));
        let mut goes = Instant::now() + left(12_000);
        while let Ok(Some(frame)) = timeout(goes - Instant::now().min(goes), next(&mut socket)).await {
            self.note(&frame);
            if random_range(0..50) == 0 {
                sleep(left(15_000)).await;
                goes = Instant::now() + left(2_000);
            }
        }
    }

    /// One frame: of its own, and later than what it heard.
    fn note(&mut self, frame: &Value) {
        let (kind, task) = (frame["type"].as_str().unwrap(), &frame["task"]);
        assert!(kind.starts_with("task"), "{frame}");
        assert_eq!(task["owner"], self.owner, "{frame}");
        assert!(self.client.as_ref().is_none_or(|client| task["client_id"] == client.as_str()), "{frame}");
        if frame["event"] == "progress" {
            return;
        }
        let seq = frame["seq"].as_i64().unwrap();
        assert!(self.heard.last().is_none_or(|last| *last < seq), "{seq} after {:?}", self.heard.last());
        self.heard.push(seq);
        self.known.extend([stand(task)]);
    }

    /// Listens until it has heard all there is for it.
    async fn hear_to_the_end(&mut self, log: &[Value], rows: &[Value]) {
        let (owner, client) = (self.owner, self.client.clone());
        let own = |task: &Value| {
            task["owner"] == owner && client.as_ref().is_none_or(|client| task["client_id"] == client.as_str())
        };
        let changes = log.iter().filter(|change| own(&change["task"]));
        let numbers: Vec<i64> = changes.map(|change| change["seq"].as_i64().unwrap()).collect();
        let until = Instant::now() + PATIENCE;
        let mut socket = self.connect().await;
        while self.heard.last() != numbers.last() {
            match timeout(until - Instant::now().min(until), next(&mut socket)).await {
                Ok(Some(frame)) => self.note(&frame),
                Ok(None) => socket = self.connect().await,
                Err(_) => panic!("it heard up to {:?} of {:?}", self.heard.last(), numbers.last()),
            }
        }
        assert!(self.heard == numbers, "not all, or more than that");
        let stands: HashMap<_, _> = rows.iter().filter(|task| own(task)).map(stand).collect();
        assert!(self.known == stands, "it knows otherwise");
    }
}

/// What is said next; `None` where it was cut: it took too long.
async fn next(socket: &mut WebSocket) -> Option<Value> {
    loop {
        match socket.come().await {
            Came::Said(frame) => return Some(frame),
            Came::Closed(_) => return None,
            _ => {}
        }
    }
}
