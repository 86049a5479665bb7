//! Promises of both forms, without a server.

use super::*;
use crate::types::Types;
use crate::types::context::trial::Trial;

/// Without a server.
fn sending() -> EmailSending {
    EmailSending::new(Mailing::to_files())
}

fn errors(params: Value) -> Vec<FieldError> {
    let types = Types::new(vec![Box::new(sending())]);
    let params = serde_json::value::to_raw_value(&params).unwrap();
    types.iter().next().unwrap().check(&params).err().unwrap_or_default()
}

#[tokio::test]
async fn every_mail_is_kept_as_a_file() {
    let left = Trial::new().run(sending(), json!({ "num_emails": 2, "subject": "Grüße" })).await;
    let mail = String::from_utf8(left.output("mail-002.eml").to_vec()).unwrap();
    assert!(mail.contains("To: user2@example.com\r\n") && mail.contains("this is mail 2"), "{mail}");
    assert!(mail.contains("Subject: =?utf-8?") && mail.contains("MIME-Version: 1.0\r\n"), "{mail}");
    assert!(!mail.replace("\r\n", "").contains(['\r', '\n']), "{mail}");
    let result = left.result();
    assert_eq!((&result["emails_sent"], &result["emails"][1]["to"]), (&json!(2), &json!("user2@example.com")));
    let id = result["emails"][1]["message_id"].as_str().unwrap();
    assert!(mail.contains(&format!("Message-ID: {id}\r\n")), "{mail}");
}

#[tokio::test]
async fn a_long_subject_makes_no_header_of_its_own() {
    let subject = "Bcc: a@example.com ".repeat(47);
    let left = Trial::new().run(sending(), json!({ "num_emails": 1, "subject": subject })).await;
    let mail = String::from_utf8(left.output("mail-001.eml").to_vec()).unwrap();
    assert!(mail.lines().all(|line| !line.starts_with("Bcc") && line.len() <= 998), "{mail}");
}

#[test]
fn a_subject_with_line_ends_or_too_long_is_refused() {
    for subject in ["", "a\r\nBcc: b@example.com", "a\u{7f}", &"ä".repeat(451), &"x".repeat(901)] {
        assert_eq!(errors(json!({ "subject": subject })).len(), 1, "{subject:?}");
    }
    assert!(errors(json!({ "subject": "x".repeat(900) })).is_empty());
    assert_eq!(errors(json!({ "num_emails": 101 }))[0].detail, "must be 1 to 100");
}

#[test]
fn the_defaults_of_the_schema_are_those_of_the_code() {
    let defaults = schema::Schema::new(sending().params_schema()).defaults();
    assert_eq!(defaults, json!({ "num_emails": 10, "subject": "Hello from Errand", "delay_per_email": 0.0 }));
}

#[tokio::test]
async fn a_mail_that_is_written_down_as_sent_is_not_made_again() {
    let trial = Trial::new();
    let params = json!({ "num_emails": 5 });
    // Each mail saves twice: the third is begun and kept, but not written down as sent.
    trial.lose_after(5);
    let lost = trial.run(sending(), params.clone()).await;
    assert_eq!((lost.locations.len(), lost.code().as_str()), (3, "stopped"));
    trial.lose_after(usize::MAX);
    let left = trial.run(sending(), params).await;
    assert!(left.log[0].starts_with("going on from mail 3 of 5"), "{:?}", left.log);
    assert!(left.log[1].starts_with("mail 3 was begun before"), "{:?}", left.log);
    let attempts = left.locations.iter().map(|location| location.contains("0001/mail"));
    assert_eq!(attempts.collect::<Vec<_>>(), [true, true, false, false, false], "{:?}", left.locations);
    let ids: Vec<String> = left.outputs.iter().map(|(_, mail)| message_id(mail)).collect();
    let result = left.result();
    assert_eq!(result["emails_sent"], 5);
    let told = result["emails"].as_array().unwrap().iter().map(|email| email["message_id"].as_str().unwrap());
    assert_eq!(told.collect::<Vec<_>>(), ids);
}

fn message_id(mail: &[u8]) -> String {
    let text = std::str::from_utf8(mail).unwrap();
    text.lines().find_map(|line| line.strip_prefix("Message-ID: ")).unwrap().to_owned()
}

#[tokio::test]
async fn it_stops_when_told() {
    let trial = Trial::new();
    trial.stop.cancel();
    assert_eq!(trial.run(sending(), json!({})).await.code(), "stopped");
}
