//! Strict JSON, in one pass over the text: what serde_json lets through is refused here.
//!
//! Duplicate members at any depth, lone surrogates, deep nesting and trailing text are no JSON
//! (400). A NUL character is JSON that no database of ours can keep (422): its places are
//! collected. Numbers are never read, only checked: however big, they pass through as sent.

#[cfg(test)]
mod tests;

use crate::task::text::FieldError;
use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt::Write;

/// Deeper nesting is refused; what reads the params later stops at the same depth.
const MAX_DEPTH: usize = 127;
/// More members in one object are refused: each costs memory while it is open.
const MAX_MEMBERS: usize = 200_000;
/// No more places of NUL characters than this are named.
const MAX_NULS: usize = 100;
/// Objects with more members than this look duplicates up by hash.
const FEW: usize = 8;

/// Why a text is no JSON, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed {
    /// The byte it was noticed at.
    pub at: usize,
    /// What is wrong there.
    pub why: &'static str,
}

/// Checks a whole text; answers where it has NUL characters.
pub fn check(text: &str) -> Result<Vec<FieldError>, Malformed> {
    Scanner::run(text, None)
}

/// The text in its canonical form: members sorted, no spaces, strings escaped one way, numbers as
/// sent. Two bodies that mean the same have the same.
pub fn canonical(text: &str) -> Result<String, Malformed> {
    let mut out = String::with_capacity(text.len());
    Scanner::run(text, Some(&mut out))?;
    Ok(out)
}

/// `name` as a segment of a JSON pointer.
pub fn segment(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

enum Step<'a> {
    Member(Cow<'a, str>),
    Item(usize),
}

struct Scanner<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    path: Vec<Step<'a>>,
    nuls: Vec<FieldError>,
}

type Scan<T> = Result<T, Malformed>;

impl<'a> Scanner<'a> {
    fn run(text: &'a str, out: Option<&mut String>) -> Scan<Vec<FieldError>> {
        let mut scanner = Scanner { text, bytes: text.as_bytes(), at: 0, path: Vec::new(), nuls: Vec::new() };
        scanner.space();
        scanner.value(out)?;
        scanner.space();
        if scanner.at < scanner.bytes.len() {
            return scanner.fail("there is more after the end");
        }
        Ok(scanner.nuls)
    }

    fn value(&mut self, mut out: Option<&mut String>) -> Scan<()> {
        let begun = self.at;
        match self.peek() {
            Some(b'{') => return self.object(out),
            Some(b'[') => return self.array(out),
            Some(b'"') => {
                let text = self.string()?;
                if let Some(out) = out.as_deref_mut() {
                    quote(out, &text);
                }
                return Ok(());
            }
            Some(b't') => self.word("true")?,
            Some(b'f') => self.word("false")?,
            Some(b'n') => self.word("null")?,
            Some(b'-' | b'0'..=b'9') => self.number()?,
            _ => return self.fail("a value is missing"),
        }
        if let Some(out) = out {
            out.push_str(&self.text[begun..self.at]);
        }
        Ok(())
    }

