//! The second form: the user's own mails, and what is checked of them before any is sent.

use super::address;
use super::letter::{Head, wrong_link};
use super::names::instead;
use super::recipients::{Recipients, wrong_name};
use super::template::{HTML, Row, Templates};
use crate::task::text::FieldError;
use crate::types::schema;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::HashSet;
use uuid::Uuid;

/// More recipients in the params are refused; a table may have more.
pub const MAX_INLINE: usize = 1000;
/// More attachments, in bytes together, are refused: servers take no larger mails.
pub const MAX_ATTACHED_BYTES: u64 = 25 * 1024 * 1024;
/// The longest subject, as in the first form.
const MAX_SUBJECT: usize = super::MAX_SUBJECT_BYTES;
/// No more errors than this are told.
const MAX_ERRORS: usize = 50;

/// Your own mails: to recipients named here or in a table, from templates over their columns. `{{name}}` in the
/// subject, the text or the HTML stands for what the column `name` holds.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Own {
    /// Who gets a mail: a list of objects, each with `email`, perhaps `name`, and any other columns.
    #[serde(default)]
    #[schemars(schema_with = "recipients")]
    pub recipients: Option<Vec<Map<String, Value>>>,
    /// The recipients as an uploaded CSV file instead, a row each, with a column `email`; at most 100,000.
    #[schemars(with = "Option<schema::FileId>")]
    pub file_id: Option<Uuid>,
    /// The subject, a template; at most 900 bytes once filled in.
    #[schemars(length(min = 1, max = MAX_SUBJECT))]
    pub subject: String,
    /// The text, a template.
    #[schemars(length(min = 1, max = 500_000))]
    pub body: Option<String>,
    /// The same as HTML, a template; what columns hold is escaped in it.
    #[schemars(length(min = 1, max = 500_000))]
    pub html: Option<String>,
    /// The name that stands before the sender's address. The address is the service's own.
    #[schemars(length(min = 1, max = 200))]
    pub from_name: Option<String>,
    /// The address that answers go to.
    #[schemars(length(min = 1, max = 254))]
    pub reply_to: Option<String>,
    /// The Message-ID of the mail that this one answers, as `<id@example.org>`.
    #[schemars(length(min = 1, max = 300))]
    pub in_reply_to: Option<String>,
    /// The address at which one ends these mails, a template: `https:` or `mailto:`.
    #[schemars(length(min = 1, max = 500))]
    pub list_unsubscribe: Option<String>,
    /// Uploaded files to attach; 25 MiB together at most.
    #[serde(default)]
    #[schemars(with = "Vec<schema::FileId>", length(max = 20))]
    pub attachments: Vec<Uuid>,
    /// How long to wait after each, in seconds.
    #[serde(default)]
    #[schemars(range(min = 0.0, max = 5.0))]
    pub delay_per_email: f64,
    /// No more mails a second than this.
    #[schemars(range(min = 0.01, max = 1000.0))]
    pub max_per_second: Option<f64>,
}

fn recipients(_: &mut SchemaGenerator) -> Schema {
    // As an empty cell. A type of null would be taken out, as an option's is.
    let empty = serde_json::json!({ "const": null });
    let column =
        serde_json::json!({ "anyOf": [{ "type": "string" }, { "type": "number" }, { "type": "boolean" }, empty] });
    let name = serde_json::json!({ "anyOf": [{ "type": "string" }, empty] });
    json_schema!({ "type": "array", "minItems": 1, "maxItems": MAX_INLINE,
        "examples": [[{ "email": "ann@example.org", "name": "Ann" }]], "items": {
        "type": "object", "required": ["email"], "maxProperties": 50, "additionalProperties": column,
        "properties": { "email": { "type": "string" }, "name": name },
    } })
}

impl Own {
    /// The templates, each with its part's name, which is its member's.
    pub fn parts(&self) -> Vec<(&str, &str)> {
        let optional = [("body", &self.body), (HTML, &self.html), ("list_unsubscribe", &self.list_unsubscribe)];
        let given = optional.into_iter().filter_map(|(part, text)| Some((part, text.as_deref()?)));
        std::iter::once(("subject", self.subject.as_str())).chain(given).collect()
    }

