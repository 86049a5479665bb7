//! What the server says: one JSON object a frame, each with its `type`.

use super::super::activity::ActivityView;
use super::super::notifications::NotificationView;
use super::super::problem::Problem;
use super::super::to_json;
use super::super::wire::TaskView;
use crate::queue::activity::feed::{self as activity, Told};
use crate::queue::feed::{Loss, News};
use crate::queue::notifications::Notification;
use crate::task::text::FieldError;
use crate::task::{Event, Marks, Place, Task, Time};
use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;

/// The word for news, `taskQueued`, `taskProgress` or `taskFinished`.
pub fn word(news: &News) -> &'static str {
    match news.event {
        Some(Event::Queued | Event::Retried | Event::Approved) => "taskQueued",
        Some(Event::Succeeded | Event::Failed | Event::Cancelled | Event::Rejected) => "taskFinished",
        None => "taskProgress",
        Some(Event::Started | Event::Retrying | Event::Rescued | Event::Released | Event::CancelRequested) => {
            "taskProgress"
        }
    }
}

/// What happened to a task.
#[derive(Serialize)]
struct TaskFrame<'a> {
    r#type: &'static str,
    seq: i64,
    event: &'static str,
    task: TaskView<'a>,
}

/// News, put into words once for everybody.
pub fn news(news: &News) -> Bytes {
    let tell = |news: &News| {
        let event = news.event.map_or("progress", Event::word);
        let task = TaskView::row(&news.task, news.at);
        Bytes::from(to_json(&TaskFrame { r#type: word(news), seq: news.seq, event, task }))
    };
    news.told(tell)
}

/// What happened to an approval; `None` where nothing did.
pub fn approval(news: &News) -> Option<String> {
    let event = news.event?.of_approval(&news.task)?;
    let task = TaskView::row(&news.task, news.at);
    Some(to_json(&TaskFrame { r#type: "approval", seq: news.seq, event, task }))
}

/// The first frame.
pub fn connection(socket_id: &str, owner: &str, seq: i64, server_time: Time) -> String {
    #[derive(Serialize)]
    struct Frame<'a> {
        r#type: &'static str,
        socket_id: &'a str,
        owner: &'a str,
        seq: i64,
        server_time: Time,
    }
    to_json(&Frame { r#type: "connection", socket_id, owner, seq, server_time })
}

/// The answer to a ping.
pub fn pong(id: Option<&RawValue>) -> String {
    #[derive(Serialize)]
    struct Frame<'a> {
        r#type: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<&'a RawValue>,
    }
    to_json(&Frame { r#type: "pong", id })
}

/// A request was done; `task` is what it was about, without params and result.
#[derive(Serialize)]
pub struct Ack<'a> {
    pub r#type: &'static str,
    pub id: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seq: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topics: Option<Vec<&'static str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task: Option<TaskView<'a>>,
}

impl<'a> Ack<'a> {
    /// Done, and nothing more to say.
    pub fn of(id: Option<&'a RawValue>) -> Ack<'a> {
        Ack { r#type: "ack", id, seq: None, topics: None, task: None }
    }

    /// With the task.
    pub fn with_task(id: Option<&'a RawValue>, task: &'a Task, now: Time) -> Ack<'a> {
        Ack { task: Some(TaskView::row(task, now)), ..Ack::of(id) }
    }
}

/// A request was not done: the words of the same problem over HTTP.
pub fn error(id: Option<&RawValue>, problem: &Problem) -> String {
    #[derive(Serialize)]
    struct Frame<'a> {
        r#type: &'static str,
        id: Option<&'a RawValue>,
        code: &'static str,
        status: u16,
        detail: &'a str,
        #[serde(skip_serializing_if = "<[_]>::is_empty")]
        errors: &'a [FieldError],
    }
    let (code, status) = (problem.code().word(), problem.code().status().as_u16());
    to_json(&Frame { r#type: "error", id, code, status, detail: problem.detail(), errors: problem.errors() })
}

/// Something is missing here: read the list again. News behind `seq` come.
pub fn resync(loss: Loss, seq: i64) -> String {
    resync_topic(None, reason(loss), Some(seq))
}

/// Approvals are missing here: read their list again. News behind `seq` come.
pub fn resync_approvals(loss: Loss, seq: i64) -> String {
    resync_topic(Some("approvals"), reason(loss), Some(seq))
}

fn reason(loss: Loss) -> &'static str {
    match loss {
        Loss::Behind => "behind",
        Loss::Expired => "sequence_expired",
        Loss::Ahead => "sequence_ahead",
    }
}

/// An entry of who did what, put into words once for everybody.
pub fn entry(told: &Told) -> Bytes {
    #[derive(Serialize)]
    struct Frame<'a> {
        r#type: &'static str,
        entry: ActivityView<'a>,
    }
    told.text(|entry| Bytes::from(to_json(&Frame { r#type: "activity", entry: ActivityView::of(entry) })))
}

/// Entries are missing here: read the list again. What is written from now on comes.
pub fn resync_entries(loss: activity::Loss) -> String {
    let reason = match loss {
        activity::Loss::Behind => "behind",
        activity::Loss::Unknown => "entry_unknown",
    };
    resync_topic(Some("activity"), reason, None)
}

/// Notifications are missing here: read the list again. What ends from now on comes.
pub fn resync_notifications(loss: Loss) -> String {
    resync_topic(Some("notifications"), reason(loss), None)
}

fn resync_topic(topic: Option<&'static str>, reason: &'static str, seq: Option<i64>) -> String {
    #[derive(Serialize)]
    struct Frame {
        r#type: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        topic: Option<&'static str>,
        reason: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        seq: Option<i64>,
    }
    to_json(&Frame { r#type: "resync", topic, reason, seq })
}

/// A task has ended. Without a number: it is none to go on from.
pub fn notification(notification: &Notification) -> String {
    #[derive(Serialize)]
    struct Frame<'a> {
        r#type: &'static str,
        notification: NotificationView<'a>,
    }
    to_json(&Frame { r#type: "notification", notification: NotificationView::of(notification) })
}

/// The owner has marked something, here or elsewhere: what is read, cleared or muted may be something else by now.
pub fn marked(marks: &Marks) -> String {
    #[derive(Serialize)]
    struct Frame {
        r#type: &'static str,
        version: i64,
        read_until: Option<Place>,
        cleared_until: Option<Place>,
    }
    let Marks { version, read_until, cleared_until, .. } = *marks;
    to_json(&Frame { r#type: "notificationsMarked", version, read_until, cleared_until })
}

/// This node shuts down: connect again after a while, drawn by chance so that not all come at once.
pub fn goodbye() -> String {
    #[derive(Serialize)]
    struct Frame {
        r#type: &'static str,
        reconnect_in_ms: u64,
    }
    to_json(&Frame { r#type: "goodbye", reconnect_in_ms: rand::random_range(RECONNECT_MS) })
}

/// Within which time those who were here come again.
const RECONNECT_MS: std::ops::RangeInclusive<u64> = 200..=10_000;
