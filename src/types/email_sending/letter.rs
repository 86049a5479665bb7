//! One mail out of the templates, a recipient and what is the same for all.

use super::header_error;
use super::recipients::Recipient;
use super::template::{HTML, Row, Templates};
use crate::types::Failure;
use lettre::Message;
use lettre::address::Envelope;
use lettre::message::header::{Header, HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart, SinglePart};
use reqwest::Url;
use std::collections::HashSet;
use uuid::Uuid;

/// A longer link is none that a header could hold.
const MAX_LINK_BYTES: usize = 900;

/// What all letters of a task have in common.
pub struct Stationery<'a> {
    /// The templates, by part.
    pub templates: Templates<'a>,
    /// The parts there are.
    pub parts: Vec<&'a str>,
    /// Who writes.
    pub from: Mailbox,
    /// Where answers go, if not there.
    pub reply_to: Option<Mailbox>,
    /// The mail this answers.
    pub in_reply_to: Option<String>,
    /// Files, encoded once.
    pub attachments: Vec<SinglePart>,
    /// Whose letters they are.
    pub task: Uuid,
}

/// A mail to one recipient, as it goes out.
pub struct Letter {
    /// Who writes, and to whom.
    pub envelope: Envelope,
    /// Its bytes. Every line ends in CRLF, and no other CR or LF is in it.
    pub mail: Vec<u8>,
}

/// What of a letter stands in its head and is each recipient's own.
pub struct Head {
    subject: String,
    unsubscribe: Option<Unsubscribe>,
}

impl Head {
    /// Fills it in; for what cannot stand in a head its part and why.
    pub fn new<'a>(templates: &Templates<'_>, parts: &[&'a str], row: &Row) -> Result<Head, (&'a str, String)> {
        let mut head = Head { subject: String::new(), unsubscribe: None };
        for part in parts.iter().copied().filter(|part| matches!(*part, "subject" | "list_unsubscribe")) {
            let text = templates.render(part, row).map_err(|why| (part, why))?;
            match part {
                "subject" => {
                    if let Some(wrong) = header_error(&text) {
                        return Err((part, format!("{wrong}{}", of_column(&text, &templates.columns(part), row))));
                    }
                    head.subject = text;
                }
                _ => head.unsubscribe = Some(Unsubscribe::new(&text).map_err(|why| (part, why))?),
            }
        }
        Ok(head)
    }
}

impl<'a> Stationery<'a> {
    /// The same for every attempt, so that a mail sent twice shows as one.
    pub fn message_id(&self, number: u32) -> String {
        format!("<{}.{number}@{}>", self.task, self.from.email.domain())
    }

    /// The letter with that number, or why it cannot be written to that recipient.
    pub fn letter(&self, number: u32, recipient: &Recipient) -> Result<Letter, String> {
        let in_words = |(part, why): (&str, String)| format!("its {part} {why}");
        let address = recipient.address.clone().map_err(|wrong| in_words((wrong.column, wrong.why)))?;
        let head = Head::new(&self.templates, &self.parts, &recipient.row).map_err(in_words)?;
        let to = Mailbox::new(recipient.name.clone(), address);
        let id = Some(self.message_id(number));
        let mut letter =
            Message::builder().from(self.from.clone()).to(to).subject(head.subject).message_id(id).date_now();
        if let Some(reply_to) = &self.reply_to {
            letter = letter.reply_to(reply_to.clone());
        }
        if let Some(id) = &self.in_reply_to {
            letter = letter.in_reply_to(id.clone()).references(id.clone());
        }
        if let Some(unsubscribe) = head.unsubscribe {
            letter = letter.header(unsubscribe);
        }
        let text = |part: &'a str| match self.parts.contains(&part) {
            true => self.templates.render(part, &recipient.row).map(|text| Some(lines(&text))),
            false => Ok(None),
        };
        let text_of = |part: &'a str| text(part).map_err(|why| in_words((part, why)));
        let built = match (text_of("body")?, text_of(HTML)?) {
            (Some(text), Some(html)) => {
                let both =
                    MultiPart::alternative().singlepart(SinglePart::plain(text)).singlepart(SinglePart::html(html));
                match self.attachments.is_empty() {
                    true => letter.multipart(both),
                    false => letter.multipart(self.attach(MultiPart::mixed().multipart(both))),
                }
            }
            (text, html) => {
                let one = html.map_or_else(|| SinglePart::plain(text.unwrap_or_default()), SinglePart::html);
                match self.attachments.is_empty() {
                    true => letter.singlepart(one),
                    false => letter.multipart(self.attach(MultiPart::mixed().singlepart(one))),
                }
            }
        };
        let built = built.map_err(|error| format!("cannot be written: {error}"))?;
        let mail = built.formatted();
        match has_odd_end(&mail) {
            true => Err("cannot be written: a line of it would end in a lone CR or LF".to_owned()),
            false => Ok(Letter { envelope: built.envelope().clone(), mail }),
        }
    }

    fn attach(&self, letter: MultiPart) -> MultiPart {
        self.attachments.iter().cloned().fold(letter, MultiPart::singlepart)
    }
}

