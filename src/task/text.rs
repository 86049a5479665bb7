//! What text may stand where: one judge for both databases.

/// One thing that is wrong with an input: where (a JSON pointer) and what.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct FieldError {
    /// A JSON pointer into the input, as `/params/target_width`.
    pub pointer: String,
    /// A sentence, as `must be 100 to 2000`.
    pub detail: String,
}

impl FieldError {
    /// An error at `pointer`.
    pub fn new(pointer: impl Into<String>, detail: impl Into<String>) -> FieldError {
        FieldError { pointer: pointer.into(), detail: detail.into() }
    }
}

/// Whether both databases can keep it: Postgres takes no NUL in text or JSON.
pub fn storable(text: &str) -> bool {
    !text.contains('\0')
}

/// What is wrong with a line of free text (a task's name); `None` when nothing is. Control
/// characters other than NUL are kept: they are shown escaped.
pub fn free(text: &str, max_chars: usize) -> Option<String> {
    if !storable(text) {
        return Some("must not contain a NUL character".to_owned());
    }
    (text.chars().count() > max_chars).then(|| format!("must be at most {max_chars} characters"))
}

/// What is wrong with a word one filters by (queue, tag, client id, owner): 1 to `max` characters,
/// none of them a control character or a text-direction override.
pub fn label(text: &str, max_chars: usize) -> Option<String> {
    let hidden = |c: char| c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    if text.is_empty() || text.chars().count() > max_chars {
        return Some(format!("must be 1 to {max_chars} characters"));
    }
    text.chars().any(hidden).then(|| "must not contain control characters".to_owned())
}

/// What is wrong with the name of an output file or a checkpoint: 1 to 100 letters, digits, `.`,
/// `-` and `_`, and not dots alone.
pub fn file_name(text: &str) -> Option<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if text.is_empty() || text.len() > 100 || !text.chars().all(plain) || text.chars().all(|c| c == '.') {
        return Some("must be 1 to 100 letters, digits, dots, dashes and underscores".to_owned());
    }
    None
}

/// Cuts `text` to at most `max_bytes` at a character's border, saying so; NUL becomes U+FFFD.
pub fn clip(text: &str, max_bytes: usize) -> String {
    let text = text.replace('\0', "\u{fffd}");
    if text.len() <= max_bytes {
        return text;
    }
    let end = (0..=max_bytes.saturating_sub(3)).rev().find(|&i| text.is_char_boundary(i)).unwrap_or(0);
    format!("{}…", &text[..end])
}

/// A text of somebody else's as a log may show it: at most `max_chars` of it, what could command a terminal,
/// begin a line or reorder one as escapes (`\n`, `\u{202e}`), and so the backslash.
pub fn escaped(text: &str, max_chars: usize) -> String {
    let hidden = |c: char| c.is_control() || matches!(c, '\\' | '\u{2028}' | '\u{2029}' | '\u{feff}') || is_bidi(c);
    let shown = text.chars().take(max_chars).fold(String::new(), |mut shown, c| {
        match hidden(c) {
            true => shown.extend(c.escape_default()),
            false => shown.push(c),
        }
        shown
    });
    if text.chars().nth(max_chars).is_some() { shown + "…" } else { shown }
}

/// Whether it changes the direction of what stands beside it.
fn is_bidi(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_label_has_no_hidden_characters() {
        assert_eq!(label("mails-2026", 100), None);
        assert_eq!(label("<script>", 100), None);
        for text in ["", "a\nb", "a\u{202e}b", "\0", &"x".repeat(101)] {
            assert!(label(text, 100).is_some(), "{text:?}");
        }
    }

    #[test]
    fn a_file_name_leads_nowhere_else() {
        assert_eq!(file_name("mail-001.eml"), None);
        for text in ["", ".", "..", "a/b", "a b", "é", &"x".repeat(101)] {
            assert!(file_name(text).is_some(), "{text:?}");
        }
    }

    #[test]
    fn what_is_escaped_commands_nothing_and_is_told_apart_from_what_was_sent_so() {
        assert_eq!(escaped("a\r\n\t\0\u{1b}[2J\u{202e}é", 100), "a\\r\\n\\t\\u{0}\\u{1b}[2J\\u{202e}é");
        assert_eq!(escaped("\\n", 100), "\\\\n");
        assert_eq!(escaped("äöü", 2), "äö…");
    }

    #[test]
    fn clipping_keeps_characters_whole() {
        assert_eq!(clip("äöü", 5), "ä…");
        assert_eq!(clip("a\0b", 10), "a\u{fffd}b");
    }

    proptest! {
        #[test]
        fn what_passes_can_be_kept_and_shown(text in any::<String>(), max in 0..40usize) {
            let hidden = |c: char| c.is_control() || ('\u{202a}'..='\u{202e}').contains(&c);
            if label(&text, max).is_none() {
                prop_assert!((1..=max).contains(&text.chars().count()) && !text.contains(hidden));
            }
            if free(&text, max).is_none() {
                prop_assert!(text.chars().count() <= max && storable(&text));
            }
            if file_name(&text).is_none() {
                prop_assert!(text.is_ascii() && !text.contains(['/', '\\', '\0']) && !matches!(&*text, "" | "." | ".."));
            }
        }

        #[test]
        fn what_is_clipped_fits_and_is_a_beginning(text in any::<String>(), max in 3..40usize) {
            let clipped = clip(&text, max);
            prop_assert!(clipped.len() <= max && storable(&clipped));
            let whole = text.replace('\0', "\u{fffd}");
            prop_assert!(clipped == whole || whole.starts_with(clipped.strip_suffix('…').unwrap_or("no end")));
        }
    }
}
