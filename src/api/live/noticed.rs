//! The topic `notifications`: the ends of an owner's tasks as they happen, and what the owner marks.

use super::super::caller::Caller;
use super::follow::Stream;
use super::frames;
use crate::queue::feed::{Heard, Interest};
use crate::queue::notifications::{Notification, Watcher};
use crate::queue::{Error, Queue};
use crate::task::{Filter, Scope, Status};
use axum::extract::ws::Utf8Bytes;
use std::future::pending;

/// One that is told of notifications.
pub struct Noticed {
    ends: Stream,
    watcher: Watcher,
}

impl Noticed {
    /// Of what ends, and is marked, from now on: the caller's owner's, an admin's too.
    pub async fn of(queue: &Queue, caller: &Caller) -> Result<Noticed, Error> {
        let watcher = queue.watch_marks(&caller.owner).await?;
        let statuses = Status::ALL.into_iter().filter(|status| status.is_finished()).collect();
        let filter = Filter { statuses, ..Filter::default() };
        let interest = Interest { scope: Scope::Owner(caller.owner.clone()), clients: None, filter, approvals: false };
        let mut ends = Stream::new(queue.clone(), None);
        ends.want(interest, None).await?;
        Ok(Noticed { ends, watcher })
    }

    /// The next frame; a call that is dropped takes nothing.
    async fn next(&mut self) -> Utf8Bytes {
        loop {
            tokio::select! {
                biased;
                // First what is muted by now, then what it is about.
                marks = self.watcher.changed() => return frames::marked(&marks).into(),
                heard = self.ends.next() => match heard {
                    Heard::News(news) => {
                        let marks = self.watcher.marks();
                        if let Some(notification) = Notification::of(news.task.clone(), &marks) {
                            return frames::notification(&notification).into();
                        }
                    }
                    Heard::Lost(loss) => return frames::resync_notifications(loss).into(),
                }
            }
        }
    }
}

/// The next frame of whoever, if there is one, is told; a call that is dropped takes nothing.
pub async fn next(noticed: &mut Option<Box<Noticed>>) -> Utf8Bytes {
    match noticed {
        Some(noticed) => noticed.next().await,
        None => pending().await,
    }
}
