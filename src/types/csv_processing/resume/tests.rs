//! Whatever the table and wherever it is interrupted, the result is that of one go.

use super::super::{Own, run_own};
use super::*;
use crate::types::context::trial::{Left, Trial};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

/// A run that makes checkpoints at some rows and is stopped at a later one.
#[derive(Debug, Clone)]
struct Interrupted {
    checkpoints: Vec<u64>,
    stop_at: u64,
}

async fn attempt(trial: &Trial, options: &Value, pace: Pace) -> Left {
    let ctx = trial.attempt();
    let own: Own = serde_json::from_value(options.clone()).unwrap();
    let result = run_own(own, pace, &ctx).await;
    trial.left(&ctx, result).await
}

/// What one go comes to, and what the last attempt comes to after the others were interrupted.
async fn in_one_go_and_in_many(table: &[u8], options: &Value, interrupted: &[Interrupted]) -> (Left, Left) {
    in_one_go_and_in_many_of(Trial::new(), table, options, interrupted).await
}

async fn in_one_go_and_in_many_of(
    mut trial: Trial,
    table: &[u8],
    options: &Value,
    interrupted: &[Interrupted],
) -> (Left, Left) {
    let mut options = options.clone();
    options["file_id"] = json!(trial.upload("table.csv", table).await);
    let whole = attempt(&trial, &options, Pace::default()).await;
    trial.forget();
    for Interrupted { checkpoints, stop_at } in interrupted {
        let pace = Pace { at_rows: checkpoints.clone(), stop_at: Some(*stop_at), ..Pace::default() };
        attempt(&trial, &options, pace).await;
    }
    let last = attempt(&trial, &options, Pace::default()).await;
    (whole, last)
}

fn same(whole: &Left, last: &Left) {
    assert_eq!(format!("{:?}", last.result), format!("{:?}", whole.result));
    let text = |left: &Left| {
        left.outputs
            .iter()
            .map(|(name, bytes)| (name.clone(), String::from_utf8_lossy(bytes).into_owned()))
            .collect::<Vec<_>>()
    };
    assert_eq!(text(last), text(whole));
}

fn cell() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => (-1000i64..1000).prop_map(|value| value.to_string()),
        2 => any::<i64>().prop_map(|value| value.to_string()),
        4 => any::<f64>().prop_filter("finite", |value| value.is_finite()).prop_map(|value| value.to_string()),
        2 => (-1e6..1e6f64).prop_map(|value| format!("{value:.2}")),
        3 => select(vec!["", "NA", "true", "FALSE", "2026-01-31", "2026-01-31T12:00:00Z", "-x", "=1+1", "\0", "a b", "Rome", "é", "\u{feff}x"])
            .prop_map(str::to_owned),
        1 => "[ -~éäß\n\r\",;]{0,12}",
    ]
}

/// Cells as a file has them; some rows have one too many.
fn table() -> impl Strategy<Value = Vec<u8>> {
    let ends = select(vec!["\n", "\r\n", "\r"]);
    let encodings = select(vec!["utf-8", "utf-8", "bom", "utf-16le", "utf-16be", "windows-1252"]);
    let rows = (1..5usize).prop_flat_map(|width| vec((vec(cell(), width), 0..30), 1..40));
    (rows, ends, encodings, any::<bool>()).prop_map(|(rows, end, encoding, ended)| {
        let quoted = |cell: &String| match cell.contains(['"', ',', ';', '\n', '\r']) {
            true => format!("\"{}\"", cell.replace('"', "\"\"")),
            false => cell.clone(),
        };
        let line = |(cells, odd): &(Vec<String>, i32)| {
            let line = cells.iter().map(quoted).collect::<Vec<_>>().join(",");
            if *odd == 0 { line + ",more" } else { line }
        };
        let header: Vec<String> = (0..rows[0].0.len()).map(|i| format!("c{i}")).collect();
        let lines: Vec<String> = [header.join(",")].into_iter().chain(rows.iter().map(line)).collect();
        let text = lines.join(end) + if ended { end } else { "" };
        let marked = format!("\u{feff}{text}");
        match encoding {
            "bom" => marked.into_bytes(),
            "utf-16le" => marked.encode_utf16().flat_map(u16::to_le_bytes).collect(),
            "utf-16be" => marked.encode_utf16().flat_map(u16::to_be_bytes).collect(),
            "windows-1252" => encoding_rs::WINDOWS_1252.encode(&text).0.into_owned(),
            _ => text.into_bytes(),
        }
    })
}

