//! Params against their JSON Schema.

mod generate;
mod whole;

use crate::task::text::FieldError;
use jsonschema::error::{TypeKind, ValidationErrorKind as Kind};
use jsonschema::{ValidationError, Validator};
use serde_json::{Map, Value, value::RawValue};
use uuid::Uuid;

pub use generate::{FileId, forms, of};
pub use whole::with_whole_numbers;

/// No more errors than this are listed: a person reads them.
const MAX_ERRORS: usize = 50;
/// Params are JSON when they come here: what is left is a number beyond every type's range.
const UNREADABLE: &str = "holds a number that is too large: at most about 1.8e308";
/// The `format` of a property that names an upload.
const FILE_ID: &str = "file-id";

/// Params that passed.
#[derive(Debug, Clone)]
pub struct Checked {
    /// The params with defaults filled in (big integers may be rounded here: use the text as sent to keep them).
    pub params: Value,
    /// The uploads they name, each with its pointer.
    pub files: Vec<(String, Uuid)>,
}

/// A compiled schema: one form of params, or several of which the params choose one.
pub struct Schema {
    source: Value,
    names_files: bool,
    secrets: Vec<String>,
    forms: Vec<Form>,
}

/// One form: an object schema.
struct Form {
    schema: Value,
    validator: Validator,
}

/// Whether a file's id stands anywhere in a schema.
fn has_file_id(schema: &Value) -> bool {
    match schema {
        Value::Object(members) => {
            members.get("format").is_some_and(|format| format == FILE_ID) || members.values().any(has_file_id)
        }
        Value::Array(items) => items.iter().any(has_file_id),
        _ => false,
    }
}

impl Schema {
    /// Compiles a schema of our own; panics on one that is no schema (a bug, caught by a test).
    pub fn new(source: Value) -> Schema {
        Schema::compile(source).expect("a schema of our own is a schema")
    }

    /// Compiles a schema; why it is none, otherwise.
    pub fn compile(source: Value) -> Result<Schema, String> {
        let parts = match source.get("oneOf").and_then(Value::as_array) {
            Some(forms) => forms.clone(),
            None => vec![source.clone()],
        };
        let form = |schema: Value| {
            let options = jsonschema::draft202012::options().should_validate_formats(false);
            let validator = options.build(&schema).map_err(|error| error.to_string())?;
            Ok::<_, String>(Form { schema, validator })
        };
        let names_files = has_file_id(&source);
        let forms = parts.into_iter().map(form).collect::<Result<Vec<Form>, String>>()?;
        let secret = |(_, schema): &(&String, &Value)| schema["writeOnly"] == true;
        let secrets = forms.iter().flat_map(Form::properties).filter(secret).map(|(name, _)| name.clone()).collect();
        Ok(Schema { source, names_files, secrets, forms })
    }

    /// Whether params may name uploads.
    pub fn names_files(&self) -> bool {
        self.names_files
    }

    /// The members that are secret: those marked `writeOnly`.
    pub fn secrets(&self) -> &[String] {
        &self.secrets
    }

    /// The schema as JSON.
    pub fn source(&self) -> &Value {
        &self.source
    }

    /// The defaults of its first form: what the params are when nothing is given.
    pub fn defaults(&self) -> Value {
        let mut defaults = Map::new();
        self.forms[0].fill_in(&mut defaults);
        Value::Object(defaults)
    }

