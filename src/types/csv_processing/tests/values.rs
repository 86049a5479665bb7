//! Values that are easily wrong; those of numbers agree with pandas.

use super::*;

async fn column(data: &str) -> Value {
    result_of(data, json!({ "has_header": true })).await["columns"][0].clone()
}

#[tokio::test]
async fn what_means_the_same_is_one_value_unless_the_column_is_text() {
    for (cells, kind, distinct) in [
        ("true\nFALSE\nTrue\n", "boolean", 2),
        ("1\n01\n1.0\n+1\n2\n", "decimal", 2),
        ("9007199254740993\n9007199254740992\n", "integer", 2),
        ("2026-01-31\n2026-01-31T00:00\n2026-01-31T01:00:00+01:00\n2026-02-01\n", "datetime", 2),
        ("1\n01\n1.0\nA1\n", "text", 4),
        ("true\nTRUE\nyes\n", "text", 3),
    ] {
        let column = column(&format!("a\n{cells}")).await;
        assert_eq!((&column["type"], &column["distinct"]), (&json!(kind), &json!(distinct)), "{cells}");
    }
}

#[tokio::test]
async fn the_least_of_truths_is_false_however_it_is_written() {
    for (cells, min, max) in [
        ("false\nTRUE\n", false, true),
        ("TRUE\nfalse\n", false, true),
        ("TRUE\ntrue\n", true, true),
        ("False\n", false, false),
    ] {
        let column = column(&format!("a\n{cells}")).await;
        assert_eq!((&column["min"], &column["max"]), (&json!(min), &json!(max)), "{cells}");
    }
}

#[tokio::test]
async fn frequent_values_are_counted_by_what_they_mean() {
    let numbers = column("a\n2\n1\n1.0\n2\n01\n3\n2.0\n2\n").await;
    let expected = json!([{ "value": "2", "count": 4 }, { "value": "01", "count": 3 }, { "value": "3", "count": 1 }]);
    assert_eq!(numbers["frequent"], expected);
    let texts = column("a\nx\ny\n y \nNA\nz\n").await;
    let expected = json!([{ "value": "y", "count": 2 }, { "value": "x", "count": 1 }, { "value": "z", "count": 1 }]);
    assert_eq!((&texts["frequent"], &texts["frequent_error"]), (&expected, &Value::Null));
}

#[tokio::test]
async fn lengths_are_in_characters() {
    let column = column("a\nß\nabc\n ab €\n\n").await;
    assert_eq!(column["length"], json!({ "min": 1, "max": 5, "mean": 3.0 }));
    assert_eq!(result_of("a\n", json!({})).await["columns"][0]["length"], Value::Null);
}

#[tokio::test]
async fn days_have_quantiles_and_bars() {
    let column = column("a\n2026-01-03\n2026-01-01\n2026-01-02\n").await;
    assert_eq!(column["quantiles"]["0.5"], "2026-01-02");
    let expected = json!({ "edges": ["2026-01-01", "2026-01-02", "2026-01-03", "2026-01-04"], "counts": [1, 1, 1] });
    assert_eq!(column["histogram"], expected);
    let times = self::column("a\n2026-01-01T00:00:00Z\n2026-01-01T02:00:00+01:00\n").await;
    assert_eq!(
        (&times["quantiles"]["0.5"], &times["histogram"]["counts"][19]),
        (&json!("2026-01-01T00:30:00Z"), &json!(1))
    );
}

#[tokio::test]
async fn a_histogram_of_whole_numbers_has_whole_edges() {
    let column = column("a\n1\n1\n3\n").await;
    assert_eq!(column["histogram"], json!({ "edges": [1, 2, 3, 4], "counts": [2, 0, 1] }));
}

#[tokio::test]
async fn a_quote_that_swallows_rows_is_told() {
    let data = "id,name\n1,\"x\n2,y\n3,\"z\"\n4,\"a \"\"b\"\"\nc\"\n5,6\" pipe\n";
    let result = result_of(data, json!({})).await;
    assert_eq!((&result["rows"], &result["bad_rows"]), (&json!(2), &json!(1)));
    let reason = "a quote closes in the middle of a cell, after line 2: was one not closed before?";
    assert_eq!(result["bad_row_examples"], json!([{ "line": 2, "reason": reason }]));
    assert_eq!(run_file(data, json!({ "on_bad_row": "fail" })).await.code(), "bad_row");
}

