//! `errand` with task types of its own: how progress, a batch, long work, failures and a cancel look in code.
//!
//! ```sh
//! cargo run --example own_types
//! ```
//!
//! is the whole program, on http://127.0.0.1:8080; the page has the types in its form. See docs/own-types.md.

use errand::{App, Batch, Context, Failure, FieldError, Item, Level, Tally, TaskType};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::process::ExitCode;
use std::time::Duration;

fn main() -> ExitCode {
    App::new().register(WordCount).register(Invitations).register(Countdown).register(Flaky).register(Diary).main()
}

// Progress: a run that knows how much it has to do.

/// Counts the words of a text.
struct WordCount;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Text {
    /// The text.
    #[schemars(length(min = 1, max = 100_000))]
    text: String,
}

#[derive(Serialize, JsonSchema)]
struct Words {
    /// Words in all.
    words: usize,
    /// How long the longest one is, in characters.
    longest: usize,
}

impl TaskType for WordCount {
    const NAME: &'static str = "word_count";
    const DESCRIPTION: &'static str = "Counts the words of a text.";
    type Params = Text;
    type Result = Words;

    fn examples(&self) -> Vec<Value> {
        vec![json!({ "text": "To be, or not to be,\nthat is the question." })]
    }

    async fn run(&self, params: Text, ctx: &Context) -> Result<Words, Failure> {
        let lines: Vec<&str> = params.text.lines().collect();
        let mut track = ctx.track(lines.len() as u64);
        track.step("counting words")?;
        let mut found = Words { words: 0, longest: 0 };
        for line in lines {
            for word in line.split_whitespace() {
                found.words += 1;
                found.longest = found.longest.max(word.chars().count());
            }
            track.advance(1)?;
        }
        Ok(found)
    }
}

// A batch: many items, of which some may fail, and none that is recorded as done is done again.

/// Invites people, one after the other.
struct Invitations;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Guests {
    /// Their addresses. Whose is empty is skipped.
    #[schemars(length(min = 1, max = 10_000))]
    guests: Vec<String>,
    /// How long one invitation takes, in milliseconds.
    #[serde(default)]
    #[schemars(range(max = 10_000))]
    pause_ms: u64,
    /// More failures than this end the task.
    #[schemars(range(max = 10_000))]
    max_failures: Option<u64>,
}

impl TaskType for Invitations {
    const NAME: &'static str = "invitations";
    const DESCRIPTION: &'static str = "Invites people one after the other, and says of whom that failed.";
    const SAVES_WORK: bool = true;
    type Params = Guests;
    type Result = Tally;

    fn examples(&self) -> Vec<Value> {
        vec![json!({ "guests": ["ann@example.com", "", "nobody"], "pause_ms": 500 })]
    }

    async fn run(&self, params: Guests, ctx: &Context) -> Result<Tally, Failure> {
        let pause = Duration::from_millis(params.pause_ms);
        let invite = |guest: &'_ String| {
            let guest = guest.clone();
            async move {
                ctx.sleep(pause).await?;
                if guest.is_empty() {
                    return Ok(Item::Skipped);
                }
                if !guest.contains('@') {
                    return Ok(Item::Failed(format!("{guest} is no address")));
                }
                ctx.log(Level::Info, format!("{guest} is invited"));
                Ok(Item::Done)
            }
        };
        // Nobody likes to be invited twice: each one is recorded before the next.
        let mut batch = Batch::of("guest").save_every(Duration::ZERO);
        if let Some(most) = params.max_failures {
            batch = batch.max_failures(most);
        }
        batch.run(ctx, &params.guests, invite).await
    }
}

// Long work: it saves how far it is, and goes on from there after a kill.

/// Counts down.
struct Countdown;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Seconds {
    /// From where.
    #[schemars(range(min = 1, max = 86_400))]
    seconds: u64,
}

impl TaskType for Countdown {
    const NAME: &'static str = "countdown";
    const DESCRIPTION: &'static str = "Counts down the seconds, for up to a day.";
    type Params = Seconds;
    type Result = u64;

    fn examples(&self) -> Vec<Value> {
        vec![json!({ "seconds": 10 })]
    }

    async fn run(&self, params: Seconds, ctx: &Context) -> Result<u64, Failure> {
        let mut track = ctx.track(params.seconds);
        if let Some(done) = ctx.checkpoint::<u64>("done") {
            track.going_on(done, &format!("second {done}"))?;
        }
        while track.processed() < params.seconds {
            ctx.sleep(Duration::from_secs(1)).await?;
            track.advance(1)?;
            ctx.save("done", &track.processed()).await?;
        }
        Ok(params.seconds)
    }
}

// Failures: one that another attempt may mend, and one that none can.

/// Fails as often as it is told.
struct Flaky;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Failures {
    /// So many attempts fail, and the next one succeeds.
    #[schemars(range(max = 100))]
    failures: i64,
    /// Or the first one fails for good.
    #[serde(default)]
    for_good: bool,
}

impl TaskType for Flaky {
    const NAME: &'static str = "flaky";
    const DESCRIPTION: &'static str = "Fails as often as it is told, then succeeds.";
    type Params = Failures;
    type Result = String;

    fn examples(&self) -> Vec<Value> {
        vec![json!({ "failures": 1 })]
    }

    fn check(&self, params: &Failures) -> Vec<FieldError> {
        if params.for_good && params.failures > 0 {
            return vec![FieldError::new("/failures", "must be 0 where the first failure is for good")];
        }
        Vec::new()
    }

    async fn run(&self, params: Failures, ctx: &Context) -> Result<String, Failure> {
        if params.for_good {
            return Err(Failure::fatal("broken", "nothing can mend this"));
        }
        if ctx.attempt() <= params.failures {
            return Err(Failure::retry("not_yet", format!("attempt {} fails, as asked", ctx.attempt())));
        }
        Ok(format!("attempt {} did it", ctx.attempt()))
    }
}

// A cancel: it stops within two seconds, and leaves nothing half-written.

/// Writes a file until it is stopped.
struct Diary;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Pages {
    /// Lines to write, ten a second.
    #[schemars(range(min = 1, max = 1_000_000))]
    lines: u64,
}

impl TaskType for Diary {
    const NAME: &'static str = "diary";
    const DESCRIPTION: &'static str =
        "Writes ten lines a second into a file, which is there only if it was not stopped.";
    type Params = Pages;
    type Result = u64;

    fn examples(&self) -> Vec<Value> {
        vec![json!({ "lines": 100 })]
    }

    async fn run(&self, params: Pages, ctx: &Context) -> Result<u64, Failure> {
        let mut file = ctx.output("diary.txt", "text/plain").await?;
        let mut track = ctx.track(params.lines);
        while track.processed() < params.lines {
            ctx.sleep(Duration::from_millis(100)).await?;
            file.write(format!("line {}\n", track.processed() + 1).as_bytes()).await?;
            track.advance(1)?;
        }
        file.keep().await?;
        Ok(params.lines)
    }
}
