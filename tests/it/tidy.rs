//! The laws of the house, held against the source text.

use std::fs;
use std::path::Path;

/// Who may import whom, and nobody else: one direction, from the command line down to the pure domain.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("main", &["app", "bench", "client", "config"]),
    (
        "app",
        &[
            "api", "worker", "client", "bench", "verify", "config", "queue", "store", "events", "types", "files",
            "clock", "disk", "task", "fault",
        ],
    ),
    ("api", &["config", "queue", "store", "events", "types", "files", "clock", "machine", "task", "fault"]),
    ("worker", &["config", "queue", "store", "events", "types", "files", "clock", "task", "fault"]),
    ("bench", &["api", "worker", "config", "queue", "store", "events", "types", "files", "clock", "task"]),
    ("client", &["config", "task"]),
    ("verify", &["config", "store", "files", "task"]),
    ("config", &["task", "fault"]),
    ("queue", &["store", "events", "types", "files", "clock", "task", "fault"]),
    ("store", &["types", "clock", "disk", "task", "fault"]), // types: the log lines they write
    ("types", &["files", "clock", "task", "fault"]),
    ("events", &["clock", "task"]),
    ("files", &["disk", "task", "fault"]),
    ("clock", &["task"]),
    ("machine", &["disk"]),
    ("disk", &[]),
    ("task", &[]),
    ("fault", &[]), // where a test has the process die
];

/// What stands in one place only.
const ONLY_IN: &[(&str, &str)] = &[
    ("sqlx::", "src/store"),
    ("axum::", "src/api"),
    ("std::env", "src/config"),
    ("env::var", "src/config"),
    ("SystemTime", "src/clock.rs"),
    ("Utc::now", "src/clock.rs"),
    ("Local::now", "src/clock.rs"),
];

/// What stands nowhere: stubs, tests that do not run, and doors for other people's markup.
const NOT_IN_RUST: &[&str] = &["todo!", "unimplemented!", "dbg!", "#[ignore"];
const NOT_ON_THE_PAGE: &[&str] = &["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write"];

const MAX_LINES: usize = 400;

#[test]
fn a_room_imports_only_what_lies_below_it() {
    let mut faults = Vec::new();
    for file in files("src") {
        let room = room(&file.path);
        if room == "lib" {
            continue;
        }
        let Some((_, allowed)) = MAY_IMPORT.iter().find(|(name, _)| *name == room) else {
            faults.push(format!("{}: `{room}` is not in the table of rooms", file.path));
            continue;
        };
        let root = if room == "main" { "errand::" } else { "crate::" };
        for (number, name) in imports(&code(&file.text), root) {
            let is_room = MAY_IMPORT.iter().any(|(known, _)| *known == name);
            if is_room && name != room && !allowed.contains(&name.as_str()) {
                faults.push(format!("{}:{number}: `{room}` may not import `{name}`", file.path));
            }
        }
    }
    none(faults);
}

#[test]
fn what_has_one_place_stands_nowhere_else() {
    let fault = |file: &File, number: usize, line: &str| {
        let (word, place) =
            ONLY_IN.iter().find(|(word, place)| line.contains(word) && !file.path.starts_with(place))?;
        Some(format!("{}:{number}: `{word}` belongs in {place}", file.path))
    };
    none(lines(&files("src"), fault));
}

#[test]
fn no_stub_and_no_test_that_does_not_run() {
    let mut all = files("src");
    all.extend(files("tests").into_iter().filter(|file| file.path != "tests/it/tidy.rs"));
    all.extend(["benches", "examples"].into_iter().flat_map(files));
    all.retain(|file| file.path.ends_with(".rs"));
    none(lines(&all, |file, number, line| {
        let word = NOT_IN_RUST.iter().find(|word| line.contains(*word))?;
        Some(format!("{}:{number}: `{word}`", file.path))
    }));
}

#[test]
fn the_page_puts_no_markup_together() {
    let page = files("static").into_iter().filter(|file| !is_vendored(&file.path)).collect::<Vec<_>>();
    none(lines(&page, |file, number, line| {
        let word = NOT_ON_THE_PAGE.iter().find(|word| line.contains(*word))?;
        Some(format!("{}:{number}: `{word}`", file.path))
    }));
}

