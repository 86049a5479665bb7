//! Servers that refuse, defer, hang, cut, drip and lie: each recipient is told its own, and nobody gets two.

use super::{by, by_port, mailing, plain, task, told};
use crate::support::http::Service;
use crate::support::mail::{Act, At, Mail, Peer, Script, Tls, takes_all};
use crate::support::on_both_databases;
use errand::types::Encryption;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

on_both_databases!(
    Service: each_recipient_gets_one_mail_over_one_connection,
    a_recipient_that_is_refused_is_listed_and_not_asked_again,
    a_recipient_that_is_deferred_gets_its_mail_in_a_later_attempt_and_nobody_else_gets_another,
    a_recipient_that_stays_deferred_fails_the_task_and_a_retry_asks_only_for_it,
    a_mail_whose_answer_was_lost_is_sent_again_with_the_same_message_id,
    a_server_that_takes_no_connection_fails_the_attempt_and_no_recipient,
    a_server_that_takes_no_mail_of_ours_ends_the_task_or_the_attempt,
    a_server_that_closes_after_each_mail_is_asked_anew,
    a_server_that_breaks_at_every_mail_ends_the_attempt_after_three,
    an_answer_without_end_is_not_listened_to,
    where_encryption_is_demanded_and_cannot_be_had_nothing_is_said,
    words_before_the_handshake_are_not_taken_for_ones_behind_it,
    a_name_beyond_ascii_is_written_to_where_the_server_takes_it,
    what_a_body_holds_ends_no_mail_and_begins_none,
    a_cancel_stops_within_two_seconds_while_a_server_hangs,
    a_rate_is_kept,
    all_of_a_large_mailing_stand_in_a_file,
);

/// A script of one place; everywhere else everything is taken.
fn at(place: At, act: impl Fn(&str, usize) -> Act + Send + Sync + 'static) -> Script {
    Arc::new(move |at, said, times| if at == place { act(said, times) } else { Act::Take })
}

fn say(text: &str) -> Act {
    Act::Say(text.to_owned())
}

fn addressees(mails: &[Mail]) -> Vec<&str> {
    mails.iter().map(|mail| mail.to.split('@').next().unwrap()).collect()
}

/// The code of the task's error, and at which attempt it came.
fn failed(task: &Value) -> (&str, i64) {
    assert_eq!(task["status"], "FAILED", "{task}");
    (task["error"]["code"].as_str().unwrap(), task["attempt"].as_i64().unwrap())
}

async fn each_recipient_gets_one_mail_over_one_connection(service: Service) {
    let (service, peer) = plain(service, takes_all()).await;
    let done = service.run(task(mailing(20))).await;
    assert_eq!((&done["status"], &done["result"]["emails_sent"]), (&json!("SUCCESS"), &json!(20)), "{done}");
    let mails = peer.mails();
    assert_eq!((mails.len(), peer.connections()), (20, 1));
    for (mail, told) in mails.iter().zip(done["result"]["emails"].as_array().unwrap()) {
        assert_eq!((told["to"].as_str(), told["message_id"].as_str()), (Some(&*mail.to), Some(&*mail.message_id())));
    }
    let text = mails[6].text();
    assert!(text.contains("Subject: To User 7\r\n") && text.contains("Dear User 7,\r\nhello."), "{text}");
}

async fn a_recipient_that_is_refused_is_listed_and_not_asked_again(service: Service) {
    let refuses = at(At::To, |to, _| if to.starts_with("user2@") { say("550 5.1.1 no such user") } else { Act::Take });
    let (service, peer) = plain(service, refuses).await;
    let done = service.run(task(mailing(3))).await;
    assert_eq!(told(&done), ["user1 sent", "user2 refused", "user3 sent"]);
    assert_eq!((&done["attempt"], &done["result"]["emails_refused"]), (&json!(1), &json!(1)));
    assert_eq!(done["result"]["emails"][1]["error"], "550 5.1.1 no such user");
    assert_eq!((addressees(&peer.mails()), peer.heard("RCPT TO:<user2")), (vec!["user1", "user3"], 1));
    // Nobody at all: no success.
    let mut nobody = mailing(3);
    nobody["recipients"] = json!([nobody["recipients"][1]]);
    assert_eq!(failed(&service.run(task(nobody)).await), ("no_mail_sent", 1));
}

