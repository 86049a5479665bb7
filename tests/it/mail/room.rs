//! The process that talks to the mail server outlives its node until it has the answer, and no longer; killed itself, it
//! costs what a broken connection does.

use crate::support::mail::{Act, At, Peer, Script, Tls};
use crate::support::node::{Home, Homes, Node};
use crate::support::on_both_databases;
use errand::config::MAIL_ROOM;
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Notify;

const PATIENCE: Duration = Duration::from_secs(60);

on_both_databases![
    Homes:
    a_mail_that_is_answered_after_its_node_has_ended_is_not_sent_again,
    a_mail_that_is_deferred_after_its_node_was_killed_is_sent_again,
    a_mail_that_the_server_has_not_asked_for_when_its_node_is_killed_is_sent_by_the_next_attempt_alone,
    a_killed_process_for_mails_costs_what_a_broken_connection_does,
];

/// Waits until it is so.
pub async fn until(what: &str, so: impl Fn() -> bool) {
    let began = Instant::now();
    while !so() {
        assert!(began.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A server that does so at the second recipient's first mail.
async fn peer(place: At, act: Act) -> Peer {
    let script: Script =
        Arc::new(
            move |at, said, times| {
                if at == place && said.starts_with("user2@") && times == 0 { act.clone() } else { Act::Take }
            },
        );
    Peer::start(Tls::No, script).await
}

fn start(home: &Home, peer: &Peer) -> Node {
    let url = format!("smtp://me:secret@127.0.0.1:{}", peer.port);
    let flags = ["--lease-seconds", "5", "--drain-seconds", "1", "--smtp-url", &url];
    home.start(&[&flags[..], &["--mail-from", "Errand <errand@example.org>"]].concat())
}

async fn submit(node: &Node) -> String {
    node.submit(super::task(super::mailing(3))).await
}

/// Its process for mails.
fn room(node: &Node) -> u32 {
    let child = |pid: &u32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let parent = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(1)?.parse().ok());
        parent == Some(node.id()) && of_process(*pid, "cmdline").contains(MAIL_ROOM)
    };
    let mut all =
        std::fs::read_dir("/proc").unwrap().filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok());
    all.find(child).expect("there is one")
}

fn of_process(pid: u32, file: &str) -> String {
    std::fs::read(format!("/proc/{pid}/{file}"))
        .map(|text| String::from_utf8_lossy(&text).into_owned())
        .unwrap_or_default()
}

/// Whether that process runs; one that nobody has waited for does not.
fn runs(pid: u32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists() && !of_process(pid, "status").contains("State:\tZ")
}

fn signal(pid: u32, name: &str) {
    assert!(Command::new("kill").args(["-s", name, &pid.to_string()]).status().unwrap().success());
}

/// How often each of the three got the mail; all of them did.
async fn told(node: &Node, id: &str, peer: &Peer) -> [usize; 3] {
    let done = node.until(id, PATIENCE, |task| task["finished_at"].is_string()).await;
    assert_eq!((&done["status"], &done["result"]["emails_sent"]), (&json!("SUCCESS"), &json!(3)), "{done:.1000}");
    let mails = peer.mails();
    [1, 2, 3].map(|n| mails.iter().filter(|mail| mail.to == format!("user{n}@example.org")).count())
}

async fn log(node: &Node, id: &str) -> String {
    node.text(&format!("/api/tasks/{id}/logs")).await
}

/// Once the next attempt waits for the answer, the server gives it; then the process has nothing more to do.
async fn answer_to_the_waiting(node: &Node, id: &str, room: u32, answer: &Notify) {
    let began = Instant::now();
    while !log(node, id).await.contains("waiting for the server's answer") {
        assert!(began.elapsed() < PATIENCE, "{}", log(node, id).await);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(runs(room));
    answer.notify_one();
    until("the process ends with its last mail", || !runs(room)).await;
}

async fn a_mail_that_is_answered_after_its_node_has_ended_is_not_sent_again(home: Home) {
    for end in ["KILL", "TERM"] {
        let answer = Arc::new(Notify::new());
        let peer = peer(At::Mail, Act::Later(answer.clone(), Box::new(Act::Take))).await;
        let mut node = start(&home, &peer);
        let id = submit(&node).await;
        until("the mail is with the server", || peer.heard("mail to user2@") == 1).await;
        let room = room(&node);
        node.signal(end);
        node.ended(PATIENCE).await;
        // Whoever ends a node ends all that it started: that is not for this one.
        ["TERM", "INT", "HUP"].iter().for_each(|name| signal(room, name));
        let node = start(&home, &peer);
        answer_to_the_waiting(&node, &id, room, &answer).await;
        assert_eq!(told(&node, &id, &peer).await, [1, 1, 1], "{end}");
        assert!(!log(&node, &id).await.contains("twice"), "{end}");
    }
}

async fn a_mail_that_is_deferred_after_its_node_was_killed_is_sent_again(home: Home) {
    let answer = Arc::new(Notify::new());
    let peer = peer(At::Mail, Act::Later(answer.clone(), Box::new(Act::Say("451 later".to_owned())))).await;
    let mut node = start(&home, &peer);
    let id = submit(&node).await;
    until("the mail is with the server", || peer.heard("mail to user2@") == 1).await;
    let room = room(&node);
    node.signal("KILL");
    node.ended(PATIENCE).await;
    let node = start(&home, &peer);
    answer_to_the_waiting(&node, &id, room, &answer).await;
    assert_eq!(told(&node, &id, &peer).await, [1, 1, 1]);
    assert_eq!(peer.heard("mail to user2@"), 2, "it was asked again");
    assert!(!log(&node, &id).await.contains("twice"), "it was not out");
}

async fn a_mail_that_the_server_has_not_asked_for_when_its_node_is_killed_is_sent_by_the_next_attempt_alone(
    home: Home,
) {
    let peer = peer(At::To, Act::Hang).await;
    let mut node = start(&home, &peer);
    let id = submit(&node).await;
    until("the server knows to whom it goes", || peer.heard("RCPT TO:<user2@") == 1).await;
    let room = room(&node);
    node.signal("KILL");
    node.ended(PATIENCE).await;
    let killed = Instant::now();
    until("the process gives it up", || !runs(room)).await;
    assert!(killed.elapsed() < Duration::from_secs(10), "it waited for the server: {:?}", killed.elapsed());
    let node = start(&home, &peer);
    assert_eq!(told(&node, &id, &peer).await, [1, 1, 1]);
    assert!(!log(&node, &id).await.contains("twice"), "it was not out");
}

async fn a_killed_process_for_mails_costs_what_a_broken_connection_does(home: Home) {
    let peer = peer(At::Mail, Act::KeepAndHang).await;
    let node = start(&home, &peer);
    let id = submit(&node).await;
    until("the mail is with the server", || peer.heard("mail to user2@") == 1).await;
    let room = room(&node);
    assert!(
        peer.heard("AUTH") == 1 && ["cmdline", "environ"].iter().all(|file| !of_process(room, file).contains("secret"))
    );
    signal(room, "KILL");
    assert_eq!(told(&node, &id, &peer).await, [1, 2, 1]);
    let done: Value = node.get(&format!("/api/tasks/{id}")).await;
    assert_eq!(done["attempt"], 2, "the others went on");
    assert!(log(&node, &id).await.contains("mail 2 to user2@example.org is deferred: it may be out"));
}
