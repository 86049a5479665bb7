//! What an expression means, and that no text makes the parser fall.

use super::*;
use proptest::prelude::*;

/// The columns of [`keeps`].
const HEADER: [&str; 4] = ["a", "b", "amount due", "größe"];

/// Whether the row with these cells, the others empty, is kept.
fn keeps(text: &str, cells: &[&str]) -> bool {
    let expression = Expression::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    let find = |name: &String| HEADER.iter().position(|column| column == name).ok_or(());
    let filter = expression.over(find).expect("the columns are there");
    filter.keeps(|i| cells.get(i).map_or(&b""[..], |cell| cell.as_bytes()), &Reading::new(None))
}

fn wrong(text: &str) -> String {
    Expression::parse(text).expect_err(text)
}

#[test]
fn not_binds_before_and_and_and_before_or() {
    for (text, cells, kept) in [
        ("a = 1 or a = 2 and b = 3", ["1", "0"], true),
        ("(a = 1 or a = 2) and b = 3", ["1", "0"], false),
        ("not a = 1 and b = 3", ["2", "3"], true),
        ("not (a = 1 and b = 3)", ["1", "2"], true),
        ("not a = 1 or b = 3", ["1", "3"], true),
        ("NOT not A_x IS null", ["", ""], true),
    ] {
        let text = text.replace("A_x", "a");
        assert_eq!(keeps(&text, &cells), kept, "{text} of {cells:?}");
    }
}

#[test]
fn beside_a_number_a_cell_is_a_number_or_fits_nothing() {
    for (text, fitting) in [
        ("a = 10", ["10", "1e1", " +10.0 "].as_slice()),
        ("a != 10", &["9", "1e3", "-10"]),
        ("a < 9.5", &["9", "-1e300", ".5"]),
        ("a >= -1", &["-1", "0", "1e300"]),
        ("a > 9007199254740992", &["9007199254740993"]),
    ] {
        fitting.iter().for_each(|cell| assert!(keeps(text, &[cell]), "{text} of {cell}"));
        for cell in ["", "NA", "ten", "1,000", "inf", "nan", "1e999", "2026-01-01", "true"] {
            assert!(!keeps(text, &[cell]), "{text} of {cell}");
        }
    }
    assert!(!keeps("a = 9007199254740993", &["9007199254740992"]));
}

