//! Which mails are out: written down before each and after it.

use crate::task::Artifact;
use crate::types::{Context, Failure, Level};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// As many mails stand in one checkpoint: what is written again with each of them stays small, and
/// the names of a task are enough for 10,000.
const MAILS_IN_ONE: u32 = 100;

/// The mails of a task, by number. No mail that is done is made again; the one that was begun and
/// not done when an attempt was lost may be out twice, with the same Message-ID.
pub struct Record<'a> {
    ctx: &'a Context,
    parts: BTreeMap<u32, Part>,
}

/// A checkpoint: a hundred mails.
#[derive(Default, Serialize, Deserialize)]
struct Part {
    /// The mail under way.
    begun: Option<u32>,
    done: BTreeMap<u32, Done>,
}

/// A mail that is out.
#[derive(Serialize, Deserialize)]
struct Done {
    /// Its line in the result.
    line: Value,
    /// The file it is kept as.
    file: Option<Artifact>,
}

impl<'a> Record<'a> {
    /// What earlier attempts wrote down of `total` mails. Their files are this attempt's from now
    /// on; a mail whose file is gone is none.
    pub async fn open(ctx: &'a Context, total: u32) -> Result<Record<'a>, Failure> {
        let mut record = Record { ctx, parts: BTreeMap::new() };
        for index in 0..total.div_ceil(MAILS_IN_ONE) {
            let Some(mut part) = ctx.checkpoint::<Part>(&name(index)) else { continue };
            for number in part.done.keys().copied().collect::<Vec<_>>() {
                if let Some(file) = &part.done[&number].file
                    && !ctx.adopt(file).await?
                {
                    ctx.log(Level::Warn, format!("the file of mail {number} is gone: it is written again"));
                    part.done.remove(&number);
                }
            }
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
        Ok(record)
    }

    /// Whether that mail is out.
    pub fn is_done(&self, number: u32) -> bool {
        self.parts.get(&part_of(number)).is_some_and(|part| part.done.contains_key(&number))
    }

    /// How many are.
    pub fn count(&self) -> i64 {
        self.parts.values().map(|part| part.done.len() as i64).sum()
    }

    /// To be said before a mail goes out: on disk when this returns.
    pub async fn begin(&mut self, number: u32) -> Result<(), Failure> {
        self.parts.entry(part_of(number)).or_default().begun = Some(number);
        self.save(number).await
    }

    /// To be said once a mail is out: on disk when this returns.
    pub async fn done(&mut self, number: u32, line: Value, file: Option<Artifact>) -> Result<(), Failure> {
        let part = self.parts.entry(part_of(number)).or_default();
        part.begun = None;
        part.done.insert(number, Done { line, file });
        self.save(number).await
    }

    /// The lines of all mails that are out, in order.
    pub fn lines(self) -> Vec<Value> {
        self.parts.into_values().flat_map(|part| part.done.into_values().map(|done| done.line)).collect()
    }

    async fn save(&self, number: u32) -> Result<(), Failure> {
        let index = part_of(number);
        self.ctx.save(&name(index), &self.parts[&index]).await
    }
}

/// Numbers begin at 1.
fn part_of(number: u32) -> u32 {
    (number - 1) / MAILS_IN_ONE
}

fn name(index: u32) -> String {
    format!("mails-{index}")
}
