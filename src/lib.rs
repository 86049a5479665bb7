//! Errand: a persistent task service. See ARCHITECTURE.md for the map and the laws.

pub mod clock;
pub mod files;
pub mod task;
pub mod types;
