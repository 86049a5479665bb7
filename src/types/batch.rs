//! A run over many items, one after the other.

use super::{Context, Failure, Level};
use crate::task::text;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::future::Future;
use std::time::{Duration, Instant};
use tokio::time::timeout;

/// So many items that failed are listed; beyond, they are counted.
pub const MAX_LISTED: usize = 100;
/// A longer reason is cut.
const MAX_REASON_BYTES: usize = 500;
/// What was done is recorded this often, unless it is said otherwise.
const SAVE_EVERY: Duration = Duration::from_millis(500);
/// When the attempt is told to stop, the item at work gets this long to end: half of what a node that drains gives.
const LAST_ITEM: Duration = Duration::from_millis(250);

/// How an item ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// It is done.
    Done,
    /// There was nothing to do for it.
    Skipped,
    /// It cannot be done, for this reason; the others can.
    Failed(String),
}

/// What became of the items.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Tally {
    /// Items in all.
    pub total: u64,
    /// Those that are done.
    pub done: u64,
    /// Those with nothing to do.
    pub skipped: u64,
    /// Those that failed.
    pub failed: u64,
    /// The first hundred that failed.
    pub failures: Vec<ItemFailure>,
}

/// An item that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ItemFailure {
    /// Which one, from 1.
    pub number: u64,
    /// Why.
    pub reason: String,
}

/// A run over many items. It records how far it is, so that an attempt goes on behind the last item that one before it recorded;
/// says progress and ETA; and ends where too many fail. The items must be the same, in the same order, in every attempt.
#[derive(Debug, Clone)]
pub struct Batch {
    item: String,
    max_failures: Option<u64>,
    save_every: Duration,
}

/// What is recorded.
#[derive(Default, Serialize, Deserialize)]
struct State {
    tally: Tally,
    /// Failures that are held against nobody any more: they ended an attempt.
    forgiven: u64,
}

impl Batch {
    /// A run over items that are each called `item`: in its steps, in the log, and as the name of its checkpoint (letters, digits,
    /// `.`, `-`, `_`). Two runs of one task need two names.
    pub fn of(item: &str) -> Batch {
        Batch { item: item.to_owned(), max_failures: None, save_every: SAVE_EVERY }
    }

    /// Ends the attempt, without a further one, once more than so many items have failed: `too_many_failures`. A retry
    /// by a caller goes on behind them, and may have as many again. Without this any number may fail.
    pub fn max_failures(mut self, items: u64) -> Batch {
        self.max_failures = Some(items);
        self
    }

    /// Records what is done so often: as much work may repeat after a kill. Zero: after each item, before the next one begins.
    /// Every half a second, where this is not said.
    pub fn save_every(mut self, pause: Duration) -> Batch {
        self.save_every = pause;
        self
    }

    /// Works on one item after the other. When this returns a tally, all of it is recorded.
    ///
    /// An `Err` of an item ends the run, and what was done before it is recorded: a retry begins with that item. So does a
    /// stop; the item at work then gets 250 ms to end.
    pub async fn run<T, F>(
        self,
        ctx: &Context,
        items: impl IntoIterator<Item = T, IntoIter: ExactSizeIterator + Send>,
        mut work: impl FnMut(T) -> F + Send,
    ) -> Result<Tally, Failure>
    where
        T: Send,
        F: Future<Output = Result<Item, Failure>> + Send,
    {
        let items = items.into_iter();
        let mut state = self.begin(ctx, items.len() as u64);
        let mut saved = Instant::now();
        for item in items.skip(state.tally.ended() as usize) {
            let ended = async {
                ctx.check()?;
                until_stop(ctx, work(item)).await
            };
            let ended = match ended.await {
                Ok(ended) => ended,
                Err(failure) => {
                    ctx.save(&self.item, &state).await?;
                    return Err(failure);
                }
            };
            let failed = self.count(ctx, &mut state.tally, ended);
            if let Some(failure) = failed.and_then(|last| self.too_many(&mut state, &last)) {
                ctx.save(&self.item, &state).await?;
                return Err(failure);
            }
            if saved.elapsed() >= self.save_every || state.tally.ended() == state.tally.total {
                ctx.save(&self.item, &state).await?;
                saved = Instant::now();
            }
        }
        Ok(state.tally)
    }

