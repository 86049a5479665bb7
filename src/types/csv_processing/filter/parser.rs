//! An expression's text, read.
//!
//! ```text
//! any       = all {"or" all}
//! all       = one {"and" one}
//! one       = "not" one | "(" any ")" | condition
//! condition = column ("=" | "!=") literal
//!           | column ("<" | "<=" | ">" | ">=") (number | text)
//!           | column "in" "(" literal {"," literal} ")"
//!           | column ("contains" | "starts" "with" | "ends" "with") text
//!           | column "is" ["not"] "null"
//! literal   = number | text | "true" | "false"
//! ```

use super::super::cell::{Cell, number};
use super::{Literal, Node, Operator, Place};
use crate::task::text::clip;

/// Parentheses and `not`s within each other.
const MAX_DEPTH: usize = 32;
/// Numbers, texts, `true`s and `false`s in one expression.
const MAX_LITERALS: usize = 200;
/// Signs, longer ones first where one begins another.
const SIGNS: [&str; 9] = ["<=", ">=", "!=", "<", ">", "=", "(", ")", ","];
/// Words that name no column, unless they stand in backticks.
const KEYWORDS: [&str; 12] =
    ["and", "or", "not", "in", "is", "null", "contains", "starts", "ends", "with", "true", "false"];

/// Recursive descent, one token ahead.
pub struct Parser<'t> {
    text: &'t str,
    /// Where the token begins and ends.
    start: usize,
    at: usize,
    token: Token,
    depth: usize,
    literals: usize,
    columns: Vec<String>,
}

