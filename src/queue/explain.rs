//! Why a task is not running: every reason, since when, and what would help.

use super::{Error, Queue};
use crate::task::{Scope, Status, Task, Time};
use uuid::Uuid;

/// So many of the tasks before a task are looked at.
const COUNTED: i64 = 1_000;

/// One reason why a task does not run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// A stable word.
    pub code: &'static str,
    /// A sentence.
    pub detail: String,
    /// Since when it holds.
    pub since: Option<Time>,
    /// What would help; `None` where waiting is all.
    pub help: Option<&'static str>,
}

impl Queue {
    /// Every reason why a task is not running; none while it runs.
    pub async fn explain(&self, scope: &Scope, id: Uuid) -> Result<(Task, Vec<Reason>), Error> {
        let task = self.get(scope, id).await?;
        let now = self.inner.clock.now();
        let reasons = match task.status {
            Status::Running => Vec::new(),
            Status::Pending => self.why_pending(scope, &task, now).await?,
            _ => vec![ended(&task)],
        };
        Ok((task, reasons))
    }

    /// Tasks of others count for nobody but who sees them.
    async fn why_pending(&self, scope: &Scope, task: &Task, now: Time) -> Result<Vec<Reason>, Error> {
        let mut reasons = Vec::new();
        if self.inner.types.get(&task.r#type).is_none() {
            reasons.push(Reason {
                code: "no_worker_for_type",
                detail: format!("no worker here knows the type {}", task.r#type),
                since: Some(task.created_at),
                help: Some("start a worker that knows this type"),
            });
        }
        if task.held {
            let later = task.scheduled(now).map(|at| format!("; then it is due at {at}"));
            let detail = format!("it runs only once somebody approves it{}", later.unwrap_or_default());
            let help = Some("an admin approves it, on the page or by errand approve");
            reasons.push(Reason { code: "awaiting_approval", detail, since: Some(task.updated_at), help });
            return Ok(reasons);
        }
        if task.run_at > now {
            let (code, what) = match task.attempt {
                0 => ("scheduled", "it was submitted for a later time"),
                _ => ("backing_off", "its last attempt failed and the next one waits"),
            };
            let detail = format!("{what}: not before {}", task.run_at);
            reasons.push(Reason { code, detail, since: Some(task.updated_at), help: None });
            return Ok(reasons);
        }
        let ahead = self.inner.store.ahead(scope, task, COUNTED).await?;
        let since = Some(task.run_at);
        reasons.push(if ahead > 0 {
            let at_least = if ahead >= COUNTED { "at least " } else { "" };
            Reason {
                code: "tasks_ahead",
                detail: format!("{at_least}{ahead} tasks go first, by priority and time"),
                since,
                help: Some("more workers, or a higher priority"),
            }
        } else {
            Reason {
                code: "no_free_worker",
                detail: "no worker has had a free place for it yet".to_owned(),
                since,
                help: Some("more workers (ERRAND_WORKERS), or wait for a running task to end"),
            }
        });
        Ok(reasons)
    }
}

fn ended(task: &Task) -> Reason {
    let detail = match &task.error {
        Some(error) => format!("it is {}: {}", task.status.word(), error.message),
        None => format!("it is {}", task.status.word()),
    };
    let help = task.status.can_retry().then_some("retry it");
    Reason { code: "finished", detail, since: task.finished_at, help }
}
