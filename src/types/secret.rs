//! Secret params: the handler gets them, and nobody else sees them again.
//!
//! A type marks them in its schema with `writeOnly: true`, as JSON Schema has it for what is sent and never given back.
//! They stand in the database as they were sent, since a worker needs them.

use super::Entry;
use crate::task::text::FieldError;
use serde_json::{Value, value::RawValue};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::task_local;

/// What is shown in a secret's place.
pub const REDACTED: &str = "[redacted]";
/// A shorter secret is not looked for in what a handler says: it stands in many a word.
const MIN_BYTES: usize = 6;

type Members<'a> = BTreeMap<String, &'a RawValue>;

impl Entry {
    /// The params as they may be seen: as sent, but for secrets.
    pub fn shown<'a>(&self, params: &'a RawValue) -> Cow<'a, RawValue> {
        if self.schema.secrets().is_empty() {
            return Cow::Borrowed(params);
        }
        let redacted = redacted();
        let mut members = members(params);
        for (_, value) in members.iter_mut().filter(|(name, value)| self.is_secret(name) && value.get() != "null") {
            *value = &redacted;
        }
        Cow::Owned(raw(&members))
    }

    /// Params in which what is shown in a secret's place is that secret again, as it stands in `before`.
    pub fn recovered(&self, params: Box<RawValue>, before: &RawValue) -> Box<RawValue> {
        if self.schema.secrets().is_empty() {
            return params;
        }
        let (redacted, before) = (redacted(), members(before));
        let mut members = members(&params);
        for (name, value) in members.iter_mut().filter(|(name, _)| self.is_secret(name)) {
            if let Some(secret) = before.get(name).filter(|_| value.get() == redacted.get()) {
                *value = secret;
            }
        }
        raw(&members)
    }

    /// Params whose secrets are what is shown in their place: nobody means that.
    pub(super) fn not_recovered(&self, params: &Value) -> Vec<FieldError> {
        let shown = self.schema.secrets().iter().filter(|name| params[name.as_str()] == REDACTED);
        let pointer = |name: &String| format!("/{}", name.replace('~', "~0").replace('/', "~1"));
        shown
            .map(|name| FieldError::new(pointer(name), "is what is shown in place of a secret: send it anew"))
            .collect()
    }

    /// The secrets among params, to be masked in what a handler says.
    pub fn secrets(&self, params: &RawValue) -> Secrets {
        let mut secrets = Vec::new();
        if !self.schema.secrets().is_empty() {
            let members = members(params);
            let own = members.iter().filter(|(name, _)| self.is_secret(name));
            own.for_each(|(_, value)| texts(&serde_json::from_str(value.get()).unwrap_or_default(), &mut secrets));
        }
        secrets.retain(|secret| secret.len() >= MIN_BYTES);
        // One may be a part of another.
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        Secrets(secrets.into())
    }

    fn is_secret(&self, name: &str) -> bool {
        self.schema.secrets().iter().any(|secret| secret == name)
    }
}

/// The secrets of one task. Cheap to clone.
#[derive(Clone, Default)]
pub struct Secrets(Arc<[String]>);

task_local! {
    /// Of the handler that runs here.
    static OF_HANDLER: Secrets;
}

/// The text without the secrets of the handler that runs on this thread, if one does: for what is said
/// in its place, as of its panic.
pub fn mask(text: &str) -> String {
    OF_HANDLER.try_with(|secrets| secrets.mask(text).into_owned()).unwrap_or_else(|_| text.to_owned())
}

impl Secrets {
    /// Work in which [`mask`] masks them.
    pub async fn during<T>(&self, work: impl Future<Output = T>) -> T {
        OF_HANDLER.scope(self.clone(), work).await
    }

    /// The same on a thread of its own.
    pub fn while_blocking<T>(&self, work: impl FnOnce() -> T) -> T {
        OF_HANDLER.sync_scope(self.clone(), work)
    }

    /// The text without them. Those of less than 6 bytes stay, and what a handler made of one (its hash, its letters
    /// one by one).
    pub fn mask<'a>(&self, text: impl Into<Cow<'a, str>>) -> Cow<'a, str> {
        let mask = |text: Cow<'a, str>, secret: &String| match text.contains(secret.as_str()) {
            true => Cow::Owned(text.replace(secret.as_str(), REDACTED)),
            false => text,
        };
        self.0.iter().fold(text.into(), mask)
    }

    /// JSON whose texts are without them.
    pub fn mask_json(&self, json: Box<RawValue>) -> Box<RawValue> {
        if self.0.is_empty() {
            return json;
        }
        let Ok(value) = serde_json::from_str::<Value>(json.get()) else { return json };
        let masked = self.masked(value.clone());
        // What holds none stays as it is, byte for byte.
        if masked == value { json } else { raw(&masked) }
    }

    fn masked(&self, value: Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.mask(text).into_owned()),
            Value::Array(items) => items.into_iter().map(|item| self.masked(item)).collect(),
            Value::Object(members) => {
                members.into_iter().map(|(name, value)| (self.mask(name).into_owned(), self.masked(value))).collect()
            }
            other => other,
        }
    }
}

