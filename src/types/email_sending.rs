//! `email_sending`: builds mails and keeps each as an `.eml` file one can open.

mod record;

use super::{Context, Failure, TaskType, schema};
use crate::files;
use crate::task::text::FieldError;
use async_trait::async_trait;
use lettre::Message;
use lettre::message::header::ContentType;
use record::Record;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};
use std::time::Duration;
use tokio::io::AsyncWriteExt;

/// Who writes.
const FROM: &str = "errand@example.com";
/// A longer subject is refused: a mail's header line has its limits.
const MAX_SUBJECT_BYTES: usize = 900;

/// Writes mails to made-up people and keeps each as a file.
pub struct EmailSending;

/// What it takes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Params {
    /// How many mails.
    #[schemars(range(min = 1, max = 100))]
    num_emails: u32,
    /// Their subject; at most 900 bytes, no control characters.
    #[schemars(length(min = 1, max = 900))]
    subject: String,
    /// How long to wait after each, in seconds.
    #[schemars(range(min = 0.0, max = 5.0))]
    delay_per_email: f64,
}

impl Default for Params {
    fn default() -> Params {
        Params { num_emails: 10, subject: "Hello from Errand".to_owned(), delay_per_email: 0.0 }
    }
}

#[async_trait]
impl TaskType for EmailSending {
    fn name(&self) -> &'static str {
        "email_sending"
    }

    fn description(&self) -> &'static str {
        "Writes mails to made-up recipients and keeps each as an .eml file one can open."
    }

    fn params_schema(&self) -> Value {
        schema::of::<Params>()
    }

    fn result_schema(&self) -> Value {
        json!({ "type": "object", "properties": {
            "emails_sent": { "type": "integer" },
            "emails": { "type": "array", "items": { "type": "object", "properties": {
                "to": { "type": "string" }, "status": { "enum": ["sent"] }, "message_id": { "type": "string" },
                "artifact": { "type": "string" },
            } } },
        }, "required": ["emails_sent", "emails"] })
    }

    fn examples(&self) -> Vec<Value> {
        vec![
            json!({ "num_emails": 5, "subject": "Hello from Errand" }),
            json!({ "num_emails": 10, "subject": "Slowly", "delay_per_email": 0.5 }),
        ]
    }

    fn check(&self, params: &Value) -> Vec<FieldError> {
        let subject = params["subject"].as_str().unwrap_or_default();
        let mut errors = Vec::new();
        if subject.len() > MAX_SUBJECT_BYTES {
            errors.push(FieldError::new("/subject", format!("must be at most {MAX_SUBJECT_BYTES} bytes")));
        }
        if subject.chars().any(char::is_control) {
            errors.push(FieldError::new("/subject", "must not contain control characters"));
        }
        errors
    }

    async fn run(&self, params: &RawValue, ctx: &Context) -> Result<Box<RawValue>, Failure> {
        let params: Params = ctx.params(params)?;
        let mut record = Record::open(ctx, params.num_emails).await?;
        for number in 1..=params.num_emails {
            if record.is_done(number) {
                continue;
            }
            ctx.check()?;
            let (to, artifact) = (format!("user{number}@example.com"), format!("mail-{number:03}.eml"));
            // The same for every attempt, so that a mail sent twice shows as one.
            let message_id = format!("<{}.{number}@errand.example.com>", ctx.task_id());
            let mail = mail(&to, &params.subject, number, &message_id).map_err(|error| unbuilt(&error.to_string()))?;
            record.begin(number).await?;
            let mut output = ctx.output(&artifact, "message/rfc822").await?;
            output.writer.write_all(&mail.formatted()).await.map_err(files::Error::from)?;
            let file = output.keep().await?;
            let line = json!({ "to": to, "status": "sent", "message_id": message_id, "artifact": artifact });
            record.done(number, line, Some(file)).await?;
            ctx.progress(record.count(), params.num_emails.into(), Some(format!("mail {number} to {to}")));
            ctx.sleep(Duration::from_secs_f64(params.delay_per_email)).await?;
        }
        let emails = record.lines();
        ctx.result(&json!({ "emails_sent": emails.len(), "emails": emails }))
    }
}

fn mail(
    to: &str,
    subject: &str,
    number: u32,
    message_id: &str,
) -> Result<Message, Box<dyn std::error::Error + Send + Sync>> {
    let builder = Message::builder().from(FROM.parse()?).to(to.parse()?).subject(subject);
    let builder = builder.message_id(Some(message_id.to_owned())).date_now().header(ContentType::TEXT_PLAIN);
    Ok(builder.body(format!("Hello,\n\nthis is mail {number}, written by a task of Errand.\n"))?)
}

