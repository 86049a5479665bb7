//! Every promise under every fault.

mod check; // what must be true afterwards, whatever happened
#[cfg(debug_assertions)] // only debug builds have fail points
mod fail_points; // the process dies at each of them
mod ledger; // what a client knows of what it asked for
mod load; // a small mixed load