/// Params were checked to be an object; what is none shows nothing.
fn members(params: &RawValue) -> Members<'_> {
    serde_json::from_str(params.get()).unwrap_or_default()
}

fn redacted() -> Box<RawValue> {
    raw(&REDACTED)
}

fn raw(value: &impl serde::Serialize) -> Box<RawValue> {
    serde_json::value::to_raw_value(value).unwrap_or_else(|_| RawValue::NULL.to_owned())
}

/// Every text in a value, and its number if it is one.
fn texts(value: &Value, into: &mut Vec<String>) {
    match value {
        Value::String(text) => into.push(text.clone()),
        Value::Number(number) => into.push(number.to_string()),
        Value::Array(items) => items.iter().for_each(|item| texts(item, into)),
        Value::Object(members) => members.values().for_each(|value| texts(value, into)),
        Value::Null | Value::Bool(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::super::{AnyType, Context, Failure, Types};
    use super::*;
    use async_trait::async_trait;
    use serde_json::json;

    struct Signs;

    #[async_trait]
    impl AnyType for Signs {
        fn name(&self) -> &'static str {
            "signs"
        }

        fn description(&self) -> &'static str {
            "Has secrets."
        }

        fn params_schema(&self) -> Value {
            let secret = json!({ "writeOnly": true });
            json!({ "type": "object", "properties": { "user": {}, "token": secret, "a/b": secret } })
        }

        fn result_schema(&self) -> Value {
            json!({})
        }

        fn examples(&self) -> Vec<Value> {
            vec![json!({})]
        }

        async fn run(&self, params: &RawValue, _: &Context) -> Result<Box<RawValue>, Failure> {
            Ok(params.to_owned())
        }
    }

    fn entry(test: impl FnOnce(&Entry)) {
        test(Types::new(vec![Box::new(Signs)]).get("signs").unwrap());
    }

    fn params(json: &str) -> Box<RawValue> {
        RawValue::from_string(json.to_owned()).unwrap()
    }

    #[test]
    fn secrets_are_not_shown_and_all_else_is_as_it_was_sent() {
        entry(|entry| {
            let sent = params(r#"{ "user": 123456789012345678901, "token": "hunter2", "a/b": { "key": [1] } }"#);
            let shown = r#"{"a/b":"[redacted]","token":"[redacted]","user":123456789012345678901}"#;
            assert_eq!(entry.shown(&sent).get(), shown);
            assert_eq!(
                entry.shown(&params(r#"{"token":null}"#)).get(),
                r#"{"token":null}"#,
                "that there is none is none"
            );
        });
        let noop = Types::builtin();
        let sent = params(r#"{ "token" : "hunter2" }"#);
        assert_eq!(noop.get("noop").unwrap().shown(&sent).get(), sent.get());
    }

    #[test]
    fn what_is_shown_of_a_secret_is_refused_where_it_is_sent_and_recovered_where_the_secret_is_known() {
        entry(|entry| {
            let before = params(r#"{"user":"ann","token":"hunter2"}"#);
            let edited = params(r#"{"user":"bob","token":"[redacted]","a/b":"[redacted]"}"#);
            let wrong: Vec<String> = entry.check(&edited).unwrap_err().into_iter().map(|error| error.pointer).collect();
            assert_eq!(wrong, ["/token", "/a~1b"]);
            let recovered = entry.recovered(edited, &before);
            assert_eq!(recovered.get(), r#"{"a/b":"[redacted]","token":"hunter2","user":"bob"}"#);
            let anew = params(r#"{"token":"another"}"#);
            assert_eq!(entry.recovered(anew, &before).get(), r#"{"token":"another"}"#);
        });
    }

    #[tokio::test]
    async fn what_is_said_in_a_handlers_place_is_masked_while_it_runs() {
        let secrets = Secrets(Arc::new(["hunter2".to_owned()]));
        let said = || mask("hunter2 is no number");
        let ours = secrets.during(async { said() }).await;
        assert_eq!((ours.as_str(), said().as_str()), ("[redacted] is no number", "hunter2 is no number"));
        assert_eq!(secrets.while_blocking(said), ours);
    }

    #[test]
    fn what_a_handler_says_is_masked() {
        entry(|entry| {
            let secrets =
                entry.secrets(&params(r#"{"user":"public","token":"hunter2","a/b":["hunter2 and more","two"]}"#));
            assert_eq!(
                secrets.mask("public: hunter2 and more, or hunter2, two"),
                "public: [redacted], or [redacted], two"
            );
            let json = params(r#"{"n":1,"hunter2":["\u0068unter2",2]}"#);
            assert_eq!(secrets.mask_json(json).get(), r#"{"n":1,"[redacted]":["[redacted]",2]}"#);
            let clean = params(r#"{ "n": 123456789012345678901 }"#);
            assert_eq!(secrets.mask_json(clean.clone()).get(), clean.get());
        });
    }
}
