//! Who is told of what has just been written: this node by its signals, others by the store.

use super::pace::Pace;
use crate::events::Events;
use crate::store::{self, Store, Submission, Submitted};
use crate::task::{Event, Status, Task};

/// Tells whoever listens what has just been submitted.
pub fn announce_new<'a>(
    store: &dyn Store,
    events: &Events,
    pace: &Pace,
    written: impl Iterator<Item = (&'a Submission, &'a Submitted)>,
) {
    for (submission, answer) in written {
        let Submitted::New = answer else { continue };
        pace.submitted(submission.tasks.iter());
        events.logged();
        if submission.tasks.iter().any(|task| !task.held && task.run_at > task.created_at) {
            events.due();
        }
        if submission.tasks.iter().any(|task| task.is_due(task.created_at)) {
            events.ready();
            store.wake(store::Wake::Ready);
        }
    }
}

/// Tells whoever listens what has just happened.
pub fn announce<'a>(
    store: &dyn Store,
    events: &Events,
    pace: &Pace,
    happened: impl Iterator<Item = (Event, &'a Task)> + Clone,
) {
    pace.happened(happened.clone());
    let (mut ready, mut due, mut cancel) = (false, false, false);
    for (event, task) in happened {
        events.touched(task.id);
        match event {
            Event::CancelRequested => cancel = true,
            _ if task.status != Status::Pending || task.held => {}
            _ if task.is_due(task.updated_at) => ready = true,
            _ => due = true,
        }
    }
    events.logged();
    if due {
        events.due();
    }
    if cancel {
        events.cancel();
        store.wake(store::Wake::Cancel);
    }
    if ready {
        events.ready();
        store.wake(store::Wake::Ready);
    }
}
