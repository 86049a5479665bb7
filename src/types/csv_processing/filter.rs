//! The option `filter`: a condition on a row's cells. `docs/csv-filter.md` has the language.

mod parser;
#[cfg(test)]
mod tests;

use super::cell::{Cell, Reading};
use parser::Parser;
use std::cmp::Ordering;

/// A longer expression is refused.
pub const MAX_CHARS: usize = 2000;

/// An expression as it was written: its columns are names still.
#[derive(Debug, Clone, PartialEq)]
pub struct Expression {
    /// The columns it names, each once. A [`Node`] has an index into them.
    columns: Vec<String>,
    root: Node,
}

/// An expression over the columns of one file.
#[derive(Debug)]
pub struct Filter {
    columns: Vec<usize>,
    root: Node,
}

/// A part of an expression.
#[derive(Debug, Clone, PartialEq)]
enum Node {
    Or(Vec<Node>),
    And(Vec<Node>),
    Not(Box<Node>),
    IsNull(usize),
    Compare(usize, Operator, Literal),
    In(usize, Vec<Literal>),
    Find(usize, Place, String),
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// Where in a cell a text is looked for.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Place {
    Anywhere,
    Start,
    End,
}

/// What a cell is compared with.
#[derive(Debug, Clone, PartialEq)]
enum Literal {
    /// [`Cell::Integer`] or [`Cell::Decimal`].
    Number(Cell),
    Text(String),
    Boolean(bool),
}

impl Expression {
    /// Reads an expression of at most [`MAX_CHARS`] characters. The error is for a person: the
    /// position, counted in characters from 1, and what was expected there.
    pub fn parse(text: &str) -> Result<Expression, String> {
        if text.chars().nth(MAX_CHARS).is_some() {
            return Err(format!("must be at most {MAX_CHARS} characters"));
        }
        let (columns, root) = Parser::new(text).parse()?;
        Ok(Expression { columns, root })
    }

    /// The filter over columns as `find` knows them, asked once for each; its error is passed on.
    pub fn over<E>(self, find: impl FnMut(&String) -> Result<usize, E>) -> Result<Filter, E> {
        Ok(Filter { columns: self.columns.iter().map(find).collect::<Result<_, E>>()?, root: self.root })
    }
}

impl Filter {
    /// Whether the row with these cells is kept. There are two truth values: a cell without a value
    /// fits `is null` only, each comparison with it is false (`!=` too) and `not` of that is true.
    /// The same holds for a cell that is no number beside a number, and for one that is neither
    /// true nor false beside these. Texts are compared byte by byte, which is by code points, with
    /// the spaces around them. Allocates nothing.
    pub fn keeps<'r>(&self, cell: impl Fn(usize) -> &'r [u8], nulls: &Reading) -> bool {
        let value = |column: usize| Some(cell(self.columns[column])).filter(|cell| !nulls.is_null(cell));
        self.root.holds(&value, nulls)
    }
}

impl Node {
    /// `value` gives a column's cell, unless it has no value.
    fn holds<'r>(&self, value: &dyn Fn(usize) -> Option<&'r [u8]>, nulls: &Reading) -> bool {
        match self {
            Node::Or(nodes) => nodes.iter().any(|node| node.holds(value, nulls)),
            Node::And(nodes) => nodes.iter().all(|node| node.holds(value, nulls)),
            Node::Not(node) => !node.holds(value, nulls),
            Node::IsNull(column) => value(*column).is_none(),
            Node::Compare(column, operator, literal) => {
                let order = value(*column).and_then(|cell| literal.order(cell, nulls));
                order.is_some_and(|order| operator.allows(order))
            }
            Node::In(column, literals) => value(*column)
                .is_some_and(|cell| literals.iter().any(|literal| literal.order(cell, nulls) == Some(Ordering::Equal))),
            Node::Find(column, place, text) => {
                // Good rows are UTF-8; and `str` searches in linear time, however the texts repeat.
                let cell = value(*column).and_then(|cell| std::str::from_utf8(cell).ok());
                cell.is_some_and(|cell| match place {
                    Place::Anywhere => cell.contains(text),
                    Place::Start => cell.starts_with(text),
                    Place::End => cell.ends_with(text),
                })
            }
        }
    }
}

impl Literal {
    /// How the cell stands to this; `None` where the two can't be compared.
    fn order(&self, cell: &[u8], nulls: &Reading) -> Option<Ordering> {
        match self {
            Literal::Text(text) => Some(cell.cmp(text.as_bytes())),
            Literal::Number(literal) => match (nulls.number(cell.trim_ascii())?, *literal) {
                (Cell::Integer(cell), Cell::Integer(literal)) => Some(cell.cmp(&literal)),
                (cell, literal) => cell.as_f64()?.partial_cmp(&literal.as_f64()?),
            },
            Literal::Boolean(literal) => {
                let is = |word: &[u8]| cell.trim_ascii().eq_ignore_ascii_case(word);
                (is(b"true") || is(b"false")).then(|| is(b"true").cmp(literal))
            }
        }
    }
}

impl Operator {
    fn allows(self, order: Ordering) -> bool {
        match self {
            Operator::Equal => order.is_eq(),
            Operator::NotEqual => order.is_ne(),
            Operator::Less => order.is_lt(),
            Operator::LessOrEqual => order.is_le(),
            Operator::Greater => order.is_gt(),
            Operator::GreaterOrEqual => order.is_ge(),
        }
    }
}
