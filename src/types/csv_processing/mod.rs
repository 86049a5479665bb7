//! `csv_processing`: statistics of a table, of its own making or the user's.

mod cell;
mod chunk;
mod column;
mod filter;
mod frequent;
mod histogram;
pub mod look;
mod made;
mod numbers;
mod out;
mod plan;
mod process;
mod records;
mod report;
mod resume;
mod rows;
mod seen;
mod sketch;
mod sniff;
mod sorter;
mod source;
mod spill;
mod state;
pub mod table;
#[cfg(test)]
mod tests;

use super::{AnyType, Context, Failure, schema};
use crate::files;
use crate::task::text::FieldError;
use async_trait::async_trait;
use resume::{Pace, Resumed, Saver};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};
use source::Content;
use state::State;
use std::collections::BTreeMap;
use tokio::io::AsyncWriteExt;
use uuid::Uuid;

/// Reads a table in one pass and bounded memory, whatever its size, and tells what is in it.
pub struct CsvProcessing;

/// What it takes. The members told apart make the form: they share none.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Params {
    Made(Made),
    Own(Box<Own>),
}

/// A table of its own making.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Made {
    /// How many rows to make.
    #[schemars(range(min = 100, max = 10000))]
    num_rows: u32,
    /// How long to take over it, in seconds.
    #[schemars(range(min = 0.0, max = 60.0))]
    processing_time: f64,
    /// The same seed makes the same table; without one, each task makes its own.
    #[schemars(range(min = 0, max = 9_007_199_254_740_991u64))]
    seed: Option<u64>,
}

impl Default for Made {
    fn default() -> Made {
        Made { num_rows: 1000, processing_time: 0.0, seed: None }
    }
}

/// The user's own table: a file or its text, and what to do with it, in this order: bad
/// rows are left out, the others filtered, duplicates dropped, the rest sorted, cut to `limit`,
/// columns selected and renamed. Every option names columns as the file does. The statistics
/// describe the rows that are left; they are in `output.csv` or `output.ndjson`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Own {
    /// A CSV file that was uploaded.
    #[schemars(with = "Option<schema::FileId>")]
    file_id: Option<Uuid>,
    /// The table itself, instead of a file.
    #[schemars(length(min = 1))]
    data: Option<String>,
    /// The character between cells; found out when absent.
    #[schemars(length(min = 1, max = 1))]
    delimiter: Option<String>,
    /// The file's encoding by its name on the web, as `utf-8` or `windows-1252`. When absent: by
    /// byte order mark, else UTF-8, and Windows-1252 for rows that are not.
    #[schemars(length(min = 1, max = 40))]
    encoding: Option<String>,
    /// Whether numbers are written as `1.234,5`, and not as `1234.5`.
    decimal_comma: bool,
    /// So many lines above the table are passed over: a title, or what else a program writes there.
    #[schemars(range(min = 0, max = 10_000))]
    skip_lines: u32,
    /// Whether the first line names the columns; found out when absent.
    has_header: Option<bool>,
    /// What becomes of a row with more or fewer cells than the first: it is left out and counted,
    /// or the task fails.
    on_bad_row: OnBadRow,
    /// The words that mean "no value", instead of NA, N/A, NaN, null and NULL. An empty cell
    /// always does.
    #[schemars(length(max = 100))]
    null_values: Option<Vec<String>>,
    /// Keep only the rows for which this is true, as
    /// `amount > 10 and (city in ("Rome", "Lima") or note is not null)`. Names other than letters,
    /// digits and `_` stand in backticks, texts in double quotes; = != < <= > >=, `in`, `contains`,
    /// `starts with`, `ends with`, `is null`, `is not null`, `and`, `or`, `not`. A cell that is no
    /// number fits no comparison with one, an empty cell none at all.
    #[schemars(length(min = 1, max = filter::MAX_CHARS))]
    filter: Option<String>,
    /// The columns to keep, in this order; all when absent.
    #[schemars(length(min = 1, max = 4096))]
    select: Option<Vec<String>>,
    /// New names for columns.
    rename: BTreeMap<String, String>,
    /// Drop rows that repeat an earlier one: in every column (`true`), or in these columns.
    #[schemars(with = "Option<plan::Deduplicate>")]
    deduplicate: Option<plan::Deduplicate>,
    /// The columns to sort by, with `-` before those that descend: numbers before texts, cells without
    /// a value last. What does not fit into memory is sorted on the disk.
    #[schemars(length(max = 100))]
    sort: Vec<String>,
    /// Keep at most so many rows.
    #[schemars(range(min = 1, max = 9_007_199_254_740_991u64))]
    limit: Option<u64>,
    /// What the rows that are left are written as: `output.csv`, or `output.ndjson`, an object a
    /// line, whose numbers stand as they do in the file.
    output_format: out::Form,
}

/// What becomes of a bad row.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize, serde::Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum OnBadRow {
    #[default]
    Skip,
    Fail,
}

