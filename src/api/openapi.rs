//! The OpenAPI document: made from the handlers; here is only what they read by hand.

use super::Access;
use serde_json::{Value, json};
use std::collections::HashSet;
use utoipa::openapi::path::Parameter;
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, OneOfBuilder, Schema, Type};
use utoipa::openapi::{OpenApi as Document, Ref, RefOr};
use utoipa::{OpenApi, PartialSchema, ToSchema};

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
        (name = "approvals", description = "What a person has to approve before it runs"),
        (name = "history", description = "What happened, and why"),
        (name = "files", description = "Uploads and output files"),
        (name = "types", description = "What can be done"),
        (name = "service", description = "The service itself"),
        (name = "access", description = "Keys, and who calls"),
        (name = "notifications", description = "The ends of one's own tasks, read and unread"),
    )
)]
struct Base;

/// The document to begin with.
pub fn base() -> Document {
    Base::openapi()
}

/// The document as text. The list is told by its address in the contract, the export takes the
/// list's filters, and each operation has a name of its own.
pub fn text(mut document: Document) -> String {
    let paths = &mut document.paths.paths;
    if let Some(list) = paths.remove("/api/tasks") {
        let filters = list.get.iter().flat_map(|get| get.parameters.clone().unwrap_or_default());
        let filters: Vec<_> = filters.filter(is_filter).collect();
        if let Some(export) = paths.get_mut("/api/tasks/export").and_then(|item| item.get.as_mut()) {
            export.parameters.get_or_insert_default().extend(filters);
        }
        paths.insert("/api/tasks/".to_owned(), list);
    }
    for (path, item) in paths {
        let words: Vec<&str> = path.split(['/', '{', '}', '-']).filter(|word| !word.is_empty()).collect();
        for (verb, operation) in [("get", &mut item.get), ("post", &mut item.post), ("delete", &mut item.delete)] {
            if let Some(operation) = operation {
                operation.operation_id = Some(format!("{verb}_{}", words.join("_")));
            }
        }
    }
    let mut document = serde_json::to_value(document).unwrap_or_default();
    secure(&mut document);
    tighten(&mut document);
    document.to_string()
}

/// Parameters that take one of these words.
const WORDS: [(&str, &[&str]); 6] = [
    ("format", &["ndjson", "csv"]),
    ("level", &["debug", "info", "warn", "error"]),
    ("sort", &["-created_at", "created_at", "-finished_at", "finished_at"]),
    ("view", &["full"]),
    ("wait_for", &["finished", "change"]),
    ("window", &["1h", "24h", "7d"]),
];
/// Words one filters by: never empty.
const LABELS: [&str; 5] = ["type", "queue", "tag", "client_id", "owner"];
/// Where an operation has the schema of its body.
const JSON_BODY: &str = "/requestBody/content/application~1json/schema";
/// Where schemas have their names.
const SCHEMAS: &str = "#/components/schemas/";

/// Tells of parameters and bodies what their types do not.
fn tighten(document: &mut Value) {
    if let Some(schemas) = document["components"]["schemas"].as_object_mut() {
        // What a clone does not say is as it was.
        if let Some(mut clone) = schemas.get("Submit").cloned() {
            clone["description"] = json!("What is to be other than in the task that is cloned.");
            clone.as_object_mut().map(|clone| clone.remove("required"));
            schemas.insert("Clone".to_owned(), clone);
        }
    }
    if let Some(body) = document.pointer_mut("/paths/~1api~1tasks~1{id}~1clone/post/requestBody/content") {
        *body = json!({ "application/json": { "schema": { "$ref": "#/components/schemas/Clone" } } });
    }
    close_bodies(document);
    let parameters = operations(document).filter_map(|operation| operation.get_mut("parameters")?.as_array_mut());
    for parameter in parameters.flatten() {
        let name = parameter["name"].as_str().unwrap_or_default().to_owned();
        let schema = &mut parameter["schema"];
        if let Some((_, words)) = WORDS.iter().find(|(word, _)| *word == name) {
            *schema = json!({ "type": "string", "enum": words });
        } else if name == "idempotency-key" {
            *schema = json!({ "type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[ -~]+$" });
        } else if LABELS.contains(&name.as_str()) {
            let label = if schema.get("items").is_some() { &mut schema["items"] } else { schema };
            label["minLength"] = json!(1);
        }
    }
}

fn operations(document: &mut Value) -> impl Iterator<Item = &mut Value> {
    let paths = document["paths"].as_object_mut().into_iter().flatten();
    paths.flat_map(|(_, item)| item.as_object_mut().into_iter().flatten()).map(|(_, operation)| operation)
}