impl<'t> Parser<'t> {
    /// At the beginning of `text`.
    pub fn new(text: &'t str) -> Parser<'t> {
        Parser { text, start: 0, at: 0, token: Token::End, depth: 0, literals: 0, columns: Vec::new() }
    }

    /// The columns named, each once, and the whole expression over them.
    pub fn parse(mut self) -> Result<(Vec<String>, Node), String> {
        self.advance()?;
        let root = self.any()?;
        match self.token {
            Token::End => Ok((self.columns, root)),
            _ => Err(self.expected("and, or, or the end")),
        }
    }

    fn any(&mut self) -> Result<Node, String> {
        let mut nodes = vec![self.all()?];
        while self.take("or")? {
            nodes.push(self.all()?);
        }
        Ok(if nodes.len() == 1 { nodes.remove(0) } else { Node::Or(nodes) })
    }

    fn all(&mut self) -> Result<Node, String> {
        let mut nodes = vec![self.one()?];
        while self.take("and")? {
            nodes.push(self.one()?);
        }
        Ok(if nodes.len() == 1 { nodes.remove(0) } else { Node::And(nodes) })
    }

    fn one(&mut self) -> Result<Node, String> {
        let nested = matches!(self.token, Token::Word("not" | "("));
        if nested && self.depth == MAX_DEPTH {
            return Err(self.fault(&format!("more than {MAX_DEPTH} parentheses and nots within each other")));
        }
        self.depth += 1;
        let node = if self.take("not")? {
            Node::Not(Box::new(self.one()?))
        } else if self.take("(")? {
            let node = self.any()?;
            self.must(")", "and, or, or a closing parenthesis")?;
            node
        } else {
            self.condition()?
        };
        self.depth -= 1;
        Ok(node)
    }

    fn condition(&mut self) -> Result<Node, String> {
        let Token::Column(name) = &self.token else {
            let sign = matches!(self.token, Token::Word(word) if SIGNS.contains(&word));
            let hint = if sign || self.token == Token::End { "" } else { " (such a name stands in backticks)" };
            return Err(self.expected(&format!("a column{hint}, not, or an opening parenthesis")));
        };
        let known = self.columns.iter().position(|known| known == name);
        let column = known.unwrap_or(self.columns.len());
        if known.is_none() {
            self.columns.push(name.clone());
        }
        self.advance()?;
        let Token::Word(word) = self.token else { return Err(self.no_operator()) };
        let operator = match word {
            "=" => Operator::Equal,
            "!=" => Operator::NotEqual,
            "<" => Operator::Less,
            "<=" => Operator::LessOrEqual,
            ">" => Operator::Greater,
            ">=" => Operator::GreaterOrEqual,
            "is" => return self.is_null(column),
            "in" => return self.is_in(column),
            "contains" | "starts" | "ends" => return self.find(column, word),
            _ => return Err(self.no_operator()),
        };
        self.advance()?;
        let ordered = !matches!(operator, Operator::Equal | Operator::NotEqual);
        if ordered && matches!(self.token, Token::Word(_)) {
            return Err(self.expected("a number or a text in double quotes"));
        }
        Ok(Node::Compare(column, operator, self.literal()?))
    }

    fn is_null(&mut self, column: usize) -> Result<Node, String> {
        self.advance()?;
        let not = self.take("not")?;
        self.must("null", if not { "null" } else { "null or not null" })?;
        let node = Node::IsNull(column);
        Ok(if not { Node::Not(Box::new(node)) } else { node })
    }

    fn is_in(&mut self, column: usize) -> Result<Node, String> {
        self.advance()?;
        self.must("(", "an opening parenthesis")?;
        let mut literals = vec![self.literal()?];
        while self.take(",")? {
            literals.push(self.literal()?);
        }
        self.must(")", "a comma or a closing parenthesis")?;
        Ok(Node::In(column, literals))
    }

    fn find(&mut self, column: usize, word: &str) -> Result<Node, String> {
        self.advance()?;
        let place = match word {
            "contains" => Place::Anywhere,
            "starts" => Place::Start,
            _ => Place::End,
        };
        if place != Place::Anywhere {
            self.must("with", "with")?;
        }
        let Token::Text(text) = &self.token else { return Err(self.expected("a text in double quotes")) };
        let text = text.clone();
        self.literal()?;
        Ok(Node::Find(column, place, text))
    }

    fn literal(&mut self) -> Result<Literal, String> {
        let literal = match &self.token {
            Token::Number(number) => Literal::Number(*number),
            Token::Text(text) => Literal::Text(text.clone()),
            Token::Word("true") => Literal::Boolean(true),
            Token::Word("false") => Literal::Boolean(false),
            _ => return Err(self.expected("a number, a text in double quotes, true or false")),
        };
        self.literals += 1;
        if self.literals > MAX_LITERALS {
            return Err(self.fault(&format!("more than {MAX_LITERALS} numbers and texts")));
        }
        self.advance()?;
        Ok(literal)
    }

    /// Whether the token is this word; then it is behind us.
    fn take(&mut self, word: &str) -> Result<bool, String> {
        let is = matches!(self.token, Token::Word(token) if token == word);
        if is {
            self.advance()?;
        }
        Ok(is)
    }

    fn must(&mut self, word: &str, expected: &str) -> Result<(), String> {
        if self.take(word)? { Ok(()) } else { Err(self.expected(expected)) }
    }

    fn no_operator(&self) -> String {
        self.expected("one of = != < <= > >=, in, contains, starts with, ends with, is")
    }

    fn expected(&self, what: &str) -> String {
        let found = match self.token {
            Token::End => "the end".to_owned(),
            _ => clip(&self.text[self.start..self.at], 40),
        };
        self.fault(&format!("expected {what}, found {found}"))
    }

    fn fault(&self, fault: &str) -> String {
        format!("at character {}: {fault}", self.text[..self.start].chars().count() + 1)
    }

    /// The next token. The only errors here are within quotes.
    fn advance(&mut self) -> Result<(), String> {
        let rest = self.text[self.at..].trim_start();
        self.start = self.text.len() - rest.len();
        let (token, length) = match rest.chars().next() {
            None => (Token::End, 0),
            Some(quote @ ('"' | '`')) => return self.quoted(quote),
            Some(first) if first.is_alphabetic() || first == '_' => {
                let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
                let word = &rest[..end];
                let keyword = KEYWORDS.iter().find(|keyword| keyword.eq_ignore_ascii_case(word));
                (keyword.map_or_else(|| Token::Column(word.to_owned()), |keyword| Token::Word(keyword)), word.len())
            }
            Some('0'..='9' | '.' | '+' | '-') => numeric(rest),
            Some(other) => SIGNS
                .iter()
                .find(|sign| rest.starts_with(**sign))
                .map_or((Token::Other, other.len_utf8()), |sign| (Token::Word(sign), sign.len())),
        };
        (self.token, self.at) = (token, self.start + length);
        Ok(())
    }

    /// A text in double quotes or a name in backticks; a backslash escapes the quote and itself.
    fn quoted(&mut self, quote: char) -> Result<(), String> {
        let mut inner = String::new();
        let mut chars = self.text[self.start + 1..].char_indices();
        while let Some((i, c)) = chars.next() {
            match c {
                '\\' => match chars.next() {
                    Some((_, c)) if c == quote || c == '\\' => inner.push(c),
                    _ => {
                        self.start += 1 + i;
                        return Err(self.fault(&format!("a backslash stands before {quote} or another backslash only")));
                    }
                },
                c if c == quote => {
                    self.at = self.start + 1 + i + 1;
                    self.token = if quote == '"' { Token::Text(inner) } else { Token::Column(inner) };
                    return Ok(());
                }
                c => inner.push(c),
            }
        }
        Err(self.fault(&format!("the {quote} that opens here is never closed")))
    }
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    /// A keyword, in lower case, or a sign.
    Word(&'static str),
    Column(String),
    Text(String),
    Number(Cell),
    /// Nothing that could stand anywhere.
    Other,
    End,
}

/// A number, as cells have them, and its length; what only begins like one is taken whole.
fn numeric(rest: &str) -> (Token, usize) {
    let bytes = rest.as_bytes();
    let sign = |i: usize| matches!(bytes[i], b'+' | b'-') && (i == 0 || matches!(bytes[i - 1], b'e' | b'E'));
    let part = |i: &usize| sign(*i) || bytes[*i].is_ascii_alphanumeric() || matches!(bytes[*i], b'.' | b'_');
    let length = (0..bytes.len()).take_while(part).count();
    (number(&bytes[..length]).map_or(Token::Other, Token::Number), length)
}
