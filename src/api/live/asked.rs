//! What a client says: one JSON object a message, read strictly.

use super::super::caller::MAX_CLIENT_ID;
use super::super::fields::Fields;
use super::super::problem::{Code, Problem, Result};
use super::super::{filter, id_of, json};
use super::entries::Wanted;
use crate::task::Filter;
use crate::task::text::FieldError;
use serde_json::value::RawValue;
use uuid::Uuid;

/// More topics in one message end the socket.
const MAX_TOPICS: usize = 16;
/// A longer id of a request is refused.
const MAX_ID_BYTES: usize = 256;
/// A longer key is no key.
const MAX_KEY: usize = 1000;

/// What one may subscribe to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Topic {
    /// What happens to tasks.
    Tasks,
    /// How node and tasks are doing, once a second.
    Metrics,
    /// Who did what, as it is written down.
    Activity,
    /// The ends of the owner's tasks, and what the owner marks of them.
    Notifications,
    /// What waits for an approval, and what becomes of it.
    Approvals,
}

impl Topic {
    /// Each.
    pub const ALL: [Topic; 5] = [Topic::Tasks, Topic::Metrics, Topic::Activity, Topic::Notifications, Topic::Approvals];

    /// The word on the wire.
    pub fn word(self) -> &'static str {
        match self {
            Topic::Tasks => "tasks",
            Topic::Metrics => "metrics",
            Topic::Activity => "activity",
            Topic::Notifications => "notifications",
            Topic::Approvals => "approvals",
        }
    }

    /// The topic of this word.
    pub fn of_word(word: &str) -> Option<Topic> {
        Topic::ALL.into_iter().find(|topic| topic.word() == word)
    }
}

/// One message of a client.
#[derive(Debug)]
pub struct Asked {
    /// What the client calls it: a string or a number, given back as sent.
    pub id: Option<Box<RawValue>>,
    /// What it asks for, or what is wrong with it.
    pub what: Result<What>,
}

/// What a client asks for.
#[derive(Debug)]
pub enum What {
    Ping,
    Auth(String),
    Subscribe(Box<Subscribe>),
    /// From these topics.
    Unsubscribe(Vec<Topic>),
    /// Of this task; `None`: what was sent is no id, so none that is there.
    Status(Option<Uuid>),
    Cancel(Option<Uuid>),
    Retry(Option<Uuid>),
}

/// What somebody wants to be told from now on.
#[derive(Debug)]
pub struct Subscribe {
    pub topics: Vec<Topic>,
    pub filter: Filter,
    pub client_id: Option<String>,
    pub after_seq: Option<i64>,
    /// Which entries.
    pub activity: Wanted,
}

/// A message that is none of ours: no JSON object, or of no type we know.
#[derive(Debug)]
pub struct Garbage {
    pub id: Option<Box<RawValue>>,
    pub problem: Problem,
}

/// More topics than anybody could want.
pub const TOO_MANY_TOPICS: &str = "must have at most 16 items";

/// Reads one message.
pub fn read(text: &str) -> std::result::Result<Asked, Box<Garbage>> {
    if text.trim() == "ping" {
        return Ok(Asked { id: None, what: Ok(What::Ping) });
    }
    let garbage = |id, problem| Box::new(Garbage { id, problem });
    match json::check(text) {
        Err(malformed) => {
            let detail = format!("{} at byte {}", malformed.why, malformed.at);
            return Err(garbage(None, Problem::new(Code::MalformedJson, detail)));
        }
        Ok(nuls) if !nuls.is_empty() => return Err(garbage(None, Problem::invalid(Code::InvalidRequest, nuls))),
        Ok(_) => {}
    }
    let mut fields = Fields::of(text, "");
    let id = id(&mut fields);
    let word = fields.text("type", |_| None);
    if word.is_none() {
        fields.missing("type");
    }
    let Some(what) = word.and_then(|word| what(&word, &mut fields)) else {
        let mut errors = fields.finish();
        if errors.iter().all(|error| error.pointer != "/type" && !error.pointer.is_empty()) {
            let known = "must be ping, auth, subscribe, unsubscribe, status, cancel or retry";
            errors = vec![FieldError::new("/type", known)];
        }
        return Err(garbage(id, Problem::invalid(Code::InvalidRequest, errors)));
    };
    let what = fields.done(Code::InvalidRequest).map(|()| what);
    Ok(Asked { id, what })
}

fn id(fields: &mut Fields<'_>) -> Option<Box<RawValue>> {
    let id = fields.take("id")?;
    let plain = id.get().starts_with(['"', '-']) || id.get().starts_with(|c: char| c.is_ascii_digit());
    if plain && id.get().len() <= MAX_ID_BYTES {
        return Some(id.to_owned());
    }
    fields.fail("id", format!("must be a string or a number of at most {MAX_ID_BYTES} bytes"));
    None
}

/// What an object within a message says; the default where there is none.
fn members<T: Default>(fields: &mut Fields<'_>, name: &str, read: impl FnOnce(&mut Fields<'_>) -> T) -> T {
    let Some(text) = fields.take(name) else { return T::default() };
    let mut members = Fields::of(text.get(), format!("/{name}"));
    let said = read(&mut members);
    fields.add(members.finish());
    said
}

