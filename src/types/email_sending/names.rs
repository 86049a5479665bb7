//! What columns are called in templates, and how those names are written for the crate that reads them.

use std::collections::HashMap;

/// Words that the crate reads as values. Here they are names of columns, as all others.
const VALUES: [&str; 6] = ["true", "True", "false", "False", "none", "None"];

/// Names that the crate does not read as such: `2026`, `none`, `Größe`. For it they are called `__0`, `__1` and so on,
/// and so is any other that begins like that.
#[derive(Default)]
pub struct Names {
    all: Vec<String>,
    places: HashMap<String, usize>,
}

/// What a column is called in a template: letters and digits of any script and `_` stay, all else becomes `_`.
pub fn column(name: &str) -> String {
    name.trim().chars().map(|c| if is_name(c) { c } else { '_' }).collect()
}

/// What to do where a name that no column has may have been meant as a number or a truth; else nothing.
pub fn instead(name: &str) -> &'static str {
    match name.bytes().all(|byte| byte.is_ascii_digit()) || VALUES.contains(&name) {
        true => "; a value to compare with stands in quotes",
        false => "",
    }
}

/// Whether it may stand in a name.
pub fn is_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

impl Names {
    /// What the crate is to read for it.
    pub fn read(&self, name: &str) -> String {
        self.places.get(name).map_or_else(|| name.to_owned(), |place| format!("__{place}"))
    }

    /// Whether no template names it, and the crate could take it for another.
    pub fn is_taken(&self, name: &str) -> bool {
        name.starts_with("__") && !self.places.contains_key(name)
    }

    /// What was written where the crate has read this.
    pub fn written(&self, read: &str) -> Option<&str> {
        self.all.get(read.strip_prefix("__")?.parse::<usize>().ok()?).map(String::as_str)
    }

    /// What stands within braces as the crate is to read it.
    pub fn code(&mut self, code: &str) -> String {
        let (mut read, mut name) = (String::new(), String::new());
        for (c, is_quoted) in quoted(code) {
            if is_name(c) && !is_quoted {
                name.push(c);
            } else {
                self.push(&mut read, &mut name);
                read.push(c);
            }
        }
        self.push(&mut read, &mut name);
        read
    }

    fn push(&mut self, read: &mut String, name: &mut String) {
        let digit = name.starts_with(|first: char| first.is_ascii_digit());
        let odd = digit || !name.is_ascii() || name.starts_with("__") || VALUES.contains(&name.as_str());
        if odd && !self.places.contains_key(name.as_str()) {
            self.places.insert(name.clone(), self.all.len());
            self.all.push(name.clone());
        }
        read.push_str(&self.read(name));
        name.clear();
    }

    /// What the crate says, with the names as they were written.
    pub fn in_words(&self, said: String) -> String {
        let places = (0..self.all.len()).rev().filter(|_| said.contains("__"));
        places.fold(said.clone(), |said, place| said.replace(&format!("__{place}"), &self.all[place]))
    }
}

/// The characters, each with whether it stands in quotes or is one.
pub fn quoted(code: &str) -> impl Iterator<Item = (char, bool)> {
    let (mut quote, mut escaped) = (None, false);
    code.chars().map(move |c| {
        let within = quote.is_some();
        match quote {
            _ if escaped => escaped = false,
            Some(_) if c == '\\' => escaped = true,
            Some(open) if c == open => quote = None,
            None if matches!(c, '"' | '\'') => quote = Some(c),
            _ => {}
        }
        (c, within || quote.is_some())
    })
}
