//! Which mails are out: written down before each and after it.

use super::taken::Taken;
use crate::task::Artifact;
use crate::types::{Context, Failure, Level};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::File;
use std::sync::Arc;
use std::time::Duration;

/// As many errors of a checkpoint are kept in full, of the others only the beginning: the server's code.
const FULL_ERRORS: usize = 100;
/// As much of an error is kept.
const ERROR_CHARS: usize = 200;
/// As much of it is kept when there are many.
const CODE_CHARS: usize = 3;

/// What mails are to become: each kind has its own checkpoints, since a file is no sent mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Files, at most 1,000: each is named with its place.
    Files,
    /// Mails to a server, at most 100,000: a few bytes each.
    Sent,
}

impl Kind {
    /// As many mails stand in one checkpoint: what is written again with each of them stays small, and the names of
    /// a task, a hundred, are enough for all.
    fn in_one(self) -> u32 {
        match self {
            Kind::Files => 100,
            Kind::Sent => 1000,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Kind::Files => "mails",
            Kind::Sent => "sent",
        }
    }
}

/// The mails of a task, by number from 1. No mail that is done is made again. Of the one that was begun and not done when
/// an attempt was lost a file says whether the server took it; where there is none, or it does not say, the mail may be
/// out twice, with the same Message-ID.
pub struct Record<'a> {
    ctx: &'a Context,
    kind: Kind,
    parts: BTreeMap<u32, Part>,
    /// Where the server's answers to this attempt's mails are noted at once.
    taken: Option<Taken>,
    /// The part that is not yet on disk as it is here.
    unsaved: Option<u32>,
    counts: Counts,
}

/// How many mails there are of each kind.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Taken by the server, or kept.
    pub sent: i64,
    /// Refused for good.
    pub refused: i64,
    /// To be tried again.
    pub deferred: i64,
}

/// A checkpoint.
#[derive(Default, Serialize, Deserialize)]
struct Part {
    /// The mail under way.
    begun: Option<u32>,
    /// Where the file lies that says whether the server took it, once nobody holds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    taken: Option<String>,
    done: BTreeMap<u32, Done>,
}

/// What became of a mail.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
#[serde(default)]
pub struct Done {
    /// Which of the three.
    #[serde(skip_serializing_if = "Status::is_sent")]
    pub status: Status,
    /// Why it was not sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The file it is kept as.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<Artifact>,
}

/// What became of a mail, in a word.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// The server took it, or it is kept as a file.
    #[default]
    Sent,
    /// It is refused for good.
    Refused,
    /// It is to be tried again, in another attempt.
    Deferred,
}

impl Status {
    fn is_sent(&self) -> bool {
        *self == Status::Sent
    }
}

