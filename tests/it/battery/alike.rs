//! Random requests, to SQLite and to Postgres: the same answer, byte for byte but for the ids.
//!
//! Differences that are meant to be: none. What is not compared: the ids themselves, the numbers of
//! the change log (on Postgres some are skipped), and what is made of them (cursors, entity tags).

use super::campaign::{Bounds, block_on, campaign};
use super::reference::{End, wrap};
use super::requests::{Call, calls};
use crate::support::bed::{BEGIN, raw};
use crate::support::http::{Answer, Service};
use crate::support::raw::Raw;
use errand::queue::Reported;
use errand::store::Beat;
use errand::task::{Outcome, Progress, Task, text};
use errand::types::{Level, LogLine};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Headers that are the same but for ids.
const HEADERS: &[&str] = &[
    "content-type",
    "content-disposition",
    "location",
    "idempotent-replayed",
    "retry-after",
    "allow",
    "cache-control",
];
/// Members that are each database's own.
const OWN: &[&str] = &["seq", "next", "next_cursor"];
/// Pages of a list that are followed.
const PAGES: usize = 100;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_requests_get_the_same_answers_on_both_databases() {
    let [sqlite, postgres] = Service::both_by_hand().await;
    let (mut ours, mut theirs) = (Side::new(sqlite).await, Side::new(postgres).await);
    let mut met: BTreeMap<String, u32> = BTreeMap::new();
    let bounds = Bounds::new(600, 60, 20_000);
    campaign("random requests", &bounds, &calls(), |calls| {
        block_on(async { tokio::join!(ours.clear(), theirs.clear()) });
        for call in calls {
            let (one, other) = block_on(async { tokio::join!(ours.make(&call), theirs.make(&call)) });
            if one != other {
                return Err(format!("{call:?}:\n  on SQLite   {one:#?}\n  on Postgres {other:#?}"));
            }
            let name = format!("{call:?}").split([' ', '(']).next().unwrap_or_default().to_owned();
            let status = one.first().map_or(0, |heard| heard.status);
            *met.entry(format!("{name} {status}")).or_default() += 1;
        }
        Ok(())
    });
    println!("random requests: {} in all: {met:?}", met.values().sum::<u32>());
    for kind in [
        "Submit 201",
        "Submit 200",
        "Submit 422",
        "List 200",
        "List 422",
        "Export 200",
        "Cancel 202",
        "Retry 200",
        "Judge 200",
    ] {
        assert!(met.contains_key(kind), "no {kind}: {met:?}");
    }
}

/// One database with a service over it.
struct Side {
    service: Service,
    raw: Raw,
    ids: Vec<String>,
    claimed: Vec<Task>,
}

/// An answer without what is each database's own.
#[derive(Debug, PartialEq)]
struct Heard {
    status: u16,
    headers: Vec<Option<String>>,
    body: String,
}

impl Side {
    async fn new(service: Service) -> Side {
        let raw = Raw::open(&service.url).await;
        Side { service, raw, ids: Vec::new(), claimed: Vec::new() }
    }

    async fn clear(&mut self) {
        self.raw.empty().await;
        let clock = self.service.queue.clock();
        clock.advance(BEGIN.0 - clock.now().0);
        (self.ids, self.claimed) = Default::default();
    }

