//! Fixed cases, then any text at all, held against serde_json.

use super::*;
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use std::collections::BTreeMap;

#[test]
fn json_passes() {
    let deep = "[".repeat(126) + &"]".repeat(126);
    for text in [
        "null",
        " {} ",
        "[]",
        r#"{"a":[1,-0,1.5e+10,1e400],"b":{"a":"\ud83d\ude00\n"}}"#,
        "123456789012345678901234567890",
        r#""ü""#,
        &deep,
    ] {
        assert_eq!(check(text), Ok(vec![]), "{text}");
    }
}

#[test]
fn what_is_no_json_is_refused() {
    let deep = "[".repeat(10_000);
    let texts = r#"{ | {}x | NaN | // c | [1,] | [,1] | {"a":1,} | {"a" 1} | {a:1} | 01 | - | 1. | 1e | +1 | tru |
        "\x" | "\u12g4" | "\ud800" | "\ud800\u0041" | "\udc00" | "abc | "abc\ | {"a":{"b":1,"\u0062":2}}"#;
    for text in texts.split(" | ").map(str::trim).chain(["", "\u{feff}{}", "\"\u{1}\"", &deep]) {
        assert!(check(text).is_err(), "{text:.40}");
    }
}

#[test]
fn a_nul_is_named_wherever_it_stands() {
    let found = check(r#"{"a":["x","\u0000"],"b/c":{"k\u0000":1}}"#).unwrap();
    let pointers: Vec<&str> = found.iter().map(|error| error.pointer.as_str()).collect();
    assert_eq!(pointers, ["/a/1", "/b~1c"]);
}

#[test]
fn a_member_that_stands_twice_is_found_among_many() {
    let members: Vec<String> = (0..50).map(|n| format!("\"m{n}\":{n}")).collect();
    assert!(check(&format!("{{{}}}", members.join(","))).is_ok());
    assert!(check(&format!("{{{},\"m3\":1}}", members.join(","))).is_err());
}

#[test]
fn order_and_spaces_do_not_change_the_canonical_form_and_numbers_stay_as_sent() {
    let one = canonical(r#"{ "b" : [ 1.0, {"y":1,"x":"\u00e9"} ], "a": 12345678901234567890123 }"#).unwrap();
    assert_eq!(one, r#"{"a":12345678901234567890123,"b":[1.0,{"x":"é","y":1}]}"#);
    assert_eq!(canonical("[]").unwrap(), "[]");
    assert_ne!(canonical("1.0").unwrap(), canonical("1").unwrap());
}

/// Any JSON value that both we and the databases take, with numbers as text.
#[derive(Debug, Clone, PartialEq)]
enum Tree {
    Word(&'static str),
    Number(String),
    Text(String),
    List(Vec<Tree>),
    Object(BTreeMap<String, Tree>),
}

fn tree() -> impl Strategy<Value = Tree> {
    let number = "-?(0|[1-9][0-9]{0,25})(\\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?";
    let text = || any::<String>().prop_map(|text| text.replace('\0', "0"));
    let leaf = prop_oneof![
        prop::sample::select(vec!["null", "true", "false"]).prop_map(Tree::Word),
        number.prop_map(Tree::Number),
        text().prop_map(Tree::Text),
    ];
    leaf.prop_recursive(6, 60, 12, move |inner| {
        prop_oneof![
            vec(inner.clone(), 0..12).prop_map(Tree::List),
            btree_map(text(), inner, 0..12).prop_map(Tree::Object),
        ]
    })
}

/// One of the many ways to write a value down, chosen by `noise`.
struct Pen<'a> {
    noise: std::iter::Cycle<std::slice::Iter<'a, u8>>,
    out: String,
}

impl Pen<'_> {
    fn write(tree: &Tree, noise: &[u8]) -> String {
        let mut pen = Pen { noise: noise.iter().cycle(), out: String::new() };
        pen.value(tree);
        pen.out
    }

    fn chance(&mut self) -> u8 {
        *self.noise.next().expect("there is some noise")
    }

    fn space(&mut self) {
        let choice = usize::from(self.chance() % 6);
        self.out.push_str(["", "", "", " ", "\n", "\t\r"][choice]);
    }

    fn mark(&mut self, mark: char) {
        self.space();
        self.out.push(mark);
        self.space();
    }

    fn value(&mut self, tree: &Tree) {
        match tree {
            Tree::Word(word) => self.out.push_str(word),
            Tree::Number(number) => self.out.push_str(number),
            Tree::Text(text) => self.text(text),
            Tree::List(items) => {
                self.mark('[');
                for (n, item) in items.iter().enumerate() {
                    if n > 0 {
                        self.mark(',');
                    }
                    self.value(item);
                }
                self.mark(']');
            }
            Tree::Object(members) => {
                let mut members: Vec<_> = members.iter().collect();
                let turn = usize::from(self.chance()) % members.len().max(1);
                members.rotate_left(turn);
                self.mark('{');
                for (n, (name, value)) in members.into_iter().enumerate() {
                    if n > 0 {
                        self.mark(',');
                    }
                    self.text(name);
                    self.mark(':');
                    self.value(value);
                }
                self.mark('}');
            }
        }
    }

    fn text(&mut self, text: &str) {
        self.out.push('"');
        for character in text.chars() {
            let short = match character {
                '"' => Some('"'),
                '\\' => Some('\\'),
                '/' => Some('/'),
                '\n' => Some('n'),
                '\r' => Some('r'),
                '\t' => Some('t'),
                '\u{8}' => Some('b'),
                '\u{c}' => Some('f'),
                _ => None,
            };
            let must = character < ' ' || matches!(character, '"' | '\\');
            match (self.chance() % 4, short) {
                (0 | 1, Some(short)) => self.out.extend(['\\', short]),
                (choice, _) if must || choice == 2 => {
                    for unit in character.encode_utf16(&mut [0; 2]) {
                        self.out.push_str(&format!("\\u{unit:04x}"));
                    }
                }
                _ => self.out.push(character),
            }
        }
        self.out.push('"');
    }
}

/// What serde_json says of a text, with our further rules: each member once, no lone surrogates.
struct Strict;

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Strict, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Strict;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("JSON")
            }

            fn visit_unit<E>(self) -> Result<Strict, E> {
                Ok(Strict)
            }

            fn visit_bool<E>(self, _: bool) -> Result<Strict, E> {
                Ok(Strict)
            }

            fn visit_i64<E>(self, _: i64) -> Result<Strict, E> {
                Ok(Strict)
            }

            fn visit_u64<E>(self, _: u64) -> Result<Strict, E> {
                Ok(Strict)
            }

            fn visit_f64<E>(self, _: f64) -> Result<Strict, E> {
                Ok(Strict)
            }

            fn visit_str<E>(self, _: &str) -> Result<Strict, E> {
                Ok(Strict)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Strict, A::Error> {
                while seq.next_element::<Strict>()?.is_some() {}
                Ok(Strict)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Strict, A::Error> {
                let mut names = HashSet::new();
                while let Some((name, _)) = map.next_entry::<String, Strict>()? {
                    if !names.insert(name) {
                        return Err(serde::de::Error::custom("twice"));
                    }
                }
                Ok(Strict)
            }
        }
        deserializer.deserialize_any(Any)
    }
}

