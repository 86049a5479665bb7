//! A mail's parts, to be shown.

use crate::files;
use crate::task::text::clip;
use crate::types::{Context, Failure, Input};
use mail_parser::{Address, HeaderValue, Message, MessageParser, MessagePart, MimeHeaders, PartType};
use serde::Serialize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use tokio::io::AsyncReadExt;

/// So much of the file is read.
const MAX_BYTES: u64 = 1024 * 1024;
/// A longer text is cut.
const MAX_TEXT_BYTES: usize = 128 * 1024;
/// A longer header is cut.
const MAX_HEADER_BYTES: usize = 1000;
/// So many attachments are listed.
const MAX_ATTACHMENTS: usize = 100;
/// The headers that are shown, in this order.
const SHOWN: [&str; 7] = ["From", "Reply-To", "To", "Cc", "Subject", "Date", "Message-ID"];

/// A mail.
#[derive(Debug, Serialize, PartialEq)]
pub struct Mail {
    /// From, to, subject and the like, decoded.
    pub headers: Vec<Header>,
    /// Its text; that of its HTML where it has no other.
    pub text: Option<String>,
    /// Its HTML, as it was sent: not to be shown as such.
    pub html: Option<String>,
    /// What is attached; at most 100 of them.
    pub attachments: Vec<Attachment>,
    /// Whether there is more of the mail, of a text or of the attachments than this.
    pub more: bool,
}

/// A header.
#[derive(Debug, Serialize, PartialEq)]
pub struct Header {
    /// As `From`.
    pub name: String,
    /// Decoded.
    pub value: String,
}

/// Something attached.
#[derive(Debug, Serialize, PartialEq)]
pub struct Attachment {
    /// What it is called, if anything.
    pub name: Option<String>,
    /// What it says it is.
    pub content_type: String,
    /// Its size, decoded; of what was read.
    pub bytes: usize,
}

/// Reads the beginning of `file`. Fatal `no_mail` where it is none.
pub async fn look(file: &Input, ctx: &Context) -> Result<Mail, Failure> {
    let beginning = file.beginning(MAX_BYTES);
    let mut raw = Vec::with_capacity(beginning.bytes as usize);
    ctx.read(&beginning, 0).await?.read_to_end(&mut raw).await.map_err(files::Error::from)?;
    let cut = beginning.bytes < file.bytes;
    ctx.blocking(move |_| mail(&raw, cut)).await
}

fn mail(raw: &[u8], cut: bool) -> Result<Mail, Failure> {
    // What it makes of a hostile file is its own affair.
    let shown = catch_unwind(AssertUnwindSafe(|| MessageParser::default().parse(raw).map(|mail| show(&mail, cut))));
    let shown = shown.ok().flatten().filter(|mail| !mail.headers.is_empty());
    shown.ok_or_else(|| Failure::fatal("no_mail", "the file is no mail"))
}

fn show(mail: &Message<'_>, cut: bool) -> Mail {
    let mut more = cut;
    let mut text_of = |text: &str| {
        more |= text.len() > MAX_TEXT_BYTES;
        clip(text, MAX_TEXT_BYTES)
    };
    let header = |name: &&str| Some(Header { name: (*name).to_owned(), value: words(mail.header(*name)?)? });
    let html = mail.html_part(0).and_then(|part| match &part.body {
        PartType::Html(html) => Some(text_of(html)),
        _ => None,
    });
    let text = mail.body_text(0).map(|text| text_of(&text));
    let attachments: Vec<Attachment> = mail.attachments().take(MAX_ATTACHMENTS).map(attachment).collect();
    more |= mail.attachment_count() > MAX_ATTACHMENTS;
    Mail { headers: SHOWN.iter().filter_map(header).collect(), text, html, attachments, more }
}

fn attachment(part: &MessagePart<'_>) -> Attachment {
    let content_type = part.content_type().map_or_else(
        || if part.is_message() { "message/rfc822".to_owned() } else { "application/octet-stream".to_owned() },
        |kind| format!("{}/{}", kind.c_type, kind.c_subtype.as_deref().unwrap_or("*")),
    );
    Attachment {
        name: part.attachment_name().map(|name| clip(name, MAX_HEADER_BYTES)),
        content_type: clip(&content_type.to_lowercase(), MAX_HEADER_BYTES),
        bytes: part.len(),
    }
}

