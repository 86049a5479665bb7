//! A task's output files.

use super::caller::Caller;
use super::download::{self, Kept};
use super::problem::{Body as ProblemBody, Code, Problem, Result};
use super::wire::ArtifactView;
use super::{Api, json_response, query, task_id, to_json};
use crate::task::Artifact;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The routes that answer JSON.
pub fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list))
}

/// The routes that answer files.
pub fn downloads() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(get))
}

/// A task's output files.
#[derive(Serialize, ToSchema)]
struct Artifacts<'a> {
    artifacts: Vec<ArtifactView<'a>>,
}

/// The output files of a task, by name; only a task in `SUCCESS` has any.
#[utoipa::path(
    get, path = "/api/tasks/{id}/artifacts", tag = "files",
    params(("id" = String, Path, format = "uuid")),
    responses(
        (status = 200, description = "The files", body = Artifacts),
        (status = "default", description = "An error", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn list(State(api): State<Api>, caller: Caller, Path(id): Path<String>, uri: Uri) -> Result<Response> {
    query::none(&uri)?;
    let id = task_id(&id)?;
    let artifacts = api.queue.artifacts(&caller.scope, id).await?;
    let artifacts = artifacts.iter().map(|artifact| ArtifactView::of(id, artifact)).collect();
    Ok(json_response(StatusCode::OK, Body::from(to_json(&Artifacts { artifacts }))))
}

/// One output file, or a range of it.
#[utoipa::path(
    get, path = "/api/tasks/{id}/artifacts/{name}", tag = "files",
    params(("id" = String, Path, format = "uuid"), ("name" = String, Path), ("range" = Option<String>, Header)),
    responses(
        (status = 200, description = "The file, as the media type it has", content_type = "*/*"),
        (status = 206, description = "A range of it", content_type = "*/*"),
        (status = "default", description = "An error", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn get(
    State(api): State<Api>,
    caller: Caller,
    Path((id, name)): Path<(String, String)>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response> {
    let artifact = find(&api, &caller, &id, &name).await?;
    let kept = Kept {
        name: &artifact.name,
        bytes: artifact.bytes as u64,
        content_type: &artifact.content_type,
        sha256: &artifact.sha256,
        location: &artifact.location,
    };
    download::answer(api.queue.file_store(), &method, &headers, kept).await
}

/// The output file of that name.
pub async fn find(api: &Api, caller: &Caller, id: &str, name: &str) -> Result<Artifact> {
    let artifacts = api.queue.artifacts(&caller.scope, task_id(id)?).await?;
    let found = artifacts.into_iter().find(|artifact| artifact.name == name);
    found.ok_or_else(|| Problem::new(Code::ArtifactNotFound, "the task has no such artifact"))
}
