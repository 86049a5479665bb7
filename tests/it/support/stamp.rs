//! What makes two tests of one, and what waits aside from them. The browser's tests use it too.

/// Stamps promises for both databases: each `async fn name(bed: Bed)` becomes two tests. Another
/// type with `sqlite()` and `postgres()` may be named first: `on_both_databases!(Service: name)`.
macro_rules! on_both_databases {
    ($($name:ident),* $(,)?) => { $crate::support::on_both_databases!(Bed: $($name),*); };
    ($bed:ident: $($name:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() { super::$name(super::$bed::sqlite().await).await })*
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() { super::$name(super::$bed::postgres().await).await })*
        }
    };
}
pub(crate) use on_both_databases;

/// Waits for something without keeping a worker of the runtime from its other tasks. One of them may be
/// what is waited for: a DROP DATABASE waits for every session that is still being let in, so for a
/// connection that another case has just begun.
pub fn aside<T>(wait: impl FnOnce() -> T) -> T {
    use tokio::runtime::{Handle, RuntimeFlavor};
    match Handle::try_current().map(|runtime| runtime.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(wait),
        _ => wait(),
    }
}
