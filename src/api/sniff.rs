//! What a file is, by its first bytes; what its sender calls it is only believed of text.

use super::problem::{Code, Problem, Result};
use crate::files::is_text_type;

/// What a file may be that looks like text. Of anything else two or three letters are no proof: `BMI,age` begins a
/// table and no picture.
const IN_TEXT: [&str; 6] =
    ["application/pdf", "application/postscript", "application/rtf", "text/html", "text/xml", "text/x-shellscript"];

/// The media type of a file with this beginning, declared as `declared` (in lower case, without
/// parameters). 415 where the two contradict each other.
pub fn content_type(declared: Option<&str>, head: &[u8]) -> Result<String> {
    let declared = declared.filter(|media| !media.is_empty() && *media != "application/octet-stream");
    let is_named = |found: &infer::Type| {
        declared.is_some_and(|media| media.starts_with("image/")) || IN_TEXT.contains(&found.mime_type())
    };
    let found = infer::get(head).filter(|found| !is_text(head) || is_named(found));
    if let Some(declared) = declared {
        let contradicted = match found {
            Some(found) if is_text_type(declared) => !is_text_type(found.mime_type()),
            Some(found) => declared.starts_with("image/") && found.matcher_type() != infer::MatcherType::Image,
            None => declared.starts_with("image/") || (is_text_type(declared) && !is_text(head)),
        };
        if contradicted {
            return Err(Problem::new(Code::UnsupportedMediaType, format!("the file is not {declared}")));
        }
    }
    Ok(match found {
        Some(found) => found.mime_type().to_owned(),
        None if is_text(head) => declared.filter(|media| is_text_type(media)).unwrap_or("text/plain").to_owned(),
        None => "application/octet-stream".to_owned(),
    })
}

/// Whether it begins like text: UTF-8 (perhaps cut within a character), UTF-16 with its mark, or a
/// text in some single-byte encoding; without control characters that no text has.
fn is_text(head: &[u8]) -> bool {
    if head.starts_with(b"\xff\xfe") || head.starts_with(b"\xfe\xff") {
        return true;
    }
    let control = |byte: &u8| *byte < 0x20 && !matches!(byte, b'\t' | b'\n' | b'\r' | 0x0c | 0x1b);
    !head.iter().any(control)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR";
    const ZIP: &[u8] = b"PK\x03\x04\x14\0\0\0";
    const ELF: &[u8] = b"\x7fELF\x02\x01\x01\0";

    #[test]
    fn what_the_bytes_say_goes_before_what_is_declared() {
        assert_eq!(content_type(Some("application/octet-stream"), PNG).unwrap(), "image/png");
        assert_eq!(content_type(None, PNG).unwrap(), "image/png");
        assert_eq!(content_type(Some("image/jpeg"), PNG).unwrap(), "image/png");
        assert_eq!(content_type(Some("text/csv"), b"a,b\n1,2\n").unwrap(), "text/csv");
        assert_eq!(content_type(None, "a,ü\n".as_bytes()).unwrap(), "text/plain");
        assert_eq!(content_type(Some("application/pdf"), b"a\0b").unwrap(), "application/octet-stream");
    }

    #[test]
    fn a_contradiction_is_refused() {
        for (declared, head) in [
            ("image/png", &b"<!DOCTYPE html><script>"[..]),
            ("image/png", ELF),
            ("image/svg+xml", b"<svg onload=alert(1)>"),
            ("image/png", b"a,b\n"),
            ("text/csv", ZIP),
            ("text/csv", PNG),
            ("text/csv", b"a\0b"),
        ] {
            let refused = content_type(Some(declared), head);
            assert_eq!(refused.unwrap_err().code(), Code::UnsupportedMediaType, "{declared}");
        }
    }

    #[test]
    fn a_table_whose_first_letters_begin_other_files_too_is_a_table() {
        for text in
            ["BMI,age\n21.5,30\n", "MZ,a\n", "ID3,b\n", "BZh1,c\n", "GIF,d\n", "SQLite,e\n", "OggS,f\n", "FWS\n"]
        {
            assert_eq!(content_type(Some("text/csv"), text.as_bytes()).unwrap(), "text/csv", "{text}");
            assert_eq!(content_type(None, text.as_bytes()).unwrap(), "text/plain", "{text}");
        }
        for (head, found) in [(&b"BM\x3a\0\0\0"[..], "image/bmp"), (b"%PDF-1.7\n", "application/pdf")] {
            assert_eq!(content_type(None, head).unwrap(), found);
            assert!(content_type(Some("text/csv"), head).is_err());
        }
    }

    proptest! {
        #[test]
        fn any_file_has_a_type_that_a_header_holds_or_is_refused(
            header in prop_oneof![any::<Vec<u8>>(), "[a-z]{1,12}/[a-z.+-]{1,12}(; ?[ -~]{0,20})?".prop_map(String::into_bytes)],
            head in prop_oneof![any::<Vec<u8>>(), vec(any::<u8>(), 0..64).prop_map(|tail| [PNG, &tail].concat())],
        ) {
            let value = axum::http::HeaderValue::from_bytes(&header).ok();
            let declared = value.as_ref().and_then(crate::api::body::media_type);
            if let Some(media) = &declared {
                prop_assert!(!media.contains(';') && media.trim() == media && *media == media.to_ascii_lowercase());
            }
            match content_type(declared.as_deref(), &head) {
                Ok(media) => prop_assert!(!media.is_empty() && axum::http::HeaderValue::from_str(&media).is_ok()),
                Err(problem) => prop_assert_eq!(problem.code(), Code::UnsupportedMediaType),
            }
        }
    }
}
