//! The OpenAPI document: that it is one, and that what it says of requests and answers is so.

use crate::support::http::Service;
use crate::support::on_both_databases;
use errand::task::Role;
use jsonschema::Validator;
use serde_json::{Value, json};
use std::collections::{BTreeSet, HashSet};

on_both_databases!(
    Service: the_document_is_openapi_3_1_and_has_every_route,
    nothing_in_the_document_is_null_and_parameters_are_a_list_without_doubles,
    every_schema_of_the_document_is_json_schema_and_every_example_fits_its_own,
    the_words_of_the_document_are_taken_and_no_others,
    every_format_is_answered_in_a_media_type_that_the_document_tells,
    a_body_is_taken_or_refused_as_its_schema_says,
    no_body_takes_a_member_that_its_schema_does_not_name,
);

async fn the_document_is_openapi_3_1_and_has_every_route(service: Service) {
    let document = service.get("/api/openapi.json").await.ok();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1."));
    assert!(document["info"]["title"].is_string() && document["info"]["version"].is_string());
    for route in ROUTES.split_whitespace().collect::<Vec<_>>().chunks(2) {
        let operation = &document["paths"][route[1]][route[0]];
        assert!(operation["responses"].is_object(), "{} {} is missing", route[0], route[1]);
    }
    let mut operations = HashSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            assert!(
                operations.insert(operation["operationId"].as_str().unwrap().to_owned()),
                "{method} {path}: its name is taken"
            );
            let parameters = operation["parameters"].as_array().into_iter().flatten();
            let told: Vec<_> =
                parameters.filter(|one| one["in"] == "path").map(|one| one["name"].as_str().unwrap()).collect();
            let named: Vec<_> = path.split(['{', '}']).skip(1).step_by(2).collect();
            assert_eq!(told, named, "{method} {path}");
        }
    }
    every_value(&document, "", &mut |value, at| {
        let Some(reference) = value.get("$ref").and_then(Value::as_str) else { return };
        assert!(document.pointer(reference.trim_start_matches('#')).is_some(), "{at}: {reference} leads nowhere");
    });
}

async fn nothing_in_the_document_is_null_and_parameters_are_a_list_without_doubles(service: Service) {
    let document = service.get("/api/openapi.json").await.ok();
    every_value(&document, "", &mut |value, at| assert!(!value.is_null(), "{at} is null"));
    for (name, operation) in operations(&document) {
        let Some(parameters) = operation.get("parameters") else { continue };
        let parameters = parameters.as_array().unwrap_or_else(|| panic!("{name}: its parameters are no list"));
        let told: HashSet<_> = parameters.iter().map(|one| (one["in"].as_str(), one["name"].as_str())).collect();
        assert_eq!(told.len(), parameters.len(), "{name}: a parameter stands there twice");
        for one in parameters {
            assert!(one["schema"].is_object() && (one["in"] != "path" || one["required"] == true), "{name}: {one}");
        }
    }
}

async fn every_schema_of_the_document_is_json_schema_and_every_example_fits_its_own(service: Service) {
    let document = service.get("/api/openapi.json").await.ok();
    let named = document["components"]["schemas"].as_object().unwrap();
    let mut schemas: Vec<_> = named.iter().map(|(name, schema)| (name.clone(), schema.clone())).collect();
    let mut examples = vec![];
    every_value(&document, "", &mut |value, at| {
        // Examples stand within a schema, or beside it.
        let schema = value.get("schema").unwrap_or(value);
        let several = value.get("examples").filter(|_| value.get("schema").is_some()).and_then(Value::as_object);
        let several = several.into_iter().flatten().map(|(_, example)| &example["value"]);
        for example in value.get("example").into_iter().chain(several) {
            examples.push((at.to_owned(), schema.clone(), example.clone()));
        }
        schemas.extend(value.get("schema").map(|schema| (at.to_owned(), schema.clone())));
    });
    for (at, schema) in schemas {
        let valid = jsonschema::draft202012::meta::validate(&schema);
        valid.unwrap_or_else(|wrong| panic!("{at}: {wrong}"));
    }
    assert!(examples.len() >= 5, "{} examples", examples.len());
    for (at, schema, example) in examples {
        assert!(schema_of(&document, &schema).is_valid(&example), "{at}: {example}");
    }
}

async fn the_words_of_the_document_are_taken_and_no_others(service: Service) {
    let document = service.get("/api/openapi.json").await.ok();
    let id = service.submit(json!({ "type": "noop" })).await;
    let mut asked = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        let address = path.replace("{id}", &id);
        for parameter in item["get"]["parameters"].as_array().into_iter().flatten() {
            let Some(words) = parameter["schema"]["enum"].as_array() else { continue };
            let name = parameter["name"].as_str().unwrap();
            for word in words.iter().map(|word| word.as_str().unwrap()) {
                let answer = service.get(&format!("{address}?{name}={word}")).await;
                assert_eq!(answer.status, 200, "{address}?{name}={word}");
            }
            let other = service.get(&format!("{address}?{name}=other")).await;
            assert_eq!(other.status, 422, "{address}?{name}=other");
            asked += 1;
        }
    }
    assert!(asked >= 6, "{asked} parameters have words");
}