    fn begin(&self, ctx: &Context, total: u64) -> State {
        let new = || State { tally: Tally { total, ..Tally::default() }, forgiven: 0 };
        let Some(state) = ctx.checkpoint::<State>(&self.item) else { return new() };
        if state.tally.total != total {
            ctx.log(
                Level::Warn,
                format!("there were {} before, and are {total} now: all begin anew", state.tally.total),
            );
            return new();
        }
        let ended = state.tally.ended();
        if ended > 0 {
            ctx.going_on(ended as i64, &format!("{} {} of {total}", self.item, (ended + 1).min(total)));
        }
        state
    }

    /// Counts how an item ended; answers it if it failed.
    fn count(&self, ctx: &Context, tally: &mut Tally, ended: Item) -> Option<ItemFailure> {
        let number = tally.ended() + 1;
        let step = format!("{} {number} of {}", self.item, tally.total);
        ctx.progress(number as i64, tally.total as i64, Some(step));
        match ended {
            Item::Done => tally.done += 1,
            Item::Skipped => tally.skipped += 1,
            Item::Failed(reason) => {
                tally.failed += 1;
                let reason = text::clip(&ctx.secrets().mask(reason), MAX_REASON_BYTES);
                ctx.log(Level::Warn, format!("{} {number}: {reason}", self.item));
                let failure = ItemFailure { number, reason };
                if tally.failures.len() < MAX_LISTED {
                    tally.failures.push(failure.clone());
                }
                return Some(failure);
            }
        }
        None
    }

    fn too_many(&self, state: &mut State, last: &ItemFailure) -> Option<Failure> {
        let tally = &state.tally;
        self.max_failures.filter(|most| tally.failed - state.forgiven > *most)?;
        state.forgiven = tally.failed;
        let (failed, total, number, reason) = (tally.failed, tally.total, last.number, &last.reason);
        let message = format!("{failed} of {number} failed, of {total} in all; the last: {reason}");
        Some(Failure::fatal("too_many_failures", message))
    }
}

impl Tally {
    /// Items that have ended, however.
    pub fn ended(&self) -> u64 {
        self.done + self.skipped + self.failed
    }
}