/// Which column brought control characters into a subject; nothing where none did.
fn of_column(subject: &str, named: &HashSet<String>, row: &Row) -> String {
    let odd = |text: &str| text.chars().any(char::is_control);
    let column = row.iter().find(|(name, cell)| odd(subject) && odd(cell) && named.contains(*name));
    column.map_or_else(String::new, |(name, _)| format!(": its column {name} has some"))
}

/// A mail that nobody could write.
pub fn unbuilt(why: &str) -> Failure {
    Failure::fatal("invalid_mail", format!("the mail cannot be written: {why}"))
}

/// Lines end in CRLF, whatever they ended in: a lone CR or LF is read as another end by another server, and what
/// follows a dot there as another mail.
fn lines(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\r', "\n").replace('\n', "\r\n")
}

/// Whether a CR or an LF stands alone in it. Nothing makes one; if anything ever does, no server is to see it.
fn has_odd_end(mail: &[u8]) -> bool {
    let alone = mail.windows(2).any(|pair| (pair[0] == b'\r') != (pair[1] == b'\n'));
    alone || mail.first() == Some(&b'\n') || mail.last() == Some(&b'\r')
}

/// Where one says that one wants no more of these (RFC 2369).
#[derive(Clone)]
struct Unsubscribe(String);

/// What is wrong with a link for [`Unsubscribe`].
pub fn wrong_link(link: &str) -> Option<String> {
    Unsubscribe::new(link).err()
}

impl Unsubscribe {
    fn new(link: &str) -> Result<Unsubscribe, String> {
        let plain = link.bytes().all(|byte| byte.is_ascii_graphic() && !b"<>,".contains(&byte));
        let known = Url::parse(link).is_ok_and(|url| matches!(url.scheme(), "https" | "http" | "mailto"));
        match plain && known && link.len() <= MAX_LINK_BYTES {
            true => Ok(Unsubscribe(format!("<{link}>"))),
            false => Err("must be one address that begins with https:, http: or mailto:, without spaces".to_owned()),
        }
    }
}

