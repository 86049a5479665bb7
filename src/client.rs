//! The client's subcommands: `submit`, `list`, `get`, `cancel`, `retry`, `approve`, `reject`, `watch` and `logs`,
//! spoken to the service at `ERRAND_URL` over HTTP, as any other client would.
//!
//! What was asked for goes to standard output, everything else to standard error.

mod follow;
mod http;
mod show;
mod submit;

use crate::config::{ClientCommand, Config, ListArgs};
use http::{Answer, Server, Trouble};
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use show::Task;
use std::io::{self, Write};

type Result<T> = std::result::Result<T, Trouble>;

/// Runs one subcommand and returns the exit code: 0 done, 1 failed (an error of the service, or a
/// watched task that did not end in `SUCCESS`), 2 when the request itself was wrong. A reader who
/// closes the pipe ends it quietly, with 0.
pub async fn run(config: &Config, command: ClientCommand) -> i32 {
    let outcome = match Server::new(&config.url, config.key.as_ref().map(|key| key.0.as_str())) {
        Ok(server) => act(&server, command, &mut io::stdout()).await,
        Err(trouble) => Err(trouble),
    };
    outcome.unwrap_or_else(|trouble| {
        complain(&trouble);
        trouble.exit_code()
    })
}

async fn act(server: &Server, command: ClientCommand, out: &mut dyn Write) -> Result<i32> {
    match command {
        ClientCommand::Submit(args) => submit::run(server, &args, out).await,
        ClientCommand::List(args) => list(server, &args, out).await,
        ClientCommand::Get { id, json } => get(server, &id, json, out).await,
        ClientCommand::Cancel { ids } => each(server, &ids, out, cancel).await,
        ClientCommand::Retry { ids } => each(server, &ids, out, retry).await,
        ClientCommand::Approve { ids, run_at } => {
            let body = run_at.map_or(json!({}), |run_at| json!({ "run_at": run_at }));
            each(server, &ids, out, |server, id| judge(server, id, "approve", body.clone())).await
        }
        ClientCommand::Reject { ids, reason } => {
            let body = reason.map_or(json!({}), |reason| json!({ "reason": reason }));
            each(server, &ids, out, |server, id| judge(server, id, "reject", body.clone())).await
        }
        ClientCommand::Watch { id, json } => follow::watch(server, &id, json, out).await,
        ClientCommand::Logs { id, follow, json } => follow::logs(server, &id, follow, json, out).await,
    }
}

async fn list(server: &Server, args: &ListArgs, out: &mut dyn Write) -> Result<i32> {
    #[derive(Deserialize)]
    struct Listed {
        tasks: Vec<Task>,
        next_cursor: Option<String>,
    }
    let limit = args.limit.to_string();
    let mut query: Vec<(&str, &str)> = vec![("limit", &limit)];
    query.extend(args.status.iter().map(|status| ("status", status.as_str())));
    query.extend(args.r#type.iter().map(|r#type| ("type", r#type.as_str())));
    let single = [("queue", &args.queue), ("tag", &args.tag), ("q", &args.q), ("cursor", &args.cursor)];
    query.extend(single.iter().filter_map(|(name, value)| Some((*name, value.as_deref()?))));

    let answer = server.call(Method::GET, &["api", "tasks"], &query).await?;
    if args.json {
        writeln!(out, "{}", answer.body)?;
        return Ok(0);
    }
    let listed: Listed = answer.read()?;
    out.write_all(show::table(&listed.tasks).as_bytes())?;
    if let Some(cursor) = listed.next_cursor {
        tell(&format!("there are more: --cursor {}", show::plain(&cursor)));
    }
    Ok(0)
}

async fn get(server: &Server, id: &str, json: bool, out: &mut dyn Write) -> Result<i32> {
    let answer = server.call(Method::GET, &["api", "tasks", id], &[]).await?;
    match json {
        true => writeln!(out, "{}", answer.body)?,
        false => out.write_all(show::whole(&answer.read()?).as_bytes())?,
    }
    Ok(0)
}

/// Does it to every id, also behind one that is refused; the worst exit code is the answer.
async fn each<'a, F>(
    server: &'a Server,
    ids: &'a [String],
    out: &mut dyn Write,
    act: impl Fn(&'a Server, &'a str) -> F,
) -> Result<i32>
where
    F: Future<Output = Result<&'static str>>,
{
    let mut code = 0;
    for id in ids {
        match act(server, id).await {
            Ok(outcome) => writeln!(out, "{id}  {outcome}")?,
            Err(trouble @ Trouble::Refused { .. }) => {
                tell(&format!("{}:", show::plain(id)));
                complain(&trouble);
                code = code.max(trouble.exit_code());
            }
            Err(trouble) => return Err(trouble),
        }
    }
    Ok(code)
}

async fn cancel(server: &Server, id: &str) -> Result<&'static str> {
    let answer = server.call(Method::DELETE, &["api", "tasks", id], &[]).await?;
    Ok(if answer.status == reqwest::StatusCode::ACCEPTED { "cancel requested" } else { "cancelled" })
}

async fn retry(server: &Server, id: &str) -> Result<&'static str> {
    server.call(Method::POST, &["api", "tasks", id, "retry"], &[]).await.map(|_: Answer| "waiting again")
}

/// Approves or rejects.
async fn judge(server: &Server, id: &str, verdict: &'static str, body: Value) -> Result<&'static str> {
    let request = server.request(Method::POST, &["api", "tasks", id, verdict], &[])?.json(&body);
    server.send(request).await?;
    Ok(if verdict == "approve" { "approved" } else { "rejected" })
}

/// A line for the person, beside the output. Nobody is left to tell when it cannot be written.
fn tell(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

fn complain(trouble: &Trouble) {
    if !matches!(trouble, Trouble::Closed) {
        tell(&format!("errand: {trouble}"));
    }
}

#[cfg(test)]
mod tests;