#[test]
fn no_file_is_long() {
    let all =
        ["src", "static", "bench", "examples"].into_iter().flat_map(files).filter(|file| !is_vendored(&file.path));
    let long = all.map(|file| (file.text.lines().count(), file.path)).filter(|(lines, _)| *lines > MAX_LINES);
    none(long.map(|(lines, path)| format!("{path}: {lines} lines, {MAX_LINES} at most")).collect());
}

#[test]
#[cfg(debug_assertions)] // only debug builds have fail points
fn every_fail_point_stands_in_the_list_and_once_in_the_code() {
    let all = files("src").into_iter().filter(|file| file.path != "src/fault.rs");
    let (postgres, others): (Vec<File>, Vec<File>) = all.partition(|file| file.path.starts_with("src/store/postgres"));
    let mut listed: Vec<String> = errand::fault::POINTS.iter().map(|name| (*name).to_owned()).collect();
    listed.sort_unstable();
    assert_eq!(points(&others), listed);
    // What both stores do has one name, and a point in each.
    let twins = points(&postgres);
    assert!(twins.windows(2).all(|pair| pair[0] != pair[1]), "{twins:?}");
    none(twins.into_iter().filter(|name| !listed.contains(name)).collect());
}

/// The fail points in these files, sorted.
#[cfg(debug_assertions)]
fn points(files: &[File]) -> Vec<String> {
    let code: String = files.iter().map(|file| code(&file.text)).collect();
    let calls = ["fault::point(\"", "fault::fails(\"", "fault::during(\""];
    let names = calls.iter().flat_map(|call| code.split(call).skip(1)).filter_map(|rest| rest.split('"').next());
    let mut names: Vec<String> = names.map(str::to_owned).collect();
    names.sort_unstable();
    names
}

#[test]
fn the_example_of_the_env_file_is_what_the_settings_say() {
    let written = fs::read_to_string(rooted(".env.example")).expect("it is there");
    assert_eq!(written, errand::config::example(), "write it again: errand config --example > .env.example");
}

#[test]
fn migrations_are_twins() {
    let [sqlite, postgres] = ["migrations/sqlite", "migrations/postgres"].map(files);
    let names = |files: &[File]| files.iter().map(|file| base_name(&file.path)).collect::<Vec<_>>();
    assert_eq!(names(&sqlite), names(&postgres), "each migration is there for both databases");
    assert!(!sqlite.is_empty(), "there are migrations");
    for (sqlite, postgres) in sqlite.iter().zip(&postgres) {
        let (ours, theirs) = (tables(&sqlite.text), tables(&postgres.text));
        assert_eq!(ours, theirs, "{}: the same tables and columns in the same order", base_name(&sqlite.path));
    }
}

#[test]
fn the_checks_themselves_see_what_they_look_for() {
    let text = "use crate::{api::x, task::{Task, Time}};\nlet a = crate::store::b; // crate::worker\n";
    let found: Vec<_> =
        imports(&code(text), "crate::").into_iter().map(|(line, name)| format!("{line} {name}")).collect();
    assert_eq!(found, ["1 api", "1 task", "2 store"]);
    let sql = "-- one\nCREATE TABLE a (\n  x TEXT CHECK (x IN ('b', 'c')), -- y\n  z INT,\n  PRIMARY KEY (x, z)\n);\n\
               ALTER TABLE a ADD COLUMN w TEXT;\n";
    assert_eq!(tables(sql), ["a: x z", "a: w"]);
}

/// A text file of the project, its path from the top with `/`.
struct File {
    path: String,
    text: String,
}

/// The text files below a folder, by name; none where there is no such folder.
fn files(folder: &str) -> Vec<File> {
    let Ok(entries) = fs::read_dir(rooted(folder)) else { return Vec::new() };
    let mut names: Vec<_> = entries.map(|entry| entry.expect("it can be read")).collect();
    names.sort_by_key(fs::DirEntry::file_name);
    let mut found = Vec::new();
    for entry in names {
        let path = format!("{folder}/{}", entry.file_name().to_string_lossy());
        if entry.path().is_dir() {
            found.extend(files(&path));
        } else if let Ok(text) = fs::read_to_string(entry.path()) {
            found.push(File { path, text });
        }
    }
    found
}

