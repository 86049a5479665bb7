//! The life of a task: five states and one table.

use super::Event;

/// Where a task stands. The number is what the databases store; it never changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(i64)]
pub enum Status {
    /// Waiting.
    Pending = 0,
    /// A worker holds a lease on it.
    Running = 1,
    /// Finished; `result` is set.
    Success = 2,
    /// Out of attempts, or an error that no retry can mend.
    Failed = 3,
    /// Ended by a person or a rule.
    Cancelled = 4,
}

impl Status {
    /// Every status, in the order of the contract.
    pub const ALL: [Status; 5] = [Status::Pending, Status::Running, Status::Success, Status::Failed, Status::Cancelled];

    /// The whole life of a task. `None`: that event cannot happen here.
    pub fn after(self, event: Event) -> Option<Status> {
        use Status::*;
        Some(match (self, event) {
            (Pending, Event::Started) => Running,
            (Pending, Event::Cancelled | Event::Rejected) => Cancelled,
            (Pending, Event::Approved) => Pending,
            (Running, Event::Succeeded) => Success,
            (Running, Event::Failed) => Failed,
            (Running, Event::Cancelled) => Cancelled,
            (Running, Event::CancelRequested) => Running,
            (Running, Event::Retrying | Event::Rescued | Event::Released) => Pending,
            (Failed | Cancelled, Event::Retried) => Pending,
            _ => return None,
        })
    }

    /// Whether the task has ended (a caller may still retry `FAILED` and `CANCELLED`).
    pub fn is_finished(self) -> bool {
        matches!(self, Status::Success | Status::Failed | Status::Cancelled)
    }

    /// Whether a cancel would be accepted.
    pub fn can_cancel(self) -> bool {
        matches!(self, Status::Pending | Status::Running)
    }

    /// Whether a retry by a caller would be accepted.
    pub fn can_retry(self) -> bool {
        self.after(Event::Retried).is_some()
    }

    /// The word on the wire and on the page.
    pub fn word(self) -> &'static str {
        match self {
            Status::Pending => "PENDING",
            Status::Running => "RUNNING",
            Status::Success => "SUCCESS",
            Status::Failed => "FAILED",
            Status::Cancelled => "CANCELLED",
        }
    }

    /// The status of a word, exactly as [`Status::word`] writes it.
    pub fn from_word(word: &str) -> Option<Status> {
        Status::ALL.into_iter().find(|status| status.word() == word)
    }

    /// The status of a stored number; `None` for a number no version ever wrote.
    pub fn from_number(number: i64) -> Option<Status> {
        Status::ALL.into_iter().find(|status| *status as i64 == number)
    }
}

/// The table as text, one line a state: what ARCHITECTURE.md shows and a test compares.
pub fn diagram() -> String {
    Status::ALL.iter().fold(String::new(), |text, from| {
        let steps: Vec<String> = Event::ALL
            .iter()
            .filter_map(|event| Some((event, from.after(*event)?)))
            .map(|(event, to)| format!("{} -> {}", event.word(), to.word()))
            .collect();
        text + &format!("{:<9} | {}\n", from.word(), steps.join(" | "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn success_is_final() {
        assert!(Event::ALL.iter().all(|event| Status::Success.after(*event).is_none()));
    }

    #[test]
    fn every_status_survives_its_word_and_its_number() {
        for status in Status::ALL {
            assert_eq!(Status::from_word(status.word()), Some(status));
            assert_eq!(Status::from_number(status as i64), Some(status));
        }
    }

    #[test]
    fn only_waiting_and_running_tasks_can_be_cancelled_and_only_ended_ones_retried() {
        for status in Status::ALL {
            let cancel = status.after(Event::Cancelled).is_some();
            assert_eq!(status.can_cancel(), cancel, "{status:?}");
            assert_eq!(status.can_retry(), matches!(status, Status::Failed | Status::Cancelled), "{status:?}");
        }
    }
}
