//! Progress of a run that knows how much it has to do.

use super::{Context, Failure};

/// How far a run is: in all, done, and what is being done. Percent and ETA follow, and it is written a few times a second however
/// often it is told. Each call is also a look at whether the attempt is to stop: `Err(Failure::Stopped)`, for `?`.
pub struct Track {
    ctx: Context,
    total: u64,
    processed: u64,
    step: Option<String>,
}

impl Context {
    /// Begins to track a run of `total` items; 0 where that is not known yet.
    pub fn track(&self, total: u64) -> Track {
        Track { ctx: self.clone(), total, processed: 0, step: None }
    }
}

impl Track {
    /// So many items in all, where that is found out on the way.
    pub fn total(&mut self, total: u64) -> Result<(), Failure> {
        self.total = total;
        self.say()
    }

    /// What is being done from here on, in words for a person.
    pub fn step(&mut self, step: impl Into<String>) -> Result<(), Failure> {
        self.step = Some(step.into());
        self.say()
    }

    /// So many items more are done.
    pub fn advance(&mut self, items: u64) -> Result<(), Failure> {
        self.processed = self.processed.saturating_add(items);
        self.say()
    }

    /// So many items were done by earlier attempts; `from` says in words where this one goes on. The pace is measured from there.
    pub fn going_on(&mut self, done: u64, from: &str) -> Result<(), Failure> {
        self.processed = done;
        self.ctx.going_on(number(done), from);
        self.say()
    }

    /// How many items are done.
    pub fn processed(&self) -> u64 {
        self.processed
    }

    fn say(&self) -> Result<(), Failure> {
        self.ctx.progress(number(self.processed), number(self.total), self.step.clone());
        self.ctx.check()
    }
}

fn number(items: u64) -> i64 {
    i64::try_from(items).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::context::trial::Trial;

    #[tokio::test]
    async fn percent_and_step_follow_from_what_it_is_told() {
        let ctx = Trial::new().attempt();
        let mut track = ctx.track(0);
        track.total(8).unwrap();
        track.step("reading").unwrap();
        track.going_on(2, "page 3 of 8").unwrap();
        track.advance(4).unwrap();
        let progress = ctx.last_progress();
        assert_eq!((progress.percent, progress.processed, progress.total), (75.0, Some(6), Some(8)));
        assert_eq!((progress.step.as_deref(), track.processed()), (Some("reading"), 6));
        assert!(progress.eta_seconds.is_some());
        assert_eq!(ctx.take_said().1[0].message, "going on from page 3 of 8");
    }

    #[tokio::test]
    async fn each_call_tells_that_it_is_to_stop() {
        let trial = Trial::new();
        let mut track = trial.attempt().track(3);
        track.advance(1).unwrap();
        trial.stop.cancel();
        assert!(matches!(track.advance(1), Err(Failure::Stopped)));
        assert!(matches!(track.step("more"), Err(Failure::Stopped)));
    }
}
