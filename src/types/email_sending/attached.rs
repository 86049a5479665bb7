//! What is attached to all mails of a task: uploaded files, each as it is to the byte.

use super::letter::unbuilt;
use super::own::{MAX_ATTACHED_BYTES, Own};
use crate::files::{self, is_text_type};
use crate::types::{Context, Failure};
use lettre::message::header::{ContentTransferEncoding, ContentType};
use lettre::message::{Attachment, Body, SinglePart};
use tokio::io::AsyncReadExt;

/// What a file is called whose name says nothing.
const UNNAMED: &str = "attachment";
/// As much of a file's name is kept.
const NAME_CHARS: usize = 150;
/// A longer type is none: it is what the uploader says, and would not fit in a line.
const MAX_KIND_BYTES: usize = 100;
/// What a file is of which nothing better can be said.
const UNKNOWN: &str = "application/octet-stream";

/// The files, read and encoded once.
pub async fn attached(own: &Own, ctx: &Context) -> Result<Vec<SinglePart>, Failure> {
    let (mut parts, mut left) = (Vec::new(), MAX_ATTACHED_BYTES);
    for id in &own.attachments {
        let input = ctx.input(*id)?;
        let too_large = || Failure::fatal("attachments_too_large", "the attachments have more than 25 MiB together");
        left = left.checked_sub(input.bytes).ok_or_else(too_large)?;
        let mut content = Vec::new();
        ctx.read(input, 0).await?.read_to_end(&mut content).await.map_err(files::Error::from)?;
        let (name, sniffed) = (input.name.clone(), input.content_type.clone());
        parts.push(ctx.blocking(move |_| part(&name, &sniffed, content)).await?);
    }
    Ok(parts)
}

/// What a file of text is, by the ending of its name.
const ENDINGS: [(&str, &str); 17] = [
    ("txt", "text/plain"),
    ("log", "text/plain"),
    ("csv", "text/csv"),
    ("tsv", "text/tab-separated-values"),
    ("md", "text/markdown"),
    ("html", "text/html"),
    ("htm", "text/html"),
    ("css", "text/css"),
    ("ics", "text/calendar"),
    ("vcf", "text/vcard"),
    ("json", "application/json"),
    ("ndjson", "application/x-ndjson"),
    ("jsonl", "application/x-ndjson"),
    ("xml", "application/xml"),
    ("yaml", "application/yaml"),
    ("yml", "application/yaml"),
    ("svg", "image/svg+xml"),
];

/// What its first bytes say; of text, whose first bytes say little, what the ending of its name says, and that it is
/// UTF-8 if it is.
fn kind(name: &str, sniffed: &str, content: &[u8]) -> String {
    if !is_text_type(sniffed) {
        // These must not be encoded: a mail in a mail is a file, too.
        let whole = ["message/", "multipart/"].iter().any(|kind| sniffed.starts_with(kind));
        return if whole { UNKNOWN.to_owned() } else { sniffed.to_owned() };
    }
    let ending = name.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase()).unwrap_or_default();
    let sniffed = if sniffed.len() > MAX_KIND_BYTES { UNKNOWN } else { sniffed };
    let kind = ENDINGS.iter().find(|(known, _)| *known == ending).map_or(sniffed, |(_, kind)| kind);
    match std::str::from_utf8(content) {
        Ok(_) => format!("{kind}; charset=utf-8"),
        Err(_) => kind.to_owned(),
    }
}

/// Always Base64: its line ends are those of the mail, whatever the file holds. A file's own would be changed on the
/// way, and a dot between two of them read as the end of the mail.
fn part(name: &str, sniffed: &str, content: Vec<u8>) -> Result<SinglePart, Failure> {
    let name = clean(name);
    let kind = ContentType::parse(&kind(&name, sniffed, &content)).or_else(|_| ContentType::parse(UNKNOWN));
    let kind = kind.map_err(|error| unbuilt(&error.to_string()))?;
    let body = Body::new_with_encoding(content, ContentTransferEncoding::Base64);
    let body = body.map_err(|_| unbuilt("a file cannot be encoded"))?;
    Ok(Attachment::new(name).body(body, kind))
}

/// A file's name without folders, and without what could end a header's line or turn its letters around.
fn clean(name: &str) -> String {
    let name = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let hidden = |c: &char| {
        c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let kept: String = name.chars().filter(|c| !hidden(c)).take(NAME_CHARS).collect();
    match kept.trim_matches(['.', ' ']).is_empty() {
        true => UNNAMED.to_owned(),
        false => kept.trim().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    #[test]
    fn the_name_of_an_attachment_is_one_of_a_file() {
        for (name, cleaned) in [
            ("report.pdf", "report.pdf"),
            ("../../etc/passwd", "passwd"),
            ("C:\\x\\a b.exe", "a b.exe"),
            ("a\r\nContent-Type: text/html", "html"),
            ("a\r\nb\u{202e}fdp.exe", "abfdp.exe"),
            ("..", UNNAMED),
            ("", UNNAMED),
        ] {
            assert_eq!(clean(name), cleaned, "{name:?}");
        }
        assert_eq!(clean(&"x".repeat(500)).len(), NAME_CHARS);
    }

    #[test]
    fn a_text_is_what_its_name_says_and_anything_else_what_its_bytes_say() {
        for (name, sniffed, content, expected) in [
            ("a.csv", "text/plain", "ü,b\n", "text/csv; charset=utf-8"),
            ("a.b.JSON", "text/plain", "{}", "application/json; charset=utf-8"),
            ("notes.md", "text/plain", "# a", "text/markdown; charset=utf-8"),
            ("page.html", "text/plain", "<p>", "text/html; charset=utf-8"),
            ("page.txt", "text/html", "<html>", "text/plain; charset=utf-8"),
            ("Makefile", "text/plain", "a:", "text/plain; charset=utf-8"),
            ("a.csv", "application/pdf", "%PDF-1.4", "application/pdf"),
            ("a.csv", "application/octet-stream", "\0", "application/octet-stream"),
            ("a.eml", "message/rfc822", "From: a@b.org", "application/octet-stream"),
        ] {
            assert_eq!(kind(name, sniffed, content.as_bytes()), expected, "{name}");
        }
        assert_eq!(kind("a.csv", "text/csv", b"\xfc,b\n"), "text/csv");
        let part = part("a.csv", "text/plain", b"a\n".to_vec()).unwrap().formatted();
        assert!(String::from_utf8_lossy(&part).contains("\r\nContent-Type: text/csv; charset=utf-8\r\n"));
    }

    proptest! {
        #[test]
        fn a_file_is_base64_in_lines_of_the_mail_whatever_it_and_its_name_hold(
            name in any::<String>(),
            kind in "(text/plain|message/rfc822|[a-z]{0,5}/[a-z;=\" \r\n]{0,9})",
            content in prop_oneof![vec(any::<u8>(), 0..300), "[a.\r\n]{0,300}".prop_map(String::into_bytes)],
        ) {
            let part = String::from_utf8(part(&name, &kind, content).unwrap().formatted()).unwrap();
            prop_assert!(part.contains("\r\nContent-Transfer-Encoding: base64\r\n\r\n"), "{part}");
            prop_assert!(part.is_ascii() && !part.replace("\r\n", "").contains(['\r', '\n']), "{part}");
        }
    }
}
