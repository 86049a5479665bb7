//! Clients that keep a record of what they asked for and what they were told.

use super::history::{History, Told};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// A client gives an answer up after this: a node may be stopped in the middle of it.
const PATIENCE: Duration = Duration::from_secs(8);
/// How often something is sent that may be sent again.
const TRIES: usize = 40;

/// What all clients of a run share.
pub struct Callers {
    pub urls: Vec<String>,
    pub history: History,
    acknowledged: Mutex<Vec<String>>,
    cancelled: Mutex<Vec<String>>,
    /// Answers that left open what was done.
    pub unknown: AtomicU64,
    /// First answers that were given again.
    pub replayed: AtomicU64,
    http: reqwest::Client,
}

/// What one request came to.
pub enum Answer {
    Ok(u16, Value),
    /// Surely not done, and worth another try: nobody there, or not now.
    NotNow(String),
    /// Nobody knows.
    Unknown(String),
}

impl std::fmt::Display for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Answer::Ok(status, body) => write!(f, "{status}: {body}"),
            Answer::NotNow(why) => write!(f, "not now: {why}"),
            Answer::Unknown(why) => write!(f, "unknown: {why}"),
        }
    }
}

impl Callers {
    pub fn new(urls: Vec<String>) -> Callers {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder().timeout(PATIENCE).build().unwrap();
        Callers {
            urls,
            history: History::default(),
            acknowledged: Mutex::default(),
            cancelled: Mutex::default(),
            unknown: AtomicU64::new(0),
            replayed: AtomicU64::new(0),
            http,
        }
    }

    /// How many submits were acknowledged.
    pub fn acknowledged(&self) -> usize {
        self.acknowledged.lock().unwrap().len()
    }

    /// One request to one node.
    pub async fn send(&self, url: &str, method: &str, path: &str, key: Option<&str>, body: Option<&Value>) -> Answer {
        let mut request = self.http.request(method.parse().unwrap(), format!("{url}{path}"));
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) if error.is_connect() => return Answer::NotNow(format!("{error:?}")),
            Err(error) => return Answer::Unknown(format!("{error:?}")),
        };
        let status = response.status().as_u16();
        let waits = response.headers().contains_key("retry-after");
        if response.headers().contains_key("idempotent-replayed") {
            self.replayed.fetch_add(1, Relaxed);
        }
        match response.json::<Value>().await {
            Ok(body) if status == 503 => {
                assert!(waits, "a 503 without retry-after: {body}");
                match body["code"].as_str() {
                    Some("starting" | "draining") => Answer::NotNow(body.to_string()),
                    _ => Answer::Unknown(body.to_string()),
                }
            }
            Ok(body) => {
                assert!(status < 500, "{status}: {body}");
                Answer::Ok(status, body)
            }
            Err(error) => Answer::Unknown(format!("{error:?}")),
        }
    }

    /// Submits tasks of these names as one request: to a node at random, with a key again and again
    /// until it is told, without one until it may have been heard.
    pub async fn submit(&self, draw: &mut StdRng, names: &[String], keyed: bool) {
        let tasks = names.iter().map(|name| task(draw, name)).collect();
        self.submit_these(draw, names, tasks, keyed).await;
    }

    /// Submits one task that takes a second or some, with a key.
    pub async fn submit_long(&self, draw: &mut StdRng, name: &str) {
        let params = json!({"duration": draw.random_range(1000..3000), "steps": 2});
        let task = json!({"type": "demo", "name": name, "params": params});
        self.submit_these(draw, &[name.to_owned()], vec![task], true).await;
    }

    /// Submits one task that does nothing, with a key.
    pub async fn submit_short(&self, draw: &mut StdRng, name: &str) {
        let task = json!({"type": "noop", "name": name, "params": {"n": 1}});
        self.submit_these(draw, &[name.to_owned()], vec![task], true).await;
    }

    async fn submit_these(&self, draw: &mut StdRng, names: &[String], tasks: Vec<Value>, keyed: bool) {
        let batch = names.len() > 1;
        for name in names {
            self.history.ask(name, batch.then_some(&names[0]));
        }
        let (path, body) = match batch {
            true => ("/api/tasks/batch", json!({ "tasks": tasks })),
            false => ("/api/tasks/submit", tasks[0].clone()),
        };
        let key = keyed.then(|| names[0].clone());
        let mut told = vec![Told::No; names.len()];
        for _ in 0..TRIES {
            let url = self.any(draw);
            match self.send(url, "POST", path, key.as_deref(), Some(&body)).await {
                Answer::Ok(200 | 201, body) => {
                    let one = [body.clone()];
                    let made = if batch { body["tasks"].as_array().unwrap().as_slice() } else { &one };
                    told = made.iter().map(|task| Told::Yes(task["id"].as_str().unwrap().to_owned())).collect();
                    break;
                }
                Answer::Ok(status, body) => panic!("{path} answered {status}: {body}"),
                Answer::NotNow(_) => {}
                Answer::Unknown(_) => {
                    self.unknown.fetch_add(1, Relaxed);
                    told = vec![Told::Unknown; names.len()];
                    if !keyed {
                        break;
                    }
                }
            }
            sleep(Duration::from_millis(draw.random_range(50..400))).await;
        }
        for (name, told) in names.iter().zip(told) {
            if let Told::Yes(id) = &told {
                self.acknowledged.lock().unwrap().push(id.clone());
            }
            self.history.told(name, told);
        }
    }

    /// Cancels some task of before, or retries one that was cancelled.
    async fn change(&self, draw: &mut StdRng, cancel: bool) {
        let from = if cancel { &self.acknowledged } else { &self.cancelled };
        let Some(id) = any_task(from, draw) else { return };
        let url = self.any(draw);
        let (method, path) = match cancel {
            true => ("DELETE", format!("/api/tasks/{id}")),
            false => ("POST", format!("/api/tasks/{id}/retry")),
        };
        match self.send(url, method, &path, None, None).await {
            Answer::Ok(200 | 202, task) if cancel => {
                if task["status"] == "CANCELLED" {
                    self.history.cancelled(&id);
                }
                self.cancelled.lock().unwrap().push(id);
            }
            Answer::Ok(200, _) => self.history.retried(&id),
            Answer::Ok(409, _) | Answer::NotNow(_) | Answer::Unknown(_) => {}
            Answer::Ok(status, body) => panic!("{method} {path} answered {status}: {body}"),
        }
    }

    fn any(&self, draw: &mut StdRng) -> &str {
        &self.urls[draw.random_range(0..self.urls.len())]
    }

    /// The whole change log, from this node.
    pub async fn changes(&self, url: &str) -> Vec<Value> {
        let (mut all, mut after) = (Vec::new(), 0);
        loop {
            let path = format!("/api/tasks/changes?limit=1000&after={after}");
            let Answer::Ok(200, page) = self.send(url, "GET", &path, None, None).await else {
                panic!("the change log cannot be read")
            };
            all.extend(page["changes"].as_array().unwrap().iter().cloned());
            after = page["next"].as_i64().unwrap();
            if page["has_more"] == false {
                return all;
            }
        }
    }
}

