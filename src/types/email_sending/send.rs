//! One attempt of the second form: whoever has not got a mail gets one.

use super::attached::attached;
use super::letter::{Letter, Stationery};
use super::own::Own;
use super::recipients::{Recipient, Recipients};
use super::record::{Done, Kind, Record, Status};
use super::room::Room;
use super::server::Mailing;
use super::smtp::{Answer, Fault};
use super::template::Templates;
use crate::files;
use crate::task::text::escaped;
use crate::types::csv_processing::table;
use crate::types::{Context, Failure, Level};
use lettre::message::Mailbox;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::time::{Instant, sleep};

/// Without a server so many mails are kept at most, a file each.
const MAX_FILES: usize = 1000;
/// The result lists as many; the others stand in a file.
const LISTED: usize = 1000;
/// An attempt that is told to stop waits so long for the answer to the mail that is on its way.
const LAST_ANSWER: Duration = Duration::from_millis(400);
/// No mail has more in text and HTML.
const MAX_TEXT_BYTES: u64 = 2 * (4 << 20);
/// So many mails after each other at which the connection broke end the attempt: it is not about their recipients.
const BROKEN_IN_A_ROW: u32 = 3;

/// Where mails go.
pub struct Post {
    /// The operator's settings.
    pub mailing: Mailing,
    /// The way to the server, if there is one; else each mail becomes a file.
    pub room: Option<Room>,
}

/// Sends what is not sent.
pub async fn run(own: &Own, post: &Post, ctx: &Context) -> Result<Value, Failure> {
    let unread = |wrong: Vec<(&str, String)>| Failure::fatal("invalid_params", format!("{wrong:?}"));
    let templates = Templates::new(&own.parts()).map_err(unread)?;
    let recipients = recipients(own, &templates, ctx).await?;
    let total = recipients.all.len();
    let kind = if post.room.is_some() { Kind::Sent } else { Kind::Files };
    if kind == Kind::Files && total > MAX_FILES {
        let message =
            format!("no mail server is set (ERRAND_SMTP_URL), and without one at most {MAX_FILES} mails are kept");
        return Err(Failure::fatal("no_mail_server", message));
    }
    if kind == Kind::Files && Record::is_there(ctx, Kind::Sent) {
        let message = "this node has no mail server (ERRAND_SMTP_URL), and others sent mails of this task by one";
        return Err(Failure::retry("no_mail_server", message));
    }
    if recipients.duplicates > 0 {
        ctx.log(Level::Info, format!("{} addresses are there twice: each gets one mail", recipients.duplicates));
    }
    let stationery = stationery(own, templates, post, ctx).await?;
    let patience = post.mailing.patience.of_mail(largest(own, ctx));
    let record = Record::open(ctx, kind, total as u32, patience).await?;
    let mut mailing = Run { post, ctx, stationery, record, pace: Pace::new(own), total: total as i64, broken: 0 };
    let ended = mailing.all(&recipients).await;
    // Whatever ended it: what is known is written down.
    mailing.record.flush().await?;
    ended?;
    mailing.result(&recipients).await
}

/// The recipients, from the params or the table.
async fn recipients(own: &Own, templates: &Templates<'_>, ctx: &Context) -> Result<Recipients, Failure> {
    if let Some(given) = &own.recipients {
        let wrong = |errors| Failure::fatal("invalid_params", format!("{errors:?}"));
        return Recipients::inline(given, &own.columns(templates)).map_err(wrong);
    }
    let file = own.file_id.ok_or_else(|| Failure::fatal("invalid_params", "there are no recipients"))?;
    let input = ctx.input(file)?;
    table::is_text(input)?;
    let (bytes, reader, wanted) = (input.bytes, ctx.read(input, 0).await?, own.columns(templates));
    ctx.blocking(move |ctx| Recipients::of_table(Box::new(reader.into_blocking()), bytes, &wanted, ctx)).await
}

async fn stationery<'a>(
    own: &'a Own,
    templates: Templates<'a>,
    post: &Post,
    ctx: &Context,
) -> Result<Stationery<'a>, Failure> {
    let invalid = |why: String| Failure::fatal("invalid_params", why);
    let reply_to = own.reply_to.as_deref().map(super::address::parse).transpose().map_err(invalid)?;
    let from = post.mailing.from.clone();
    Ok(Stationery {
        templates,
        parts: own.parts().into_iter().map(|(part, _)| part).collect(),
        from: Mailbox { name: own.from_name.clone().or(from.name), email: from.email },
        reply_to: reply_to.map(|address| Mailbox::new(None, address)),
        in_reply_to: own.in_reply_to.clone(),
        attachments: attached(own, ctx).await?,
        task: ctx.task_id(),
    })
}

