//! Who gets a mail: named in the params, or a row each of a table.

use super::address;
use super::names::{column, instead};
use super::template::Row;
use crate::task::text::{FieldError, escaped};
use crate::types::csv_processing::table::{self, Table};
use crate::types::{Context, Failure, Level};
use lettre::Address;
use serde_json::{Map, Value};
use std::collections::HashSet;
use std::io::Read;

/// A table with more recipients fails the task: it is one mailing too many, or a mistake.
pub const MAX_OF_TABLE: usize = 100_000;
/// What the columns in use of a table may take in memory.
const MAX_BYTES: usize = 64 * 1024 * 1024;
/// What a recipient takes beside its text.
const RECIPIENT_BYTES: usize = 200;
/// A longer name is none.
const MAX_NAME_CHARS: usize = 200;
/// As much of a wrong address, or of a column's name, is shown.
const SHOWN_CHARS: usize = 100;
/// As many bad rows are told one by one.
const MAX_BAD_TOLD: u64 = 100;

/// One of them.
#[derive(Debug)]
pub struct Recipient {
    /// The address as the result tells it.
    pub to: String,
    /// The address to write to, or why nothing is written to them.
    pub address: Result<Address, Wrong>,
    /// What they are called.
    pub name: Option<String>,
    /// What the templates may name.
    pub row: Row,
}

/// What keeps a recipient from getting a mail.
#[derive(Debug, Clone)]
pub struct Wrong {
    /// The column it stands in.
    pub column: &'static str,
    /// The second half of a sentence.
    pub why: String,
}

/// All of them, each address once, in order: the first of two stays.
#[derive(Debug, Default)]
pub struct Recipients {
    /// The recipients.
    pub all: Vec<Recipient>,
    /// How many addresses were there before.
    pub duplicates: u64,
    /// How many rows of the table are none.
    pub bad_rows: u64,
    first_bad: Option<(u64, String)>,
    seen: HashSet<String>,
}

impl Recipients {
    /// Those of the params; `wanted` are the columns that templates name. What is wrong with each is told by its place
    /// in the list.
    pub fn inline(given: &[Map<String, Value>], wanted: &HashSet<String>) -> Result<Recipients, Vec<FieldError>> {
        let (mut recipients, mut errors) = (Recipients::default(), Vec::new());
        for (at, members) in given.iter().enumerate() {
            let mut row = Row::new();
            let (exact, others): (Vec<_>, Vec<_>) = members.iter().partition(|(name, _)| column(name) == **name);
            for (name, value) in exact.into_iter().chain(others) {
                let called = column(name);
                if called == *name || !members.contains_key(&called) {
                    let taken = row.insert(called.clone(), text(value)).is_some();
                    if taken && wanted.contains(&called) {
                        let why = format!("is called {called} in templates, as another member is: rename one");
                        errors.push(FieldError::new(pointer(at, name), why));
                    }
                }
            }
            let recipient = Recipient::new(row);
            if let Err(Wrong { column, why }) = &recipient.address {
                let whose =
                    if *column == "email" { String::new() } else { format!(" (the {column} of {})", recipient.to) };
                errors.push(FieldError::new(pointer(at, column), format!("{why}{whose}")));
            }
            recipients.add(recipient);
        }
        if errors.is_empty() { Ok(recipients) } else { Err(errors) }
    }

