//! Keys: made, listed, given another secret, revoked. For admins.

use super::body;
use super::caller::Caller;
use super::fields::Fields;
use super::filter::MAX_LABEL;
use super::openapi::Label;
use super::problem::{Body as ProblemBody, Code, Problem, Result};
use super::trail::Told;
use super::wire::RoleView;
use super::{Api, json_response, query, to_json};
use crate::queue::keys::{KeyError, NewKey};
use crate::store::Key;
use crate::task::{Role, Time, text};
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// More bytes of a body are refused.
const MAX_BODY_BYTES: usize = 64 * 1024;
/// The longest name, in characters.
const MAX_NAME: usize = 200;
/// More types, or queues, are refused.
const MAX_LIST: usize = 100;

/// The routes.
pub fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(revoke)).routes(routes!(rotate))
}

/// A key, without its secret.
#[derive(Serialize, ToSchema)]
#[schema(as = Key)]
struct KeyView<'a> {
    /// Public: it stands in the key.
    id: &'a str,
    /// The key itself, shown this once.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    #[schema(inline, value_type = RoleView)]
    role: &'static str,
    owner: &'a str,
    name: Option<&'a str>,
    /// The only types it may submit; null is any.
    types: Option<&'a [String]>,
    /// The only queues it may submit to; null is any.
    queues: Option<&'a [String]>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Time,
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Time>,
    #[schema(value_type = Option<String>, format = DateTime)]
    revoked_at: Option<Time>,
    /// To the minute.
    #[schema(value_type = Option<String>, format = DateTime)]
    last_used_at: Option<Time>,
}

impl<'a> KeyView<'a> {
    fn of(key: &'a Key, text: Option<&'a str>) -> KeyView<'a> {
        KeyView {
            id: &key.id,
            key: text,
            role: key.role.word(),
            owner: &key.owner,
            name: key.name.as_deref(),
            types: key.types.as_deref(),
            queues: key.queues.as_deref(),
            created_at: key.created_at,
            expires_at: key.expires_at,
            revoked_at: key.revoked_at,
            last_used_at: key.last_used_at,
        }
    }
}

/// Every key.
#[derive(Serialize, ToSchema)]
#[schema(as = Keys)]
struct KeysView<'a> {
    keys: Vec<KeyView<'a>>,
}