/// What a header says; `None` where that is nothing.
fn words(value: &HeaderValue<'_>) -> Option<String> {
    let said = match value {
        HeaderValue::Address(address) => addresses(address),
        HeaderValue::Text(text) => text.to_string(),
        HeaderValue::TextList(texts) => texts.join(", "),
        HeaderValue::DateTime(time) => time.to_rfc3339(),
        _ => return None,
    };
    Some(clip(&said, MAX_HEADER_BYTES)).filter(|said| !said.is_empty())
}

fn addresses(all: &Address<'_>) -> String {
    let mut said = String::new();
    for one in all.iter() {
        if said.len() > MAX_HEADER_BYTES {
            break;
        }
        let word = match (one.name.as_deref(), one.address.as_deref()) {
            (Some(name), Some(address)) => format!("{name} <{address}>"),
            (name, address) => name.or(address).unwrap_or_default().to_owned(),
        };
        if !said.is_empty() {
            said.push_str(", ");
        }
        said.push_str(&word);
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    const LETTER: &str = "From: =?utf-8?Q?J=C3=BCrgen?= <j@example.com>\r\nTo: a@example.com, B <b@example.com>\r\n\
        Subject: =?utf-8?B?R3LDvMOfZQ==?=\r\nDate: Sat, 31 Jan 2026 12:00:00 +0100\r\nMIME-Version: 1.0\r\n\
        Content-Type: multipart/mixed; boundary=m\r\n\r\n--m\r\nContent-Type: multipart/alternative; boundary=a\r\n\r\n\
        --a\r\nContent-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nSch=F6n\r\n\
        --a\r\nContent-Type: text/html\r\n\r\n<p onclick=\"x()\">Sch&ouml;n</p>\r\n--a--\r\n\
        --m\r\nContent-Type: application/pdf\r\nContent-Disposition: attachment; filename=\"../bill.pdf\"\r\n\
        Content-Transfer-Encoding: base64\r\n\r\nJVBERg==\r\n--m--\r\n";

    #[test]
    fn headers_texts_and_attachments_are_told() {
        let mail = mail(LETTER.as_bytes(), false).unwrap();
        let headers: Vec<String> = mail.headers.iter().map(|one| format!("{}: {}", one.name, one.value)).collect();
        let expected = [
            "From: Jürgen <j@example.com>",
            "To: a@example.com, B <b@example.com>",
            "Subject: Grüße",
            "Date: 2026-01-31T12:00:00+01:00",
        ];
        assert_eq!(headers, expected);
        assert_eq!(mail.text.as_deref().map(str::trim), Some("Schön"));
        assert_eq!(mail.html.as_deref().map(str::trim), Some("<p onclick=\"x()\">Sch&ouml;n</p>"));
        let bill =
            Attachment { name: Some("../bill.pdf".to_owned()), content_type: "application/pdf".to_owned(), bytes: 4 };
        assert_eq!((mail.attachments, mail.more), (vec![bill], false));
    }

    #[test]
    fn what_is_no_mail_is_refused_and_no_depth_of_parts_is_too_much() {
        for raw in ["", "\n", "hello", "\0\0\0\0", "x: y\n\nz"] {
            assert!(
                matches!(mail(raw.as_bytes(), false), Err(Failure::Fatal { code, .. }) if code == "no_mail"),
                "{raw:?}"
            );
        }
        let part = |n: usize| format!("Content-Type: multipart/mixed; boundary=b{n}\r\n\r\n--b{n}\r\n");
        let deep: String = (0..15_000).map(part).collect();
        assert!(mail(format!("Subject: deep\r\n{deep}").as_bytes(), false).is_ok());
        let nested = "Content-Type: message/rfc822\r\n\r\nSubject: again\r\n".repeat(15_000);
        assert!(mail(format!("Subject: nested\r\n{nested}").as_bytes(), false).is_ok());
        let long = format!(
            "Subject: {}\r\nTo: {}\r\n\r\n{}",
            "s".repeat(100_000),
            "a@b, ".repeat(50_000),
            "t".repeat(500_000)
        );
        let long = mail(long.as_bytes(), false).unwrap();
        assert!(long.more && long.text.unwrap().len() <= MAX_TEXT_BYTES);
        assert!(long.headers.iter().all(|header| header.value.len() <= MAX_HEADER_BYTES));
    }
}