/// An item's work, which has a little time left once the attempt is told to stop.
async fn until_stop(ctx: &Context, work: impl Future<Output = Result<Item, Failure>>) -> Result<Item, Failure> {
    tokio::pin!(work);
    tokio::select! {
        biased;
        ended = &mut work => ended,
        () = ctx.stopped() => timeout(LAST_ITEM, work).await.unwrap_or(Err(Failure::Stopped)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::context::trial::Trial;
    use std::sync::Mutex;

    const ALL: [u64; 10] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10];

    /// Runs a batch of ten that records each item; every third fails, every fifth is skipped. The items that were worked on.
    async fn run(ctx: &Context, batch: Batch) -> (Vec<u64>, Result<Tally, Failure>) {
        let worked = Mutex::new(Vec::new());
        let work = |item: u64| {
            worked.lock().unwrap().push(item);
            async move {
                Ok(match item {
                    n if n % 3 == 0 => Item::Failed(format!("{n} is no good")),
                    n if n % 5 == 0 => Item::Skipped,
                    _ => Item::Done,
                })
            }
        };
        let tally = batch.save_every(Duration::ZERO).run(ctx, ALL, work).await;
        (worked.into_inner().unwrap(), tally)
    }

    fn code(result: Result<Tally, Failure>) -> String {
        match result.expect_err("it ended") {
            Failure::Fatal { code, .. } | Failure::Retry { code, .. } => code,
            Failure::Stopped => "stopped".to_owned(),
        }
    }

    #[tokio::test]
    async fn the_tally_counts_each_item_once_and_lists_what_failed() {
        let ctx = Trial::new().attempt();
        let (worked, tally) = run(&ctx, Batch::of("number")).await;
        let failures = [3, 6, 9].map(|number| ItemFailure { number, reason: format!("{number} is no good") }).to_vec();
        assert_eq!(worked, ALL);
        assert_eq!(tally.unwrap(), Tally { total: 10, done: 5, skipped: 2, failed: 3, failures });
        let progress = ctx.last_progress();
        assert_eq!((progress.percent, progress.step.as_deref()), (100.0, Some("number 10 of 10")));
        let log: Vec<String> = ctx.take_said().1.into_iter().map(|line| line.message).collect();
        assert_eq!(log, ["number 3: 3 is no good", "number 6: 6 is no good", "number 9: 9 is no good"]);
    }

    #[tokio::test]
    async fn an_attempt_goes_on_behind_the_last_item_that_one_before_it_recorded() {
        let trial = Trial::new();
        let whole = run(&trial.attempt(), Batch::of("other")).await.1.unwrap();
        trial.lose_after(4);
        let (worked, lost) = run(&trial.attempt(), Batch::of("number")).await;
        assert_eq!((worked.len(), code(lost).as_str()), (5, "stopped"), "the fifth was done and not recorded");
        trial.lose_after(usize::MAX);
        let ctx = trial.attempt();
        let (worked, tally) = run(&ctx, Batch::of("number")).await;
        assert_eq!((worked, tally.unwrap()), (ALL[4..].to_vec(), whole));
        assert_eq!(ctx.take_said().1[0].message, "going on from number 5 of 10");
    }

    #[tokio::test]
    async fn more_failures_than_are_allowed_end_it_and_a_retry_goes_on_behind_them() {
        let trial = Trial::new();
        let (worked, tally) = run(&trial.attempt(), Batch::of("number").max_failures(1)).await;
        let Err(Failure::Fatal { code, message }) = tally else { panic!("{tally:?}") };
        assert_eq!((worked, code.as_str()), (ALL[..6].to_vec(), "too_many_failures"));
        assert_eq!(message, "2 of 6 failed, of 10 in all; the last: 6 is no good");
        let (worked, tally) = run(&trial.attempt(), Batch::of("number").max_failures(1)).await;
        assert_eq!((worked, tally.unwrap().failed), (ALL[6..].to_vec(), 3));
    }

    #[tokio::test]
    async fn a_stop_and_an_error_record_what_was_done_and_not_the_item_at_work() {
        for stops in [true, false] {
            let trial = Trial::new();
            let work = |item: u64| {
                let stop = &trial.stop;
                async move {
                    match item {
                        3 if stops => {
                            stop.cancel();
                            std::future::pending().await
                        }
                        3 => Err(Failure::retry("away", "the server is away")),
                        _ => Ok(Item::Done),
                    }
                }
            };
            let ended = Batch::of("number").run(&trial.attempt(), ALL, work).await;
            assert_eq!(code(ended), if stops { "stopped" } else { "away" });
            assert_eq!(trial.checkpoint("number").unwrap()["tally"]["done"], 2);
        }
    }

    #[tokio::test]
    async fn a_hundred_failures_are_listed_and_all_are_counted() {
        let ctx = Trial::new().attempt();
        let work = |_| async { Ok(Item::Failed("x".repeat(2 * MAX_REASON_BYTES))) };
        let tally = Batch::of("number").run(&ctx, 0..150u32, work).await.unwrap();
        assert_eq!((tally.failed, tally.failures.len(), tally.failures[99].number), (150, MAX_LISTED, 100));
        assert!(tally.failures.iter().all(|failure| failure.reason.len() <= MAX_REASON_BYTES));
    }

    #[tokio::test]
    async fn other_items_than_before_begin_anew() {
        let trial = Trial::new();
        let done = |_: u64| async { Ok(Item::Done) };
        Batch::of("number").run(&trial.attempt(), ALL, done).await.unwrap();
        let ctx = trial.attempt();
        assert_eq!(Batch::of("number").run(&ctx, ALL[..4].to_vec(), done).await.unwrap().done, 4);
        assert_eq!(ctx.take_said().1[0].message, "there were 10 before, and are 4 now: all begin anew");
    }
}
