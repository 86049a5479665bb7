//! What tests stand on: a queue over a fresh database, with a clock that is moved by hand.

pub mod bed;
pub mod node;

/// Stamps promises for both databases: each `async fn name(bed: Bed)` becomes two tests.
macro_rules! on_both_databases {
    ($($name:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() { super::$name($crate::support::bed::Bed::sqlite().await).await })*
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() { super::$name($crate::support::bed::Bed::postgres().await).await })*
        }
    };
}
pub(crate) use on_both_databases;