    /// Checks `params` against one form: the one that knows most of the given members; among
    /// equals the first whose required members are all given, else the first. So a mistake is
    /// told in the words of the form that was meant. At most 50 errors, sorted by pointer.
    pub fn check(&self, params: &RawValue) -> Result<Checked, Vec<FieldError>> {
        let wrong = |detail: &str| vec![FieldError::new("", detail)];
        let params: Value = serde_json::from_str(params.get()).map_err(|_| wrong(UNREADABLE))?;
        let Value::Object(mut members) = params else { return Err(wrong("must be an object")) };
        let form = self.choose(&members);
        form.fill_in(&mut members);
        let params = Value::Object(members);
        let mut errors: Vec<FieldError> =
            form.validator.iter_errors(&params).flat_map(|error| form.tell(&error)).collect();
        let mut files = Vec::new();
        form.files(&params, &mut files, &mut errors);
        if errors.is_empty() {
            return Ok(Checked { params, files });
        }
        errors.sort_by(|a, b| (&a.pointer, &a.detail).cmp(&(&b.pointer, &b.detail)));
        // A value outside both its bounds' range, or wrong twice in the same words, is one error.
        errors.dedup();
        errors.truncate(MAX_ERRORS);
        Err(errors)
    }

    fn choose(&self, members: &Map<String, Value>) -> &Form {
        let known = |form: &Form| members.keys().filter(|key| form.property(key).is_some()).count();
        let complete = |form: &Form| form.required().all(|key| members.contains_key(key));
        // `max_by_key` takes the last of equals, so the forms are walked backwards.
        let best = self.forms.iter().rev().max_by_key(|form| (known(form), complete(form)));
        best.unwrap_or(&self.forms[0])
    }
}

impl Form {
    fn properties(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.schema.get("properties").and_then(Value::as_object).into_iter().flatten()
    }

    fn property(&self, name: &str) -> Option<&Value> {
        self.schema.get("properties")?.get(name)
    }

    fn required(&self) -> impl Iterator<Item = &str> {
        self.schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
    }

    fn fill_in(&self, members: &mut Map<String, Value>) {
        for (name, schema) in self.properties() {
            if let (Some(default), false) = (schema.get("default"), members.contains_key(name)) {
                members.insert(name.clone(), default.clone());
            }
        }
    }

    /// The uploads the params name. What is no string is the validator's to tell.
    fn files(&self, params: &Value, files: &mut Vec<(String, Uuid)>, errors: &mut Vec<FieldError>) {
        let is_file = |schema: Option<&Value>| schema.is_some_and(|schema| schema["format"] == FILE_ID);
        let mut named: Vec<(String, &Value)> = Vec::new();
        for (name, schema) in self.properties() {
            let pointer = format!("/{}", escape(name));
            match params.get(name) {
                Some(value) if is_file(Some(schema)) => named.push((pointer, value)),
                Some(Value::Array(values)) if is_file(schema.get("items")) => {
                    named.extend(values.iter().enumerate().map(|(i, value)| (format!("{pointer}/{i}"), value)));
                }
                _ => {}
            }
        }
        for (pointer, value) in named {
            match value.as_str().map(Uuid::try_parse) {
                Some(Ok(id)) => files.push((pointer, id)),
                Some(Err(_)) => errors.push(FieldError::new(pointer, "must be the id of an uploaded file")),
                None => {}
            }
        }
    }