fn options() -> impl Strategy<Value = Value> {
    select(vec![
        json!({}),
        json!({ "has_header": false }),
        json!({ "deduplicate": true }),
        json!({ "deduplicate": ["c0"], "limit": 12 }),
        json!({ "sort": ["-c0"], "deduplicate": true }),
        json!({ "sort": ["c0"], "limit": 7, "rename": { "c0": "first" } }),
        json!({ "filter": "c0 > 0 or c0 is null", "select": ["c0"] }),
        json!({ "on_bad_row": "fail" }),
        json!({ "encoding": "windows-1252", "null_values": ["Rome"] }),
        json!({ "encoding": "shift_jis", "delimiter": "," }),
        json!({ "output_format": "ndjson", "deduplicate": true }),
    ])
}

fn interrupted() -> impl Strategy<Value = Interrupted> {
    (vec(1..40u64, 0..4), 1..45u64).prop_map(|(checkpoints, stop_at)| Interrupted { checkpoints, stop_at })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    #[test]
    fn a_table_read_in_many_attempts_comes_to_what_it_comes_to_in_one(
        table in table(), options in options(), interrupted in vec(interrupted(), 1..4),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (whole, last) = runtime.block_on(in_one_go_and_in_many(&table, &options, &interrupted));
        same(&whole, &last);
    }

    #[test]
    fn a_table_read_in_many_attempts_comes_to_the_same_in_a_bucket(
        table in table(), options in options(), interrupted in vec(interrupted(), 1..4), part_bytes in 1..200usize,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let trial = Trial::in_bucket(part_bytes);
        let (whole, last) = runtime.block_on(in_one_go_and_in_many_of(trial, &table, &options, &interrupted));
        same(&whole, &last);
    }
}

/// Longer than a block, so that a block is not where the file begins.
fn long_table() -> String {
    let rows = (0..30_000).map(|i| format!("{i},{}.5,\"text {}\r\nß\"\r\n", i * 7 % 1000, i % 777));
    "id,amount,text\r\n".to_owned() + &rows.collect::<String>()
}

#[tokio::test]
async fn a_table_of_many_blocks_is_gone_on_with_in_every_encoding() {
    let text = long_table();
    let stops = [(9_000, 9_500), (20_000, 29_000)];
    let interrupted = stops.map(|(row, stop_at)| Interrupted { checkpoints: vec![row], stop_at });
    for table in [
        text.clone().into_bytes(),
        text.encode_utf16().flat_map(u16::to_le_bytes).collect(),
        encoding_rs::WINDOWS_1252.encode(&text).0.into_owned(),
    ] {
        let (whole, last) = in_one_go_and_in_many(&table, &json!({ "deduplicate": ["text"] }), &interrupted).await;
        assert!(last.log[0].starts_with("going on from row 20001, byte "), "{:?}", last.log);
        assert_eq!(whole.result.as_ref().unwrap()["rows"], 777);
        same(&whole, &last);
    }
}

#[tokio::test]
async fn what_is_read_is_not_read_again() {
    let (mut trial, mut table) = (Trial::new(), long_table().into_bytes());
    let id = trial.upload("table.csv", &table).await;
    let options = json!({ "file_id": id });
    let whole = attempt(&trial, &options, Pace::default()).await;
    attempt(&trial, &options, Pace { at_rows: vec![20_000], stop_at: Some(25_000), ..Pace::default() }).await;
    table[..500_000].fill(b'"');
    trial.replace(id, &table).await;
    same(&whole, &attempt(&trial, &options, Pace::default()).await);
}

