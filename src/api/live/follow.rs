//! One follower's stream: first what it missed, from the change log, then what happens, without a gap or a double.

use crate::queue::feed::{Follower, Heard, Interest, Loss, News};
use crate::queue::{ChangePage, Error, Queue};
use crate::store;
use crate::task::Scope;
use std::collections::VecDeque;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::{JoinError, JoinHandle};
use tokio::time::sleep;

/// Entries read at once.
const PAGE: i64 = 100;
/// A read that found the database away is tried again so often, at least this long after.
const TRIES: usize = 30;
const AGAIN: Duration = Duration::from_millis(500);

/// What is told of tasks, in order; nothing until [`Stream::want`].
pub struct Stream {
    queue: Queue,
    /// There while anything is wanted: the log is read for nobody who wants nothing of it.
    following: Option<Following>,
    /// The last number known, while nothing is wanted.
    at: i64,
}

/// One that follows.
struct Following {
    queue: Queue,
    follower: Follower,
    replay: Option<Replay>,
    /// What is told now.
    interest: Option<Interest>,
    /// News up to this number were told already.
    told: i64,
}

/// Where the change log is read before the live news are listened to.
struct Replay {
    interest: Interest,
    at: i64,
    /// Up to where; `None` until the live news are caught up with.
    to: Option<i64>,
    /// What was read and is not told yet.
    read: VecDeque<Arc<News>>,
    /// A read under way: it is never dropped half-way.
    reading: Option<JoinHandle<Result<ChangePage, Error>>>,
}

impl Stream {
    /// One that tells nothing; with a follower, it is ready to.
    pub fn new(queue: Queue, follower: Option<Follower>) -> Stream {
        let following = follower.map(|follower| Following::new(queue.clone(), follower));
        Stream { queue, following, at: 0 }
    }

    /// Tells these news from now on, or from those behind `after` on. Answers the number behind which they come.
    pub async fn want(&mut self, interest: Interest, after: Option<i64>) -> Result<i64, Error> {
        let following = match &mut self.following {
            Some(following) => following,
            none => none.insert(Following::new(self.queue.clone(), self.queue.follow().await?)),
        };
        Ok(following.want(interest, after))
    }

    /// Tells nothing more.
    pub fn want_nothing(&mut self) {
        self.at = self.position();
        self.following = None;
    }

    /// Nothing is wanted: the log's last number, which is known from here on.
    pub async fn look(&mut self) -> Result<i64, Error> {
        self.at = self.queue.log_end().await?;
        Ok(self.at)
    }

    /// The last number told to anybody, or known.
    pub fn position(&self) -> i64 {
        self.following.as_ref().map_or(self.at, |following| following.follower.position())
    }

    /// The next; a call that is dropped takes nothing.
    pub async fn next(&mut self) -> Heard {
        match &mut self.following {
            Some(following) => following.next().await,
            None => pending().await,
        }
    }
}

impl Following {
    fn new(queue: Queue, follower: Follower) -> Following {
        Following { queue, follower, replay: None, interest: None, told: 0 }
    }

    fn want(&mut self, interest: Interest, after: Option<i64>) -> i64 {
        self.interest = Some(interest.clone());
        match after {
            Some(at) => {
                self.replay(at);
                at
            }
            None => {
                self.replay = None;
                self.told = self.follower.want(interest);
                self.told
            }
        }
    }

    async fn next(&mut self) -> Heard {
        loop {
            if self.replay.is_some() {
                match self.replayed().await {
                    Some(heard) => return heard,
                    None => continue,
                }
            }
            match self.follower.next().await {
                // Another node had told it already.
                Heard::News(news) if news.event.is_some() && news.seq <= self.told => {}
                // The replay came further in the log than the news have: since then the task may have ended. What
                // it says still is asked for again.
                Heard::News(news) if news.seq < self.told => self.follower.ask_progress(),
                Heard::News(news) => {
                    self.told = self.told.max(news.seq);
                    return Heard::News(news);
                }
                // What did not wait stands in the change log, and is told as fast as it is taken.
                Heard::Lost(Loss::Behind) => self.replay(self.told),
                Heard::Lost(loss) => {
                    self.told = self.follower.position();
                    return Heard::Lost(loss);
                }
            }
        }
    }

    /// Tells from the change log what happened behind `at`, and then what happens.
    fn replay(&mut self, at: i64) {
        let Some(interest) = self.interest.clone() else { return };
        self.follower.want_nothing();
        self.replay = Some(Replay { interest, at, to: None, read: VecDeque::new(), reading: None });
    }