/// Every key that was made here, oldest first, revoked and expired ones too; those of the settings are
/// not among them.
#[utoipa::path(
    get, path = "/api/keys", tag = "access",
    responses(
        (status = 200, description = "The keys", body = KeysView),
        (status = "default", description = "An error", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn list(State(api): State<Api>, _caller: Caller, uri: Uri) -> Result<Response> {
    query::none(&uri)?;
    let keys = api.keys.list().await?;
    let view = KeysView { keys: keys.iter().map(|key| KeyView::of(key, None)).collect() };
    Ok(json_response(StatusCode::OK, Body::from(to_json(&view))))
}

/// A key to be made.
#[derive(ToSchema)]
#[schema(as = NewKey)]
#[allow(dead_code)] // only for the document
struct NewKeyBody {
    #[schema(inline)]
    role: RoleView,
    /// Whose tasks it is for. A worker's with `*` takes every owner's.
    #[schema(min_length = 1, max_length = 100)]
    owner: String,
    /// What people call it.
    #[schema(max_length = 200)]
    name: Option<String>,
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<String>,
    /// The only types it may submit.
    #[schema(inline, max_items = 100)]
    types: Option<Vec<Label>>,
    /// The only queues it may submit to.
    #[schema(inline, max_items = 100)]
    queues: Option<Vec<Label>>,
}

/// Makes a key. The answer has it, this once: nothing here could show it again. As soon as there is one,
/// every call needs one. An `idempotency-key` is not looked at: its answer would have to be kept.
#[utoipa::path(
    post, path = "/api/keys", tag = "access", request_body = NewKeyBody,
    responses(
        (status = 201, description = "The key", body = KeyView),
        (status = "default", description = "An error", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn create(State(api): State<Api>, _caller: Caller, request: Request) -> Result<Response> {
    query::none(request.uri())?;
    let body = body::json(request, MAX_BODY_BYTES).await?;
    let new = read(body.text(), api.now())?;
    let (key, text) = api.keys.create(new).await?;
    let mut response = json_response(StatusCode::CREATED, Body::from(to_json(&KeyView::of(&key, Some(&text)))));
    response.extensions_mut().insert(Told { target: Some(key.id), count: None });
    Ok(response)
}

/// Revokes a key, and ends the sessions that were begun with it, at every node within 5 s. Again: as it is.
#[utoipa::path(
    delete, path = "/api/keys/{id}", tag = "access", params(("id" = String, Path)),
    responses(
        (status = 200, description = "It is revoked", body = KeyView),
        (status = "default", description = "An error", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn revoke(State(api): State<Api>, _caller: Caller, Path(id): Path<String>, uri: Uri) -> Result<Response> {
    query::none(&uri)?;
    let key = api.keys.revoke(&id).await?;
    Ok(json_response(StatusCode::OK, Body::from(to_json(&KeyView::of(&key, None)))))
}

/// Gives a key another secret; the old one is no key any more, at every node within 5 s. To have both for
/// a while, make a second key, and revoke the first one later.
#[utoipa::path(
    post, path = "/api/keys/{id}/rotate", tag = "access", params(("id" = String, Path)),
    responses(
        (status = 200, description = "The key with its new secret, this once", body = KeyView),
        (status = "default", description = "An error", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn rotate(State(api): State<Api>, _caller: Caller, Path(id): Path<String>, uri: Uri) -> Result<Response> {
    query::none(&uri)?;
    let (key, text) = api.keys.rotate(&id).await?;
    Ok(json_response(StatusCode::OK, Body::from(to_json(&KeyView::of(&key, Some(&text))))))
}

fn read(text: &str, now: Time) -> Result<NewKey> {
    let mut fields = Fields::of(text, "");
    let words = Role::ALL.map(|(word, _)| word).join(", ");
    let role = fields.text("role", |word| Role::of(word).is_none().then(|| format!("must be one of {words}")));
    let owner = fields.label("owner", MAX_LABEL);
    for (name, missing) in [("role", role.is_none()), ("owner", owner.is_none())] {
        if missing {
            fields.missing(name);
        }
    }
    let name = fields.text("name", |name| text::free(name, MAX_NAME));
    let expires_at = fields.time("expires_at");
    if expires_at.is_some_and(|at| at <= now) {
        fields.fail("expires_at", "must lie in the future");
    }
    let mut list = |name| fields.labels(name, MAX_LIST, MAX_LABEL, false);
    let (types, queues) = (list("types"), list("queues"));
    fields.done(Code::InvalidRequest)?;
    match (role.as_deref().and_then(Role::of), owner) {
        (Some(role), Some(owner)) => Ok(NewKey { role, owner, name, expires_at, types, queues }),
        _ => Err(Problem::internal("a key without role or owner passed")),
    }
}

impl From<KeyError> for Problem {
    fn from(error: KeyError) -> Problem {
        match error {
            KeyError::NotFound => Problem::new(Code::KeyNotFound, "there is no such key, or it is revoked"),
            KeyError::Store(error) => error.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_a_role_and_an_owner_and_ends_in_the_future() {
        let ok = r#"{"role":"read","owner":"a","types":["noop","noop"],"expires_at":"1970-01-01T00:00:00.006Z"}"#;
        let key = read(ok, Time(5)).unwrap();
        assert_eq!((key.role, key.types, key.queues), (Role::Read, Some(vec!["noop".to_owned()]), None));
        let wrong = read(r#"{"role":"root","expires_at":"1970-01-01T00:00:00.005Z","x":1}"#, Time(5)).unwrap_err();
        let pointers: Vec<_> = wrong.errors().iter().map(|error| error.pointer.as_str()).collect();
        assert_eq!(pointers, ["/role", "/owner", "/expires_at", "/x"]);
    }
}