    /// What the schema cannot say: everything that will stand in a head, each template, each recipient.
    pub fn check(&self) -> Vec<FieldError> {
        let mut errors = Vec::new();
        match (&self.recipients, self.file_id) {
            (None, None) => errors.push(FieldError::new("/recipients", "is required, or file_id in its place")),
            (Some(_), Some(_)) => {
                errors.push(FieldError::new("/file_id", "must not be given together with recipients"));
            }
            _ => {}
        }
        if self.body.is_none() && self.html.is_none() {
            errors.push(FieldError::new("/body", "is required, or html in its place"));
        }
        errors.extend(self.heads());
        match Templates::new(&self.parts()) {
            Ok(templates) => errors.extend(self.check_templates(&templates)),
            Err(wrong) => {
                errors.extend(wrong.into_iter().map(|(part, why)| FieldError::new(format!("/{part}"), why)));
            }
        }
        // What a head cannot hold is told once, not again of each recipient.
        let mut told = HashSet::new();
        errors.retain(|error| told.insert(error.pointer.clone()));
        errors.truncate(MAX_ERRORS);
        errors
    }

    /// Members that stand in a head as they are.
    fn heads(&self) -> Vec<FieldError> {
        let controls = |text: &str| text.chars().any(char::is_control).then(|| super::CONTROLS.to_owned());
        let id = |text: &str| {
            let inner = text.strip_prefix('<').and_then(|text| text.strip_suffix('>')).unwrap_or_default();
            let plain = inner.bytes().all(|byte| byte.is_ascii_graphic() && !b"<>".contains(&byte));
            let one = inner.split_once('@').is_some_and(|(left, right)| !left.is_empty() && !right.is_empty());
            (!plain || !one).then(|| "must be the Message-ID of a mail, as <id@example.org>".to_owned())
        };
        // One with braces is looked at once they are filled in.
        let link = |text: &str| if text.contains('{') { None } else { wrong_link(text) };
        let wrong = [
            ("/subject", controls(&self.subject)),
            ("/from_name", self.from_name.as_deref().and_then(wrong_name)),
            ("/reply_to", self.reply_to.as_deref().and_then(|text| address::parse(text).err())),
            ("/in_reply_to", self.in_reply_to.as_deref().and_then(id)),
            (
                "/list_unsubscribe",
                self.list_unsubscribe.as_deref().and_then(|text| controls(text).or_else(|| link(text))),
            ),
        ];
        wrong.into_iter().filter_map(|(pointer, wrong)| Some(FieldError::new(pointer, wrong?))).collect()
    }

    /// Fills the templates in: the heads for every recipient named here, the text for the first of them; for a
    /// table, whose columns are not known yet, with a word in each.
    fn check_templates(&self, templates: &Templates<'_>) -> Vec<FieldError> {
        let parts: Vec<&str> = self.parts().into_iter().map(|(part, _)| part).collect();
        let at = |part: &str, why: String| FieldError::new(format!("/{part}"), why);
        let Some(given) = &self.recipients else {
            let row: Row = self.columns(templates).into_iter().map(|column| (column, "x".to_owned())).collect();
            let wrong = |part: &&str| templates.render(part, &row).err().map(|why| at(part, why));
            return parts.iter().filter_map(wrong).collect();
        };
        let recipients = match Recipients::inline(given, &self.columns(templates)) {
            Ok(recipients) => recipients,
            Err(errors) => return errors,
        };
        // Read once: a template may be long, and the recipients many.
        let mut named: Vec<(&str, String)> =
            parts.iter().flat_map(|part| templates.columns(part).into_iter().map(|column| (*part, column))).collect();
        named.sort();
        let mut errors = Vec::new();
        for (number, recipient) in (1..).zip(&recipients.all) {
            let missing = |(part, column): &(&str, String)| {
                let why =
                    || format!("names the column {column}, which {} does not have{}", recipient.to, instead(column));
                (!recipient.row.contains_key(column)).then(|| at(part, why()))
            };
            let before = errors.len();
            errors.extend(named.iter().filter_map(missing));
            if errors.len() == before
                && let Err((part, why)) = Head::new(templates, &parts, &recipient.row)
            {
                errors.push(at(part, format!("{why} (for {})", recipient.to)));
            }
            if number == 1 && errors.is_empty() {
                let text = parts.iter().filter(|part| matches!(**part, "body" | HTML));
                errors.extend(text.filter_map(|part| Some(at(part, templates.render(part, &recipient.row).err()?))));
            }
            if errors.len() >= MAX_ERRORS {
                break;
            }
        }
        errors
    }

