//! From the members of a body to a draft: all that is wrong at once, nothing guessed.

use super::Api;
use super::caller::{Caller, MAX_CLIENT_ID};
use super::fields::Fields;
use super::filter::MAX_LABEL;
use super::problem::{self, Code, Problem, Result};
use crate::queue::{Invalid, Prepared};
use crate::task::text::{self, FieldError};
use crate::task::{Backoff, Draft};
use serde_json::value::RawValue;

/// More bytes of params, as sent, are refused (413).
pub const MAX_PARAMS_BYTES: usize = 1024 * 1024;
/// The longest name, in characters.
const MAX_NAME: usize = 200;
/// More tags are refused.
const MAX_TAGS: usize = 20;
/// The longest time one attempt may have, in seconds: a week.
const MAX_TIMEOUT_SECONDS: i64 = 7 * 86_400;

/// A draft, and what is wrong with it. What could not be read has its default.
pub struct Read {
    /// The draft.
    pub draft: Draft,
    /// What is wrong; pointers begin at the body.
    errors: Vec<FieldError>,
    /// Where it stands in the body.
    at: String,
}

/// A draft with every default, for whoever calls. Its type is missing.
pub fn blank(caller: &Caller) -> Draft {
    Draft::new("", empty(), &caller.owner, "")
}

/// Reads a draft from the object in `text` that stands at `at`; what it does not say is as in `base`.
pub fn read(text: &str, at: String, base: Draft, caller: &Caller) -> Result<Read> {
    let mut fields = Fields::of(text, at.as_str());
    let mut draft = base;
    match fields.text("type", |_| None) {
        Some(name) => draft.r#type = name,
        None if draft.r#type.is_empty() => fields.missing("type"),
        None => {}
    }
    if let Some(params) = fields.take_or_null("params") {
        match params.get().starts_with('{') {
            true if params.get().len() > MAX_PARAMS_BYTES => return Err(params_too_large()),
            true => draft.params = params.to_owned(),
            false => fields.fail("params", "must be an object"),
        }
    }
    if let Some(name) = fields.text("name", |name| text::free(name, MAX_NAME)) {
        draft.name = Some(name);
    }
    if let Some(queue) = fields.text("queue", queue_name) {
        draft.queue = queue;
    }
    if let Some(priority) = fields.integer("priority", -100..=100) {
        draft.priority = priority;
    }
    draft.run_at = fields.time("run_at").or(draft.run_at);
    if let Some(max_attempts) = fields.integer("max_attempts", 1..=100) {
        draft.max_attempts = max_attempts;
    }
    if let Some(value) = fields.take("backoff") {
        draft.backoff = backoff(value, &mut fields, &at);
    }
    draft.needs_approval = fields.flag("needs_approval").unwrap_or(draft.needs_approval);
    draft.timeout_seconds = fields.integer("timeout_seconds", 1..=MAX_TIMEOUT_SECONDS).or(draft.timeout_seconds);
    if let Some(tags) = fields.labels("tags", MAX_TAGS, MAX_LABEL, false) {
        draft.tags = tags;
    }
    draft.client_id = caller.client_id(fields.label("client_id", MAX_CLIENT_ID));
    if !draft.r#type.is_empty() {
        caller.may_submit(&draft.r#type, &draft.queue)?;
    }
    Ok(Read { draft, errors: fields.finish(), at })
}

impl Api {
    /// The drafts as tasks, or the 422 that names everything that is wrong with any of them.
    pub(super) async fn prepare(&self, read: Vec<Read>) -> Result<Prepared> {
        let (mut drafts, mut wrong) = (Vec::with_capacity(read.len()), Vec::with_capacity(read.len()));
        for Read { draft, errors, at } in read {
            drafts.push(draft);
            wrong.push((at, errors));
        }
        let clean = wrong.iter().all(|(_, errors)| errors.is_empty());
        match self.queue.prepare(drafts).await {
            Ok(prepared) if clean => return Ok(prepared),
            Ok(_) => {}
            Err(Invalid::Store(error)) => return Err(error.into()),
            Err(Invalid::TooLarge(why)) => return Err(Problem::new(Code::BodyTooLarge, why)),
            Err(Invalid::Drafts(drafts)) => {
                for (index, errors) in drafts {
                    add(&mut wrong[index], errors);
                }
            }
        }
        Err(problem::of_errors(wrong.into_iter().map(|(_, errors)| errors)))
    }

