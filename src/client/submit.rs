//! `errand submit`: params from wherever they are, files uploaded first.

use super::http::{Server, Trouble};
use super::{Result, follow, tell};
use crate::config::SubmitArgs;
use reqwest::{Body, Method, header};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use tokio_util::io::ReaderStream;

/// What is sent. Numbers in `params` pass through as they were written.
#[derive(Serialize)]
struct Submission<'a> {
    r#type: &'a str,
    params: Box<RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: &'a Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    queue: &'a Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    priority: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    run_at: &'a Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    needs_approval: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_attempts: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timeout_seconds: Option<i64>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    tags: &'a [String],
}

/// Submits and prints the id, or with `--wait` follows the task to its end.
pub async fn run(server: &Server, args: &SubmitArgs, out: &mut dyn Write) -> Result<i32> {
    #[derive(Deserialize)]
    struct Submitted {
        id: String,
    }
    let mut params = read_params(&args.params)?;
    if !args.files.is_empty() {
        params = with_files(server, args, params).await?;
    }
    let submission = Submission {
        r#type: &args.r#type,
        params,
        name: &args.name,
        queue: &args.queue,
        priority: args.priority,
        run_at: &args.run_at,
        needs_approval: args.needs_approval,
        max_attempts: args.max_attempts,
        timeout_seconds: args.timeout_seconds,
        tags: &args.tags,
    };
    let mut request = server.request(Method::POST, &["api", "tasks", "submit"], &[])?.json(&submission);
    if let Some(key) = &args.idempotency_key {
        let key = header::HeaderValue::from_str(key);
        let key = key.map_err(|_| Trouble::Usage("--idempotency-key: must be printable characters".to_owned()))?;
        request = request.header("idempotency-key", key);
    }
    let answer = server.send(request).await?;
    let id = answer.read::<Submitted>()?.id;
    match (args.wait, args.json) {
        (false, false) => writeln!(out, "{id}")?,
        (false, true) => writeln!(out, "{}", answer.body)?,
        (true, json) => {
            tell(&id);
            return follow::watch(server, &id, json, out).await;
        }
    }
    Ok(0)
}

/// JSON itself, `@` and a file with JSON, or `-` for standard input.
fn read_params(text: &str) -> Result<Box<RawValue>> {
    let unreadable = |error: std::io::Error| Trouble::Usage(format!("--params {text}: {error}"));
    let text = match text.strip_prefix('@') {
        Some(path) => std::fs::read_to_string(path).map_err(unreadable)?,
        None if text == "-" => std::io::read_to_string(std::io::stdin()).map_err(unreadable)?,
        None => text.to_owned(),
    };
    RawValue::from_string(text.trim().to_owned())
        .map_err(|error| Trouble::Usage(format!("--params: not JSON: {error}")))
}

/// Uploads the files and puts their ids where the type wants them.
async fn with_files(server: &Server, args: &SubmitArgs, params: Box<RawValue>) -> Result<Box<RawValue>> {
    let object = serde_json::from_str::<BTreeMap<String, Box<RawValue>>>(params.get());
    let mut object =
        object.map_err(|_| Trouble::Usage("--params: must be an object where there is a --file".to_owned()))?;
    let member = member(server, &args.r#type, args.files.len()).await?;
    let mut ids = Vec::new();
    for path in &args.files {
        ids.push(upload(server, path).await?);
    }
    let value = if member == "file_id" { Value::from(ids.remove(0)) } else { Value::from(ids) };
    let failed = |error: serde_json::Error| Trouble::Failed(format!("params: {error}"));
    object.insert(member.to_owned(), serde_json::value::to_raw_value(&value).map_err(failed)?);
    serde_json::value::to_raw_value(&object).map_err(failed)
}

/// Where the type takes its files: `file_id` or `file_ids`, as its schema says.
async fn member(server: &Server, r#type: &str, files: usize) -> Result<&'static str> {
    #[derive(Deserialize)]
    struct Listed {
        types: Vec<Type>,
    }
    #[derive(Deserialize)]
    struct Type {
        r#type: String,
        params_schema: Value,
    }
    let listed: Listed = server.call(Method::GET, &["api", "task-types"], &[]).await?.read()?;
    let usage = |text: String| Err(Trouble::Usage(text));
    let Some(known) = listed.types.into_iter().find(|known| known.r#type == r#type) else {
        return usage(format!("there is no task type {type}"));
    };
    match ["file_ids", "file_id"].into_iter().find(|name| has_property(&known.params_schema, name)) {
        None => usage(format!("--file: {type} takes no file")),
        Some("file_id") if files > 1 => usage(format!("--file: {type} takes one file")),
        Some(name) => Ok(name),
    }
}

/// Whether any object in the schema, however deep, has this property.
fn has_property(schema: &Value, name: &str) -> bool {
    match schema {
        Value::Object(members) => {
            members.get("properties").is_some_and(|properties| properties.get(name).is_some())
                || members.values().any(|member| has_property(member, name))
        }
        Value::Array(items) => items.iter().any(|item| has_property(item, name)),
        _ => false,
    }
}

/// Streams one file to the service; its id there.
async fn upload(server: &Server, path: &Path) -> Result<String> {
    #[derive(Deserialize)]
    struct Uploaded {
        file_id: String,
    }
    let unreadable = |error: std::io::Error| Trouble::Usage(format!("--file {}: {error}", path.display()));
    let file = tokio::fs::File::open(path).await.map_err(unreadable)?;
    let metadata = file.metadata().await.map_err(unreadable)?;
    if metadata.is_dir() {
        return Err(Trouble::Usage(format!("--file {}: is a folder", path.display())));
    }
    let name = path.file_name().map_or("file".into(), |name| name.to_string_lossy());
    let request = server.request(Method::POST, &["api", "files"], &[("name", &name)])?;
    let request =
        request.header(header::CONTENT_TYPE, content_type(&name)).body(Body::wrap_stream(ReaderStream::new(file)));
    // The length of a pipe is not known before its end.
    let request = if metadata.is_file() { request.header(header::CONTENT_LENGTH, metadata.len()) } else { request };
    Ok(server.send(request).await?.read::<Uploaded>()?.file_id)
}

/// What we say it is; the service looks into the file itself.
fn content_type(name: &str) -> &'static str {
    let name = name.to_ascii_lowercase();
    match name.rsplit_once('.').map(|(_, extension)| extension) {
        Some("csv") => "text/csv",
        Some("png") => "image/png",
        Some("jpg" | "jpeg") => "image/jpeg",
        Some("gif") => "image/gif",
        Some("webp") => "image/webp",
        Some("bmp") => "image/bmp",
        Some("tif" | "tiff") => "image/tiff",
        Some("txt") => "text/plain",
        _ => "application/octet-stream",
    }
}