async fn a_recipient_that_is_deferred_gets_its_mail_in_a_later_attempt_and_nobody_else_gets_another(service: Service) {
    for place in [At::To, At::Data, At::Mail] {
        // DATA names nobody, so it is remembered who was deferred.
        let deferred = AtomicBool::new(false);
        let once = at(place, move |to, _| match to.starts_with("user2@") && !deferred.swap(true, SeqCst) {
            true => say("451 later"),
            false => Act::Take,
        });
        let service = service.again().await;
        let (service, peer) = plain(service, once).await;
        let done = service.run(task(mailing(3))).await;
        assert_eq!(
            (told(&done).len(), &done["attempt"], &done["result"]["emails_sent"]),
            (3, &json!(2), &json!(3)),
            "{place:?}"
        );
        assert_eq!(addressees(&peer.mails()), ["user1", "user3", "user2"], "{place:?}");
    }
}

async fn a_recipient_that_stays_deferred_fails_the_task_and_a_retry_asks_only_for_it(service: Service) {
    let open = Arc::new(AtomicBool::new(false));
    let shut = open.clone();
    let busy = at(At::To, move |to, _| match to.starts_with("user2@") && !shut.load(SeqCst) {
        true => say("450 mailbox busy"),
        false => Act::Take,
    });
    let (service, peer) = plain(service, busy).await;
    let gone = service.run(task(mailing(3))).await;
    assert_eq!(failed(&gone), ("mails_deferred", 3));
    let message = gone["error"]["message"].as_str().unwrap();
    assert!(message.contains("2 are sent") && message.contains("user2@example.org: 450 mailbox busy"), "{message}");
    assert_eq!(gone["metrics"]["emails_deferred"], 1.0);
    open.store(true, SeqCst);
    let id = gone["id"].as_str().unwrap();
    service.post(&format!("/api/tasks/{id}/retry"), json!({})).await.ok();
    let done = service.finished(id).await;
    assert_eq!(told(&done), ["user1 sent", "user2 sent", "user3 sent"]);
    assert_eq!(addressees(&peer.mails()), ["user1", "user3", "user2"]);
}

async fn a_mail_whose_answer_was_lost_is_sent_again_with_the_same_message_id(service: Service) {
    for lost in [Act::KeepAndHang, Act::KeepAndCut, Act::Cut, Act::Hang] {
        let kept = matches!(lost, Act::KeepAndHang | Act::KeepAndCut);
        let script = {
            let lost = lost.clone();
            at(At::Mail, move |to, times| if to.starts_with("user2@") && times == 0 { lost.clone() } else { Act::Take })
        };
        let service = service.again().await;
        let (service, peer) = plain(service, script).await;
        let done = service.run(task(mailing(3))).await;
        assert_eq!((&done["status"], &done["attempt"]), (&json!("SUCCESS"), &json!(2)), "{lost:?}: {done}");
        let mails = peer.mails();
        let expected: &[&str] = if kept { &["user1", "user2", "user3", "user2"] } else { &["user1", "user3", "user2"] };
        assert_eq!(addressees(&mails), expected, "{lost:?}");
        let ids: Vec<String> =
            mails.iter().filter(|mail| mail.to.starts_with("user2@")).map(Mail::message_id).collect();
        assert!(ids.iter().all(|id| *id == ids[0] && !id.is_empty()), "{ids:?}");
    }
}

async fn a_server_that_takes_no_connection_fails_the_attempt_and_no_recipient(service: Service) {
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let refused = by_port(service.again().await, port, Encryption::None);
    assert_eq!(failed(&refused.run(task(mailing(3))).await), ("mail_server_unreachable", 3));
    for act in [Act::Hang, Act::Cut, Act::Slowly(Duration::from_millis(300)), say("rubbish")] {
        let (service, peer) = plain(service.again().await, at(At::Greeting, move |_, _| act.clone())).await;
        let gone = service.run(task(mailing(3))).await;
        assert_eq!((failed(&gone), peer.heard("MAIL")), (("mail_server_unreachable", 3), 0));
        assert_eq!(gone["progress"]["processed"], Value::Null, "{gone}");
    }
}