#[async_trait]
impl AnyType for CsvProcessing {
    fn name(&self) -> &'static str {
        "csv_processing"
    }

    fn description(&self) -> &'static str {
        "Statistics of every column of a CSV table, generated or your own; yours can be cleaned, sorted and selected too."
    }

    fn params_schema(&self) -> Value {
        schema::forms(&[("Generated table", schema::of::<Made>()), ("Your own file", schema::of::<Own>())])
    }

    fn result_schema(&self) -> Value {
        json!({ "type": "object", "properties": {
            "rows": { "type": "integer" },
            "statistics": { "type": "object", "description": "Generated table: sum, avg, min and max of each column of numbers." },
            "columns": { "type": "array", "description": "Your own file: type, count, nulls, distinct, sum, mean, std, min, max, quantiles, histogram, length in characters and most frequent values of each column." },
            "rows_read": { "type": "integer" }, "rows_filtered_out": { "type": "integer" }, "bad_rows": { "type": "integer" }, "bad_row_examples": { "type": "array" },
            "duplicates": { "type": "integer" }, "encoding": { "type": "string" }, "delimiter": { "type": "string" },
            "has_header": { "type": "boolean" }, "warnings": { "type": "array", "items": { "type": "string" } },
        }, "required": ["rows"] })
    }

    fn examples(&self) -> Vec<Value> {
        vec![
            json!({ "num_rows": 1000 }),
            json!({ "num_rows": 5000, "processing_time": 10, "seed": 7 }),
            json!({ "data": "city,amount\nRome,12.5\nLima,7\nRome,NA\n", "sort": ["-amount"] }),
            json!({ "data": "city,amount\nRome,12.5\nLima,7\nRome,NA\n", "filter": "amount > 10 and city = \"Rome\"" }),
        ]
    }

    fn check(&self, params: &Value) -> Vec<FieldError> {
        match serde_json::from_value(params.clone()) {
            Ok(Params::Own(own)) => own.check(),
            Ok(Params::Made(_)) => Vec::new(),
            Err(error) => vec![FieldError::new("", error.to_string())],
        }
    }

    fn saves_work(&self, checkpoint: &str) -> bool {
        checkpoint == resume::NAME
    }

    async fn run(&self, params: &RawValue, ctx: &Context) -> Result<Box<RawValue>, Failure> {
        let result = match ctx.params(params)? {
            Params::Made(made) => made::run(&made, ctx).await?,
            Params::Own(own) => run_own(*own, Pace::default(), ctx).await?,
        };
        ctx.result(&result)
    }
}

impl Own {
    /// How its cells are read.
    fn reading(&self) -> cell::Reading {
        cell::Reading::new(self.null_values.as_deref()).with(self.decimal_comma)
    }

    /// The encoding that was given.
    fn encoding(&self) -> Option<&'static encoding_rs::Encoding> {
        self.encoding.as_deref().and_then(encoding)
    }

    fn check(&self) -> Vec<FieldError> {
        let mut errors = Vec::new();
        match (&self.file_id, &self.data) {
            (None, None) => errors.push(FieldError::new("/file_id", "is required, or data in its place")),
            (Some(_), Some(_)) => errors.push(FieldError::new("/data", "must not be given together with file_id")),
            _ => {}
        }
        if self.delimiter.as_deref().is_some_and(|given| !given.is_ascii() || "\"\r\n\0".contains(given)) {
            errors.push(FieldError::new("/delimiter", "must be one ASCII character, no quote and no line end"));
        }
        if self.encoding.as_deref().is_some_and(|label| encoding(label).is_none()) {
            errors.push(FieldError::new("/encoding", "must be the name of an encoding, as utf-8 or windows-1252"));
        }
        if matches!(&self.deduplicate, Some(plan::Deduplicate::Columns(names)) if names.is_empty()) {
            errors.push(FieldError::new("/deduplicate", "must name a column, or be true for all of them"));
        }
        if let Some(Err(error)) = self.filter.as_deref().map(filter::Expression::parse) {
            errors.push(FieldError::new("/filter", error));
        }
        errors
    }
}

async fn run_own(own: Own, pace: Pace, ctx: &Context) -> Result<Value, Failure> {
    let (state, mut output, files) = match Resumed::load(ctx).await? {
        Some(Resumed { state, output, files }) => (Some(state), output, files),
        None => {
            let (name, media_type) = own.output_format.file();
            (None, ctx.grow(name, media_type).await?, Vec::new())
        }
    };
    let file = own.file_id.map(|id| ctx.input(id).cloned()).transpose()?;
    file.as_ref().map_or(Ok(()), table::is_text)?;
    let place = state.as_ref().map_or(0, State::place);
    let work = move |ctx: &Context| {
        let text = Content::Text(own.data.as_deref().unwrap_or_default().as_bytes());
        let content = file.map_or(text, Content::File);
        let mut saver = Saver::new(pace, place, files, ctx);
        let result = process::process(&own, &content, state, &mut output, &mut saver, ctx);
        // Whatever became of it, nothing is to be written after this attempt; and a whole result
        // needs no checkpoint.
        let _ = saver.settle();
        Ok((result?, output))
    };
    let (result, output) = ctx.blocking(work).await?;
    output.keep().await?;
    keep(ctx, "statistics.json", "application/json", &result.to_string()).await?;
    keep(ctx, "report.html", "text/html", &report::page(&result)).await?;
    Ok(process::shorten(result))
}

async fn keep(ctx: &Context, name: &str, media_type: &str, content: &str) -> Result<(), Failure> {
    let mut file = ctx.output(name, media_type).await?;
    file.writer.write_all(content.as_bytes()).await.map_err(files::Error::from)?;
    file.keep().await.map(|_| ())
}

/// The encoding of that name, by the rules of the web and one of Python's.
fn encoding(label: &str) -> Option<&'static encoding_rs::Encoding> {
    if label.eq_ignore_ascii_case("utf-8-sig") {
        return Some(encoding_rs::UTF_8);
    }
    encoding_rs::Encoding::for_label_no_replacement(label.as_bytes())
}