    /// One of the validator's errors in our words: for a person, at the member that is to be mended.
    fn tell(&self, error: &ValidationError<'_>) -> Vec<FieldError> {
        let at = error.instance_path().as_str();
        let below = |name: &str| format!("{at}/{}", escape(name));
        // The schema that holds the failed keyword, for the bounds beside it.
        let keyword_path = error.schema_path().as_str();
        let holder = keyword_path.rsplit_once('/').map_or("", |(holder, _)| holder);
        let holder = self.schema.pointer(holder).unwrap_or(&Value::Null);
        let detail = match error.kind() {
            Kind::AdditionalProperties { unexpected } | Kind::UnevaluatedProperties { unexpected } => {
                return unexpected.iter().map(|name| FieldError::new(below(name), "unknown member")).collect();
            }
            Kind::Required { property } => {
                let name = property.as_str().unwrap_or_default();
                return vec![FieldError::new(below(name), "is required")];
            }
            Kind::Minimum { .. } | Kind::Maximum { .. } => between(&holder["minimum"], &holder["maximum"], ""),
            Kind::MinLength { .. } | Kind::MaxLength { .. } => {
                between(&holder["minLength"], &holder["maxLength"], " characters")
            }
            Kind::MinItems { .. } | Kind::MaxItems { .. } => {
                between(&holder["minItems"], &holder["maxItems"], " items")
            }
            Kind::MinProperties { .. } | Kind::MaxProperties { .. } => {
                between(&holder["minProperties"], &holder["maxProperties"], " members")
            }
            Kind::ExclusiveMinimum { limit } => format!("must be more than {limit}"),
            Kind::ExclusiveMaximum { limit } => format!("must be less than {limit}"),
            Kind::MultipleOf { multiple_of } => format!("must be a multiple of {multiple_of}"),
            Kind::UniqueItems => "must not name anything twice".to_owned(),
            Kind::Enum { options } => {
                let words: Vec<String> = options.as_array().into_iter().flatten().map(word).collect();
                format!("must be one of {}", words.join(", "))
            }
            Kind::Constant { expected_value } => format!("must be {}", word(expected_value)),
            Kind::Pattern { pattern } => format!("must match {pattern}"),
            Kind::Type { kind } => format!("must be {}", types(kind)),
            Kind::AnyOf { .. } | Kind::OneOfNotValid { .. } | Kind::OneOfMultipleValid { .. } => alternatives(holder),
            Kind::FalseSchema => "must not be given".to_owned(),
            // The crate's own sentence quotes the value, which may be long; the keyword is enough.
            other => format!("does not fit the schema ({})", other.keyword()),
        };
        vec![FieldError::new(at, detail)]
    }
}

fn between(low: &Value, high: &Value, unit: &str) -> String {
    match (low, high) {
        (Value::Null, high) => format!("must be at most {}{unit}", number(high)),
        (low, Value::Null) => format!("must be at least {}{unit}", number(low)),
        (low, high) => format!("must be {} to {}{unit}", number(low), number(high)),
    }
}

/// A bound as a person writes it: 60, not 60.0.
fn number(bound: &Value) -> String {
    bound.as_f64().map_or_else(|| bound.to_string(), |bound| bound.to_string())
}

fn word(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn types(kind: &TypeKind) -> String {
    let words: Vec<&str> = match kind {
        TypeKind::Single(one) => vec![with_article(one.as_str())],
        TypeKind::Multiple(several) => several.iter().map(|one| with_article(one.as_str())).collect(),
    };
    words.join(" or ")
}

/// What a value of several schemas may be, by their types.
fn alternatives(holder: &Value) -> String {
    let several = holder.get("anyOf").or_else(|| holder.get("oneOf")).and_then(Value::as_array);
    let words: Vec<&str> =
        several.into_iter().flatten().filter_map(|one| one["type"].as_str()).map(with_article).collect();
    if words.is_empty() {
        "must be one of the forms allowed".to_owned()
    } else {
        format!("must be {}", words.join(" or "))
    }
}

fn with_article(json_type: &str) -> &'static str {
    match json_type {
        "integer" => "an integer",
        "number" => "a number",
        "string" => "a string",
        "boolean" => "true or false",
        "array" => "a list",
        "object" => "an object",
        _ => "null",
    }
}