async fn a_server_that_takes_no_mail_of_ours_ends_the_task_or_the_attempt(service: Service) {
    for (place, answer, expected) in [
        (At::Greeting, "554 go away", ("mail_server_refuses", 1)),
        (At::Greeting, "421 too many", ("mail_server_busy", 3)),
        (At::From, "550 not this sender", ("mail_server_refuses", 1)),
        (At::From, "451 not now", ("mail_server_busy", 3)),
    ] {
        let (service, peer) = plain(service.again().await, at(place, move |_, _| say(answer))).await;
        assert_eq!(failed(&service.run(task(mailing(3))).await), expected, "{place:?} {answer}");
        assert_eq!(peer.count(), 0);
    }
}

async fn a_server_that_closes_after_each_mail_is_asked_anew(service: Service) {
    // As one that takes a single mail of each connection, and says so at the next.
    let last = Arc::new(std::sync::Mutex::new(0));
    let script: Script = Arc::new(move |at, _, _| {
        let mut mails = last.lock().unwrap();
        match at {
            At::Greeting => *mails = 0,
            At::From if *mails > 0 => return say("421 enough"),
            At::Mail => *mails += 1,
            _ => {}
        }
        Act::Take
    });
    let (service, peer) = plain(service, script).await;
    let done = service.run(task(mailing(5))).await;
    assert_eq!((&done["attempt"], peer.count(), peer.connections()), (&json!(1), 5, 5), "{done}");
}

async fn a_server_that_breaks_at_every_mail_ends_the_attempt_after_three(service: Service) {
    let (service, peer) = plain(service, at(At::Data, |_, _| Act::Cut)).await;
    let gone = service.run(task(mailing(20))).await;
    assert_eq!((failed(&gone), peer.count()), (("mail_server_broke", 3), 0));
    assert_eq!(peer.heard("DATA"), 9, "three of each attempt");
}

async fn an_answer_without_end_is_not_listened_to(service: Service) {
    for (place, code) in
        [(At::Greeting, "mail_server_unreachable"), (At::From, "mail_server_broke"), (At::Mail, "mail_server_broke")]
    {
        let (service, _peer) = plain(service.again().await, at(place, |_, _| Act::SayMuch(10 << 20))).await;
        assert_eq!(failed(&service.run(task(mailing(3))).await), (code, 3), "{place:?}");
        assert_eq!(service.get("/api/ready").await.status, 200);
    }
}

async fn where_encryption_is_demanded_and_cannot_be_had_nothing_is_said(service: Service) {
    // Its certificate is by nobody whom this machine knows; or STARTTLS was taken out of what it offers.
    for (tls, encryption) in
        [(Tls::Starttls, Encryption::Starttls), (Tls::Implicit, Encryption::Implicit), (Tls::No, Encryption::Starttls)]
    {
        let peer = Peer::start(tls, takes_all()).await;
        let service = by(service.again().await, &peer, encryption);
        assert_eq!(failed(&service.run(task(mailing(3))).await), ("mail_server_tls", 1), "{tls:?}");
        assert_eq!((peer.heard("MAIL"), peer.heard("AUTH"), peer.count()), (0, 0, 0), "{tls:?}");
    }
}

async fn words_before_the_handshake_are_not_taken_for_ones_behind_it(service: Service) {
    let peer = Peer::start(Tls::StarttlsWithMore, takes_all()).await;
    let service = by(service, &peer, Encryption::Starttls);
    assert_eq!(failed(&service.run(task(mailing(3))).await), ("mail_server_unreachable", 3));
    assert_eq!(peer.heard("MAIL"), 0);
}

async fn a_name_beyond_ascii_is_written_to_where_the_server_takes_it(service: Service) {
    let mut params = mailing(2);
    params["recipients"][1]["email"] = json!("ünal@exämple.test");
    let (old, ascii) = plain(service.again().await, takes_all()).await;
    let done = old.run(task(params.clone())).await;
    assert_eq!(told(&done), ["user1 sent", "ünal refused"]);
    assert_eq!((addressees(&ascii.mails()), ascii.heard("RCPT")), (vec!["user1"], 1));
    let offers = at(At::Ehlo, |_, _| say("250-here\r\n250-8BITMIME\r\n250 SMTPUTF8"));
    let (new, peer) = plain(service, offers).await;
    assert_eq!(told(&new.run(task(params)).await), ["user1 sent", "ünal sent"]);
    assert_eq!(peer.heard("RCPT TO:<ünal@xn--exmple-cua.test>"), 1);
    assert!(peer.heard("MAIL FROM:<errand@example.org> SMTPUTF8") == 1, "and only then");
}