    async fn make(&mut self, call: &Call) -> Vec<Heard> {
        let answer = match call {
            Call::Submit { body, key, dry } => {
                let key = key.map(|key| format!("key-{key}"));
                let path = if *dry { "/api/tasks/submit?dry_run=true" } else { "/api/tasks/submit" };
                self.send("POST", path, key.as_deref(), body).await
            }
            Call::Batch(bodies) => {
                let body = format!("{{\"tasks\": [{}]}}", bodies.join(", "));
                self.send("POST", "/api/tasks/batch", None, &body).await
            }
            Call::List(query) => return self.list(query).await,
            Call::Export(query) => {
                let query: Vec<_> =
                    query.iter().filter(|(name, _)| !["limit", "view"].contains(name)).cloned().collect();
                let format = if query.len() % 2 == 0 { "csv" } else { "ndjson" };
                self.get(&format!("/api/tasks/export?{}format={format}", encoded(&query))).await
            }
            Call::Get(task) => self.get(&self.path(*task, "")).await,
            Call::Below(task, what) => self.get(&self.path(*task, &format!("/{what}"))).await,
            Call::Cancel(task) => self.send("DELETE", &self.path(*task, ""), None, "").await,
            Call::Retry(task) => self.send("POST", &self.path(*task, "/retry"), None, "").await,
            Call::Judge(task, verdict, body) => {
                self.send("POST", &self.path(*task, &format!("/{verdict}")), None, body).await
            }
            Call::Approvals => return self.pages("/api/approvals?limit=2").await,
            Call::Clone(task, body) => self.send("POST", &self.path(*task, "/clone"), None, body).await,
            Call::CancelMany(body) => self.send("POST", "/api/tasks/cancel", None, body).await,
            Call::RetryMany(body) => self.send("POST", "/api/tasks/retry", None, body).await,
            Call::Changes(limit) => return self.changes(*limit).await,
            Call::Stats => self.get("/api/stats").await,
            _ => return vec![self.work(call).await],
        };
        self.learn(&answer.json);
        vec![self.plain(answer)]
    }