async fn every_format_is_answered_in_a_media_type_that_the_document_tells(service: Service) {
    let document = service.get("/api/openapi.json").await.ok();
    let mut asked = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        let told: Vec<&String> = item["get"]["responses"]["200"]["content"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(media, _)| media)
            .collect();
        for parameter in item["get"]["parameters"].as_array().into_iter().flatten() {
            for format in parameter["schema"]["enum"].as_array().into_iter().flatten() {
                if parameter["name"] == "format" {
                    let address = format!("{path}?format={}", format.as_str().unwrap());
                    let answer = service.get(&address).await;
                    let media = answer.header("content-type").split(';').next().unwrap();
                    assert!(told.iter().any(|told| *told == media), "{address} is {media}, not one of {told:?}");
                    asked += 1;
                }
            }
        }
    }
    assert!(asked >= 4, "{asked} formats");
}

async fn a_body_is_taken_or_refused_as_its_schema_says(service: Service) {
    let bodies = Bodies::of(service).await;
    let of_each: BTreeSet<_> = good().into_iter().map(|(operation, _)| operation.to_owned()).collect();
    assert_eq!(of_each, bodies.operations(), "each operation that takes JSON is tried");
    for (operation, body) in good() {
        assert_eq!(bodies.taken(operation, &body).await, (true, true), "{operation} {body}: by schema, by service");
    }
    for (operation, body) in bad() {
        assert_eq!(bodies.taken(operation, &body).await, (false, false), "{operation} {body}: by schema, by service");
    }
}

async fn no_body_takes_a_member_that_its_schema_does_not_name(service: Service) {
    let bodies = Bodies::of(service).await;
    for (operation, body) in good() {
        let mut objects = vec![];
        every_value(&body, "", &mut |value, at| {
            if value.is_object() && !at.ends_with("/params") {
                objects.push(at.to_owned());
            }
        });
        for at in objects {
            let mut body = body.clone();
            body.pointer_mut(&at).unwrap()["nobody_knows_it"] = json!(1);
            assert_eq!(
                bodies.taken(operation, &body).await,
                (false, false),
                "{operation} {body}: by schema, by service"
            );
        }
    }
}

/// The document, and who may try what it says of bodies.
struct Bodies {
    service: Service,
    document: Value,
    key: String,
    id: String,
}

impl Bodies {
    async fn of(service: Service) -> Bodies {
        let document = service.get("/api/openapi.json").await.ok();
        let id = service.submit(json!({ "type": "noop", "run_at": "2999-01-01T00:00:00Z" })).await;
        let key = service.key(Role::Admin, "a").await;
        Bodies { service, document, key, id }
    }

    /// Those that take JSON.
    fn operations(&self) -> BTreeSet<String> {
        let with_json = |operation: &Value| operation["requestBody"]["content"].get("application/json").is_some();
        operations(&self.document).filter(|(_, operation)| with_json(operation)).map(|(name, _)| name).collect()
    }

    /// Whether a body is taken: by the schema, and by the service.
    async fn taken(&self, operation: &str, body: &Value) -> (bool, bool) {
        let (method, path) = operation.split_once(' ').unwrap();
        let operation = &self.document["paths"][path][method.to_ascii_lowercase()];
        let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
        let by_schema = schema_of(&self.document, schema).is_valid(body);
        let bearer = format!("Bearer {}", self.key);
        let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
        let answer = self.service.call(method, &path.replace("{id}", &self.id), &headers, body.to_string()).await;
        assert!(answer.status < 500 && answer.status != 400, "{operation} {body}: {}", answer.json);
        (by_schema, answer.status != 422)
    }
}

/// Each operation, as `POST /api/keys`.
fn operations(document: &Value) -> impl Iterator<Item = (String, &Value)> {
    let items = document["paths"].as_object().unwrap().iter();
    items.flat_map(|(path, item)| {
        let verbs = item.as_object().unwrap().iter();
        verbs.map(move |(verb, operation)| (format!("{} {path}", verb.to_uppercase()), operation))
    })
}

/// A schema that may refer to the document's others.
fn schema_of(document: &Value, schema: &Value) -> Validator {
    jsonschema::validator_for(&json!({ "allOf": [schema], "components": document["components"] })).unwrap()
}

