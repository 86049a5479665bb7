//! What becomes of each row: filtered, deduplicated, sorted, cut, its columns selected and renamed.

use super::Own;
use super::filter::{Expression, Filter};
use crate::types::Failure;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::HashSet;

/// Distinct rows that can be told apart, at about 17 bytes each.
const MAX_DISTINCT_ROWS: usize = 2_000_000;
/// They stand in so many parts, by how their hashes begin: at most some 500 in each, in order.
const PARTS: usize = 4096;
/// A part that is full grows by so many rows, and not to twice as many.
const ROWS_TO_GROW: usize = 32;
/// As much of the header is listed where a column is unknown.
const LISTED_BYTES: usize = 1000;

/// Which rows are duplicates.
#[derive(Debug, Clone, Deserialize, schemars::JsonSchema)]
#[serde(untagged)]
pub enum Deduplicate {
    /// Rows equal in every column, or none.
    Rows(bool),
    /// Rows equal in these columns.
    Columns(Vec<String>),
}

/// The params' columns as indices.
pub struct Plan {
    /// Each output column: its index in the file, and its name.
    pub selected: Vec<(usize, String)>,
    /// Which rows are kept.
    pub filter: Option<Filter>,
    /// Rows equal in these columns are duplicates.
    pub deduplicate: Option<Vec<usize>>,
    /// The columns to sort by, each with whether it descends.
    pub sort: Vec<(usize, bool)>,
}

impl Plan {
    /// Finds the columns in the header. Fatal `unknown_column` for one that is not there,
    /// `duplicate_column` where a new name is taken.
    pub fn new(own: &Own, header: &[String]) -> Result<Plan, Failure> {
        let all = || (0..header.len()).collect::<Vec<usize>>();
        let find = |name: &String| column(header, name);
        let mut selected: Vec<(usize, String)> = match &own.select {
            Some(names) => names.iter().map(|name| Ok((find(name)?, name.clone()))).collect::<Result<_, Failure>>()?,
            None => header.iter().cloned().enumerate().collect(),
        };
        for (old, new) in &own.rename {
            let index = find(old)?;
            selected.iter_mut().filter(|column| column.0 == index).for_each(|column| column.1.clone_from(new));
        }
        let mut names = HashSet::new();
        if let Some((_, twice)) = selected.iter().find(|(_, name)| !names.insert(name.as_str())) {
            return Err(Failure::fatal("duplicate_column", format!("two columns would be named {}", shown(twice))));
        }
        let filter = match &own.filter {
            Some(text) => {
                let expression = Expression::parse(text);
                let invalid = |error| Failure::fatal("invalid_params", format!("filter: {error}"));
                Some(expression.map_err(invalid)?.over(find)?)
            }
            None => None,
        };
        let deduplicate = match &own.deduplicate {
            Some(Deduplicate::Rows(true)) => Some(all()),
            Some(Deduplicate::Columns(names)) => Some(names.iter().map(find).collect::<Result<_, Failure>>()?),
            Some(Deduplicate::Rows(false)) | None => None,
        };
        let sort = own.sort.iter().map(|name| match name.strip_prefix('-') {
            // A column may itself be called "-x".
            Some(name) if !header.contains(&format!("-{name}")) => Ok((column(header, name)?, true)),
            _ => Ok((find(name)?, false)),
        });
        Ok(Plan { sort: sort.collect::<Result<_, Failure>>()?, selected, filter, deduplicate })
    }
}

/// Tells rows apart by a hash of 128 bits of SHA-256: that two differing rows are taken for one
/// is beyond chance and beyond malice.
#[derive(Serialize, Deserialize)]
pub struct Seen {
    columns: Vec<usize>,
    rows: usize,
    parts: Vec<Vec<[u8; 16]>>,
}

impl Seen {
    /// Nothing seen; rows will be compared by `columns`.
    pub fn new(columns: Vec<usize>) -> Seen {
        Seen { columns, rows: 0, parts: vec![Vec::new(); PARTS] }
    }

    /// Whether a row like it has been here before.
    pub fn before<'r>(&mut self, cell: impl Fn(usize) -> &'r [u8]) -> Result<bool, Failure> {
        let mut hash = Sha256::new();
        for column in &self.columns {
            let cell = cell(*column);
            // With its length, so that "a" "bc" is not "ab" "c".
            hash.update((cell.len() as u64).to_le_bytes());
            hash.update(cell);
        }
        let mut key = [0; 16];
        key.copy_from_slice(&hash.finalize()[..16]);
        let part = &mut self.parts[usize::from(u16::from_be_bytes([key[0], key[1]])) % PARTS];
        let Err(place) = part.binary_search(&key) else { return Ok(true) };
        self.rows += 1;
        if self.rows > MAX_DISTINCT_ROWS {
            let message = format!("deduplicating works up to {MAX_DISTINCT_ROWS} distinct rows");
            return Err(Failure::fatal("deduplicate_too_large", message));
        }
        if part.len() == part.capacity() {
            part.reserve_exact(ROWS_TO_GROW);
        }
        part.insert(place, key);
        Ok(false)
    }
}

fn column(header: &[String], name: &str) -> Result<usize, Failure> {
    let found = header.iter().position(|column| column == name);
    found.ok_or_else(|| {
        let message = format!("there is no column {}; the file has: {}", shown(name), listed(header));
        Failure::fatal("unknown_column", message)
    })
}

fn listed(header: &[String]) -> String {
    let mut names = String::new();
    for (i, name) in header.iter().enumerate() {
        names += if i > 0 { ", " } else { "" };
        names += name;
        if names.len() > LISTED_BYTES {
            break;
        }
    }
    crate::task::text::clip(&names, LISTED_BYTES)
}

fn shown(name: &str) -> String {
    crate::task::text::clip(name, 200)
}
