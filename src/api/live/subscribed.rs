//! What a socket is subscribed to, and the frames it is told of that.

use super::super::Api;
use super::super::caller::Caller;
use super::asked::{Subscribe, Topic};
use super::entries::{self, Wanted};
use super::follow::Stream;
use super::frames;
use super::metrics::{self, Listener};
use super::noticed::{self, Noticed};
use crate::queue::activity::feed::{self as activity, Follower as EntryFollower};
use crate::queue::feed::{Follower, Heard, Interest};
use crate::queue::{Error, Queue};
use crate::task::Filter;
use axum::extract::ws::Utf8Bytes;
use bytes::Bytes;
use std::future::pending;

/// What a request asked for with its address.
pub struct Terms {
    /// What it is subscribed to at first.
    pub topic: Topic,
    /// The client whose tasks are wanted beside the socket's own.
    pub client_id: Option<String>,
    /// Whether all of the owner's tasks are wanted.
    pub all: bool,
    /// What happened behind this number is wanted too.
    pub after: Option<i64>,
    /// Which entries are wanted.
    pub entries: Wanted,
}

/// The subscriptions of one socket. Each topic costs something only while it is subscribed to.
pub struct Subscribed {
    api: Api,
    /// Its tasks are those of the client with the socket's id.
    socket_id: String,
    all: bool,
    topics: Vec<Topic>,
    tasks: Stream,
    metrics: Option<Listener>,
    entries: Option<EntryFollower>,
    noticed: Option<Box<Noticed>>,
    approvals: Option<Box<Stream>>,
}

impl Subscribed {
    /// To nothing yet; with a follower, it is ready to be told of tasks.
    pub fn new(api: Api, socket_id: String, follower: Option<Follower>) -> Subscribed {
        let tasks = Stream::new(api.queue.clone(), follower);
        Subscribed {
            api,
            socket_id,
            all: false,
            topics: Vec::new(),
            tasks,
            metrics: None,
            entries: None,
            noticed: None,
            approvals: None,
        }
    }

    /// To what its address says; answers the number of the change log behind which news come.
    pub async fn begin(&mut self, terms: Terms, caller: &Caller) -> Result<i64, Error> {
        let Terms { topic, client_id, all, after, entries } = terms;
        self.all = all;
        if topic != Topic::Tasks {
            self.tasks.look().await?;
        }
        let (topics, filter) = (vec![topic], Filter::default());
        let subscribe = Subscribe { topics, filter, client_id, after_seq: after, activity: entries };
        self.subscribe(subscribe, caller).await
    }

    /// Takes a subscription in the place of the one before; answers the number behind which news come.
    /// Nothing is changed by one that cannot be had.
    pub async fn subscribe(&mut self, subscribe: Subscribe, caller: &Caller) -> Result<i64, Error> {
        let Subscribe { topics, mut filter, client_id, after_seq, activity } = subscribe;
        let entries = match topics.contains(&Topic::Activity) {
            true => Some(follow(&self.api.queue, activity, caller).await?),
            false => None,
        };
        let noticed = match topics.contains(&Topic::Notifications) && self.noticed.is_none() {
            true => Some(Box::new(Noticed::of(&self.api.queue, caller).await?)),
            false => None,
        };
        let judged = match topics.contains(&Topic::Approvals) && (self.approvals.is_none() || after_seq.is_some()) {
            true => Some(approvals_of(&self.api.queue, caller, after_seq).await?),
            false => None,
        };
        let seq = match topics.contains(&Topic::Tasks) {
            true => {
                let clients = match self.all {
                    true => {
                        filter.client_id = filter.client_id.or(client_id);
                        None
                    }
                    false => Some([Some(self.socket_id.clone()), client_id].into_iter().flatten().collect()),
                };
                let interest = Interest { scope: caller.scope.clone(), clients, filter, approvals: false };
                self.tasks.want(interest, after_seq).await?
            }
            false => judged.as_ref().map_or_else(|| self.tasks.position(), |(_, seq)| *seq),
        };
        if entries.is_some() {
            self.entries = entries;
        }
        if noticed.is_some() {
            self.noticed = noticed;
        }
        if let Some((judged, _)) = judged {
            self.approvals = Some(judged);
        }
        if topics.contains(&Topic::Metrics) && self.metrics.is_none() {
            self.metrics = Some(self.api.listen(caller));
        }
        for topic in topics {
            if !self.topics.contains(&topic) {
                self.topics.push(topic);
            }
        }
        Ok(seq)
    }

    /// To these no more.
    pub fn unsubscribe(&mut self, topics: &[Topic]) {
        self.topics.retain(|topic| !topics.contains(topic));
        for topic in topics {
            match topic {
                Topic::Tasks => self.tasks.want_nothing(),
                Topic::Metrics => self.metrics = None,
                Topic::Activity => self.entries = None,
                Topic::Notifications => self.noticed = None,
                Topic::Approvals => self.approvals = None,
            }
        }
    }

    /// The words of its topics.
    pub fn topics(&self) -> Vec<&'static str> {
        self.topics.iter().map(|topic| topic.word()).collect()
    }

    /// The next frame; a call that is dropped takes nothing.
    pub async fn next(&mut self) -> Utf8Bytes {
        tokio::select! {
            biased;
            heard = self.tasks.next() => match heard {
                Heard::News(news) => text(frames::news(&news)),
                Heard::Lost(loss) => frames::resync(loss, self.tasks.position()).into(),
            },
            frame = metrics::next(&mut self.metrics) => frame,
            heard = entries::next(&mut self.entries) => match heard {
                activity::Heard::Entry(told) => text(frames::entry(&told)),
                activity::Heard::Lost(loss) => frames::resync_entries(loss).into(),
            },
            frame = noticed::next(&mut self.noticed) => frame,
            frame = next_approval(&mut self.approvals) => frame,
        }
    }
}

/// The approvals of all tasks that the caller may see, and the number behind which their news come.
async fn approvals_of(queue: &Queue, caller: &Caller, after: Option<i64>) -> Result<(Box<Stream>, i64), Error> {
    let interest = Interest { scope: caller.scope.clone(), clients: None, filter: Filter::default(), approvals: true };
    let mut stream = Box::new(Stream::new(queue.clone(), None));
    let seq = stream.want(interest, after).await?;
    Ok((stream, seq))
}

/// The next frame of approvals, if they are followed; a call that is dropped takes nothing.
async fn next_approval(approvals: &mut Option<Box<Stream>>) -> Utf8Bytes {
    let Some(stream) = approvals else { return pending().await };
    loop {
        match stream.next().await {
            Heard::News(news) => {
                if let Some(frame) = frames::approval(&news) {
                    return frame.into();
                }
            }
            Heard::Lost(loss) => return frames::resync_approvals(loss, stream.position()).into(),
        }
    }
}

async fn follow(queue: &Queue, wanted: Wanted, caller: &Caller) -> Result<EntryFollower, Error> {
    let (interest, after) = wanted.of(caller);
    queue.follow_activity(interest, after).await
}

/// JSON of ours.
fn text(frame: Bytes) -> Utf8Bytes {
    Utf8Bytes::try_from(frame).expect("JSON is UTF-8")
}
