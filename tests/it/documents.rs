//! The texts for people, compared with the code they speak of.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const DOCUMENTS: &[&str] = &[
    "README.md",
    "ARCHITECTURE.md",
    "RELIABILITY.md",
    "PERFORMANCE.md",
    "CHANGELOG.md",
    "docs/setup.md",
    "docs/api-examples.md",
    "docs/csv.md",
    "docs/csv-filter.md",
    "docs/mail.md",
    "docs/images.md",
    "docs/live.md",
    "docs/activity.md",
    "docs/approvals.md",
    "docs/own-types.md",
    "bench/beside/README.md",
    "bench/rivals/README.md",
];

/// The folders whose paths, where a text names one, must be there.
const OURS: &[&str] = &["src/", "tests/", "examples/", "static/", "migrations/", "scripts/", "docs/", "bench/"];

#[test]
fn the_diagram_is_the_table_of_the_code() {
    let text = read("ARCHITECTURE.md");
    let shown = between(&text, "diagram").trim().trim_start_matches("```text\n").trim_end_matches("```");
    // A state in which nothing can happen ends in a space, which no editor would keep.
    let told: Vec<&str> = shown.lines().collect();
    let diagram = errand::task::status::diagram();
    let known: Vec<&str> = diagram.lines().map(str::trim_end).collect();
    assert_eq!(told, known, "ARCHITECTURE.md shows another life of a task than the code has:\n{diagram}");
}

