//! `errand watch` and `errand logs`: following one task.

use super::http::{Answer, Server};
use super::show::{self, Task};
use super::{Result, tell};
use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde_json::Value;
use std::io::Write;
use std::time::Duration;
use tokio::time::{Instant, sleep, sleep_until};

/// A service that restarts is waited for this long; one that was never there is not.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two tries, and between two looks at a growing log.
const PAUSE: Duration = Duration::from_secs(1);
/// Progress comes at most four times a second; asking more often would find nothing.
const ROUND: Duration = Duration::from_millis(250);

/// Prints a line at each change until the task is finished: 0 on `SUCCESS`, else 1.
pub async fn watch(server: &Server, id: &str, json: bool, out: &mut dyn Write) -> Result<i32> {
    let (mut tag, mut last) = (None, String::new());
    loop {
        let round = Instant::now() + ROUND;
        let answer = patiently(tag.is_some(), async || server.changed(id, tag.as_deref()).await).await?;
        if answer.status != StatusCode::NOT_MODIFIED {
            let task: Task = answer.read()?;
            let line = if json { answer.body.clone() } else { show::line(&task) };
            if line != last {
                writeln!(out, "{line}")?;
                last = line;
            }
            if task.is_finished() {
                if !json {
                    out.write_all(show::ending(&task).as_bytes())?;
                }
                return Ok(i32::from(task.status != "SUCCESS"));
            }
            // Without a tag there is nothing to wait behind: look again after a pause.
            if answer.etag.is_none() {
                sleep(PAUSE).await;
            }
            tag = answer.etag;
        }
        sleep_until(round).await;
    }
}

/// Prints the log so far, and with `follow` what is added until the task is finished.
pub async fn logs(server: &Server, id: &str, follow: bool, json: bool, out: &mut dyn Write) -> Result<i32> {
    let mut after = String::new();
    let mut first = true;
    loop {
        // Asked before the lines are read: what is written after that look is read in the next round.
        let finished = match follow {
            true => patiently(!first, async || server.changed(id, None).await).await?.read::<Task>()?.is_finished(),
            false => true,
        };
        first = false;
        while let Some(next) = page(server, id, &after, Output { json, follow }, out).await? {
            after = next;
        }
        if finished {
            return Ok(0);
        }
        sleep(PAUSE).await;
    }
}

/// How a log is printed.
#[derive(Clone, Copy)]
struct Output {
    json: bool,
    follow: bool,
}

/// Prints one page of the log; where the next one begins, unless this one was empty.
async fn page(server: &Server, id: &str, after: &str, output: Output, out: &mut dyn Write) -> Result<Option<String>> {
    #[derive(Deserialize)]
    struct Page {
        logs: Vec<Line>,
        next: Value,
    }
    #[derive(Deserialize)]
    struct Line {
        at: String,
        level: String,
        message: String,
        attempt: i64,
    }
    let query = if after.is_empty() { vec![] } else { vec![("after", after)] };
    let path = ["api", "tasks", id, "logs"];
    let answer = patiently(!after.is_empty(), async || server.call(Method::GET, &path, &query).await).await?;
    let page: Page = answer.read()?;
    let nothing_ever = after.is_empty() && !output.follow;
    if output.json && (!page.logs.is_empty() || nothing_ever) {
        writeln!(out, "{}", answer.body)?;
    }
    for Line { at, level, message, attempt } in page.logs.iter().filter(|_| !output.json) {
        writeln!(out, "{at}  {level:5}  #{attempt}  {}", show::plain(message))?;
    }
    let next = match page.next {
        Value::String(text) => text,
        Value::Null => String::new(),
        other => other.to_string(),
    };
    Ok((!page.logs.is_empty() && !next.is_empty() && next != after).then_some(next))
}

/// Asks, and where the service was there before (`known`) asks again while it restarts.
async fn patiently(known: bool, ask: impl AsyncFn() -> Result<Answer>) -> Result<Answer> {
    let until = Instant::now() + PATIENCE;
    let mut told = false;
    loop {
        match ask().await {
            Err(trouble) if known && trouble.may_pass() && Instant::now() < until => {
                if !told {
                    tell(&format!("{trouble}; trying again for {} s", PATIENCE.as_secs()));
                    told = true;
                }
                sleep(PAUSE).await;
            }
            outcome => return outcome,
        }
    }
}