/// Looks at all there is, with its JSON pointer.
fn every_value(value: &Value, at: &str, look: &mut dyn FnMut(&Value, &str)) {
    look(value, at);
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                every_value(member, &format!("{at}/{}", name.replace('~', "~0").replace('/', "~1")), look);
            }
        }
        Value::Array(items) => {
            for (n, item) in items.iter().enumerate() {
                every_value(item, &format!("{at}/{n}"), look);
            }
        }
        _ => {}
    }
}

/// Valid bodies, for each operation that takes JSON.
fn good() -> Vec<(&'static str, Value)> {
    let mut good = vec![
        ("POST /api/tasks/submit", json!({ "type": "noop" })),
        (
            "POST /api/tasks/submit",
            json!({ "type": "noop", "params": {}, "name": null, "tags": ["a"], "backoff": { "factor": 2 }, "client_id": "me" }),
        ),
        ("POST /api/tasks/batch", json!({ "tasks": [{ "type": "noop", "backoff": { "jitter": false } }] })),
        ("POST /api/tasks/{id}/clone", json!({})),
        ("POST /api/tasks/{id}/clone", json!({ "name": "again", "run_at": "2999-01-01T00:00:00Z" })),
        ("POST /api/tasks/{id}/approve", json!({ "run_at": "2999-01-01T00:00:00Z" })),
        ("POST /api/tasks/{id}/reject", json!({ "reason": "not now" })),
        ("POST /api/task/start", json!({ "duration": 2000, "client_id": "me" })),
        ("POST /api/task/start", json!({ "clientId": "me" })),
        ("POST /api/session", json!({ "key": "none" })),
        ("POST /api/notifications/read", json!({ "all": true })),
        ("POST /api/notifications/unread", json!({ "ids": [] })),
        ("PATCH /api/notifications/muted", json!({ "mute": [{ "type": "noop" }], "unmute": [{ "status": "FAILED" }] })),
    ];
    good.extend(
        Role::ALL.map(|(role, _)| ("POST /api/keys", json!({ "role": role, "owner": "a", "types": ["noop"] }))),
    );
    for bulk in ["POST /api/tasks/cancel", "POST /api/tasks/retry"] {
        for filter in [
            json!({ "status": "FAILED", "type": "demo" }),
            json!({ "status": ["FAILED", "CANCELLED"], "type": ["demo", "noop"] }),
            json!({ "status": null, "type": null, "ids": ["nobody's"] }),
            json!({ "status": [], "type": [], "queue": "none" }),
        ] {
            good.push((bulk, filter));
        }
    }
    good
}

/// Bodies that are wrong in one thing, but for members that nobody knows.
fn bad() -> Vec<(&'static str, Value)> {
    let many = vec!["noop"; 51];
    let mut bad = vec![
        ("POST /api/tasks/submit", json!({ "type": "noop", "tags": [""] })),
        ("POST /api/tasks/submit", json!({ "type": "noop", "params": null })),
        ("POST /api/tasks/submit", json!({ "name": "no type" })),
        ("POST /api/keys", json!({ "role": "root", "owner": "a" })),
        ("POST /api/keys", json!({ "role": "Admin", "owner": "a" })),
        ("POST /api/keys", json!({ "role": "read", "owner": "" })),
        ("POST /api/keys", json!({ "role": "read", "owner": "a", "queues": ["x".repeat(101)] })),
        ("POST /api/tasks/{id}/clone", Value::Null),
        ("POST /api/tasks/{id}/approve", Value::Null),
        ("POST /api/tasks/{id}/reject", Value::Null),
        ("POST /api/task/start", Value::Null),
        ("PATCH /api/notifications/muted", json!({ "mute": [{ "status": "PENDING" }] })),
    ];
    for wrong in [
        json!({ "status": "DONE" }),
        json!({ "status": ["FAILED", "DONE"] }),
        json!({ "type": "" }),
        json!({ "type": [""] }),
        json!({ "type": 1 }),
        json!({ "type": many }),
        json!({ "ids": "one" }),
    ] {
        bad.push(("POST /api/tasks/cancel", wrong));
    }
    bad
}

const ROUTES: &str = "post /api/tasks/submit post /api/tasks/batch get /api/tasks/ get /api/tasks/{id} delete /api/tasks/{id}
    post /api/tasks/{id}/retry post /api/tasks/{id}/clone post /api/tasks/cancel post /api/tasks/retry get /api/tasks/changes
    get /api/tasks/{id}/timeline get /api/tasks/{id}/attempts get /api/tasks/{id}/logs get /api/tasks/{id}/artifacts
    get /api/tasks/{id}/artifacts/{name} get /api/tasks/{id}/artifacts/{name}/preview get /api/files/{id}/preview get /api/tasks/{id}/explain get /api/tasks/export get /api/task-types
    post /api/files get /api/files/{id} delete /api/files/{id} get /api/stats get /api/stats/timeseries get /api/costs get /api/queues get /health
    get /api/health get /api/ready get /api/live get /metrics get /api/version post /api/task/start get /api/task/status
    get /api/events";
