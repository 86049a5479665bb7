//! The OpenAPI document: made from the handlers; here is only what they read by hand.

use serde_json::Value;
use utoipa::openapi::OpenApi as Document;
use utoipa::{OpenApi, ToSchema};

/// The document before the handlers add themselves.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Errand",
        description = "A persistent task service: hand over long work, watch it, trust its history. \
            Every error is application/problem+json. Paths answer with and without a trailing slash.",
        license(name = "MIT", identifier = "MIT")
    ),
    components(schemas(super::wire::FieldErrorView, super::wire::StatusView)),
    tags(
        (name = "tasks", description = "Submit, find, cancel, retry"),
        (name = "history", description = "What happened, and why"),
        (name = "files", description = "Uploads and output files"),
        (name = "types", description = "What can be done"),
        (name = "service", description = "The service itself"),
    )
)]
struct Base;

/// The document to begin with.
pub fn base() -> Document {
    Base::openapi()
}

/// The document as text. The list is told by its address in the contract.
pub fn text(mut document: Document) -> String {
    if let Some(list) = document.paths.paths.remove("/api/tasks") {
        document.paths.paths.insert("/api/tasks/".to_owned(), list);
    }
    document.to_json().unwrap_or_default()
}

/// A task to be submitted.
#[derive(ToSchema)]
#[allow(dead_code)] // only for the document: bodies are read member by member
pub struct Submit {
    /// One of `GET /api/task-types`.
    #[schema(example = "demo")]
    r#type: String,
    /// As the type's schema says; at most 1 MiB as sent.
    #[schema(value_type = Option<Object>)]
    params: Option<Value>,
    #[schema(max_length = 200)]
    name: Option<String>,
    #[schema(max_length = 100, default = "default")]
    queue: Option<String>,
    /// Higher first.
    #[schema(minimum = -100, maximum = 100, default = 0)]
    priority: Option<i64>,
    /// Not before this instant; one in the past is now.
    #[schema(value_type = Option<String>, format = DateTime)]
    run_at: Option<String>,
    /// How many failures end the task.
    #[schema(minimum = 1, maximum = 100, default = 1)]
    max_attempts: Option<i64>,
    backoff: Option<BackoffBody>,
    /// How long one attempt may run.
    #[schema(minimum = 1, maximum = 604800)]
    timeout_seconds: Option<i64>,
    #[schema(max_items = 20)]
    tags: Option<Vec<String>>,
    /// Else a header says it, else it is made.
    #[schema(max_length = 200)]
    client_id: Option<String>,
}

/// How long to wait between attempts.
#[derive(ToSchema)]
#[schema(as = Backoff)]
#[allow(dead_code)]
pub struct BackoffBody {
    #[schema(minimum = 0, maximum = 86400, default = 1)]
    base_seconds: Option<f64>,
    #[schema(minimum = 1, maximum = 100, default = 2)]
    factor: Option<f64>,
    #[schema(minimum = 0, maximum = 604800, default = 3600)]
    max_seconds: Option<f64>,
    #[schema(default = true)]
    jitter: Option<bool>,
}

/// Up to 10,000 tasks to be submitted, all or none; 32 MiB.
#[derive(ToSchema)]
#[allow(dead_code)]
pub struct Batch {
    #[schema(min_items = 1, max_items = 10000)]
    tasks: Vec<Submit>,
}

/// A `demo` task to be submitted.
#[derive(ToSchema)]
#[allow(dead_code)]
pub struct Start {
    name: Option<String>,
    /// Milliseconds.
    #[schema(minimum = 1000, maximum = 30000)]
    duration: Option<i64>,
    #[schema(max_length = 200)]
    client_id: Option<String>,
}

/// Which tasks are meant: `ids`, or the list's filters, or both.
#[derive(ToSchema)]
#[allow(dead_code)]
pub struct BulkFilter {
    #[schema(max_items = 10000)]
    ids: Option<Vec<String>>,
    /// A word or a list.
    #[schema(value_type = Option<Vec<super::wire::StatusView>>)]
    status: Option<Vec<String>>,
    /// A word or a list.
    r#type: Option<Vec<String>>,
    #[schema(max_length = 100)]
    queue: Option<String>,
    #[schema(max_length = 100)]
    tag: Option<String>,
    #[schema(max_length = 200)]
    client_id: Option<String>,
    #[schema(max_length = 100)]
    owner: Option<String>,
    #[schema(max_length = 200)]
    q: Option<String>,
    #[schema(format = DateTime)]
    created_after: Option<String>,
    #[schema(format = DateTime)]
    created_before: Option<String>,
    /// Needed where nothing else is said: every task is meant.
    all: Option<bool>,
}
