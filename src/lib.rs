//! Errand: a persistent task service.
//!
//! For programs that bring task types of their own: implement [`TaskType`], and [`App::register`] it; what comes of it is
//! `errand` with those types beside the built-in ones. `docs/own-types.md` tells how, `examples/own_types.rs` is such a program.
//!
//! Beside what stands here at the top there are the rooms that it is built of, open to its tests and to whoever wants to look:
//! they change from version to version. See ARCHITECTURE.md for the map and the laws.

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

#[cfg(all(feature = "sqlite", feature = "postgres"))]
#[doc(inline)]
pub use app::App;
#[doc(inline)]
pub use task::text::FieldError;
#[doc(inline)]
pub use types::{Batch, Context, Failure, FileId, Input, Item, ItemFailure, Level, Output, Tally, TaskType, Track};
