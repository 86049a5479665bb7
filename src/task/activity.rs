//! Who did what: the words for it, one entry of it, and which entries a caller asks for.

use super::Time;
use uuid::Uuid;

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$of:meta])* $variant:ident $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$of])* $variant),* }

        impl $name {
            /// Each, with its word.
            pub const ALL: &[(&'static str, $name)] = &[$(($word, $name::$variant)),*];

            /// The word on the wire and in the database. It never changes its meaning.
            pub fn word(self) -> &'static str {
                $name::ALL[self as usize].0
            }
        }
    };
}

words! {
    /// What was done. Before the dot stands the category.
    Action {
        /// By a submit, a batch, a clone.
        TaskSubmitted "task.submitted",
        /// One, or many at once; a running one was asked to stop.
        TaskCancelled "task.cancelled",
        /// One, or many at once.
        TaskRetried "task.retried",
        /// It may run.
        TaskApproved "task.approved",
        /// It may not run.
        TaskRejected "task.rejected",
        /// By the system: their workers were lost.
        TaskRescued "task.rescued",
        /// By the system: they were kept long enough.
        TaskPruned "task.pruned",
        /// An upload.
        FileUploaded "file.uploaded",
        /// An upload.
        FileDeleted "file.deleted",
        /// By the API or the command line.
        KeyCreated "key.created",
        /// By the API or the command line.
        KeyRevoked "key.revoked",
        /// By the API or the command line.
        KeyRotated "key.rotated",
        /// A browser signed in.
        SessionOpened "session.opened",
        /// A browser signed out.
        SessionClosed "session.closed",
        /// A browser was not let in.
        SessionRefused "session.refused",
        /// To open a socket or a stream of events with.
        TicketCreated "ticket.created",
        /// Marked as read, or as unread again.
        NotificationRead "notification.read",
        /// Shown no more.
        NotificationCleared "notification.cleared",
        /// Muted, or no more.
        NotificationMuted "notification.muted",
        /// Whatever it was for: no key, a wrong one, a role that may not, too much of it.
        AccessDenied "access.denied",
        /// A process began to work.
        NodeStarted "node.started",
        /// A process ended in order; one that was killed says nothing.
        NodeStopped "node.stopped",
        /// By the system: entries of this list that were kept long enough.
        ActivityPruned "activity.pruned",
        /// Entries that should stand here and do not: there were too many, or the database took none.
        ActivityDropped "activity.dropped",
    }
}

words! {
    /// How it ended.
    Ending {
        /// It was done.
        Done "done",
        /// 401, 403, 429: the caller may not.
        Denied "denied",
        /// Any other 4xx: it was not done.
        Refused "refused",
        /// 5xx: nobody knows whether it was done.
        Failed "failed",
        /// The caller hung up before the answer: nobody knows whether it was done.
        Unanswered "unanswered",
    }
}

impl Action {
    /// What it is about.
    pub fn category(self) -> &'static str {
        self.word().split('.').next().unwrap_or_default()
    }

    /// Every category, once.
    pub fn categories() -> Vec<&'static str> {
        let mut all: Vec<_> = Action::ALL.iter().map(|(_, action)| action.category()).collect();
        all.dedup();
        all
    }
}

/// One entry. No params, no results, no keys; its texts have no control characters in them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Activity {
    /// UUIDv7: sorting by id sorts by time.
    pub id: Uuid,
    /// When it happened, or happened first.
    pub at: Time,
    /// The process that wrote it down.
    pub node: String,
    /// An [`Action`]'s word, maybe one that a newer node wrote.
    pub action: String,
    /// An [`Ending`]'s word.
    pub outcome: String,
    /// Of the HTTP answer.
    pub status: Option<i64>,
    /// Of the problem that was answered.
    pub code: Option<String>,
    /// Who acted; `None` for the system, and for whom nobody knows.
    pub owner: Option<String>,
    /// The key that was shown, also where it was refused, if there is one with that id.
    pub key_id: Option<String>,
    /// As a header said it.
    pub client_id: Option<String>,
    /// The other end of the connection.
    pub address: Option<String>,
    /// The first request's.
    pub request_id: Option<String>,
    /// Method and path, as the table of routes has it.
    pub route: Option<String>,
    /// The id of a task, an upload or a key.
    pub target: Option<String>,
    /// How often it happened, or to how many things.
    pub count: i64,
    /// More, in words of ours.
    pub detail: Option<String>,
}