/// A member's name within a JSON pointer (RFC 6901).
fn escape(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Types;
    use serde_json::json;

    fn check(schema: Value, params: Value) -> Result<Checked, Vec<FieldError>> {
        Schema::new(schema).check(&serde_json::value::to_raw_value(&params).unwrap())
    }

    /// The errors as `pointer: detail`.
    fn errors(schema: Value, params: Value) -> Vec<String> {
        let errors = check(schema, params).expect_err("wrong params");
        errors.into_iter().map(|error| format!("{}: {}", error.pointer, error.detail)).collect()
    }

    fn two_forms() -> Value {
        let made = json!({ "type": "object", "properties": {
            "num_rows": { "type": "integer", "minimum": 100, "maximum": 10000, "default": 1000 },
        } });
        let own = json!({ "type": "object", "required": ["file_id"], "properties": {
            "file_id": { "type": "string", "format": "file-id" }, "limit": { "type": "integer", "default": 5 },
        } });
        forms(&[("Made", made), ("Own", own)])
    }

    #[test]
    fn an_error_says_what_is_allowed() {
        let schema = json!({ "type": "object", "required": ["a/b"], "additionalProperties": false, "properties": {
            "a/b": {}, "rows": { "type": "integer", "minimum": 100, "maximum": 10000 },
            "word": { "enum": ["a", "b"] }, "name": { "type": "string", "minLength": 1, "maxLength": 200 },
            "wait": { "type": "number", "minimum": 0.5 }, "list": { "type": "array", "maxItems": 1 },
        } });
        let params = json!({ "rows": 7, "word": "c", "name": "", "wait": 0, "list": [1, 2], "more": 1 });
        let expected = [
            "/a~1b: is required",
            "/list: must be at most 1 items",
            "/more: unknown member",
            "/name: must be 1 to 200 characters",
            "/rows: must be 100 to 10000",
            "/wait: must be at least 0.5",
            "/word: must be one of a, b",
        ];
        assert_eq!(errors(schema, params), expected);
    }

    #[test]
    fn a_wrong_type_is_told_in_words() {
        let schema = json!({ "type": "object", "properties": {
            "a": { "type": "integer" }, "b": { "type": ["boolean", "array"] },
            "c": { "anyOf": [{ "type": "string" }, { "type": "array" }] },
        } });
        let expected =
            ["/a: must be an integer", "/b: must be true or false or a list", "/c: must be a string or a list"];
        assert_eq!(errors(schema.clone(), json!({ "a": "1", "b": 2, "c": 3 })), expected);
        assert_eq!(errors(schema.clone(), json!([])), [": must be an object"]);
        assert!(check(schema, json!({ "a": 1.0 })).is_ok());
    }

    #[test]
    fn the_form_that_knows_most_of_the_members_judges() {
        assert_eq!(errors(two_forms(), json!({ "num_rows": 5 })), ["/num_rows: must be 100 to 10000"]);
        assert_eq!(errors(two_forms(), json!({ "limit": 5 })), ["/file_id: is required"]);
        assert_eq!(check(two_forms(), json!({})).unwrap().params, json!({ "num_rows": 1000 }));
        assert_eq!(Schema::new(two_forms()).defaults(), json!({ "num_rows": 1000 }));
    }

    #[test]
    fn uploads_are_collected_with_their_pointers() {
        let schema = json!({ "type": "object", "properties": {
            "file_ids": { "type": "array", "items": { "type": "string", "format": "file-id" } },
        } });
        let id = Uuid::now_v7();
        let found = check(schema.clone(), json!({ "file_ids": [id, id] })).unwrap().files;
        assert_eq!(found, [("/file_ids/0".to_owned(), id), ("/file_ids/1".to_owned(), id)]);
        let wrong = errors(schema, json!({ "file_ids": [id, "../x"] }));
        assert_eq!(wrong, ["/file_ids/1: must be the id of an uploaded file"]);
    }

    #[test]
    fn many_errors_are_cut_at_fifty() {
        let params: Map<String, Value> = (0..1000).map(|i| (format!("m{i}"), json!(1))).collect();
        let schema = json!({ "type": "object", "additionalProperties": false, "properties": { "a": {} } });
        assert_eq!(errors(schema, Value::Object(params)).len(), MAX_ERRORS);
    }

    #[test]
    fn the_examples_of_every_type_pass_their_own_check() {
        for entry in Types::builtin().iter() {
            for example in entry.r#type.examples() {
                let raw = serde_json::value::to_raw_value(&example).unwrap();
                assert!(entry.check(&raw).is_ok(), "{}: {example}", entry.r#type.name());
            }
        }
    }
}