impl<'a> Record<'a> {
    /// What earlier attempts wrote down of `total` mails. Their files are this attempt's from now
    /// on; a mail whose file is gone is none. One that is still under way is waited for, for so long at most.
    pub async fn open(ctx: &'a Context, kind: Kind, total: u32, patience: Duration) -> Result<Record<'a>, Failure> {
        let (parts, counts) = (BTreeMap::new(), Counts::default());
        let mut record = Record { ctx, kind, parts, taken: None, unsaved: None, counts };
        for index in 0..total.div_ceil(kind.in_one()) {
            let Some(mut part) = ctx.checkpoint::<Part>(&record.name(index)) else { continue };
            for number in part.done.keys().copied().collect::<Vec<_>>() {
                if let Some(file) = &part.done[&number].file
                    && !ctx.adopt(file).await?
                {
                    ctx.log(Level::Warn, format!("the file of mail {number} is gone: it is written again"));
                    part.done.remove(&number);
                }
            }
            if let (Some(number), Some(location)) = (part.begun, &part.taken) {
                Taken::settled(ctx, location, number, patience).await?;
                if let Some(taken) = Taken::says(ctx, location, number).await? {
                    (part.begun, part.taken) = (None, None);
                    if taken {
                        part.done.insert(number, Done::default());
                        record.unsaved = Some(index);
                    }
                }
            }
            part.done.values().for_each(|done| *record.counts.of(done.status) += 1);
            record.parts.insert(index, part);
        }
        if let Some(next) = (1..=total).find(|number| !record.is_done(*number))
            && !record.parts.is_empty()
        {
            ctx.going_on(record.count(), &format!("mail {next} of {total}"));
        }
        for number in record.parts.values().filter_map(|part| part.begun).filter(|number| !record.is_done(*number)) {
            ctx.log(Level::Warn, format!("mail {number} was begun before: it may be out twice, with one Message-ID"));
        }
        if kind == Kind::Sent {
            record.taken = Taken::open(ctx).await?;
        }
        Ok(record)
    }

    /// Whether earlier attempts wrote down mails of that kind.
    pub fn is_there(ctx: &Context, kind: Kind) -> bool {
        ctx.checkpoint::<Part>(&format!("{}-0", kind.word())).is_some()
    }

    /// Where the server's answers are to be noted before anybody else hears of them.
    pub fn taken(&self) -> Option<Arc<File>> {
        self.taken.as_ref().map(|taken| taken.file.clone())
    }

    /// Whether nothing is left to do for that mail.
    pub fn is_done(&self, number: u32) -> bool {
        self.of(number).is_some_and(|done| done.status != Status::Deferred)
    }

    /// What became of it, if anything did.
    pub fn of(&self, number: u32) -> Option<&Done> {
        self.parts.get(&self.part_of(number))?.done.get(&number)
    }

    /// How many need nothing more.
    pub fn count(&self) -> i64 {
        self.counts.sent + self.counts.refused
    }

    /// How many there are of each.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// To be said before a mail goes out: on disk when this returns, and with it all that was noted.
    pub async fn begin(&mut self, number: u32) -> Result<(), Failure> {
        let part = self.part_of(number);
        if self.unsaved.is_some_and(|unsaved| unsaved != part) {
            self.flush().await?;
        }
        let taken = self.taken.as_ref().map(|taken| taken.location.clone());
        let entry = self.parts.entry(part).or_default();
        (entry.begun, entry.taken) = (Some(number), taken);
        self.unsaved = Some(part);
        self.flush().await
    }

    /// To be said once it is known what became of a mail. On disk with the next [`Record::begin`] or
    /// [`Record::flush`], which must follow at once: what happens between counts as not written down, but for what
    /// stands in [`Record::taken`].
    pub async fn note(&mut self, number: u32, mut done: Done) -> Result<(), Failure> {
        let index = self.part_of(number);
        if self.unsaved.is_some_and(|unsaved| unsaved != index) {
            self.flush().await?;
        }
        let part = self.parts.entry(index).or_default();
        let many = part.done.values().filter(|done| done.error.is_some()).count() >= FULL_ERRORS;
        let most = if many { CODE_CHARS } else { ERROR_CHARS };
        done.error = done.error.map(|error| error.chars().take(most).collect());
        (part.begun, part.taken) = (None, None);
        *self.counts.of(done.status) += 1;
        if let Some(before) = part.done.insert(number, done) {
            *self.counts.of(before.status) -= 1;
        }
        self.unsaved = Some(index);
        Ok(())
    }

    /// [`Record::note`], on disk when this returns.
    pub async fn done(&mut self, number: u32, done: Done) -> Result<(), Failure> {
        self.note(number, done).await?;
        self.flush().await
    }

    /// Writes down what was noted, if it is not yet.
    pub async fn flush(&mut self) -> Result<(), Failure> {
        let Some(index) = self.unsaved else { return Ok(()) };
        self.ctx.save(&self.name(index), &self.parts[&index]).await?;
        self.unsaved = None;
        Ok(())
    }

    /// Numbers begin at 1.
    fn part_of(&self, number: u32) -> u32 {
        (number - 1) / self.kind.in_one()
    }

    fn name(&self, index: u32) -> String {
        format!("{}-{index}", self.kind.word())
    }
}

impl Counts {
    fn of(&mut self, status: Status) -> &mut i64 {
        match status {
            Status::Sent => &mut self.sent,
            Status::Refused => &mut self.refused,
            Status::Deferred => &mut self.deferred,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::smtp::{Answer, Fault};
    use super::super::taken;
    use super::*;
    use crate::types::context::trial::Trial;

    async fn open(ctx: &Context, total: u32) -> Record<'_> {
        Record::open(ctx, Kind::Sent, total, Duration::from_secs(60)).await.unwrap()
    }

    async fn bytes(done: Done) -> usize {
        let trial = Trial::new();
        let ctx = trial.attempt();
        let mut record = open(&ctx, 1000).await;
        for number in 1..=1000 {
            record.note(number, done.clone()).await.unwrap();
        }
        record.flush().await.unwrap();
        trial.checkpoint("sent-0").unwrap().to_string().len()
    }

    #[tokio::test]
    async fn a_thousand_mails_take_a_few_kilobytes_whatever_became_of_them() {
        assert!(bytes(Done::default()).await < 10_000);
        let refused = Done { status: Status::Refused, error: Some("550 ".repeat(100)), file: None };
        assert!(bytes(refused).await < 80_000);
    }

    #[tokio::test]
    async fn what_the_server_took_is_known_to_the_next_attempt_before_it_is_saved() {
        let trial = Trial::new();
        let ctx = trial.attempt();
        let mut record = open(&ctx, 1001).await;
        record.begin(999).await.unwrap();
        record.note(999, Done { status: Status::Refused, ..Done::default() }).await.unwrap();
        record.begin(1000).await.unwrap();
        taken::note(&record.taken().unwrap(), 1000, &Ok(Answer::Sent));
        drop(record);
        let saved = trial.checkpoint("sent-0").unwrap();
        assert_eq!(saved["begun"], 1000);

        let ctx = trial.attempt();
        let mut again = open(&ctx, 1001).await;
        assert!(again.is_done(1000) && !again.is_done(1001));
        assert_eq!(again.counts(), Counts { sent: 1, refused: 1, deferred: 0 });
        again.begin(1001).await.unwrap();
        drop(again);
        trial.delete(saved["taken"].as_str().unwrap()).await;
        let ctx = trial.attempt();
        let third = open(&ctx, 1001).await;
        assert!(third.is_done(1000) && !third.is_done(1001), "it is saved by now");
        assert!(trial.checkpoint("sent-1").unwrap()["taken"].as_str().unwrap().ends_with("/taken.txt"));
    }

    #[tokio::test]
    async fn a_mail_that_may_be_out_is_sent_again_with_a_warning_and_one_that_is_not_without() {
        let silent = Ok(Answer::Unsure(String::new()));
        let busy = Ok(Answer::Deferred(String::new()));
        for (answer, warned) in [(silent, true), (busy, false), (Err(Fault::Line(String::new())), false)] {
            let trial = Trial::new();
            let ctx = trial.attempt();
            let mut record = open(&ctx, 20).await;
            record.begin(2).await.unwrap();
            taken::note(&record.taken().unwrap(), 2, &Ok(Answer::Sent));
            record.note(2, Done::default()).await.unwrap();
            record.begin(12).await.unwrap();
            taken::note(&record.taken().unwrap(), 12, &answer);
            drop(record);
            let ctx = trial.attempt();
            let again = open(&ctx, 20).await;
            assert!(again.is_done(2) && !again.is_done(12));
            let told = ctx.take_said().1.iter().any(|line| line.message.contains("it may be out twice"));
            assert_eq!(told, warned, "{answer:?}");
        }
    }

    #[tokio::test]
    async fn a_mail_of_which_the_file_is_gone_is_sent_again() {
        let trial = Trial::new();
        let ctx = trial.attempt();
        let mut record = open(&ctx, 20).await;
        record.begin(3).await.unwrap();
        taken::note(&record.taken().unwrap(), 3, &Ok(Answer::Sent));
        trial.delete(trial.checkpoint("sent-0").unwrap()["taken"].as_str().unwrap()).await;
        assert!(!open(&trial.attempt(), 20).await.is_done(3));
    }

    #[tokio::test]
    async fn a_mail_under_way_is_waited_for_until_its_answer_is_noted_and_no_longer_than_it_may_take() {
        let trial = Trial::new();
        let ctx = trial.attempt();
        let mut record = open(&ctx, 20).await;
        record.begin(3).await.unwrap();
        let held = record.taken().unwrap();
        drop(record);
        let hasty = trial.attempt();
        let again = Record::open(&hasty, Kind::Sent, 20, Duration::from_millis(100)).await.unwrap();
        assert!(!again.is_done(3), "whoever holds it stands still");
        let ctx = trial.attempt();
        let answered = async {
            while !ctx.take_said().1.iter().any(|line| line.message.contains("waiting for the server's answer")) {
                tokio::task::yield_now().await;
            }
            taken::note(&held, 3, &Ok(Answer::Sent));
            drop(held);
        };
        let (again, ()) = tokio::join!(open(&ctx, 20), answered);
        assert!(again.is_done(3));
    }

    #[tokio::test]
    async fn what_is_noted_is_on_disk_with_the_next_that_is_begun_even_in_another_part() {
        let trial = Trial::new();
        let ctx = trial.attempt();
        let mut record = open(&ctx, 1001).await;
        record.begin(1000).await.unwrap();
        record.note(1000, Done::default()).await.unwrap();
        assert_eq!(trial.checkpoint("sent-0").unwrap()["begun"], 1000, "not yet");
        record.begin(1001).await.unwrap();
        drop(record);
        let ctx = trial.attempt();
        let again = open(&ctx, 1001).await;
        assert!(again.is_done(1000) && !again.is_done(1001));
        assert_eq!(again.counts(), Counts { sent: 1, ..Counts::default() });
        assert_eq!(trial.checkpoint("sent-1").unwrap()["begun"], 1001);
    }
}