    /// The columns that any template names.
    pub fn columns(&self, templates: &Templates<'_>) -> HashSet<String> {
        self.parts().into_iter().flat_map(|(part, _)| templates.columns(part)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// The pointers of what is wrong with a sound mailing that is changed so.
    fn wrong(change: Value) -> Vec<String> {
        let mut params = json!({ "recipients": [{ "email": "a@b.org", "city": "Rome" }], "subject": "s", "body": "b" });
        for (name, value) in change.as_object().unwrap() {
            params[name] = value.clone();
        }
        let own: Own = serde_json::from_value(params).unwrap();
        own.check().into_iter().map(|error| error.pointer).collect()
    }

    #[test]
    fn all_that_is_wrong_is_told_at_its_member() {
        for (change, pointers) in [
            (json!({}), vec![]),
            (json!({ "recipients": null }), vec!["/recipients"]),
            (json!({ "file_id": Uuid::nil() }), vec!["/file_id"]),
            (json!({ "body": null }), vec!["/body"]),
            (json!({ "body": null, "html": "x" }), vec![]),
            (json!({ "subject": "a\r\nBcc: c@d.org" }), vec!["/subject"]),
            (json!({ "subject": "{{nobody}}", "body": "{{city}}" }), vec!["/subject"]),
            (json!({ "subject": "{{city", "html": "{% for x in city %}" }), vec!["/subject", "/html"]),
            (json!({ "body": "{{city|nofilter}}" }), vec!["/body"]),
            (json!({ "recipients": null, "file_id": Uuid::nil(), "body": "{{anything|nofilter}}" }), vec!["/body"]),
            (json!({ "recipients": null, "file_id": Uuid::nil(), "body": "{{anything}}" }), vec![]),
            (json!({ "from_name": "a\nb" }), vec!["/from_name"]),
            (json!({ "reply_to": "a@b.org\r\nX: y" }), vec!["/reply_to"]),
            (json!({ "in_reply_to": "<a@b>\r\nX: y" }), vec!["/in_reply_to"]),
            (json!({ "in_reply_to": "a@b" }), vec!["/in_reply_to"]),
            (json!({ "list_unsubscribe": "https://a/\r\nX: y" }), vec!["/list_unsubscribe"]),
            (json!({ "list_unsubscribe": "x" }), vec!["/list_unsubscribe"]),
            (json!({ "list_unsubscribe": "{{city}}" }), vec!["/list_unsubscribe"]),
            (json!({ "recipients": [{ "email": "a@b.org" }, { "email": "@" }] }), vec!["/recipients/1/email"]),
        ] {
            assert_eq!(wrong(change.clone()), pointers, "{change}");
        }
    }

    #[test]
    fn a_subject_is_measured_once_it_is_filled_in() {
        let long = json!([{ "email": "a@b.org", "city": "x".repeat(901) }]);
        assert_eq!(wrong(json!({ "recipients": long, "subject": "{{city}}" })), ["/subject"]);
        let broken = json!([{ "email": "a@b.org", "city": "Rome\r\nBcc: c@d.org" }]);
        assert_eq!(wrong(json!({ "recipients": broken, "subject": "{{city}}" })), ["/subject"]);
    }
}