/// What a body does not name it does not take, however deep.
fn close_bodies(document: &mut Value) {
    let mut named = Vec::new();
    for body in operations(document).filter_map(|operation| operation.pointer_mut(JSON_BODY)) {
        // A body that may be missing may still not be null.
        if let Some(schema) = body.pointer("/oneOf/0").cloned() {
            *body = schema;
        }
        close(body, &mut named);
    }
    let mut closed = HashSet::new();
    while let Some(name) = named.pop() {
        let schema = document["components"]["schemas"].get_mut(&name);
        if let Some(schema) = schema.filter(|_| closed.insert(name)) {
            close(schema, &mut named);
        }
    }
}

/// Closes a schema's objects; `named` gets the schemas that it refers to.
fn close(schema: &mut Value, named: &mut Vec<String>) {
    match schema {
        Value::Object(members) => {
            if members.contains_key("properties") {
                members.insert("additionalProperties".to_owned(), json!(false));
            }
            let reference = members.get("$ref").and_then(Value::as_str);
            named.extend(reference.and_then(|reference| reference.strip_prefix(SCHEMAS)).map(str::to_owned));
            members.values_mut().for_each(|member| close(member, named));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| close(item, named)),
        _ => {}
    }
}

/// Tells how to call with a key, and of each operation who may, as the table of routes has it.
fn secure(document: &mut Value) {
    document["components"]["securitySchemes"] = json!({
        "key": { "type": "http", "scheme": "bearer", "bearerFormat": "errand_<id>_<secret>" },
        "key_header": { "type": "apiKey", "in": "header", "name": "x-api-key" },
        "ticket": { "type": "apiKey", "in": "query", "name": "ticket", "description": "Of `POST /api/tickets`: once, within 30 s" },
        "session": { "type": "apiKey", "in": "cookie", "name": "errand",
            "description": "Set by `POST /api/session`; `__Host-errand` where the page came over TLS. It changes things from pages of this origin only." },
    });
    let any = json!([{ "key": [] }, { "key_header": [] }, { "session": [] }]);
    let ticketed = json!([{ "key": [] }, { "key_header": [] }, { "session": [] }, { "ticket": [] }]);
    for (method, path, access) in super::TABLE {
        let path = if *path == "/api/tasks" { "/api/tasks/" } else { path };
        let operation = document["paths"].get_mut(path).and_then(|item| item.get_mut(method.to_ascii_lowercase()));
        let Some(operation) = operation else { continue };
        let Access::Only(roles) = access else {
            operation["security"] = json!([]);
            if (*method, path) == ("POST", "/api/session") {
                operation["responses"]["429"] = too_much();
            }
            continue;
        };
        let words: Vec<_> = roles.iter().map(|role| role.word()).collect();
        operation["security"] = if path == "/api/events" { ticketed.clone() } else { any.clone() };
        operation["x-roles"] = json!(words);
        operation["responses"]["401"] = problem("No key, or none that is valid".to_owned());
        operation["responses"]["403"] = problem(format!("The key's role is none of: {}", words.join(", ")));
        operation["responses"]["429"] = too_much();
    }
}

fn problem(description: String) -> Value {
    json!({ "description": description, "content": { "application/problem+json": {
        "schema": { "$ref": "#/components/schemas/Problem" } } } })
}

/// What everybody may hear who is asked for a key.
fn too_much() -> Value {
    let mut response = problem("Too much, or too many wrong keys: try again after `retry-after` seconds".to_owned());
    for name in ["ratelimit", "ratelimit-policy"] {
        response["headers"][name] =
            json!({ "description": "With rate limits, on every answer", "schema": { "type": "string" } });
    }
    response["headers"]["retry-after"] = json!({ "schema": { "type": "integer", "minimum": 1 } });
    response
}

/// The list's parameters that are no filters, and the one the export tells itself.
const PAGING: [&str; 5] = ["limit", "cursor", "view", "sort", "if-none-match"];

fn is_filter(parameter: &RefOr<Parameter>) -> bool {
    matches!(parameter, RefOr::T(parameter) if !PAGING.contains(&parameter.name.as_str()))
}

