//! Sorted rows, of which few fit into the memory that tests have.

use super::*;

/// Far more than is held at once; each key a few times.
fn table() -> String {
    let rows = (0..600u32).map(|i| match i % 50 {
        0 => format!("NA,{i}\n"),
        1 => format!("word {},{i}\n", i % 3),
        2 => format!("{}.5,{i}\n", i * 7 % 90),
        _ => format!("{},{i}\n", i * 7 % 90),
    });
    "key,row\n".to_owned() + &rows.collect::<String>()
}

/// By the rules, in memory, stably.
fn sorted(descending: bool) -> String {
    let table = table();
    let mut rows: Vec<(u8, f64, &str, &str)> = Vec::new();
    for line in table.lines().skip(1) {
        let key = line.split(',').next().unwrap();
        rows.push(match key.parse() {
            Ok(number) => (0, number, "", line),
            Err(_) if key == "NA" => (2, 0.0, "", line),
            Err(_) => (1, 0.0, key, line),
        });
    }
    rows.sort_by(|a, b| {
        let upwards = (a.0, a.1, a.2).partial_cmp(&(b.0, b.1, b.2)).unwrap();
        if descending && a.0 < 2 && b.0 < 2 { upwards.reverse() } else { upwards }
    });
    "key,row\n".to_owned() + &rows.iter().map(|row| format!("{}\n", row.3)).collect::<String>()
}

#[tokio::test]
async fn more_rows_than_fit_into_memory_are_sorted() {
    assert_eq!(output_of(table(), json!({ "sort": ["key"] })).await, sorted(false));
    let left = run_file(table(), json!({ "sort": ["-key"] })).await;
    assert_eq!(left.output("output.csv"), sorted(true).as_bytes());
    assert_eq!(left.outputs.len(), 3, "and no run is an output");
    assert_eq!(left.result()["columns"][1]["sum"], 600 * 599 / 2);
}

#[tokio::test]
async fn the_first_rows_of_many_are_those_of_all_in_order() {
    let all = sorted(true);
    for limit in [1, 3, 40, 599] {
        let expected: String = all.lines().take(limit + 1).map(|line| format!("{line}\n")).collect();
        assert_eq!(output_of(table(), json!({ "sort": ["-key"], "limit": limit })).await, expected, "{limit}");
    }
}

#[tokio::test]
async fn rows_are_sorted_by_one_column_and_then_the_next() {
    let data: String = (0..300).map(|i| format!("{},{}\n", i % 3, i * 7 % 100)).collect();
    let output = output_of("a,b\n".to_owned() + &data, json!({ "sort": ["-a", "b"] })).await;
    let mut expected: Vec<(i32, i32)> = (0..300).map(|i| (-(i % 3), i * 7 % 100)).collect();
    expected.sort_unstable();
    let expected: String = expected.iter().map(|(a, b)| format!("{},{b}\n", -a)).collect();
    assert_eq!(output, "a,b\n".to_owned() + &expected);
}

#[tokio::test]
async fn whole_numbers_beyond_doubles_are_sorted_exactly_and_both_zeros_are_one() {
    let data = "a,b\n9007199254740993,1\n9007199254740992,2\n9007199254740992.0,3\n0,4\n-0.0,5\n0.0,6\n";
    let expected = "b\n4\n5\n6\n2\n3\n1\n";
    assert_eq!(output_of(data, json!({ "sort": ["a"], "select": ["b"] })).await, expected);
}

#[tokio::test]
async fn what_there_is_to_do_is_told_by_what_became_of_the_rows() {
    for (rows, options, least, most) in [
        (400, json!({}), 1.0, 1.0),
        (400, json!({ "sort": ["n"] }), 2.2, 2.3),
        (400, json!({ "sort": ["n"], "filter": "k = 1" }), 1.3, 1.4),
        (400, json!({ "sort": ["n"], "limit": 40 }), 1.1, 1.2),
        (200_000, json!({ "limit": 100_000 }), 0.4, 0.7),
    ] {
        let (mut trial, mut params) = (Trial::new(), options.clone());
        let table = (0..rows).fold("n,k\n".to_owned(), |table, row| table + &format!("{row},{}\n", row % 4));
        params["file_id"] = json!(trial.upload("table.csv", table.as_bytes()).await);
        let (ctx, params) = (trial.attempt(), serde_json::value::to_raw_value(&params).unwrap());
        CsvProcessing.run(&params, &ctx).await.unwrap();
        let work = ctx.take_said().0.unwrap().total.unwrap() as f64 / table.len() as f64;
        assert!((least..=most).contains(&work), "{options}: {work}");
    }
}
