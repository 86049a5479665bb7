//! Fail points: places where a test has the process die, fail or wait, at the n-th passing.
//!
//! Debug builds have them and nothing else does: every test runs a debug build without further ado,
//! so no test can be left out by a forgotten feature, and in a release build each call is empty.
//! There the setting that arms them is unknown, too, and an unknown setting is an error.
//!
//! What is armed is the one global of this crate: a point stands where no handle reaches.

/// A failure that a fail point makes: what the code around it takes for the database's or the disk's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// As if by a mistake of ours.
    #[error("a fail point says that this is a mistake")]
    Mistake,
    /// As if nothing could be reached.
    #[error("a fail point says that this cannot be reached")]
    Away,
}

#[cfg(debug_assertions)]
pub use armed::{Armed, POINTS, arm, during, fails, parse, point};
#[cfg(not(debug_assertions))]
pub use nothing::{during, fails, point};

#[cfg(not(debug_assertions))]
mod nothing {
    use super::Failure;

    /// Nothing.
    #[inline(always)]
    pub async fn point(_: &'static str) {}

    /// Nothing.
    #[inline(always)]
    pub async fn fails(_: &'static str) -> Result<(), Failure> {
        Ok(())
    }

    /// The work.
    #[inline(always)]
    pub async fn during<T>(_: &'static str, work: impl Future<Output = T>) -> T {
        work.await
    }
}

#[cfg(debug_assertions)]
mod armed {
    use super::Failure;
    use std::ops::RangeInclusive;
    use std::process::abort;
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    /// Every point, by the way of a task. The tests kill at each where something is written.
    pub const POINTS: &[&str] = &[
        // Opening the database; the first and the last only SQLite has.
        "sqlite_made",
        "migrate_begun",
        "migrate_in_flight",
        "migrate_done",
        "sqlite_numbered",
        // A submit: of the caller, then of the writer that gathers them.
        "submit_prepared",
        "submit_taken",
        "submit_in_flight",
        "submit_committed",
        "submit_announced",
        "submit_answered",
        // Every other transition, in its writer.
        "change_taken",
        "change_in_flight",
        "change_committed",
        "change_announced",
        // Any write of SQLite, within its transaction.
        "sqlite_uncommitted",
        // Ready, claimed, run, reported.
        "promote_begun",
        "promote_in_flight",
        "promoted",
        "claim_begun",
        "claim_in_flight",
        "claim_committed",
        "claim_announced",
        "attempt_begun",
        "beat_begun",
        "beat_in_flight",
        "beat_committed",
        "save_taken",
        "save_in_flight",
        "save_committed",
        "output_kept",
        "output_grown",
        "handler_ended",
        "last_words_written",
        "report_begun",
        "report_written",
        // Cancel, retry, rescue.
        "cancel_decided",
        "retry_decided",
        "rescue_found",
        "rescue_written",
        "leftovers_of_attempt",
        "leftovers_of_success",
        // Files: uploads and outputs, then uploads alone.
        "file_unfinished",
        "file_in_flight",
        "file_finished",
        "upload_received",
        "upload_kept",
        "upload_recorded",
        "upload_forgotten",
        // What a follower missed is read. Nothing is written here.
        "missed_begun",
        // The end of a node.
        "drain_begun",
        "drain_releasing",
        "drain_released",
    ];

    /// While something is in flight, the process dies within so many microseconds, drawn by chance.
    const IN_FLIGHT_MICROS: u64 = 2_000;

    /// What happens at a point, and at which passings, counted from 1.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Armed {
        point: &'static str,
        action: Action,
        passings: RangeInclusive<u64>,
    }

    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    enum Action {
        /// The process ends at once, as by kill -9: nothing is unwound, flushed or dropped.
        Abort,
        /// A panic.
        Panic,
        /// A failure, where the code there can fail; elsewhere a panic that says so.
        Fail(Failure),
        /// A wait.
        Delay(Duration),
    }

    static ARMED: OnceLock<Vec<(Armed, AtomicU64)>> = OnceLock::new();

    /// Arms points for the life of this process; only the first call counts.
    pub fn arm(points: &[Armed]) {
        let _ = ARMED.set(points.iter().map(|armed| (armed.clone(), AtomicU64::new(0))).collect());
    }

