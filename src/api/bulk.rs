//! Cancel and retry of many at once.

use super::caller::Caller;
use super::fields::Fields;
use super::problem::{Body as ProblemBody, Code, Problem, Result};
use super::trail::Told;
use super::{Api, body, filter, json_response, query, to_json};
use crate::queue::Bulk;
use crate::task::Filter;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// More bytes in the body are refused: 10,000 ids and some.
const MAX_BODY_BYTES: usize = 1024 * 1024;

/// The routes.
pub fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(cancel)).routes(routes!(retry))
}

/// What a bulk action did.
#[derive(Serialize, ToSchema)]
struct BulkDone {
    /// How many tasks the caller may see and the filter names.
    matched: i64,
    /// How many of them changed.
    changed: i64,
}

/// Cancels every task that the filter names and that can be cancelled.
#[utoipa::path(
    post, path = "/api/tasks/cancel", tag = "tasks", request_body = super::openapi::BulkFilter,
    responses(
        (status = 200, description = "Done", body = BulkDone),
        (status = "default", description = "An error", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn cancel(State(api): State<Api>, caller: Caller, request: Request) -> Result<Response> {
    let filter = filter_of(request).await?;
    Ok(answer(api.queue.cancel_many(&caller.scope, &filter, caller.by()).await?))
}

/// Retries every task that the filter names and that can be retried.
#[utoipa::path(
    post, path = "/api/tasks/retry", tag = "tasks", request_body = super::openapi::BulkFilter,
    responses(
        (status = 200, description = "Done", body = BulkDone),
        (status = "default", description = "An error", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn retry(State(api): State<Api>, caller: Caller, request: Request) -> Result<Response> {
    let filter = filter_of(request).await?;
    Ok(answer(api.queue.retry_many(&caller.scope, &filter, caller.by()).await?))
}

async fn filter_of(request: Request) -> Result<Filter> {
    query::none(request.uri())?;
    let body = body::json(request, MAX_BODY_BYTES).await?;
    read(body.text())
}

fn read(text: &str) -> Result<Filter> {
    let mut fields = Fields::of(text, "");
    let filter = filter::of_fields(&mut fields);
    let all = fields.flag("all").unwrap_or(false);
    fields.done(Code::InvalidRequest)?;
    if filter == Filter::default() && !all {
        return Err(Problem::new(Code::EmptyFilter, "name ids or a filter, or say \"all\": true to mean every task"));
    }
    Ok(filter)
}

fn answer(Bulk { matched, changed }: Bulk) -> Response {
    let mut response = json_response(StatusCode::OK, Body::from(to_json(&BulkDone { matched, changed })));
    response.extensions_mut().insert(Told { target: None, count: Some(changed) });
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_must_be_meant() {
        assert_eq!(read("{}").unwrap_err().code(), Code::EmptyFilter);
        assert_eq!(read(r#"{"all":false,"status":[]}"#).unwrap_err().code(), Code::EmptyFilter);
        assert_eq!(read(r#"{"all":true}"#).unwrap(), Filter::default());
    }

    #[test]
    fn ids_that_are_no_ids_do_not_match_and_none_is_not_all() {
        assert_eq!(read(r#"{"ids":["nope"]}"#).unwrap().ids, Some(vec![]));
        assert_eq!(read(r#"{"ids":[]}"#).unwrap().ids, Some(vec![]));
        assert_eq!(read(r#"{"status":"DONE"}"#).unwrap_err().code(), Code::InvalidRequest);
        assert_eq!(read(r#"{"state":"FAILED"}"#).unwrap_err().code(), Code::InvalidRequest);
    }
}
