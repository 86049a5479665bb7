//! Messy files, and figures computed by hand.

mod duplicates;
mod messy;
mod order;
mod values;

use super::*;
use crate::types::Types;
use crate::types::context::trial::{Left, Trial};

/// Runs the second form over `data` as an uploaded file.
async fn run_file(data: impl AsRef<[u8]>, options: Value) -> Left {
    let mut trial = Trial::new();
    let mut params = options;
    params["file_id"] = json!(trial.upload("table.csv", data.as_ref()).await);
    trial.run(CsvProcessing, params).await
}

async fn result_of(data: impl AsRef<[u8]>, options: Value) -> Value {
    run_file(data, options).await.result()
}

async fn output_of(data: impl AsRef<[u8]>, options: Value) -> String {
    String::from_utf8(run_file(data, options).await.output("output.csv").to_vec()).unwrap()
}

/// The detail of the only error.
fn refused(params: Value) -> String {
    let types = Types::new(vec![Box::new(CsvProcessing)]);
    let params = serde_json::value::to_raw_value(&params).unwrap();
    let mut errors = types.iter().next().unwrap().check(&params).expect_err("wrong params");
    let error = errors.remove(0);
    format!("{} {}", error.pointer, error.detail)
}

#[tokio::test]
async fn statistics_agree_with_the_figures_by_hand() {
    let data = "id,amount,city,when,ok\n1,1.5,Rome,2026-01-02,true\n2,2.5,,2026-01-01,false\n3,NA,Lima,2026-01-03,true\n4,5,Rome,,TRUE\n";
    let result = result_of(data, json!({})).await;
    let columns = result["columns"].as_array().unwrap();
    let kinds: Vec<&str> = columns.iter().map(|column| column["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["integer", "decimal", "text", "date", "boolean"]);
    let (id, amount, city, when) = (&columns[0], &columns[1], &columns[2], &columns[3]);
    assert_eq!((&id["sum"], &id["mean"], &id["min"], &id["max"]), (&json!(10), &json!(2.5), &json!(1), &json!(4)));
    assert_eq!(id["std"], json!((5.0f64 / 3.0).sqrt()));
    assert_eq!(id["quantiles"]["0.25"], json!(1.75));
    assert_eq!((&amount["count"], &amount["nulls"], &amount["sum"]), (&json!(3), &json!(1), &json!(9.0)));
    assert_eq!(amount["std"], json!(3.25f64.sqrt()));
    assert_eq!((&city["distinct"], &city["min"], &city["sum"]), (&json!(2), &json!("Lima"), &Value::Null));
    assert_eq!((&when["min"], &when["max"]), (&json!("2026-01-01"), &json!("2026-01-03")));
    assert_eq!(result["rows"], 4);
}

#[tokio::test]
async fn the_table_made_has_the_statistics_it_has() {
    let left = Trial::new().run(CsvProcessing, json!({ "num_rows": 300, "seed": 7 })).await;
    let again = Trial::new().run(CsvProcessing, json!({ "num_rows": 300, "seed": 7 })).await;
    let table = String::from_utf8(left.output("table.csv").to_vec()).unwrap();
    assert_eq!(table.as_bytes(), again.output("table.csv"));
    let cells = table.lines().skip(1).map(|line| line.split(',').nth(4).unwrap());
    let sum: i64 = cells.filter_map(|cell| cell.parse::<i64>().ok()).sum();
    let result = left.result();
    assert_eq!((&result["rows"], &result["statistics"]["quantity"]["sum"]), (&json!(300), &json!(sum)));
    assert_eq!(result["statistics"].as_object().unwrap().keys().collect::<Vec<_>>(), ["id", "amount", "quantity"]);
}

#[tokio::test]
async fn a_table_that_is_gone_on_with_is_the_one_that_was_begun() {
    let params = json!({ "num_rows": 300, "processing_time": 1 });
    let whole = Trial::new().run(CsvProcessing, params.clone()).await;
    let trial = Trial::new();
    trial.attempt().save("step", &95).await.unwrap();
    let left = trial.run(CsvProcessing, params).await;
    assert_eq!((left.log, left.outputs), (vec!["going on from row 285 of 300".to_owned()], whole.outputs));
    assert_eq!(left.result.unwrap(), whole.result.unwrap());
}

#[tokio::test]
async fn a_task_without_params_is_the_first_form_with_its_defaults() {
    let schema = schema::Schema::new(CsvProcessing.params_schema());
    assert_eq!(schema.defaults(), json!({ "num_rows": 1000, "processing_time": 0.0 }));
    assert_eq!(Trial::new().run(CsvProcessing, json!({})).await.result()["rows"], 1000);
}

#[tokio::test]
async fn line_ends_delimiters_and_byte_order_marks_are_understood() {
    let utf16 = |to: fn(u16) -> [u8; 2]| "\u{feff}a;b\r\n1;ä\r\n".encode_utf16().flat_map(to).collect::<Vec<u8>>();
    for data in [
        b"a;b\n1;\xc3\xa4\n".to_vec(),
        b"a,b\r1,\xc3\xa4\r".to_vec(),
        b"a,b\r1,\xc3\xa4".to_vec(),
        b"a,b\n\r\n\n1,\xc3\xa4".to_vec(),
        b"\xef\xbb\xbfa\tb\r\n1\t\xc3\xa4".to_vec(),
        b"\xef\xbb\xbf\"a\"|b\n1|\"\xc3\xa4\"".to_vec(),
        b"a,b\n1,\xe4\n".to_vec(),
        utf16(u16::to_le_bytes),
        utf16(u16::to_be_bytes),
        utf16(u16::to_le_bytes)[2..].to_vec(),
    ] {
        let shown = String::from_utf8_lossy(&data).into_owned();
        assert_eq!(output_of(data, json!({})).await, "a,b\n1,ä\n", "{shown:?}");
    }
}

#[tokio::test]
async fn what_is_no_text_that_is_read_is_told() {
    for mark in [b"\xff\xfe\0\0a\0\0\0", b"\0\0\xfe\xff\0\0\0a"] {
        assert_eq!(run_file(mark, json!({})).await.code(), "encoding");
    }
    let random = (0..4000u64).map(|i| (sketch::hash(&i.to_le_bytes()) >> 32) as u8).collect::<Vec<u8>>();
    for bytes in [random, vec![0; 4000], [&b"a,b\n"[..], &[1; 4000]].concat()] {
        assert_eq!(run_file(bytes, json!({})).await.code(), "not_text");
    }
    assert_eq!(result_of("a\0,\x1b[1mb\n".repeat(1000), json!({})).await["rows"], 999);
}

#[tokio::test]
async fn what_is_not_utf8_is_read_as_windows_1252_and_told() {
    let result = result_of(b"name\nZo\xeb\nZo\xc3\xab\n", json!({})).await;
    assert_eq!((&result["encoding"], &result["columns"][0]["distinct"]), (&json!("windows-1252"), &json!(1)));
    assert!(result["warnings"][0].as_str().unwrap().contains("first on line 2"));
    let strict = result_of(b"name\nZo\xeb\nZo\xc3\xab\n", json!({ "encoding": "utf-8" })).await;
    assert_eq!((&strict["rows"], &strict["bad_rows"]), (&json!(1), &json!(1)));
    assert_eq!(strict["bad_row_examples"][0], json!({ "line": 2, "reason": "byte 3 of the row is not UTF-8" }));
}

#[tokio::test]
async fn ragged_rows_are_counted_with_their_lines() {
    let data = "a,b\n1,2\n3\n\"x\ny\",5\n6,7,8\n";
    let result = result_of(data, json!({})).await;
    assert_eq!((&result["rows"], &result["rows_read"], &result["bad_rows"]), (&json!(2), &json!(4), &json!(2)));
    let expected = json!([
        { "line": 3, "reason": "1 cells instead of 2" }, { "line": 6, "reason": "3 cells instead of 2" },
    ]);
    assert_eq!(result["bad_row_examples"], expected);
    assert_eq!(run_file(data, json!({ "on_bad_row": "fail" })).await.code(), "bad_row");
}

#[tokio::test]
async fn an_unclosed_quote_is_told_with_its_line() {
    let long = "a,b\n1,\"x\n".to_owned() + &"2,y\n".repeat(400_000);
    for (data, line) in [("a,b\n1,\"x\n2,y\n".to_owned(), 2), ("a,b\n\"1\n\n\",\"".to_owned(), 4), (long, 2)] {
        let Err(Failure::Fatal { code, message }) = run_file(data, json!({})).await.result else { panic!("it failed") };
        assert_eq!(code, "unclosed_quote");
        assert!(message.contains(&format!("line {line} ")), "{message}");
    }
}

#[tokio::test]
async fn what_is_too_large_fails_by_its_name() {
    let cell = "a\n".to_owned() + &"x".repeat(records::MAX_CELL_BYTES + 1);
    assert_eq!(run_file(cell, json!({})).await.code(), "field_too_large");
    let columns = ["x"; records::MAX_COLUMNS + 1].join(",");
    assert_eq!(run_file(columns, json!({})).await.code(), "too_many_columns");
    let record = "a\n".to_owned() + &format!("{},", "x".repeat(1 << 20)).repeat(17);
    assert_eq!(run_file(record, json!({})).await.code(), "record_too_large");
}

#[tokio::test]
async fn no_nul_character_comes_out() {
    let left = run_file("a\0,b\nx\0\0y,\0\n", json!({})).await;
    assert_eq!(left.output("output.csv"), "a\u{fffd},b\nx\u{fffd}\u{fffd}y,\u{fffd}\n".as_bytes());
    assert!(left.log.iter().any(|line| line.contains("NUL")));
    assert!(!left.result().to_string().contains("\\u0000"));
}

#[tokio::test]
async fn names_are_made_whole_and_unique() {
    let result = result_of("a,,a,a_2\n1,2,3,4\n", json!({})).await;
    let names: Vec<&Value> = result["columns"].as_array().unwrap().iter().map(|column| &column["name"]).collect();
    assert_eq!(names, ["a", "column_2", "a_2", "a_2_2"]);
    assert_eq!(result["warnings"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn files_without_rows_are_told_apart() {
    assert_eq!(result_of("a,b\n", json!({})).await["rows"], 0);
    assert_eq!(result_of("a,b", json!({})).await["columns"][0]["count"], 0);
    for empty in ["", "\n\r\n", "\u{feff}"] {
        assert_eq!(run_file(empty, json!({})).await.code(), "empty_file", "{empty:?}");
    }
    let no_header = result_of("1,2\n3,4\n", json!({})).await;
    assert_eq!((&no_header["has_header"], &no_header["rows"]), (&json!(false), &json!(2)));
}

#[tokio::test]
async fn a_formula_is_defused_and_a_number_is_not() {
    let data = "a\n=1+1\n+1\n-1.5\n@x\n-x\n\"\tx\"\n＝1\n２\n";
    assert_eq!(output_of(data, json!({})).await, "a\n'=1+1\n+1\n-1.5\n'@x\n'-x\n'\tx\n'＝1\n２\n");
}

#[tokio::test]
async fn rows_are_sorted_deduplicated_selected_and_cut() {
    let data = "city,amount,x\nRome,2,a\nLima,10,b\nRome,2,a\nOslo,NA,c\nBern,10,d\n";
    let options = json!({ "sort": ["-amount", "city"], "deduplicate": true, "limit": 3,
        "select": ["amount", "city"], "rename": { "city": "town" } });
    assert_eq!(output_of(data, options.clone()).await, "amount,town\n10,Bern\n10,Lima\n2,Rome\n");
    let result = result_of(data, options).await;
    assert_eq!(
        (&result["rows"], &result["duplicates"], &result["columns"][0]["sum"]),
        (&json!(3), &json!(1), &json!(22))
    );
    assert_eq!(output_of(data, json!({ "deduplicate": ["amount"] })).await.lines().count(), 4);
    assert_eq!(run_file(data, json!({ "sort": ["nope"] })).await.code(), "unknown_column");
    assert_eq!(run_file(data, json!({ "rename": { "x": "city" } })).await.code(), "duplicate_column");
}

#[tokio::test]
async fn rows_are_filtered_before_all_else_by_the_names_in_the_file() {
    let data = "city,amount,x\nRome,2,a\nLima,10,b\nRome,2,a\nbad\nOslo,NA,c\nBern,10,d\nBern,30,d\n";
    let options = json!({ "filter": "amount >= 2 and x in (\"a\", \"d\")", "deduplicate": ["city"], "sort": ["-amount"],
        "limit": 1, "select": ["city"], "rename": { "city": "x" } });
    assert_eq!(output_of(data, options.clone()).await, "x\nBern\n");
    let result = result_of(data, options).await;
    let count = |name: &str| result[name].as_u64().unwrap();
    assert_eq!((count("rows_read"), count("bad_rows"), count("rows_filtered_out")), (7, 1, 2));
    assert_eq!((count("duplicates"), count("rows"), &result["columns"][0]["distinct"]), (2, 1, &json!(1)));
}

#[tokio::test]
async fn statistics_describe_the_rows_the_filter_keeps() {
    let data = "city,amount\nRome,2\n\"Rome, Via 1\",4\nLima,\nRome,-\n";
    let options = json!({ "filter": "city starts with \"Rome\" and amount is not null", "null_values": ["-"] });
    let result = result_of(data, options.clone()).await;
    let amount = &result["columns"][1];
    assert_eq!((&amount["count"], &amount["nulls"], &amount["sum"]), (&json!(2), &json!(0), &json!(6)));
    assert_eq!(output_of(data, options).await, "city,amount\nRome,2\n\"Rome, Via 1\",4\n");
    let none = result_of(data, json!({ "filter": "amount > 99" })).await;
    assert_eq!((&none["rows"], &none["rows_filtered_out"]), (&json!(0), &json!(4)));
    assert_eq!(result_of(data, json!({})).await["rows_filtered_out"], 0);
}

#[tokio::test]
async fn an_unknown_column_is_told_with_the_known_ones() {
    for options in [json!({ "filter": "town = \"Rome\"" }), json!({ "select": ["town"] })] {
        let Err(Failure::Fatal { code, message }) = run_file("city,amount\nRome,2\n", options).await.result else {
            panic!("it failed")
        };
        assert_eq!(
            (code.as_str(), &*message),
            ("unknown_column", "there is no column town; the file has: city, amount")
        );
    }
    let many = (0..500).map(|i| format!("column {i}")).collect::<Vec<_>>().join(",") + "\n";
    let Err(Failure::Fatal { message, .. }) = run_file(many, json!({ "sort": ["x"] })).await.result else {
        panic!("it failed")
    };
    assert!(message.len() < 1100 && message.ends_with('…'), "{message}");
}

#[tokio::test]
async fn no_infinity_reaches_the_result() {
    let result = result_of("a\n1e308\n1e308\n-1e308\nNaN\n", json!({})).await;
    assert_eq!((&result["columns"][0]["count"], &result["columns"][0]["std"]), (&json!(3), &Value::Null));
    assert_eq!(result_of("a\n1e999\n", json!({ "has_header": true })).await["columns"][0]["type"], "text");
}

#[tokio::test]
async fn a_column_of_numbers_with_a_slip_says_where() {
    let data = "a\n".to_owned() + &"1\n".repeat(50) + "oops\n" + &"2\n".repeat(50);
    let result = result_of(data, json!({})).await;
    assert_eq!(result["columns"][0]["type"], "text");
    assert_eq!(result["warnings"][0], "column a: 100 of 101 cells are numbers; the first that is not is on line 52");
}

#[tokio::test]
async fn it_stops_when_told_and_leaves_nothing() {
    let mut trial = Trial::new();
    let id = trial.upload("table.csv", b"a\n1\n").await;
    trial.stop.cancel();
    for params in [json!({ "file_id": id }), json!({ "num_rows": 100 })] {
        let left = trial.run(CsvProcessing, params).await;
        assert!(left.outputs.is_empty());
        assert_eq!(left.code(), "stopped");
    }
}

#[tokio::test]
async fn rows_across_blocks_are_whole() {
    let rows: String = (0..100_000).map(|i| format!("{i},\"text {i}\r\nmore\"\r\n")).collect();
    let result = result_of("id,text\r\n".to_owned() + &rows, json!({})).await;
    assert_eq!((&result["rows"], &result["bad_rows"]), (&json!(100_000), &json!(0)));
    assert_eq!(result["columns"][0]["sum"], 4_999_950_000u64);
    assert_eq!(result["columns"][1]["distinct"], 100_000);
}

#[test]
fn params_that_contradict_are_refused() {
    let id = Uuid::nil();
    assert_eq!(refused(json!({ "num_rows": 99 })), "/num_rows must be 100 to 10000");
    assert_eq!(refused(json!({ "processing_time": 61 })), "/processing_time must be 0 to 60");
    assert_eq!(refused(json!({ "limit": 5 })), "/file_id is required, or data in its place");
    assert_eq!(refused(json!({ "file_id": id, "data": "x" })), "/data must not be given together with file_id");
    assert_eq!(
        refused(json!({ "data": "x", "delimiter": "\"" })),
        "/delimiter must be one ASCII character, no quote and no line end"
    );
    assert_eq!(
        refused(json!({ "data": "x", "encoding": "klingon" })),
        "/encoding must be the name of an encoding, as utf-8 or windows-1252"
    );
    assert_eq!(refused(json!({ "data": "x", "on_bad_row": "cry" })), "/on_bad_row must be one of skip, fail");
    assert_eq!(
        refused(json!({ "data": "x", "filter": "a = 1 or" })),
        "/filter at character 9: expected a column, not, or an opening parenthesis, found the end"
    );
    assert_eq!(refused(json!({ "data": "x", "filter": "" })), "/filter must be 1 to 2000 characters");
    assert_eq!(refused(json!({ "data": "x", "deduplicate": 1 })), "/deduplicate must be true or false or a list");
}

#[test]
fn the_file_is_named_as_an_upload() {
    let schema = schema::Schema::new(CsvProcessing.params_schema());
    let params = serde_json::value::to_raw_value(&json!({ "file_id": Uuid::nil() })).unwrap();
    let checked = schema.check(&params).unwrap();
    assert_eq!(checked.files, [("/file_id".to_owned(), Uuid::nil())]);
    assert_eq!(checked.params["on_bad_row"], "skip");
}