    fn object(&mut self, out: Option<&mut String>) -> Scan<()> {
        let mut names: Vec<Cow<'a, str>> = Vec::new();
        let mut many: HashSet<Cow<'a, str>> = HashSet::new();
        let mut members: Vec<(Cow<'a, str>, String)> = Vec::new();
        self.enter()?;
        while self.next_in(b'}', names.is_empty() && many.is_empty())? {
            if self.peek() != Some(b'"') {
                return self.fail("a member's name is missing");
            }
            let at = self.at;
            let name = self.string()?;
            let twice = match many.len() {
                0 => names.contains(&name),
                _ => !many.insert(name.clone()),
            };
            if twice || many.len() > MAX_MEMBERS {
                return Err(Malformed { at, why: if twice { "a member stands twice" } else { "too many members" } });
            }
            if many.is_empty() {
                names.push(name.clone());
                if names.len() > FEW {
                    many = names.drain(..).collect();
                }
            }
            self.space();
            self.expect(b':', "a colon is missing")?;
            self.space();
            self.path.push(Step::Member(name.clone()));
            match out {
                None => self.value(None)?,
                Some(_) => {
                    let mut text = String::new();
                    self.value(Some(&mut text))?;
                    members.push((name, text));
                }
            }
            self.path.pop();
        }
        if let Some(out) = out {
            members.sort();
            for (n, (name, value)) in members.iter().enumerate() {
                out.push(if n == 0 { '{' } else { ',' });
                quote(out, name);
                out.push(':');
                out.push_str(value);
            }
            out.push_str(if members.is_empty() { "{}" } else { "}" });
        }
        Ok(())
    }

    fn array(&mut self, mut out: Option<&mut String>) -> Scan<()> {
        let mut n = 0;
        self.enter()?;
        while self.next_in(b']', n == 0)? {
            if let Some(out) = out.as_deref_mut() {
                out.push(if n == 0 { '[' } else { ',' });
            }
            self.path.push(Step::Item(n));
            self.value(out.as_deref_mut())?;
            self.path.pop();
            n += 1;
        }
        if let Some(out) = out {
            out.push_str(if n == 0 { "[]" } else { "]" });
        }
        Ok(())
    }

    fn enter(&mut self) -> Scan<()> {
        if self.path.len() >= MAX_DEPTH {
            return self.fail("it is nested too deeply");
        }
        self.at += 1;
        self.space();
        Ok(())
    }

    /// Whether another item follows before the `end`, which is then taken.
    fn next_in(&mut self, end: u8, first: bool) -> Scan<bool> {
        self.space();
        if self.peek() == Some(end) {
            self.at += 1;
            return Ok(false);
        }
        if !first {
            self.expect(b',', "a comma or the end is missing")?;
            self.space();
        }
        Ok(true)
    }

    fn string(&mut self) -> Scan<Cow<'a, str>> {
        self.at += 1;
        let begun = self.at;
        let mut escaped: Option<String> = None;
        let mut plain_from = begun;
        loop {
            match self.peek() {
                None => return self.fail("a string has no end"),
                Some(b'"') => {
                    let rest = &self.text[plain_from..self.at];
                    self.at += 1;
                    return Ok(match escaped {
                        None => Cow::Borrowed(rest),
                        Some(text) => Cow::Owned(text + rest),
                    });
                }
                Some(b'\\') => {
                    let text = escaped.get_or_insert_default();
                    text.push_str(&self.text[plain_from..self.at]);
                    let character = self.escape()?;
                    if character == '\0' {
                        self.nul();
                    }
                    escaped.get_or_insert_default().push(character);
                    plain_from = self.at;
                }
                Some(0..=0x1f) => return self.fail("a control character stands in a string"),
                Some(_) => self.at += 1,
            }
        }
    }

    fn escape(&mut self) -> Scan<char> {
        self.at += 1;
        let escape = self.peek();
        self.at += 1;
        Ok(match escape {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.unicode(),
            _ => return self.fail("an escape is unknown"),
        })
    }

    fn unicode(&mut self) -> Scan<char> {
        let high = self.hex4()?;
        let code = match high {
            0xd800..=0xdbff if self.bytes[self.at..].starts_with(b"\\u") => {
                self.at += 2;
                match self.hex4()? {
                    low @ 0xdc00..=0xdfff => 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00),
                    _ => return self.fail("half of a surrogate pair is missing"),
                }
            }
            code => code,
        };
        char::from_u32(code).map_or_else(|| self.fail("half of a surrogate pair is missing"), Ok)
    }

    fn hex4(&mut self) -> Scan<u32> {
        let digits = self.bytes.get(self.at..self.at + 4).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        let Some(digits) = digits else { return self.fail("an escape needs four hexadecimal digits") };
        let value = digits.iter().fold(0, |sum, digit| sum * 16 + char::from(*digit).to_digit(16).unwrap_or(0));
        self.at += 4;
        Ok(value)
    }

    fn number(&mut self) -> Scan<()> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        match self.peek() {
            Some(b'0') => self.at += 1,
            _ => self.digits()?,
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Scan<()> {
        let n = self.bytes[self.at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += n;
        if n == 0 { self.fail("a number is not complete") } else { Ok(()) }
    }

    fn word(&mut self, word: &str) -> Scan<()> {
        if !self.bytes[self.at..].starts_with(word.as_bytes()) {
            return self.fail("a value is missing");
        }
        self.at += word.len();
        Ok(())
    }

    fn nul(&mut self) {
        if self.nuls.len() < MAX_NULS {
            let pointer = self.path.iter().fold(String::new(), |mut pointer, step| {
                let _ = match step {
                    Step::Member(name) => write!(pointer, "/{}", segment(name)),
                    Step::Item(n) => write!(pointer, "/{n}"),
                };
                pointer
            });
            self.nuls.push(FieldError::new(pointer, "must not contain a NUL character"));
        }
    }

    fn expect(&mut self, byte: u8, why: &'static str) -> Scan<()> {
        if self.peek() != Some(byte) {
            return self.fail(why);
        }
        self.at += 1;
        Ok(())
    }

    fn space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn fail<T>(&self, why: &'static str) -> Scan<T> {
        Err(Malformed { at: self.at.min(self.bytes.len()), why })
    }
}

fn quote(out: &mut String, text: &str) {
    out.push_str(&serde_json::Value::from(text).to_string());
}