#[tokio::test]
async fn a_state_that_is_damaged_or_of_another_form_is_left_aside() {
    for spoil in ["form", "state", "output"] {
        let mut trial = Trial::new();
        let options = json!({ "file_id": trial.upload("table.csv", b"a\n1\n2\n3\n").await });
        let stop = Pace { at_rows: vec![2], stop_at: Some(3), ..Pace::default() };
        attempt(&trial, &options, stop).await;
        let mut saved = trial.checkpoint(NAME).unwrap();
        match spoil {
            "form" => saved["form"] = json!(FORM + 1),
            file => trial.delete(saved[file]["location"].as_str().unwrap()).await,
        }
        trial.attempt().save(NAME, &saved).await.unwrap();
        let left = attempt(&trial, &options, Pace::default()).await;
        assert_eq!(left.log, ["what an earlier attempt left cannot be used: beginning anew"], "{spoil}");
        assert_eq!(left.result()["columns"][0]["sum"], 6);
    }
}

#[tokio::test]
async fn rows_sorted_on_the_disk_are_gone_on_with_and_made_anew_where_they_are_damaged() {
    let table = "a\n".to_owned() + &(0..200).map(|i| format!("{}\n", i * 7 % 200)).collect::<String>();
    let expected = "a\n".to_owned() + &(0..200).map(|i| format!("{i}\n")).collect::<String>();
    for damaged in [false, true] {
        let mut trial = Trial::new();
        let options = json!({ "file_id": trial.upload("table.csv", table.as_bytes()).await, "sort": ["a"] });
        attempt(&trial, &options, Pace { at_rows: vec![150], stop_at: Some(180), ..Pace::default() }).await;
        let saved = trial.checkpoint(NAME).unwrap();
        let run = saved["runs"][0]["location"].as_str().unwrap();
        if damaged {
            trial.delete(run).await;
        }
        let left = attempt(&trial, &options, Pace::default()).await;
        let told = if damaged { "what an earlier attempt left" } else { "going on from row 151" };
        assert!(left.log[0].starts_with(told), "{:?}", left.log);
        assert_eq!(String::from_utf8_lossy(left.output("output.csv")), expected);
    }
}

#[tokio::test]
async fn rows_that_were_written_in_order_are_not_written_again() {
    let table = "a\n".to_owned() + &(0..200).map(|i| format!("{}.5\n", i * 7 % 200)).collect::<String>();
    let interrupted = [Interrupted { checkpoints: vec![260], stop_at: 280 }];
    for trial in [Trial::new(), Trial::in_bucket(64)] {
        let options = json!({ "sort": ["a"] });
        let (whole, last) = in_one_go_and_in_many_of(trial, table.as_bytes(), &options, &interrupted).await;
        assert_eq!(last.log, ["going on from row 61 of the sorted ones"]);
        same(&whole, &last);
    }
}

#[tokio::test]
async fn a_checkpoint_takes_the_files_of_the_one_before_it_away() {
    for mut trial in [Trial::new(), Trial::in_bucket(3)] {
        let options = json!({ "file_id": trial.upload("table.csv", b"a\n1\n2\n3\n4\n").await });
        attempt(&trial, &options, Pace { at_rows: vec![1], stop_at: Some(2), ..Pace::default() }).await;
        let first = trial.checkpoint(NAME).unwrap();
        attempt(&trial, &options, Pace { at_rows: vec![2, 3], stop_at: Some(4), ..Pace::default() }).await;
        let files = [&first["state"]["location"], &first["output"]["location"], &first["output"]["parts"]["tail"]];
        for file in files.iter().filter_map(|file| file.as_str()) {
            assert!(!trial.has(file).await, "{file}");
        }
        assert_eq!(attempt(&trial, &options, Pace::default()).await.result()["rows"], 4);
    }
}