    /// The params of a draft with their defaults, if everything about it is right.
    pub(super) async fn check(&self, read: Read) -> Result<serde_json::Value> {
        let mut wrong = (read.at, read.errors);
        match self.queue.check(&read.draft).await {
            Ok(checked) if wrong.1.is_empty() => return Ok(checked.params),
            Ok(_) => {}
            Err(Invalid::Store(error)) => return Err(error.into()),
            Err(Invalid::TooLarge(why)) => return Err(Problem::new(Code::BodyTooLarge, why)),
            Err(Invalid::Drafts(drafts)) => drafts.into_iter().for_each(|(_, errors)| add(&mut wrong, errors)),
        }
        Err(problem::of_errors([wrong.1].into_iter()))
    }
}

/// Adds what the type says to what the envelope says, but nothing about members that could not be read.
fn add((at, known): &mut (String, Vec<FieldError>), mut more: Vec<FieldError>) {
    if more.is_empty() {
        more.push(FieldError::new("/params", "do not fit the type"));
    }
    for error in more {
        let pointer = format!("{at}{}", error.pointer);
        let said = known.iter().any(|known| known.pointer == *at || pointer.starts_with(&known.pointer));
        if !said {
            known.push(FieldError::new(pointer, error.detail));
        }
    }
}

/// The 413 of params that are too large.
fn params_too_large() -> Problem {
    Problem::new(Code::BodyTooLarge, format!("params may have at most {MAX_PARAMS_BYTES} bytes"))
}

/// An empty object.
pub fn empty() -> Box<RawValue> {
    serde_json::value::to_raw_value(&serde_json::Map::new()).expect("an empty object is JSON")
}

fn queue_name(name: &str) -> Option<String> {
    match text::label(name, MAX_LABEL) {
        None if name.starts_with('_') || name.starts_with("errand") => {
            Some("must not begin with errand or _: those are the service's own".to_owned())
        }
        wrong => wrong,
    }
}

