//! What these tests stand on: real nodes, as in `tests/it`, and a real browser.

pub mod chromium;
pub mod faults;
pub mod page;
pub mod protocol;
pub mod stage;

#[allow(dead_code)] // shared with the other tests; not all of it is needed here
#[path = "../../it/support/bed.rs"]
pub mod bed;
#[allow(dead_code)]
#[path = "../../it/support/node.rs"]
pub mod node;
#[path = "../../it/support/stamp.rs"]
mod stamp;
#[allow(dead_code)]
#[path = "../../it/support/web_socket.rs"]
pub mod web_socket;

pub use stamp::aside;
pub(crate) use stamp::on_both_databases;
