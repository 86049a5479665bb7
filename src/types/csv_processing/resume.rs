//! A large table is written down while it is read, so that another attempt goes on within it.
//!
//! The checkpoint names two files: the state, and the output up to a mark. Writing them to the disk
//! and committing goes on beside the reading; only making the state holds it up.

#[cfg(test)]
mod tests;

use super::state::{FORM, State};
use crate::files::{self, Growing};
use crate::task::Artifact;
use crate::types::{Context, Failure, Grown, Level, Marked, Output};
use serde::{Deserialize, Serialize};
use std::io::{BufWriter, Write};
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

/// The checkpoint's name.
pub const NAME: &str = "table";
/// Of so many parts of the time, making states takes one at most: a large state is made less often.
const SHARE_OF_TIME: u32 = 20;
/// No text in a state is longer: names, values and reasons are cut to a few hundred bytes.
const LONGEST_TEXT: usize = 64 * 1024;

/// How often a checkpoint is made: whatever comes first.
#[derive(Debug, Clone)]
pub struct Pace {
    /// After so much time.
    pub every: Duration,
    /// After so much of the file.
    pub bytes: u64,
    /// For tests: after each of these rows, and nowhere else.
    #[cfg(test)]
    pub at_rows: Vec<u64>,
    /// For tests: the attempt is told to stop at this row.
    #[cfg(test)]
    pub stop_at: Option<u64>,
}

impl Default for Pace {
    fn default() -> Pace {
        Pace {
            every: Duration::from_secs(2),
            bytes: 64 * 1024 * 1024,
            #[cfg(test)]
            at_rows: Vec::new(),
            #[cfg(test)]
            stop_at: None,
        }
    }
}

/// What an attempt left.
#[derive(Serialize, Deserialize)]
struct Checkpoint {
    form: u32,
    state: Artifact,
    output: Grown,
    /// Rows to sort that are no longer in memory.
    #[serde(default)]
    runs: Vec<Artifact>,
}

/// What an earlier attempt left, ready to go on with.
pub struct Resumed {
    /// What is known.
    pub state: State,
    /// The output up to there.
    pub output: Output<Growing>,
    /// Where the files lie that nobody needs once there are others.
    pub files: Vec<String>,
}

impl Resumed {
    /// `None` for the first attempt, and where what was left is no longer whole or of another
    /// version: the log then says so.
    pub async fn load(ctx: &Context) -> Result<Option<Resumed>, Failure> {
        let Some(left) = ctx.checkpoint::<Checkpoint>(NAME) else { return Ok(None) };
        let resumed = match read_state(&left, ctx).await? {
            Some(mut state) => {
                if let Some(sorter) = &mut state.sorter {
                    sorter.runs.clone_from(&left.runs);
                }
                ctx.grow_on(&left.output).await?.map(|output| {
                    let mut files = left.output.replaced_by(&output);
                    files.push(left.state.location);
                    Resumed { state, output, files }
                })
            }
            None => None,
        };
        match &resumed {
            Some(Resumed { state, .. }) => {
                let (row, byte, sorted) = (state.rows_read() + 1, state.at.source.read, state.counts.written + 1);
                let from = match state.sorter.is_some() && sorted > 1 {
                    true => format!("row {sorted} of the sorted ones"),
                    false => format!("row {row}, byte {byte} of the file"),
                };
                ctx.going_on(state.place() as i64, &from);
            }
            None => ctx.log(Level::Warn, "what an earlier attempt left cannot be used: beginning anew"),
        }
        Ok(resumed)
    }
}

async fn read_state(left: &Checkpoint, ctx: &Context) -> Result<Option<State>, Failure> {
    if left.form != FORM || !ctx.is_whole(&left.state).await? {
        return Ok(None);
    }
    for run in &left.runs {
        if !ctx.is_whole(run).await? {
            return Ok(None);
        }
    }
    let Some(file) = ctx.reread(&left.state).await? else { return Ok(None) };
    ctx.blocking(move |_| {
        let mut longest_text = vec![0; LONGEST_TEXT];
        Ok(postcard::from_io((file.into_blocking(), &mut longest_text[..])).ok().map(|(state, _)| state))
    })
    .await
}

