//! Templates over the columns of a recipient: `{{column}}`, a few filters, and `{% if %}`.

use super::names::{Names, is_name, quoted};
use minijinja::{AutoEscape, Environment, UndefinedBehavior, filters};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use std::collections::{BTreeMap, HashSet};
use std::io;

/// More is no text of a mail: a template may name a long cell often.
const MAX_BYTES: usize = 4 * 1024 * 1024;
/// So many steps are enough for a text of that length, and soon at their end.
const FUEL: u64 = 1_000_000;
/// More characters within one pair of braces are a program: they are read by a parser that goes as deep as they do.
const MAX_CODE_CHARS: usize = 500;
/// More `if` and `elif` within each other are one too.
const MAX_DEPTH: usize = 100;
/// The tags there are. Loops and includes are a program's, not a letter's.
const TAGS: [&str; 4] = ["if", "elif", "else", "endif"];
/// The filters there are.
pub const FILTERS: &str = "upper, lower, title, capitalize, trim, default(\"…\") and urlencode";
/// The part of a mail that is HTML: there, what a column holds is escaped.
pub const HTML: &str = "html";

/// A recipient's columns, by their names in templates.
pub type Row = BTreeMap<String, String>;

/// The templates of a mail, by its parts' names.
pub struct Templates<'a> {
    environment: Environment<'a>,
    names: Names,
}

impl<'a> Templates<'a> {
    /// Reads the templates; for each that is none its part and what is wrong with it.
    pub fn new(parts: &[(&'a str, &'a str)]) -> Result<Templates<'a>, Vec<(&'a str, String)>> {
        let mut environment = Environment::empty();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_auto_escape_callback(|part| if part == HTML { AutoEscape::Html } else { AutoEscape::None });
        environment.set_fuel(Some(FUEL));
        environment.set_recursion_limit(32);
        environment.add_filter("upper", filters::upper);
        environment.add_filter("lower", filters::lower);
        environment.add_filter("title", filters::title);
        environment.add_filter("capitalize", filters::capitalize);
        environment.add_filter("trim", filters::trim);
        environment.add_filter("default", |text: String, other: String| if text.is_empty() { other } else { text });
        environment.add_filter("urlencode", |text: String| utf8_percent_encode(&text, NON_ALPHANUMERIC).to_string());
        let (mut names, mut wrong) = (Names::default(), Vec::new());
        for (part, text) in parts {
            let added = plain(text, &mut names).and_then(|text| {
                let added = environment.add_template_owned(*part, text);
                added.map_err(|error| names.in_words(told(&error)))
            });
            if let Err(why) = added {
                wrong.push((*part, why));
            }
        }
        if wrong.is_empty() { Ok(Templates { environment, names }) } else { Err(wrong) }
    }

    /// The columns that a part names. A part that is not there names none.
    pub fn columns(&self, part: &str) -> HashSet<String> {
        let template = self.environment.get_template(part);
        let named = template.map(|template| template.undeclared_variables(false)).unwrap_or_default();
        named.into_iter().map(|read| self.names.written(&read).unwrap_or(&read).to_owned()).collect()
    }

    /// A part for one recipient. What its columns hold is never read as a template.
    pub fn render(&self, part: &str, row: &Row) -> Result<String, String> {
        let template = self.environment.get_template(part).map_err(|error| told(&error))?;
        let mut text = Bounded(Vec::new());
        let row = row.iter().filter(|(name, _)| !self.names.is_taken(name));
        let row: Row = row.map(|(name, cell)| (self.names.read(name), cell.clone())).collect();
        let rendered = template.render_captured_to(row, &mut text);
        rendered.map_err(|error| self.names.in_words(told(&error)))?;
        String::from_utf8(text.0).map_err(|_| "is no text".to_owned())
    }
}

