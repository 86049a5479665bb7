//! Every promise under every fault.

mod alike; // random requests, the same answers on both databases
pub mod campaign; // many random cases from one seed
mod check; // what must be true afterwards, whatever happened
mod clocks; // clocks that jump or are wrong
mod cluster; // processes, networks and databases that fail under load
#[cfg(debug_assertions)] // only debug builds have fail points
mod fail_points; // the process dies at each of them
mod guards; // what the store refuses because the row is not as expected
#[cfg(debug_assertions)]
mod injected; // errors and panics at a point, and what becomes of them
mod leases; // every history of the protocol of leases
mod ledger; // what a client knows of what it asked for
mod listeners; // sockets that go and come back while tasks run
mod lives; // what random lives of tasks are made of
mod load; // a small mixed load
mod machine; // random lives of tasks against a reference
mod order; // numbers of the change log, on Postgres
mod plans; // claims under every plan of Postgres
mod protocol; // the protocol of leases, as a model
mod reference; // what Errand should do, without a database
mod requests; // random requests with odd values
mod snapshot; // claims while somebody holds a snapshot open
mod stale; // a worker that lost its lease, by every way to write and every way to lose it
