//! The first form: mails to made-up people, each kept as a file.

use super::letter::unbuilt;
use super::record::{Done, Kind, Record};
use super::{MAX_SUBJECT_BYTES, header_error};
use crate::files;
use crate::task::text::FieldError;
use crate::types::{Context, Failure};
use lettre::Message;
use lettre::message::SinglePart;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::io::AsyncWriteExt;

/// Who writes.
pub const FROM: &str = "errand@example.com";

/// Mails to people who are made up; each is kept as a file.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Made {
    /// How many mails.
    #[schemars(range(min = 1, max = 100))]
    num_emails: u32,
    /// Their subject; at most 900 bytes, no control characters.
    #[schemars(length(min = 1, max = MAX_SUBJECT_BYTES))]
    subject: String,
    /// How long to wait after each, in seconds.
    #[schemars(range(min = 0.0, max = 5.0))]
    delay_per_email: f64,
}

impl Default for Made {
    fn default() -> Made {
        Made { num_emails: 10, subject: "Hello from Errand".to_owned(), delay_per_email: 0.0 }
    }
}

impl Made {
    /// What the schema cannot say.
    pub fn check(&self) -> Vec<FieldError> {
        let wrong = header_error(&self.subject);
        wrong.into_iter().map(|wrong| FieldError::new("/subject", wrong)).collect()
    }

    /// One attempt.
    pub async fn run(&self, ctx: &Context) -> Result<Value, Failure> {
        let mut record = Record::open(ctx, Kind::Files, self.num_emails, Duration::ZERO).await?;
        for number in 1..=self.num_emails {
            if record.is_done(number) {
                continue;
            }
            ctx.check()?;
            let (to, artifact, message_id) = (to(number), artifact(number), message_id(ctx, number));
            let mail = mail(&to, &self.subject, number, &message_id).map_err(|error| unbuilt(&error.to_string()))?;
            record.begin(number).await?;
            let mut output = ctx.output(&artifact, "message/rfc822").await?;
            output.writer.write_all(&mail.formatted()).await.map_err(files::Error::from)?;
            let file = Some(output.keep().await?);
            record.done(number, Done { file, ..Done::default() }).await?;
            ctx.progress(record.count(), self.num_emails.into(), Some(format!("mail {number} to {to}")));
            ctx.sleep(Duration::from_secs_f64(self.delay_per_email)).await?;
        }
        let line = |number| {
            let (to, message_id, artifact) = (to(number), message_id(ctx, number), artifact(number));
            json!({ "to": to, "status": "sent", "message_id": message_id, "artifact": artifact })
        };
        let emails: Vec<Value> = (1..=self.num_emails).map(line).collect();
        Ok(json!({ "emails_sent": emails.len(), "emails": emails }))
    }
}

fn to(number: u32) -> String {
    format!("user{number}@example.com")
}

fn artifact(number: u32) -> String {
    format!("mail-{number:03}.eml")
}

/// The same for every attempt, so that a mail sent twice shows as one.
fn message_id(ctx: &Context, number: u32) -> String {
    format!("<{}.{number}@errand.example.com>", ctx.task_id())
}

fn mail(
    to: &str,
    subject: &str,
    number: u32,
    message_id: &str,
) -> Result<Message, Box<dyn std::error::Error + Send + Sync>> {
    let builder = Message::builder().from(FROM.parse()?).to(to.parse()?).subject(subject);
    let builder = builder.message_id(Some(message_id.to_owned())).date_now();
    let text = format!("Hello,\n\nthis is mail {number}, written by a task of Errand.\n");
    Ok(builder.singlepart(SinglePart::plain(text))?)
}
