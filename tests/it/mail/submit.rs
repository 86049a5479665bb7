//! What may stand in a mail is decided at submit.

use super::{mailing, plain, task};
use crate::support::http::Service;
use crate::support::mail::takes_all;
use crate::support::on_both_databases;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

on_both_databases!(
    Service: each_bad_mailing_is_refused_at_its_member_and_adds_nothing,
    a_mailing_without_a_server_is_kept_as_files,
    attachments_are_ones_own_and_not_too_large_and_arrive_under_a_clean_name,
    a_file_arrives_byte_for_byte_and_nothing_in_it_makes_another_mail,
    a_file_in_a_mail_that_is_kept_is_the_same_byte_for_byte,
    a_column_stands_wherever_exactly_its_name_is_written,
    what_is_wrong_with_a_recipient_names_the_column_and_the_recipient,
    spaces_around_an_address_and_null_are_as_in_a_table,
    the_two_forms_are_not_mixed,
);

async fn each_bad_mailing_is_refused_at_its_member_and_adds_nothing(service: Service) {
    let to = |email: &str| json!({ "recipients": [{ "email": email }] });
    let long = format!("{}@example.org", "x".repeat(400));
    let many = mailing(1001)["recipients"].clone();
    for (change, pointer) in [
        (json!({ "recipients": [{ "email": "a@b.org", "name": "x\r\nBcc: y@z.org" }] }), "/recipients/0/name"),
        (json!({ "recipients": [{ "email": "a@b.org", "name": "x\u{7f}" }] }), "/recipients/0/name"),
        (to("a@b\r\nRCPT TO:<x>"), "/recipients/0/email"),
        (to("a,b@c"), "/recipients/0/email"),
        (to("a@[127.0.0.1]"), "/recipients/0/email"),
        (to("@"), "/recipients/0/email"),
        (to(&long), "/recipients/0/email"),
        (to("a@localhost"), "/recipients/0/email"),
        (json!({ "subject": "a\r\nBcc: x@y.org" }), "/subject"),
        (json!({ "subject": "x".repeat(5000) }), "/subject"),
        (json!({ "subject": "ü".repeat(451) }), "/subject"),
        (json!({ "bcc": "x@y.org" }), "/bcc"),
        (json!({ "from": "x@y.org" }), "/from"),
        (json!({ "headers": { "X\r\nY": "z" } }), "/headers"),
        (json!({ "received": "x" }), "/received"),
        (json!({ "smtp_url": "smtp://169.254.169.254" }), "/smtp_url"),
        (json!({ "recipients": many }), "/recipients"),
        (json!({ "recipients": [] }), "/recipients"),
        (json!({ "recipients": [{ "name": "x" }] }), "/recipients/0/email"),
        (json!({ "recipients": [{ "email": null }] }), "/recipients/0/email"),
        (json!({ "recipients": [{ "email": "a@b.org", "list": [1] }] }), "/recipients/0/list"),
        (json!({ "body": "{{secret}}" }), "/body"),
        (json!({ "body": "{{2026}}" }), "/body"),
        (
            json!({ "recipients": [{ "email": "a@b.org", "name": "A", "a b": 1, "a-b": 2 }], "body": "{{a_b}}" }),
            "/recipients/0/a-b",
        ),
        (json!({ "body": "{% for a in name %}{% endfor %}" }), "/body"),
        (json!({ "html": "{{ name|safe }}" }), "/html"),
        (json!({ "body": format!("{{% if {}name %}}{{% endif %}}", "not ".repeat(100_000)) }), "/body"),
        (json!({ "body": "{% if name %}".repeat(30_000) }), "/body"),
        (json!({ "from_name": "x\r\nBcc: y@z.org" }), "/from_name"),
        (json!({ "reply_to": "x@y.org\r\nBcc: y@z.org" }), "/reply_to"),
        (json!({ "in_reply_to": "<a@b.org>\r\nBcc: y@z.org" }), "/in_reply_to"),
        (json!({ "list_unsubscribe": "https://x/\r\nBcc: y" }), "/list_unsubscribe"),
        (json!({ "max_per_second": 0 }), "/max_per_second"),
        (json!({ "delay_per_email": 6 }), "/delay_per_email"),
        (json!({ "attachments": ["x"] }), "/attachments/0"),
        (json!({ "attachments": ["0193c5a0-7b1e-7000-8000-0123456789ab"] }), "/attachments/0"),
        (json!({ "file_id": "0193c5a0-7b1e-7000-8000-0123456789ab" }), "/file_id"),
    ] {
        let mut params = mailing(2);
        for (name, value) in change.as_object().unwrap() {
            params[name] = value.clone();
        }
        let answer = service.post("/api/tasks/submit", task(params)).await;
        answer.is_problem(422, "invalid_request", &format!("{change:.100}"));
        assert!(answer.pointers().contains(&&*format!("/params{pointer}")), "{change:.100}: {}", answer.json);
    }
    assert_eq!(service.count().await, 0);
}