#[test]
fn beside_a_text_a_cell_is_its_text_exactly() {
    assert!(keeps(r#"a = "Rome""#, &["Rome"]));
    for cell in ["rome", "Rome ", "Romeo", ""] {
        assert!(!keeps(r#"a = "Rome""#, &[cell]), "{cell:?}");
    }
    assert!(keeps(r#"a = "10" and a != "10.0""#, &["10"]));
    assert!(keeps(r#"a > "2026-01-31" and a <= "2026-02-01""#, &["2026-02-01"]));
    assert!(keeps(r#"a < "9" and a < "Z""#, &["10"]));
    assert!(keeps("a > \"z\" and a < \"\u{10348}\"", &["\u{ffee}"]));
    assert!(keeps(r#"a = "say \"no\" \\ yes""#, &[r#"say "no" \ yes"#]));
}

#[test]
fn parts_of_texts_are_found_in_any_cell_with_a_value() {
    assert!(keeps(r#"a contains "rge" and a starts with "ur" and a ENDS With "nt""#, &["urgent"]));
    assert!(!keeps(r#"a contains "URG" or a starts with "rg" or a ends with "n""#, &["urgent"]));
    assert!(keeps(r#"a contains "" and a starts with "1""#, &["12"]));
    assert!(!keeps(r#"a contains "" or a starts with "" or a ends with """#, &[""]));
}

#[test]
fn true_and_false_are_words_in_any_case() {
    assert!(keeps("a = true and b != TRUE", &["TRUE", " false "]));
    for cell in ["yes", "1", "", "truth"] {
        assert!(!keeps("a = true or a != true or a = false or a in (true, false)", &[cell]), "{cell}");
    }
}

#[test]
fn a_list_holds_what_equals_one_of_it() {
    let text = r#"a in ("open", 5, false)"#;
    for (cell, kept) in [("open", true), ("5.0", true), ("FALSE", true), ("Open", false), ("", false), ("6", false)] {
        assert_eq!(keeps(text, &[cell]), kept, "{cell}");
        assert_eq!(keeps(&format!("not ({text})"), &[cell]), !kept, "{cell}");
    }
}

#[test]
fn no_value_fits_is_null_and_no_comparison() {
    for cell in ["", "  ", "NA", "null"] {
        assert!(keeps("a is null and not (a is not null)", &[cell]), "{cell:?}");
        assert!(!keeps(r#"a = "" or a != "" or a = "NA" or a != 1 or a in ("NA")"#, &[cell]), "{cell:?}");
        assert!(keeps(r#"not a = "x" and not a != "x""#, &[cell]), "{cell:?}");
    }
    let own = Expression::parse("a is null").unwrap().over(|_| Ok::<_, ()>(0)).unwrap();
    assert!(own.keeps(|_| b"-", &Reading::new(Some(&["-".to_owned()]))));
}

#[test]
fn names_are_bare_or_in_backticks() {
    assert!(keeps("größe = 3 and `amount due` > 1 and `a` is null", &["", "", "2", "3"]));
    let names = |text| Expression::parse(text).unwrap().columns;
    assert_eq!(names("`in` = 1 or `2026` = 1 or `a\\`b\\\\` = 1 or _x = 1 or _x = 2"), ["in", "2026", "a`b\\", "_x"]);
    assert_eq!(names("`a\"b` = 1"), ["a\"b"]);
}

#[test]
fn an_error_tells_the_place_and_what_was_expected() {
    let literal = "expected a number, a text in double quotes, true or false, found";
    for (text, error) in [
        ("", "at character 1: expected a column, not, or an opening parenthesis, found the end".to_owned()),
        ("city = Rome", format!("at character 8: {literal} Rome")),
        ("ä = 'x'", format!("at character 5: {literal} '")),
        ("a = 1e999", format!("at character 5: {literal} 1e999")),
        ("a in (1,)", format!("at character 9: {literal} )")),
        ("a in ()", format!("at character 7: {literal} )")),
        ("a in (1 2)", "at character 9: expected a comma or a closing parenthesis, found 2".to_owned()),
        ("a is 5", "at character 6: expected null or not null, found 5".to_owned()),
        ("a < true", "at character 5: expected a number or a text in double quotes, found true".to_owned()),
        ("a contains 5", "at character 12: expected a text in double quotes, found 5".to_owned()),
        ("a starts \"x\"", "at character 10: expected with, found \"x\"".to_owned()),
        ("(a = 1", "at character 7: expected and, or, or a closing parenthesis, found the end".to_owned()),
        ("a = 1 b = 2", "at character 7: expected and, or, or the end, found b".to_owned()),
        ("a = 1 && b = 2", "at character 7: expected and, or, or the end, found &".to_owned()),
        (
            "a ~ 1",
            "at character 3: expected one of = != < <= > >=, in, contains, starts with, ends with, is, found ~"
                .to_owned(),
        ),
        (
            "with = 1",
            "at character 1: expected a column (such a name stands in backticks), not, or an opening parenthesis, found with"
                .to_owned(),
        ),
        (
            "\"a\" = 1",
            "at character 1: expected a column (such a name stands in backticks), not, or an opening parenthesis, found \"a\"".to_owned(),
        ),
        ("a in 5", "at character 6: expected an opening parenthesis, found 5".to_owned()),
        ("a = \"x", "at character 5: the \" that opens here is never closed".to_owned()),
        ("a = \"x\\n\"", "at character 7: a backslash stands before \" or another backslash only".to_owned()),
    ] {
        assert_eq!(wrong(text), error, "{text}");
    }
}

#[test]
fn the_bounds_are_kept_and_told() {
    let nested = |open: &str, close: &str, n: usize| open.repeat(n) + "a=1" + &close.repeat(n);
    for (open, close) in [("(", ")"), ("not ", "")] {
        assert!(Expression::parse(&nested(open, close, 32)).is_ok());
        let error = wrong(&nested(open, close, 33));
        assert!(error.ends_with("more than 32 parentheses and nots within each other"), "{error}");
    }
    let list = |n: usize| format!("a in (1{})", ",1".repeat(n - 1));
    assert!(Expression::parse(&list(200)).is_ok());
    assert_eq!(wrong(&list(201)), "at character 407: more than 200 numbers and texts");
    assert_eq!(wrong(&" ".repeat(2001)), "must be at most 2000 characters");
    assert!(Expression::parse(&format!("{}a=1", "ä = 1 or ".repeat(199))).is_ok());
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in prop_oneof![
        ".{0,200}",
        r#"([a`"\\ ()<>=!,.+e0-9-]|and|or|not |in|is null|contains|starts with|é){0,60}"#,
        r#"((not )?(a|`b c`) (= 1|in \("x", -2.5e3\)|is not null|ends with "\\\\") (and|or) \(?){0,6}(a=1)\){0,2}"#,
    ]) {
        if let Ok(expression) = Expression::parse(&text) {
            prop_assert_eq!(Expression::parse(&expression.to_string()), Ok(expression));
        }
    }

    #[test]
    fn what_is_printed_is_read_as_the_same(root in node()) {
        let columns = ["a", "in", "b `\\\" c"].map(str::to_owned).to_vec();
        let printed = Expression { columns, root }.to_string();
        let read = Expression::parse(&printed).map_err(TestCaseError::fail)?;
        prop_assert_eq!(read.to_string(), printed);
    }
}

/// Any expression over three columns, as the parser would make it.
fn node() -> impl Strategy<Value = Node> {
    use prop::{collection::vec, sample::select};
    let number = prop_oneof![
        any::<i64>().prop_map(Cell::Integer),
        any::<f64>().prop_filter("finite", |value| value.is_finite()).prop_map(Cell::Decimal),
    ];
    let ordered = prop_oneof![number.prop_map(Literal::Number), ".{0,5}".prop_map(Literal::Text)].boxed();
    let literal = prop_oneof![ordered.clone(), any::<bool>().prop_map(Literal::Boolean)].boxed();
    let leaf = prop_oneof![
        (0..3usize).prop_map(Node::IsNull),
        (0..3usize, select(&SIGNS[2..]), ordered).prop_map(|(column, (is, _), value)| Node::Compare(column, is, value)),
        (0..3usize, select(&SIGNS[..2]), literal.clone())
            .prop_map(|(column, (is, _), value)| Node::Compare(column, is, value)),
        (0..3usize, vec(literal, 1..4)).prop_map(|(column, values)| Node::In(column, values)),
        (0..3usize, select(&PLACES[..]), ".{0,5}")
            .prop_map(|(column, (place, _), text)| Node::Find(column, place, text)),
    ];
    leaf.prop_recursive(4, 12, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 2..4).prop_map(Node::Or),
            vec(inner.clone(), 2..4).prop_map(Node::And),
            inner.prop_map(|node| Node::Not(Box::new(node))),
        ]
    })
}

const SIGNS: [(Operator, &str); 6] = [
    (Operator::Equal, "="),
    (Operator::NotEqual, "!="),
    (Operator::Less, "<"),
    (Operator::LessOrEqual, "<="),
    (Operator::Greater, ">"),
    (Operator::GreaterOrEqual, ">="),
];
const PLACES: [(Place, &str); 3] =
    [(Place::Anywhere, "contains"), (Place::Start, "starts with"), (Place::End, "ends with")];

impl std::fmt::Display for Expression {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&print(&self.root, &self.columns))
    }
}

fn print(node: &Node, columns: &[String]) -> String {
    let name = |column: &usize| quoted(&columns[*column], '`');
    let inner = |node: &Node| match node {
        Node::Or(_) | Node::And(_) => format!("({})", print(node, columns)),
        _ => print(node, columns),
    };
    let joined = |nodes: &[Node], word: &str| nodes.iter().map(inner).collect::<Vec<_>>().join(word);
    match node {
        Node::Or(nodes) => joined(nodes, " or "),
        Node::And(nodes) => joined(nodes, " and "),
        Node::Not(node) => match &**node {
            Node::IsNull(column) => format!("{} is not null", name(column)),
            node => format!("not {}", inner(node)),
        },
        Node::IsNull(column) => format!("{} is null", name(column)),
        Node::Compare(column, operator, value) => {
            let (_, sign) = SIGNS.iter().find(|(known, _)| known == operator).expect("one of them");
            format!("{} {sign} {}", name(column), print_literal(value))
        }
        Node::In(column, values) => {
            format!("{} in ({})", name(column), values.iter().map(print_literal).collect::<Vec<_>>().join(", "))
        }
        Node::Find(column, place, text) => {
            let (_, words) = PLACES.iter().find(|(known, _)| known == place).expect("one of them");
            format!("{} {words} {}", name(column), quoted(text, '"'))
        }
    }
}

fn print_literal(literal: &Literal) -> String {
    match literal {
        Literal::Number(Cell::Integer(value)) => value.to_string(),
        Literal::Number(cell) => format!("{:?}", cell.as_f64().expect("a number")),
        Literal::Text(text) => quoted(text, '"'),
        Literal::Boolean(value) => value.to_string(),
    }
}

fn quoted(text: &str, quote: char) -> String {
    let escaped = text.replace('\\', r"\\").replace(quote, &format!("\\{quote}"));
    format!("{quote}{escaped}{quote}")
}