async fn what_a_body_holds_ends_no_mail_and_begins_none(service: Service) {
    let (service, peer) = plain(service, takes_all()).await;
    let texts = [
        "a\n.\nMAIL FROM:<x@y.org>\n".to_owned(),
        "a\r\n.\r\nMAIL FROM:<x@y.org>\r\nRCPT TO:<z@y.org>\r\nDATA\r\n".to_owned(),
        "a\n.\r\nb\r.\r\nc\r\n.\rd".to_owned(),
        ".\n..\n...".to_owned(),
        "x".repeat(100_000),
    ];
    for text in &texts {
        let ann = json!([{ "email": "ann@example.org", "text": text }]);
        let params = json!({ "recipients": ann, "subject": "s", "body": "{{text}}", "html": text });
        assert_eq!(service.run(task(params)).await["status"], "SUCCESS");
    }
    let mails = peer.mails();
    assert_eq!((mails.len(), peer.heard("MAIL"), peer.heard("RCPT"), peer.heard("DATA")), (5, 5, 5, 5));
    for mail in mails {
        let text = mail.text();
        assert!(!text.replace("\r\n", "").contains(['\r', '\n']), "{text:.500}");
        assert!(text.split("\r\n").all(|line| line.len() <= 998), "{text:.500}");
    }
}

async fn a_cancel_stops_within_two_seconds_while_a_server_hangs(service: Service) {
    let hangs = at(At::Mail, |to, _| if to.starts_with("user2@") { Act::Hang } else { Act::Take });
    let (service, _peer) = plain(service, hangs).await;
    let id = service.submit(task(mailing(3))).await;
    service.until(&id, |task| task["progress"]["processed"] == 1).await;
    let asked = Instant::now();
    assert_eq!(service.delete(&format!("/api/tasks/{id}")).await.status, 202);
    assert_eq!(service.finished(&id).await["status"], "CANCELLED");
    assert!(asked.elapsed() < Duration::from_secs(2), "it took {:?}", asked.elapsed());
}

async fn a_rate_is_kept(service: Service) {
    let (service, peer) = plain(service, takes_all()).await;
    let mut params = mailing(6);
    params["max_per_second"] = json!(10);
    let began = Instant::now();
    assert_eq!(service.run(task(params)).await["status"], "SUCCESS");
    assert!(began.elapsed() >= Duration::from_millis(500), "{:?}", began.elapsed());
    assert_eq!(peer.count(), 6);
}

async fn all_of_a_large_mailing_stand_in_a_file(service: Service) {
    let (service, peer) = plain(service, takes_all()).await;
    let table: String = (1..=1100).map(|n| format!("user{n}@example.org;\"Lima; {n}\"\r\n")).collect();
    let table = format!("Email;City\r\n{table}nobody;x\r\nuser7@example.org;again\r\nshort\r\n");
    let file = service.upload("people.csv", "text/csv", table).await;
    let done = service.run(task(json!({ "file_id": file, "subject": "{{City}}", "body": "b" }))).await;
    let result = &done["result"];
    assert_eq!(result["emails"].as_array().unwrap().len(), 1000, "{done:.1000}");
    let counts = ["emails_sent", "emails_refused", "duplicates", "bad_rows"].map(|name| result[name].as_i64().unwrap());
    assert_eq!((counts, &result["truncated"], peer.count()), ([1100, 1, 1, 1], &json!(true), 1100));
    let id = done["id"].as_str().unwrap();
    let list = service.get(&format!("/api/tasks/{id}/artifacts/emails.ndjson")).await.body;
    let lines: Vec<Value> = list
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect();
    assert_eq!((lines.len(), &lines[1100]["status"], &lines[1100]["to"]), (1101, &json!("refused"), &json!("nobody")));
    assert!(peer.mails()[41].text().contains("Subject: Lima; 42\r\n"));
}