async fn a_mailing_without_a_server_is_kept_as_files(service: Service) {
    service.work();
    let mut params = mailing(2);
    params["html"] = json!("<p>Dear {{name}}</p><script>alert(1)</script>");
    params["recipients"][1] = json!({ "email": "Ünal@exämple.test", "name": "<b>" });
    let first = params["recipients"][0].clone();
    params["recipients"].as_array_mut().unwrap().push(first);
    let done = service.run(task(params)).await;
    assert_eq!((&done["result"]["emails_sent"], &done["result"]["duplicates"]), (&json!(2), &json!(1)), "{done}");
    assert_eq!(done["result"]["emails"][1]["to"], "Ünal@xn--exmple-cua.test");
    let id = done["id"].as_str().unwrap();
    let file = done["result"]["emails"][1]["artifact"].as_str().unwrap();
    let mail = service.get(&format!("/api/tasks/{id}/artifacts/{file}")).await;
    let text = String::from_utf8(mail.body.to_vec()).unwrap();
    // What a column holds is escaped; what the sender wrote is the sender's.
    assert!(text.contains("<p>Dear &lt;b&gt;</p><script>alert(1)</script>"), "{text}");
}

async fn attachments_are_ones_own_and_not_too_large_and_arrive_under_a_clean_name(service: Service) {
    let (service, peer) = plain(service, takes_all()).await;
    let file = service.upload("..%2F..%2Freport.html", "text/html", "<html><script>1</script></html>").await;
    let mut params = mailing(2);
    params["attachments"] = json!([file]);
    assert_eq!(service.run(task(params.clone())).await["status"], "SUCCESS");
    let text = peer.mails()[1].text();
    assert!(text.contains("Content-Disposition: attachment; filename=\"report.html\""), "{text}");
    // Four of 7 MiB.
    let mut large = Vec::new();
    for _ in 0..4 {
        large.push(Value::from(service.upload("large.bin", "application/octet-stream", vec![7; 7 << 20]).await));
    }
    params["attachments"] = large.into();
    let answer = service.post("/api/tasks/submit", task(params)).await;
    answer.is_problem(413, "body_too_large", "28 MiB");
}

async fn a_column_stands_wherever_exactly_its_name_is_written(service: Service) {
    let (service, peer) = plain(service, takes_all()).await;
    let (header, cells) = ("email,2026,a b,a_b,Größe,none", "ann@example.org,9,wrong,right,XL,0");
    let body = "{{2026}} {{a_b}} {{Größe}} {{none}}";
    let table = service.upload("people.csv", "text/csv", format!("{header}\n{cells}\n")).await;
    let columns = header.split(',').zip(cells.split(',')).map(|(name, cell)| (name.to_owned(), json!(cell)));
    let inline = Value::Object(columns.collect());
    for people in [json!({ "file_id": table }), json!({ "recipients": [inline] })] {
        let mut params = people;
        (params["subject"], params["body"]) = (json!("s"), json!(body));
        assert_eq!(service.run(task(params)).await["result"]["emails_sent"], 1);
    }
    for mail in peer.mails() {
        assert!(mail.text().contains("9 right XL 0"), "{}", mail.text());
    }
    let table = service.upload("people.csv", "text/csv", "email,a b,a-b\nann@example.org,1,2\n").await;
    let failed = service.run(task(json!({ "file_id": table, "subject": "s", "body": "{{a_b}}" }))).await;
    assert_eq!(failed["error"]["code"], "ambiguous_column", "{failed}");
}

async fn what_is_wrong_with_a_recipient_names_the_column_and_the_recipient(service: Service) {
    let (service, _peer) = plain(service, takes_all()).await;
    let inline = |people: Value, subject: &str| json!({ "recipients": people, "subject": subject, "body": "b" });
    for (params, detail) in [
        (
            inline(json!([{ "email": "a@b.org", "name": "x\n" }]), "s"),
            "must not contain control characters (the name of a@b.org)",
        ),
        (
            inline(json!([{ "email": "a@b.org", "city": "x\n", "b": "y\n" }]), "{{city}}"),
            "must not contain control characters: its column city has some (for a@b.org)",
        ),
    ] {
        let answer = service.post("/api/tasks/submit", task(params)).await;
        assert_eq!(answer.json["errors"][0]["detail"], detail, "{}", answer.json);
    }
    for (rows, told) in [
        ("a@b.org\nb@b.org,B,C\n", "all its rows are bad (2), the first in line 2: 1 cells instead of 2"),
        ("", "no row follows its header"),
        ("a@b.org,\"x\ny\"\n", "the first to a@b.org: its name must not contain control characters"),
        ("nobody,A\n", "the first to nobody: its email is no mail address"),
    ] {
        let table = service.upload("people.csv", "text/plain", format!("email,name\n{rows}")).await;
        let failed = service.run(task(json!({ "file_id": table, "subject": "s", "body": "b" }))).await;
        let message = failed["error"]["message"].as_str().unwrap_or_else(|| panic!("{failed}"));
        assert!(message.contains(told), "{message}");
    }
}

