//! `email_sending`: mails of its own making, kept as files, or the user's own, sent by the operator's server.

mod address;
mod attached;
mod connect;
mod letter;
pub mod look;
mod made;
mod names;
mod own;
mod recipients;
mod record;
mod room;
mod send;
mod serve;
mod server;
mod smtp;
mod stream;
mod taken;
mod template;
#[cfg(test)]
mod tests;
mod wire;

use super::{AnyType, Context, Failure, schema};
use crate::task::text::FieldError;
use async_trait::async_trait;
use made::Made;
use own::Own;
use room::Room;
use send::Post;
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

pub use serve::serve_mails;
pub use server::{Encryption, MailProgram, MailServer, Mailing, Patience};

/// A longer subject is refused: a mail's header line has its limits.
const MAX_SUBJECT_BYTES: usize = 900;
/// What is said of a line break where there must be none.
const CONTROLS: &str = "must not contain control characters";

/// Writes mails: to made-up people, each kept as a file, or to one's own.
pub struct EmailSending {
    post: Post,
}

/// What it takes. The members told apart make the form.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Params {
    Made(Made),
    Own(Box<Own>),
}

impl EmailSending {
    /// With the operator's settings.
    pub fn new(mailing: Mailing) -> EmailSending {
        let room = mailing.server.as_ref().map(|server| Room::new(&mailing, server));
        EmailSending { post: Post { mailing, room } }
    }
}

#[async_trait]
impl AnyType for EmailSending {
    fn name(&self) -> &'static str {
        "email_sending"
    }

    fn description(&self) -> &'static str {
        "Sends your mails from templates to a list or a table of people; without a mail server, and to made-up people, \
         each is kept as an .eml file one can open."
    }

    fn params_schema(&self) -> Value {
        schema::forms(&[("Made-up recipients", schema::of::<Made>()), ("Your own mails", schema::of::<Own>())])
    }

    fn result_schema(&self) -> Value {
        let deferred = "Always 0: a task with deferred mails is not SUCCESS.";
        let truncated = "Whether emails lists the first 1,000 only; emails.ndjson lists all.";
        let text = json!({ "type": "string" });
        json!({ "type": "object", "properties": {
            "emails_sent": { "type": "integer" }, "emails_refused": { "type": "integer" },
            "emails_deferred": { "type": "integer", "description": deferred },
            "duplicates": { "type": "integer" }, "bad_rows": { "type": "integer" },
            "truncated": { "type": "boolean", "description": truncated },
            "emails": { "type": "array", "items": { "type": "object", "properties": {
                "to": text, "status": { "enum": ["sent", "refused"] }, "message_id": text, "error": text, "artifact": text,
            } } },
        }, "required": ["emails_sent", "emails"] })
    }

    fn examples(&self) -> Vec<Value> {
        let people = json!([
            { "email": "ann@example.org", "name": "Ann", "city": "Rome" },
            { "email": "bob@example.org", "name": "Bob", "city": "Lima" },
        ]);
        vec![
            json!({ "num_emails": 5, "subject": "Hello from Errand" }),
            json!({ "num_emails": 10, "subject": "Slowly", "delay_per_email": 0.5 }),
            json!({
                "recipients": people,
                "subject": "News from {{city}}",
                "body": "Dear {{name}},\n\nthere is news from {{city}}.\n",
            }),
        ]
    }

    fn check(&self, params: &Value) -> Vec<FieldError> {
        match serde_json::from_value(params.clone()) {
            Ok(Params::Made(made)) => made.check(),
            Ok(Params::Own(own)) => own.check(),
            Err(error) => vec![FieldError::new("", error.to_string())],
        }
    }

    fn too_large(&self, inputs: &[(&str, u64)]) -> Option<String> {
        let attached = inputs.iter().filter(|(pointer, _)| pointer.starts_with("/attachments/"));
        let bytes: u64 = attached.map(|(_, bytes)| bytes).sum();
        (bytes > own::MAX_ATTACHED_BYTES)
            .then(|| format!("the attachments have {bytes} bytes: at most 25 MiB together"))
    }

    fn saves_work(&self, _: &str) -> bool {
        true
    }

    async fn run(&self, params: &RawValue, ctx: &Context) -> Result<Box<RawValue>, Failure> {
        let result = match ctx.params(params)? {
            Params::Made(made) => made.run(ctx).await?,
            Params::Own(own) => send::run(&own, &self.post, ctx).await?,
        };
        ctx.result(&result)
    }
}

/// What is wrong with a subject; `None` when nothing is.
fn header_error(subject: &str) -> Option<String> {
    if subject.len() > MAX_SUBJECT_BYTES {
        return Some(format!("must be at most {MAX_SUBJECT_BYTES} bytes"));
    }
    subject.chars().any(char::is_control).then(|| CONTROLS.to_owned())
}