    /// A list, page after page.
    async fn list(&self, query: &[(&'static str, String)]) -> Vec<Heard> {
        self.pages(&format!("/api/tasks/?{}", encoded(query))).await
    }

    /// From this address on, page after page.
    async fn pages(&self, first: &str) -> Vec<Heard> {
        let (mut pages, mut cursor) = (Vec::new(), String::new());
        for _ in 0..PAGES {
            let answer = self.get(&format!("{first}{cursor}")).await;
            let next = answer.json["next_cursor"].as_str().map(|next| format!("&cursor={next}"));
            pages.push(self.plain(answer));
            match next {
                Some(next) => cursor = next,
                None => break,
            }
        }
        pages
    }

    /// The change log from its beginning, a few entries at a time.
    async fn changes(&self, limit: usize) -> Vec<Heard> {
        let (mut pages, mut after) = (Vec::new(), 0);
        for _ in 0..PAGES {
            let answer = self.get(&format!("/api/tasks/changes?after={after}&limit={limit}")).await;
            after = answer.json["next"].as_i64().unwrap_or_default();
            let more = answer.json["has_more"] == true;
            pages.push(self.plain(answer));
            if !more {
                break;
            }
        }
        pages
    }

    /// What a worker or the janitor does.
    async fn work(&mut self, call: &Call) -> Heard {
        let (queue, now) = (self.service.queue.clone(), self.service.queue.clock().now());
        let lease = |number: usize| wrap(number, self.claimed.len()).map(|place| &self.claimed[place]);
        let said = match call {
            Call::Claim(n, ahead) => {
                let tasks = queue.claim("tester", *n, &[], 30_000, *ahead).await.unwrap();
                let said = tasks.iter().map(|task| self.name(&task.id.to_string())).collect::<Vec<_>>().join(" ");
                self.claimed.extend(tasks);
                said
            }
            Call::Say(number, said) => {
                let Some(task) = lease(*number) else { return Heard::nothing() };
                let progress = Some(Progress::of(1, 3, Some(text::clip(said, 800)), 0.5));
                let lines = vec![LogLine { at: now, level: Level::Warn, message: text::clip(said, 8192) }];
                let beat = Beat { id: task.id, lease: task.lease.unwrap(), attempt: task.attempt, progress, lines };
                format!("{:?}", queue.beat(&[beat], 30_000).await.unwrap().first().map(|held| held.cancel_requested))
            }
            Call::Report(number, end, said) => {
                let Some(task) = lease(*number) else { return Heard::nothing() };
                match queue.report(task, task.lease.unwrap(), &outcome(*end, said)).await.unwrap() {
                    Reported::Written(task) => task.status.word().to_owned(),
                    Reported::Lost => "lost".to_owned(),
                }
            }
            Call::Rescue => queue.rescue().await.unwrap().to_string(),
            Call::Promote => format!("{:?}", queue.promote().await.unwrap()),
            Call::Clock(millis) => {
                queue.clock().advance(*millis);
                String::new()
            }
            call => panic!("{call:?} is a request"),
        };
        Heard { body: said, ..Heard::nothing() }
    }

    async fn get(&self, path: &str) -> Answer {
        self.service.call("GET", path, &[("x-request-id", "r")], "").await
    }

    async fn send(&self, method: &str, path: &str, key: Option<&str>, body: &str) -> Answer {
        let mut headers = vec![("x-request-id", "r"), ("x-client-id", "tester")];
        headers.extend((!body.is_empty()).then_some(("content-type", "application/json")));
        headers.extend(key.map(|key| ("idempotency-key", key)));
        self.service.call(method, path, &headers, body.to_owned()).await
    }

    /// Below a task; below none where there is none yet.
    fn path(&self, task: usize, rest: &str) -> String {
        let id = wrap(task, self.ids.len()).map_or("none", |place| &self.ids[place]);
        format!("/api/tasks/{id}{rest}")
    }

    /// Remembers the tasks that an answer tells of for the first time.
    fn learn(&mut self, body: &Value) {
        let tasks = body["tasks"].as_array().map(Vec::as_slice).unwrap_or_default();
        for id in [&body["id"]].into_iter().chain(tasks.iter().map(|task| &task["id"])) {
            if let Some(id) = id.as_str().filter(|id| !self.ids.iter().any(|known| known == id)) {
                self.ids.push(id.to_owned());
            }
        }
    }

    fn plain(&self, answer: Answer) -> Heard {
        let mut json = answer.json.clone();
        blank(&mut json);
        let body = match json {
            Value::Null => String::from_utf8_lossy(&answer.body).into_owned(),
            json => json.to_string(),
        };
        let header = |name: &&str| answer.headers.get(*name).map(|value| self.name(value.to_str().unwrap()));
        Heard { status: answer.status, headers: HEADERS.iter().map(header).collect(), body: self.name(&body) }
    }

    /// A text with places instead of ids.
    fn name(&self, text: &str) -> String {
        self.ids
            .iter()
            .enumerate()
            .fold(text.to_owned(), |text, (place, id)| text.replace(id, &format!("task-{place}")))
    }
}

impl Heard {
    fn nothing() -> Heard {
        Heard { status: 0, headers: Vec::new(), body: String::new() }
    }
}

fn blank(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for (name, member) in members.iter_mut() {
                match OWN.contains(&name.as_str()) {
                    true => *member = json!(member.is_null()),
                    false => blank(member),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(blank),
        _ => {}
    }
}

fn outcome(end: End, said: &str) -> Outcome {
    let said = text::clip(said, 8192);
    let failure = |retryable, retry_after_ms| Outcome::Failure {
        code: "broken".to_owned(),
        message: said.clone(),
        retryable,
        retry_after_ms,
    };
    match end {
        End::Success => Outcome::Success(raw(&serde_json::to_string(&said).unwrap()), Vec::new()),
        End::RetryAfter(wait) => failure(true, Some(wait)),
        End::Released => Outcome::Released,
        End::Cancelled => Outcome::Cancelled,
        End::Fatal | End::Retryable => failure(false, None),
    }
}

fn encoded(query: &[(&'static str, String)]) -> String {
    query.iter().map(|(name, value)| format!("{name}={}&", utf8_percent_encode(value, NON_ALPHANUMERIC))).collect()
}
