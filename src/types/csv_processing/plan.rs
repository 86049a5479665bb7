//! What becomes of each row: filtered, deduplicated, sorted, cut, its columns selected and renamed.

use super::Own;
use super::filter::{Expression, Filter};
use crate::types::Failure;
use serde::Deserialize;
use std::collections::HashSet;

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