fn rooted(path: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn base_name(path: &str) -> String {
    path.rsplit('/').next().unwrap_or(path).to_owned()
}

fn is_vendored(path: &str) -> bool {
    path.contains("/vendor/")
}

/// `src/api/tasks.rs` and `src/api.rs` are both of the room `api`.
fn room(path: &str) -> &str {
    let inside = path.strip_prefix("src/").unwrap_or(path);
    inside.split(['/', '.']).next().unwrap_or(inside)
}

/// Source text without its line comments.
fn code(text: &str) -> String {
    let cut = |line: &str| {
        let comment = line.match_indices("//").find(|(at, _)| !line[..*at].ends_with(':'));
        line[..comment.map_or(line.len(), |(at, _)| at)].to_owned()
    };
    text.lines().map(cut).collect::<Vec<_>>().join("\n")
}

/// What a text imports below `root`, with the lines: `crate::a` is `a`, `crate::{a, b::c}` is `a` and `b`.
fn imports(code: &str, root: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices(root) {
        let number = code[..at].lines().count().max(1);
        let rest = &code[at + root.len()..];
        let heads = match rest.strip_prefix('{') {
            Some(group) => parts(&group[..closing(group)]),
            None => vec![rest],
        };
        let word = |text: &str| text.trim().split(|c: char| !c.is_alphanumeric() && c != '_').next().map(str::to_owned);
        found.extend(heads.into_iter().filter_map(word).filter(|name| !name.is_empty()).map(|name| (number, name)));
    }
    found
}

/// Each table that is made, and each column that is added, as `table: column column …`.
fn tables(sql: &str) -> Vec<String> {
    const NO_COLUMN: [&str; 5] = ["CHECK", "PRIMARY", "UNIQUE", "FOREIGN", "CONSTRAINT"];
    let sql = sql.lines().map(|line| line.split("--").next().unwrap_or(line)).collect::<Vec<_>>().join("\n");
    let mut found = Vec::new();
    for statement in sql.split(';').map(str::trim) {
        let words: Vec<&str> = statement.split_whitespace().collect();
        match words.as_slice() {
            ["CREATE", "TABLE", name, ..] => {
                let body = statement.split_once('(').expect("columns follow").1;
                let first = |part: &str| part.split_whitespace().next().unwrap_or_default().to_owned();
                let columns = parts(&body[..closing(body)]).into_iter().map(first);
                let columns: Vec<_> = columns.filter(|column| !NO_COLUMN.contains(&column.as_str())).collect();
                found.push(format!("{name}: {}", columns.join(" ")));
            }
            ["ALTER", "TABLE", name, "ADD", "COLUMN", column, ..] => found.push(format!("{name}: {column}")),
            _ => {}
        }
    }
    found
}

/// Where the bracket closes that was open before `text`.
fn closing(text: &str) -> usize {
    let mut depth = 1;
    for (at, c) in text.char_indices() {
        match c {
            '(' | '{' => depth += 1,
            ')' | '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at;
        }
    }
    text.len()
}

/// Splits at the commas that stand in no bracket.
fn parts(text: &str) -> Vec<&str> {
    let (mut depth, mut start, mut found) = (0, 0, Vec::new());
    for (at, c) in text.char_indices() {
        match c {
            '(' | '{' => depth += 1,
            ')' | '}' => depth -= 1,
            ',' if depth == 0 => {
                found.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    found.push(&text[start..]);
    found
}

/// What is wrong with the lines of code, comments left out.
fn lines(files: &[File], fault: impl Fn(&File, usize, &str) -> Option<String>) -> Vec<String> {
    let of = |file: &File| {
        let code = code(&file.text);
        code.lines().enumerate().filter_map(|(index, line)| fault(file, index + 1, line)).collect::<Vec<_>>()
    };
    files.iter().flat_map(of).collect()
}

fn none(faults: Vec<String>) {
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}