#[test]
fn the_table_of_types_is_the_list() {
    let text = read("README.md");
    let rows = between(&text, "types").lines().filter(|line| line.starts_with("| `"));
    let told: Vec<String> = rows.map(str::to_owned).collect();
    let types = errand::types::Types::builtin();
    let row = |entry: &errand::types::Entry| format!("| `{}` | {} |", entry.r#type.name(), entry.r#type.description());
    assert_eq!(told, types.iter().map(row).collect::<Vec<_>>());
}

#[test]
fn the_words_of_who_did_what_are_those_of_the_code() {
    let text = read("docs/activity.md");
    let mut told = quoted(between(&text, "words"));
    let mut known: Vec<&str> = errand::task::Action::ALL.iter().map(|(word, _)| *word).collect();
    known.extend(errand::task::Ending::ALL.iter().map(|(word, _)| *word));
    told.sort_unstable();
    known.sort_unstable();
    assert_eq!(told, known);
}

#[test]
fn the_rust_of_own_types_stands_in_its_example() {
    let (text, example) = (read("docs/own-types.md"), read("examples/own_types.rs"));
    let blocks: Vec<&str> = text.split("```rust\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(blocks.len() > 2, "it shows code");
    let strange: Vec<&&str> = blocks.iter().filter(|block| !example.contains(**block)).collect();
    assert!(strange.is_empty(), "{strange:#?}");
}

#[test]
fn every_link_within_the_project_leads_somewhere() {
    let mut faults = Vec::new();
    for document in DOCUMENTS {
        let text = read(document);
        for target in links(&prose(&text)).into_iter().filter(|target| !target.contains("://")) {
            let (path, heading) = target.split_once('#').unwrap_or((target, ""));
            let folder = Path::new(document).parent().expect("a file has one");
            let file = if path.is_empty() { PathBuf::from(document) } else { folder.join(path) };
            match fs::read(rooted(&file)) {
                Err(_) => faults.push(format!("{document}: {target} is not there")),
                Ok(content) if !heading.is_empty() => {
                    if !headings(&String::from_utf8_lossy(&content)).contains(heading) {
                        faults.push(format!("{document}: {target} has no such heading"));
                    }
                }
                Ok(_) => {}
            }
        }
    }
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

#[test]
fn every_path_and_every_test_that_is_named_exists() {
    let tests = tests();
    let mut faults = Vec::new();
    for document in DOCUMENTS {
        let text = read(document);
        for word in quoted(&prose(&text)) {
            let path = OURS.iter().any(|folder| word.starts_with(folder)) && !word.contains(char::is_whitespace);
            if path && !rooted(Path::new(word)).exists() {
                faults.push(format!("{document}: there is no {word}"));
            }
            let test = word.split_once("::").filter(|(topic, _)| tests.iter().any(|(known, _)| known == topic));
            if let Some((topic, name)) = test
                && !tests.contains(&(topic.to_owned(), name.to_owned()))
            {
                faults.push(format!("{document}: there is no test {word}"));
            }
        }
    }
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

#[test]
fn each_guard_that_can_be_taken_away_is_there_and_so_is_its_test() {
    let (mut faults, mut guards, mut file) = (Vec::new(), 0, "");
    let code = ["src", "tests/it"].map(|folder| rust_files(Path::new(folder))).concat();
    let list = read("tests/guards.txt");
    for (key, value) in list.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once(' ')) {
        let known = match key {
            "guard" => !value.is_empty(),
            "in" => {
                file = value;
                rooted(Path::new(value)).exists()
            }
            "take" => read(file).matches(value).count() == 1,
            "give" => true,
            "red" => {
                guards += 1;
                let name = value.trim_start_matches("sqlite ").trim_start_matches("postgres ");
                code.iter().any(|(_, text)| text.contains(&format!("fn {name}(")))
            }
            _ => false,
        };
        if !known {
            faults.push(format!("{file}: {key} {value}"));
        }
    }
    assert!(faults.is_empty() && guards > 0, "\n{}\n", faults.join("\n"));
}

#[test]
fn every_setting_that_is_named_exists() {
    let known: BTreeSet<&str> = errand::config::SETTINGS.iter().map(|setting| setting.name).collect();
    let mut faults = Vec::new();
    for document in DOCUMENTS {
        let text = read(document);
        let words = text.split(|c: char| !c.is_ascii_uppercase() && c != '_');
        let names = words.filter(|word| word.strip_prefix("ERRAND_").is_some_and(|rest| !rest.is_empty()));
        faults.extend(names.filter(|name| !known.contains(name)).map(|name| format!("{document}: {name}")));
    }
    assert!(faults.is_empty(), "no such setting:\n{}\n", faults.join("\n"));
}

#[test]
fn the_readers_of_the_texts_see_what_they_look_for() {
    let text = "# A `b` – c\n[x](y.md#z) ![p](q.png)\n```sh\n[no](no.md) `src/no`\n```\n`src/a` and `b::c`\n";
    assert_eq!(headings(text).into_iter().collect::<Vec<_>>(), ["a-b--c"]);
    assert_eq!(links(&prose(text)), ["y.md#z", "q.png"]);
    assert_eq!(quoted(&prose(text)), ["b", "src/a", "b::c"]);
    assert_eq!(between("<!-- a -->1<!-- /a -->", "a"), "1");
}

/// What stands between `<!-- name -->` and `<!-- /name -->`.
fn between<'a>(text: &'a str, name: &str) -> &'a str {
    let (open, close) = (format!("<!-- {name} -->"), format!("<!-- /{name} -->"));
    let (_, rest) = text.split_once(&open).unwrap_or_else(|| panic!("{open} is there"));
    rest.split_once(&close).unwrap_or_else(|| panic!("{close} is there")).0
}

/// A text without its fenced blocks.
fn prose(text: &str) -> String {
    let mut fenced = false;
    let mut kept = Vec::new();
    for line in text.lines() {
        let fence = line.starts_with("```");
        fenced ^= fence;
        if !fenced && !fence {
            kept.push(line);
        }
    }
    kept.join("\n")
}

/// What a text links to, pictures too.
fn links(prose: &str) -> Vec<&str> {
    prose.split("](").skip(1).filter_map(|rest| Some(rest.split_once(')')?.0)).collect()
}

/// What a text has between backticks.
fn quoted(prose: &str) -> Vec<&str> {
    prose.split('`').skip(1).step_by(2).collect()
}

/// The anchors of a text's headings, as a forge makes them.
fn headings(text: &str) -> BTreeSet<String> {
    let text = prose(text);
    let heads = text.lines().filter(|line| line.starts_with('#'));
    let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
    let anchor = |line: &str| {
        line.trim_start_matches('#').trim().to_lowercase().chars().filter(kept).collect::<String>().replace(' ', "-")
    };
    heads.map(anchor).collect()
}

/// Every function of the tests, with the topic it stands in: below `tests/it` its file, or that file's folder;
/// else `browser`.
fn tests() -> BTreeSet<(String, String)> {
    let mut found = BTreeSet::new();
    for (path, text) in rust_files(Path::new("tests")) {
        let topic = path.strip_prefix(rooted(Path::new("tests"))).expect("it lies there");
        let topic = topic.strip_prefix("it").unwrap_or(topic);
        let topic = topic.components().next().expect("it has a name").as_os_str().to_string_lossy();
        let names = text.split("fn ").skip(1).filter_map(|rest| Some(rest.split_once('(')?.0.to_owned()));
        found.extend(names.map(|name| (topic.trim_end_matches(".rs").to_owned(), name)));
    }
    found
}

/// The code below a folder, each file with its path.
fn rust_files(below: &Path) -> Vec<(PathBuf, String)> {
    let (mut found, mut folders) = (Vec::new(), vec![rooted(below)]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("it can be read") {
            let path = entry.expect("it can be read").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("it can be read");
                found.push((path, text));
            }
        }
    }
    found
}

fn read(document: &str) -> String {
    fs::read_to_string(rooted(Path::new(document))).unwrap_or_else(|error| panic!("{document}: {error}"))
}

fn rooted(path: &Path) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}