/// A text that ends with an error rather than without bound.
struct Bounded(Vec<u8>);

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > MAX_BYTES {
            return Err(io::Error::other("the text is longer than 4 MiB"));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A template for the crate, if it holds nothing but what stands above: no arithmetic, no calls but filters', no loops.
fn plain(text: &str, names: &mut Names) -> Result<String, String> {
    let (mut rest, mut depth, mut read) = (text, Vec::new(), String::with_capacity(text.len()));
    while let Some(at) = opening(rest) {
        let (open, after) = rest[at..].split_at(2);
        let close = match open {
            "{{" => "}}",
            "{%" => "%}",
            _ => return Err("must not have comments: {# begins one".to_owned()),
        };
        let inside = inside(after, close)?;
        let code = inside.trim_start_matches(['-', '+']).trim_end_matches(['-', '+']).trim();
        let word = code.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap_or_default();
        if open == "{%" && !TAGS.contains(&word) {
            return Err(format!("has a tag that is not taken: there are {}", TAGS.join(", ")));
        }
        if code.chars().nth(MAX_CODE_CHARS).is_some() {
            return Err(format!("has more than {MAX_CODE_CHARS} characters within one pair of braces"));
        }
        match (open, word, depth.last_mut()) {
            ("{%", "if", _) => depth.push(1),
            ("{%", "elif", Some(chain)) => *chain += 1,
            ("{%", "endif", _) => drop(depth.pop()),
            _ => {}
        }
        if depth.iter().sum::<usize>() > MAX_DEPTH {
            return Err(format!("has more than {MAX_DEPTH} if and elif within each other"));
        }
        if code.is_empty() {
            return Err("has braces with nothing in them: write {{column}}".to_owned());
        }
        if let Some(odd) = unquoted(code).find(|c| !is_name(*c) && !" \t\r\n|(),=!<>".contains(*c)) {
            return Err(format!("has {odd} within braces: write {{{{column}}}}, or a filter: {FILTERS}"));
        }
        [&rest[..at], open, &names.code(inside), close].iter().for_each(|piece| read.push_str(piece));
        rest = &after[inside.len() + 2..];
    }
    read.push_str(rest);
    Ok(read)
}

/// Where the next braces open that mean something.
fn opening(text: &str) -> Option<usize> {
    let next = |at: usize| text.as_bytes().get(at + 1).is_some_and(|next| b"{%#".contains(next));
    text.match_indices('{').map(|(at, _)| at).find(|at| next(*at))
}

/// What stands before `close`, which does not count within quotes.
fn inside<'t>(text: &'t str, close: &str) -> Result<&'t str, String> {
    let mut quote = None;
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match quote {
            _ if escaped => escaped = false,
            Some(_) if c == '\\' => escaped = true,
            Some(open) if c == open => quote = None,
            Some(_) => {}
            None if matches!(c, '"' | '\'') => quote = Some(c),
            None if text[at..].starts_with(close) => return Ok(&text[..at]),
            None => {}
        }
    }
    Err(format!("has braces that are not closed: {close} is missing"))
}

/// The characters that stand in no quotes.
fn unquoted(code: &str) -> impl Iterator<Item = char> {
    quoted(code).filter(|(_, is_quoted)| !is_quoted).map(|(c, _)| c)
}