fn backoff(value: &RawValue, outer: &mut Fields<'_>, at: &str) -> Backoff {
    let mut fields = Fields::of(value.get(), format!("{at}/backoff"));
    let default = Backoff::default();
    let backoff = Backoff {
        base_seconds: fields.number("base_seconds").unwrap_or(default.base_seconds),
        factor: fields.number("factor").unwrap_or(default.factor),
        max_seconds: fields.number("max_seconds").unwrap_or(default.max_seconds),
        jitter: fields.flag("jitter").unwrap_or(default.jitter),
    };
    for (member, sentence) in backoff.problems() {
        fields.fail(member, sentence);
    }
    outer.add(fields.finish());
    backoff
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::keys::Identity;

    use crate::task::Time;
    use proptest::prelude::*;

    fn of(text: &str) -> Read {
        let caller = Caller::test(Identity::anybody());
        read(text, String::new(), blank(&caller), &caller).unwrap()
    }

    #[test]
    fn everything_that_can_be_said_is_read() {
        let read = of(r#"{"type":"noop","params":{ "big": 123456789012345678901234567890 },"name":"n","queue":"q",
            "priority":-100,"run_at":"2026-01-01T00:00:00+01:00","max_attempts":3,"backoff":{"base_seconds":0.5},
            "timeout_seconds":60,"tags":["a","b","a"],"client_id":"c"}"#);
        assert_eq!(read.errors, []);
        let draft = read.draft;
        assert_eq!(draft.params.get(), r#"{ "big": 123456789012345678901234567890 }"#);
        assert_eq!((draft.tags, draft.client_id.as_str()), (vec!["a".to_owned(), "b".to_owned()], "c"));
        assert_eq!((draft.backoff.base_seconds, draft.backoff.factor), (0.5, 2.0));
        assert_eq!(draft.run_at, Time::parse("2025-12-31T23:00:00Z"));
    }

    #[test]
    fn each_bad_member_is_named() {
        for (text, pointer) in [
            (r#"{}"#, "/type"),
            (r#"{"type":1}"#, "/type"),
            (r#"{"type":"x","params":[]}"#, "/params"),
            (r#"{"type":"x","params":null}"#, "/params"),
            (r#"{"type":"x","priority":101}"#, "/priority"),
            (r#"{"type":"x","priority":true}"#, "/priority"),
            (r#"{"type":"x","max_attempts":0}"#, "/max_attempts"),
            (r#"{"type":"x","timeout_seconds":"1h"}"#, "/timeout_seconds"),
            (r#"{"type":"x","run_at":1767225600}"#, "/run_at"),
            (r#"{"type":"x","queue":"_own"}"#, "/queue"),
            (r#"{"type":"x","queue":"a\nb"}"#, "/queue"),
            (r#"{"type":"x","backoff":{"factor":0.5}}"#, "/backoff/factor"),
            (r#"{"type":"x","backoff":{"nope":1}}"#, "/backoff/nope"),
            (r#"{"type":"x","state":"SUCCESS"}"#, "/state"),
        ] {
            let errors = of(text).errors;
            assert_eq!(errors.iter().map(|error| error.pointer.as_str()).collect::<Vec<_>>(), [pointer], "{text}");
        }
    }

    #[test]
    fn params_may_have_exactly_the_limit() {
        let caller = Caller::test(Identity::anybody());
        let body = |bytes: usize| format!(r#"{{"type":"noop","params":{{"a":"{}"}}}}"#, "x".repeat(bytes - 8));
        let read = |bytes| read(&body(bytes), String::new(), blank(&caller), &caller);
        assert_eq!(read(MAX_PARAMS_BYTES).unwrap().draft.params.get().len(), MAX_PARAMS_BYTES);
        assert_eq!(read(MAX_PARAMS_BYTES + 1).err().unwrap().code(), Code::BodyTooLarge);
    }

    proptest! {
        #[test]
        fn any_object_is_a_draft_that_can_be_kept_or_is_refused(
            members in prop::collection::vec((member(), value()), 0..6),
        ) {
            let members: Vec<String> = members.iter().map(|(name, value)| format!("{name:?}:{value}")).collect();
            let text = format!("{{{}}}", members.join(","));
            if super::super::json::check(&text).is_err() {
                return Ok(());
            }
            let caller = Caller::test(Identity::anybody());
            let Ok(read) = read(&text, String::new(), blank(&caller), &caller) else { return Ok(()) };
            if read.errors.is_empty() {
                let draft = read.draft;
                prop_assert!((-100..=100).contains(&draft.priority) && (1..=100).contains(&draft.max_attempts));
                prop_assert!(draft.backoff.problems().is_empty() && draft.tags.len() <= MAX_TAGS);
                prop_assert!(draft.timeout_seconds.is_none_or(|seconds| (1..=MAX_TIMEOUT_SECONDS).contains(&seconds)));
            }
        }
    }

    fn member() -> impl Strategy<Value = &'static str> {
        prop::sample::select(vec![
            "type",
            "params",
            "name",
            "queue",
            "priority",
            "run_at",
            "max_attempts",
            "backoff",
            "timeout_seconds",
            "tags",
            "client_id",
            "nope",
            "status",
        ])
    }

    fn value() -> impl Strategy<Value = String> {
        let odd = [
            "null",
            "{}",
            "[]",
            "true",
            "-0",
            "1e400",
            "1.0",
            "[[]]",
            "{\"factor\":1e308}",
            "{\"base_seconds\":0,\"x\":1}",
            "\"2026-01-01T00:00:00Z\"",
            "[\"a\",\"a\"]",
            "{\"jitter\":null}",
        ];
        prop_oneof![
            prop::sample::select(odd.to_vec()).prop_map(str::to_owned),
            any::<i64>().prop_map(|n| n.to_string()),
            any::<f64>().prop_map(|n| serde_json::to_string(&n).unwrap()),
            any::<String>().prop_map(|text| serde_json::to_string(&text).unwrap()),
            prop::collection::vec(any::<String>(), 0..30).prop_map(|texts| serde_json::to_string(&texts).unwrap()),
        ]
    }
}