/// One client, until told to stop: submits of one and of many, with and without a key, cancels, retries.
pub async fn call(callers: Arc<Callers>, seed: u64, number: u64, stop: CancellationToken) {
    let mut draw = StdRng::seed_from_u64(seed.wrapping_add(number));
    let mut turn = 0;
    while !stop.is_cancelled() {
        turn += 1;
        let name = format!("{number}-{turn}");
        let keyed = draw.random_bool(0.5);
        match draw.random_range(0..100) {
            0..70 => callers.submit(&mut draw, &[name], keyed).await,
            70..76 => {
                let names: Vec<String> = (0..10).map(|row| format!("{name}-{row}")).collect();
                callers.submit(&mut draw, &names, keyed).await;
            }
            76..90 => callers.change(&mut draw, true).await,
            _ => callers.change(&mut draw, false).await,
        }
        let pause = Duration::from_millis(draw.random_range(50..350));
        stop.run_until_cancelled(sleep(pause)).await;
    }
}

/// One of the last of these: they have something before them.
fn any_task(from: &Mutex<Vec<String>>, draw: &mut StdRng) -> Option<String> {
    let from = from.lock().unwrap();
    let last = from.len().min(60);
    (last > 0).then(|| from[from.len() - 1 - draw.random_range(0..last)].clone())
}

/// Mostly short, some of a second or two, a few that fail once and then for good.
fn task(draw: &mut StdRng, name: &str) -> Value {
    match draw.random_range(0..100) {
        0..90 => json!({"type": "noop", "name": name, "params": {"n": 1}}),
        90..98 => {
            let duration = draw.random_range(1000..4000);
            json!({"type": "demo", "name": name, "params": {"duration": duration, "steps": 4}})
        }
        _ => json!({
            "type": "demo", "name": name, "params": {"duration": 1000, "steps": 2, "fail_at": 1},
            "max_attempts": 2, "backoff": {"base_seconds": 1},
        }),
    }
}