/// An error of the crate in one line.
fn told(error: &minijinja::Error) -> String {
    let detail = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
    match error.line() {
        Some(line) if line > 1 => format!("cannot be read: {detail} (line {line})"),
        _ => format!("cannot be read: {detail}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::email_sending::names::column;
    use proptest::prelude::*;

    fn render(part: &'static str, text: &str, row: &[(&str, &str)]) -> Result<String, String> {
        let row = row.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let templates = Templates::new(&[(part, text)]).map_err(|mut wrong| wrong.remove(0).1)?;
        templates.render(part, &row)
    }

    #[test]
    fn a_column_stands_where_it_is_named() {
        let row = [("name", "Ann"), ("city", ""), ("link", "a b&c")];
        for (text, expected) in [
            ("Dear {{name}},", "Dear Ann,"),
            ("{{ name|upper }} of {{ city|default(\"nowhere\") }}", "ANN of nowhere"),
            ("{% if city %}in {{city}}{% else %}there{% endif %}", "there"),
            ("{% if name == \"Ann\" %}you{% endif %}", "you"),
            ("https://example.org/?q={{link|urlencode}}", "https://example.org/?q=a%20b%26c"),
            ("100 % { } }} %}", "100 % { } }} %}"),
        ] {
            assert_eq!(render("body", text, &row).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn a_name_may_be_a_number_a_value_or_of_any_script() {
        let row =
            [("2026", "9"), ("1st", "8"), ("Größe", "XL"), ("名", "n"), ("none", "0"), ("True", "t"), ("__0", "u")];
        for (text, expected) in [
            ("{{2026}} {{ 1st|default(\"2026\") }} {{2026|default(1st)}}", "9 8 9"),
            ("{{Größe|lower}} {{名}} {{ none }} {{True}} {{__0}}", "xl n 0 t u"),
            ("{% if 2026 == \"9\" and Größe %}2026 Größe {{\"2026\"}}{% endif %}", "2026 Größe 2026"),
            ("{%- if not 2026 -%}x{%- else -%} y {%- endif -%}", "y"),
        ] {
            assert_eq!(render("body", text, &row).unwrap(), expected, "{text}");
        }
        let templates = Templates::new(&[("subject", "{{2026}}"), ("body", "{{__0}} {{Größe}} {{a}}")]);
        let templates = templates.unwrap_or_else(|_| panic!("they are templates"));
        assert_eq!(templates.columns("subject"), HashSet::from(["2026"].map(str::to_owned)));
        assert_eq!(templates.columns("body"), HashSet::from(["__0", "Größe", "a"].map(str::to_owned)));
        let error = render("body", "{{2026}} {{city|Größe}}", &row).unwrap_err();
        assert!(error.contains("Größe") && !error.contains("__"), "{error}");
        assert_eq!(render("body", "{{2026}}", &row).unwrap(), "9");
        assert!(render("body", "{{2026}}", &[]).is_err());
    }

    #[test]
    fn in_html_what_a_column_holds_is_escaped_and_nowhere_is_it_a_template() {
        let row = [("name", "<script>{{secret}}</script>")];
        let html = render(HTML, "<b>{{name}}</b>", &row).unwrap();
        assert_eq!(html, "<b>&lt;script&gt;{{secret}}&lt;&#x2f;script&gt;</b>");
        assert_eq!(render("body", "{{name}}", &row).unwrap(), "<script>{{secret}}</script>");
    }

    #[test]
    fn a_program_is_no_template() {
        for text in [
            "{% for x in name %}{{x}}{% endfor %}",
            "{% set x = 1 %}",
            "{% include \"x\" %}",
            "{% autoescape false %}{{name}}{% endautoescape %}",
            "{{ name * 1000000 }}",
            "{{ name ~ name }}",
            "{{ name[0] }}",
            "{{ name.x }}",
            "{{ range(10) }}",
            "{{ name|safe }}",
            "{{ name|replace(\"a\", \"b\") }}",
            "{# x #}",
            "{{ name",
            "{{ \"}}",
            "{{}}",
            "{{ - }}",
            "{% if name %}",
            "{{ nobody }}",
        ] {
            assert!(render("body", text, &[("name", "Ann")]).is_err(), "{text}");
        }
    }

    #[test]
    fn however_deep_or_long_a_template_is_it_is_judged_at_once() {
        let began = std::time::Instant::now();
        for (before, within, after) in [
            ("{% if ", "not ", "city %}x{% endif %}"),
            ("{% if ", "city == ", "city %}x{% endif %}"),
            ("{{", "(", "city"),
            ("{{city", "|upper", "}}"),
            ("{{city", "|default(city", "}}"),
            ("", "{% if city %}", "{% endif %}"),
            ("{% if city %}", "{% elif city %}x", "{% endif %}"),
            ("{% if city %}", "{% else %}{% if city %}", "{% endif %}"),
            ("{{", "{", "city}}"),
        ] {
            let text = format!("{before}{}{after}", within.repeat(500_000 / within.len()));
            assert!(render("body", &text, &[("city", "Rome")]).is_err(), "{before}{within}…{after}");
        }
        assert_eq!(render("body", &"{{city}}".repeat(60_000), &[("city", "Rome")]).unwrap().len(), 240_000);
        let deep = format!("{}x{}", "{% if city %}".repeat(30), "{% endif %}".repeat(30));
        assert_eq!(render("body", &deep, &[("city", "Rome")]).unwrap(), "x");
        let chain = format!("{{% if city == \"\" %}}{}{{% endif %}}", "{% elif city %}x".repeat(99));
        assert_eq!(render("body", &chain, &[("city", "Rome")]).unwrap(), "x");
        assert!(began.elapsed() < std::time::Duration::from_secs(20), "{:?}", began.elapsed());
    }

    #[test]
    fn a_text_without_end_ends_with_an_error() {
        let cell = "x".repeat(100_000);
        let error = render("body", &"{{a}}".repeat(100), &[("a", &cell)]).unwrap_err();
        assert!(error.contains("4 MiB") || error.contains("cannot be read"), "{error}");
    }

    #[test]
    fn the_columns_of_a_part_are_known_and_any_header_makes_one() {
        let templates = Templates::new(&[("subject", "{{a}} {{ b|upper }}"), ("body", "{% if c %}{{d}}{% endif %}")]);
        let templates = templates.unwrap_or_else(|_| panic!("they are templates"));
        assert_eq!(templates.columns("subject"), HashSet::from(["a", "b"].map(str::to_owned)));
        assert_eq!(templates.columns("body"), HashSet::from(["c", "d"].map(str::to_owned)));
        assert_eq!(["First Name", "2026", "größe"].map(column), ["First_Name", "2026", "größe"]);
    }

    proptest! {
        #[test]
        fn any_text_is_refused_or_rendered(text in "[a-z0-9_ü{}%# |(\"'\\\\)*-]{0,60}", cell in any::<String>()) {
            let _ = render("body", &text, &[("a", &cell)]);
        }
    }
}
