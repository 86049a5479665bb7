//! The hands of somebody who looks into a file, for no task.

use super::{Context, Failure, Given, Saves};
use crate::clock::Clock;
use crate::files::Files;
use crate::task::{Draft, Time};
use crate::types::Secrets;
use async_trait::async_trait;
use serde_json::value::RawValue;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Keeps nothing.
struct Nowhere;

#[async_trait]
impl Saves for Nowhere {
    async fn save(&self, _: &str, _: Box<RawValue>) -> Result<(), Failure> {
        Err(Failure::Stopped)
    }
}

impl Context {
    /// Reads files until `stop`, for no task: nobody hears what is said, and nothing is kept.
    pub(in crate::types) fn looking(files: Files, clock: Clock, stop: CancellationToken) -> Context {
        let task = Draft::new("preview", RawValue::NULL.to_owned(), "", "").into_task(Uuid::nil(), Time(0));
        let (saves, secrets) = (Arc::new(Nowhere), Secrets::default());
        let given = Given { inputs: Vec::new(), checkpoints: Vec::new(), saves, files, clock, stop, secrets };
        Context::new(task, Uuid::nil(), given)
    }
}
