//! What clients asked for and what they were told, and the check of a change log against it. The
//! clients' own record is the oracle; the database is never asked about itself.

use serde_json::Value;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Mutex;

/// What a client was told about a submit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// It is on disk, under this id.
    Yes(String),
    /// It was refused: it must not exist.
    No,
    /// Nobody said: it may or may not exist, once.
    Unknown,
}

struct Asked {
    told: Told,
    /// Which batch it belongs to: there it is all or none.
    batch: Option<String>,
}

/// The record. Every task has a name of its own.
#[derive(Default)]
pub struct History {
    asked: Mutex<HashMap<String, Asked>>,
    cancelled: Mutex<HashSet<String>>,
    retried: Mutex<HashSet<String>>,
}

/// What came out.
#[derive(Debug, Default)]
pub struct Verdict {
    /// Every broken promise, in a sentence.
    pub broken: Vec<String>,
    /// How often each event happened, and each kind of answer was given.
    pub seen: BTreeMap<String, u64>,
}

impl History {
    /// Before a submit is sent.
    pub fn ask(&self, name: &str, batch: Option<&str>) {
        let asked = Asked { told: Told::Unknown, batch: batch.map(str::to_owned) };
        self.asked.lock().unwrap().insert(name.to_owned(), asked);
    }

    /// After it was answered, or not.
    pub fn told(&self, name: &str, told: Told) {
        self.asked.lock().unwrap().get_mut(name).unwrap().told = told;
    }

    /// A caller was told that this task is `CANCELLED`.
    pub fn cancelled(&self, id: &str) {
        self.cancelled.lock().unwrap().insert(id.to_owned());
    }

    /// A caller was told that this task waits again.
    pub fn retried(&self, id: &str) {
        self.retried.lock().unwrap().insert(id.to_owned());
    }

    /// Holds a whole change log, as the API gives it, against the record.
    pub fn check(&self, changes: &[Value]) -> Verdict {
        let mut verdict = Verdict::default();
        let mut tasks: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
        let mut last = 0;
        for change in changes {
            let seq = change["seq"].as_i64().unwrap();
            if seq <= last {
                verdict.breaks(format!("the log goes from {last} to {seq}"));
            }
            last = seq;
            verdict.saw(text(&change["event"]));
            tasks.entry(text(&change["task"]["id"])).or_default().push(change);
        }
        let mut by_name: HashMap<&str, Vec<&str>> = HashMap::new();
        for (id, life) in &tasks {
            by_name.entry(text(&life[0]["task"]["name"])).or_default().push(id);
            if let Err(why) = live(life) {
                let events: Vec<&str> = life.iter().map(|change| text(&change["event"])).collect();
                verdict.breaks(format!("{id}: {why}: {events:?}"));
            }
        }
        self.check_submits(&by_name, &mut verdict);
        for (told, event) in [(&self.cancelled, "cancelled"), (&self.retried, "retried")] {
            for id in told.lock().unwrap().iter() {
                let happened = tasks.get(id.as_str()).is_some_and(|life| life.iter().any(|c| c["event"] == event));
                if !happened {
                    verdict.breaks(format!("{id}: a caller was told that it was {event}"));
                }
            }
        }
        verdict
    }

    fn check_submits(&self, by_name: &HashMap<&str, Vec<&str>>, verdict: &mut Verdict) {
        let asked = self.asked.lock().unwrap();
        let mut batches: BTreeMap<&str, HashSet<bool>> = BTreeMap::new();
        for (name, asked) in asked.iter() {
            let ids = by_name.get(name.as_str()).map_or(&[][..], Vec::as_slice);
            match &asked.told {
                Told::Yes(id) if !ids.contains(&id.as_str()) => verdict.breaks(format!("lost: {name}, {id}")),
                Told::No if !ids.is_empty() => verdict.breaks(format!("unexpected: {name} was refused")),
                _ => {}
            }
            if ids.len() > 1 {
                verdict.breaks(format!("doubled: {name} is {ids:?}"));
            }
            if let Some(batch) = &asked.batch {
                batches.entry(batch).or_default().insert(ids.is_empty());
            }
            verdict.saw(match (&asked.told, ids.is_empty()) {
                (Told::Yes(_), _) => "told yes",
                (Told::No, _) => "told no",
                (Told::Unknown, true) => "unknown, not there",
                (Told::Unknown, false) => "unknown, there",
            });
        }
        for (batch, there) in batches.iter().filter(|(_, there)| there.len() > 1) {
            verdict.breaks(format!("half a batch: {batch}: {there:?}"));
        }
        for name in by_name.keys().filter(|name| !asked.contains_key(**name)) {
            verdict.breaks(format!("unexpected: nobody asked for {name}"));
        }
    }
}

impl Verdict {
    fn breaks(&mut self, what: String) {
        self.broken.push(what);
    }

    fn saw(&mut self, what: &str) {
        *self.seen.entry(what.to_owned()).or_default() += 1;
    }

    /// Adds to what was seen, from outside the log.
    pub fn add(&mut self, what: &str, n: u64) {
        *self.seen.entry(what.to_owned()).or_default() += n;
    }

    /// Fails if a promise is broken, and if something that had to happen did not: such a run proves nothing.
    #[track_caller]
    pub fn is_clean(&self, had_to_happen: &[&str]) {
        eprintln!("{:?}", self.seen);
        let n = self.broken.len();
        assert!(n == 0, "{n} promises are broken:\n{}", self.broken[..n.min(20)].join("\n"));
        let never = self.never(had_to_happen);
        assert!(never.is_empty(), "this run proves nothing: {never:?} never happened");
    }

