//! Every history of the protocol of leases, up to a size; and that the checker sees what goes wrong
//! where a check is missing.

use super::campaign::is_long;
use super::protocol::{Check, NO_CANCEL_SWALLOWED, NO_LIVE_LEASE_TAKEN, NO_STALE_WRITE, ONE_END, Protocol};
use stateright::{Checker, Model};
use std::time::Instant;

#[test]
fn no_history_of_three_workers_two_tasks_and_two_crashes_breaks_a_promise() {
    let size = Protocol { workers: 3, tasks: 2, crashes: 2, cancels: 1, retries: 0, without: None };
    // A second life of a task is looked at with one task, or in the long form with two.
    explore(Protocol { tasks: if is_long() { 2 } else { 1 }, retries: 1, ..size });
    explore(size);
}

#[test]
fn each_check_that_is_taken_away_is_missed() {
    let missed = [
        (Check::LeaseOfFinish, ONE_END),
        (Check::NewLease, NO_STALE_WRITE),
        (Check::LeaseOfBeat, NO_STALE_WRITE),
        (Check::Lapsed, NO_LIVE_LEASE_TAKEN),
        (Check::AllButStatus, NO_STALE_WRITE),
        (Check::Cancelling, NO_CANCEL_SWALLOWED),
    ];
    for (check, promise) in missed {
        let size = Protocol { workers: 2, tasks: 1, crashes: 1, cancels: 1, retries: 1, without: Some(check) };
        let checker = size.checker().spawn_bfs().join();
        let path = checker.discovery(promise).unwrap_or_else(|| panic!("without {check:?} nobody missed it"));
        println!("without {check:?} broken: {promise}. {:?}", path.into_actions());
    }
}

fn explore(size: Protocol) {
    let began = Instant::now();
    let checker = size.checker().threads(2).spawn_bfs().join();
    println!(
        "{size:?}: {} steps between {} states, {} deep, in {:.1} s",
        checker.state_count(),
        checker.unique_state_count(),
        checker.max_depth(),
        began.elapsed().as_secs_f64()
    );
    checker.assert_properties();
}