    /// Those of a table, with the columns in `wanted`. Fatal: `no_email_column`, `unknown_column`,
    /// `ambiguous_column`, `too_many_recipients`, and what a CSV file may be wrong in.
    pub fn of_table(
        input: Box<dyn Read + '_>,
        total: u64,
        wanted: &HashSet<String>,
        ctx: &Context,
    ) -> Result<Recipients, Failure> {
        let mut table = Table::open(input, total, ctx)?;
        let columns = columns(table.header(), wanted)?;
        let (mut recipients, mut bytes) = (Recipients::default(), 0);
        while let Some(row) = table.next()? {
            let cells = match row {
                table::Row::Good(cells) => cells,
                table::Row::Bad(line, reason) => {
                    recipients.bad(line, &reason, ctx);
                    continue;
                }
            };
            let cell = |at: usize| String::from_utf8_lossy(cells[at]).trim().to_owned();
            let recipient = Recipient::new(columns.iter().map(|(at, name)| (name.clone(), cell(*at))).collect());
            bytes += RECIPIENT_BYTES + recipient.row.values().map(String::len).sum::<usize>();
            recipients.add(recipient);
            if recipients.all.len() > MAX_OF_TABLE || bytes > MAX_BYTES {
                let most =
                    format!("a task has at most {MAX_OF_TABLE} recipients, with 64 MiB of columns: split the table");
                return Err(Failure::fatal("too_many_recipients", most));
            }
        }
        if recipients.all.is_empty() {
            return Err(Failure::fatal("no_recipients", recipients.none()));
        }
        Ok(recipients)
    }

    fn add(&mut self, recipient: Recipient) {
        match self.seen.insert(recipient.to.to_lowercase()) {
            true => self.all.push(recipient),
            false => self.duplicates += 1,
        }
    }

    /// Why there are none in a table.
    fn none(&self) -> String {
        match &self.first_bad {
            None => "the table has no recipients: no row follows its header".to_owned(),
            Some((line, reason)) => {
                let bad = self.bad_rows;
                format!("the table has no recipients: all its rows are bad ({bad}), the first in line {line}: {reason}")
            }
        }
    }

    fn bad(&mut self, line: u64, reason: &str, ctx: &Context) {
        self.bad_rows += 1;
        self.first_bad.get_or_insert_with(|| (line, reason.to_owned()));
        match self.bad_rows {
            1..=MAX_BAD_TOLD => ctx.log(Level::Warn, format!("line {line} is no recipient: {reason}")),
            more if more == MAX_BAD_TOLD + 1 => ctx.log(Level::Warn, "and more lines that are none"),
            _ => {}
        }
    }
}

impl Recipient {
    /// By the columns `email` and `name`.
    fn new(mut row: Row) -> Recipient {
        // A cell has no spaces around it, nor has an address that is written elsewhere.
        if let Some(email) = row.get_mut("email") {
            *email = email.trim().to_owned();
        }
        let given = row.get("email").map(String::as_str).unwrap_or_default();
        let name = row.get("name").filter(|name| !name.is_empty()).cloned();
        let parsed = address::parse(given).map_err(|why| Wrong { column: "email", why });
        let to = parsed.as_ref().map_or_else(|_| escaped(given, SHOWN_CHARS), Address::to_string);
        let address = match name.as_deref().and_then(wrong_name) {
            Some(why) => parsed.and(Err(Wrong { column: "name", why })),
            None => parsed,
        };
        Recipient { to, name: name.filter(|_| address.is_ok()), address, row }
    }
}

/// What is wrong with a name that is to stand in a header.
pub fn wrong_name(name: &str) -> Option<String> {
    if name.chars().any(char::is_control) {
        return Some("must not contain control characters".to_owned());
    }
    (name.chars().count() > MAX_NAME_CHARS).then(|| format!("must be at most {MAX_NAME_CHARS} characters"))
}

/// Where in the header the columns stand that are needed.
fn columns(header: &[String], wanted: &HashSet<String>) -> Result<Vec<(usize, String)>, Failure> {
    let listed = || escaped(&header.join(", "), 500);
    let called: Vec<String> = header.iter().map(|name| column(name)).collect();
    let lower: Vec<String> = called.iter().map(|name| name.to_lowercase()).collect();
    let find = |name: &str| find([header, &called, &lower], name);
    let Some(email) = find("email")? else {
        let message = format!("the table needs a column email; it has {}", listed());
        return Err(Failure::fatal("no_email_column", message));
    };
    let mut columns = vec![(email, "email".to_owned())];
    columns.extend(find("name")?.map(|at| (at, "name".to_owned())));
    let mut wanted: Vec<&String> = wanted.iter().filter(|name| *name != "email").collect();
    wanted.sort();
    for name in wanted {
        match find(name)? {
            Some(_) if name == "name" => {}
            Some(at) => columns.push((at, name.clone())),
            None => {
                let (listed, instead) = (listed(), instead(name));
                let message = format!("a template names the column {name}, and the table has {listed}{instead}");
                return Err(Failure::fatal("unknown_column", message));
            }
        }
    }
    Ok(columns)
}