    /// Reads `POINT=ACTION@PASSINGS,…`: the action `abort`, `panic`, `error` (a mistake of ours), `away`
    /// (cannot be reached) or `delay:MILLISECONDS`; passings `3`, `2-5` or `4-` (and on), without them
    /// the first. An error is the second half of a sentence.
    pub fn parse(text: &str) -> Result<Vec<Armed>, String> {
        text.split(',').filter(|part| !part.is_empty()).map(parse_one).collect()
    }

    fn parse_one(text: &str) -> Result<Armed, String> {
        let wrong = || format!("must be POINT=ACTION@PASSINGS, which {text} is not");
        let (name, rest) = text.split_once('=').ok_or_else(wrong)?;
        let (action, passings) = rest.split_once('@').unwrap_or((rest, "1"));
        let unknown = || format!("must name a fail point; the points are {}", POINTS.join(", "));
        let point = POINTS.iter().find(|known| **known == name).ok_or_else(unknown)?;
        let action = match action.split_once(':') {
            None if action == "abort" => Action::Abort,
            None if action == "panic" => Action::Panic,
            None if action == "error" => Action::Fail(Failure::Mistake),
            None if action == "away" => Action::Fail(Failure::Away),
            Some(("delay", millis)) => Action::Delay(Duration::from_millis(millis.parse().map_err(|_| wrong())?)),
            _ => return Err(wrong()),
        };
        let number = |text: &str| text.parse::<u64>().map_err(|_| wrong());
        let passings = match passings.split_once('-') {
            None => number(passings)?..=number(passings)?,
            Some((first, "")) => number(first)?..=u64::MAX,
            Some((first, last)) => number(first)?..=number(last)?,
        };
        Ok(Armed { point, action, passings })
    }

    /// Passes a point whose code cannot fail.
    pub async fn point(name: &'static str) {
        if let Some(Err(failure)) = act(name, hit(name)).await {
            panic!("{name}: {failure}, but nothing can fail here");
        }
    }

    /// Passes a point whose code can fail.
    pub async fn fails(name: &'static str) -> Result<(), Failure> {
        act(name, hit(name)).await.unwrap_or(Ok(()))
    }

    /// Does the work; where the process is to die here, it dies while the work is under way, or
    /// when it is done and nobody has heard of it yet.
    pub async fn during<T>(name: &'static str, work: impl Future<Output = T>) -> T {
        let action = hit(name);
        if action != Some(Action::Abort) {
            if let Some(Err(failure)) = act(name, action).await {
                panic!("{name}: {failure}, but nothing can fail here");
            }
            return work.await;
        }
        let micros = rand::random_range(0..IN_FLIGHT_MICROS);
        std::thread::spawn(move || {
            std::thread::sleep(Duration::from_micros(micros));
            abort();
        });
        work.await;
        abort()
    }

    fn hit(name: &'static str) -> Option<Action> {
        let armed = ARMED.get()?;
        debug_assert!(POINTS.contains(&name), "{name} is in the list");
        let mut found = None;
        for (one, passed) in armed.iter().filter(|(one, _)| one.point == name) {
            let passing = passed.fetch_add(1, Ordering::SeqCst) + 1;
            if found.is_none() && one.passings.contains(&passing) {
                tracing::warn!(point = name, passing, action = ?one.action, "a fail point");
                found = Some(one.action);
            }
        }
        found
    }

    async fn act(name: &'static str, action: Option<Action>) -> Option<Result<(), Failure>> {
        match action? {
            Action::Abort => abort(),
            Action::Panic => panic!("the fail point {name}"),
            Action::Fail(failure) => Some(Err(failure)),
            Action::Delay(wait) => {
                tokio::time::sleep(wait).await;
                None
            }
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn what_is_armed_is_read_from_its_text() {
            let armed = parse("submit_taken=abort,report_begun=away@2-5,claim_begun=delay:20@3-").unwrap();
            let of = |point, action, passings| Armed { point, action, passings };
            let expected = [
                of("submit_taken", Action::Abort, 1..=1),
                of("report_begun", Action::Fail(Failure::Away), 2..=5),
                of("claim_begun", Action::Delay(Duration::from_millis(20)), 3..=u64::MAX),
            ];
            assert_eq!(armed, expected);
            assert_eq!(parse(""), Ok(vec![]));
            for wrong in
                ["nope=abort", "submit_taken", "submit_taken=die", "submit_taken=abort@x", "submit_taken=delay:"]
            {
                assert!(parse(wrong).is_err(), "{wrong}");
            }
        }
    }
}
