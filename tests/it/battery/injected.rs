//! Errors and panics at a point, and what the code around makes of them: with the real binary.

use super::check::check;
use super::fail_points::Which;
use super::ledger::Ledger;
use super::load::Client;
use crate::support::node::{Home, Node};
use crate::support::on_both_databases;
use errand::task::Time;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

on_both_databases!(
    Which: a_report_is_tried_until_it_is_written,
    a_write_that_panics_is_an_unknown_outcome_and_the_node_works_on,
    a_panic_of_ours_beside_a_handler_costs_the_lease_and_no_more,
    a_node_of_which_a_part_panics_ends_with_code_1_and_loses_nothing,
);

const FLAGS: &[&str] = &["--lease-seconds", "5", "--workers", "4"];
const PATIENCE: Duration = Duration::from_secs(60);

fn armed(home: &Home, faults: &str) -> Node {
    home.start_armed(FLAGS, faults).expect("it lives at first")
}

async fn timeline(node: &Node, id: &str) -> Vec<(String, Time)> {
    let answer = node.get(&format!("/api/tasks/{id}/timeline")).await;
    let line =
        |line: &Value| (line["event"].as_str().unwrap().to_owned(), Time::parse(line["at"].as_str().unwrap()).unwrap());
    answer["timeline"].as_array().unwrap().iter().map(line).collect()
}

fn events(timeline: &[(String, Time)]) -> Vec<&str> {
    timeline.iter().map(|(event, _)| event.as_str()).collect()
}

async fn a_report_is_tried_until_it_is_written(which: Which) {
    let home = which.home().await;
    let node = armed(&home, "report_begun=away@1-10");
    let id = node.submit(json!({ "type": "noop" })).await;
    let task = node.until(&id, PATIENCE, |task| task["finished_at"].is_string()).await;
    assert_eq!((&task["status"], &task["attempt"]), (&json!("SUCCESS"), &json!(1)));
    let history = timeline(&node, &id).await;
    assert_eq!(events(&history), ["queued", "started", "succeeded"]);
    assert!(history[2].1.since(history[1].1) > 5_000, "longer than the first lease: {history:?}");
}

async fn a_write_that_panics_is_an_unknown_outcome_and_the_node_works_on(which: Which) {
    let home = which.home().await;
    let node =
        armed(&home, "submit_taken=panic@2,submit_committed=panic@4,change_taken=panic@3,change_committed=panic@5");
    let client = Client::new(&node.url, Arc::new(Ledger::default()));
    for n in 0..20 {
        client.submit("/api/tasks/submit", json!({ "type": "noop", "params": { "n": n } })).await.unwrap();
    }
    assert_eq!(client.ledger.unknown().len(), 2, "the two submits that broke off");
    client.resume().await.unwrap();
    let (figures, wrong) = check(&client, &home).await;
    assert_eq!((figures.tasks, wrong), (20, vec![]));
}

async fn a_panic_of_ours_beside_a_handler_costs_the_lease_and_no_more(which: Which) {
    let home = which.home().await;
    let node = armed(&home, "last_words_written=panic@1");
    let id = node.submit(json!({ "type": "noop" })).await;
    let task = node.until(&id, PATIENCE, |task| task["finished_at"].is_string()).await;
    assert_eq!((&task["status"], &task["attempt"]), (&json!("SUCCESS"), &json!(2)));
    assert_eq!(events(&timeline(&node, &id).await), ["queued", "started", "rescued", "started", "succeeded"]);
}

async fn a_node_of_which_a_part_panics_ends_with_code_1_and_loses_nothing(which: Which) {
    let home = which.home().await;
    let ledger = Arc::new(Ledger::default());
    for point in ["claim_begun", "beat_begun", "promote_begun"] {
        // From the third on, so that the first submits find a whole node.
        let mut node = armed(&home, &format!("{point}=panic@3-"));
        let client = Client::new(&node.url, ledger.clone());
        let load = tokio::spawn(async move { client.drive().await });
        assert_eq!(node.ended(PATIENCE).await.code(), Some(1), "{point}: {}", node.log());
        load.await.unwrap();
    }
    let node = home.start(FLAGS);
    let client = Client::new(&node.url, ledger);
    client.resume().await.unwrap();
    let (_, wrong) = check(&client, &home).await;
    assert_eq!(wrong, Vec::<String>::new());
}