    /// Which of these never happened.
    pub fn never<'a>(&self, had_to_happen: &[&'a str]) -> Vec<&'a str> {
        had_to_happen.iter().copied().filter(|what| self.seen.get(*what).is_none_or(|n| *n == 0)).collect()
    }
}

/// Whether one task's history is one: each attempt follows a return, each life ends once.
fn live(life: &[&Value]) -> Result<(), String> {
    #[derive(Debug, PartialEq)]
    enum At {
        Begin,
        Waiting,
        Running,
        Ended(bool),
    }
    let (mut at, mut attempt, mut starts, mut returns, mut rescues) = (At::Begin, 0, 0, 0, 0);
    for change in life {
        let (event, task) = (text(&change["event"]), &change["task"]);
        at = match (&at, event) {
            (At::Begin, "queued") => At::Waiting,
            (At::Waiting, "started") => {
                starts += 1;
                if task["attempt"] != attempt + 1 {
                    return Err(format!("attempt {} follows {attempt}", task["attempt"]));
                }
                attempt += 1;
                At::Running
            }
            (At::Running, "cancel_requested") => At::Running,
            (At::Running, "retrying" | "rescued" | "released") => {
                returns += 1;
                rescues += u32::from(event == "rescued");
                At::Waiting
            }
            (At::Running, "succeeded") => At::Ended(false),
            (At::Running, "failed") => {
                let code = text(&task["error"]["code"]);
                if !(code == "demo_failed" || (code == "worker_lost" && rescues >= 2)) {
                    return Err(format!("it failed with {code} after {rescues} rescues"));
                }
                At::Ended(true)
            }
            (At::Running | At::Waiting, "cancelled") => At::Ended(true),
            (At::Ended(true), "retried") => {
                (starts, returns, rescues) = (0, 0, 0);
                At::Waiting
            }
            (At::Ended(_), "succeeded" | "failed" | "cancelled") => return Err(format!("it ended twice: {event}")),
            (at, event) => return Err(format!("{event} while {at:?}")),
        };
        if starts > 1 + returns {
            return Err(format!("{starts} attempts, {returns} returns"));
        }
    }
    if matches!(at, At::Ended(_)) { Ok(()) } else { Err("it never ended".to_owned()) }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// A log of one task, named `a`, from its events.
    fn log(events: &[&str]) -> Vec<Value> {
        let mut attempt = 0;
        let entry = |(n, event): (usize, &&str)| {
            attempt += i64::from(*event == "started");
            let error = json!({"code": "worker_lost"});
            json!({"seq": n + 1, "event": event,
                   "task": {"id": "1", "name": "a", "attempt": attempt, "error": error}})
        };
        events.iter().enumerate().map(entry).collect()
    }

    fn broken(told: Told, log: &[Value]) -> Vec<String> {
        let history = History::default();
        history.ask("a", None);
        history.told("a", told);
        history.check(log).broken
    }

    #[test]
    fn a_whole_life_breaks_nothing() {
        for life in [
            &["queued", "started", "succeeded"][..],
            &["queued", "started", "rescued", "started", "released", "started", "cancel_requested", "cancelled"],
            &["queued", "cancelled", "retried", "started", "succeeded"],
            &["queued", "started", "rescued", "started", "rescued", "started", "failed"],
        ] {
            assert!(broken(Told::Yes("1".to_owned()), &log(life)).is_empty(), "{life:?}");
            assert!(broken(Told::Unknown, &log(life)).is_empty(), "{life:?}");
        }
        assert!(broken(Told::Unknown, &[]).is_empty());
    }

    #[test]
    fn whatever_is_lost_doubled_or_made_up_is_seen() {
        let whole = log(&["queued", "started", "succeeded"]);
        assert!(broken(Told::Yes("1".to_owned()), &[])[0].starts_with("lost"));
        assert!(broken(Told::Yes("2".to_owned()), &whole)[0].starts_with("lost"));
        assert!(broken(Told::No, &whole)[0].starts_with("unexpected"));
        assert!(History::default().check(&whole).broken[0].starts_with("unexpected"));
        let mut twice = log(&["queued", "cancelled"]);
        twice.extend(log(&["queued", "cancelled"]));
        for (n, change) in twice.iter_mut().enumerate() {
            change["seq"] = json!(n + 1);
            change["task"]["id"] = json!(if n < 2 { "1" } else { "2" });
        }
        assert!(broken(Told::Unknown, &twice)[0].starts_with("doubled"));
        twice[3]["seq"] = json!(2);
        assert!(broken(Told::Unknown, &twice)[0].starts_with("the log goes"));
    }

    #[test]
    fn a_life_that_is_none_is_seen() {
        for life in [
            &["queued", "started", "succeeded", "succeeded"][..],
            &["queued", "started", "cancelled", "succeeded"],
            &["queued", "started", "started", "succeeded"],
            &["queued", "started", "rescued", "succeeded"],
            &["queued", "started"],
            &["queued"],
            &["started", "succeeded"],
            &["queued", "started", "failed"],
            &["queued", "started", "succeeded", "retried"],
        ] {
            assert_eq!(broken(Told::Unknown, &log(life)).len(), 1, "{life:?}");
        }
    }

    #[test]
    fn half_a_batch_and_an_answer_that_nothing_followed_are_seen() {
        let history = History::default();
        history.ask("a", Some("batch"));
        history.ask("b", Some("batch"));
        history.cancelled("1");
        history.retried("1");
        let broken = history.check(&log(&["queued", "started", "succeeded"])).broken;
        assert_eq!(broken.len(), 3, "{broken:?}");
    }
}
