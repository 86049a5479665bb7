//! A node killed among mails: nobody is left out, nobody is mailed again of whom the server said that it took the mail,
//! and what comes twice is known by its Message-ID.

use crate::support::mail::{Act, At, Peer, Script, Tls, certificate, takes_all};
use crate::support::node::{Home, Homes, Node};
use crate::support::on_both_databases;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

const MAILS: usize = 300;
const PATIENCE: Duration = Duration::from_secs(120);

on_both_databases![
    Homes:
    of_a_node_killed_twice_among_mails_only_the_one_without_an_answer_is_sent_again,
    a_server_that_is_known_gets_mails_encrypted_by_starttls_and_from_the_first_byte,
];

fn start(home: &Home, url: &str) -> Node {
    let flags =
        ["--lease-seconds", "5", "--workers", "2", "--smtp-url", url, "--mail-from", "Errand <errand@example.org>"];
    let mut command = home.command(&flags);
    command.env("SSL_CERT_FILE", certificate("authority.pem"));
    Node::start(command)
}

async fn of_a_node_killed_twice_among_mails_only_the_one_without_an_answer_is_sent_again(home: Home) {
    // The 150th has the mail and says nothing, as long as it is the first of that recipient.
    let told = Arc::new(Notify::new());
    let later = told.clone();
    let script: Script =
        Arc::new(move |at, to, times| match at == At::Mail && to.starts_with("user150@") && times == 0 {
            true => Act::Later(later.clone(), Box::new(Act::KeepAndCut)),
            false => Act::Take,
        });
    let peer = Peer::start(Tls::No, script).await;
    let url = format!("smtp://127.0.0.1:{}", peer.port);
    let node = start(&home, &url);
    let table: String = (1..=MAILS).map(|n| format!("user{n}@example.org,User {n}\n")).collect();
    let file = node.uploaded("people.csv", format!("email,name\n{table}").into_bytes()).await;
    let params = json!({ "file_id": file, "subject": "To {{name}}", "body": "Dear {{name}}" });
    let id = node.submit(json!({ "type": "email_sending", "params": params })).await;

    kill_once(&peer, node, |peer| peer.count() >= 60).await;
    let node = start(&home, &url);
    kill_once(&peer, node, |peer| peer.heard("mail to user150@") == 1).await;
    told.notify_one();
    let node = start(&home, &url);
    let done = node.until(&id, PATIENCE, |task| task["finished_at"].is_string()).await;
    assert_eq!((&done["status"], &done["result"]["emails_sent"]), (&json!("SUCCESS"), &json!(MAILS)), "{done:.500}");

    let mut ids: BTreeMap<String, Vec<String>> = BTreeMap::new();
    peer.mails().iter().for_each(|mail| ids.entry(mail.to.clone()).or_default().push(mail.message_id()));
    assert_eq!(ids.len(), MAILS, "nobody is left out");
    let again: Vec<(&String, &Vec<String>)> = ids.iter().filter(|(_, ids)| ids.len() > 1).collect();
    let [(to, ids_of_one)] = &again[..] else { panic!("{again:?}") };
    assert!(to.starts_with("user150@") && ids_of_one.len() == 2 && ids_of_one[0] == ids_of_one[1], "{again:?}");
    let all: BTreeSet<&String> = ids.values().map(|ids| &ids[0]).collect();
    assert_eq!(all.len(), MAILS, "each has its own");
}

async fn a_server_that_is_known_gets_mails_encrypted_by_starttls_and_from_the_first_byte(home: Home) {
    for (tls, url) in [
        (Tls::Starttls, "smtp://me:secret@localhost:PORT?tls=required"),
        (Tls::Implicit, "smtps://me:secret@localhost:PORT"),
    ] {
        let peer = Peer::start(tls, takes_all()).await;
        let node = start(&home, &url.replace("PORT", &peer.port.to_string()));
        let params = json!({ "recipients": [{ "email": "ann@example.org" }], "subject": "s", "body": "b" });
        let id = node.submit(json!({ "type": "email_sending", "params": params })).await;
        let done = node.until(&id, PATIENCE, |task| task["finished_at"].is_string()).await;
        assert_eq!(done["status"], "SUCCESS", "{done}");
        let mails = peer.mails();
        assert!(mails.len() == 1 && mails[0].encrypted && peer.heard("AUTH") == 1, "{mails:?}");
        assert!(!node.log().contains("secret"), "{}", node.log());
    }
}

/// Kills the node once the server has enough.
async fn kill_once(peer: &Peer, mut node: Node, enough: impl Fn(&Peer) -> bool) {
    super::room::until("the server has enough", || enough(peer)).await;
    node.signal("KILL");
    node.ended(PATIENCE).await;
}
