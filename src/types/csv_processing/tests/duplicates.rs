//! Duplicates dropped where many more rows differ than tests hold in memory: the rest of the table is looked through,
//! in several runs that are merged more than once.

use super::*;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use std::collections::HashSet;

/// Rows of three cells; every now and then one of two, which is bad.
fn table() -> impl Strategy<Value = String> {
    let row = (0..120u32, select(vec!["x", "Y", "", "a,b", "a\nb", "é"]), 0..2u32, 0..12u32);
    vec(row, 0..500).prop_map(|rows| {
        let line = |(a, b, c, odd)| if odd == 0 { format!("{a},{c}\n") } else { format!("{a},\"{b}\",{c}\n") };
        "a,b,c\n".to_owned() + &rows.into_iter().map(line).collect::<String>()
    })
}

#[derive(Debug, Clone)]
struct Options {
    by: Option<Vec<usize>>,
    filtered: bool,
    sorted: bool,
    limit: Option<usize>,
    inline: bool,
}

fn options() -> impl Strategy<Value = Options> {
    let by = select(vec![None, Some(vec![0]), Some(vec![2, 0]), Some(vec![0, 1])]);
    (by, any::<bool>(), any::<bool>(), select(vec![None, None, Some(3), Some(20), Some(150)]), any::<bool>())
        .prop_map(|(by, filtered, sorted, limit, inline)| Options { by, filtered, sorted, limit, inline })
}

/// By the rules, with every row in memory: the rows, and how many were read, bad, filtered out and dropped.
fn by_the_rules(table: &str, options: &Options) -> (Vec<Vec<String>>, [u64; 4]) {
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(table.as_bytes());
    let (mut seen, mut rows, [mut read, mut bad, mut filtered_out, mut dropped]) = (HashSet::new(), Vec::new(), [0; 4]);
    for row in reader.records() {
        if !options.sorted && options.limit.is_some_and(|limit| rows.len() == limit) {
            break;
        }
        let row: Vec<String> = row.unwrap().iter().map(str::to_owned).collect();
        read += 1;
        if row.len() != 3 {
            bad += 1;
        } else if options.filtered && row[0].parse::<u32>().unwrap() < 5 {
            filtered_out += 1;
        } else if !seen
            .insert(options.by.as_ref().map_or(row.clone(), |by| by.iter().map(|at| row[*at].clone()).collect()))
        {
            dropped += 1;
        } else {
            rows.push(row);
        }
    }
    if options.sorted {
        rows.sort_by_key(|row| std::cmp::Reverse(row[0].parse::<u32>().unwrap()));
    }
    rows.truncate(options.limit.unwrap_or(usize::MAX));
    (rows, [read, bad, filtered_out, dropped])
}

async fn as_it_does(table: &str, options: &Options) -> (Vec<Vec<String>>, [u64; 4]) {
    let names = |by: &Vec<usize>| by.iter().map(|at| ["a", "b", "c"][*at]).collect::<Vec<_>>();
    let mut params = json!({ "deduplicate": options.by.as_ref().map_or(json!(true), |by| json!(names(by))) });
    params["has_header"] = json!(true);
    params["delimiter"] = json!(",");
    if options.filtered {
        params["filter"] = json!("a >= 5");
    }
    if options.sorted {
        params["sort"] = json!(["-a"]);
    }
    if let Some(limit) = options.limit {
        params["limit"] = json!(limit);
    }
    let left = if options.inline {
        params["data"] = json!(table);
        Trial::new().run(CsvProcessing, params).await
    } else {
        run_file(table, params).await
    };
    let mut reader = csv::ReaderBuilder::new().from_reader(left.output("output.csv"));
    let rows = reader.records().map(|row| row.unwrap().iter().map(str::to_owned).collect()).collect();
    let result = left.result();
    (rows, ["rows_read", "bad_rows", "rows_filtered_out", "duplicates"].map(|name| result[name].as_u64().unwrap()))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]
    #[test]
    fn the_first_of_equal_rows_is_kept_however_many_differ(table in table(), options in options()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (rows, counts) = runtime.block_on(as_it_does(&table, &options));
        let (expected_rows, expected_counts) = by_the_rules(&table, &options);
        prop_assert_eq!(rows, expected_rows);
        prop_assert_eq!(counts, expected_counts);
    }
}

/// So many rows that differ, each twice.
fn twice(rows: u32) -> String {
    "a\n".to_owned() + &(0..2 * rows).map(|row| format!("{}\n", row % rows)).collect::<String>()
}

#[tokio::test]
async fn what_is_wrong_behind_the_limit_fails_no_task() {
    for (wrong, code) in [("\"x\n", "unclosed_quote"), ("1,2\n", "bad_row")] {
        let (table, options) = (twice(50) + wrong, json!({ "deduplicate": true, "on_bad_row": "fail" }));
        let mut limited = options.clone();
        limited["limit"] = json!(40);
        assert_eq!(output_of(&table, limited.clone()).await.lines().count(), 41);
        limited["limit"] = json!(60);
        assert_eq!(run_file(&table, limited.clone()).await.code(), code, "there are not so many before it");
        limited["limit"] = json!(40);
        limited["sort"] = json!(["a"]);
        assert_eq!(run_file(&table, limited).await.code(), code);
        assert_eq!(run_file(&table, options).await.code(), code);
    }
}

#[tokio::test]
async fn to_look_through_the_rest_is_part_of_the_work_and_leaves_nothing() {
    for (options, least) in [(json!({}), 0.95), (json!({ "sort": ["a"] }), 1.55)] {
        let (mut trial, mut params, table) =
            (Trial::new(), options.clone(), twice(900).replace('\n', &(" ".repeat(500) + "\n")));
        params["file_id"] = json!(trial.upload("table.csv", table.as_bytes()).await);
        params["deduplicate"] = json!(true);
        let (ctx, params) = (trial.attempt(), serde_json::value::to_raw_value(&params).unwrap());
        CsvProcessing.run(&params, &ctx).await.unwrap();
        let progress = ctx.take_said().0.unwrap();
        assert_eq!(progress.processed, progress.total, "{options}");
        let work = progress.total.unwrap() as f64 / table.len() as f64;
        assert!((least..least + 0.1).contains(&work), "{options}: {work}");
        for run in 1..100 {
            let location = crate::files::of_attempt(ctx.task_id(), uuid::Uuid::from_u128(1)) + &format!("/seen-{run}");
            assert!(!trial.has(&location).await, "{location}");
        }
    }
}
