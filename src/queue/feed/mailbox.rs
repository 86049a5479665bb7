//! What waits for one follower: bounded, progress by the task.

use super::{Heard, Loss, News};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// More than this does not wait: all of it is dropped, and the follower told.
pub const MAX_WAITING: usize = 256;
/// A queue that had grown beyond this gives its memory back when it is empty.
const KEPT: usize = 8;

/// What waits for one follower.
#[derive(Debug, Default)]
pub struct Mailbox {
    mail: Mutex<Mail>,
    arrived: Notify,
}

#[derive(Debug, Default)]
struct Mail {
    waiting: VecDeque<Arc<News>>,
    lost: Option<Loss>,
}

impl Mailbox {
    /// Adds one. Of a task's progress only the last waits; when too much waits, everything is lost.
    pub fn put(&self, news: Arc<News>) {
        let mut mail = self.lock();
        if mail.lost.is_some() {
            return;
        }
        if news.event.is_none() {
            let older = |waiting: &Arc<News>| waiting.event.is_none() && waiting.task.id == news.task.id;
            if let Some(at) = mail.waiting.iter().position(older) {
                mail.waiting.remove(at);
            }
        }
        if mail.waiting.len() < MAX_WAITING {
            mail.waiting.push_back(news);
        } else {
            *mail = Mail { waiting: VecDeque::new(), lost: Some(Loss::Behind) };
        }
        drop(mail);
        self.arrived.notify_one();
    }

    /// Drops what waits, and says so to the follower.
    pub fn lose(&self, loss: Loss) {
        *self.lock() = Mail { waiting: VecDeque::new(), lost: Some(loss) };
        self.arrived.notify_one();
    }

    /// Drops what waits; the follower knows.
    pub fn empty(&self) {
        *self.lock() = Mail::default();
    }

    /// The next of it, as soon as there is one.
    pub async fn take(&self) -> Heard {
        loop {
            if let Some(heard) = self.lock().next() {
                return heard;
            }
            self.arrived.notified().await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Mail> {
        self.mail.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Mail {
    fn next(&mut self) -> Option<Heard> {
        if let Some(loss) = self.lost.take() {
            return Some(Heard::Lost(loss));
        }
        let news = self.waiting.pop_front()?;
        if self.waiting.is_empty() && self.waiting.capacity() > KEPT {
            self.waiting = VecDeque::new();
        }
        Some(Heard::News(news))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::{Draft, Event, Time};
    use futures_util::FutureExt;
    use serde_json::value::RawValue;
    use uuid::Uuid;

    fn news(id: u128, seq: i64, event: Option<Event>) -> Arc<News> {
        let params = RawValue::from_string("{}".to_owned()).unwrap();
        let task = Draft::new("noop", params, "default", "a").into_task(Uuid::from_u128(id), Time(0));
        Arc::new(News { event, ..News::progress(seq, task) })
    }

    fn all(mailbox: &Mailbox) -> Vec<String> {
        let heard = std::iter::from_fn(|| mailbox.take().now_or_never());
        heard
            .map(|heard| match heard {
                Heard::News(news) => format!("{} {}", news.task.id.as_u128(), news.seq),
                Heard::Lost(loss) => format!("{loss:?}"),
            })
            .collect()
    }

    #[test]
    fn of_a_tasks_progress_the_last_waits_behind_what_was_told_before_it() {
        let mailbox = Mailbox::default();
        for (id, seq, event) in [(1, 7, None), (2, 8, Some(Event::Started)), (1, 8, None), (2, 8, None)] {
            mailbox.put(news(id, seq, event));
        }
        assert_eq!(all(&mailbox), ["2 8", "1 8", "2 8"]);
    }

    #[test]
    fn too_much_is_lost_once_and_said_once() {
        let mailbox = Mailbox::default();
        (0..1000).for_each(|seq| mailbox.put(news(1, seq, Some(Event::Queued))));
        assert_eq!(all(&mailbox), ["Behind"]);
        (0..MAX_WAITING as i64).for_each(|seq| mailbox.put(news(1, seq, Some(Event::Queued))));
        assert_eq!(all(&mailbox).len(), MAX_WAITING);
        assert!(mailbox.lock().waiting.capacity() <= KEPT);
    }
}
