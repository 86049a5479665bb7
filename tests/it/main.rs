//! Table of contents: every test that needs more than one module.

mod support;

mod documents; // the texts for people, compared with the code
mod faults; // the real binary, hurt on purpose
mod http; // what the contract says a caller gets, through the real router
mod processes; // the real binary, killed and drained
mod promises; // what the queue guarantees, on both databases
mod tidy; // the laws of the house, held against the source text
