//! What needs an approval, with the real binary: its setting, and its commands.

use crate::support::node::{Home, Homes, Node};
use crate::support::on_both_databases;
use serde_json::json;
use std::process::Command;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(60);

on_both_databases![Homes: a_type_in_the_setting_waits_until_a_person_approves_it_by_the_command_line];

/// What a subcommand of the client prints.
fn errand(home: &Home, node: &Node, line: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_errand"));
    command.env_clear().current_dir(home.folder.path()).env("ERRAND_URL", &node.url).args(line);
    let done = command.output().unwrap();
    assert!(done.status.success(), "{done:?}");
    String::from_utf8(done.stdout).unwrap().trim().to_owned()
}

async fn a_type_in_the_setting_waits_until_a_person_approves_it_by_the_command_line(home: Home) {
    let node = home.start(&["--approve-types", "noop"]);
    let [approved, rejected] = [errand(&home, &node, &["submit", "noop"]), errand(&home, &node, &["submit", "noop"])];
    let demo = ["submit", "demo", "--needs-approval", "--params", r#"{"duration": 1000}"#];
    let held = errand(&home, &node, &demo);
    for id in [&approved, &rejected, &held] {
        assert_eq!(node.get(&format!("/api/tasks/{id}")).await["phase"], "awaiting_approval");
    }
    assert!(errand(&home, &node, &["approve", &approved]).ends_with("approved"));
    assert!(errand(&home, &node, &["reject", &rejected, "--reason", "too dear"]).ends_with("rejected"));
    node.until(&approved, PATIENCE, |task| task["status"] == "SUCCESS").await;
    let task = node.get(&format!("/api/tasks/{rejected}")).await;
    assert_eq!((&task["status"], &task["error"]["message"]), (&json!("CANCELLED"), &json!("too dear")));
    assert_eq!(node.get(&format!("/api/tasks/{held}")).await["attempt"], 0);
}

#[tokio::test]
async fn a_type_to_be_approved_that_there_is_none_of_ends_with_code_2() {
    let home = Home::sqlite();
    let Err((status, said)) = Node::try_start(home.command(&["--approve-types", "noop,email_sendin"])) else {
        panic!("it starts")
    };
    assert_eq!(status.code(), Some(2), "{said}");
    assert!(said.contains("there is no task type email_sendin; the types are csv_processing"), "{said}");
}