/// Whether we and serde_json say the same; it refuses numbers that no `f64` can hold, we do not.
fn agrees(text: &str) -> Result<(), TestCaseError> {
    let (ours, theirs) = (check(text), serde_json::from_str::<Strict>(text));
    let too_large = theirs.as_ref().is_err_and(|error| error.to_string().contains("out of range"));
    prop_assert!(too_large || ours.is_ok() == theirs.is_ok(), "{text:?}: {ours:?}, {:?}", theirs.err());
    prop_assert_eq!(canonical(text).is_ok(), ours.is_ok());
    if let Err(Malformed { at, .. }) = ours {
        prop_assert!(at <= text.len());
    }
    Ok(())
}

proptest! {
    #[test]
    fn whatever_is_written_down_is_json_with_one_canonical_form(
        tree in tree(), one in vec(any::<u8>(), 1..50), other in vec(any::<u8>(), 1..50),
    ) {
        let (one, other) = (Pen::write(&tree, &one), Pen::write(&tree, &other));
        prop_assert_eq!(check(&one), Ok(vec![]));
        let form = canonical(&one).unwrap();
        prop_assert_eq!(canonical(&other).unwrap(), form.clone());
        prop_assert_eq!(canonical(&form).unwrap(), form.clone(), "a fixed point");
        prop_assert!(form.len() <= one.len().max(other.len()) * 2 + 16);
        agrees(&one)?;
    }

    #[test]
    fn values_that_differ_have_canonical_forms_that_differ(a in tree(), b in tree(), noise in vec(any::<u8>(), 1..50)) {
        let forms = [&a, &b].map(|tree| canonical(&Pen::write(tree, &noise)).unwrap());
        prop_assert_eq!(forms[0] == forms[1], a == b);
    }

    #[test]
    fn we_and_serde_json_agree_on_what_is_json(
        tree in tree(), noise in vec(any::<u8>(), 1..50),
        edits in vec((any::<prop::sample::Index>(), any::<Option<char>>(), 0..20usize), 0..4),
    ) {
        let mut text: Vec<char> = Pen::write(&tree, &noise).chars().collect();
        for (at, put, known) in edits {
            let at = at.index(text.len());
            match put {
                Some(other) => text[at] = if known < 16 { MARKS[known] } else { other },
                None => drop(text.remove(at)),
            }
            if text.is_empty() {
                break;
            }
        }
        agrees(&text.into_iter().collect::<String>())?;
    }

    #[test]
    fn no_text_makes_the_scanner_panic(text in prop_oneof![
        any::<String>(),
        r#"([\[\]{}:, "\\0-9eE.+-]|\\u[0-9a-fD]{0,4}|true|null|"a"){0,60}"#,
    ]) {
        agrees(&text)?;
    }
}

const MARKS: [char; 16] = ['"', '\\', '{', '}', '[', ']', ',', ':', '0', '-', 'e', '.', 'u', ' ', '\u{1}', 't'];
