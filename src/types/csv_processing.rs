//! `csv_processing`.
use super::{Context, Failure, TaskType};
use async_trait::async_trait;
use serde_json::{Value, json, value::RawValue};

/// Placeholder until its file is written.
pub struct CsvProcessing;

#[async_trait]
impl TaskType for CsvProcessing {
    fn name(&self) -> &'static str {
        "csv_processing"
    }
    fn description(&self) -> &'static str {
        ""
    }
    fn params_schema(&self) -> Value {
        json!({ "type": "object" })
    }
    fn result_schema(&self) -> Value {
        json!({ "type": "object" })
    }
    fn examples(&self) -> Vec<Value> {
        vec![json!({})]
    }
    async fn run(&self, params: &RawValue, _: &Context) -> Result<Box<RawValue>, Failure> {
        Ok(params.to_owned())
    }
}