/// A task to be submitted.
#[derive(ToSchema)]
#[allow(dead_code)] // only for the document: bodies are read member by member
pub struct Submit {
    /// One of `GET /api/task-types`.
    #[schema(example = "demo")]
    r#type: String,
    /// As the type's schema says; at most 1 MiB as sent.
    #[schema(value_type = Object, required = false)]
    params: Option<Value>,
    #[schema(max_length = 200)]
    name: Option<String>,
    #[schema(min_length = 1, max_length = 100, default = "default")]
    queue: Option<String>,
    /// Higher first.
    #[schema(minimum = -100, maximum = 100, default = 0)]
    priority: Option<i64>,
    /// Not before this instant; one in the past is now.
    #[schema(value_type = Option<String>, format = DateTime)]
    run_at: Option<String>,
    /// It runs only once an admin has approved it.
    #[schema(default = false)]
    needs_approval: Option<bool>,
    /// How many failures end the task.
    #[schema(minimum = 1, maximum = 100, default = 1)]
    max_attempts: Option<i64>,
    backoff: Option<BackoffBody>,
    /// How long one attempt may run.
    #[schema(minimum = 1, maximum = 604800)]
    timeout_seconds: Option<i64>,
    #[schema(inline, max_items = 20)]
    tags: Option<Vec<Label>>,
    /// Else a header says it, else it is made.
    #[schema(min_length = 1, max_length = 200)]
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

/// When an approved task is to run.
#[derive(ToSchema)]
#[allow(dead_code)]
pub struct Approve {
    /// Not before this instant, in the place of the time it was submitted for; one in the past is now.
    #[schema(value_type = Option<String>, format = DateTime)]
    run_at: Option<String>,
}

/// Why a task is not to run.
#[derive(ToSchema)]
#[allow(dead_code)]
pub struct Reject {
    #[schema(max_length = 1000)]
    reason: Option<String>,
}

/// A `demo` task to be submitted.
#[derive(ToSchema)]
#[allow(dead_code)]
pub struct Start {
    name: Option<String>,
    /// Milliseconds.
    #[schema(minimum = 1000, maximum = 30000)]
    duration: Option<i64>,
    #[schema(min_length = 1, max_length = 200)]
    client_id: Option<String>,
    /// The same, where `client_id` is not said.
    #[schema(rename = "clientId", min_length = 1, max_length = 200)]
    client_id_in_camel_case: Option<String>,
}

/// The bytes of a file.
#[derive(ToSchema)]
#[schema(value_type = String, format = Binary)]
#[allow(dead_code)]
pub struct FileContent(Vec<u8>);

/// A form with a file; the first part that has a file name is taken.
#[derive(ToSchema)]
#[allow(dead_code)]
pub struct FileForm {
    #[schema(value_type = String, format = Binary)]
    file: Vec<u8>,
}

/// A word of 1 to 100 characters.
#[derive(ToSchema)]
#[schema(min_length = 1, max_length = 100)]
#[allow(dead_code)]
pub struct Label(String);

fn statuses() -> Schema {
    one_or_many(Ref::from_schema_name(super::wire::StatusView::name()))
}

fn types() -> Schema {
    one_or_many(Label::schema())
}

fn one_or_many(one: impl Into<RefOr<Schema>>) -> Schema {
    let one = one.into();
    let many = ArrayBuilder::new().items(one.clone()).max_items(Some(super::filter::MAX_WORDS));
    let null = ObjectBuilder::new().schema_type(Type::Null);
    OneOfBuilder::new().item(one).item(many).item(null).description(Some("A word or a list")).into()
}

/// Which tasks are meant: `ids`, or the list's filters, or both.
#[derive(ToSchema)]
#[allow(dead_code)]
pub struct BulkFilter {
    #[schema(inline, max_items = 10000)]
    ids: Option<Vec<Label>>,
    #[schema(schema_with = statuses)]
    status: Option<Vec<super::wire::StatusView>>,
    #[schema(schema_with = types)]
    r#type: Option<Vec<Label>>,
    #[schema(min_length = 1, max_length = 100)]
    queue: Option<String>,
    #[schema(min_length = 1, max_length = 100)]
    tag: Option<String>,
    #[schema(min_length = 1, max_length = 200)]
    client_id: Option<String>,
    #[schema(min_length = 1, max_length = 100)]
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

#[cfg(test)]
mod tests {
    use super::super::{bulk, export, files, list, tasks};
    use super::*;

    #[test]
    fn every_operation_has_a_name_of_its_own_and_the_export_has_the_filters() {
        let routers = [bulk::router(), export::router(), files::router(), list::router(), tasks::router()];
        let all = routers
            .into_iter()
            .fold(utoipa_axum::router::OpenApiRouter::with_openapi(base()), |all, one| all.merge(one));
        let text = text(all.into_openapi());
        let document: Value = serde_json::from_str(&text).unwrap();
        let items = document["paths"].as_object().unwrap().values();
        let names = items.flat_map(|item| item.as_object().unwrap().values());
        let names: Vec<&str> = names.map(|operation| operation["operationId"].as_str().unwrap()).collect();
        assert_eq!(names.iter().collect::<HashSet<_>>().len(), names.len(), "{names:?}");
        let parameters = document["paths"]["/api/tasks/export"]["get"]["parameters"].as_array().unwrap();
        let named = |name| parameters.iter().filter(|parameter| parameter["name"] == name).count();
        assert_eq!((named("created_after"), named("sort"), named("cursor")), (1, 1, 0));
        let submit = &document["paths"]["/api/files"]["post"];
        assert_eq!(
            (&submit["x-roles"], submit["security"].as_array().unwrap().len()),
            (&json!(["admin", "submit"]), 3)
        );
        assert!(submit["responses"]["401"].is_object() && submit["responses"]["403"].is_object());
    }
}
