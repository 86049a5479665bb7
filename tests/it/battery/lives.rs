//! What random lives are made of, and what must be met in them.

use super::reference::{End, LEASE, Op, Said, World};
use crate::support::bed::BEGIN;
use proptest::prelude::*;
use proptest_state_machine::ReferenceStateMachine;

impl ReferenceStateMachine for World {
    type State = World;
    type Transition = Op;

    fn init_state() -> BoxedStrategy<World> {
        Just(World::begin(BEGIN.0)).boxed()
    }

    fn transitions(_: &World) -> BoxedStrategy<Op> {
        let which = || 0..64usize;
        let end = prop_oneof![
            3 => Just(End::Success),
            1 => Just(End::Fatal),
            3 => Just(End::Retryable),
            1 => Just(End::RetryAfter(0)),
            1 => Just(End::RetryAfter(5_000)),
            1 => Just(End::Cancelled),
            1 => Just(End::Released),
        ];
        let delay = prop_oneof![3 => Just(0), 1 => Just(20_000), 1 => Just(-20_000)];
        let submit =
            (prop::option::weighted(0.2, 0..3u8), 0..2u8, delay, 1..4i64, -1..2i64, prop::bool::weighted(0.15))
                .prop_map(|(key, body, delay, attempts, priority, held)| Op::Submit {
                    key,
                    body,
                    delay,
                    attempts,
                    priority,
                    held,
                });
        let clock = prop_oneof![
            5 => 1..15_000i64,
            3 => Just(LEASE),
            1 => Just(LEASE + 1),
            1 => -60_000..0i64,
            1 => Just(24 * 3_600_000),
            1 => Just(-24 * 3_600_000),
        ];
        prop_oneof![
            6 => submit,
            8 => (1..4i64, any::<bool>()).prop_map(|(n, ahead)| Op::Claim(n, ahead)),
            4 => (which(), any::<bool>()).prop_map(|(lease, says)| Op::Beat(lease, says)),
            8 => (which(), end).prop_map(|(lease, end)| Op::Report(lease, end)),
            3 => which().prop_map(Op::ReportAgain),
            4 => which().prop_map(Op::Cancel),
            4 => which().prop_map(Op::Retry),
            3 => which().prop_map(Op::Approve),
            1 => which().prop_map(Op::Reject),
            1 => Just(Op::CancelAll),
            1 => Just(Op::RetryAll),
            4 => Just(Op::Rescue),
            4 => Just(Op::Promote),
            1 => Just(Op::Tidy),
            6 => clock.prop_map(Op::Clock),
            1 => Just(Op::Crash),
        ]
        .boxed()
    }

    fn apply(mut world: World, op: &Op) -> World {
        world.step(op);
        world
    }
}

/// Without one of these a campaign has shown nothing.
pub const MUST_BE_MET: &[&str] = &[
    "submit",
    "replayed",
    "key reused",
    "claimed",
    "claimed none",
    "held",
    "held, cancel wanted",
    "beat lost",
    "report PENDING",
    "report SUCCESS",
    "report FAILED",
    "report CANCELLED",
    "report lost",
    "report said again",
    "cancel refused",
    "cancel CANCELLED",
    "cancel RUNNING",
    "retry refused",
    "retry PENDING",
    "approved",
    "rejected",
    "approval refused",
    "bulk changed",
    "rescued",
    "promoted",
    "clock back",
    "clock on",
    "crash",
    "tidy",
];

/// What one step was, for the tally.
pub fn kind(op: &Op, said: &Said) -> &'static str {
    match (op, said) {
        (Op::Submit { .. }, Said::KeyReused) => "key reused",
        (Op::Submit { .. }, Said::Submitted { replayed: true, .. }) => "replayed",
        (Op::Submit { .. }, _) => "submit",
        (_, Said::Claimed(tasks)) if tasks.is_empty() => "claimed none",
        (_, Said::Claimed(_)) => "claimed",
        (_, Said::Held(None)) => "beat lost",
        (_, Said::Held(Some(false))) => "held",
        (_, Said::Held(Some(true))) => "held, cancel wanted",
        (_, Said::Written(None)) => "report lost",
        (Op::ReportAgain(_), Said::Written(Some(_))) => "report said again",
        (_, Said::Written(Some("PENDING"))) => "report PENDING",
        (_, Said::Written(Some("SUCCESS"))) => "report SUCCESS",
        (_, Said::Written(Some("FAILED"))) => "report FAILED",
        (_, Said::Written(Some(_))) => "report CANCELLED",
        (Op::Cancel(_), Said::Now(Err(_))) => "cancel refused",
        (Op::Cancel(_), Said::Now(Ok("CANCELLED"))) => "cancel CANCELLED",
        (Op::Cancel(_), Said::Now(Ok(_))) => "cancel RUNNING",
        (Op::Retry(_), Said::Now(Err(_))) => "retry refused",
        (Op::Retry(_), Said::Now(Ok(_))) => "retry PENDING",
        (Op::Approve(_) | Op::Reject(_), Said::Now(Err(_))) => "approval refused",
        (Op::Approve(_), Said::Now(Ok(_))) => "approved",
        (Op::Reject(_), Said::Now(Ok(_))) => "rejected",
        (_, Said::Bulk { changed: 0, .. }) => "bulk changed nothing",
        (_, Said::Bulk { .. }) => "bulk changed",
        (_, Said::Took(0)) => "rescued none",
        (_, Said::Took(_)) => "rescued",
        (_, Said::Promoted { promoted: 0, .. }) => "promoted none",
        (_, Said::Promoted { .. }) => "promoted",
        (Op::Clock(millis), _) if *millis < 0 => "clock back",
        (Op::Clock(_), _) => "clock on",
        (Op::Crash, _) => "crash",
        (Op::Tidy, _) => "tidy",
        _ => "nothing there",
    }
}
