//! The task types: what the page builds its form from.

use super::caller::Caller;
use super::problem::{Body as ProblemBody, Code, Problem, Result};
use super::{Api, etag, query, to_json};
use crate::types::Entry;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Uri};
use axum::response::Response;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The routes.
pub fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(all)).routes(routes!(one))
}

/// A task type.
#[derive(Serialize, ToSchema)]
#[schema(as = TaskType)]
struct TypeView<'a> {
    r#type: &'a str,
    description: &'a str,
    /// JSON Schema of its params.
    params_schema: &'a Value,
    /// The params that are secret: they are never shown, and what the handler says is without them.
    redact: &'a [String],
    /// JSON Schema of its result.
    result_schema: Value,
    /// Params that work, the simplest first.
    examples: Vec<Value>,
    /// The params when nothing is given.
    defaults: Value,
    /// Whether this service itself runs it.
    builtin: bool,
}

impl<'a> From<&'a Entry> for TypeView<'a> {
    fn from(entry: &'a Entry) -> TypeView<'a> {
        TypeView {
            r#type: entry.r#type.name(),
            description: entry.r#type.description(),
            params_schema: entry.schema.source(),
            redact: entry.schema.secrets(),
            result_schema: entry.r#type.result_schema(),
            examples: entry.r#type.examples(),
            defaults: entry.schema.defaults(),
            builtin: true,
        }
    }
}

/// Every task type.
#[derive(Serialize, ToSchema)]
#[schema(as = TaskTypes)]
struct TypesView<'a> {
    types: Vec<TypeView<'a>>,
}

/// Every task type.
#[utoipa::path(
    get, path = "/api/task-types", tag = "types",
    responses(
        (status = 200, description = "The types", body = TypesView, headers(("etag" = String))),
        (status = "default", description = "An error", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn all(State(api): State<Api>, _caller: Caller, uri: Uri, headers: HeaderMap) -> Result<Response> {
    query::none(&uri)?;
    let body = to_json(&TypesView { types: api.queue.types().iter().map(TypeView::from).collect() });
    Ok(etag::json(&headers, &etag::of(body.as_bytes()), body))
}

/// One task type.
#[utoipa::path(
    get, path = "/api/task-types/{type}", tag = "types",
    params(("type" = String, Path)),
    responses(
        (status = 200, description = "The type", body = TypeView, headers(("etag" = String))),
        (status = "default", description = "An error", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn one(
    State(api): State<Api>,
    _caller: Caller,
    Path(name): Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response> {
    query::none(&uri)?;
    let missing = || Problem::new(Code::TaskTypeNotFound, "there is no such task type");
    let body = to_json(&TypeView::from(api.queue.types().get(&name).ok_or_else(missing)?));
    Ok(etag::json(&headers, &etag::of(body.as_bytes()), body))
}