    /// A step of the replay; `None` where that had nothing to tell.
    async fn replayed(&mut self) -> Option<Heard> {
        let replay = self.replay.as_mut()?;
        if let Some(news) = replay.read.pop_front() {
            return Some(Heard::News(news));
        }
        if replay.to.is_some_and(|to| replay.at >= to) {
            self.told = replay.at;
            self.replay = None;
            return None;
        }
        let read = || tokio::spawn(read(self.queue.clone(), replay.interest.scope.clone(), replay.at));
        let page = replay.reading.get_or_insert_with(read).await;
        replay.reading = None;
        let page = match page {
            Ok(Ok(page)) => page,
            failed => return Some(self.give_up(failed)),
        };
        let to = replay.to.unwrap_or(i64::MAX);
        let wanted = page
            .entries
            .into_iter()
            .filter(|entry| entry.seq <= to && replay.interest.wants(Some(entry.event), &entry.task));
        replay.read = wanted.map(|entry| Arc::new(News::of(entry))).collect();
        replay.at = page.next.min(to);
        if !page.has_more {
            match replay.to {
                // Whatever happens from here on comes live; what lies between is read once more.
                None => replay.to = Some(self.follower.want_with_progress(replay.interest.clone())),
                Some(to) => replay.at = to,
            }
        }
        None
    }

    /// Goes on with what happens from now on.
    fn give_up(&mut self, failed: Result<Result<ChangePage, Error>, JoinError>) -> Heard {
        if let Some(replay) = self.replay.take() {
            self.told = self.follower.want_with_progress(replay.interest);
        }
        Heard::Lost(match failed {
            Ok(Err(Error::SequenceExpired(_))) => Loss::Expired,
            Ok(Err(Error::SequenceAhead)) => Loss::Ahead,
            Ok(Err(error)) => {
                error.tell("what a follower missed could not be read");
                Loss::Behind
            }
            _ => Loss::Behind,
        })
    }
}

/// While the database cannot be reached it is asked again: whoever is told that something is missing would only
/// ask itself, and all others with it.
async fn read(queue: Queue, scope: Scope, after: i64) -> Result<ChangePage, Error> {
    for _ in 0..TRIES {
        match queue.missed(&scope, after, PAGE).await {
            Err(Error::Store(store::Error::Unavailable(_))) => {
                sleep(AGAIN.mul_f64(1.0 + rand::random::<f64>())).await;
            }
            read => return read,
        }
    }
    queue.missed(&scope, after, PAGE).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::files::Files;
    use crate::store::{Beat, Sqlite};
    use crate::task::{Draft, Filter, Progress};
    use crate::types::Types;
    use serde_json::value::RawValue;
    use tokio::time::timeout;

    async fn submit(queue: &Queue) {
        let draft = Draft::new("noop", RawValue::from_string("{}".to_owned()).unwrap(), "default", "a");
        let prepared = queue.prepare(vec![draft]).await.unwrap();
        queue.submit(prepared, None).await.unwrap();
    }

    #[tokio::test]
    async fn progress_from_before_what_a_replay_told_is_told_only_from_where_that_ended() {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(Sqlite::open(&folder.path().join("errand.db")).await.unwrap());
        let files = Files::local(&folder.path().join("files")).unwrap();
        let queue = Queue::open(store, Clock::system(), Types::builtin(), files);
        submit(&queue).await;
        let task = queue.claim("worker", 1, &[], 30_000, false).await.unwrap().remove(0);
        let mut following = Following::new(queue.clone(), queue.follow().await.unwrap());
        let interest = Interest { scope: Scope::Everyone, clients: None, filter: Filter::default(), approvals: false };
        following.want(interest, None);
        // As a replay leaves it that read two entries further than the news have come.
        following.told += 2;
        let progress = Progress { percent: 50.0, ..Progress::default() };
        let (lease, lines) = (task.lease.unwrap(), Vec::new());
        let beat = Beat { id: task.id, lease, attempt: 1, progress: Some(progress.clone()), lines };
        queue.beat(&[beat], 30_000).await.unwrap();
        let early = timeout(Duration::from_millis(600), following.next()).await;
        assert!(early.is_err(), "{early:?}");
        submit(&queue).await;
        submit(&queue).await;
        let Heard::News(news) = following.next().await else { panic!("nothing is lost") };
        assert_eq!((news.event, news.seq, &news.task.progress), (None, following.told, &progress));
    }
}