/// The request of this word; `None` if there is none.
fn what(word: &str, fields: &mut Fields<'_>) -> Option<What> {
    Some(match word {
        "ping" => What::Ping,
        "auth" => {
            let key = fields.text("key", |key| (key.len() > MAX_KEY).then(|| "is too long".to_owned()));
            if key.is_none() {
                fields.missing("key");
            }
            What::Auth(key.unwrap_or_default())
        }
        "subscribe" => {
            let topics = topics(fields).unwrap_or_else(|| vec![Topic::Tasks]);
            let client_id = fields.label("client_id", MAX_CLIENT_ID);
            let after_seq = fields.integer("after_seq", 0..=i64::MAX);
            let filter = members(fields, "filter", filter::of_fields);
            let activity = members(fields, "activity", Wanted::of_fields);
            What::Subscribe(Box::new(Subscribe { topics, filter, client_id, after_seq, activity }))
        }
        "unsubscribe" => What::Unsubscribe(topics(fields).unwrap_or_else(|| Topic::ALL.to_vec())),
        "status" => What::Status(task_id(fields)),
        "cancel" => What::Cancel(task_id(fields)),
        "retry" => What::Retry(task_id(fields)),
        _ => return None,
    })
}

fn topics(fields: &mut Fields<'_>) -> Option<Vec<Topic>> {
    let words = fields.labels("topics", MAX_TOPICS, MAX_CLIENT_ID, true)?;
    let (mut topics, known) = (Vec::new(), Topic::ALL.map(Topic::word).join(", "));
    for (n, word) in words.iter().enumerate() {
        match Topic::of_word(word) {
            Some(topic) => topics.push(topic),
            None => fields.fail(&format!("topics/{n}"), format!("must be one of {known}")),
        }
    }
    Some(topics)
}

/// A task's id; `None` for what is none.
fn task_id(fields: &mut Fields<'_>) -> Option<Uuid> {
    let id = fields.text("task_id", |_| None);
    if id.is_none() {
        fields.missing("task_id");
    }
    id_of(&id?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(text: &str) -> Vec<String> {
        let problem = match read(text) {
            Ok(asked) => asked.what.unwrap_err(),
            Err(garbage) => garbage.problem,
        };
        problem.errors().iter().map(|error| error.pointer.clone()).collect()
    }

    #[test]
    fn a_subscription_is_read_with_all_its_members() {
        let text = r#"{"type":"subscribe","id":7,"topics":["tasks","metrics","activity","notifications","approvals"],"filter":{"status":"FAILED","tag":"x"},
                      "client_id":"c","after_seq":12,"activity":{"outcome":"denied","category":["key","task"]}}"#;
        let asked = read(text).unwrap();
        assert_eq!(asked.id.unwrap().get(), "7");
        let Ok(What::Subscribe(subscribe)) = asked.what else { panic!("no subscription") };
        assert_eq!(subscribe.topics, Topic::ALL);
        assert_eq!((subscribe.client_id.as_deref(), subscribe.after_seq), (Some("c"), Some(12)));
        assert_eq!(subscribe.filter.tag.as_deref(), Some("x"));
        let Wanted { categories, actions, outcomes, after } = subscribe.activity;
        assert_eq!(
            (categories, actions, outcomes, after),
            (vec!["key".into(), "task".into()], vec![], vec!["denied".into()], None)
        );
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, pointers) in [
            (r#"{"type":"subscribe","topics":["tasks","x"]}"#, &["/topics/1"][..]),
            (r#"{"type":"subscribe","filter":{"statuses":[]},"after_seq":-1}"#, &["/after_seq", "/filter/statuses"]),
            (r#"{"type":"subscribe","filter":[]}"#, &["/filter"]),
            (r#"{"type":"subscribe","activity":7}"#, &["/activity"]),
            (
                r#"{"type":"subscribe","activity":{"category":"x","action":["key.created","y"],"after":"7","owner":"a"}}"#,
                &["/activity/category/0", "/activity/action/1", "/activity/after", "/activity/owner"],
            ),
            (r#"{"type":"cancel"}"#, &["/task_id"]),
            (r#"{"type":"cancel","task_id":7}"#, &["/task_id"]),
            (r#"{"type":"auth"}"#, &["/key"]),
            (r#"{"type":"ping","id":{}}"#, &["/id"]),
            (r#"{"type":"ping","x":1}"#, &["/x"]),
            (r#"{"type":"nope","x":1}"#, &["/type"]),
            (r#"{"id":1}"#, &["/type"]),
            ("[]", &[""]),
        ] {
            assert_eq!(wrong(text), pointers, "{text}");
        }
        assert_eq!(read("{").unwrap_err().problem.code(), Code::MalformedJson);
        let nobody = read(r#"{"type":"cancel","task_id":"7"}"#).unwrap();
        assert!(matches!(nobody.what, Ok(What::Cancel(None))));
    }
}
