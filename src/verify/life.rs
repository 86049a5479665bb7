//! The lives of tasks, entry by entry: each must follow from the one before it.

use crate::store::Step;
use crate::task::{Event, Status};

/// Walks the change log by task and number, and remembers the last step.
pub struct Lives {
    before: Option<Step>,
    /// The log no longer reaches back to every submit.
    cut: bool,
}

impl Lives {
    /// Of a log whose first entries may be gone (`cut`).
    pub fn new(cut: bool) -> Lives {
        Lives { before: None, cut }
    }

    /// What is wrong with the next entry, if anything: its kind, and a sentence.
    pub fn next(&mut self, step: Step) -> Option<(&'static str, String)> {
        let before = self.before.replace(step).filter(|before| before.task == step.task);
        let Some(before) = before else {
            let begins = step.event == Event::Queued && step.from.is_none() && step.to == Status::Pending;
            return (!begins && !self.cut).then(|| ("life", format!("its first entry is {}", step.event.word())));
        };
        // Only a retry leads out of an end, and it leads to PENDING.
        if before.to.is_finished() && step.to.is_finished() {
            let ends = format!("it ended in {} and then in {}, in one life", before.to.word(), step.to.word());
            return Some(("two_ends", ends));
        }
        if step.from != Some(before.to) {
            let from = step.from.map_or("nothing", Status::word);
            return Some((
                "life",
                format!("{} says it was {from}, and it was {}", step.event.word(), before.to.word()),
            ));
        }
        if before.to.after(step.event) != Some(step.to) {
            let (from, to) = (before.to.word(), step.to.word());
            return Some(("life", format!("{} does not lead from {from} to {to}", step.event.word())));
        }
        if step.version != before.version + 1 {
            return Some(("life", format!("version {} follows {}", step.version, before.version)));
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn step(event: Event, from: Option<Status>, to: Status, version: i64) -> Step {
        Step { task: Uuid::nil(), seq: version, event, from, to, version }
    }

    /// What is wrong with the last of these.
    fn walk(steps: &[Step]) -> Option<&'static str> {
        let mut lives = Lives::new(false);
        steps.iter().map(|step| lives.next(*step).map(|(kind, _)| kind)).last().flatten()
    }

    #[test]
    fn a_life_that_follows_the_table_is_right_and_any_other_is_not() {
        use Status::{Cancelled, Failed, Pending, Running, Success};
        let queued = step(Event::Queued, None, Pending, 1);
        let started = step(Event::Started, Some(Pending), Running, 2);
        let failed = step(Event::Failed, Some(Running), Failed, 3);
        let retried = step(Event::Retried, Some(Failed), Pending, 4);
        let cancelled = step(Event::Cancelled, Some(Pending), Cancelled, 5);
        assert_eq!(walk(&[queued, started, failed, retried, cancelled]), None);
        assert_eq!(walk(&[started]), Some("life"), "begun without a submit");
        assert_eq!(walk(&[queued, failed]), Some("life"), "a step is missing");
        assert_eq!(
            walk(&[queued, step(Event::Succeeded, Some(Pending), Success, 2)]),
            Some("life"),
            "no such transition"
        );
        assert_eq!(walk(&[queued, Step { version: 3, ..started }]), Some("life"), "a version is missing");
        let again = step(Event::Cancelled, Some(Running), Cancelled, 4);
        assert_eq!(walk(&[queued, started, failed, again]), Some("two_ends"));
    }
}