async fn spaces_around_an_address_and_null_are_as_in_a_table(service: Service) {
    let (service, peer) = plain(service, takes_all()).await;
    let mut params = mailing(1);
    params["recipients"] = json!([{ "email": " ann@example.org ", "name": null, "city": null }]);
    params["body"] = json!("<{{email}}> {{city|default(\"nowhere\")}}{% if name %}, {{name}}{% endif %}.");
    params["subject"] = json!("s");
    assert_eq!(service.run(task(params)).await["result"]["emails"][0]["to"], "ann@example.org");
    let mail = peer.mails().remove(0);
    assert_eq!(mail.to, "ann@example.org");
    assert!(mail.text().contains("<ann@example.org> nowhere."), "{}", mail.text());
}

async fn the_two_forms_are_not_mixed(service: Service) {
    let mut params = mailing(2);
    params["num_emails"] = json!(3);
    let answer = service.post("/api/tasks/submit", task(params)).await;
    answer.is_problem(422, "invalid_request", "both");
    assert_eq!(answer.pointers(), ["/params/num_emails"]);
    let few = json!({ "num_emails": 3, "recipients": [{ "email": "a@b.org" }] });
    let answer = service.post("/api/tasks/submit", task(few)).await;
    assert_eq!(answer.pointers(), ["/params/recipients"]);
}

/// The files attached to a mail, decoded; none that is not in Base64.
fn attached(mail: &str) -> Vec<Vec<u8>> {
    let parts = mail.split("\r\nContent-Disposition: attachment;").skip(1);
    let content = |part: &str| {
        let (head, body) = part.split_once("\r\n\r\n").unwrap();
        assert!(head.contains("\r\nContent-Transfer-Encoding: base64"), "{head}");
        let body = body.split("\r\n--").next().unwrap().replace("\r\n", "");
        STANDARD.decode(&body).unwrap_or_else(|error| panic!("{error}: {body}"))
    };
    parts.map(content).collect()
}

async fn a_file_arrives_byte_for_byte_and_nothing_in_it_makes_another_mail(service: Service) {
    let forged = "MAIL FROM:<x@y.org>\r\nRCPT TO:<z@y.org>\r\nDATA\r\nSubject: forged\r\n\r\nboo\r\n.\r\n";
    let mut contents: Vec<Vec<u8>> = ["\r\n.\r\n", "\n.\r\n", "\n.\n", "\r.\r\n", "\r.\r", "\r\n.\n"]
        .iter()
        .map(|end| format!("hello{end}{forged}").into_bytes())
        .collect();
    contents
        .extend(["a,b\n1,2", "a,b\r\n1,2\r\n", ".", "\n", "a\rb\n\r", "ü\n.\n"].map(|text| text.as_bytes().to_vec()));
    contents.extend([(0..=255).collect(), vec![b'x'; 100_000], b".\n".repeat(5000)]);
    let mut params = mailing(2);
    let mut files = Vec::new();
    for (at, content) in contents.iter().enumerate() {
        let kind = if at % 2 == 0 { "application/octet-stream" } else { "text/plain" };
        let kind = if content.contains(&0) { "application/octet-stream" } else { kind };
        files.push(Value::from(service.upload(&format!("{at}.txt"), kind, content.clone()).await));
    }
    params["attachments"] = files.into();
    let (sent, peer) = plain(service, takes_all()).await;
    assert_eq!(sent.run(task(params)).await["result"]["emails_sent"], 2);
    assert_eq!((peer.count(), peer.heard("MAIL"), peer.heard("RCPT"), peer.heard("DATA")), (2, 2, 2, 2));
    for mail in peer.mails() {
        assert!(mail.to.starts_with("user"), "{}", mail.to);
        let text = mail.text();
        assert!(!text.replace("\r\n", "").contains(['\r', '\n']) && !text.contains("forged"), "{text:.3000}");
        assert!(text.split("\r\n").all(|line| line.len() <= 998), "{text:.3000}");
        assert!(attached(&text) == contents, "{text:.3000}");
    }
}

async fn a_file_in_a_mail_that_is_kept_is_the_same_byte_for_byte(service: Service) {
    service.work();
    let contents = ["hello\n.\r\nMAIL FROM:<x@y.org>\r\n", "hello\r.\rMAIL FROM:<x@y.org>\r", "a,b\n1,2\n"];
    let mut params = mailing(1);
    let mut files = Vec::new();
    for content in contents {
        files.push(Value::from(service.upload("a.txt", "text/plain", content).await));
    }
    params["attachments"] = files.into();
    let done = service.run(task(params)).await;
    let id = done["id"].as_str().unwrap();
    let mail = service.get(&format!("/api/tasks/{id}/artifacts/mail-0001.eml")).await;
    let text = String::from_utf8(mail.body.to_vec()).unwrap();
    assert!(!text.replace("\r\n", "").contains(['\r', '\n']), "{text}");
    assert_eq!(attached(&text), contents.map(|content| content.as_bytes().to_vec()), "{text}");
}