impl Header for Unsubscribe {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("List-Unsubscribe")
    }

    fn parse(text: &str) -> Result<Unsubscribe, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Unsubscribe::new(text.trim_start_matches('<').trim_end_matches('>'))?)
    }

    fn display(&self) -> HeaderValue {
        // It was looked through: a link is not to be folded or encoded.
        HeaderValue::dangerous_new_pre_encoded(Unsubscribe::name(), self.0.clone(), self.0.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::email_sending::address;
    use lettre::message::Attachment;
    use lettre::message::header::ContentType;
    use proptest::collection::vec;
    use proptest::prelude::*;
    use serde_json::{Map, Value, json};

    /// As the headers begin that a letter may have.
    const HEADERS: [&str; 9] = [
        "From: ",
        "To: ",
        "Subject:",
        "Message-ID: <",
        "Date: ",
        "MIME-Version: 1.0",
        "Content-",
        "List-Unsubscribe: <",
        "Reply-To: ",
    ];

    fn letter(parts: &[(&str, &str)], to: Value, change: impl FnOnce(&mut Stationery<'_>)) -> Result<String, String> {
        let to: Map<String, Value> = serde_json::from_value(to).unwrap();
        let recipients = super::super::recipients::Recipients::inline(&[to], &Default::default())
            .map_err(|errors| errors[0].detail.clone())?;
        let templates = Templates::new(parts).map_err(|mut wrong| wrong.remove(0).1)?;
        let mut stationery = Stationery {
            templates,
            parts: parts.iter().map(|(part, _)| *part).collect(),
            from: "Errand <errand@example.org>".parse().unwrap(),
            reply_to: None,
            in_reply_to: None,
            attachments: Vec::new(),
            task: Uuid::nil(),
        };
        change(&mut stationery);
        let letter = stationery.letter(7, &recipients.all[0])?;
        Ok(String::from_utf8(letter.mail).unwrap())
    }

    fn ann() -> Value {
        json!({ "email": "ann@example.org", "name": "Änn", "city": "Rome" })
    }

    #[test]
    fn a_letter_has_its_text_its_html_and_its_head() {
        let parts = [
            ("subject", "To {{city}}"),
            ("body", "Dear {{name}}"),
            (HTML, "<p>{{city}}</p>"),
            ("list_unsubscribe", "https://example.org/?to={{email|urlencode}}"),
        ];
        let mail = letter(&parts, ann(), |all| {
            all.reply_to = Some("desk@example.org".parse().unwrap());
            all.in_reply_to = Some("<1@example.org>".to_owned());
        });
        let mail = mail.unwrap();
        for line in [
            "From: Errand <errand@example.org>\r\n",
            "Subject: To Rome\r\n",
            "Message-ID: <00000000-0000-0000-0000-000000000000.7@example.org>\r\n",
            "Reply-To: desk@example.org\r\n",
            "In-Reply-To: <1@example.org>\r\n",
            "References: <1@example.org>\r\n",
            "List-Unsubscribe: <https://example.org/?to=ann%40example%2Eorg>\r\n",
            "multipart/alternative",
            "<p>Rome</p>",
        ] {
            assert!(mail.contains(line), "{line:?} in {mail}");
        }
    }

    #[test]
    fn nothing_that_a_column_holds_makes_a_header() {
        let parts = [("subject", "Hello {{city}}"), ("body", "x")];
        for city in ["Rome\r\nBcc: b@example.org", "Rome\nX: y", "Rome\rX: y"] {
            let error = letter(&parts, json!({ "email": "a@b.org", "city": city }), |_| {}).unwrap_err();
            assert_eq!(error, "its subject must not contain control characters: its column city has some");
        }
        let long = "Bcc: b@example.org ".repeat(40);
        let mail =
            letter(&parts, json!({ "email": "a@b.org", "city": long, "name": long.clone()[..180].to_owned() }), |_| {})
                .unwrap();
        assert!(mail.lines().all(|line| !line.starts_with("Bcc") && line.len() <= 998), "{mail}");
    }

    #[test]
    fn every_line_ends_in_cr_and_lf_and_is_short_whatever_the_text() {
        let texts = [
            "a\rb\nc\r\n.\r\n\n.\n..\r.\r",
            &"x".repeat(100_000),
            &"ü\n".repeat(1000),
            "\n.\r\nMAIL FROM:<x@y.org>\r\n",
        ];
        for text in texts {
            let mail = letter(
                &[("subject", "s"), ("body", "{{text}}"), (HTML, "{{text}}")],
                json!({ "email": "a@b.org", "text": text }),
                |_| {},
            )
            .unwrap();
            let bare = mail.replace("\r\n", "");
            assert!(!bare.contains(['\r', '\n']), "{mail}");
            assert!(mail.split("\r\n").all(|line| line.len() <= 998), "{mail:.300}");
            assert!(mail.is_ascii());
        }
    }

    #[test]
    fn a_cr_or_an_lf_alone_is_seen_wherever_it_stands() {
        for mail in ["\na", "a\r", "a\nb", "a\rb", "a\r\n\n", "\r\r\n", "\n", "\r"] {
            assert!(has_odd_end(mail.as_bytes()), "{mail:?}");
        }
        for mail in ["", "a", "\r\n", "a\r\n\r\nb\r\n"] {
            assert!(!has_odd_end(mail.as_bytes()), "{mail:?}");
        }
    }

    proptest! {
        /// Refused, or written with the line ends of a mail and no header of its own.
        #[test]
        fn whatever_names_columns_and_texts_hold_every_line_is_one_of_the_mail(
            texts in vec("[a:.,ü \\r\\n\t\u{85}\u{2028}<>@\"]{0,200}", 5),
            name in any::<String>(),
        ) {
            let to = json!({ "email": "ünal@exämple.org", "name": name, "text": texts[0] });
            let parts = [("subject", &*texts[1]), ("body", &texts[2]), (HTML, &texts[3]), ("list_unsubscribe", "{{text}}")];
            for parts in [&parts[..], &parts[..3], &[("subject", "{{text}}"), ("body", "{{text}}")]] {
                let written = letter(parts, to.clone(), |all| all.from.name = Some(texts[4].replace(['\r', '\n', '\u{85}'], "")));
                if let Err(why) = &written {
                    prop_assert!(!why.contains("cannot be written"), "{why}");
                }
                if let Ok(mail) = written {
                    prop_assert!(!mail.replace("\r\n", "").contains(['\r', '\n']), "{mail:?}");
                    let head = mail.split("\r\n\r\n").next().unwrap_or_default().split("\r\n");
                    let known = |line: &str| line.starts_with([' ', '\t']) || HEADERS.iter().any(|known| line.starts_with(known));
                    prop_assert!(head.clone().all(known), "{mail:?}");
                }
            }
        }
    }

    #[test]
    fn files_are_attached_behind_the_text() {
        let file = Attachment::new("bericht ü.pdf".to_owned())
            .body(vec![0u8; 1000], ContentType::parse("application/pdf").unwrap());
        let mail =
            letter(&[("subject", "s"), ("body", "see {{city}}")], ann(), |all| all.attachments.push(file)).unwrap();
        assert!(mail.contains("multipart/mixed") && mail.contains("Content-Disposition: attachment;"), "{mail}");
        assert!(mail.find("see Rome") < mail.find("application/pdf"), "{mail}");
    }

    #[test]
    fn a_link_to_unsubscribe_is_one_address() {
        for bad in [
            "",
            "javascript:x",
            "https://a b",
            "https://a>,<mailto:x@y.org",
            "https://a\r\nBcc: x",
            "ftp://a",
            &format!("https://a/{}", "x".repeat(900)),
        ] {
            assert!(Unsubscribe::new(bad).is_err(), "{bad}");
        }
        assert!(Unsubscribe::new("mailto:stop@example.org?subject=stop").is_ok());
        assert!(address::parse("stop@example.org").is_ok());
    }
}
