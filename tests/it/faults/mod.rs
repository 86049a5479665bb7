//! The real binary, hurt.

pub mod resume; // killed in the middle of a task: the next attempt goes on from its checkpoints
