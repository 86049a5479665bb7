//! Files as programs and people write them.

use super::*;

#[tokio::test]
async fn a_title_above_the_table_is_told_and_can_be_passed_over() {
    let table = "Kontoauszug;DE12\nZeitraum;\"2026\n\nDatum;Betrag;Text\n2026-01-01;1,5;Miete\n2026-01-02;2,5;Strom\n2026-01-03;7,5;\"a;b\"\n";
    let result = result_of(table.replace('"', ""), json!({ "delimiter": ";", "decimal_comma": true })).await;
    let warning = result["warnings"][1].as_str().unwrap();
    assert!(
        warning.contains("has 2 cells and most lines behind it 3") && warning.ends_with("skip_lines 3"),
        "{warning}"
    );
    let left = run_file(table, json!({ "skip_lines": 3, "decimal_comma": true, "sort": ["-Betrag"] })).await;
    assert_eq!(
        left.output("output.csv"),
        "Datum,Betrag,Text\n2026-01-03,\"7,5\",a;b\n2026-01-02,\"2,5\",Strom\n2026-01-01,\"1,5\",Miete\n".as_bytes()
    );
    let result = left.result();
    assert_eq!((&result["rows"], &result["delimiter"], &result["warnings"]), (&json!(3), &json!(";"), &json!([])));
    let bad = result_of("title\r\n\r\na,b\r\n1,2\r\n3\r\n", json!({ "skip_lines": 2 })).await;
    assert_eq!(bad["bad_row_examples"][0]["line"], 5, "counted from the beginning of the file");
    let cr = result_of("title\ra,b\r1,2\r", json!({ "skip_lines": 1 })).await;
    assert_eq!((&cr["rows"], &cr["columns"][1]["name"]), (&json!(1), &json!("b")));
    assert_eq!(run_file("a,b\n1,2\n", json!({ "skip_lines": 9 })).await.code(), "empty_file");
    assert_eq!(run_file("a,b\n1,2", json!({ "skip_lines": 2 })).await.code(), "empty_file");
    let long = format!("{}\na,b\n1,2\n", "x".repeat(600_000));
    assert_eq!(result_of(&long, json!({ "skip_lines": 1 })).await["columns"][0]["name"], "a", "over several blocks");
}

#[tokio::test]
async fn numbers_with_a_decimal_comma_are_cut_at_other_delimiters() {
    for (table, kinds, rows) in [
        ("1;1,5\n2;2,5\n", ["integer", "decimal"], 2),
        ("01.01.2026;1,50\n02.01.2026;2,75\n", ["text", "decimal"], 2),
        ("tag\tpreis\n4,5\t5,5\n", ["decimal", "decimal"], 1),
    ] {
        let result = result_of(table, json!({ "decimal_comma": true })).await;
        let found: Vec<&str> = (0..2).map(|at| result["columns"][at]["type"].as_str().unwrap()).collect();
        assert_eq!((found, &result["rows"]), (kinds.to_vec(), &json!(rows)), "{table}");
    }
    let result = result_of("preis\n1,50\n2,75\n", json!({ "decimal_comma": true })).await;
    assert_eq!((&result["rows"], &result["columns"][0]["mean"]), (&json!(2), &json!(2.125)));
}

#[tokio::test]
async fn a_column_of_numbers_with_a_decimal_comma_is_told() {
    let told = result_of("a;b;c\n244,75;1,234;x\n-1.200,00;5,678;1,5\n3;9,012;y\n", json!({})).await;
    let warnings = told["warnings"].as_array().unwrap();
    assert_eq!(warnings.len(), 1, "thousands may be meant in b: {warnings:?}");
    assert!(warnings[0].as_str().unwrap().starts_with("column a: 2 of 3 cells are numbers with a decimal comma"));
}

#[tokio::test]
async fn years_name_columns_and_a_first_row_of_values_is_none() {
    let result = result_of("Land,1990,1995\nDE,79.4,81.7\nFR,58.2,59.4\n", json!({})).await;
    assert_eq!((&result["has_header"], &result["columns"][1]["name"]), (&json!(true), &json!("1990")));
    let result = result_of("01.01.2026;Miete;-1.200,00\n02.01.2026;Strom;-80,00\n", json!({})).await;
    assert_eq!((&result["has_header"], &result["rows"]), (&json!(false), &json!(2)));
}

#[tokio::test]
async fn lines_of_spaces_and_the_end_of_file_sign_are_no_rows() {
    let table = "a,b\n1,2\n   \n3,4\n\u{1a}";
    for options in [json!({ "on_bad_row": "fail" }), json!({ "on_bad_row": "fail", "deduplicate": true })] {
        let result = result_of(table, options).await;
        assert_eq!((&result["rows"], &result["bad_rows"]), (&json!(2), &json!(0)));
    }
    assert_eq!(result_of("a\n1\n \n", json!({})).await["columns"][0]["nulls"], 1, "of one column it is one");
}

#[tokio::test]
async fn truths_and_times_are_sorted_by_their_values() {
    let sorted = async |cells: &str| {
        output_of(format!("a,b\n{}", cells.replace('\n', ",x\n")), json!({ "sort": ["a"], "select": ["a"] })).await
    };
    assert_eq!(sorted("true\nFALSE\nfalse\nTRUE\n").await, "a\nFALSE\nfalse\ntrue\nTRUE\n");
    let times = "2026-01-01T00:00:00.5Z\n2026-01-01T00:00:00Z\n2026-01-01T00:30:00+02:00\n2025-12-31\n";
    let expected = "a\n2025-12-31\n2026-01-01T00:30:00+02:00\n2026-01-01T00:00:00Z\n2026-01-01T00:00:00.5Z\n";
    assert_eq!(sorted(times).await, expected);
    assert_eq!(sorted("x\n2026-01-01\n5\nNA\ntrue\n").await, "a\n5\n2026-01-01\ntrue\nx\nNA\n", "by kinds");
}

#[tokio::test]
async fn what_stands_for_no_value_stays_as_it_is() {
    let options = json!({ "null_values": ["-999", "-"] });
    assert_eq!(output_of("a,b\n-999,-\n-5,=1\n", options).await, "a,b\n-999,-\n-5,'=1\n");
    assert_eq!(
        refused(json!({ "data": "a\n1\n", "deduplicate": [] })),
        "/deduplicate must name a column, or be true for all of them"
    );
    assert_eq!(result_of("a\n1\n", json!({ "encoding": "UTF-8-sig" })).await["encoding"], "utf-8");
}
