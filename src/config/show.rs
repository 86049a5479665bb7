//! What `errand config` prints, and how a secret is kept out of it.

use super::settings::Secret;
use super::{Origin, Shown};
use serde_json::{Map, Value, json};

/// Lines of name, value and where it came from, aligned.
pub(super) fn table(settings: &[Shown]) -> String {
    let width = |text: fn(&Shown) -> &str| settings.iter().map(|shown| text(shown).chars().count()).max().unwrap_or(0);
    let (names, values) = (width(|shown| shown.name), width(|shown| &shown.value));
    let line = |shown: &Shown| format!("{:names$}  {:values$}  {}\n", shown.name, shown.value, shown.origin);
    settings.iter().map(line).collect()
}

/// An object: name → `{"value", "from"}`.
pub(super) fn json(settings: &[Shown]) -> String {
    let member =
        |shown: &Shown| (shown.name.to_owned(), json!({"value": shown.value, "from": shown.origin.to_string()}));
    let object: Map<String, Value> = settings.iter().map(member).collect();
    format!("{:#}\n", Value::Object(object))
}

/// A value as it may be shown.
pub(super) fn safe(secret: Secret, text: String) -> String {
    match secret {
        Secret::No => text,
        Secret::InAddress => mask(&text),
        Secret::Whole if text.is_empty() => text,
        Secret::Whole => "***".to_owned(),
    }
}

/// `text` with `***` for what may be a password in it. In doubt, `***` for all of it.
fn mask(text: &str) -> String {
    if text.starts_with("sqlite:") {
        return text.to_owned();
    }
    let Some((scheme, rest)) = text.split_once("://") else {
        return "***".to_owned();
    };
    let (address, query) = rest.split_once('?').map_or((rest, None), |(address, query)| (address, Some(query)));
    // The last `@`: a password may hold one, or a slash, that should have been escaped.
    let address = match address.rsplit_once('@') {
        Some((user, host)) => match user.split_once(':') {
            Some((user, _)) => format!("{user}:***@{host}"),
            None => format!("{user}@{host}"),
        },
        None => address.to_owned(),
    };
    // An unescaped `?` in a password leaves its end, and the `@`, in the query.
    let query = match query {
        None => String::new(),
        Some(query) if query.contains('@') => return format!("{scheme}://***"),
        Some(query) => format!("?{}", query.split('&').map(mask_parameter).collect::<Vec<_>>().join("&")),
    };
    format!("{scheme}://{address}{query}")
}

fn mask_parameter(parameter: &str) -> String {
    match parameter.split_once('=') {
        Some((name, _)) if name.to_ascii_lowercase().contains("password") => format!("{name}=***"),
        _ => parameter.to_owned(),
    }
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str(match self {
            Origin::Flag => "flag",
            Origin::Environment => "environment",
            Origin::DotEnv => ".env",
            Origin::Default => "default",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_never_shown() {
        assert_eq!(mask("postgres://u:secret@h:5432/d"), "postgres://u:***@h:5432/d");
        assert_eq!(mask("postgres://u:se@c/ret@h/d?sslmode=require"), "postgres://u:***@h/d?sslmode=require");
        assert_eq!(mask("postgres://h/d?user=u&password=secret"), "postgres://h/d?user=u&password=***");
        assert_eq!(mask("postgres://u:sec?ret@h/d"), "postgres://***");
        assert_eq!(mask("host=h password=secret"), "***");
        assert_eq!(mask("mysql://u:secret@h/d"), "mysql://u:***@h/d");
    }

    #[test]
    fn what_is_no_secret_stays() {
        for text in ["sqlite://./data/errand.db", "postgres://u@h/d", "http://127.0.0.1:8080"] {
            assert_eq!(mask(text), text);
        }
    }
}
