//! The JSON Schema of a type's params, from its structs.

use super::FILE_ID;
use serde_json::{Map, Value};

/// An upload's id in a params struct: `#[schemars(with = "FileId")]` on a `Uuid`.
pub struct FileId;

impl schemars::JsonSchema for FileId {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "FileId".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "format": FILE_ID })
    }
}

/// The JSON Schema of a params struct: self-contained, and as plain as a form wants it. An
/// `Option<T>` is a `T` that need not be given; `null` is not offered as a value.
pub fn of<P: schemars::JsonSchema>() -> Value {
    let settings = schemars::generate::SchemaSettings::draft2020_12().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    });
    let mut schema = settings.into_generator().into_root_schema_for::<P>().to_value();
    tidy(&mut schema);
    if let Some(schema) = schema.as_object_mut() {
        // The struct's Rust name says nothing to a caller.
        schema.shift_remove("title");
    }
    schema
}

/// The schema of a type whose params have several forms, each an object schema with its title.
/// No form takes members it does not name.
pub fn forms(forms: &[(&str, Value)]) -> Value {
    let titled = forms.iter().map(|(title, schema)| {
        let mut form = Map::from_iter([("title".to_owned(), Value::from(*title))]);
        form.extend(schema.as_object().cloned().unwrap_or_default());
        form.insert("additionalProperties".to_owned(), Value::Bool(false));
        Value::Object(form)
    });
    serde_json::json!({ "oneOf": titled.collect::<Vec<Value>>() })
}

/// Takes the marks of nullability out of a schema, at every depth.
fn tidy(schema: &mut Value) {
    match schema {
        Value::Array(items) => items.iter_mut().for_each(tidy),
        Value::Object(members) => {
            // What is left of an `Option` may be a choice of one once more.
            for choice in ["anyOf", "oneOf"] {
                let Some(Value::Array(alternatives)) = members.get_mut(choice) else { continue };
                alternatives.retain(|one| one["type"] != "null");
                if let [Value::Object(only)] = &alternatives[..] {
                    let only = only.clone();
                    members.shift_remove(choice);
                    only.into_iter().for_each(|(name, value)| {
                        members.entry(name).or_insert(value);
                    });
                }
            }
            if let Some(Value::Array(types)) = members.get_mut("type") {
                types.retain(|one| one != "null");
                if let [only] = &types[..] {
                    members["type"] = only.clone();
                }
            }
            if let Some(Value::Array(values)) = members.get_mut("enum") {
                values.retain(|one| !one.is_null());
            }
            if members.get("default").is_some_and(Value::is_null) {
                members.shift_remove("default");
            }
            // A docstring's line breaks are its source file's, not a sentence's.
            if let Some(Value::String(description)) = members.get_mut("description") {
                *description = description.replace("\n\n", "\u{0}").replace('\n', " ").replace('\u{0}', "\n\n");
            }
            // `format: uint32` and the like speak of Rust; the bounds say it all.
            if members.get("type").is_some_and(|kind| kind == "integer" || kind == "number") {
                members.shift_remove("format");
            }
            members.values_mut().for_each(tidy);
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_struct_gives_a_plain_schema() {
        #[derive(serde::Deserialize, schemars::JsonSchema)]
        #[serde(default, deny_unknown_fields)]
        #[derive(Default)]
        #[allow(dead_code)]
        struct Params {
            /// How
            /// many.
            #[schemars(range(min = 1, max = 5))]
            rows: Option<u32>,
            form: Option<Fit>,
            unit: Option<Unit>,
        }
        #[derive(serde::Deserialize, schemars::JsonSchema)]
        #[serde(rename_all = "lowercase")]
        enum Fit {
            Fill,
            Exact,
        }
        #[derive(serde::Deserialize, schemars::JsonSchema)]
        #[serde(rename_all = "lowercase")]
        #[allow(dead_code)]
        enum Unit {
            /// Not a file's.
            #[schemars(skip)]
            Inner,
            Inch,
        }
        let expected = json!({ "type": "object", "additionalProperties": false, "properties": {
            "rows": { "description": "How many.", "type": "integer", "minimum": 1, "maximum": 5 },
            "form": { "type": "string", "enum": ["fill", "exact"] },
            "unit": { "type": "string", "enum": ["inch"] },
        } });
        assert_eq!(of::<Params>(), expected);
    }
}
