//! A task type by the types of its params and its result: for programs that bring their own.

use super::{AnyType, Context, Failure, schema};
use crate::task::text::FieldError;
use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, value::RawValue};
use std::future::Future;

/// A task type. [`App::register`](crate::App::register) adds it to those of a program.
pub trait TaskType: Send + Sync + 'static {
    /// Its name, as submitted: `snake_case`, at most 100 characters, none that a built-in type has.
    const NAME: &'static str;

    /// One sentence on what it does, for the page and the API.
    const DESCRIPTION: &'static str;

    /// Whether what its attempts save is work that is done, and not done again: of a long task the workers may then be lost any
    /// number of times, as long as no three in a row saved nothing. A batch is such a type.
    const SAVES_WORK: bool = false;

    /// What it takes: a struct. Its JSON Schema is what a submit is held against, so ranges, lengths and patterns belong
    /// there; `#[serde(default)]` says what is meant where nothing is given.
    type Params: DeserializeOwned + JsonSchema + Send;

    /// What it comes to, the task's `result`: at most 1 MiB of JSON.
    type Result: Serialize + JsonSchema;

    /// Params that work, the simplest first: the page offers them, and the program does not start with one that is refused.
    fn examples(&self) -> Vec<Value> {
        Vec::new()
    }

    /// What the schema cannot say of params that fit it. Pointers begin at the params (`/until`). Whatever it answers is a 422
    /// at submit.
    fn check(&self, params: &Self::Params) -> Vec<FieldError> {
        let _ = params;
        Vec::new()
    }

    /// One attempt, usually an `async fn`. It must stop within 2 s once the context is cancelled, and leave nothing half-written;
    /// CPU-bound work goes through [`Context::blocking`]. It may run more than once for one task (a lost worker, a
    /// retry): what must not be done twice is saved as it is done. A panic is a failure of the attempt.
    fn run(&self, params: Self::Params, ctx: &Context) -> impl Future<Output = Result<Self::Result, Failure>> + Send;
}

/// Such a type as one of any params.
pub struct Typed<T>(pub T);

#[async_trait]
impl<T: TaskType> AnyType for Typed<T> {
    fn name(&self) -> &'static str {
        T::NAME
    }

    fn description(&self) -> &'static str {
        T::DESCRIPTION
    }

    fn params_schema(&self) -> Value {
        schema::of::<T::Params>()
    }

    fn result_schema(&self) -> Value {
        schema::of::<T::Result>()
    }

    fn examples(&self) -> Vec<Value> {
        self.0.examples()
    }

    fn check(&self, params: &Value) -> Vec<FieldError> {
        match T::Params::deserialize(params) {
            Ok(params) => self.0.check(&params),
            // Where the struct wants more than its schema says, the submit hears of it and not the attempt.
            Err(error) => vec![FieldError::new("", error.to_string())],
        }
    }

    fn saves_work(&self, _: &str) -> bool {
        T::SAVES_WORK
    }

    async fn run(&self, params: &RawValue, ctx: &Context) -> Result<Box<RawValue>, Failure> {
        let result = self.0.run(ctx.params(params)?, ctx).await?;
        ctx.result(&result)
    }
}
