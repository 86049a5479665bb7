//! What is attached to all mails of a task: uploaded files, each as it is to the byte.

use super::letter::unbuilt;
use super::own::{MAX_ATTACHED_BYTES, Own};
use crate::files;
use crate::types::{Context, Failure};
use lettre::message::header::{ContentTransferEncoding, ContentType};
use lettre::message::{Attachment, Body, SinglePart};
use tokio::io::AsyncReadExt;

/// What a file is called whose name says nothing.
const UNNAMED: &str = "attachment";
/// As much of a file's name is kept.
const NAME_CHARS: usize = 150;
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
        let (name, kind) = (input.name.clone(), input.content_type.clone());
        parts.push(ctx.blocking(move |_| part(&name, &kind, content)).await?);
    }
    Ok(parts)
}

/// Always Base64: its line ends are those of the mail, whatever the file holds. A file's own would be changed on the
/// way, and a dot between two of them read as the end of the mail.
fn part(name: &str, kind: &str, content: Vec<u8>) -> Result<SinglePart, Failure> {
    let kind = ContentType::parse(kind).or_else(|_| ContentType::parse(UNKNOWN));
    let kind = kind.map_err(|error| unbuilt(&error.to_string()))?;
    let body = Body::new_with_encoding(content, ContentTransferEncoding::Base64);
    let body = body.map_err(|_| unbuilt("a file cannot be encoded"))?;
    Ok(Attachment::new(clean(name)).body(body, kind))
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