#[tokio::test]
async fn a_checkpoint_is_due_after_so_much_of_the_file_or_so_much_time_but_takes_its_share_at_most() {
    let trial = Trial::new();
    let ctx = trial.attempt();
    let pace = Pace { every: Duration::from_secs(600), bytes: 100, ..Pace::default() };
    let mut saver = Saver::new(pace, 0, Vec::new(), &ctx);
    assert!(!saver.is_due(1, 99).unwrap());
    assert!(saver.is_due(1, 100).unwrap());
    assert!(!saver.is_due(1, 100).unwrap(), "no second look within a block");
    saver.pace.every = Duration::ZERO;
    assert!(saver.is_due(1, 101).unwrap());
    saver.wait = Duration::from_secs(600);
    assert!(!saver.is_due(1, 202).unwrap());
}

/// Some twenty rows that differ, each a few times, and some that are bad. The seventh is the last of those held.
fn repeating_table() -> String {
    "a,b\n".to_owned()
        + &(0..60)
            .map(|i| if i % 9 == 4 { "bad\n".to_owned() } else { format!("{},x\n", i * 7 % 20) })
            .collect::<String>()
}

#[tokio::test]
async fn a_table_that_was_looked_through_is_gone_on_with_from_every_row() {
    for options in [
        json!({ "deduplicate": true }),
        json!({ "deduplicate": ["a"], "sort": ["-a"], "filter": "a != 3" }),
        json!({ "deduplicate": ["a"], "limit": 15 }),
    ] {
        for stop_at in 1..=60 {
            let interrupted = [Interrupted { checkpoints: Vec::new(), stop_at }];
            let (whole, last) = in_one_go_and_in_many(repeating_table().as_bytes(), &options, &interrupted).await;
            same(&whole, &last);
            let from = last.log.first().filter(|line| line.starts_with("going on from row 8, "));
            assert_eq!(from.is_some(), stop_at > 7, "{stop_at}: {:?}", last.log);
        }
        for row in (1..=50).step_by(7) {
            let interrupted = [Interrupted { checkpoints: vec![row, row + 3], stop_at: row + 9 }];
            let (whole, last) = in_one_go_and_in_many(repeating_table().as_bytes(), &options, &interrupted).await;
            same(&whole, &last);
        }
    }
}

#[tokio::test]
async fn a_node_killed_while_it_looks_ahead_does_so_again() {
    let mut trial = Trial::new();
    let options =
        json!({ "file_id": trial.upload("table.csv", repeating_table().as_bytes()).await, "deduplicate": true });
    let whole = attempt(&trial, &options, Pace::default()).await;
    trial.forget();
    for _ in 0..3 {
        // The checkpoint before it is kept, the one behind it is not.
        trial.lose_after(usize::from(trial.checkpoint(NAME).is_none()));
        let stop = Pace { stop_at: Some(9), ..Pace::default() };
        assert_eq!(attempt(&trial, &options, stop).await.code(), "stopped");
    }
    trial.lose_after(usize::MAX);
    let last = attempt(&trial, &options, Pace::default()).await;
    assert!(last.log[0].starts_with("going on from row 8, "), "{:?}", last.log);
    same(&whole, &last);
}

#[tokio::test]
async fn a_table_with_more_rows_than_when_it_was_looked_through_has_changed() {
    let mut trial = Trial::new();
    let table = |row: &str| "a\n".to_owned() + &"10\n11\n12\n13\n14\n15\n16\n".repeat(2) + &row.repeat(10);
    let id = trial.upload("table.csv", table("1000\n").as_bytes()).await;
    let options = json!({ "file_id": id, "deduplicate": true });
    attempt(&trial, &options, Pace { at_rows: vec![12], stop_at: Some(13), ..Pace::default() }).await;
    trial.replace(id, table("1\n22\n").as_bytes()).await;
    assert_eq!(attempt(&trial, &options, Pace::default()).await.code(), "file_changed");
}
