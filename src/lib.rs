//! Errand: a persistent task service. See ARCHITECTURE.md for the map and the laws.

pub mod api;
#[cfg(all(feature = "sqlite", feature = "postgres"))]
pub mod app;
#[cfg(all(feature = "sqlite", feature = "postgres"))]
pub mod bench;
pub mod client;
pub mod clock;
pub mod config;
pub mod disk;
pub mod events;
pub mod fault;
pub mod files;
pub mod machine;
pub mod queue;
pub mod store;
pub mod task;
pub mod types;
pub mod verify;
pub mod worker;
