//! What can happen to a task: the words of the change log.

use super::Task;

/// One transition. The number is what the databases store; it never changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(i64)]
pub enum Event {
    /// Submitted.
    Queued = 0,
    /// Claimed by a worker.
    Started = 1,
    /// Ended well.
    Succeeded = 2,
    /// Ended in an error for good.
    Failed = 3,
    /// Ended by a person or a rule.
    Cancelled = 4,
    /// An attempt failed and another one is due.
    Retrying = 5,
    /// Its worker was lost; another one may claim it.
    Rescued = 6,
    /// Its worker gave it back (a drain); no attempt is burnt.
    Released = 7,
    /// A caller asked for its end while it runs.
    CancelRequested = 8,
    /// A caller set it going again.
    Retried = 9,
    /// A person let it run.
    Approved = 10,
    /// A person said that it is not to run.
    Rejected = 11,
}

impl Event {
    /// Every event, by number.
    pub const ALL: [Event; 12] = [
        Event::Queued,
        Event::Started,
        Event::Succeeded,
        Event::Failed,
        Event::Cancelled,
        Event::Retrying,
        Event::Rescued,
        Event::Released,
        Event::CancelRequested,
        Event::Retried,
        Event::Approved,
        Event::Rejected,
    ];

    /// The word on the wire.
    pub fn word(self) -> &'static str {
        match self {
            Event::Queued => "queued",
            Event::Started => "started",
            Event::Succeeded => "succeeded",
            Event::Failed => "failed",
            Event::Cancelled => "cancelled",
            Event::Retrying => "retrying",
            Event::Rescued => "rescued",
            Event::Released => "released",
            Event::CancelRequested => "cancel_requested",
            Event::Retried => "retried",
            Event::Approved => "approved",
            Event::Rejected => "rejected",
        }
    }

    /// What happened to an approval that `task`, as it is right after, needs or needed; `None` where nothing did.
    pub fn of_approval(self, task: &Task) -> Option<&'static str> {
        match self {
            Event::Queued | Event::Retried if task.held => Some("requested"),
            Event::Approved => Some("approved"),
            Event::Rejected => Some("rejected"),
            Event::Cancelled if task.held => Some("cancelled"),
            _ => None,
        }
    }

    /// The event of a stored number; `None` for a number no version ever wrote.
    pub fn from_number(number: i64) -> Option<Event> {
        Event::ALL.into_iter().find(|event| *event as i64 == number)
    }

    /// How the attempt it closes ended, as the attempts list says it; `None` where none closes.
    pub fn outcome(self) -> Option<&'static str> {
        match self {
            Event::Succeeded => Some("success"),
            Event::Failed | Event::Retrying => Some("failed"),
            Event::Cancelled => Some("cancelled"),
            Event::Rescued => Some("lost"),
            Event::Released => Some("released"),
            Event::Queued | Event::Started | Event::CancelRequested | Event::Retried => None,
            Event::Approved | Event::Rejected => None,
        }
    }
}
