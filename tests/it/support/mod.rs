//! What tests stand on: a queue over a fresh database, with a clock that is moved by hand.

pub mod bed;
pub mod http;
pub mod mail;
pub mod node;
pub mod postgres;
pub mod proxy;
pub mod raw;
pub mod s3;
pub mod saved;
mod stamp;
pub mod web_socket;

pub use stamp::aside;
pub(crate) use stamp::on_both_databases;
