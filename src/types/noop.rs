//! `noop`: nothing. For measuring and for trying things out.

use super::{AnyType, Context, Failure};
use async_trait::async_trait;
use serde_json::{Value, json, value::RawValue};

/// Succeeds at once; `result` is `params`, byte for byte.
pub struct Noop;

#[async_trait]
impl AnyType for Noop {
    fn name(&self) -> &'static str {
        "noop"
    }

    fn description(&self) -> &'static str {
        "Does nothing and succeeds at once; its result is its params. For measuring and for trying things out."
    }

    fn params_schema(&self) -> Value {
        json!({ "type": "object", "description": "Any object; it comes back as the result." })
    }

    fn result_schema(&self) -> Value {
        json!({ "type": "object" })
    }

    fn examples(&self) -> Vec<Value> {
        vec![json!({}), json!({ "hello": "world" })]
    }

    async fn run(&self, params: &RawValue, _: &Context) -> Result<Box<RawValue>, Failure> {
        Ok(params.to_owned())
    }
}