/// No mail of this task is larger: what is no text in it is written as text.
fn largest(own: &Own, ctx: &Context) -> u64 {
    let attached = own.attachments.iter().filter_map(|id| ctx.input(*id).ok()).map(|input| input.bytes);
    (attached.sum::<u64>() + MAX_TEXT_BYTES) * 3 / 2
}

/// What comes of it, if it comes soon once the attempt is told to stop.
async fn unless_stopped<T>(ctx: &Context, work: impl Future<Output = T>) -> Result<T, Failure> {
    tokio::select! {
        biased;
        done = work => Ok(done),
        () = async { ctx.stopped().await; sleep(LAST_ANSWER).await } => Err(Failure::Stopped),
    }
}

/// An attempt under way.
struct Run<'a> {
    post: &'a Post,
    ctx: &'a Context,
    stationery: Stationery<'a>,
    record: Record<'a>,
    pace: Pace,
    total: i64,
    /// How many mails the connection broke at, one after the other.
    broken: u32,
}

impl Run<'_> {
    async fn all(&mut self, recipients: &Recipients) -> Result<(), Failure> {
        for (number, recipient) in (1..).zip(&recipients.all) {
            if self.record.is_done(number) {
                continue;
            }
            self.ctx.check()?;
            let done = match self.stationery.letter(number, recipient) {
                Ok(letter) => self.one(number, &letter).await?,
                Err(why) => Done { status: Status::Refused, error: Some(why), file: None },
            };
            self.tell(number, recipient, &done);
            self.record.note(number, done).await?;
            let counts = self.record.counts();
            for (name, count) in
                [("emails_sent", counts.sent), ("emails_refused", counts.refused), ("emails_deferred", counts.deferred)]
            {
                self.ctx.metric(name, count as f64);
            }
            self.ctx.progress(self.record.count(), self.total, Some(format!("mail {number} to {}", recipient.to)));
            if i64::from(number) < self.total {
                self.pace.after(self.ctx, &mut self.record).await?;
            }
        }
        Ok(())
    }

    /// One mail, from the note that it is begun to what became of it.
    async fn one(&mut self, number: u32, letter: &Letter) -> Result<Done, Failure> {
        self.pace.before(self.ctx, &mut self.record).await?;
        let Some(room) = &self.post.room else {
            self.record.begin(number).await?;
            let mut output = self.ctx.output(&artifact(number), "message/rfc822").await?;
            output.writer.write_all(&letter.mail).await.map_err(files::Error::from)?;
            return Ok(Done { file: Some(output.keep().await?), ..Done::default() });
        };
        // The server is asked for its word meanwhile, and has the mail only once it is down as begun.
        let (taken, ctx) = (self.record.taken(), self.ctx);
        let handing = unless_stopped(ctx, room.hand_in(number, &letter.envelope, &letter.mail, taken.as_deref()));
        let (begun, handed) = tokio::join!(self.record.begin(number), handing);
        begun?;
        let answer = match handed? {
            Ok(handed) => unless_stopped(ctx, handed.send()).await?,
            Err(fault) => Err(fault),
        };
        let deferred = |why| Done { status: Status::Deferred, error: Some(why), file: None };
        let (done, broke) = match answer {
            Ok(Answer::Sent) => (Done::default(), false),
            Ok(Answer::Refused(why)) => (Done { status: Status::Refused, error: Some(why), file: None }, false),
            Ok(Answer::Deferred(why)) => (deferred(why), false),
            Ok(Answer::Unsure(why)) => (deferred(format!("it may be out: {why}")), true),
            Err(Fault::Line(why)) => (deferred(why), true),
            Err(Fault::End { again: true, code, message }) => return Err(Failure::Retry { code, message }),
            Err(Fault::End { again: false, code, message }) => return Err(Failure::Fatal { code, message }),
        };
        self.broken = if broke { self.broken + 1 } else { 0 };
        if self.broken >= BROKEN_IN_A_ROW {
            let why = done.error.clone().unwrap_or_default();
            self.record.note(number, done).await?;
            let message = format!(
                "the connection to the mail server broke at {BROKEN_IN_A_ROW} mails one after the other: {why}"
            );
            return Err(Failure::retry("mail_server_broke", message));
        }
        Ok(done)
    }

    fn tell(&self, number: u32, recipient: &Recipient, done: &Done) {
        let why = done.error.as_deref().unwrap_or_default();
        match done.status {
            Status::Sent => {}
            Status::Refused => {
                self.ctx.log(Level::Warn, format!("mail {number} to {} is refused: {why}", recipient.to))
            }
            Status::Deferred => {
                self.ctx.log(Level::Warn, format!("mail {number} to {} is deferred: {why}", recipient.to))
            }
        }
    }

    /// The result, if nobody is left who may still get a mail.
    async fn result(self, recipients: &Recipients) -> Result<Value, Failure> {
        let counts = self.record.counts();
        let of_all = format!("of {} mails {} are sent, {} refused", self.total, counts.sent, counts.refused);
        let first = |status| {
            let found = (1..).zip(&recipients.all).find_map(|(number, recipient)| {
                let done = self.record.of(number).filter(|done| done.status == status)?;
                Some(format!("{}: {}", recipient.to, done.error.as_deref().unwrap_or_default()))
            });
            found.unwrap_or_default()
        };
        if counts.deferred > 0 {
            let first = first(Status::Deferred);
            let message = format!("{of_all}, {} deferred; the first to {}", counts.deferred, escaped(&first, 500));
            return Err(Failure::retry("mails_deferred", message));
        }
        if counts.sent == 0 {
            return Err(Failure::fatal("no_mail_sent", format!("{of_all}; the first to {}", first(Status::Refused))));
        }
        let truncated = recipients.all.len() > LISTED;
        if truncated {
            let mut list = self.ctx.output("emails.ndjson", "application/x-ndjson").await?;
            for (number, recipient) in (1..).zip(&recipients.all) {
                let line = format!("{}\n", self.line(number, recipient));
                list.writer.write_all(line.as_bytes()).await.map_err(files::Error::from)?;
            }
            list.keep().await?;
        }
        let listed = (1..).zip(&recipients.all).take(LISTED);
        let emails: Vec<Value> = listed.map(|(number, recipient)| self.line(number, recipient)).collect();
        Ok(json!({
            "emails_sent": counts.sent, "emails_refused": counts.refused, "emails_deferred": counts.deferred,
            "duplicates": recipients.duplicates, "bad_rows": recipients.bad_rows,
            "emails": emails, "truncated": truncated,
        }))
    }

    fn line(&self, number: u32, recipient: &Recipient) -> Value {
        let done = self.record.of(number).cloned().unwrap_or_default();
        let mut line =
            json!({ "to": recipient.to, "status": done.status, "message_id": self.stationery.message_id(number) });
        if let Some(error) = done.error {
            line["error"] = error.into();
        }
        if done.file.is_some() {
            line["artifact"] = artifact(number).into();
        }
        line
    }
}

fn artifact(number: u32) -> String {
    format!("mail-{number:04}.eml")
}

/// When the next mail may leave. What is known is written down before anything is waited for.
struct Pace {
    delay: Duration,
    every: Option<Duration>,
    next: Option<Instant>,
}

impl Pace {
    fn new(own: &Own) -> Pace {
        let every = own.max_per_second.map(|rate| Duration::from_secs_f64(1.0 / rate));
        Pace { delay: Duration::from_secs_f64(own.delay_per_email), every, next: None }
    }

    async fn before(&mut self, ctx: &Context, record: &mut Record<'_>) -> Result<(), Failure> {
        let Some(every) = self.every else { return Ok(()) };
        let now = Instant::now();
        let at = self.next.map_or(now, |next| next.max(now));
        if at > now {
            record.flush().await?;
            ctx.sleep(at - now).await?;
        }
        self.next = Some(at + every);
        Ok(())
    }

    async fn after(&self, ctx: &Context, record: &mut Record<'_>) -> Result<(), Failure> {
        if self.delay.is_zero() {
            return Ok(());
        }
        record.flush().await?;
        ctx.sleep(self.delay).await
    }
}