#[tokio::test]
async fn a_line_that_names_the_delimiter_is_no_row() {
    let data = "sep=;\r\na;b\r\n1;2,5\r\nx\r\n";
    let result = result_of(data, json!({})).await;
    assert_eq!((&result["delimiter"], &result["columns"][1]["name"]), (&json!(";"), &json!("b")));
    assert_eq!(result["bad_row_examples"][0]["line"], 4);
}

#[tokio::test]
async fn more_bad_rows_than_good_are_a_warning() {
    let result = result_of("Report of 2026\na,b\n1,2\n", json!({})).await;
    assert!(result["warnings"][0].as_str().unwrap().starts_with("more rows are bad than good"));
}

#[tokio::test]
async fn rows_are_written_as_ndjson_too() {
    let data = "a,b b\n1,x\n007,\"say \"\"hi\"\"\"\n,=1\n";
    let left = run_file(data, json!({ "output_format": "ndjson", "rename": { "a": "n" } })).await;
    let text = String::from_utf8(left.output("output.ndjson").to_vec()).unwrap();
    let expected = "{\"n\":1,\"b b\":\"x\"}\n{\"n\":\"007\",\"b b\":\"say \\\"hi\\\"\"}\n{\"n\":null,\"b b\":\"=1\"}\n";
    assert_eq!(text, expected);
    assert_eq!(run_file("a\n", json!({ "output_format": "ndjson" })).await.output("output.ndjson"), b"");
}

#[tokio::test]
async fn a_report_can_be_opened() {
    let left = run_file("city,amount\nRome,1.5\nLima,2.5\n", json!({})).await;
    let page = String::from_utf8(left.output("report.html").to_vec()).unwrap();
    assert!(page.contains("<rect ") && page.contains("<th>Rome</th><td>1</td>"), "{page}");
    assert_eq!(
        left.outputs.iter().map(|(name, _)| &**name).collect::<Vec<_>>(),
        ["output.csv", "statistics.json", "report.html"]
    );
}

#[tokio::test]
async fn numbers_with_a_comma_are_numbers_where_the_params_say_so() {
    let data = "id;preis\n1;1,50\n2;2,25\n3;1.234,5\n4;\n";
    assert_eq!(result_of(data, json!({})).await["columns"][1]["type"], "text");
    let options =
        json!({ "decimal_comma": true, "filter": "preis > 1.5", "sort": ["-preis"], "output_format": "ndjson" });
    let left = run_file(data, options).await;
    let expected = "{\"id\":3,\"preis\":1234.5}\n{\"id\":2,\"preis\":2.25}\n";
    assert_eq!(String::from_utf8_lossy(left.output("output.ndjson")), expected);
    assert_eq!(left.result()["columns"][1]["sum"], 1236.75);
    let no_header = result_of("1;1,5\n2;2,5\n", json!({ "decimal_comma": true })).await;
    assert_eq!((&no_header["has_header"], &no_header["rows"]), (&json!(false), &json!(2)));
}

#[tokio::test]
async fn a_file_that_became_shorter_fails() {
    let mut trial = Trial::new();
    let id = trial.upload("table.csv", b"a\n1\n2\n").await;
    trial.replace(id, b"a\n1\n").await;
    assert_eq!(trial.run(CsvProcessing, json!({ "file_id": id })).await.code(), "file_changed");
}

#[tokio::test]
async fn a_file_that_became_another_fails_and_one_of_which_enough_was_read_does_not() {
    let mut trial = Trial::new();
    let id = trial.upload("table.csv", "a\n1\n".repeat(200_000).as_bytes()).await;
    trial.replace(id, "a\n2\n".repeat(200_000).as_bytes()).await;
    assert_eq!(trial.run(CsvProcessing, json!({ "file_id": id })).await.code(), "file_changed");
    assert_eq!(trial.run(CsvProcessing, json!({ "file_id": id, "limit": 1 })).await.result()["rows"], 1);
    trial.delete(&format!("uploads/{id}")).await;
    assert_eq!(trial.run(CsvProcessing, json!({ "file_id": id })).await.code(), "file_not_found");
}
