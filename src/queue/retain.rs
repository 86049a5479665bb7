//! Retention: finished tasks go when they were kept long enough, a few at a time.

use super::read::own;
use super::{Error, Queue};
use crate::files;
use crate::store::Prune;
use crate::task::{Action, Status, Time};
use std::time::Duration;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

/// Tasks looked at in one write: about 20 ms, which others wait for where there is one writer.
const PIECE: i64 = 500;
/// After each write others have the database for at least a quarter of the time it took.
const REST: u32 = 4;

/// How long what has ended is kept; `None` is for ever.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Retention {
    /// Those that ended well.
    pub success: Option<Duration>,
    /// Those that failed.
    pub failed: Option<Duration>,
    /// Those that were cancelled.
    pub cancelled: Option<Duration>,
    /// The entries of who did what; see [`Queue::prune_activity`].
    pub activity: Option<Duration>,
}

impl Retention {
    /// Each time with the ends that it holds for.
    fn rules(&self) -> Vec<(Duration, Vec<Status>)> {
        let mut rules: Vec<(Duration, Vec<Status>)> = Vec::new();
        let each =
            [(self.success, Status::Success), (self.failed, Status::Failed), (self.cancelled, Status::Cancelled)];
        for (kept, status) in each {
            let Some(kept) = kept else { continue };
            match rules.iter_mut().find(|(other, _)| *other == kept) {
                Some((_, statuses)) => statuses.push(status),
                None => rules.push((kept, vec![status])),
            }
        }
        rules
    }
}

/// How far each rule has come, so that what it keeps is not looked at again and again.
#[derive(Debug, Default)]
pub struct Progress {
    places: Vec<Option<(Time, Uuid)>>,
}

impl Queue {
    /// Deletes the finished tasks that were kept long enough: the row, its entries in the change log
    /// and its log lines in one commit, then its files; a file that a kill leaves is swept. A task
    /// that waits or runs is never touched. Answers how many went.
    pub async fn prune(&self, retention: &Retention, progress: &mut Progress) -> Result<i64, Error> {
        let rules = retention.rules();
        progress.places.resize(rules.len(), None);
        let mut gone = 0;
        for ((kept, statuses), place) in rules.into_iter().zip(&mut progress.places) {
            let before = self.inner.clock.now().plus(-(kept.as_millis() as i64));
            loop {
                let (began, after) = (Instant::now(), *place);
                let prune = Prune { statuses: statuses.clone(), before, after, limit: PIECE };
                let (tasks, next) = self.prune_piece(prune).await?;
                gone += tasks;
                let Some(next) = next else { break };
                *place = Some(next);
                sleep(began.elapsed() / REST).await;
            }
        }
        self.inner.journal.happened(Action::TaskPruned, gone, None);
        Ok(gone)
    }

    async fn prune_piece(&self, prune: Prune) -> Result<(i64, Option<(Time, Uuid)>), Error> {
        let (store, files) = (self.inner.store.clone(), self.inner.files.clone());
        own(async move {
            let pruned = store.prune(&prune).await?;
            for task in &pruned.with_files {
                if let Err(error) = files.delete_folder(&files::of_task(*task)).await {
                    tracing::warn!(%error, %task, "files of a task that is gone could not be deleted; they are swept later");
                }
            }
            Ok((pruned.tasks, pruned.next))
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_that_are_kept_equally_long_are_looked_for_together() {
        let [day, week] = [1, 7].map(|days| Some(Duration::from_secs(days * 86_400)));
        let retention = Retention { success: day, failed: week, cancelled: day, activity: week };
        let rules = [
            (Duration::from_secs(86_400), vec![Status::Success, Status::Cancelled]),
            (Duration::from_secs(7 * 86_400), vec![Status::Failed]),
        ];
        assert_eq!(retention.rules(), rules);
        assert_eq!(Retention::default().rules(), []);
    }
}