fn unbuilt(why: &str) -> Failure {
    Failure::fatal("invalid_mail", format!("the mail cannot be written: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Types;
    use crate::types::context::trial::Trial;

    fn errors(params: Value) -> Vec<FieldError> {
        let types = Types::new(vec![Box::new(EmailSending)]);
        let params = serde_json::value::to_raw_value(&params).unwrap();
        types.iter().next().unwrap().check(&params).err().unwrap_or_default()
    }

    #[tokio::test]
    async fn every_mail_is_kept_as_a_file() {
        let left = Trial::new().run(EmailSending, json!({ "num_emails": 2, "subject": "Grüße" })).await;
        let mail = String::from_utf8(left.output("mail-002.eml").to_vec()).unwrap();
        assert!(mail.contains("To: user2@example.com\r\n") && mail.contains("this is mail 2"), "{mail}");
        assert!(mail.contains("Subject: =?utf-8?"), "{mail}");
        let result = left.result();
        assert_eq!((&result["emails_sent"], &result["emails"][1]["to"]), (&json!(2), &json!("user2@example.com")));
        let id = result["emails"][1]["message_id"].as_str().unwrap();
        assert!(mail.contains(&format!("Message-ID: {id}\r\n")), "{mail}");
    }

    #[tokio::test]
    async fn a_long_subject_makes_no_header_of_its_own() {
        let subject = "Bcc: a@example.com ".repeat(47);
        let left = Trial::new().run(EmailSending, json!({ "num_emails": 1, "subject": subject })).await;
        let mail = String::from_utf8(left.output("mail-001.eml").to_vec()).unwrap();
        assert!(mail.lines().all(|line| !line.starts_with("Bcc") && line.len() <= 998), "{mail}");
    }

    #[test]
    fn a_subject_with_line_ends_or_too_long_is_refused() {
        for subject in ["", "a\r\nBcc: b@example.com", "a\u{7f}", &"ä".repeat(451), &"x".repeat(901)] {
            assert_eq!(errors(json!({ "subject": subject })).len(), 1, "{subject:?}");
        }
        assert!(errors(json!({ "subject": "x".repeat(900) })).is_empty());
        assert_eq!(errors(json!({ "num_emails": 101 }))[0].detail, "must be 1 to 100");
    }

    #[test]
    fn the_defaults_of_the_schema_are_those_of_the_code() {
        let defaults = schema::Schema::new(EmailSending.params_schema()).defaults();
        assert_eq!(defaults, json!({ "num_emails": 10, "subject": "Hello from Errand", "delay_per_email": 0.0 }));
    }

    #[tokio::test]
    async fn a_mail_that_is_written_down_as_sent_is_not_made_again() {
        let trial = Trial::new();
        let params = json!({ "num_emails": 5 });
        // Each mail saves twice: the third is begun and kept, but not written down as sent.
        trial.lose_after(5);
        let lost = trial.run(EmailSending, params.clone()).await;
        assert_eq!((lost.locations.len(), lost.code().as_str()), (3, "stopped"));
        trial.lose_after(usize::MAX);
        let left = trial.run(EmailSending, params).await;
        assert!(left.log[0].starts_with("going on from mail 3 of 5"), "{:?}", left.log);
        assert!(left.log[1].starts_with("mail 3 was begun before"), "{:?}", left.log);
        let attempts = left.locations.iter().map(|location| location.contains("0001/mail"));
        assert_eq!(attempts.collect::<Vec<_>>(), [true, true, false, false, false], "{:?}", left.locations);
        let ids: Vec<String> = left.outputs.iter().map(|(_, mail)| message_id(mail)).collect();
        let result = left.result();
        assert_eq!(result["emails_sent"], 5);
        let told = result["emails"].as_array().unwrap().iter().map(|email| email["message_id"].as_str().unwrap());
        assert_eq!(told.collect::<Vec<_>>(), ids);
    }

    fn message_id(mail: &[u8]) -> String {
        let text = std::str::from_utf8(mail).unwrap();
        text.lines().find_map(|line| line.strip_prefix("Message-ID: ")).unwrap().to_owned()
    }

    #[tokio::test]
    async fn it_stops_when_told() {
        let trial = Trial::new();
        trial.stop.cancel();
        assert_eq!(trial.run(EmailSending, json!({})).await.code(), "stopped");
    }
}
