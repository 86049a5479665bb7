//! Table of contents: every test that needs more than one module.
#![allow(clippy::print_stdout)] // figures, for whoever runs a test to see them

mod support;

mod approvals; // what needs an approval: the setting and the commands, with the real binary
mod battery; // every promise under every fault
mod documents; // the texts for people, compared with the code
mod faults; // what breaks, and what holds nevertheless
mod http; // what the contract says a caller gets, through the real router
mod live; // what happens, told as it happens: sockets and events
mod mail; // mails: what may stand in one, what servers may do, what a kill may not
mod own_types; // task types of another program: its example, started like any node
mod processes; // the real binary, killed and drained
mod promises; // what the queue guarantees, on both databases
mod tidy; // the laws of the house, held against the source text