/// Makes the checkpoints of one attempt. For blocking code.
pub struct Saver<'a> {
    ctx: &'a Context,
    pace: Pace,
    /// The place in the file at the last one, and when that was.
    last: (u64, Instant),
    /// The place at the last look.
    looked: u64,
    /// How long the next one has to wait because the last one took long.
    wait: Duration,
    made: u32,
    /// Where the files lie that only the last committed checkpoint needs.
    files: Vec<String>,
    /// Those of the one on its way to the disk.
    under_way: Option<JoinHandle<Result<Vec<String>, Failure>>>,
}

impl<'a> Saver<'a> {
    /// The saver of an attempt that begins at that place in the file. `files` are those that the
    /// last attempt's checkpoint names.
    pub fn new(pace: Pace, place: u64, files: Vec<String>, ctx: &'a Context) -> Saver<'a> {
        let last = (place, Instant::now());
        Saver { ctx, pace, last, looked: place, wait: Duration::ZERO, made: 0, files, under_way: None }
    }

    /// Whether it is time for a checkpoint behind `row`, with the file read up to `place`. Looks at
    /// the clock once a block.
    pub fn is_due(&mut self, row: u64, place: u64) -> Result<bool, Failure> {
        #[cfg(test)]
        if !self.pace.at_rows.is_empty() || self.pace.stop_at.is_some() {
            return self.is_due_in_test(row);
        }
        let _ = row; // only tests go by rows
        if place == self.looked {
            return Ok(false);
        }
        self.looked = place;
        let (elapsed, read) = (self.last.1.elapsed(), place.saturating_sub(self.last.0));
        let due = elapsed >= self.wait && (elapsed >= self.pace.every || read >= self.pace.bytes);
        Ok(due && self.under_way.as_ref().is_none_or(JoinHandle::is_finished))
    }

    /// Makes a checkpoint of `state`, whose output stands at `mark`. It counts once it is committed,
    /// some time after this returns.
    pub fn save(&mut self, state: &mut State, mark: Marked) -> Result<(), Failure> {
        let began = Instant::now();
        self.settle()?;
        let runs = state.sorter.as_mut().map_or(Vec::new(), |sorter| {
            self.files.extend(sorter.merged.drain(..).map(|run| run.location));
            sorter.runs.clone()
        });
        self.made += 1;
        let runtime = Handle::current();
        let mut file =
            runtime.block_on(self.ctx.output(&format!("state-{}", self.made), "application/octet-stream"))?;
        let failed = |_| Failure::from(files::Error::Other("the state could not be written".to_owned()));
        let mut sink = BufWriter::with_capacity(Growing::CHUNK_BYTES, file.writer.blocking());
        postcard::to_io(state, &mut sink).map_err(failed)?;
        sink.flush().map_err(files::Error::from)?;
        drop(sink);
        let (ctx, before) = (self.ctx.clone(), std::mem::take(&mut self.files));
        self.under_way = Some(runtime.spawn(async move {
            let output = mark.sync().await?;
            let state = file.finish().await?;
            let files = [&*state.location].into_iter().chain(output.tail()).map(str::to_owned).collect();
            ctx.save(NAME, &Checkpoint { form: FORM, state, output, runs }).await?;
            for location in before {
                ctx.discard(&location).await;
            }
            Ok(files)
        }));
        self.wait = began.elapsed() * SHARE_OF_TIME;
        self.last = (self.looked, Instant::now());
        Ok(())
    }

    /// Waits for the checkpoint that is on its way to the disk, if one is.
    pub fn settle(&mut self) -> Result<(), Failure> {
        let Some(under_way) = self.under_way.take() else { return Ok(()) };
        match Handle::current().block_on(under_way) {
            Ok(files) => self.files.extend(files?),
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => return Err(Failure::Stopped),
        }
        Ok(())
    }

    #[cfg(test)]
    fn is_due_in_test(&self, row: u64) -> Result<bool, Failure> {
        match self.pace.stop_at {
            Some(stop) if row >= stop => Err(Failure::Stopped),
            _ => Ok(self.pace.at_rows.contains(&row)),
        }
    }
}