/// The column that a template means by `name`: the one of that name, else the one that is called so in templates, else
/// the one that is in another case (`Email`). Fatal `ambiguous_column` where that may be two.
fn find([header, called, lower]: [&[String]; 3], name: &str) -> Result<Option<usize>, Failure> {
    for (names, name) in [(header, name), (called, name), (lower, &name.to_lowercase())] {
        let mut found = (0..names.len()).filter(|at| names[*at] == name);
        let Some(first) = found.next() else { continue };
        let Some(second) = found.next() else { return Ok(Some(first)) };
        let [first, second] = [first, second].map(|at| escaped(&header[at], SHOWN_CHARS));
        let message = format!("{name} may be the column {first} or {second}: rename one in the table");
        return Err(Failure::fatal("ambiguous_column", message));
    }
    Ok(None)
}

/// What a member holds, as a cell would.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

fn pointer(at: usize, member: &str) -> String {
    format!("/recipients/{at}/{}", member.replace('~', "~0").replace('/', "~1"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::context::trial::Trial;
    use serde_json::json;

    fn inline(given: Value) -> Result<Recipients, Vec<FieldError>> {
        Recipients::inline(&serde_json::from_value::<Vec<_>>(given).unwrap(), &HashSet::from(["a_b".to_owned()]))
    }

    fn of_table(text: &str, wanted: &[&str]) -> Result<Recipients, Failure> {
        let wanted = wanted.iter().map(|name| (*name).to_owned()).collect();
        let ctx = Trial::new().attempt();
        Recipients::of_table(Box::new(text.as_bytes()), text.len() as u64, &wanted, &ctx)
    }

    fn told(recipients: &Recipients) -> Vec<(&str, Option<&str>)> {
        recipients.all.iter().map(|one| (one.to.as_str(), one.name.as_deref())).collect()
    }

    #[test]
    fn each_address_is_there_once() {
        let given = json!([
            { "email": "Ann@example.org", "age": 7 },
            { "email": "ann@example.org" },
            { "email": "b@c.org", "name": "B" },
        ]);
        let recipients = inline(given).unwrap();
        assert_eq!(told(&recipients), [("Ann@example.org", None), ("b@c.org", Some("B"))]);
        assert_eq!((recipients.duplicates, recipients.all[0].row["age"].as_str()), (1, "7"));
    }

    #[test]
    fn what_is_wrong_is_told_at_its_place() {
        let given = json!([
            { "email": "a@b.org" },
            { "email": "a@localhost" },
            { "email": "c@d.org", "name": "x\r\nBcc: y" },
            { "email": "e@f.org", "a b": 1, "a-b": 2, "c d": 1, "c-d": 2 },
            { "email": "e@f.org", "a b": 1, "a_b": 2, "a-b": 3 },
        ]);
        let pointers: Vec<String> = inline(given).unwrap_err().into_iter().map(|error| error.pointer).collect();
        assert_eq!(pointers, ["/recipients/1/email", "/recipients/2/name", "/recipients/3/a-b"]);
    }

    #[test]
    fn a_name_means_the_column_that_is_called_exactly_so_before_any_other() {
        let given = json!([{ "email": "a@b.org", "a b": 1, "a_b": 2, "a-b": 3, "c d": 4 }]);
        let row = inline(given).unwrap().all.remove(0).row;
        assert_eq!((row["a_b"].as_str(), row["c_d"].as_str()), ("2", "4"));
        for (header, wanted, expected) in [
            ("a b,a_b,A_B,email", "a_b", Ok("2")),
            ("a_b,a b,a-b,email", "a_b", Ok("1")),
            ("A_B,a b,email", "a_b", Ok("2")),
            ("x,A B,email", "a_b", Ok("2")),
            ("a b,a-b,email", "x_y", Err("unknown_column")),
            ("a b,a-b,email", "email", Ok("a@b.org")),
            ("a b,a-b,email", "a_b", Err("ambiguous_column")),
            ("City,CITY,email", "city", Err("ambiguous_column")),
            ("2026,Größe,email", "2026", Ok("1")),
            ("2026,Größe,email", "größe", Ok("2")),
        ] {
            let cells = ["1", "2", "3"][..header.split(',').count() - 1].join(",");
            match (of_table(&format!("{header}\n{cells},a@b.org\n"), &[wanted]), expected) {
                (Ok(recipients), Ok(cell)) => assert_eq!(recipients.all[0].row[wanted], cell, "{header}"),
                (Err(Failure::Fatal { code, .. }), Err(expected)) => assert_eq!(code, expected, "{header}"),
                (other, _) => panic!("{header}: {other:?}"),
            }
        }
    }

    #[test]
    fn a_table_is_read_whatever_its_form_and_its_bad_rows_are_counted() {
        let text =
            "Name;E-Mail;Email;First Name\nAnn;x;ann@example.org;A\nBob;x\nCy;x;nobody;C\nDi;x;ANN@example.org;D\n";
        let recipients = of_table(text, &["First_Name", "email"]).unwrap();
        assert_eq!(told(&recipients), [("ann@example.org", Some("Ann")), ("nobody", None)]);
        assert_eq!((recipients.bad_rows, recipients.duplicates), (1, 1));
        assert_eq!(recipients.all[0].row["First_Name"], "A");
        assert!(recipients.all[1].address.is_err());
    }

    #[test]
    fn spaces_around_an_address_are_none_of_it_and_null_is_an_empty_cell() {
        let given =
            json!([{ "email": " ann@example.org\t", "name": null, "city": null }, { "email": "ann@example.org " }]);
        let recipients = inline(given).unwrap();
        assert_eq!((told(&recipients), recipients.duplicates), (vec![("ann@example.org", None)], 1));
        let row = &recipients.all[0].row;
        assert_eq!((row["email"].as_str(), row["city"].as_str()), ("ann@example.org", ""));
    }

    #[test]
    fn what_is_wrong_says_in_which_column_and_a_table_of_bad_rows_in_which_line() {
        let table = format!("email,name\nnobody,A\na@b.org,{}\n", "x".repeat(201));
        let columns: Vec<_> =
            of_table(&table, &[]).unwrap().all.into_iter().map(|one| one.address.unwrap_err().column).collect();
        assert_eq!(columns, ["email", "name"]);
        let error = of_table("email,name\na@b.org\nb@b.org,B,C\n", &[]).unwrap_err();
        let Failure::Fatal { message, .. } = error else { panic!("{error:?}") };
        assert!(message.contains("(2)") && message.contains("line 2: 1 cells instead of 2"), "{message}");
        let error = inline(json!([{ "email": "a@b.org", "name": "x\n" }])).unwrap_err().remove(0);
        assert!(error.detail.ends_with("(the name of a@b.org)"), "{}", error.detail);
    }

    #[test]
    fn a_table_without_what_is_needed_is_refused() {
        for (text, code) in [
            ("name\nann@example.org\n", "no_email_column"),
            ("email\nann@example.org\n", "unknown_column"),
            ("email,city\n", "no_recipients"),
            ("", "empty_file"),
        ] {
            match of_table(text, &["city"]) {
                Err(Failure::Fatal { code: found, .. }) => assert_eq!(found, code, "{text}"),
                other => panic!("{text}: {other:?}"),
            }
        }
    }
}