/// What entries have in common that become one when they come in great numbers.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Same {
    action: String,
    outcome: String,
    code: Option<String>,
    owner: Option<String>,
    key_id: Option<String>,
    address: Option<String>,
}

impl Activity {
    /// What somebody, or the system, did just now. Who it was is added by its maker.
    pub fn new(action: Action, ending: Ending) -> Activity {
        Activity {
            id: Uuid::nil(),
            at: Time(0),
            node: String::new(),
            action: action.word().to_owned(),
            outcome: ending.word().to_owned(),
            status: None,
            code: None,
            owner: None,
            key_id: None,
            client_id: None,
            address: None,
            request_id: None,
            route: None,
            target: None,
            count: 1,
            detail: None,
        }
    }

    /// The category of its action.
    pub fn category(&self) -> &str {
        self.action.split('.').next().unwrap_or_default()
    }

    /// With which others it may become one: submits, tickets, what is read, and whatever was not done. The rest stands alone.
    pub fn same(&self) -> Option<Same> {
        let done = self.outcome == Ending::Done.word();
        let in_numbers = [Action::TaskSubmitted, Action::TicketCreated, Action::NotificationRead].map(Action::word);
        let many = !done || in_numbers.contains(&&*self.action);
        many.then(|| Same {
            action: self.action.clone(),
            outcome: self.outcome.clone(),
            code: self.code.clone(),
            owner: self.owner.clone(),
            key_id: self.key_id.clone(),
            address: self.address.clone().filter(|_| !done),
        })
    }

    /// Takes one of the same in. What they do not share is forgotten, but for the first one's request id.
    pub fn take_in(&mut self, other: Activity) {
        let keep = |one: &mut Option<String>, other: Option<String>| {
            if *one != other {
                *one = None;
            }
        };
        self.count = self.count.saturating_add(other.count);
        keep(&mut self.client_id, other.client_id);
        keep(&mut self.address, other.address);
        keep(&mut self.route, other.route);
        keep(&mut self.target, other.target);
        keep(&mut self.detail, other.detail);
    }
}

/// Conditions that must all hold; an empty one matches everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ActivityFilter {
    /// One of these; empty is any.
    pub categories: Vec<String>,
    /// One of these; empty is any.
    pub actions: Vec<String>,
    /// One of these; empty is any.
    pub outcomes: Vec<String>,
    /// Exactly this owner (within the scope).
    pub owner: Option<String>,
    /// Exactly this key.
    pub key_id: Option<String>,
    /// Exactly this client.
    pub client_id: Option<String>,
    /// Exactly this request.
    pub request_id: Option<String>,
    /// Exactly this task, upload or key.
    pub target: Option<String>,
    /// Each of these words stands in any of its texts; ASCII case is ignored.
    pub words: Vec<String>,
    /// At or after.
    pub since: Option<Time>,
    /// Before.
    pub until: Option<Time>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_found_where_it_stands_and_every_category_once() {
        assert!(Action::ALL.iter().all(|(word, action)| action.word() == *word));
        assert!(Ending::ALL.iter().all(|(word, ending)| ending.word() == *word));
        assert_eq!(
            Action::categories(),
            ["task", "file", "key", "session", "ticket", "notification", "access", "node", "activity"]
        );
    }

    #[test]
    fn what_is_the_same_becomes_one_and_forgets_what_it_does_not_share() {
        let submit = |target: &str| Activity {
            target: Some(target.to_owned()),
            address: Some(target.to_owned()),
            request_id: Some(target.to_owned()),
            route: Some("r".to_owned()),
            ..Activity::new(Action::TaskSubmitted, Ending::Done)
        };
        let mut one = submit("1");
        assert_eq!(one.same(), submit("2").same());
        one.take_in(submit("2"));
        assert_eq!((one.count, one.target, one.route.as_deref()), (2, None, Some("r")));
        assert_eq!(one.request_id.as_deref(), Some("1"));
        let denied = |address: &str| Activity {
            address: Some(address.to_owned()),
            ..Activity::new(Action::AccessDenied, Ending::Denied)
        };
        assert_ne!(denied("1").same(), denied("2").same(), "who is refused is told apart by its address");
        assert_eq!(Activity::new(Action::TaskCancelled, Ending::Done).same(), None);
        assert!(Activity::new(Action::TaskCancelled, Ending::Refused).same().is_some());
    }
}
